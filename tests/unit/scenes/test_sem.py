"""All extractors over a video: chunks and shards change nothing, streams line up in time, the digest tells all."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from omnisila.media.frames import Frame, Luma, LumaFrame
from omnisila.media.video import VideoReader
from omnisila.scenes.extractor import SceneShard, SceneStream
from omnisila.scenes.nets.efficientnet_lite import EfficientNetLite0
from omnisila.scenes.sem import SceneEnrichedModeling, SEMConfig, embedded_layouts
from omnisila.scenes.visual import MIDDLE, WHOLE, middle


def drifting(index: int, width_px: int, height_px: int) -> np.ndarray:
    """A texture that drifts to the right faster and faster, under a square that does not."""
    texture = np.random.default_rng(0).integers(0, 255, (height_px // 4, width_px // 4, 3), dtype=np.uint8)
    picture = np.roll(np.kron(texture, np.ones((4, 4, 1), np.uint8)), index * index // 16, axis=1)
    picture[:20, :20] = 200
    return picture


@pytest.fixture
def samples(make_video: Callable[..., Path]) -> list[LumaFrame]:
    path = make_video(frames=66, width_px=96, height_px=64, paint=drifting)
    return list(VideoReader(path).with_luma(4.0, 3))


def with_config(sem: SceneEnrichedModeling, config: SEMConfig) -> SceneEnrichedModeling:
    """The same networks, cut differently."""
    return SceneEnrichedModeling(config, sem.objects, sem.extractors)


def stream(shards: list[SceneShard], name: str) -> SceneStream:
    parts: list[SceneStream] = [shard.streams[name] for shard in shards]
    values, mask = torch.cat([p.values for p in parts]), torch.cat([p.mask for p in parts])
    return SceneStream(parts[0].start_s, parts[0].rate_hz, values, mask)


@pytest.mark.parametrize(("chunk_frames", "shard_s"), [(5, 300.0), (8, 2.0), (3, 1.0)])
def test_chunks_and_shards_change_no_feature(
    sem: SceneEnrichedModeling, samples: list[LumaFrame], chunk_frames: int, shard_s: float
) -> None:
    whole = list(sem.extract(samples))
    config = sem.config.replace(chunk_frames=chunk_frames, shard_s=shard_s)
    parts = list(with_config(sem, config).extract(samples))
    assert [shard.start_s for shard in parts[1:]] == [shard.end_s for shard in parts[:-1]]
    assert max(shard.end_s - shard.start_s for shard in parts) <= shard_s
    for name in embedded_layouts():
        expected, found = stream(whole, name), stream(parts, name)
        assert torch.equal(found.mask, expected.mask), name
        # a network's rounding depends on the batch, and halves keep three digits
        torch.testing.assert_close(found.values.float(), expected.values.float(), atol=4e-3, rtol=4e-3, msg=name)


@pytest.mark.parametrize("rate_hz", [3.0, 5.0])
def test_every_stream_of_a_shard_starts_with_it(
    sem: SceneEnrichedModeling, make_video: Callable[..., Path], rate_hz: float
) -> None:
    config = sem.config.replace(rate_hz=rate_hz, shard_s=2.5, chunk_frames=4)
    odd = with_config(sem, config)
    reader = VideoReader(make_video(frames=66, width_px=96, height_px=64, paint=drifting))
    shards = list(odd.extract(reader.with_luma(rate_hz, 3)))
    assert len(shards) > 1
    for name in embedded_layouts():
        times_s = torch.cat([shard.streams[name].times_s for shard in shards])
        steps = times_s.diff()
        torch.testing.assert_close(steps, steps[:1].expand_as(steps))


def test_a_very_slow_video_is_cut_without_a_trace(sem: SceneEnrichedModeling, make_video: Callable[..., Path]) -> None:
    path = make_video(times_s=[0.0, 1.9, 2.1, 4.0, 4.6], frames=5, width_px=96, height_px=64, paint=drifting)
    samples = list(VideoReader(path).with_luma(4.0, 3))
    whole = stream(list(sem.extract(samples)), "action")
    for chunk_frames in (1, 4, 7):
        parts = with_config(sem, sem.config.replace(chunk_frames=chunk_frames)).extract(samples)
        found = stream(list(parts), "action")
        assert torch.equal(found.mask, whole.mask)
        torch.testing.assert_close(found.values, whole.values, atol=4e-3, rtol=4e-3)


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """Torch's threads; with more than one, decoding and detection go a chunk ahead."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_a_step_ahead_changes_no_feature(sem: SceneEnrichedModeling, samples: list[LumaFrame], threads: int) -> None:
    cut = with_config(sem, sem.config.replace(chunk_frames=5, shard_s=2.0))
    found = list(cut.extract(samples))
    torch.set_num_threads(3 - threads)
    for first, other in zip(found, cut.extract(samples), strict=True):
        assert (first.start_s, first.end_s) == (other.start_s, other.end_s)
        for name in embedded_layouts():
            torch.testing.assert_close(first.streams[name].values, other.streams[name].values, atol=4e-3, rtol=4e-3)


