"""Predictions, ours and those of other tools: spans of videos, or raw answers to examples.

Six forms are told apart by ending and content:

* ``.jsonl`` of ``Prediction`` records, as ``omnisila predict`` writes them;
* ``.json``: ActivityNet's results, ``{"results": {video: [{"label", "score", "segment"}]}}``;
* ``.csv`` with the columns video, start_s, end_s, label, score;
* ``.csv`` with the columns example_id, answer;
* ``.jsonl`` of objects with example_id and answer;
* ``.json`` as ``omnisila analyze`` writes it for a video, or the folder of such files.

Nothing is guessed and nothing dropped: an answer that is not of its task's form, and a video among whose spans one does
not run forward in time, are kept raw with ``parse_ok`` false, and count as malformed. Spans are a complete statement:
where a file of them has none, its system found nothing.
"""

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, NamedTuple

from omnisila.data.instructions import Located, render_label
from omnisila.data.preparation.video_examples import label_over, longest_label, overlap_s
from omnisila.errors import RecordError
from omnisila.evaluation.answers import window_ids
from omnisila.evaluation.tables import SpanRow
from omnisila.inference.parsed_answers import located_findings, parsed_answer
from omnisila.labels import LabelSet, label_set
from omnisila.records import records
from omnisila.report.analysed import analysed, analyses_below, analysis_in
from omnisila.report.exports import activitynet
from omnisila.report.exports._stated import Place, Stated, checked, json_content
from omnisila.report.imported import Imported, VideoNames
from omnisila.schema import Example, Finding, Prediction, Span, Truth

SPAN_COLUMNS = ("video", "start_s", "end_s", "label", "score")
ANSWER_COLUMNS = ("example_id", "answer")
_FORMS = (
    "predictions of omnisila (.jsonl), its analyses (.json), ActivityNet results (.json), a table with columns video, "
    "start_s, end_s, label, score (.csv), or answers with example_id and answer (.csv or .jsonl)"
)


class _Stretch(NamedTuple):
    """One span of a file, as it stands there."""

    place: Place
    video: str
    times_s: tuple[float, float]
    label: str
    score: float
    labels: str | None = None
    cause: str | None = None

    @property
    def is_forward(self) -> bool:
        return 0 <= self.times_s[0] < self.times_s[1] < math.inf


class _Answer(Stated):
    example_id: str
    answer: str
    seconds: float | None = None


def predictions_from(
    path: Path, examples: Iterable[Example], system: str | None = None, others: Iterable[Example] = ()
) -> Imported:
    """A system's predictions of the examples.

    Spans answer the locate and the identify examples of their video: a window by the label whose spans cover at least
    half of it, a whole video by the label that covers most time, as ``prepare`` makes their true answers. A video is
    known by its path, by its name, or by its name without the ending. Each label set's examples get the spans with a
    label of that set, by its own or its published name; quiet labels (Normal, neutral) are no findings.

    Args:
        path: the file, or a folder of analyses.
        examples: what was asked.
        system: what the system is to be called; by default what records call it, else the file's name.
        others: examples that are not asked now, such as those of other splits; what is about them is passed over.

    Raises:
        RecordError: the file cannot be read or is not of its form, its records name several systems, a score is no
            probability, a label belongs to no label set that was asked about, a video's name fits several, or all
            records answer other versions of the examples; the message names line or entry.
    """
    asked, others = tuple(examples), tuple(others)
    if path.is_dir():
        return analysed(analyses_below(path), asked, system)
    if path.suffix.lower() == ".jsonl" and _holds_records(path):
        return _recorded(path, asked, system, {example.id for example in others})
    stated, system, place = system, system or path.stem, Place(str(path), _FORMS)
    text = _text(path, place)
    ending = path.suffix.lower()
    if ending == ".json" and (analysis := analysis_in(path)) is not None:
        return analysed([(path, analysis)], asked, stated)
    if ending == ".json":
        results = activitynet.detections(text, place)
        return _spanned(_results(results, place), tuple(results), system, asked, others, place)
    if ending == ".jsonl":
        return _answered(_lines(text, place), system, asked, others)
    if ending == ".csv":
        rows = _rows(text, place)
        header = set(rows.fieldnames or ())
        if set(ANSWER_COLUMNS) <= header:
            return _answered(_answer_rows(rows, place), system, asked, others)
        if set(SPAN_COLUMNS) <= header:
            stretches = tuple(_span_rows(rows, place))
            return _spanned(stretches, [one.video for one in stretches], system, asked, others, place)
        raise place.within("line 1").error(f"columns {', '.join(rows.fieldnames or ()) or 'none'}")
    raise place.error(f"a file ending in {ending or 'nothing'}")


