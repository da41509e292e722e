"""Clips in a process of their own: the same features, bad files named, in order, and a process that is killed."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from omnisila.errors import OmnisilaError
from omnisila.scenes.reaction.clip import Clip
from omnisila.scenes.reaction.config import ReactionFeatureConfig
from omnisila.scenes.reaction.extracting import ReactionCache, extract_apart


class Deadly(type(Path())):
    """A path that ends the process to which it is sent, as a lack of memory does."""

    def __reduce__(self) -> tuple[Callable[..., None], tuple[int]]:
        return os._exit, (1,)


def test_a_process_gives_what_this_one_does_and_its_death_is_named(
    make_video: Callable[..., Path], paint: Callable[..., Callable], tmp_path: Path
) -> None:
    config = ReactionFeatureConfig(frames=3)
    whole = make_video("a.mp4", frames=6, rate_hz=8, width_px=160, height_px=120, paint=paint([(4, 80)]))
    clips = [Clip(whole), Clip(tmp_path / "none.mp4"), Clip(whole), Clip(Deadly("deadly.mp4"))]
    found: Iterator = extract_apart(clips, config, tmp_path / "cache", 1)
    first, missing, again = (next(found) for _ in range(3))
    assert (first.state, missing.state, again.state) == ("extracted", "failed", "known")
    assert "none.mp4" in missing.reason
    own = config.build().features(clips[0])
    for name, modality in own.modalities.items():
        torch.testing.assert_close(first.features.modalities[name].values, modality.values, atol=1e-3, rtol=1e-3)
    assert ReactionCache(tmp_path / "cache").load(first.file) is not None
    with pytest.raises(OmnisilaError, match=r"deadly\.mp4: the process at work on it was killed \(exit status 1\)"):
        next(found)
