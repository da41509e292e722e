"""A video through extractors of different rates, chunk by chunk and shard by shard, with bounded memory.

Source: Omni-SILA 3.1.
"""

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from omnisila.media.frames import LumaFrame
from omnisila.pace import time_stage
from omnisila.pool import run_ahead
from omnisila.scenes.extractor import OBJECTS, VISUAL, Layout, Layouts, Sampled, SceneShard, SceneStream
from omnisila.scenes.objects import ObjectSource, Track, TrackerState
from omnisila.scenes.profile import Profile

# What changes the mean of no block by more grey levels is noise. Of 53 real clips no finding changes at 3 or at 6
# (``benchmarks/still_camera.py``, decision D263).
STILL_LEVELS = 3.0
STILL_BLOCK_PX = 16


class Chunk(NamedTuple):
    """Consecutive frames, and what all extractors share of them.

    Attributes:
        frames: the samples themselves, with the grey pictures that motion is read from.
        following: the sample after them, None at the end of the video.
        images: their pictures without repetitions.
        copy_of: for each frame the number of its picture.
        first: number of the first frame in the stretch of video without a hole.
        rate_hz: frames per second.
        seen: tracks at the frames that the object source looked at.
        tracks: tracks at every frame, carried on from the last look.
        classes: names of the tracks' classes.
        relations: triplets at the frames of ``seen``, where the object source finds them in the same look.
    """

    frames: list[LumaFrame]
    following: LumaFrame | None
    images: UInt8[Tensor, "distinct height width 3"]
    copy_of: Tensor
    times_s: list[float]
    first: int
    rate_hz: float
    seen: list[tuple[Track, ...]]
    tracks: list[tuple[Track, ...]]
    classes: tuple[str, ...]
    relations: Sampled | None

    def places(self, rate_hz: float | None) -> Tensor:
        """Which of the frames an extractor of that rate looks at."""
        every = _every(self.rate_hz, rate_hz)
        # a range may be empty, as in a short last chunk; arange refuses that
        return torch.tensor(range(-self.first % every, len(self.frames), every), dtype=torch.long)

    def pictures(self, rate_hz: float | None) -> UInt8[Tensor, "frames height width 3"]:
        """The pictures of those frames."""
        return self.images[self.copy_of[self.places(rate_hz)]]

    def distinct(self, rate_hz: float | None) -> tuple[UInt8[Tensor, "distinct height width 3"], Tensor]:
        """Those pictures without repetitions, and for each of the frames the number of its picture."""
        used, index = self.copy_of[self.places(rate_hz)].unique(return_inverse=True)
        return self.images[used], index


class SceneExtractor(ABC):
    """One stream of a profile: how often it looks, and what it makes of what it sees.

    Attributes:
        layout: what each number of an entity means; for ``embedded`` extractors known of the class.
        rate_hz: wanted samples per second; None looks at every frame.
        needs_objects: whether it reads tracks or relations; one that does not goes on while objects are looked for.
    """

    layout: Layout
    rate_hz: float | None = None
    needs_objects: bool = True

    @classmethod
    def of_profile(cls, profile: Any, shared: Any) -> "SceneExtractor":  # for those with settings
        """The extractor with its weights; by default it has none.

        Args:
            profile: the configuration, ``SEMConfig`` or ``FullSEMConfig``.
            shared: the network that several scenes use: the visual encoder of the embedded profile, the object source
                of the full one.
        """
        return cls()

    def start(self, before: Any = None) -> Any:  # for those that number what they follow
        """The state at the beginning of a video; after a hole in it, given the state ``before``."""
        return None

    @abstractmethod
    def extract(self, chunk: Chunk, state: Any) -> tuple[Sampled, Any]:
        """Entities at ``chunk.places(self.rate_hz)``, and the state that the chunk leaves to the next."""