def _holds_records(path: Path) -> bool:
    """Whether the first line is an object that names its system, which raw answers do not."""
    try:
        with path.open("rb") as file:
            first = json.loads(file.readline())
    except (OSError, ValueError):
        return False  # reading it as answers says what is wrong
    return isinstance(first, dict) and "system" in first


def _recorded(path: Path, examples: Sequence[Example], system: str | None, others: Set[str]) -> Imported:
    by_id = {example.id: example for example in examples}
    said = tuple(records(path, Prediction))
    names = dict.fromkeys(one.system for one in said)
    if len(names) > 1:
        raise RecordError(f"{path}: predictions of {', '.join(names)}, wanted one system. Give each a file of its own.")
    here = by_id.keys() | others
    strangers = dict.fromkeys(one.example_id for one in said if one.example_id not in here)
    known = tuple(one for one in said if one.example_id in by_id)
    mine = tuple(one for one in known if not one.is_stale(by_id[one.example_id]))
    if known and not mine:
        raise RecordError(
            f"{path}: all {len(known)} predictions answer other versions of these examples: other times, questions or "
            "footage. Predict again; the same command redoes what has changed."
        )
    return Imported(mine, tuple(strangers), system or next(iter(names)), len(known) - len(mine))


def _spanned(
    stretches: Iterable[_Stretch],
    named: Sequence[str],
    system: str,
    examples: Sequence[Example],
    others: Sequence[Example],
    place: Place,
) -> Imported:
    """Predictions of the examples of all videos, and the spans that are of none of them."""
    label_sets = tuple(dict.fromkeys(example.labels for example in examples if example.task == "locate"))
    if not label_sets:
        raise place.error("spans, but no example asks to locate anything; prepare locate examples")
    asked = dict.fromkeys(example.video for example in examples)
    videos, elsewhere = VideoNames(asked), VideoNames(example.video for example in others)
    video_of = {name: videos.called(name, place) for name in dict.fromkeys(named)}
    strangers = tuple(name for name, video in video_of.items() if video is None and not elsewhere.called(name, place))
    said: dict[str, list[_Stretch]] = {video: [] for video in asked}
    strays: dict[str, list[SpanRow]] = {name: [] for name in label_sets}
    for one in stretches:
        if one.labels is not None and one.labels not in label_sets:
            continue  # of a label set that nothing was asked about
        if all(label_set(name).called(one.label) is None for name in label_sets):
            raise one.place.error(f"label {one.label!r} is in none of the label sets {', '.join(label_sets)}")
        if not 0 <= one.score <= 1:
            raise one.place.error(f"score {one.score:g}; map scores into [0, 1] in a way that keeps their order")
        video = video_of[one.video]
        if video is not None:
            said[video].append(one)
        if one.video in strangers or (video is not None and not one.is_forward):
            for name in label_sets:
                if label := _reportable(one, label_set(name)):
                    strays[name].append(SpanRow(video or one.video, label, *one.times_s, one.score))
    windows = window_ids(examples)
    predictions = (
        _located(example, said[example.video], system)
        if example.task == "locate"
        else _identified(example, said[example.video], example.id in windows, system)
        for example in examples
        if example.labels in label_sets and example.task in ("locate", "identify")
    )
    mentioned = set(video_of.values())
    unmentioned = tuple(video for video in asked if video not in mentioned)
    return Imported(tuple(predictions), strangers, system, strays=strays, unmentioned=unmentioned)


def _reportable(stretch: _Stretch, labels: LabelSet) -> str | None:
    """The label of the set that a span carries; None where it is the quiet one or the span is of another set."""
    label = labels.called(stretch.label) if stretch.labels in (None, labels.name) else None
    return label if label in labels.reportable else None


