"""An annotated set to its stream of examples: which splits, which subset."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import av
from av.error import FFmpegError

from omnisila.data.annotated import AnnotatedSet, AnnotatedVideo, Malformed
from omnisila.data.causes.checking import apply_causes, read_sheet
from omnisila.data.preparation.durations import Durations, read_durations
from omnisila.data.preparation.group_splits import Shares, check_disjoint, resplit
from omnisila.data.preparation.implicit_subsets import FaceFinder, Kept, read_segments, s_d, s_d_weak, s_s
from omnisila.data.preparation.left_out import LeftOut
from omnisila.data.preparation.preparing import described_examples, video_examples
from omnisila.data.preparation.requests import SCENE_TUNING, Preparation, SetRequest
from omnisila.data.preparation.skeletons import render_skeletons
from omnisila.data.sets import data_set, footage_root
from omnisila.errors import DataSetError, MediaError
from omnisila.files import check_writable, path_aside
from omnisila.media.container import check_file, open_container, video_stream
from omnisila.scenes.nets.mtcnn import MTCNN
from omnisila.schema import Example


class PreparedSet(NamedTuple):
    """A stream of examples; ``left_out`` is complete when the stream has ended."""

    name: str
    examples: Iterator[Example]
    malformed: tuple[Malformed, ...]
    left_out: LeftOut


def prepare_set(request: SetRequest, annotated: Mapping[str, AnnotatedSet], preparation: Preparation) -> PreparedSet:
    """Be sure of a set's splits, and make its examples one by one.

    Args:
        annotated: what ``read_requested`` read.

    Raises:
        DataSetError: a group stands on both sides of a split, or the table of causes is malformed.
    """
    left_out = LeftOut()
    if request.name == SCENE_TUNING:
        sets = {name: _under(name, _resplit(read, request)) for name, read in annotated.items()}
    else:
        sets = {
            name: _resplit(_with_causes(read, request.causes, left_out), request) for name, read in annotated.items()
        }
    malformed = tuple(row for annotated in sets.values() for row in annotated.malformed)
    described = {name: annotated.described for name, annotated in sets.items() if annotated.described}
    is_weak = request.subset == "s-d" and request.segments is None
    label = "-".join((request.name, *([request.subset] if request.subset else []), *(["weak"] if is_weak else [])))

    def examples() -> Iterator[Example]:
        for annotated in sets.values():
            yield from _of_videos(label, annotated.videos, request, preparation, left_out)
        made = described_examples(described, Durations(request.footage, left_out), left_out, preparation)
        yield from _render_motions(made, request, left_out) if request.render else made

    return PreparedSet(label, examples(), malformed, left_out)


def _with_causes(annotated: AnnotatedSet, table: Path | None, left_out: LeftOut) -> AnnotatedSet:
    """The set with the causes that people let stand; what is unchecked or fits no span is told."""
    if table is None:
        return annotated
    checked = read_sheet(table)
    result, strangers = apply_causes(annotated, checked.causes)
    for name in checked.unchecked:
        left_out.add("cause nobody checked", name)
    for name in strangers:
        left_out.add("checked cause of no span", name)
    return result.replace(malformed=(*result.malformed, *checked.malformed))


def _under(name: str, annotated: AnnotatedSet) -> AnnotatedSet:
    """The set with its sources as seen from the folder above it, and groups that no other set has."""
    moved = (
        item.model_copy(update={"source": f"{name}/{item.source}", "group": f"{name}/{item.group}"})
        for item in annotated.described
    )
    return annotated.model_copy(update={"described": tuple(moved)})


def _render_motions(examples: Iterable[Example], request: SetRequest, left_out: LeftOut) -> Iterator[Example]:
    """Examples of motions with a drawn video in ``out/footage`` in place of the joints."""
    for example in examples:
        if not example.video.endswith(".npy"):
            yield example
            continue
        drawn = f"{example.video.removesuffix('.npy')}.mp4"
        try:
            _make(render_skeletons, request.folder / example.video, request.out / "footage" / drawn)
        except DataSetError as error:
            left_out.add("motion cannot be drawn", str(error))
            continue
        yield example.model_copy(update={"video": drawn})


def _resplit(annotated: AnnotatedSet, request: SetRequest) -> AnnotatedSet:
    """The set with splits that no group crosses."""
    if request.resplit:
        changes = {
            "videos": tuple(resplit(annotated.videos, Shares())),
            "described": tuple(resplit(annotated.described, Shares())),
        }
        return annotated.model_copy(update=changes)
    check_disjoint(annotated.name, (*annotated.videos, *annotated.described))
    return annotated


def _of_videos(
    name: str, videos: tuple[AnnotatedVideo, ...], request: SetRequest, preparation: Preparation, left_out: LeftOut
) -> Iterator[Example]:
    footage = request.footage
    if footage is None and request.name != SCENE_TUNING and data_set(request.name).is_footage:
        footage = footage_root(request.name, request.folder)
    originals = Durations(footage, left_out, None if request.durations is None else read_durations(request.durations))
    durations = originals
    if request.subset == "s-s" and footage is not None:
        there = (video for video in videos if originals.at_hand(video.path))
        kept = s_s(there, FaceFinder(MTCNN.pretrained(), footage), left_out)
        kept = _mute_videos(kept, footage, request.out, left_out)
        durations = Durations(request.out / "footage", left_out)  # the muted copies are what is asked about
    elif request.subset == "s-d" and request.segments is not None:
        kept = s_d(videos, read_segments(request.segments), left_out)
    elif request.subset == "s-d":
        kept = s_d_weak(videos, originals)
    else:
        kept = map(Kept, videos)
    return video_examples(name, kept, durations, left_out, preparation)


def _mute_videos(kept: Iterable[Kept], footage: Path, out: Path, left_out: LeftOut) -> Iterator[Kept]:
    """The videos whose muted copy lies in ``out/footage``, at the path they have in the footage folder."""
    for item in kept:
        try:
            _make(write_muted, footage / item.video.path, out / "footage" / item.video.path)
        except MediaError as error:
            left_out.add("footage cannot be muted", f"{item.video.path}: {error}")
            continue
        yield item


def _make(write: Callable[[Path, Path], None], source: Path, target: Path) -> None:
    """Write a target, unless it was made of the source as it is now: it then carries the source's time of change."""
    changed_ns = source.stat().st_mtime_ns if source.is_file() else None
    if changed_ns is None or not target.is_file() or target.stat().st_mtime_ns != changed_ns:
        write(source, target)
        changed_ns = source.stat().st_mtime_ns
        os.utime(target, ns=(changed_ns, changed_ns))


def write_muted(source: Path, target: Path) -> None:
    """Write the video of ``source`` to ``target`` without sound, so that no model can hear what it should see.

    It appears in one piece; nothing is encoded again.

    Args:
        target: its suffix tells the container, usually that of the source.

    Raises:
        MediaError: the source is no video, or its pictures do not fit the target's container.
        OutputError: the target's folder cannot be written to.
    """
    check_file(source)
    check_writable(target.parent)
    try:
        with (
            path_aside(target, target.suffix) as aside,
            open_container(source) as read,
            av.open(str(aside), "w") as written,
        ):
            stream = video_stream(source, read)
            copied = written.add_stream_from_template(stream)
            for packet in read.demux(stream):
                if packet.dts is not None:  # the last, empty packet flushes decoders; there is none here
                    packet.stream = copied
                    written.mux(packet)
    except (FFmpegError, ValueError) as error:
        raise MediaError(f"{source}: cannot be copied without sound ({error}). Convert it to mp4 first.") from error
