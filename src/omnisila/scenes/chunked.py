"""A video through several extractors of different rates, chunk by chunk and shard by shard, with bounded memory."""

import itertools
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Generic, NamedTuple, TypeVar

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from omnisila.media.frames import LumaFrame
from omnisila.scenes.extractor import Layouts, SceneShard, SceneStream
from omnisila.scenes.objects import Track, TrackerState


class Sampled(NamedTuple):
    """One extractor's rows for a run of samples."""

    values: Float[Tensor, "samples entities width"]
    mask: Bool[Tensor, "samples entities"]


@dataclass
class VideoState:
    """What one chunk of a video leaves to the next; with it, chunks give what the whole would.

    ``begin_s`` is the time of the first of its ``frames``: nothing is remembered over a hole in the video.
    """

    tracker: TrackerState = field(default_factory=TrackerState)
    last_seen: tuple[Track, ...] = ()
    begin_s: float = 0.0
    frames: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time spent inside to a stage's seconds."""
        began = time.perf_counter()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - began


State = TypeVar("State", bound=VideoState)


class ChunkedModeling(nn.Module, ABC, Generic[State]):
    """What every profile does alike: take frames as they are needed, give shards in which all streams start together.

    A profile says what it does with one chunk. Its extractors look at every n-th frame of ``rate_hz``.
    """

    @property
    @abstractmethod
    def layouts(self) -> Layouts:
        """What each number of each stream means."""

    @property
    @abstractmethod
    def rates_hz(self) -> Mapping[str, float]:
        """Wanted samples per second of the streams that are slower than the frames."""

    @property
    @abstractmethod
    def cutting(self) -> "Cutting":
        """How a video is cut."""

    @abstractmethod
    def _begun(self, seconds: dict[str, float]) -> State:
        """The state before the first chunk."""

    @abstractmethod
    def _chunk(self, chunk: list[LumaFrame], following: LumaFrame | None, state: State) -> dict[str, Sampled]:
        """Every stream's rows for one chunk; advances the state but for its number of frames."""

    def extract(self, frames: Iterable[LumaFrame], seconds: dict[str, float] | None = None) -> Iterator[SceneShard]:
        """Shards of a video in time order; frames are taken as they are needed. No shard reaches over a hole.

        Args:
            frames: at the configuration's ``rate_hz``, as ``VideoReader.with_luma`` gives them.
            seconds: filled with the seconds spent per stage.
        """
        state = self._begun({} if seconds is None else seconds)
        for run in _runs(frames, 1 / self.cutting.rate_hz):
            first = next(run)
            state = self._resumed(state, first.frame.time_s)
            yield from self._shards(itertools.chain((first,), run), state)

    def _resumed(self, state: State, begin_s: float) -> State:
        """The state after a hole: afresh, but for the numbers of tracks, which stay unique."""
        fresh = self._begun(state.seconds)
        fresh.begin_s = begin_s
        for item in fields(state):
            before = getattr(state, item.name)
            if isinstance(before, TrackerState):
                setattr(fresh, item.name, TrackerState(next_number=before.next_number))
        return fresh

    def _shards(self, source: Iterator[LumaFrame], state: State) -> Iterator[SceneShard]:
        """Shards of frames without a hole."""
        following: LumaFrame | None = None
        while True:
            start = state.frames
            chunks: list[dict[str, Sampled]] = []
            while (left := start + self._frames_per_shard - state.frames) > 0:
                with state.timed("decode"):
                    chunk = [] if following is None else [following]
                    chunk += itertools.islice(source, min(self.cutting.chunk_frames, left) - len(chunk))
                    following = next(source, None)
                if not chunk:
                    break
                chunks.append(self._chunk(chunk, following, state))
                state.frames += len(chunk)
            if not chunks:
                return
            yield self._shard(chunks, start, state)

    @property
    def _frames_per_shard(self) -> int:
        """So many that every extractor's first sample in a shard is at the shard's start."""
        period = math.lcm(*(self._every(name) for name in self.layouts))
        return max(int(self.cutting.shard_s * self.cutting.rate_hz) // period, 1) * period

    def _shard(self, chunks: list[dict[str, Sampled]], start: int, state: State) -> SceneShard:
        rate_hz = self.cutting.rate_hz
        start_s, end_s = state.begin_s + start / rate_hz, state.begin_s + state.frames / rate_hz
        streams = {
            name: SceneStream(
                start_s,
                rate_hz / self._every(name),
                torch.cat([chunk[name].values for chunk in chunks]).half(),
                torch.cat([chunk[name].mask for chunk in chunks]),
            )
            for name in self.layouts
        }
        return SceneShard(start_s=start_s, end_s=end_s, layouts=self.layouts, **streams)

    def _every(self, name: str) -> int:
        """How many frames there are per sample of a stream."""
        rates_hz = self.rates_hz
        return max(round(self.cutting.rate_hz / rates_hz[name]), 1) if name in rates_hz else 1

    def _sampled(self, name: str, chunk: list[LumaFrame], state: State) -> Tensor:
        """Places in the chunk that a stream's extractor looks at."""
        # a range may be empty, as in a short last chunk; arange refuses that
        places = range(-state.frames % self._every(name), len(chunk), self._every(name))
        return torch.tensor(places, dtype=torch.long)

    def _times_s(self, chunk: list[LumaFrame], state: State) -> list[float]:
        return [state.begin_s + (state.frames + i) / self.cutting.rate_hz for i in range(len(chunk))]


class Cutting(NamedTuple):
    """How a video is cut: frames per second, frames at once, and how long a shard is."""

    rate_hz: float
    chunk_frames: int
    shard_s: float


def _runs(frames: Iterable[LumaFrame], step_s: float) -> Iterator[Iterator[LumaFrame]]:
    """The frames between holes; each run is to be used up before the next."""
    last_s, number = 0.0, 0

    def run_of(sample: LumaFrame) -> int:
        nonlocal last_s, number
        number += sample.frame.time_s - last_s > 1.5 * step_s
        last_s = sample.frame.time_s
        return number

    return (run for _, run in itertools.groupby(frames, run_of))


def distinct(chunk: list[LumaFrame]) -> tuple[UInt8[Tensor, "distinct height width 3"], Tensor]:
    """The chunk's pictures without repetitions, and for each frame the number of its picture.

    A static camera and a still picture repeat pictures exactly; looking at each once changes no result.
    """
    pictures: list[Tensor] = []
    copy_of: list[int] = []
    for sample in chunk:
        image = sample.frame.image
        if not pictures or (image is not pictures[-1] and not torch.equal(image, pictures[-1])):
            pictures.append(image)
        copy_of.append(len(pictures) - 1)
    return torch.stack(pictures), torch.tensor(copy_of)


def carried(
    seen: list[tuple[Track, ...]], at: Tensor, times_s: list[float], state: VideoState
) -> list[tuple[Track, ...]]:
    """The tracks at every frame: as detected, or carried on from the last detection at constant velocity."""
    detected = dict(zip(at.tolist(), seen, strict=True))
    everywhere: list[tuple[Track, ...]] = []
    for index, time_s in enumerate(times_s):
        state.last_seen = detected.get(index, state.last_seen)
        everywhere.append(tuple(track._replace(box=track.at(time_s)) for track in state.last_seen))
    return everywhere
