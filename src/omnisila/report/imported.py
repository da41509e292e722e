"""What comes of reading a system's predictions, and which of the examples' videos a name in its file means."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import NamedTuple

from omnisila.evaluation.answers import NO_STRAYS, Strays
from omnisila.evaluation.scored import System
from omnisila.inference.inputs import VIDEO_SUFFIXES
from omnisila.report.exports._stated import Place
from omnisila.schema import Prediction


class Imported(NamedTuple):
    """What a system's file says about the examples.

    Attributes:
        predictions: its answers to them.
        strangers: videos or example ids in the file that no example is about.
        system: its name.
        stale: how many answers are to another version of their example, and so left out.
        strays: spans that no prediction can hold: of strangers, or not running forward.
        unmentioned: videos that the file does not name.
    """

    predictions: tuple[Prediction, ...]
    strangers: tuple[str, ...]
    system: str
    stale: int = 0
    strays: Strays = NO_STRAYS
    unmentioned: tuple[str, ...] = ()

    @property
    def scorable(self) -> System:
        """As scoring takes it."""
        return System(self.system, self.predictions, len(self.strangers), self.stale, self.strays)


class VideoNames:
    """The examples' videos by the names that other tools may give them."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = frozenset(paths)
        self._named: dict[str, set[str]] = defaultdict(set)
        for path in sorted(self._paths):
            self._named[PurePosixPath(path).name].add(path)
            self._named[PurePosixPath(path).stem].add(path)

    def called(self, name: str, place: Place) -> str | None:
        """The video that a name means, or None.

        Raises:
            RecordError: it may mean several.
        """
        if name in self._paths:
            return name
        path = PurePosixPath(name.replace("\\", "/"))
        ends = ("/".join(path.parts[first:]) for first in range(1, len(path.parts)))
        if (end := next((end for end in ends if end in self._paths), None)) is not None:
            return end  # a path from further up
        stem = path.stem if path.suffix.lower() in VIDEO_SUFFIXES else path.name
        fitting = sorted(self._named.get(path.name) or self._named.get(stem) or ())
        if len(fitting) > 1:
            raise place.error(f"video {name!r} may be {' or '.join(fitting[:3])}; name it by its path")
        return fitting[0] if fitting else None
