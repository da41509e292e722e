"""Predictions, ours and those of other tools: records, raw answers, spans of videos, or analyses.

The forms are told apart by ending and content:

* ``.jsonl`` of ``Prediction`` records, as ``omnisila predict`` writes them;
* ``.jsonl`` of objects with example_id and answer, or ``.csv`` with these columns;
* ``.json`` as ``omnisila analyze`` writes it for a video, or the folder of such files;
* a file of spans (``span_files``), or a folder of such files.

Nothing is guessed and nothing dropped: an answer that is not of its task's form is kept raw with ``parse_ok`` false,
and counts as malformed.
"""

import json
from collections.abc import Iterable, Iterator, Sequence, Set
from pathlib import Path

from omnisila.errors import RecordError
from omnisila.files import files_below
from omnisila.inference.parsed_answers import parsed_answer
from omnisila.predictions import span_files
from omnisila.predictions.analyses import answer_by_analyses, read_analysis
from omnisila.predictions.places import Place, Stated, check, json_content, read_text
from omnisila.predictions.spans import answer_by_spans
from omnisila.records import records
from omnisila.schema import Example, Prediction
from omnisila.systems import System
from omnisila.tables import read_table

ANSWER_COLUMNS = ("example_id", "answer")
_FORMS = (
    "predictions of omnisila (.jsonl), its analyses (.json), answers with example_id and answer (.csv or .jsonl), or "
    "spans: ActivityNet, FiftyOne or Label Studio (.json), ELAN (.eaf), a table with columns video, start_s, end_s, "
    "label, score (.csv)"
)


class _Answer(Stated):
    example_id: str
    answer: str
    seconds: float | None = None


def read_predictions(
    path: Path, examples: Iterable[Example], system: str | None = None, others: Iterable[Example] = ()
) -> System:
    """A system's predictions of the examples.

    Args:
        path: the file, or a folder of analyses or of files of spans.
        system: what the system is to be called; by default what records or analyses call it, else the file's name.
        others: examples that are not asked now, such as those of other splits; what is about them is passed over.

    Raises:
        RecordError: the file cannot be read or is not of its form, its records name several systems, a score is no
            probability, a label belongs to no label set that was asked about, a video's name fits several, or all
            records answer other versions of the examples; the message names line or entry.
    """
    asked, others = tuple(examples), tuple(others)
    name, place, ending = system or path.stem, Place(str(path), _FORMS), path.suffix.lower()
    if path.is_dir() or ending == ".json":
        files = files_below(path, ".json") if path.is_dir() else [path]
        analyses = [(file, analysis) for file in files if (analysis := read_analysis(file)) is not None]
        if analyses:
            return answer_by_analyses(analyses, asked, system, others)
    if path.is_dir():
        files = files_below(path, *span_files.SUFFIXES)
        if not files:
            raise RecordError(f"{path}: no analysis and no file of spans. Give a folder that omnisila analyze filled.")
        spans = [found for file in files for found in span_files.read_spans(file, Place(str(file), _FORMS))]
        return answer_by_spans(spans, name, asked, others, place)
    if ending == ".jsonl":
        if _holds_records(path):
            return _read_records(path, asked, system, {example.id for example in others})
        return _parse_answers(_answer_lines(read_text(path, place), place), name, asked, others)
    if ending == ".csv":
        table = read_table(path)
        if set(ANSWER_COLUMNS) <= set(table.header):
            answers = (_Answer(example_id=row.values["example_id"], answer=row.values["answer"]) for row in table.rows)
            return _parse_answers(answers, name, asked, others)
    return answer_by_spans(span_files.read_spans(path, place), name, asked, others, place)


def _holds_records(path: Path) -> bool:
    """Whether the first line is an object that names its system, which raw answers do not."""
    try:
        with path.open("rb") as file:
            first = json.loads(file.readline())
    except (OSError, ValueError, RecursionError):
        return False  # reading it as answers says what is wrong
    return isinstance(first, dict) and "system" in first


def _read_records(path: Path, examples: Sequence[Example], system: str | None, others: Set[str]) -> System:
    by_id = {example.id: example for example in examples}
    read = tuple(records(path, Prediction))
    names = dict.fromkeys(prediction.system for prediction in read)
    if len(names) > 1:
        raise RecordError(f"{path}: predictions of {', '.join(names)}, wanted one system. Give each a file of its own.")
    here = by_id.keys() | others
    strangers = dict.fromkeys(prediction.example_id for prediction in read if prediction.example_id not in here)
    known = tuple(prediction for prediction in read if prediction.example_id in by_id)
    mine = tuple(prediction for prediction in known if not prediction.is_stale(by_id[prediction.example_id]))
    if known and not mine:
        raise RecordError(
            f"{path}: all {len(known)} predictions answer other versions of these examples: other times, questions or "
            "footage. Predict again; the same command redoes what has changed."
        )
    return System(system or next(iter(names)), mine, tuple(strangers), len(known) - len(mine))


def _answer_lines(text: str, place: Place) -> Iterator[_Answer]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield check(json_content(line, place, number), _Answer, place.within(f"line {number}"))


def _parse_answers(
    answers: Iterable[_Answer], system: str, examples: Sequence[Example], others: Sequence[Example]
) -> System:
    """Raw answers, each parsed as its example's task asks."""
    by_id = {example.id: example for example in examples}
    passed_over = {example.id for example in others}
    predictions: list[Prediction] = []
    strangers: dict[str, None] = {}
    for stated in answers:
        example = by_id.get(stated.example_id)
        if example is not None:
            predictions.append(parsed_answer(example, stated.answer, system).replace(seconds=stated.seconds))
        elif stated.example_id not in passed_over:
            strangers[stated.example_id] = None
    return System(system, tuple(predictions), tuple(strangers))
