"""Models of transformers from a folder or the hub, with every way to fail named. safetensors only, no foreign code."""

import json
import logging
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig, AutoTokenizer, BitsAndBytesConfig, PreTrainedModel, PreTrainedTokenizerBase

from omnisila.errors import WeightsError
from omnisila.weights.checkpoint_files import CONFIG, WEIGHTS, first_line, model_folder
from omnisila.weights.loading import check_names

Model = TypeVar("Model", bound=PreTrainedModel)
_SINGLE, _INDEX = "model.safetensors", "model.safetensors.index.json"


def load_pretrained(
    model_class: type[Model],
    source: str | Path,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device | None = None,
    *,
    quantization: BitsAndBytesConfig | None = None,
    whole: bool = True,
    **options: Any,
) -> Model:
    """A model of that class with all its weights, in evaluation mode.

    Args:
        source: a folder with config.json and safetensors, or a hub id.
        device: where weights are put as they are read, which takes accelerate; None puts them on the processor.
        whole: refuse a checkpoint with tensors that the model has no place for; false where only a part is wanted.

    Raises:
        WeightsError: nothing there, files missing or cut short, another architecture, tensors missing or left over, no
            network, or no accelerate.
    """
    if device is not None and find_spec("accelerate") is None:
        raise WeightsError(f'{source}: loading needs accelerate, which is missing. pip install "omnisila[llm]".')
    folder, config = model_folder(source), read_config(source)
    wanted = cast("Any", model_class.config_class).model_type
    if config.model_type != wanted:
        raise WeightsError(
            f"{folder}: a model of type {config.model_type!r}, wanted {wanted!r}. "
            "Give a checkpoint in transformers' own format (its hub id often ends in -hf)."
        )
    _check_library(folder, config)
    _check_files(folder)
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it names a faster kernel; adapters import it too
    if device is not None:
        options["device_map"] = {"": device}
    if quantization is not None:
        options["quantization_config"] = quantization
    try:
        model, found = cast("Any", model_class).from_pretrained(
            folder, dtype=dtype, use_safetensors=True, output_loading_info=True, **options
        )
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise _damage_error(folder, error) from error
    left = [key for key in found["unexpected_keys"] if whole and not _is_buffer(model, key)]
    check_names(
        {"missing": found["missing_keys"], "left over": left},
        f"{folder}: the weights are not those of {model_class.__name__}",
        "Download the checkpoint again.",
    )
    if getattr(config, "quantization_config", None) is not None:  # transformers leaves some of the rest as it is stored
        for parameter in model.parameters():
            if parameter.is_floating_point() and parameter.dtype != dtype:
                parameter.data = parameter.data.to(dtype)
    return model.eval()


def load_tokenizer(source: str | Path, tokenizer_class: Any = AutoTokenizer) -> PreTrainedTokenizerBase:
    """The tokenizer that lies beside a model.

    Args:
        tokenizer_class: of transformers, where the model is none that it knows.

    Raises:
        WeightsError: it is missing or damaged, or needs a library that is missing.
    """
    folder = model_folder(source)
    try:
        return tokenizer_class.from_pretrained(folder)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise WeightsError(
            f"{folder}: no tokenizer that can be read ({first_line(error)}). Copy tokenizer.json and "
            "tokenizer_config.json beside the weights; a tokenizer.model alone needs sentencepiece."
        ) from error


def read_config(source: str | Path) -> Any:
    """A model's configuration; its ``model_type`` names the family.

    Raises:
        WeightsError: it cannot be reached or read, or transformers does not know the family.
    """
    path = model_folder(source) / CONFIG
    if not path.is_file():
        raise WeightsError(f"{path}: missing. Give a folder as save_pretrained writes it.")
    try:
        return AutoConfig.from_pretrained(path.parent)
    except (OSError, ValueError, KeyError) as error:
        raise _damage_error(path, error) from error


def read_settings(path: Path) -> dict[str, Any]:
    """A file of settings that lies beside a model; empty where there is none.

    Raises:
        WeightsError: it is there and holds no settings.
    """
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: no JSON ({first_line(error)}). Download it again.") from error
    if not isinstance(found, dict):
        raise WeightsError(f"{path}: a {type(found).__name__}, wanted an object of settings. Download it again.")
    return found


def _check_library(folder: Path, config: Any) -> None:
    """Whether what unpacks weights that were stored with fewer bits is there."""
    stored: Any = getattr(config, "quantization_config", None) or {}
    library = stored.get("quant_method") if isinstance(stored, dict) else getattr(stored, "quant_method", None)
    name = str(getattr(library, "value", library))
    if library is not None and find_spec(name) is None:
        raise WeightsError(f'{folder}: its weights need {name}, which is missing. pip install "omnisila[quantise]".')


def _is_buffer(model: PreTrainedModel, key: str) -> bool:
    """Older versions stored tensors, such as positions, that models now make themselves."""
    return key.rpartition(".")[2] in {name.rpartition(".")[2] for name, _ in model.named_buffers()}


def _check_files(folder: Path) -> None:
    """Open every file of the weights: a file cut short is named before minutes of loading."""
    index = folder / _INDEX
    try:
        names = set(json.loads(index.read_text())["weight_map"].values()) if index.exists() else {_SINGLE}
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise WeightsError(f"{index}: no index of weights ({first_line(error)}). Download it again.") from error
    for path in (folder / name for name in sorted(names)):
        try:
            with safe_open(path, "pt"):
                pass
        except FileNotFoundError as error:
            raise WeightsError(
                f"{path}: missing. Copy all {WEIGHTS} of the model; pickled .bin files are not read."
            ) from error
        except (OSError, SafetensorError) as error:
            raise WeightsError(f"{path}: damaged or cut short ({first_line(error)}). Download it again.") from error


def _damage_error(path: Path, error: Exception) -> WeightsError:
    return WeightsError(f"{path}: cannot be loaded ({first_line(error)}). Copy or download the folder again.")
