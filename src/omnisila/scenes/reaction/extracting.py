"""Features of many clips: a bad one never stops the rest, a finished one is not done again, none is lost silently."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from os import PathLike
from pathlib import Path
from typing import Literal, NamedTuple

from omnisila.errors import OmnisilaError
from omnisila.scenes.reaction.cache import ReactionCache
from omnisila.scenes.reaction.clip import Clip
from omnisila.scenes.reaction.extractor import ReactionFeatureExtractor
from omnisila.scenes.reaction.features import ReactionFeatures

_NUMBER = re.compile(r"\d+(\.\d+)?")


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

    A run that was stopped goes on where it stood: what is in the cache is read, not made again.
    """
    for given in clips:
        clip = extractor.accepted(Clip.of(given))
        try:
            yield extracted(clip, extractor, cache)
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


def extracted(clip: Clip, extractor: ReactionFeatureExtractor, cache: ReactionCache) -> Outcome:
    """One clip that the extractor has accepted, from the cache where it is there.

    Raises:
        MediaError: it cannot be read.
        RecordError: a table beside it cannot be read.
        InputError: another number of descriptions than of frames.
    """
    file = cache.file(clip, extractor.digest)
    known = cache.known(file)
    if known is not None:
        return Outcome(clip, "known", file, known)
    features = extractor.features(clip)
    reason = cache.keep(file, features)
    return Outcome(clip, "extracted", file if reason is None else None, features, reason)
