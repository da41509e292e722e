"""An ``examples.jsonl`` that is read where it lies: a million examples take eight megabytes, not gigabytes."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from omnisila.errors import RecordError
from omnisila.records import record
from omnisila.schema import Example


class ExampleFile:
    """Some of the examples of a file, by their place among those.

    Args:
        path: as ``omnisila prepare`` writes it; must not change while this is in use.
        wanted: which examples count.

    Attributes:
        videos: how many of the examples each video has.

    Raises:
        RecordError: the file cannot be read, or a line is no example.
    """

    def __init__(self, path: Path, wanted: Callable[[Example], bool]) -> None:
        self.path = path
        begins: list[int] = []
        self.videos: Counter[str] = Counter()
        at = 0
        try:
            with path.open("rb") as file:
                for number, line in enumerate(file, 1):
                    if line.strip():
                        example = record(path, number, line, Example)
                        if wanted(example):
                            begins.append(at)
                            self.videos[example.video] += 1
                    at += len(line)
        except OSError as error:
            raise RecordError(f"{path}: cannot be read ({error.strerror or error}). Give an examples.jsonl.") from None
        self._begins = np.array(begins, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._begins)

    def __getitem__(self, place: int) -> Example:
        with self.path.open("rb") as file:
            file.seek(int(self._begins[place]))
            return Example.model_validate_json(file.readline())
