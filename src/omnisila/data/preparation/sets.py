"""An annotated set to its stream of examples: which splits, which subset."""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from omnisila.data.annotated import AnnotatedSet, AnnotatedVideo, Malformed
from omnisila.data.causes.checking import confirmed, read_sheet
from omnisila.data.preparation.durations import Durations, read_durations
from omnisila.data.preparation.footage_sets import footage_root
from omnisila.data.preparation.group_splits import Shares, check_disjoint, resplit
from omnisila.data.preparation.implicit_subsets import FaceFinder, Kept, read_segments, s_d, s_d_weak, s_s
from omnisila.data.preparation.left_out import LeftOut
from omnisila.data.preparation.muting import muted
from omnisila.data.preparation.preparing import Preparation, described_examples, video_examples
from omnisila.data.preparation.requests import SCENE_TUNING, SetRequest
from omnisila.data.preparation.skeletons import render_skeletons
from omnisila.data.readers import set_names
from omnisila.errors import DataSetError, MediaError
from omnisila.scenes.nets.mtcnn import MTCNN
from omnisila.schema import Example


class PreparedSet(NamedTuple):
    """A stream of examples; ``left_out`` is complete when the stream has ended."""

    name: str
    examples: Iterator[Example]
    malformed: tuple[Malformed, ...]
    left_out: LeftOut


def prepared_set(request: SetRequest, annotated: Mapping[str, AnnotatedSet], preparation: Preparation) -> PreparedSet:
    """Be sure of a set's splits, and make its examples one by one.

    Args:
        annotated: what ``read_requested`` read.

    Raises:
        DataSetError: a group stands on both sides of a split, or the table of causes is malformed.
    """
    left_out = LeftOut()
    if request.name == SCENE_TUNING:
        sets = {name: _under(name, _parted(one, request)) for name, one in annotated.items()}
    else:
        sets = {name: _parted(_with_causes(one, request.causes, left_out), request) for name, one in annotated.items()}
    malformed = tuple(row for annotated in sets.values() for row in annotated.malformed)
    described = {name: annotated.described for name, annotated in sets.items() if annotated.described}
    label = f"{request.name}-{_subset_name(request)}" if request.subset else request.name

    def examples() -> Iterator[Example]:
        for annotated in sets.values():
            yield from _of_videos(label, annotated.videos, request, preparation, left_out)
        made = described_examples(described, Durations(request.footage, left_out), left_out, preparation)
        yield from _rendered(made, request, left_out) if request.render else made

    return PreparedSet(label, examples(), malformed, left_out)


def _with_causes(annotated: AnnotatedSet, table: Path | None, left_out: LeftOut) -> AnnotatedSet:
    """The set with the causes that people let stand; what is unchecked or fits no span is told."""
    if table is None:
        return annotated
    checked = read_sheet(table)
    result, strangers = confirmed(annotated, checked.causes)
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


def _rendered(examples: Iterable[Example], request: SetRequest, left_out: LeftOut) -> Iterator[Example]:
    """Examples of motions with a drawn video in ``out/footage`` in place of the joints."""
    for example in examples:
        if not example.video.endswith(".npy"):
            yield example
            continue
        drawn = f"{example.video.removesuffix('.npy')}.mp4"
        source, target = request.folder / example.video, request.out / "footage" / drawn
        try:
            if not _is_copy_of(source, target):
                render_skeletons(source, target)
                _mark_copy_of(source, target)
        except DataSetError as error:
            left_out.add("motion cannot be drawn", str(error))
            continue
        yield example.model_copy(update={"video": drawn})


def _parted(annotated: AnnotatedSet, request: SetRequest) -> AnnotatedSet:
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
    if footage is None and request.name in set_names():
        footage = footage_root(request.name, request.folder)
    durations = Durations(footage, left_out, None if request.durations is None else read_durations(request.durations))
    if request.subset == "s-s" and footage is not None:
        there = _at_hand(videos, footage, left_out)
        kept = s_s(there, FaceFinder(MTCNN.pretrained(), footage), left_out)
        kept = _muted(kept, footage, request.out, left_out)
        durations = Durations(request.out / "footage", left_out)  # the muted copies are what is asked about
    elif request.subset == "s-d" and request.segments is not None:
        kept = s_d(videos, read_segments(request.segments), left_out)
    elif request.subset == "s-d":
        kept = s_d_weak(videos, durations)
    else:
        kept = map(Kept, videos)
    return video_examples(name, kept, durations, left_out, preparation)


def _at_hand(videos: Iterable[AnnotatedVideo], footage: Path, left_out: LeftOut) -> Iterator[AnnotatedVideo]:
    for video in videos:
        if (footage / video.video).is_file():
            yield video
        else:
            left_out.add(f"footage missing in {footage}", video.video)


def _muted(kept: Iterable[Kept], footage: Path, out: Path, left_out: LeftOut) -> Iterator[Kept]:
    """The videos whose muted copy lies in ``out/footage``, at the path they have in the footage folder."""
    for item in kept:
        source, target = footage / item.video.video, out / "footage" / item.video.video
        try:
            if not _is_copy_of(source, target):  # a run that goes on after a kill
                muted(source, target)
                _mark_copy_of(source, target)
        except MediaError as error:
            left_out.add("footage cannot be muted", f"{item.video.video}: {error}")
            continue
        yield item


def _is_copy_of(source: Path, target: Path) -> bool:
    """Whether a file was made of the source as it is now; a copy carries its source's time of change."""
    return target.is_file() and source.is_file() and target.stat().st_mtime_ns == source.stat().st_mtime_ns


def _mark_copy_of(source: Path, target: Path) -> None:
    changed_ns = source.stat().st_mtime_ns
    os.utime(target, ns=(changed_ns, changed_ns))


def _subset_name(request: SetRequest) -> Literal["s-s", "s-d", "s-d-weak"]:
    if request.subset == "s-s":
        return "s-s"
    return "s-d" if request.segments is not None else "s-d-weak"
