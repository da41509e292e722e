"""Low-rank adapters (LoRA) on the language model alone, saved as any peft adapter is.

The names of the projections that get one (``q_proj`` ...) also occur in visual towers, so the targets say where they
lie: below ``language_model``.
"""

import json
import re
import tempfile
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn

from omnisila.config import Config
from omnisila.errors import TrainingError, WeightsError, needing
from omnisila.models.sharded import whole
from omnisila.weights.loading import fill

Preset = Literal["paper", "code"]
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
WEIGHTS, SETTINGS = "adapter_model.safetensors", "adapter_config.json"
_NAME = "default"  # peft's own name for a lone adapter
_PREFIX = "base_model.model."  # what peft writes before each key


class LoRAConfig(Config):
    """Size of the adapters; their output is scaled by alpha / rank."""

    rank: int = Field(gt=0)
    alpha: float = Field(gt=0)
    dropout: float = Field(default=0.05, ge=0, lt=1)  # Omni-SILA 4.3
    projections: tuple[str, ...] = PROJECTIONS

    @property
    def targets(self) -> str:
        """Names of what gets an adapter, as a pattern."""
        return rf"(.*\.)?(?:language_model|text_model)\.(.*\.)?({'|'.join(self.projections)})"


PRESETS: dict[Preset, LoRAConfig] = {
    "paper": LoRAConfig(rank=16, alpha=64),  # Omni-SILA 4.3, Hawkeye 4.2: "16, 64, 0.05"
    "code": LoRAConfig(rank=64, alpha=16),  # Hawkeye's released training: the same numbers the other way round
}


def add_lora(model: nn.Module, config: LoRAConfig) -> None:
    """Put adapters on every projection of the language model, freeze all else, and start as the model was.

    Adapters are float32 whatever the model's precision: steps of 2e-5 would be lost in bfloat16.

    Args:
        model: a transformers Video-LLM; not the ICM around it, whose scene side must stay trainable.

    Raises:
        TrainingError: no language model below it, or adapters already there.
    """
    with needing("peft", "LoRA", "llm", TrainingError):
        import peft
    if any(True for _ in _adapters(model)):
        raise TrainingError(f"{type(model).__name__} has adapters already. Load the base model again.")
    if not any(re.fullmatch(config.targets, name) for name, _ in model.named_modules()):
        raise TrainingError(
            f"{type(model).__name__} has no projections below language_model. Give a transformers Video-LLM."
        )
    settings = peft.LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,  # type: ignore[arg-type]  # a fraction does as well
        lora_dropout=config.dropout,
        target_modules=config.targets,
        bias="none",
    )
    model.requires_grad_(False)
    peft.inject_adapter_in_model(settings, model, _NAME)
    for _, parameter in _adapters(model):
        parameter.data = parameter.data.float()


def adapter_parameters(model: nn.Module) -> list[nn.Parameter]:
    """What LoRA trains."""
    return [parameter for _, parameter in _adapters(model)]


def adapter_files(model: nn.Module) -> dict[str, bytes]:
    """A model's adapters as files by name, which peft and transformers load too.

    Where several processes hold the model together, all must ask.

    Raises:
        WeightsError: the model has no adapters.
    """
    state = {_PREFIX + key: whole(tensor).contiguous() for key, tensor in stored_adapters(model).items()}
    if not state:
        raise WeightsError(f"{type(model).__name__} has no adapters to save. Call add_lora first.")
    with tempfile.TemporaryDirectory() as aside:
        cast("Any", model).peft_config[_NAME].save_pretrained(aside)
        settings = (Path(aside) / SETTINGS).read_bytes()
    return {WEIGHTS: save_safetensors(state), SETTINGS: settings}


def load_adapter(model: nn.Module, folder: Path) -> LoRAConfig:
    """Put a saved adapter on a base model.

    Raises:
        WeightsError: files are missing or damaged, or the adapter belongs to another model; the message names keys.
    """
    config, found = read_settings(folder / SETTINGS), _read_weights(folder / WEIGHTS)
    add_lora(model, config)
    fill(
        stored_adapters(model),
        found,
        f"{folder}: the adapter is not of this model",
        "Load it onto the base model it was trained on.",
    )
    return config


def set_gradient_checkpointing(model: nn.Module, enabled: bool) -> None:
    """Hold only each layer's input while training and run the layer again for its gradients: slower, far smaller."""
    switchable = cast("Any", model)
    if enabled:
        switchable.activation_checkpointing_enable({"use_reentrant": False})  # the input need not require gradients
    else:
        switchable.activation_checkpointing_disable()


def _adapters(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return [(name, parameter) for name, parameter in model.named_parameters() if ".lora_" in name]


def stored_adapters(model: nn.Module) -> dict[str, Tensor]:
    """A model's adapters by the names that peft stores them under."""
    return {name.replace(f".{_NAME}.", "."): parameter for name, parameter in _adapters(model)}


def read_settings(path: Path) -> LoRAConfig:
    """Rank, alpha and dropout of a stored adapter, as peft writes them.

    Raises:
        WeightsError: the file is missing or holds no such settings.
    """
    try:
        settings = json.loads(path.read_text())
        stated = re.search(r"\(([\w|]+)\)$", str(settings.get("target_modules")))
        chosen = tuple(stated[1].split("|")) if stated else PROJECTIONS
        sizes = {"rank": settings["r"], "alpha": settings["lora_alpha"], "dropout": settings["lora_dropout"]}
        return LoRAConfig(**sizes, projections=chosen)
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror}. Give a folder that holds a saved adapter.") from error
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise WeightsError(f"{path}: no settings of a LoRA adapter ({error}). Copy the whole folder again.") from error


def _read_weights(path: Path) -> dict[str, Tensor]:
    try:
        return {key.removeprefix(_PREFIX): tensor for key, tensor in load_safetensors(path.read_bytes()).items()}
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror}. Give a folder that holds a saved adapter.") from error
    except SafetensorError as error:
        raise WeightsError(f"{path}: damaged or cut short ({error}). Copy the whole folder again.") from error
