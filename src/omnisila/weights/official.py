"""Checkpoints that other people published: read without running their code, as tensors by name.

A file is known by its first bytes, not by its name. Pickles are read with torch's weights-only reader, which builds
tensors and plain containers and refuses everything else; ``convert`` turns one into safetensors once and for all.
"""

import argparse
import json
import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from omnisila.digests import digest, file_digest
from omnisila.errors import WeightsError
from omnisila.files import write_atomically
from omnisila.weights.loading import list_some

WRAPPERS = ("state_dict", "model_state_dict", "model", "module")  # keys under which training scripts put the weights
PREFIXES = ("module.", "_orig_mod.")  # what DataParallel and torch.compile put before every key

_WANTED = "Wanted the weights: safetensors, or a .pth, .pt, .bin or .pkl of tensors."
_AGAIN = "Download it again and compare its size with the published one."
_CODE = re.compile(r"GLOBAL ([\w.]+)")  # how torch's reader names what a pickle wants to call


def read_state(path: Path) -> dict[str, Tensor]:
    """All tensors of a checkpoint by name, on the CPU, out of the wrappers that training scripts put around them.

    ``path`` is a file, an ``*.index.json`` that names shards, or a folder with either. Tensors of large files may lie
    in the file until they are read, so the file must stay while they are in use.

    Raises:
        WeightsError: nothing there, or it is empty, cut short, a saved web page, a git-lfs pointer, a pickle that
            needs code, or without tensors.
    """
    if path.is_dir():
        path = _in_folder(path)
    if path.name.endswith(".index.json"):
        return _read_shards(path)
    head = _head(path)
    if head[8:9] == b"{":  # safetensors: the length of the header, then the header
        return _read_safetensors(path)
    if head[:4] == b"PK\x03\x04" or head[:1] == b"\x80":
        return _unwrap(_read_pickle(path, zipped=head[:1] == b"P"), path)
    raise WeightsError(f"{path}: {_what_came(head)}. {_WANTED}")


