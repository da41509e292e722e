"""Picture networks of transformers from a folder or the hub: where they lie, what they are, and loading them whole."""

import hashlib
import json
import os
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, PreTrainedModel

from omnisila.errors import WeightsError

Model = TypeVar("Model", bound=PreTrainedModel)
CONFIG, WEIGHTS = "config.json", "*.safetensors"


def located(source: str) -> str:
    """A path that is relative and leads nowhere from here, looked for in ``$OMNISILA_MODELS``; else the source itself.

    So that a run's record can name files and folders without saying where on a machine they lie.
    """
    shared = os.environ.get("OMNISILA_MODELS")
    if shared and not Path(source).expanduser().exists() and (Path(shared) / source).exists():
        return str(Path(shared) / source)
    return source


def checkpoint(source: str, where_from: str) -> Path:
    """The file of a checkpoint that no hub has.

    Args:
        where_from: says where it is published.

    Raises:
        WeightsError: it is not there.
    """
    path = Path(located(source)).expanduser()
    if not path.exists():
        shared = os.environ.get("OMNISILA_MODELS")
        also = f"nor in $OMNISILA_MODELS ({shared})" if shared else "and $OMNISILA_MODELS is not set"
        raise WeightsError(
            f"{source}: no such checkpoint, neither here {also}. Download it ({where_from}) and give its path, or put "
            "it into a folder and set OMNISILA_MODELS to that."
        )
    return path


@cache
def model_folder(source: str) -> Path:
    """The folder that a source means: itself, or the hub's snapshot, fetched where it is not there yet.

    Raises:
        WeightsError: no such folder, or the hub cannot be reached or has no such model.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder
    owner, _, name = source.partition("/")
    if not (owner and name) or owner in (".", "..", "~") or "/" in name or folder.exists():
        raise WeightsError(
            f"{source}: no such folder. Give one with {CONFIG} and {WEIGHTS}, or a hub id, facebook/sam-vit-base say."
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        return Path(snapshot_download(source, allow_patterns=["*.json", WEIGHTS]))
    except (OSError, ValueError, HfHubHTTPError, HFValidationError) as error:
        raise WeightsError(
            f"{source}: neither a folder here nor to be had from the hub ({_first_line(error)}). Check the name and "
            "the network, or download it elsewhere and give the folder."
        ) from error


def load_published(model_class: type[Model], source: str, model_type: str | None = None, **options: Any) -> Model:
    """A frozen model with all its weights in float32.

    Args:
        source: a folder or a hub id.
        model_type: what ``config.json`` must name; None takes any that the class can be.
        options: for the model's construction.

    Raises:
        WeightsError: nothing there, files missing or damaged, another architecture, tensors missing or left over.
    """
    folder = model_folder(source)
    found = published_config(source).model_type
    if model_type is not None and found != model_type:
        raise WeightsError(
            f"{folder}: a model of type {found!r}, wanted {model_type!r}. Give the folder of such a one."
        )
    if not any(folder.glob(WEIGHTS)):
        raise WeightsError(f"{folder}: no {WEIGHTS}. Copy the weights into it; pickled .bin files are not read.")
    try:
        loaded: Any = model_class.from_pretrained(
            folder, use_safetensors=True, output_loading_info=True, dtype=torch.float32, **options
        )
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise WeightsError(f"{folder}: cannot be loaded ({_first_line(error)}). Download the folder again.") from error
    model, report = loaded
    if missing := sorted(report["missing_keys"]):
        named = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        raise WeightsError(f"{folder}: its weights lack {named} of {model_class.__name__}. Download the folder again.")
    return model.eval().requires_grad_(False)


def published_config(source: str) -> Any:
    """The configuration that lies beside a model's weights.

    Raises:
        WeightsError: there is none, or transformers does not know it.
    """
    folder = model_folder(source)
    try:
        if not (folder / CONFIG).is_file():
            raise WeightsError(f"{folder / CONFIG}: missing. Give a folder as save_pretrained writes it.")
        return AutoConfig.from_pretrained(folder)
    except (OSError, ValueError, KeyError) as error:
        raise WeightsError(f"{folder / CONFIG}: {_first_line(error)}. Download the folder again.") from error


def published_digest(source: str) -> str:
    """SHA-256 over a model's configuration, preparation and weights, wherever they lie.

    Raises:
        WeightsError: nothing there.
    """
    folder = model_folder(source)
    files = sorted([*folder.glob(WEIGHTS), *(folder / name for name in (CONFIG, "preprocessor_config.json"))])
    hashes = {path.name: file_digest(path) for path in files if path.is_file()}
    return hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """A file's SHA-256; large ones are read once while they stay unchanged.

    Raises:
        WeightsError: it cannot be read.
    """
    try:
        facts = path.stat()
        return _digest(path, facts.st_size, facts.st_mtime_ns)
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror}. Give the path of a downloaded checkpoint.") from error


@cache
def _digest(path: Path, _size: int, _changed_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0].rstrip(".") or type(error).__name__
