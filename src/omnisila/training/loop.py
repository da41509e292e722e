"""The training loop: steps that depend on their number alone, so that a killed run resumes to the same numbers.

A step's batch and all its randomness come from (seed, step); the state on disk is written whole or not at all. Whether
a run was killed at any moment therefore cannot be seen in its result.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import safetensors
import torch
from jaxtyping import Float
from safetensors.torch import save
from torch import Tensor, nn

from omnisila.config import Config
from omnisila.digests import digest
from omnisila.errors import TrainingError
from omnisila.files import write_atomically
from omnisila.training.optim import OptimConfig, Optimisation
from omnisila.training.parallel import ALONE, Parallel

STATE_FILE = "state.safetensors"


class LoopConfig(Config):
    """How long and how often; ``save_every`` 0 keeps no state."""

    steps: int
    seed: int = 0
    save_every: int = 50
    bfloat16: bool = False  # matrix products; faster where the processor has them
    optim: OptimConfig = OptimConfig()


class StepReport(NamedTuple):
    """What one step did, for progress and logs."""

    step: int
    steps: int
    loss: float
    gradient_norm: float


# The losses of the parts of one step's batch, whose sum is the step's, given the step's number and a generator seeded
# for that step, as torch's own is. A part's gradients are added before the next part is asked for.
StepLosses = Callable[[int, torch.Generator], Iterable[Float[Tensor, ""]]]


def train(
    module: nn.Module,
    step_losses: StepLosses,
    config: LoopConfig,
    state_folder: Path | None = None,
    on_step: Callable[[StepReport], None] | None = None,
    parallel: Parallel = ALONE,
    material: str = "",
) -> None:
    """Train a module in place; it ends with its averaged weights, in evaluation mode.

    Args:
        module: what is trained; its parameters with gradients.
        state_folder: where the state for resuming is kept; None keeps none. A state of the same configuration and
            module found there is resumed.
        on_step: told after each step.
        parallel: the processes that train this module together, each with its own part of a step's batch.
        material: what else decides the result (data, recipe), in any words; a state of other material is refused.

    Raises:
        TrainingError: the loss or its gradient is not finite, memory runs out, or the state found is of another run.
    """
    optimisation = config.optim.build(module, config.steps)
    shapes = [(name, list(p.shape)) for name, p in module.named_parameters() if p.requires_grad]
    identity = digest(json.dumps([config.model_dump(mode="json"), shapes, *([material] if material else [])]))
    first = _resume(state_folder, optimisation, identity) if state_folder is not None else 0
    module.train()
    random = torch.Generator()
    for step in range(first, config.steps):
        # a digest: neighbouring seeds and steps share no random numbers
        seed = int.from_bytes(hashlib.sha256(f"{config.seed}/{step}".encode()).digest()[:6], "big")
        random.manual_seed(seed)
        with torch.random.fork_rng(devices=[]), _memory_named(step, config):
            torch.manual_seed(seed + 1 + parallel.rank)
            loss = sum(_descend(step_losses(step, random), parallel.device, config.bfloat16))
            norm = optimisation.step(step)
        report = StepReport(step, config.steps, parallel.total(loss) / parallel.world, norm)
        _check_finite(report, config)
        if on_step is not None:
            on_step(report)
        done = step + 1
        if state_folder is not None and config.save_every and (done % config.save_every == 0 or done == config.steps):
            _save(state_folder, optimisation, identity, done, parallel)
    optimisation.use_average()
    module.eval()


def _descend(losses: Iterable[Float[Tensor, ""]], device: torch.device, bfloat16: bool) -> Iterator[float]:
    """The values of the losses, after the gradients of each."""
    parts = iter(losses)
    while True:
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            loss = next(parts, None)  # the forward pass runs in here, as parts are made when asked for
        if loss is None:
            return
        loss.backward()
        yield loss.item()


@contextmanager
def _memory_named(step: int, config: LoopConfig) -> Iterator[None]:
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        raise TrainingError(
            f"step {step + 1} of {config.steps}: the GPU's memory is full ({str(error).splitlines()[0]}). Make the "
            "parts of a batch smaller, turn gradient checkpointing on, or take more GPUs with torchrun."
        ) from error


def _check_finite(report: StepReport, config: LoopConfig) -> None:
    if not (torch.tensor([report.loss, report.gradient_norm]).isfinite().all()):
        raise TrainingError(
            f"step {report.step + 1} of {report.steps}: the loss is {report.loss} and its gradient's norm "
            f"{report.gradient_norm}. Lower learning_rate (now {config.optim.learning_rate:g}) or raise warmup_frac "
            f"(now {config.optim.warmup_frac:g}); if it happens at step 1, look for broken features."
        )


def _save(folder: Path, optimisation: Optimisation, identity: str, done: int, parallel: Parallel) -> None:
    tensors = {name: value.contiguous() for name, value in optimisation.state()}
    if parallel.leads:
        metadata = {"identity": identity, "steps_done": str(done)}
        write_atomically(folder / STATE_FILE, save(tensors, metadata))
    parallel.wait()


def _resume(folder: Path, optimisation: Optimisation, identity: str) -> int:
    """Restore what stands in the folder; how many steps are done already."""
    path = folder / STATE_FILE
    if not path.exists():
        return 0
    try:
        with safetensors.safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("identity") != identity:
                raise TrainingError(
                    f"{path}: belongs to a run with other settings, data or another model. "
                    "Give another run folder, or delete this state to start anew."
                )
            optimisation.restore((name, file.get_tensor(name)) for name in file.keys())  # noqa: SIM118
            return int(metadata["steps_done"])
    except (safetensors.SafetensorError, KeyError, RuntimeError, ValueError, OSError) as error:
        raise TrainingError(f"{path}: cannot be resumed from ({error}). Delete it to start this stage anew.") from error
