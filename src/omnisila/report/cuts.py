"""Clips of findings cut from their source into files: each named by number, time and label."""

import contextlib
import re
from collections.abc import Collection
from os import PathLike
from pathlib import Path
from typing import NamedTuple

from omnisila.errors import MediaError
from omnisila.files import remove, write_atomically
from omnisila.inference.inputs import CLIP_NAME
from omnisila.media.clips import AS_FILMED, cut
from omnisila.media.video import VideoReader
from omnisila.report.exports import whole_milliseconds
from omnisila.report.faces import FaceFinder
from omnisila.schema import Analysis, Finding

MAX_CUT_BYTES = 500_000_000  # of one clip; longer ones are coded more tightly
_MAX_LABEL_CHARS = 40  # of a name: file systems allow 255 bytes, and a character may need four
_HIDDEN = "_faces-hidden"


class Cuts(NamedTuple):
    """The clips in the order of the findings, and why others could not be cut."""

    files: tuple[Path, ...]
    failed: tuple[str, ...] = ()


def write_cuts(
    video: str | PathLike[str],
    analysis: Analysis,
    folder: Path,
    *,
    finder: FaceFinder | None = None,
    again: bool = True,
) -> Cuts:
    """Cut every finding from the video, without sound, in the size it was filmed in.

    Clips of an earlier run that do not hold any more are taken out of the folder first; other files stay. Whether faces
    are hidden stands in the name, so that no clip that shows them passes for one that does not.

    Args:
        folder: of this video's clips alone; made when there is something to cut.
        finder: hides every face, where given.
        again: cut all anew; False goes on with a run that was stopped.

    Raises:
        MediaError: the video cannot be opened at all; a finding that cannot be read is listed as failed.
        OutputError: a clip cannot be written, or an old one not removed.
    """
    reader = VideoReader(video)
    names = [cut_name(number, finding, finder is not None) for number, finding in enumerate(analysis.findings, start=1)]
    remove_cuts(folder, keep=() if again else names)
    files: list[Path] = []
    failed: list[str] = []
    for path, finding in zip((folder / name for name in names), analysis.findings, strict=True):
        if not path.is_file():
            start_s, end_s = finding.span.start_s, finding.span.end_s
            try:
                blur_at = finder.over(reader, start_s, end_s) if finder else None
                data = cut(video, start_s, end_s, MAX_CUT_BYTES, ladder=AS_FILMED, blur_at=blur_at)
            except MediaError as error:
                failed.append(str(error))
                continue
            write_atomically(path, data)
        files.append(path)
    return Cuts(tuple(files), tuple(failed))


def cut_name(number: int, finding: Finding, faces_hidden: bool = False) -> str:
    """``003_8.000-14.250s_Traffic-Accidents.mp4``: sorts as the findings do and is a name on every system."""
    start_ms, end_ms = whole_milliseconds(finding.span)
    label = re.sub(r"[\W_]+", "-", finding.label).strip("-")[:_MAX_LABEL_CHARS] or "finding"
    return f"{number:03}_{start_ms / 1000:.3f}-{end_ms / 1000:.3f}s_{label}{_HIDDEN if faces_hidden else ''}.mp4"


def remove_cuts(folder: Path, keep: Collection[str] = ()) -> None:
    """Take the clips of an earlier analysis out of their folder, and the folder when nothing else is in it.

    Raises:
        OutputError: one cannot be removed.
    """
    for path in folder.glob("*.mp4"):
        if CLIP_NAME.fullmatch(path.name) and path.name not in keep:
            remove(path)
    with contextlib.suppress(OSError):  # other files are in it, or it is missing
        folder.rmdir()
