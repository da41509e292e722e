"""One store for everything that is extracted: safetensors files by the content they describe and by what made them.

A file is whole or absent, and holds the digest of its own tensors: a damaged one is as good as none, and what it held
is extracted again. What the disk does not take costs time later, never the video.
"""

import os
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from omnisila.digests import content_digest, digest
from omnisila.errors import OutputError, RecordError
from omnisila.files import Write, cache_root, check_writable, write_atomically
from omnisila.media.container import check_file

_DIGEST = "sha256"


class Stored(NamedTuple):
    """The content of a file: tensors by name, and texts about them."""

    tensors: dict[str, Tensor]
    facts: dict[str, str]


class Store:
    """A folder of features.

    Args:
        root: made when missing; by default ``cache_root()``. Where it cannot be written, a temporary folder takes its
            place for as long as this object lives, and ``warning`` says so; it also says when the disk fills up later.
        write: writes a file for a process that may write none itself; it raises ``OutputError`` where it cannot.
    """

    def __init__(self, root: Path | None = None, write: Write = write_atomically) -> None:
        self.warning: str | None = None
        self.write = write
        try:
            self.root = root or cache_root()
            if write is write_atomically:
                check_writable(self.root)
        except OutputError as error:
            self.warning = f"features are not kept: {error}"
            try:
                self.root = Path(tempfile.mkdtemp(prefix="omnisila-"))
            except OSError:
                self.root = Path(os.devnull)  # no disk takes anything, so all stays in memory
            weakref.finalize(self, shutil.rmtree, self.root, ignore_errors=True)

    def keep(self, file: Path, content: bytes | str) -> str | None:
        """Write a file, whole or not at all; why the disk did not take it, which ``warning`` says too."""
        try:
            self.write(file, content)
        except OutputError as error:
            self.warning = self.warning or f"features are not kept: {error}"
            return str(error)
        return None


def entry(folder: Path, content_digest: str, maker_digest: str) -> Path:
    """Where features of a content by a maker are; a folder, or a file once it has a suffix."""
    return folder / content_digest[:2] / f"{content_digest}-{maker_digest[:16]}"


def pack(tensors: dict[str, Tensor], facts: dict[str, str]) -> bytes:
    """A safetensors file with the digest of its tensors."""
    return save(tensors, {**facts, _DIGEST: _digest(tensors)})


def unpack(file: Path) -> Stored:
    """What ``pack`` made.

    Raises:
        RecordError: the file is missing or damaged.
    """
    try:
        with safe_open(file, "pt") as opened:
            facts = opened.metadata() or {}
            tensors: dict[str, Tensor] = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise RecordError(f"{file}: no features that can be read ({error}). Extract again.") from None
    if facts.get(_DIGEST) != _digest(tensors):
        raise RecordError(f"{file}: damaged, its content is not what was written. Extract again.")
    return Stored(tensors, facts)


def video_digest(path: Path) -> str:
    """A video's SHA-256; it is read once while it stays unchanged, however often it is asked for.

    Raises:
        MediaError: the file cannot be read.
    """
    check_file(path)
    return content_digest(path.absolute())


def _digest(tensors: dict[str, Tensor]) -> str:
    parts = []
    for name, tensor in sorted(tensors.items()):
        parts += [f"{name}{tuple(tensor.shape)}".encode(), tensor.contiguous().view(torch.uint8).numpy().tobytes()]
    return digest(b"".join(parts))
