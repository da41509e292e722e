"""Windows: they tile the video, see beyond their ends, mask what lies outside, and do not notice shards."""

import pytest
import torch

from omnisila.scenes.extractor import SceneShard, SceneStream
from omnisila.scenes.sem import embedded_layouts
from omnisila.scenes.windows import Window, WindowConfig, cut_shard, join_shards, stack, tiles, window_over, windows
from omnisila.schema import Span

RATES_HZ = {"visual": 4.0, "objects": 2.0, "face": 1.0, "action": 4.0, "relation": 2.0, "background": 1.0}


def shard(start_s: float, end_s: float) -> SceneShard:
    """Streams whose values are the times they describe, everywhere present."""

    def timed(name: str) -> SceneStream:
        rate_hz = RATES_HZ[name]
        count = -int(-(end_s - start_s) * rate_hz // 1)
        values = torch.zeros(count, 2, embedded_layouts()[name].width, dtype=torch.float16)
        stream = SceneStream(start_s, rate_hz, values, torch.ones(count, 2, dtype=torch.bool))
        values[:] = stream.times_s[:, None, None].half()
        return stream

    streams = {name: timed(name) for name in embedded_layouts()}
    return SceneShard(start_s, end_s, streams, embedded_layouts())


def seen(window: Window, name: str) -> list[float | None]:
    """The time each frame of a window shows, None where it is masked."""
    frames = window.streams[name]
    pairs = zip(frames.values[:, 0, 0].tolist(), frames.mask[:, 0].tolist(), strict=True)
    return [value if present else None for value, present in pairs]


def test_each_second_sees_half_a_second_more_on_both_sides() -> None:
    first, second, *_ = windows([shard(0, 5)], WindowConfig())
    assert second.span == Span(start_s=1.0, end_s=2.0)
    assert seen(second, "visual") == [0.5 + i / 4 for i in range(8)]
    assert seen(first, "visual") == [None, None, *[i / 4 for i in range(6)]]


def test_frames_past_the_end_are_masked_and_zero() -> None:
    *_, last = windows([shard(0, 5)], WindowConfig())
    assert seen(last, "visual") == [*[3.5 + i / 4 for i in range(6)], None, None]
    assert last.streams["action"].values[-1].abs().sum() == 0


@pytest.mark.parametrize("window_s", [60.0, 7.0, 2.5, 2.0, 0.3, 0.01])
@pytest.mark.parametrize("rate_hz", [0.01, 4.0, 240.0])
def test_windows_of_any_length_tile_the_video_and_see_it(window_s: float, rate_hz: float) -> None:
    config = WindowConfig(window_s=window_s, rate_hz=rate_hz)
    found = list(windows([shard(0, 4), shard(4, 8), shard(8, 10)], config))
    assert found[0].span.start_s == 0
    assert found[-1].span.end_s > 10 - 0.2 * window_s
    ends = [window.span.end_s for window in found[:-1]]
    assert [window.span.start_s for window in found[1:]] == pytest.approx(ends, abs=1e-9)
    if window_s * rate_hz > config.frames:  # longer than its frames cover
        for window in found:
            step_s = window.span.duration_s / config.frames
            assert window.times_s == pytest.approx([window.span.start_s + (i + 0.5) * step_s for i in range(8)])
            assert window.streams["action"].mask.all()


def test_slower_scenes_are_held() -> None:
    second = list(windows([shard(0, 5)], WindowConfig()))[1]
    assert seen(second, "background") == [0, 0, 1, 1, 1, 1, 2, 2]
    assert seen(second, "relation") == [0.5, 0.5, 1, 1, 1.5, 1.5, 2, 2]


def test_shards_are_not_noticed() -> None:
    whole = list(windows([shard(0, 12)], WindowConfig()))
    parts = list(windows([shard(0, 4), shard(4, 8), shard(8, 12)], WindowConfig()))
    assert [window.span for window in parts] == [window.span for window in whole]
    for part, one in zip(parts, whole, strict=True):
        for name in ("visual", "face", "action", "relation", "background"):
            assert torch.equal(part.streams[name].values, one.streams[name].values)
            assert torch.equal(part.streams[name].mask, one.streams[name].mask)


@pytest.mark.parametrize(
    ("duration_s", "ends_s"), [(3.0, [1, 2, 3]), (3.5, [1, 2, 3, 3.5]), (3.1, [1, 2, 3]), (0.5, [0.5]), (0.1, [0.1])]
)
def test_windows_tile_the_video_without_a_sliver(duration_s: float, ends_s: list[float]) -> None:
    found = list(windows([shard(0, 4)], WindowConfig(), duration_s))
    assert [window.span.end_s for window in found] == ends_s
    assert [window.span.start_s for window in found] == [0.0, *ends_s[:-1]]


def test_other_lengths_and_rates_keep_eight_centred_frames() -> None:
    config = WindowConfig(window_s=2.0, rate_hz=2.0)
    second = list(windows([shard(0, 8)], config))[1]
    assert second.span == Span(start_s=2.0, end_s=4.0)
    assert seen(second, "visual") == [1 + i / 2 for i in range(8)]


def test_evidence_never_reaches_a_window() -> None:
    (window,) = windows([shard(0, 1)], WindowConfig())
    for name in ("visual", "face", "action", "relation", "background"):
        assert window.streams[name].values.shape[2] == embedded_layouts()[name].feature_width


def over(start_s: float, end_s: float, config: WindowConfig, shards: list[SceneShard]) -> Window | None:
    return window_over(
        lambda within: [one for one in shards if one.start_s < within.end_s and one.end_s > within.start_s],
        Span(start_s=start_s, end_s=end_s),
        config,
        shards[-1].end_s,
    )


@pytest.mark.parametrize("config", [WindowConfig(), WindowConfig(window_s=0.4), WindowConfig(window_s=4)])
@pytest.mark.parametrize("duration_s", [10.0, 9.75, 9.4, 3.1, 0.3])
def test_what_is_asked_about_and_trained_on_is_shown_as_a_video_is_cut(duration_s: float, config: WindowConfig) -> None:
    shards = [shard(0, 4), shard(4, 10)]
    found = list(windows(shards, config, duration_s))
    assert [window.span for window in found] == list(tiles(0.0, duration_s, config.window_s))
    for window in found:
        shown = over(window.span.start_s, window.span.end_s, config, shards)
        assert shown is not None
        assert shown.times_s == window.times_s
        for name in ("visual", "relation", "background"):
            assert seen(shown, name) == seen(window, name)


def test_a_rest_is_shown_in_its_middle() -> None:
    *_, last = windows([shard(0, 10)], WindowConfig(), 9.5)
    assert last.span == Span(start_s=9.0, end_s=9.5)
    assert seen(last, "visual") == [8.25, 8.5, 8.75, 9.0, 9.25, 9.5, 9.75, None]


def test_a_window_longer_than_its_frames_cover_or_than_the_video_has_them_spread() -> None:
    first, last = windows([shard(0, 4), shard(4, 10)], WindowConfig(window_s=8))
    assert first.times_s == tuple(0.5 + i for i in range(8))
    assert last.times_s == tuple(8 + i / 4 for i in range(8))
    (whole,) = windows([shard(0, 10)], WindowConfig(window_s=60))
    assert whole.times_s == tuple(0.625 + 1.25 * i for i in range(8))
    assert whole.visual.mask.all()


def test_a_short_stretch_is_shown_in_its_middle() -> None:
    shards = [shard(0, 4), shard(4, 10)]
    two = over(3, 5, WindowConfig(), shards)
    assert two is not None
    assert seen(two, "visual") == [3 + i / 4 for i in range(8)]
    within_long_windows = over(3, 4, WindowConfig(window_s=4), shards)
    assert within_long_windows is not None
    assert within_long_windows.times_s[0] == 2.5


def test_a_long_stretch_is_spread_and_ends_with_the_video() -> None:
    shards = [shard(0, 4), shard(4, 10)]
    whole = over(2, 10, WindowConfig(), shards)
    assert whole is not None
    assert whole.times_s == tuple(2.5 + i for i in range(8))
    past = over(9.9, 60, WindowConfig(), shards)
    assert past is not None
    assert past.span == Span(start_s=9.9, end_s=10)
    assert past.visual.mask.any()
    assert over(10, 12, WindowConfig(), shards) is None


def test_a_cut_keeps_what_is_held_into_it() -> None:
    part = cut_shard(join_shards(shard(0, 4), shard(4, 8)), Span(start_s=3.25, end_s=4.75))
    assert part.streams["visual"].times_s.tolist() == [3.25 + i / 4 for i in range(6)]
    assert part.streams["background"].times_s.tolist() == [3.0, 4.0]


def test_stacked_windows_are_float32_in_the_papers_order() -> None:
    batch = stack(list(windows([shard(0, 3)], WindowConfig())))
    assert tuple(batch.scenes) == ("face", "action", "relation", "background")
    assert batch.visual.values.shape == (3, 8, 2, embedded_layouts()["visual"].feature_width)
    assert batch.scenes["action"].values.dtype == torch.float32


def test_no_window_reaches_into_a_hole() -> None:
    shards = [shard(0, 2), shard(2, 4), shard(34.5, 36.5)]
    found = list(windows(shards, WindowConfig()))
    assert [window.span.start_s for window in found] == [0, 1, 2, 3, 34.5, 35.5]
    assert seen(found[3], "visual") == [*[2.5 + i / 4 for i in range(6)], None, None]
    assert seen(found[4], "visual") == [None, None, *[34.5 + i / 4 for i in range(6)]]
    assert found[4].streams["face"].mask[2:].all()
    whole = window_over(lambda _: shards, Span(start_s=0, end_s=38), WindowConfig(), 38.0)
    assert whole is not None
    assert len(whole.times_s) == 8
    assert seen(whole, "visual") == [2.25, None, None, None, None, None, None, 35.5]
    beside = over(34.5, 35.5, WindowConfig(), shards)
    assert beside is not None
    assert seen(beside, "visual") == seen(found[4], "visual")
