"""Models of transformers from a folder or the hub, with every way to fail named. safetensors only, no foreign code."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from omnisila.errors import WeightsError
from omnisila.models.quantised import Bits, quantisation

Model = TypeVar("Model", bound=PreTrainedModel)
_WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"


def load_model(
    model_class: type[Model],
    source: str | Path,
    dtype: torch.dtype,
    device: str | torch.device,
    bits: Bits | None = None,
) -> Model:
    """A model of that class with all its weights, in evaluation mode.

    Args:
        source: a folder with config.json and safetensors, or a hub id.
        bits: hold the language model's weights in 8 or 4 bits.

    Raises:
        WeightsError: nothing there, files missing or cut short, another architecture, no network, or no accelerate.
    """
    if find_spec("accelerate") is None:  # transformers places weights with it
        raise WeightsError(f'{source}: loading needs accelerate, which is missing. pip install "omnisila[llm]".')
    folder = local_folder(source)
    config = read_config(folder or source)
    wanted = cast("Any", model_class.config_class).model_type
    if config.model_type != wanted:
        raise WeightsError(
            f"{source}: a model of type {config.model_type!r}, wanted {wanted!r}. "
            "Give a checkpoint in transformers' own format (its hub id often ends in -hf)."
        )
    if folder:
        _check_files(folder)
    options: dict[str, Any] = {"quantization_config": quantisation(bits, dtype)} if bits else {}
    try:
        model, found = cast("Any", model_class).from_pretrained(
            folder or source,
            dtype=dtype,
            device_map={"": device},
            use_safetensors=True,
            output_loading_info=True,
            **options,
        )
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise _unreachable(source, error) from error
    problems = [f"missing {key}" for key in sorted(found["missing_keys"])]
    problems += [f"left over {key}" for key in sorted(found["unexpected_keys"]) if not _is_buffer(model, key)]
    if problems:
        more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise WeightsError(
            f"{source}: the weights are not those of {model_class.__name__}: {'; '.join(problems[:5])}{more}. "
            "Download the checkpoint again."
        )
    return model.eval()


def load_tokenizer(source: str | Path) -> PreTrainedTokenizerBase:
    """The tokenizer that lies beside a model.

    Raises:
        WeightsError: it is missing or damaged.
    """
    try:
        return AutoTokenizer.from_pretrained(local_folder(source) or source)
    except (OSError, ValueError, KeyError) as error:
        raise WeightsError(
            f"{source}: no tokenizer that can be read ({_first_line(error)}). Copy tokenizer.json and "
            "tokenizer_config.json beside the weights."
        ) from error


def local_folder(source: str | Path) -> Path | None:
    """The folder that a source means; None for a hub id such as ``LanguageBind/Video-LLaVA-7B-hf``.

    Raises:
        WeightsError: a path to nothing.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        return path
    parts = str(source).split("/")
    if isinstance(source, Path) or path.is_file() or len(parts) != 2 or parts[0] in ("", ".", "..", "~"):
        raise WeightsError(
            f"{source}: no such folder. Give one with config.json and safetensors, or a hub id such as owner/name."
        )
    return None


def read_config(source: str | Path) -> Any:
    """A model's configuration; its ``model_type`` names the family.

    Raises:
        WeightsError: it cannot be reached or read.
    """
    try:
        return AutoConfig.from_pretrained(source)
    except (OSError, ValueError, KeyError) as error:
        raise _unreachable(source, error) from error


def _is_buffer(model: PreTrainedModel, key: str) -> bool:
    """Older versions stored tensors, such as positions, that models now make themselves."""
    return key.rpartition(".")[2] in {name.rpartition(".")[2] for name, _ in model.named_buffers()}


def _check_files(folder: Path) -> None:
    """Open every file of the weights: a file cut short is named before minutes of loading."""
    index = folder / _INDEX
    try:
        names = set(json.loads(index.read_text())["weight_map"].values()) if index.exists() else {_WEIGHTS}
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise WeightsError(f"{index}: no index of weights ({_first_line(error)}). Download it again.") from error
    for path in (folder / name for name in sorted(names)):
        try:
            with safe_open(path, "pt"):
                pass
        except FileNotFoundError as error:
            raise WeightsError(f"{path}: missing. Copy the whole folder; pickled .bin files are not read.") from error
        except (OSError, SafetensorError) as error:
            raise WeightsError(f"{path}: damaged or cut short ({_first_line(error)}). Download it again.") from error


def _unreachable(source: str | Path, error: Exception) -> WeightsError:
    if local_folder(source):
        return WeightsError(f"{source}: cannot be loaded ({_first_line(error)}). Copy or download the folder again.")
    return WeightsError(
        f"{source}: cannot be fetched from the hub ({_first_line(error)}). Check the name and the network, or download "
        "it elsewhere and give the folder."
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0].rstrip(".") or type(error).__name__
