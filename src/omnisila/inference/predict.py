"""``omnisila predict``: a system's answers to examples, one line each, in a file that a killed run goes on with."""

from collections.abc import Callable, Iterator
from itertools import groupby, islice
from pathlib import Path
from typing import NamedTuple

from omnisila.errors import InputError, OmnisilaError
from omnisila.inference.inputs import Failure
from omnisila.inference.systems import System
from omnisila.records import append, cut_half_line, records
from omnisila.schema import Example, Prediction

MOST_AT_ONCE = 512  # examples of one video held in memory; what is done of them is on the disk before the next


class Predicted(NamedTuple):
    """How a run ended: examples answered now, answered before, and videos that could not be, each with its reason."""

    answered: int
    before: int
    failed: tuple[Failure, ...]


def predict(
    examples: Path,
    footage: Path,
    system: System,
    out: Path,
    split: str | None = None,
    on_video: Callable[[str, int], None] | None = None,
) -> Predicted:
    """Answer every example of a split that has no answer yet.

    Args:
        examples: an ``examples.jsonl``; examples of one video stand together, as ``prepare`` writes them.
        footage: the folder that the examples' videos are in.
        system: what answers.
        out: the ``predictions.jsonl``; answers are added to it.
        split: only these examples; None: all.
        on_video: told each video's name and how many of its examples are asked.

    Raises:
        RecordError: a line of either file is malformed.
        InputError: ``out`` holds another system's answers, or no example is of that split.
        OutputError: ``out`` cannot be written.
    """
    done = _answered(out, system.name)
    before, answered = len(done), 0
    asked = False
    failed: list[Failure] = []
    wanted = (example for example in records(examples, Example) if split in (None, example.split))
    for video, group in groupby(wanted, key=lambda example: example.video):
        asked = True
        missing = (example for example in group if example.id not in done)
        while some := list(islice(missing, MOST_AT_ONCE)):
            if on_video is not None:
                on_video(video, len(some))
            try:
                for part in _of_video(system, footage / video, some):
                    append(out, part)
                    answered += len(part)
            except OmnisilaError as error:
                failed.append(Failure(video, str(error)))
                break
    if not asked:
        raise InputError(f"{examples}: no example of split {split!r}. Give another split, or leave it out for all.")
    return Predicted(answered, before, tuple(failed))


def _of_video(system: System, video: Path, examples: list[Example]) -> Iterator[list[Prediction]]:
    """The answers in portions, each of which is written before the next is asked for."""
    if not video.is_file():
        raise InputError(f"{video}: no such video. Give the folder that the examples' videos are in.")
    answers = system.predictions(video, examples)
    while portion := list(islice(answers, 32)):
        yield portion


def _answered(out: Path, name: str) -> set[str]:
    """The examples that the file answers already."""
    cut_half_line(out)
    done: set[str] = set()
    for prediction in records(out, Prediction) if out.exists() else ():
        if prediction.system != name:
            raise InputError(f"{out}: holds answers of {prediction.system}, not of {name}. Give another file.")
        done.add(prediction.example_id)
    return done
