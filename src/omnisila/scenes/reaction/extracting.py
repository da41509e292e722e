"""Features of many clips, kept on disk: a bad clip never stops the rest, a finished one is not done again.

Values are kept in half precision, one file a clip; its header holds kinds and warnings.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Literal, NamedTuple

from torch import Tensor

from omnisila.digests import digest
from omnisila.errors import OmnisilaError, RecordError
from omnisila.pool import Pool
from omnisila.scenes.reaction.clip import Clip, Modality, ReactionFeatures
from omnisila.scenes.reaction.config import ReactionFeatureConfig
from omnisila.scenes.reaction.extractor import ReactionFeatureExtractor
from omnisila.scenes.store import Store, entry, pack, unpack, video_digest

_FORM = "omnisila reaction features 1"
_NUMBER = re.compile(r"\d+(\.\d+)?")


class ReactionCache(Store):
    """Features by the SHA-256 of the video, of what was given beside it, and of the extractor."""

    def file(self, clip: Clip, extractor_digest: str) -> Path:
        """Where the features of a clip are, or would be.

        Raises:
            MediaError: the video cannot be read.
            RecordError: a table beside it cannot be read.
        """
        path = entry(self.root / "reaction", video_digest(clip.path), digest(extractor_digest, clip.digest))
        return path.with_name(f"{path.name}.safetensors")

    def load(self, file: Path) -> ReactionFeatures | None:
        """What the file holds; None where it is missing or damaged."""
        try:
            return load_features(file)
        except RecordError:
            return None

    def save(self, file: Path, features: ReactionFeatures) -> str | None:
        """Write a clip's features; why they cannot be written, which ``warning`` says too."""
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
        }
        return self.keep(file, pack(tensors, facts))


def load_features(file: Path) -> ReactionFeatures:
    """A clip's features from a file that ``ReactionCache`` wrote.

    Raises:
        RecordError: it is missing, damaged, or no such file.
    """
    tensors, facts = unpack(file)
    if facts.get("form") != _FORM:
        raise RecordError(f"{file}: no reaction features of this version. Extract the clip again.")
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


class Outcome(NamedTuple):
    """How one clip ended; ``features`` are there unless it failed, ``file`` where the cache keeps them.

    ``reason`` says why one is missing.
    """

    clip: Clip
    state: Literal["extracted", "known", "failed"]
    file: Path | None = None
    features: ReactionFeatures | None = None
    reason: str | None = None


class Tally(NamedTuple):
    """How a run ended.

    ``failed`` are paths with reasons; ``missing`` counts clips by modality that no frame has; ``warned`` counts clips
    by warning, whatever the numbers in it.
    """

    extracted: int
    known: int
    failed: tuple[tuple[str, str], ...]
    missing: dict[str, int]
    warned: dict[str, int]


def extract(
    clips: Iterable[Clip | str | PathLike[str]], extractor: ReactionFeatureExtractor, cache: ReactionCache
) -> Iterator[Outcome]:
    """One outcome a clip, in their order; no error of a single clip leaves this.

    What is in the cache is read, not made again: a stopped run resumes.
    """
    for given in clips:
        clip = extractor.accept(Clip.of(given))
        try:
            yield extract_clip(clip, extractor, cache)
        except OmnisilaError as error:
            yield Outcome(clip, "failed", reason=str(error))
        except Exception as error:  # a fault of ours, or of a library, in one clip must not cost the others
            reason = f"{clip.path}: {type(error).__name__}: {error}. This is a fault of omnisila; please report it."
            yield Outcome(clip, "failed", reason=reason)


def tally(outcomes: Iterable[Outcome]) -> Tally:
    """The count of a run; features are not kept."""
    states: Counter[str] = Counter()
    missing: Counter[str] = Counter()
    warned: Counter[str] = Counter()
    failed: list[tuple[str, str]] = []
    for outcome in outcomes:
        if outcome.features is None or outcome.file is None:
            failed.append((str(outcome.clip.path), outcome.reason or ""))
            continue
        states[outcome.state] += 1
        missing.update(outcome.features.missing)
        warned.update({_NUMBER.sub("#", warning) for warning in outcome.features.warnings})
    return Tally(states["extracted"], states["known"], tuple(failed), dict(missing), dict(warned))


def extract_clip(clip: Clip, extractor: ReactionFeatureExtractor, cache: ReactionCache) -> Outcome:
    """One clip that the extractor has accepted, from the cache where it is there.

    Raises:
        MediaError: it cannot be read.
        RecordError: a table beside it cannot be read.
        InputError: another number of descriptions than of frames.
    """
    file = cache.file(clip, extractor.digest)
    known = cache.load(file)
    if known is not None:
        return Outcome(clip, "known", file, known)
    features = extractor.features(clip)
    reason = cache.save(file, features)
    return Outcome(clip, "extracted", file if reason is None else None, features, reason)


def extract_apart(
    clips: Sequence[Clip], config: ReactionFeatureConfig, cache_root: Path, workers: int
) -> Iterator[Outcome]:
    """As ``extract``, in processes of one thread each; in their order.

    Args:
        cache_root: of ``ReactionCache``.
        workers: processes; each holds all networks.

    Raises:
        OmnisilaError: a process was killed from outside; what is done is in the cache.
        RecordError: features were damaged as soon as they were written.
    """
    early: dict[int, Outcome] = {}
    following = 0
    with Pool(_worker, (config, cache_root), workers, name=lambda clip: str(clip.path)) as pool:
        for number, finished in pool.results(clips):
            early[number] = finished
            while (outcome := early.pop(following, None)) is not None:
                following += 1
                yield outcome if outcome.file is None else outcome._replace(features=load_features(outcome.file))


def _worker(config: ReactionFeatureConfig, cache_root: Path) -> Callable[[Clip], Outcome]:
    extractor, cache = config.build(), ReactionCache(cache_root)

    def extract_one(clip: Clip) -> Outcome:
        (outcome,) = extract([clip], extractor, cache)
        return outcome._replace(features=None)  # features are read from their file: they are large

    return extract_one