def without_prefix(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The state without a prefix that stands before every key; unchanged where one key lacks it."""
    if not state or not all(key.startswith(prefix) for key in state):
        return dict(state)
    return {key.removeprefix(prefix): tensor for key, tensor in state.items()}


def convert(path: Path, out: Path | None = None) -> Path:
    """Write a checkpoint as one safetensors file, once: a file already made from the same bytes is left as it is.

    The file's metadata hold the source's name and SHA-256. The tensors must fit into memory twice.

    Args:
        out: the file to write; by default beside the source, with the suffix ``.safetensors``.

    Raises:
        WeightsError: the source cannot be read, or ``out`` is the source itself.
        OutputError: ``out`` cannot be written; what stood there is unchanged.
    """
    out = path.with_name(f"{path.stem}.safetensors") if out is None else out
    if out.resolve() == path.resolve():
        raise WeightsError(f"{path}: would be written over itself. Name another file for the converted weights.")
    state = read_state(path)
    source_digest = _source_digest(path)
    if _converted_from(out) == source_digest:
        return out
    # safetensors wants every tensor whole and in memory of its own; published states share and transpose some
    tensors = {key: tensor.clone(memory_format=torch.contiguous_format) for key, tensor in state.items()}
    write_atomically(out, save(tensors, {"format": "pt", "source": path.name, "source_sha256": source_digest}))
    return out


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            head = file.read(1024)
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror}. {_WANTED} Give the path of a downloaded checkpoint.") from error
    if not head:
        raise WeightsError(f"{path}: the file is empty (0 bytes). {_WANTED} {_AGAIN}")
    return head


def _what_came(head: bytes) -> str:
    """What a file that holds no weights is, with what to do about it, without the full stop."""
    if head.startswith(b"version https://git-lfs"):
        size = re.search(rb"size (\d+)", head)
        stands_for = f" for {int(size[1]):,} bytes" if size else ""
        return f"a git-lfs pointer{stands_for}, not the file itself; run git lfs pull where it was cloned"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text[:1] == b"<":
        return "a web page, not weights: the download ended at a login, quota or error page; download it in a browser"
    if all(32 <= byte < 127 or byte in b"\t\r\n" for byte in text[:60]):
        return f"a text that begins {text[:60].decode(errors='replace')!r}"
    return f"begins with the bytes {head[:8].hex(' ')}, which no known kind of checkpoint does, or it is damaged"


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        state = load_file(path)
    except (safetensors.SafetensorError, OSError, ValueError, KeyError) as error:
        raise WeightsError(
            f"{path}: safetensors cut short or damaged at {path.stat().st_size:,} bytes ({error}). {_AGAIN}"
        ) from error
    if not state:
        raise WeightsError(f"{path}: holds no tensors. {_WANTED}")
    return state


def _read_pickle(path: Path, zipped: bool) -> Any:
    # torch reads a path that says .safetensors with another reader, whatever lies there
    misnamed = path.suffix == ".safetensors"
    try:
        # a namespace is a plain container: DETR and its kin keep their training arguments in one beside the weights
        with path.open("rb") as file, torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about unusual pickle protocols; failures raise
            mapped = zipped and not misnamed
            return torch.load(path if mapped else file, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        name = _CODE.search(str(error))
        if name is None:
            raise _damage_error(path, error) from error
        raise WeightsError(
            f"{path}: a pickle that runs code to be read ({name[1]}), which could do anything; it is not run. "
            f"{_WANTED} Ask its author for safetensors, or save only its state_dict where you trust it."
        ) from error
    except Exception as error:  # a damaged pickle makes its reader fail in any way
        raise _damage_error(path, error) from error


def _damage_error(path: Path, error: Exception) -> WeightsError:
    inner = str(error).rpartition("WeightsUnpickler error:")[2].strip()
    said = inner.partition("\n")[0].partition(". ")[0][:160]
    return WeightsError(
        f"{path}: cut short or damaged at {path.stat().st_size:,} bytes, or not written by torch.save "
        f"({type(error).__name__}: {said}). {_AGAIN}"
    )


def _unwrap(content: Any, path: Path) -> dict[str, Tensor]:
    """The mapping of names to tensors inside what a training script saved."""
    while isinstance(content, Mapping):  # a figure of merit may lie beside the weights, as a tensor too
        wrapper = next((name for name in WRAPPERS if isinstance(content.get(name), Mapping)), None)
        if wrapper is None:
            break
        content = content[wrapper]
    state = {
        str(key): value
        for key, value in (content.items() if isinstance(content, Mapping) else ())
        if isinstance(value, Tensor)
    }
    if not state:
        held = (
            f"the keys {list_some(list(map(str, content)))}" if isinstance(content, Mapping) else type(content).__name__
        )
        raise WeightsError(
            f"{path}: holds no weights but {held}. Wanted tensors by name, or such a mapping under one of "
            f"{', '.join(WRAPPERS)}."
        )
    while (prefix := next((p for p in PREFIXES if all(key.startswith(p) for key in state)), None)) is not None:
        state = without_prefix(state, prefix)
    return state


def _in_folder(folder: Path) -> Path:
    """The checkpoint of a folder: an index of shards before a single file, safetensors before pickles."""
    for pattern in ("*.safetensors.index.json", "*.safetensors", "*.bin.index.json", "*.bin", "*.pth", "*.pt", "*.pkl"):
        found = sorted(folder.glob(pattern))
        if len(found) > 1:
            raise WeightsError(
                f"{folder}: {len(found)} checkpoints ({list_some([path.name for path in found])}) and no index.json "
                "that joins them. Give the path of one file, or put the index beside them."
            )
        if found:
            return found[0]
    raise WeightsError(f"{folder}: no checkpoint in this folder. {_WANTED}")


def _read_shards(index: Path) -> dict[str, Tensor]:
    places = _weight_map(index)
    names = sorted(set(places.values()))
    absent = [name for name in names if not (index.parent / name).is_file()]
    if absent:
        raise WeightsError(
            f"{index}: {len(absent)} of its {len(names)} files are not beside it ({list_some(absent)}). Download them."
        )
    state: dict[str, Tensor] = {}
    for name in names:
        held = read_state(index.parent / name)
        lost = sorted(key for key, place in places.items() if place == name and key not in held)
        if lost:
            raise WeightsError(
                f"{index.parent / name}: lacks {len(lost)} tensors that {index.name} promises ({list_some(lost)}). "
                "Download files and index of one version."
            )
        state |= held
    return state


def _weight_map(index: Path) -> dict[str, str]:
    """Tensor -> file of an index, whose files must lie beside it."""
    try:
        places = json.loads(index.read_bytes())["weight_map"]
    except OSError as error:
        raise WeightsError(f"{index}: {error.strerror}. {_WANTED}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{index}: no index of shards. Wanted JSON with a weight_map. {_AGAIN}") from error
    if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
        raise WeightsError(f"{index}: weight_map is not tensor -> file. {_AGAIN}")
    outside = sorted({name for name in places.values() if Path(name).name != name})
    if outside:
        raise WeightsError(f"{index}: names files elsewhere ({list_some(outside)}). Wanted names of files beside it.")
    return places


def _source_digest(path: Path) -> str:
    """SHA-256 of the file; of a folder or an index, that of its files' hashes in the order of their names."""
    if path.is_dir():
        path = _in_folder(path)
    if not path.name.endswith(".index.json"):
        return file_digest(path)
    hashes = [file_digest(path.parent / name) for name in sorted(set(_weight_map(path).values()))]
    return digest("".join(hashes))


def _converted_from(out: Path) -> str | None:
    """The source's SHA-256 that a converted file was made from; None where there is no whole one."""
    try:
        with safetensors.safe_open(out, "pt") as file:
            return (file.metadata() or {}).get("source_sha256")
    except (OSError, safetensors.SafetensorError):
        return None
