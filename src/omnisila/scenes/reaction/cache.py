"""Reaction features on disk: one safetensors file a clip, found again by the clip's content and the extractor's digest.

Values are kept in half precision. The file's header holds kinds, warnings and a SHA-256 of the tensors: a file that is
damaged, or of another version, is as good as none and its clip is extracted again.
"""

import hashlib
import json
from functools import lru_cache
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from omnisila.errors import OutputError, RecordError
from omnisila.files import write_atomically
from omnisila.media.container import check_file
from omnisila.media.video import sha256
from omnisila.scenes.cache import FeatureCache
from omnisila.scenes.reaction.clip import Clip
from omnisila.scenes.reaction.features import Modality, ReactionFeatures

_FORM = "omnisila reaction features 1"


class ReactionCache:
    """Features by the SHA-256 of the video, of what was given beside it, and of the extractor.

    Args:
        root: folder of the cache, as ``FeatureCache``'s; where it cannot be written a temporary one takes its place
            while this object lives, and ``warning`` says so.
    """

    def __init__(self, root: Path | None = None) -> None:
        self._place = FeatureCache(root)
        self.root = self._place.root / "reaction"
        self.warning = self._place.warning

    def file(self, clip: Clip, extractor_digest: str) -> Path:
        """Where the features of a clip are, or would be.

        Raises:
            MediaError: the video cannot be read.
            RecordError: a table beside it cannot be read.
        """
        video = video_digest(clip.path)
        rest = hashlib.sha256(f"{extractor_digest}|{clip.digest}".encode()).hexdigest()
        return self.root / video[:2] / f"{video}-{rest[:16]}.safetensors"

    def known(self, file: Path) -> ReactionFeatures | None:
        """What the file holds; None where it is missing or damaged."""
        try:
            return load_features(file)
        except RecordError:
            return None

    def keep(self, file: Path, features: ReactionFeatures) -> str | None:
        """Write a clip's features, whole or not at all; why they cannot be written, which ``warning`` tells too."""
        tensors: dict[str, Tensor] = {"times_s": features.times_s.contiguous()}
        for name, modality in features.modalities.items():
            values = modality.values if modality.present else modality.values[:0]  # nothing takes no room
            tensors[f"{name}.values"] = values.half().contiguous()
            tensors[f"{name}.mask"] = modality.mask.contiguous()
        facts = {
            "form": _FORM,
            "modalities": json.dumps(list(features.modalities)),
            "kinds": json.dumps(features.kinds),
            "warnings": json.dumps(features.warnings),
            "sha256": _content_digest(tensors),
        }
        try:
            write_atomically(file, save(tensors, facts))
        except OutputError as error:
            self.warning = self.warning or f"features are not kept: {error}"
            return str(error)
        return None


def video_digest(path: Path) -> str:
    """A video's SHA-256; it is read once while it stays unchanged, however many of its stretches are asked for.

    Raises:
        MediaError: the file cannot be read.
    """
    check_file(path)
    facts = path.stat()
    return _video_digest(path.absolute(), facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=256)
def _video_digest(path: Path, _size: int, _changed_ns: int) -> str:
    return sha256(path)


def load_features(file: Path) -> ReactionFeatures:
    """A clip's features from a file that ``ReactionCache`` wrote.

    Raises:
        RecordError: it is missing, damaged, or no such file.
    """
    try:
        with safe_open(file, "pt") as opened:
            facts = opened.metadata() or {}
            tensors: dict[str, Tensor] = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise RecordError(f"{file}: no features that can be read ({error}). Extract the clip again.") from None
    if facts.get("form") != _FORM:
        raise RecordError(f"{file}: no reaction features of this version. Extract the clip again.")
    if facts.get("sha256") != _content_digest(tensors):
        raise RecordError(f"{file}: damaged, its content is not what was written. Extract the clip again.")
    try:
        names, kinds, warnings = (json.loads(facts[name]) for name in ("modalities", "kinds", "warnings"))
        parts = {name: (tensors[f"{name}.values"].float(), tensors[f"{name}.mask"]) for name in names}
    except (KeyError, ValueError) as error:
        raise RecordError(f"{file}: damaged, its header does not fit ({error}). Extract the clip again.") from None
    modalities = {
        name: Modality(values, mask) if len(values) else Modality.absent(len(mask), values.shape[1])
        for name, (values, mask) in parts.items()
    }
    return ReactionFeatures(modalities, kinds, tensors["times_s"], tuple(warnings))


def _content_digest(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(tensor.view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    return digest.hexdigest()
