"""Windows over a video's shards: one second each, eight frames that reach a little over both ends."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, islice
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from omnisila.config import Config
from omnisila.media.sampling import uniform_times
from omnisila.scenes.extractor import VISUAL, Entities, SceneInputs, SceneShard, SceneStream, model_streams
from omnisila.schema import Span

MIN_TAIL = 0.2  # a rest shorter than this share of a window is left to the window before it


class WindowConfig(Config):
    """How a video is cut.

    The frames of a window are ``1 / rate_hz`` apart and centred on it (``frame_times``); at the defaults they reach
    half a second over both ends (decision D11).
    """

    window_s: float = Field(default=1.0, gt=0)
    rate_hz: float = Field(default=4.0, gt=0)
    frames: int = Field(default=8, ge=1)

    @property
    def context_s(self) -> float:
        """How far the frames reach over each end; negative where the window is longer than they cover."""
        return (self.frames / self.rate_hz - self.window_s) / 2


class SceneFrames(NamedTuple):
    """One scene's entities on a window's frames: only features, no evidence."""

    values: Float[Tensor, "frames entities features"]
    mask: Bool[Tensor, "frames entities"]


class Window(NamedTuple):
    """One window's inputs.

    ``times_s`` are those of its frames, which may lie outside the video: whoever looks at pictures beside the features
    asks ``VideoReader.shown_at`` for the ones that ``visual.mask`` has.
    """

    span: Span
    streams: dict[str, SceneFrames]
    times_s: tuple[float, ...] = ()

    @property
    def visual(self) -> SceneFrames:
        """The visual encoder's stream."""
        return self.streams[VISUAL]


class WindowBatch(NamedTuple):
    """Stacked windows, as the models read them; ``contexts`` are what was seen in each, in words, where it is shown."""

    scenes: SceneInputs
    visual: Entities
    contexts: tuple[str, ...] = ()


def tiles(begin_s: float, end_s: float, window_s: float) -> Iterator[Span]:
    """The stretches that a video is cut into, in training as in use; the last may be shorter, but is no sliver."""
    index = 0
    while end_s - begin_s - index * window_s > (MIN_TAIL * window_s if index else 1e-6):
        start_s = begin_s + index * window_s
        yield Span(start_s=start_s, end_s=min(start_s + window_s, end_s))
        index += 1


def frame_times(span: Span, config: WindowConfig) -> tuple[float, ...]:
    """When the frames that show a stretch are, in training as in use; some may lie outside the video.

    A short stretch is shown in its middle, with its context; over one that lasts longer than the frames cover they are
    spread evenly.
    """
    if span.duration_s > config.frames / config.rate_hz:
        return uniform_times(span.start_s, span.end_s, config.frames)
    first_s = (span.start_s + span.end_s) / 2 - config.frames / config.rate_hz / 2
    return tuple(first_s + i / config.rate_hz for i in range(config.frames))


def windows(shards: Iterable[SceneShard], config: WindowConfig, duration_s: float | None = None) -> Iterator[Window]:
    """A window for each of a video's ``tiles``, which begin anew after each hole.

    Args:
        shards: in time order; between two that do not touch is a hole, which no window reaches into.
        duration_s: where the video ends; None takes the end of the last shard.
    """
    for run in runs(shards):
        yield from _tile_shards(run, config, float("inf") if duration_s is None else duration_s)


def runs(shards: Iterable[SceneShard]) -> Iterator[Iterator[SceneShard]]:
    """The shards between holes; each run is to be used up before the next."""
    end_s, number = 0.0, 0

    def run_of(shard: SceneShard) -> int:
        nonlocal end_s, number
        number += shard.start_s - end_s > 1e-6
        end_s = shard.end_s
        return number

    return (run for _, run in groupby(shards, run_of))


def _tile_shards(shards: Iterable[SceneShard], config: WindowConfig, duration_s: float) -> Iterator[Window]:
    """Windows over shards that touch."""
    kept: SceneShard | None = None
    index, begin_s, last_end_s, context_s = 0, 0.0, 0.0, max(config.context_s, 0.0)
    for shard in shards:
        begin_s = shard.start_s if kept is None else begin_s
        kept = shard if kept is None else join_shards(kept, shard)
        last_end_s = shard.end_s
        known_s = min(duration_s, shard.end_s) - begin_s
        while (index + 1) * config.window_s + context_s <= known_s:
            start_s = begin_s + index * config.window_s
            span = Span(start_s=start_s, end_s=start_s + config.window_s)
            yield _at(kept, span, frame_times(span, config))
            index += 1
        kept = _from(kept, begin_s + index * config.window_s - context_s - 2.0)
    end_s = min(duration_s, last_end_s)
    if kept is not None:
        for span in islice(tiles(begin_s, end_s, config.window_s), index, None):
            yield _at(kept, span, frame_times(span, config))


