"""Long videos with known event times, joined from short clips of one data set: Normal, event, Normal, ...

A plan says what follows what; it can be played from cached windows, or written as a real video file.
"""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame

from omnisila.config import Frozen
from omnisila.data.clips.clip import Clip
from omnisila.labels import label_set
from omnisila.media.frames import Frame
from omnisila.media.transforms import channels_first, letterbox
from omnisila.media.video import VideoReader
from omnisila.schema import Span, Truth


class Part(Frozen):
    """One clip of a join, from the join's second ``start_s`` on, for whole seconds."""

    clip: Clip
    start_s: float
    end_s: float


class Join(Frozen):
    """Clips in a row, and when what happens in them."""

    name: str
    labels: str
    parts: tuple[Part, ...]
    truth: tuple[Truth, ...]

    @property
    def duration_s(self) -> float:
        return self.parts[-1].end_s


def planned_joins(
    clips: Sequence[Clip],
    durations_s: Mapping[str, float],
    labels: str = "implicit",
    count: int = 8,
    normal_run: tuple[int, int] = (2, 6),
    event_run: tuple[int, int] = (1, 4),
    events: int = 2,
    seed: int = 0,
) -> tuple[Join, ...]:
    """Joins for each data set that has clips with and without events.

    Runs of calm clips and of event clips take turns, starting and ending calm. Clips are drawn without repeats until
    the set runs out of them. Only the whole seconds of a clip are used, so that windows of one second tile the join.

    Args:
        clips: usually those of one held-out fold; clips shorter than a second are left out.
        durations_s: a clip's path -> its length; 1 for stills, which stand for a second.
        labels: the label set that says what an event is.
        count: joins for each data set.
        normal_run: fewest and most calm clips in a row.
        event_run: fewest and most event clips in a row.
        events: runs of event clips in each join.
        seed: draws the clips.
    """
    joins: list[Join] = []
    quiet = label_set(labels).quiet
    usable = [clip for clip in clips if labels in clip.labels and durations_s[clip.path] >= 1]
    for set_name in sorted({clip.set_name for clip in usable}):
        ours = sorted((clip for clip in usable if clip.set_name == set_name), key=lambda clip: clip.path)
        calm = [clip for clip in ours if clip.labels[labels] == quiet]
        eventful = [clip for clip in ours if clip.labels[labels] != quiet and clip.events is None]
        if not calm or not eventful:
            continue
        random = np.random.default_rng([seed, *set_name.encode()])
        calm_deck, event_deck = _deck(calm, random), _deck(eventful, random)
        for number in range(count):
            row: list[Clip] = []
            for _ in range(events):
                row += [next(calm_deck) for _ in range(random.integers(normal_run[0], normal_run[1] + 1))]
                row += [next(event_deck) for _ in range(random.integers(event_run[0], event_run[1] + 1))]
            row += [next(calm_deck) for _ in range(random.integers(normal_run[0], normal_run[1] + 1))]
            joins.append(joined(f"{set_name}-{number}", row, durations_s, labels))
    return tuple(joins)


def joined(name: str, clips: Sequence[Clip], durations_s: Mapping[str, float], labels: str) -> Join:
    """The clips in a row; touching spans of one label are one event."""
    parts: list[Part] = []
    at_s = 0.0
    for clip in clips:
        end_s = at_s + int(durations_s[clip.path] + 1e-3)
        parts.append(Part(clip=clip, start_s=at_s, end_s=end_s))
        at_s = end_s
    truth: list[Truth] = []
    for part in parts:
        for start_s, end_s in _events(part, labels):
            if truth and truth[-1].span.end_s >= start_s and truth[-1].label == part.clip.labels[labels]:
                start_s = truth.pop().span.start_s
            truth.append(Truth(span=Span(start_s=start_s, end_s=end_s), label=part.clip.labels[labels]))
    return Join(name=name, labels=labels, parts=tuple(parts), truth=tuple(truth))


def write_join(
    join: Join, root: Path, path: Path, rate_hz: float = 12.0, width_px: int = 320, height_px: int = 240
) -> None:
    """The join as a real H.264 file without sound; clips of other proportions get black bars.

    Raises:
        MediaError: a clip cannot be read.
    """
    rate = Fraction(rate_hz).limit_denominator(1001)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "23", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = width_px, height_px, "yuv420p"
        for index, frame in enumerate(join_frames(join, root, rate_hz)):
            boxed = letterbox(channels_first(frame.image)[None], height_px, width_px).images[0]
            pixels = boxed.round().clamp(0, 255).byte().movedim(0, -1).contiguous().numpy()
            picture = VideoFrame.from_ndarray(pixels, "rgb24")
            picture.pts, picture.time_base = index, 1 / rate
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def join_frames(join: Join, root: Path, rate_hz: float) -> Iterator[Frame]:
    """The join's frames on a regular grid, each of its own clip's size."""
    for part in join.parts:
        length_s = part.end_s - part.start_s
        for frame in VideoReader(part.clip.file(root)).at_rate(rate_hz, end_s=length_s):
            yield Frame(part.start_s + frame.time_s, frame.image)


def _deck(clips: Sequence[Clip], random: np.random.Generator) -> Iterator[Clip]:
    while True:
        for index in random.permutation(len(clips)):
            yield clips[index]


def _events(part: Part, labels: str) -> list[tuple[float, float]]:
    """When a part's label holds, in the join's seconds."""
    clip = part.clip
    if clip.labels[labels] == label_set(labels).quiet:
        return []
    if clip.events is None:
        return [(part.start_s, part.end_s)]
    moved = ((part.start_s + event.start_s, min(part.start_s + event.end_s, part.end_s)) for event in clip.events)
    return [(start_s, end_s) for start_s, end_s in moved if end_s > start_s]