@dataclass
class VideoState:
    """What one chunk of a video leaves to the next; with it, chunks give what the whole would.

    ``begin_s`` is the time of the first of its ``frames``: nothing is remembered over a hole in the video.
    """

    streams: dict[str, Any]
    begin_s: float
    tracker: TrackerState
    seconds: dict[str, float]


@dataclass(frozen=True)
class SceneEnrichedModeling:
    """The extractors of a profile over a video: shards in which all streams start together.

    Attributes:
        config: what they were built from.
        objects: what finds and follows things, which other scenes start from.
        extractors: the visual encoder, then every scene of the table.
    """

    config: Profile
    objects: ObjectSource
    extractors: Mapping[str, SceneExtractor]

    @property
    def layouts(self) -> Layouts:
        """What each number of each stream means."""
        own = {name: extractor.layout for name, extractor in self.extractors.items()}
        return {VISUAL: own.pop(VISUAL), OBJECTS: self.objects.layout, **own}

    def rate_hz(self, name: str) -> float:
        """Samples per second of a stream: its extractor looks at every n-th frame."""
        return self.config.rate_hz / _every(self.config.rate_hz, self._source(name).rate_hz)

    def extract(self, frames: Iterable[LumaFrame], seconds: dict[str, float] | None = None) -> Iterator[SceneShard]:
        """Shards of a video in time order; frames are taken as they are needed. No shard reaches over a hole.

        Args:
            frames: at the configuration's ``rate_hz``, as ``VideoReader.with_luma`` gives them.
            seconds: filled with the seconds spent per stage.
        """
        states: dict[str, Any] = {}
        tracks, seconds = 0, {} if seconds is None else seconds
        for run in _runs(frames, 1 / self.config.rate_hz):
            first = next(run)
            states = {name: extractor.start(states.get(name)) for name, extractor in self.extractors.items()}
            state = VideoState(states, first.frame.time_s, TrackerState(next_number=tracks), seconds)
            yield from self._shards(itertools.chain((first,), run), state)
            states, tracks = state.streams, state.tracker.next_number

    def _source(self, name: str) -> SceneExtractor | ObjectSource:
        return self.objects if name == OBJECTS else self.extractors[name]

    def _shards(self, source: Iterator[LumaFrame], state: VideoState) -> Iterator[SceneShard]:
        """Shards of frames without a hole."""
        rate_hz = self.config.rate_hz
        # so many frames that every extractor's first sample in a shard is at the shard's start
        period = math.lcm(*(_every(rate_hz, self._source(name).rate_hz) for name in self.layouts))
        most = max(int(self.config.shard_s * rate_hz) // period, 1) * period
        looked = self._look(source, most, state)
        described: list[dict[str, Sampled]] = []
        for look in run_ahead(looked, 2) if torch.get_num_threads() > 1 else looked:
            if look.objects is None:
                described.append(self._describe(look.chunk, state, with_objects=False))
                continue
            described[-1] |= {OBJECTS: look.objects, **self._describe(look.chunk, state, with_objects=True)}
            frames = look.chunk.first + len(look.chunk.frames)
            if frames % most == 0 or look.chunk.following is None:
                start = (frames - 1) // most * most
                yield self._shard(described, state.begin_s + start / rate_hz, state.begin_s + frames / rate_hz)
                described.clear()

    def _shard(self, chunks: list[dict[str, Sampled]], start_s: float, end_s: float) -> SceneShard:
        streams = {
            name: SceneStream(
                start_s,
                self.rate_hz(name),
                torch.cat([chunk[name].values for chunk in chunks]).half(),
                torch.cat([chunk[name].mask for chunk in chunks]),
            )
            for name in self.layouts
        }
        return SceneShard(start_s, end_s, streams, self.layouts)

    def _look(self, source: Iterator[LumaFrame], most: int, state: VideoState) -> Iterator["_Look"]:
        """Chunks, each first as it is and then with what was found on it; none reaches over a multiple of ``most``."""
        rate_hz, first = self.config.rate_hz, 0
        following: LumaFrame | None = None
        last_seen: tuple[Track, ...] = ()
        while True:
            with time_stage(state.seconds, "decode"):
                frames = [] if following is None else [following]
                wanted = min(self.config.chunk_frames, most - first % most)
                frames += itertools.islice(source, wanted - len(frames))
                following = next(source, None)
            if not frames:
                return
            images, copy_of = _distinct(frames)
            times_s = [state.begin_s + (first + i) / rate_hz for i in range(len(frames))]
            classes = self.objects.layout.words["class"]
            chunk = Chunk(frames, following, images, copy_of, times_s, first, rate_hz, [], [], classes, None)
            yield _Look(chunk, None)
            with time_stage(state.seconds, OBJECTS):
                places = chunk.places(self.objects.rate_hz)
                shown = chunk.distinct(self.objects.rate_hz)
                looked = self.objects.look(*shown, [times_s[i] for i in places], state.tracker)
                state.tracker = looked.tracker
                detected = dict(zip(places.tolist(), looked.seen, strict=True))
                for index, time_s in enumerate(times_s):
                    last_seen = detected.get(index, last_seen)
                    chunk.tracks.append(tuple(track._replace(box=track.at(time_s)) for track in last_seen))
            yield _Look(chunk._replace(seen=looked.seen, relations=looked.relations), looked.objects)
            first += len(frames)

    def _describe(self, chunk: Chunk, state: VideoState, with_objects: bool) -> dict[str, Sampled]:
        """One chunk's rows of the streams that need objects, or of those that do not; advances their states."""
        streams: dict[str, Sampled] = {}
        for name, extractor in self.extractors.items():
            if extractor.needs_objects == with_objects:
                with time_stage(state.seconds, name):
                    streams[name], state.streams[name] = extractor.extract(chunk, state.streams[name])
        return streams


class _Look(NamedTuple):
    """A chunk and the entities of its objects; None until they are looked for."""

    chunk: Chunk
    objects: Sampled | None


def _every(frame_rate_hz: float, rate_hz: float | None) -> int:
    """How many frames there are per sample."""
    return 1 if rate_hz is None else max(round(frame_rate_hz / rate_hz), 1)


def _runs(frames: Iterable[LumaFrame], step_s: float) -> Iterator[Iterator[LumaFrame]]:
    """The frames between holes; each run is to be used up before the next."""
    last_s, number = 0.0, 0

    def run_of(sample: LumaFrame) -> int:
        nonlocal last_s, number
        number += sample.frame.time_s - last_s > 1.5 * step_s
        last_s = sample.frame.time_s
        return number

    return (run for _, run in itertools.groupby(frames, run_of))


def _distinct(frames: list[LumaFrame]) -> tuple[UInt8[Tensor, "distinct height width 3"], Tensor]:
    """The pictures without repetitions, and for each frame the number of its picture.

    A picture in which nothing moved since the last one that was taken is not looked at again: where a camera stands
    still and nobody passes, most are such.
    """
    pictures: list[Tensor] = []
    blocks: list[Tensor] = []
    copy_of: list[int] = []
    for sample in frames:
        image = sample.frame.image
        if not pictures or (image is not pictures[-1] and not torch.equal(image, pictures[-1])):
            mean = _block_means(image)
            if not pictures or float((mean - blocks[-1]).abs().max()) > STILL_LEVELS:
                pictures.append(image)
                blocks.append(mean)
        copy_of.append(len(pictures) - 1)
    return torch.stack(pictures), torch.tensor(copy_of)


def _block_means(image: UInt8[Tensor, "height width 3"]) -> Float[Tensor, "3 rows columns"]:
    """Noise of a sensor averages out over a block, and what moves from one to the next does not.

    Blocks overlap by half: only what is smaller than that can move within one unseen. Those at the edges are smaller.
    """
    planar = image.permute(2, 0, 1).float()
    side = min(STILL_BLOCK_PX, *planar.shape[1:])
    return F.avg_pool2d(planar, side, max(side // 2, 1), ceil_mode=True)