def window_over(
    shards: Callable[[Span], Iterable[SceneShard]], span: Span, config: WindowConfig, end_s: float
) -> Window | None:
    """The window that shows any stretch; None where the video ends before it begins.

    Shards are read one at a time: a stretch may last as long as the video. Frames outside the video are masked.

    Args:
        shards: gives those that a span touches.
        end_s: where the video ends; a stretch that goes on behind it ends there.
    """
    if span.start_s >= end_s:
        return None
    span = Span(start_s=span.start_s, end_s=min(span.end_s, end_s))
    left_s = frame_times(span, config)
    reach = Span(start_s=max(min(span.start_s, left_s[0]), 0.0), end_s=max(span.end_s, left_s[-1]))
    touched = shards(reach)
    if span.duration_s <= config.frames / config.rate_hz:
        # beside a hole, the side that the stretch lies on
        middle_s = (span.start_s + span.end_s) / 2
        sides = [list(run) for run in runs(touched)]
        touched = min(sides, key=lambda run: max(run[0].start_s - middle_s, middle_s - run[-1].end_s), default=[])
    parts: list[Window] = []
    last, seen = None, False
    for last in touched:
        here_s = tuple(time_s for time_s in left_s if time_s < last.end_s - 1e-6)
        left_s = left_s[len(here_s) :]
        parts.append(_at(last, span, here_s))
        seen = seen or (len(here_s) > 0 and here_s[-1] >= last.start_s - 1e-6)
    if last is None or not seen:
        return None
    parts.append(_at(last, span, left_s))

    streams = {
        name: SceneFrames(
            torch.cat([part.streams[name].values for part in parts]),
            torch.cat([part.streams[name].mask for part in parts]),
        )
        for name in parts[0].streams
    }
    return Window(span, streams, tuple(time_s for part in parts for time_s in part.times_s))


def stack(items: Sequence[Window]) -> WindowBatch:
    """Windows as one float32 batch."""
    scenes = {
        name: Entities(
            torch.stack([item.streams[name].values for item in items]).float(),
            torch.stack([item.streams[name].mask for item in items]),
        )
        for name in items[0].streams
    }
    visual = scenes.pop(VISUAL)
    return WindowBatch(scenes, visual)


def join_shards(first: SceneShard, second: SceneShard) -> SceneShard:
    """Two consecutive shards as one."""
    pairs = {name: (stream, second.streams[name]) for name, stream in first.streams.items()}
    streams = {
        name: SceneStream(a.start_s, a.rate_hz, torch.cat([a.values, b.values]), torch.cat([a.mask, b.mask]))
        for name, (a, b) in pairs.items()
    }
    return SceneShard(first.start_s, second.end_s, streams, first.layouts)


def cut_shard(shard: SceneShard, span: Span) -> SceneShard:
    """The samples of a shard that describe a span: those within it, and the ones held into it."""
    return _from(shard, span.start_s, span.end_s)


def _from(shard: SceneShard, start_s: float, end_s: float = float("inf")) -> SceneShard:
    def part(stream: SceneStream) -> SceneStream:
        first = min(max(int((start_s - stream.start_s) * stream.rate_hz + 1e-6), 0), len(stream.values))
        past = len(stream.values)
        if end_s != float("inf"):
            past = max(min(int((end_s - stream.start_s) * stream.rate_hz - 1e-6) + 1, past), first)
        begin_s = stream.start_s + first / stream.rate_hz
        return SceneStream(begin_s, stream.rate_hz, stream.values[first:past], stream.mask[first:past])

    streams = {name: part(stream) for name, stream in shard.streams.items()}
    return SceneShard(max(shard.start_s, start_s), min(shard.end_s, end_s), streams, shard.layouts)


def _at(shard: SceneShard, span: Span, times_s: tuple[float, ...]) -> Window:
    """A window's frames at the given times; times outside the shard are masked."""

    def held_frames(name: str) -> SceneFrames:
        stream = shard.streams[name]
        features = shard.layouts[name].feature_width
        places = [
            int((t - stream.start_s) * stream.rate_hz + 1e-6) if t >= shard.start_s - 1e-6 else -1 for t in times_s
        ]
        # a slow extractor's last sample is held to the end of the shard
        inside = torch.tensor(
            [p >= 0 and t < shard.end_s - 1e-6 for p, t in zip(places, times_s, strict=True)], dtype=torch.bool
        )
        index = torch.tensor(places, dtype=torch.long).clamp(0, max(len(stream.values) - 1, 0))
        values, mask = stream.values[index, :, :features], stream.mask[index] & inside[:, None]
        return SceneFrames(values * mask[..., None], mask)

    return Window(span, {name: held_frames(name) for name in model_streams(shard.streams)}, times_s)
