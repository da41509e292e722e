"""The embedded weights: fp16 safetensors with source, licence and SHA-256 in ``manifest.json`` and NOTICE.

``tools/convert_weights.py`` makes them from pinned registry packages.
"""

import hashlib
from functools import cache
from pathlib import Path
from typing import TypeVar

import torch
from safetensors.torch import load as load_safetensors
from torch import Tensor, nn

from omnisila.config import Frozen
from omnisila.errors import WeightsError

FOLDER = Path(__file__).parent
RUNS = ("compact", "compact-hawkeye", "compact-reaction")  # run folders that are installed with the package
Module = TypeVar("Module", bound=nn.Module)


class WeightsFile(Frozen):
    """Where one network's weights came from and how close our version is to the original graph.

    ``sources`` maps each file of the package that was read to its SHA-256.
    ``difference`` is the largest absolute difference of outputs between the original graph and ours with the fp16
    weights, on the pictures that the converter names in ``compared_on``.
    """

    file: str
    sha256: str
    registry: str
    package: str
    version: str
    sources: dict[str, str]
    licence: str
    copyright: str
    difference: float
    compared_on: str


class Manifest(Frozen):
    """All embedded weights by network name."""

    networks: dict[str, WeightsFile]


@cache
def manifest() -> Manifest:
    """The content of ``manifest.json``."""
    return Manifest.model_validate_json((FOLDER / "manifest.json").read_bytes())


def load(name: str) -> dict[str, Tensor]:
    """A network's state dict in float32, its file checked against the manifest.

    Raises:
        WeightsError: no such network, or its file is missing or changed.
    """
    record = manifest().networks.get(name)
    if record is None:
        raise WeightsError(f"embedded weights {name!r} do not exist. There are: {', '.join(manifest().networks)}.")
    path = FOLDER / record.file
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror}. Install omnisila again.") from error
    found = hashlib.sha256(content).hexdigest()
    if found != record.sha256:
        raise WeightsError(f"{path}: SHA-256 is {found}, wanted {record.sha256}. Install omnisila again.")
    return {key: value.float() for key, value in load_safetensors(content).items()}


def into(module: Module, name: str) -> Module:
    """Put embedded weights into a network and make it ready for inference."""
    module.load_state_dict(load(name))
    return module.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def verify() -> dict[str, WeightsFile]:
    """Check every file; the records by name when all are right.

    Raises:
        WeightsError: the first file that is missing or changed.
    """
    for name in manifest().networks:
        load(name)
    return dict(manifest().networks)


def digest() -> str:
    """SHA-256 over all weight files' hashes, for the keys of cached features."""
    joined = "".join(f"{name}{record.sha256}" for name, record in sorted(manifest().networks.items()))
    return hashlib.sha256(joined.encode()).hexdigest()
