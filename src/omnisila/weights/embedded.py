"""The embedded weights in networks. Apart from their files, so that names and cards are known without torch."""

from typing import TypeVar

import torch
from safetensors.torch import load as load_safetensors
from torch import Tensor, nn

from omnisila.weights import content

Module = TypeVar("Module", bound=nn.Module)


def load(name: str) -> dict[str, Tensor]:
    """A network's state dict in float32, its file checked against the manifest.

    Raises:
        WeightsError: no such network, or its file is missing or changed.
    """
    return {key: value.float() for key, value in load_safetensors(content(name)).items()}


def into(module: Module, name: str) -> Module:
    """Put embedded weights into a network and make it ready for inference."""
    module.load_state_dict(load(name))
    return module.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