def _located(example: Example, stretches: Sequence[_Stretch], system: str) -> Prediction:
    findings = _findings(example, stretches)
    mine = [(label, one) for one in stretches if (label := _reportable(one, label_set(example.labels))) is not None]
    raw = [{"label": label, "score": one.score, "segment": one.times_s} for label, one in mine]
    return Prediction(
        example_id=example.id,
        system=system,
        answer=json.dumps(raw, ensure_ascii=False),
        findings=findings,
        parse_ok=len(findings) == len(mine),
    )


def _identified(example: Example, stretches: Sequence[_Stretch], is_window: bool, system: str) -> Prediction:
    """The label that spans give a stretch of time, with the best of its spans' scores."""
    labels, whole = label_set(example.labels), Span(start_s=example.start_s, end_s=example.end_s)
    found = _findings(example, stretches)
    over = label_over if is_window else longest_label
    label = over([Truth(span=one.span, label=one.label) for one in found], whole, labels.quiet or "")
    scores = [one.score for one in found if one.label == label and overlap_s(one.span, whole) > 0]
    said = located_findings([Located(label, whole)], labels.name, max(scores)) if scores else ()
    return Prediction(example_id=example.id, system=system, answer=render_label(label), findings=said)


def _findings(example: Example, stretches: Sequence[_Stretch]) -> tuple[Finding, ...]:
    """The spans of the example's label set that run forward."""
    return tuple(
        Finding(
            span=Span(start_s=one.times_s[0], end_s=one.times_s[1]),
            label=label,
            labels=example.labels,
            score=one.score,
            cause=one.cause,
        )
        for one in stretches
        if one.is_forward and (label := _reportable(one, label_set(example.labels))) is not None
    )


def _answered(
    answers: Iterable[_Answer], system: str, examples: Sequence[Example], others: Sequence[Example]
) -> Imported:
    """Raw answers, each parsed as its example's task asks."""
    by_id = {example.id: example for example in examples}
    passed_over = {example.id for example in others}
    predictions: list[Prediction] = []
    strangers: dict[str, None] = {}
    for one in answers:
        example = by_id.get(one.example_id)
        if example is not None:
            predictions.append(parsed_answer(example, one.answer, system).replace(seconds=one.seconds))
        elif one.example_id not in passed_over:
            strangers[one.example_id] = None
    return Imported(tuple(predictions), tuple(strangers), system)


def _results(results: Mapping[str, Sequence[activitynet.Detection]], place: Place) -> Iterator[_Stretch]:
    for video, found in results.items():
        for number, one in enumerate(found, start=1):
            where = place.within(f"video {video!r}, entry {number}")
            score = one.score if one.score is not None else 1.0
            yield _Stretch(where, video, one.segment, one.label, score, one.labels, one.cause)


def _lines(text: str, place: Place) -> Iterator[_Answer]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield checked(json_content(line, place, number), _Answer, place.within(f"line {number}"))


def _rows(text: str, place: Place) -> "csv.DictReader[str]":
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        _ = rows.fieldnames
    except csv.Error as error:
        raise place.within("line 1").error(error) from None
    return rows


def _complete(rows: "csv.DictReader[str]", place: Place) -> Iterator[tuple[Place, dict[str, Any]]]:
    """The rows with the line they end on; one with more or fewer fields than the header is refused."""
    try:
        for row in rows:
            where = place.within(f"line {rows.line_num}")
            if None in row or None in row.values():
                raise where.error("not as many fields as the header has")
            yield where, row
    except csv.Error as error:
        raise place.within(f"after line {rows.line_num}").error(error) from None


def _answer_rows(rows: "csv.DictReader[str]", place: Place) -> Iterator[_Answer]:
    for _, row in _complete(rows, place):
        yield _Answer(example_id=row["example_id"], answer=row["answer"])


def _span_rows(rows: "csv.DictReader[str]", place: Place) -> Iterator[_Stretch]:
    for where, row in _complete(rows, place):
        try:
            start_s, end_s, score = (float(row[column]) for column in ("start_s", "end_s", "score"))
        except ValueError as error:
            raise where.error(error) from None
        yield _Stretch(where, row["video"], (start_s, end_s), row["label"], score)


def _text(path: Path, place: Place) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise place.error(f"cannot be read ({error.strerror or error})") from None
    except UnicodeDecodeError as error:
        raise place.error(f"not UTF-8 at byte {error.start}") from None
