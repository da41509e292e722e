"""Features of many clips in several processes of one thread each: clips do not depend on each other."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from omnisila.pool import Pool
from omnisila.scenes.reaction.cache import ReactionCache, load_features
from omnisila.scenes.reaction.clip import Clip
from omnisila.scenes.reaction.config import ReactionFeatureConfig
from omnisila.scenes.reaction.extracting import Outcome, extract


def extract_apart(
    clips: Sequence[Clip], config: ReactionFeatureConfig, cache_root: Path, workers: int
) -> Iterator[Outcome]:
    """As ``extract``, in their order.

    Args:
        clips: which.
        config: built in each process.
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

    def one(clip: Clip) -> Outcome:
        (outcome,) = extract([clip], extractor, cache)
        return outcome._replace(features=None)  # features are read from their file: they are large

    return one
