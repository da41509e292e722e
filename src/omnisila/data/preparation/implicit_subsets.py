"""Hawkeye's two sets, in which nothing explicit helps: S-S of TSL-300 and S-D of UCF-Crime.

S-S keeps negative events only. Where a face shows in one, its time is excluded: it is neither an event nor, as if
nothing happened there, a quiet stretch. Its footage is muted (``sets.write_muted``).
S-D needs times that UCF-Crime does not publish for its 810 training anomalies: a user's table of segments, or the weak
variant, in which a training anomaly fills its video; that variant has a name of its own so that it is never mistaken.

Source: Hawkeye 4.1.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from omnisila.data.annotated import AnnotatedVideo
from omnisila.data.annotation_files import read_rows
from omnisila.data.preparation.durations import Durations
from omnisila.data.preparation.left_out import LeftOut
from omnisila.errors import MediaError
from omnisila.labels import label_set
from omnisila.media.sampling import frames_at, uniform_times
from omnisila.scenes.nets.mtcnn import MTCNN
from omnisila.schema import Span, Truth

ShowsFace = Callable[[AnnotatedVideo, Span], bool]


class Kept(NamedTuple):
    """A video with the stretches that no example may touch."""

    video: AnnotatedVideo
    excluded: tuple[Span, ...] = ()


class FaceFinder:
    """Tells whether a face shows in any of some frames spread over a stretch of footage.

    Args:
        frames: how many frames are looked at.
    """

    def __init__(self, detector: MTCNN, footage: Path, frames: int = 8) -> None:
        self._detector, self._footage, self._frames = detector, footage, frames

    def __call__(self, video: AnnotatedVideo, span: Span) -> bool:
        """Whether a face shows.

        Raises:
            MediaError: the footage cannot be read.
        """
        times_s = uniform_times(span.start_s, span.end_s, self._frames)
        shown = frames_at(self._footage / video.path, times_s, long_side_px=480)
        return any(len(self._detector.detect(frame.image[None])[0].scores) > 0 for frame in shown)


def s_s(videos: Iterable[AnnotatedVideo], shows_face: ShowsFace, left_out: LeftOut) -> Iterator[Kept]:
    """Negative events in which no face shows; every readable video stays, for its quiet time."""
    for video in videos:
        negative = label_set(video.label_set).negative
        events = [truth for truth in video.truth or () if truth.label in negative]
        try:
            faced = [truth for truth in events if shows_face(video, truth.span)]
        except MediaError as error:
            left_out.add("footage cannot be read", f"{video.path}: {error}")
            continue
        for truth in faced:
            left_out.add("a face shows in the event", f"{video.id} {truth.span.start_s:g}-{truth.span.end_s:g} s")
        yield Kept(
            video.replace(truth=tuple(truth for truth in events if truth not in faced)),
            tuple(truth.span for truth in faced),
        )


def s_d(
    videos: Iterable[AnnotatedVideo], segments: Mapping[str, tuple[Span, ...]], left_out: LeftOut
) -> Iterator[Kept]:
    """Videos of known times; those whose times are unknown take the user's segments, by file name without suffix.

    Segments that fit no video are told when all videos have been read.
    """
    strangers = dict.fromkeys(segments)
    for video in videos:
        strangers.pop(PurePosixPath(video.path).stem, None)
        if video.truth is not None:
            yield Kept(video)
            continue
        spans = segments.get(PurePosixPath(video.path).stem)
        if spans is None or video.video_label is None:
            left_out.add("no segment given for an anomaly of unknown time", video.path)
            continue
        yield Kept(video.replace(truth=tuple(Truth(span=span, label=video.video_label) for span in spans)))
    for name in strangers:
        left_out.add("segments of no video of the set", name)


def s_d_weak(videos: Iterable[AnnotatedVideo], durations: Durations) -> Iterator[Kept]:
    """As ``s_d``, but an anomaly of unknown time fills its whole video: a weak label, right only somewhere in it."""
    for video in videos:
        if video.truth is not None or video.video_label is None:
            yield Kept(video)
            continue
        duration_s = durations.of(video)
        if duration_s is None:
            continue
        whole = Truth(span=Span(start_s=0.0, end_s=duration_s), label=video.video_label)
        yield Kept(video.replace(truth=(whole,), duration_s=duration_s))


def read_segments(table: Path) -> dict[str, tuple[Span, ...]]:
    """A user's segments: a CSV with the columns video, start_s, end_s, one row an event, in any order.

    Raises:
        DataSetError: the file is missing, lacks a column, or a row holds no span.
    """
    found: defaultdict[str, list[Span]] = defaultdict(list)
    for row in read_rows(table, ("video", "start_s", "end_s")):
        found[PurePosixPath(row["video"]).stem] += row.spans(f"{row['start_s']}-{row['end_s']}")
    return {video: tuple(sorted(spans, key=lambda span: span.start_s)) for video, spans in found.items()}
