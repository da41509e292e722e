"""Annotated footage as its file is: how long, and which; without the file, as annotation or the user's table say."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from omnisila.data.annotated import AnnotatedVideo
from omnisila.data.annotation_files import read_rows
from omnisila.data.preparation.left_out import LeftOut
from omnisila.errors import MediaError
from omnisila.media.video import probe, sha256

_SAME_S = 0.1  # containers round, and published durations are those of other copies
_UNKNOWN = "duration not annotated; give --footage or --durations"


class Durations:
    """Durations in seconds; footage that is missing or unreadable is left out, named and counted.

    Where the file is at hand it is believed, and a stated duration that differs is told.

    Args:
        footage: the folder that the annotations' paths are relative to; None: only what annotations say counts.
        left_out: takes what has no duration.
        table: a user's durations by file name without suffix (``read_durations``), for want of footage.
    """

    def __init__(self, footage: Path | None, left_out: LeftOut, table: Mapping[str, float] | None = None) -> None:
        self._footage, self._left_out, self._table = footage, left_out, table or {}

    def of(self, video: AnnotatedVideo) -> float | None:
        """The video's duration, or None when it cannot be known; that is then accounted for."""
        stated_s = video.duration_s or self._table.get(PurePosixPath(video.path).stem)
        if self._footage is None:
            if stated_s is None:
                self._left_out.add(_UNKNOWN, video.path)
            return stated_s
        file_s = self.of_file(video.path)
        if stated_s is not None and file_s is not None and abs(stated_s - file_s) > _SAME_S:
            what = f"{video.path}: {stated_s:g} s stated, {file_s:g} s in the file"
            self._left_out.note_change("the file lasts otherwise than stated, and is believed", what)
        return file_s

    def sha256_of(self, name: str) -> str | None:
        """The file's SHA-256; None where it is not at hand."""
        if self._footage is None:
            return None
        try:
            return sha256(self._footage / name)
        except MediaError:
            return None

    def at_hand(self, name: str) -> bool:
        """Whether a file is in the footage folder, where one is given; its absence is accounted for."""
        if self._footage is None or (self._footage / name).is_file():
            return True
        self._left_out.add(f"footage missing in {self._footage}", name)
        return False

    def of_file(self, name: str) -> float | None:
        """The duration that a file of the footage folder states, or None, accounted for."""
        if self._footage is None:
            self._left_out.add(_UNKNOWN, name)
            return None
        if not self.at_hand(name):
            return None
        try:
            return probe(self._footage / name).duration_s or None
        except MediaError as error:
            self._left_out.add("footage cannot be read", f"{name}: {error}")
            return None


def read_durations(table: Path) -> dict[str, float]:
    """A user's durations by file name without suffix: a CSV with the columns video, duration_s.

    Raises:
        DataSetError: the file is missing, lacks a column, or a row holds no duration.
    """
    found: dict[str, float] = {}
    for row in read_rows(table, ("video", "duration_s")):
        found[PurePosixPath(row["video"]).stem] = row.seconds("duration_s")
        if not row.seconds("duration_s"):
            raise row.error("duration_s is 0", "seconds above 0")
    return found
