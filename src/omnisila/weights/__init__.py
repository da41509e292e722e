"""The embedded weights: fp16 safetensors with source, licence and SHA-256 in ``manifest.json`` and NOTICE.

``tools/convert_weights.py`` makes them from pinned registry packages.
"""

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from omnisila import digests
from omnisila.config import Frozen
from omnisila.errors import WeightsError, unknown

FOLDER = Path(__file__).parent
RUNS = ("compact", "compact-hawkeye", "compact-reaction")  # run folders that are installed with the package


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
    return Manifest.model_validate_json((FOLDER / "manifest.json").read_bytes())


def content(name: str) -> bytes:
    """A network's file, checked against the manifest.

    Raises:
        WeightsError: no such network, or its file is missing or changed.
    """
    record = manifest().networks.get(name)
    if record is None:
        raise WeightsError(unknown("embedded network", name, manifest().networks))
    path = FOLDER / record.file
    try:
        found = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror}. Install omnisila again.") from error
    came = digests.digest(found)
    if came != record.sha256:
        raise WeightsError(f"{path}: SHA-256 is {came}, wanted {record.sha256}. Install omnisila again.")
    return found


def verify() -> dict[str, WeightsFile]:
    """Check every file; the records by name when all are right.

    Raises:
        WeightsError: the first file that is missing or changed.
    """
    for name in manifest().networks:
        content(name)
    return dict(manifest().networks)


def digest(names: Iterable[str]) -> str:
    """SHA-256 over the hashes of these networks' files, for the keys of cached features."""
    known = manifest().networks
    return digests.digest("".join(f"{name}{known[name].sha256}" for name in sorted(names)))
