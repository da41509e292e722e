"""Features of many clips in several processes of one thread each: clips do not depend on each other."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

import torch

from omnisila.errors import OmnisilaError
from omnisila.scenes.reaction.cache import ReactionCache, load_features
from omnisila.scenes.reaction.clip import Clip
from omnisila.scenes.reaction.config import ReactionFeatureConfig
from omnisila.scenes.reaction.extracting import Outcome, extract
from omnisila.scenes.reaction.extractor import ReactionFeatureExtractor

_worker: tuple[ReactionFeatureExtractor, ReactionCache] | None = None


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
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _start_worker, (config, cache_root))
    try:
        for outcome in pool.map(_work, clips):
            yield outcome if outcome.file is None else outcome._replace(features=load_features(outcome.file))
    except BrokenProcessPool as error:
        raise OmnisilaError(
            f"one of {workers} processes was killed, as happens when memory runs out. Run again with fewer; finished "
            "clips are kept."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker(config: ReactionFeatureConfig, cache_root: Path) -> None:
    global _worker
    torch.set_num_threads(1)
    _worker = config.build(), ReactionCache(cache_root)


def _work(clip: Clip) -> Outcome:
    assert _worker is not None
    (outcome,) = extract([clip], *_worker)
    return outcome._replace(features=None)  # tensors would keep a shared file open each
