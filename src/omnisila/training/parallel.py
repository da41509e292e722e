"""Several processes that train one model together, started by ``torchrun``: what each holds and how they add up.

Parameters, gradients and moments are sharded (FSDP); a lone process needs none of it and takes the same way.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import NamedTuple, TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

from omnisila.errors import TrainingError

Told = TypeVar("Told")


class Parallel(NamedTuple):
    """This process among all: ``rank`` of ``world``; its device is the accelerator of its machine, if there is one."""

    rank: int = 0
    world: int = 1
    device: torch.device = torch.device("cpu")

    @property
    def leads(self) -> bool:
        """Whether this process writes the files and does the talking."""
        return self.rank == 0

    def total(self, value: float) -> float:
        if self.world == 1:
            return value
        shared = torch.tensor(value, dtype=torch.float64, device=self.device if self.device.type == "cuda" else "cpu")
        dist.all_reduce(shared)
        return float(shared)

    def wait(self) -> None:
        """Until all processes are here."""
        if self.world > 1:
            dist.barrier()

    def exchange(self, mine: Told) -> list[Told]:
        """What each process has to say, in their order; all wait for the last."""
        if self.world == 1:
            return [mine]
        said: list[Told] = [mine] * self.world
        dist.all_gather_object(said, mine)
        return said

    def shard(self, module: nn.Module) -> None:
        """Spread the parameters over the processes: each layer of a language model by itself, the rest together.

        Frozen parameters outside those layers (towers, embeddings) stay whole in every process.
        """
        if self.world == 1:
            return
        mesh = init_device_mesh(self.device.type, (self.world,))
        # as transformers calls the layers of language models
        layers = [part for part in module.modules() if type(part).__name__.endswith("DecoderLayer")]
        for layer in layers:
            fully_shard(layer, mesh=mesh)
        spread = {parameter for layer in layers for parameter in layer.parameters()}
        kept = {p for p in module.parameters() if p not in spread and not p.requires_grad}
        # parameters that stayed whole after a forward without gradients would hide the sharded ones from the optimiser
        fully_shard(module, mesh=mesh, ignored_params=kept, reshard_after_forward=True)
        if hasattr(module, "perceive"):  # called without forward while the dictionary is made
            register_fsdp_forward_method(module, "perceive")


ALONE = Parallel()
PATIENCE = timedelta(days=7)  # one process may extract features for days while the others wait


@contextmanager
def processes() -> Iterator[Parallel]:
    """The processes that ``torchrun`` started, joined until the end of the block; a lone one without ``torchrun``.

    Raises:
        TrainingError: the processes do not find each other, or there are more of them than accelerators.
    """
    world, local = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_RANK", "0"))
    accelerators = torch.cuda.device_count()
    device = torch.device("cuda", local) if accelerators else torch.device("cpu")
    if accelerators and local >= accelerators:
        raise TrainingError(f"process {local} of this machine, which has {accelerators} GPUs. Start one process a GPU.")
    if world == 1:
        yield ALONE._replace(device=device)
        return
    if accelerators:
        torch.cuda.set_device(device)
    try:
        dist.init_process_group("nccl" if accelerators else "gloo", timeout=PATIENCE)
    except (ValueError, RuntimeError) as error:
        raise TrainingError(f"the {world} processes do not find each other ({error}). Start with torchrun.") from error
    try:
        yield Parallel(dist.get_rank(), world, device)
    finally:
        dist.destroy_process_group()
