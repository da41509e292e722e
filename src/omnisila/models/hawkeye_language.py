"""The language side of the released Hawkeye: its visual projector and adapters, put on transformers' Video-LLaVA."""

from pathlib import Path
from typing import Any, cast

from torch import Tensor

from omnisila.models.hawkeye_files import CHECKPOINT
from omnisila.models.lora import SETTINGS, add_lora, read_settings, stored_adapters
from omnisila.models.transformers_llm import TransformersVideoLLM
from omnisila.weights.loading import fill, load_into
from omnisila.weights.official import read_state

ADAPTERS = ("adapter_model.safetensors", "adapter_model.bin")
_PEFT = "base_model.model."
_PROJECTOR = {"0": "linear_1", "2": "linear_2"}  # of a two-layer projector; 1 is its activation


def load_language(llm: TransformersVideoLLM, folder: Path) -> TransformersVideoLLM:
    """Put the released language side on a Video-LLaVA; what the folder does not hold stays as it is.

    Args:
        folder: with the authors' checkpoint, and their adapter where they publish one.

    Raises:
        WeightsError: a file cannot be read, or belongs to another model.
    """
    projector = _projector(read_state(folder / CHECKPOINT))
    if projector:
        load_into(cast("Any", llm.model).model.multi_modal_projector, projector, folder / CHECKPOINT)
    found = next((folder / name for name in ADAPTERS if (folder / name).exists()), None)
    if found is not None:
        add_lora(llm.model, read_settings(folder / SETTINGS))
        state = {_in_port(key): tensor for key, tensor in read_state(found).items()}
        fill(
            stored_adapters(llm.model),
            state,
            f"{found}: the adapter is not of this Video-LLM",
            "Give the base model it was made for.",
        )
    return llm


def _projector(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The visual projector's tensors under transformers' names."""
    mark = "mm_projector."
    found: dict[str, Tensor] = {}
    for key, tensor in state.items():
        if mark in key:
            layer, _, kind = key.partition(mark)[2].partition(".")
            found[f"{_PROJECTOR.get(layer, layer)}.{kind}"] = tensor
    return found


def _in_port(key: str) -> str:
    """An adapter's name in transformers' Video-LLaVA, where the layers lie below ``language_model``."""
    return key.removeprefix(_PEFT).replace("model.layers.", "model.language_model.layers.", 1)
