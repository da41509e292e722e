"""How long annotated footage is: as its annotation says, else as the file itself says."""

from pathlib import Path

from omnisila.data.annotated import AnnotatedVideo
from omnisila.data.left_out import LeftOut
from omnisila.errors import MediaError
from omnisila.media.video import probe


class Durations:
    """Durations in seconds; footage that is missing or unreadable is left out, named and counted.

    Args:
        footage: the folder that the annotations' paths are relative to; None: only what annotations say counts.
        left_out: takes what has no duration.
        must_exist: whether to leave out videos of stated duration too when their file is not in ``footage``.
    """

    def __init__(self, footage: Path | None, left_out: LeftOut, must_exist: bool = True) -> None:
        self._footage, self._left_out, self._must_exist = footage, left_out, must_exist

    def of(self, video: AnnotatedVideo) -> float | None:
        """The video's duration, or None when it cannot be known; that is then accounted for."""
        stated_s = video.duration_s or None
        if self._footage is None:
            if stated_s is None:
                self._left_out.add("duration not annotated and no footage folder given", video.video)
            return stated_s
        if stated_s is not None:
            if self._must_exist and not (self._footage / video.video).is_file():
                self._left_out.add(f"footage missing in {self._footage}", video.video)
                return None
            return stated_s
        return self.of_file(video.video)

    def of_file(self, name: str) -> float | None:
        """The duration that a file of the footage folder states, or None, accounted for."""
        if self._footage is None:
            self._left_out.add("duration not annotated and no footage folder given", name)
            return None
        path = self._footage / name
        if not path.is_file():
            self._left_out.add(f"footage missing in {self._footage}", name)
            return None
        try:
            return probe(path).duration_s or None
        except MediaError as error:
            self._left_out.add("footage cannot be read", f"{name}: {error}")
            return None
