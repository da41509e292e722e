"""The feature cache: nothing is extracted twice, nothing damaged is believed, one shard is in memory at a time."""

import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import torch

from omnisila.errors import MediaError
from omnisila.files import cache_root
from omnisila.media.video import VideoReader
from omnisila.scenes.cache import Extracted, FeatureCache
from omnisila.scenes.sem import SceneEnrichedModeling, embedded_layouts


@pytest.fixture
def video(make_video: Callable[..., Path]) -> Path:
    return make_video(frames=12)


def fresh(extracted: Extracted) -> bool:
    """Whether it was extracted just now."""
    return bool(extracted.seconds)


def test_a_second_look_reads_what_the_first_wrote(sem: SceneEnrichedModeling, video: Path, tmp_path: Path) -> None:
    first = FeatureCache(tmp_path / "cache").ensure_features(video, sem)
    cache = FeatureCache(tmp_path / "cache")
    second = cache.ensure_features(video, sem)
    assert fresh(first)
    assert not fresh(second)
    assert second == first.replace(seconds={})
    samples = VideoReader(video).with_luma(4.0, 3)
    for cached, direct in zip(cache.shards(second), sem.extract(samples), strict=True):
        assert (cached.start_s, cached.end_s) == (direct.start_s, direct.end_s)
        for name in embedded_layouts():
            assert torch.equal(cached.streams[name].values, direct.streams[name].values)
            assert torch.equal(cached.streams[name].mask, direct.streams[name].mask)
            assert cached.streams[name].rate_hz == direct.streams[name].rate_hz


def test_a_copy_under_another_name_is_known_and_keeps_its_name(
    sem: SceneEnrichedModeling, video: Path, tmp_path: Path
) -> None:
    cache, copy = FeatureCache(tmp_path / "cache"), tmp_path / "copy of it.mp4"
    cache.ensure_features(video, sem)
    shutil.copy(video, copy)
    again = cache.ensure_features(copy, sem)
    assert not fresh(again)
    assert again.info.path == str(copy)


@pytest.mark.parametrize("damage", ["cut", "gone", "bit", "facts"])
def test_a_damaged_file_is_extracted_again(
    sem: SceneEnrichedModeling, video: Path, tmp_path: Path, damage: str
) -> None:
    cache = FeatureCache(tmp_path / "cache")
    whole = cache.ensure_features(video, sem)
    name = "video.json" if damage == "facts" else "visual-0000.safetensors"
    (file,) = (tmp_path / "cache").rglob(name)
    content = bytearray(file.read_bytes())
    if damage == "gone":
        file.unlink()
    elif damage == "bit":
        content[len(content) // 2] ^= 0x10
        file.write_bytes(content)
    else:
        file.write_bytes(content[: len(content) // 2])
    again = cache.ensure_features(video, sem)
    assert fresh(again)
    assert again.files == whole.files
    assert not fresh(cache.ensure_features(video, sem))


def test_what_a_killed_run_left_is_no_result(sem: SceneEnrichedModeling, video: Path, tmp_path: Path) -> None:
    def kill(_share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        FeatureCache(tmp_path / "cache").ensure_features(video, sem, kill)
    assert fresh(FeatureCache(tmp_path / "cache").ensure_features(video, sem))


def test_a_video_that_cannot_be_read_leaves_nothing(
    sem: SceneEnrichedModeling, make_bad_file: Callable[[str, str], Path], tmp_path: Path
) -> None:
    with pytest.raises(MediaError):
        FeatureCache(tmp_path / "cache").ensure_features(make_bad_file("no.mp4", "text"), sem)
    assert not list((tmp_path / "cache").rglob("*.*"))


def test_damage_in_the_video_is_remembered(
    sem: SceneEnrichedModeling, make_bad_file: Callable[[str, str], Path], tmp_path: Path
) -> None:
    path, cache = make_bad_file("short.mkv", "short"), FeatureCache(tmp_path / "cache")
    first, second = cache.ensure_features(path, sem), cache.ensure_features(path, sem)
    assert first.decoded_ratio < 0.9
    assert first.warnings
    assert (second.decoded_ratio, second.warnings) == (first.decoded_ratio, first.warnings)


def test_a_folder_that_cannot_be_written_is_replaced_and_said(
    sem: SceneEnrichedModeling, video: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = FeatureCache(tmp_path / "file" / "cache")
    assert cache.warning is not None
    assert "features are not kept" in cache.warning
    assert len(list(cache.shards(cache.ensure_features(video, sem)))) == 1
    place = cache.root
    del cache
    assert not place.exists()


def test_the_environment_names_the_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OMNISILA_CACHE", str(tmp_path))
    assert cache_root() == tmp_path
    monkeypatch.delenv("OMNISILA_CACHE")
    assert cache_root() == Path.home() / ".cache" / "omnisila"


def test_features_from_before_layouts_were_recorded_are_known(
    sem: SceneEnrichedModeling, video: Path, tmp_path: Path
) -> None:
    first = FeatureCache(tmp_path / "cache").ensure_features(video, sem)
    (facts,) = (tmp_path / "cache").rglob("video.json")
    facts.write_text(first.model_dump_json(exclude={"layouts"}))
    cache = FeatureCache(tmp_path / "cache")
    again = cache.ensure_features(video, sem)
    assert not fresh(again)
    assert dict(next(cache.shards(again)).layouts) == embedded_layouts()


def content(cache: FeatureCache, extracted: Extracted) -> list[torch.Tensor]:
    return [shard.streams[name].values for shard in cache.shards(extracted) for name in extracted.rates_hz]


def test_a_full_disk_costs_the_cache_and_not_the_video(
    sem: SceneEnrichedModeling, video: Path, tmp_path: Path, full_disk: Callable[[], AbstractContextManager[None]]
) -> None:
    kept = FeatureCache(tmp_path / "kept")
    wanted = content(kept, kept.ensure_features(video, sem))
    cache = FeatureCache(tmp_path / "cache")
    with full_disk():
        extracted = cache.ensure_features(video, sem)
    assert cache.holds(extracted)
    assert all(map(torch.equal, content(cache, extracted), wanted))
    assert "features are not kept" in (cache.warning or "")
    assert not list((tmp_path / "cache").rglob("video.json"))
    with full_disk():
        assert not fresh(FeatureCache(tmp_path / "kept").ensure_features(video, sem)), "what was known still is"


def test_a_file_in_the_place_of_the_features_costs_the_cache_alone(
    sem: SceneEnrichedModeling, video: Path, tmp_path: Path
) -> None:
    (tmp_path / "features").write_text("in the way")
    cache = FeatureCache(tmp_path)
    assert content(cache, cache.ensure_features(video, sem))


def test_no_home_and_no_folder_for_temporary_files_cost_the_cache_alone(
    sem: SceneEnrichedModeling, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("OMNISILA_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    cache = FeatureCache()
    assert content(cache, cache.ensure_features(video, sem))
    assert not cache.root.exists() or cache.root == Path(os.devnull)


def test_a_name_that_is_no_text_is_ordinary(sem: SceneEnrichedModeling, video: Path, tmp_path: Path) -> None:
    try:
        odd = video.rename(video.with_name(os.fsdecode(b"caf\xe9.mp4")))
    except OSError:
        pytest.skip("this file system takes text alone")
    cache = FeatureCache(tmp_path / "cache")
    for _ in range(2):
        extracted = cache.ensure_features(odd, sem)
        assert extracted.path == odd
        assert extracted.info.path.endswith("caf%E9.mp4")
