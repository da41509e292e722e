"""What is given of one clip, and what its features depend on."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Self

from omnisila.errors import RecordError
from omnisila.schema import Span


@dataclass(frozen=True)
class Clip:
    """A clip to extract features of.

    Args:
        span: a stretch of the file; the whole file where it is not given.
        description: what a Video-LLM wrote of the clip, or of each of its frames.
        tables: modality -> CSV file with features that another program measured (``scenes.reaction.tables``).
    """

    path: Path
    span: Span | None = None
    description: str | tuple[str, ...] | None = None
    tables: Mapping[str, Path] = field(default_factory=dict)

    @classmethod
    def of(cls, given: "Clip | str | PathLike[str]") -> "Clip":
        """A clip as it is; of a path, the whole file with nothing beside it."""
        return given if isinstance(given, Clip) else cls(Path(given))

    def only(self, tables: Mapping[str, int], described: bool) -> Self:
        """Without what an extractor does not read, so that this does not make other features of it."""
        kept = {name: path for name, path in self.tables.items() if name in tables}
        return type(self)(self.path, self.span, self.description if described else None, kept)

    @property
    def digest(self) -> str:
        """SHA-256 over everything but the video itself.

        Raises:
            RecordError: a table cannot be read.
        """
        parts = {
            "span": [self.span.start_s, self.span.end_s] if self.span else None,
            "description": self.description,
            "tables": {name: _file_digest(path) for name, path in sorted(self.tables.items())},
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _file_digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise RecordError(f"{path}: cannot be read ({error.strerror or error}). Give a CSV file that exists.") from None
