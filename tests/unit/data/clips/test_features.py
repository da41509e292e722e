"""The feature store: what is extracted once is found again, copies differ, damage is said."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from omnisila.data.annotated import AnnotatedVideo
from omnisila.data.clips.augment import AugmentConfig
from omnisila.data.clips.features import FeatureStore, Job, extract_all, luma_frames
from omnisila.errors import OmnisilaError
from omnisila.media.video import VideoReader
from omnisila.scenes.sem import SEMConfig, embedded_layouts


def clip(path: str, is_still: bool = False) -> AnnotatedVideo:
    return AnnotatedVideo(
        id=path,
        set_name="s",
        path=path,
        labels={"implicit": "Normal"},
        throughout=True,
        sources=(path,),
        is_still=is_still,
    )


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return FeatureStore(tmp_path, tmp_path / "features", SEMConfig(), AugmentConfig())


def test_copy_0_reads_like_any_analysed_file(make_video: Callable[..., Path], store: FeatureStore):
    make_video("a.mp4", frames=18)
    mine = list(luma_frames(Job(clip("a.mp4"), 0), store.root, store.sem, store.augment.build()))
    reader = VideoReader(store.root / "a.mp4")
    theirs = list(reader.with_luma(4.0, 3, long_side_px=store.sem.long_side_px))
    assert len(mine) == len(theirs) == 6
    assert all(torch.equal(a.frame.image, b.frame.image) for a, b in zip(mine, theirs, strict=True))


def test_a_copy_keeps_rates_and_a_still_lasts_as_configured(make_video: Callable[..., Path], store: FeatureStore):
    make_video("a.mp4", frames=24)
    moving = list(luma_frames(Job(clip("a.mp4"), 1), store.root, store.sem, store.augment.build()))
    assert [round(one.frame.time_s * 4) for one in moving] == list(range(len(moving)))
    assert sum(len(one.lumas) for one in moving) > 2 * len(moving)
    still = list(luma_frames(Job(clip("a.mp4", True), 1), store.root, store.sem, store.augment.build()))
    assert len(still) == round(store.augment.still_s * 4)
    assert all(one.frame.image is still[0].frame.image for one in still)
    assert not torch.equal(still[0].lumas[0].image, still[-1].lumas[-1].image)


def test_extraction_goes_on_and_names_what_it_cannot_read(
    make_video: Callable[..., Path], make_bad_file: Callable[[str, str], Path], store: FeatureStore
):
    make_video("a.mp4", frames=12)
    make_bad_file("b.mp4", "text")
    clips = [clip("a.mp4"), clip("b.mp4")]
    told: list[str] = []
    failed = extract_all(store, clips, [0], workers=1, say=told.append)
    assert [(job.clip.path, "b.mp4" in reason) for job, reason in failed.items()] == [("b.mp4", True)]
    assert told == ["features: 1 of 2", "features: 2 of 2"]
    assert [job.clip.path for job in store.missing(clips, [0])] == ["b.mp4"]
    told.clear()
    assert list(extract_all(store, clips, [0], workers=1, say=told.append)) == list(failed)
    assert told == ["features: resuming, 1 of 2 done", "features: 2 of 2"]
    shard = store.shard(Job(clips[0], 0))
    assert shard.end_s == 1.0
    assert all(shard.streams[name].values.shape[2] == layout.width for name, layout in embedded_layouts().items())
    with pytest.raises(OmnisilaError, match=r"b\.mp4: no features"):
        store.shard(Job(clips[1], 0))