def test_frames_are_taken_as_they_are_needed(
    sem: SceneEnrichedModeling, samples: list[LumaFrame], threads: int
) -> None:
    taken = 0

    def endless() -> Iterator[LumaFrame]:
        nonlocal taken
        for sample in itertools.cycle(samples):
            taken += 1
            yield sample

    config = sem.config.replace(chunk_frames=4, shard_s=1.0)
    next(with_config(sem, config).extract(endless()))
    assert taken <= 4 * threads + 1, "a shard and a look at the sample after it, and a chunk ahead"


def test_a_still_picture_is_one_second_without_motion(sem: SceneEnrichedModeling, samples: list[LumaFrame]) -> None:
    still = [LumaFrame(samples[0].frame._replace(time_s=i / 4), samples[0].lumas[:1]) for i in range(4)]
    (shard,) = sem.extract(still)
    assert shard.end_s == 1.0
    assert not shard.streams["action"].mask.any()
    assert torch.equal(shard.streams["visual"].values[0, WHOLE], shard.streams["visual"].values[3, WHOLE])


def test_the_middle_is_looked_at_once_a_second_at_twice_the_detail(
    sem: SceneEnrichedModeling, samples: list[LumaFrame]
) -> None:
    (shard,) = sem.extract(samples[:9])
    mask, values = shard.streams["visual"].mask, shard.streams["visual"].values
    assert mask[:, WHOLE].all()
    assert mask[:, MIDDLE].nonzero()[:, 0].tolist() == [0, 4, 8]
    image = samples[4].frame.image
    height, width = image.shape[:2]
    inner = image[height // 4 : height // 4 + height // 2, width // 4 : width // 4 + width // 2]
    own = EfficientNetLite0.pretrained().embed(inner[None])
    torch.testing.assert_close(values[4, MIDDLE].float(), torch.cat([own.mean, own.max], 1)[0], atol=4e-3, rtol=4e-3)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 400)])
def test_every_picture_has_a_middle(size: tuple[int, int]) -> None:
    assert 0 not in middle(torch.zeros(2, *size, 3, dtype=torch.uint8)).shape


def view(index: int, square_at_px: int | None = None, brighter: float = 0.0) -> LumaFrame:
    """A textured view through a noisy sensor, maybe with a small square in it."""
    texture = np.kron(np.random.default_rng(0).integers(60, 160, (16, 24, 3)), np.ones((4, 4, 1)))
    picture = texture + np.random.default_rng(index + 1).normal(0, 4, texture.shape) + brighter
    if square_at_px is not None:
        picture[20:28, square_at_px : square_at_px + 8] = 250
    image = torch.from_numpy(picture.clip(0, 255).astype(np.uint8))
    return LumaFrame(Frame(index / 4, image), (Luma(index / 4, image[..., 1]),))


def looks(sem: SceneEnrichedModeling, frames: list[LumaFrame]) -> int:
    """How often the visual encoder looked."""
    (shard,) = sem.extract(frames)
    values = shard.streams["visual"].values[:, WHOLE]
    return 1 + int((values[1:] != values[:-1]).any(1).sum())


def test_a_view_in_which_nothing_moves_is_looked_at_once_whatever_the_noise(sem: SceneEnrichedModeling) -> None:
    assert looks(sem, [view(index) for index in range(12)]) == 1


def test_small_things_that_move_and_slow_dawn_are_seen(sem: SceneEnrichedModeling) -> None:
    assert looks(sem, [view(index, square_at_px=20 + 2 * index) for index in range(12)]) == 12
    assert looks(sem, [view(index, brighter=0.5 * index) for index in range(12)]) >= 3


@pytest.mark.parametrize(("height_px", "width_px"), [(234, 416), (311, 414), (31, 31), (1, 500), (1, 1)])
def test_what_moves_at_the_edges_is_seen_whatever_the_size(
    sem: SceneEnrichedModeling, height_px: int, width_px: int
) -> None:
    dark = torch.zeros(height_px, width_px, 3, dtype=torch.uint8)
    for rows, columns in ((slice(-1, None), slice(None)), (slice(None), slice(-1, None))):
        lit = dark.clone()
        lit[rows, columns] = 255
        frames = [
            LumaFrame(Frame(index / 4, image), (Luma(index / 4, torch.zeros(16, 16, dtype=torch.uint8)),))
            for index, image in enumerate((dark, lit))
        ]
        assert looks(sem, frames) == 2


def test_no_frames_give_no_shards(sem: SceneEnrichedModeling) -> None:
    assert list(sem.extract([])) == []


def test_seconds_are_told_per_stage(sem: SceneEnrichedModeling, samples: list[LumaFrame]) -> None:
    seconds: dict[str, float] = {}
    list(sem.extract(samples[:2], seconds))
    assert set(seconds) == {"decode", *embedded_layouts()}
    assert all(value >= 0 for value in seconds.values())


def test_the_digest_tells_configurations_apart() -> None:
    config = SEMConfig()
    assert config.digest == SEMConfig().digest
    changed = [
        config.replace(rate_hz=8.0),
        config.replace(long_side_px=320),
        config.replace(objects=config.objects.replace(min_score=0.5)),
    ]
    assert len({config.digest, *(other.digest for other in changed)}) == 4
