"""Where published weights lie, on this machine or on the hub, and what is in the files."""

import json
import os
from functools import cache
from pathlib import Path

from omnisila import digests
from omnisila.errors import WeightsError

CONFIG, WEIGHTS, PREPARATION = "config.json", "*.safetensors", "preprocessor_config.json"
PICKLES = ("*.bin", "*.pth", "*.pt")
PICKLED = ("valley", "ChatUniVi", "mplug-owl")  # model types of which pickles alone are published; read as tensors only
_FETCHED = ("*.json", WEIGHTS, "*.model", "*.txt", "*.jinja")  # configurations, weights and tokenizers; no pickles


def locate_source(source: str) -> str:
    """A path that is relative and leads nowhere from here, looked for in ``$OMNISILA_MODELS``; else the source itself.

    So that a run's record can name files and folders without saying where on a machine they lie.
    """
    shared = os.environ.get("OMNISILA_MODELS")
    if shared and not Path(source).expanduser().exists() and (Path(shared) / source).exists():
        return str(Path(shared) / source)
    return source


def locate_checkpoint(source: str, where_from: str) -> Path:
    """The file of a checkpoint that no hub has.

    Args:
        where_from: says where it is published.

    Raises:
        WeightsError: it is missing.
    """
    path = Path(locate_source(source)).expanduser()
    if not path.exists():
        shared = os.environ.get("OMNISILA_MODELS")
        also = f"nor in $OMNISILA_MODELS ({shared})" if shared else "and $OMNISILA_MODELS is not set"
        raise WeightsError(
            f"{source}: no such checkpoint, neither here {also}. Download it ({where_from}) and give its path, or put "
            "it into a folder and set OMNISILA_MODELS to that."
        )
    return path


@cache
def model_folder(source: str | Path) -> Path:
    """The folder that a source means: itself, or the hub's snapshot, fetched where it is missing.

    Args:
        source: a folder, or a hub id such as ``owner/name``; a ``Path`` is never a hub id.

    Raises:
        WeightsError: no such folder, or the hub cannot be reached or has no such model.
    """
    check_source(source)
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder
    fetched = fetch(str(source), nested=False)
    if stated_type(fetched) in PICKLED and not any(fetched.glob(WEIGHTS)):
        return fetch(str(source), nested=False, pickles=True)
    return fetched


def check_source(source: str | Path) -> None:
    """Whether a source of a published model can be one; what is on the hub is not asked.

    Raises:
        WeightsError: it is no folder with a configuration, and not written like a hub id.
    """
    folder = Path(source).expanduser()
    parts = str(source).split("/")
    if folder.is_dir() and str(source):
        if not (folder / CONFIG).is_file() and not weight_files(folder):  # a baseline's parts need none above them
            raise WeightsError(f"{folder / CONFIG}: missing. Give a folder as save_pretrained writes it.")
        if (folder / CONFIG).is_file() and stated_type(folder) is None:
            raise _typeless(folder / CONFIG)
    elif isinstance(source, Path) or folder.exists() or len(parts) != 2 or parts[0] in ("", ".", "..", "~"):
        raise WeightsError(
            f"{source or 'no name'}: no such folder. Give one with {CONFIG} and {WEIGHTS}, or a hub id such as "
            "owner/name."
        )


def fetch(hub_id: str, nested: bool, pickles: bool = False) -> Path:
    """The hub's snapshot of a model or a run folder, as far as it is read here: no code.

    Args:
        nested: weights in folders below too, such as a run's adapter; elsewhere they are other forms of the same model.
        pickles: weights in that form too, for models of which there is no other.

    Raises:
        WeightsError: the hub cannot be reached or has no such model.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    ignored = None if nested else [f"*/{WEIGHTS}"]
    try:
        return Path(
            snapshot_download(
                hub_id, allow_patterns=[*_FETCHED, *(PICKLES if pickles else ())], ignore_patterns=ignored
            )
        )
    except (OSError, ValueError, HfHubHTTPError, HFValidationError) as error:
        raise WeightsError(
            f"{hub_id}: cannot be fetched from the hub ({first_line(error)}), and no folder here. Check the name and "
            "the network, or download it elsewhere and give the folder."
        ) from error


def model_type(source: str | Path) -> str:
    """The family that a checkpoint's ``config.json`` names; nothing is loaded for it.

    Raises:
        WeightsError: no such folder, or no configuration that names one.
    """
    path = model_folder(source) / CONFIG
    try:
        return str(json.loads(path.read_bytes())["model_type"])
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: missing. Give a folder as save_pretrained writes it.") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _typeless(path) from error


def _typeless(path: Path) -> WeightsError:
    return WeightsError(
        f"{path}: names no model_type. Give a checkpoint in transformers' own format (its id often ends in -hf)."
    )


def weight_files(folder: Path) -> list[Path]:
    """A model's weights: its safetensors; where it has none, whatever lies there and in the folders of its parts."""
    own = list(folder.glob(WEIGHTS))
    below = (path for pattern in (WEIGHTS, *PICKLES) for path in [*folder.glob(pattern), *folder.glob(f"*/{pattern}")])
    return own or list(below)


def folder_digest(source: str) -> str:
    """SHA-256 over a model's configuration, preparation and weights, wherever they lie.

    Raises:
        WeightsError: nothing there.
    """
    folder = model_folder(source)
    files = sorted([*weight_files(folder), *(folder / name for name in (CONFIG, PREPARATION))])
    hashes = {path.relative_to(folder).as_posix(): file_digest(path) for path in files if path.is_file()}
    return digests.digest(json.dumps(hashes, sort_keys=True))


def file_digest(path: Path) -> str:
    """A file's SHA-256; large ones are read once while they stay unchanged.

    Raises:
        WeightsError: it cannot be read.
    """
    try:
        return _digest(path)
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror}. Give the path of a downloaded checkpoint.") from error


_digest = digests.kept_by_version(None)(digests.file_digest)


def stated_type(folder: Path) -> str | None:
    """The model type that a folder's ``config.json`` names; None where it names none."""
    try:
        return json.loads((folder / CONFIG).read_bytes()).get("model_type")
    except (OSError, ValueError, AttributeError):
        return None


def first_line(error: Exception) -> str:
    """What a library says of a failure, short enough for a message of ours."""
    return str(error).strip().split("\n")[0].rstrip(".") or type(error).__name__
