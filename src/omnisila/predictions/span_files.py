"""Spans in the files of other programs, as they stand there; times and scores are checked by ``answer_by_spans``.

* ``.json``: ActivityNet's results or ground truth, ``{"results": {video: [{"label", "score", "segment"}]}}``;
* ``.json``: FiftyOne's temporal detections, ``{"labels": {video: [{"label", "timestamps", "confidence"}]}}``;
* ``.json``: a Label Studio project's export, or tasks of ``omnisila analyze --format label_studio``;
* ``.eaf``: ELAN, with tiers of the types that ``omnisila analyze --format elan`` writes;
* ``.csv`` with the columns video, start_s, end_s, label, score, as ``--format csv`` writes it too.

What a person corrected or added counts as certain.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from omnisila.predictions.places import Place, Stated, check, json_content, read_text
from omnisila.predictions.spans import StatedSpan
from omnisila.tables import read_table

SUFFIXES = (".json", ".csv", ".eaf")
SPAN_COLUMNS = ("video", "start_s", "end_s", "label", "score")
ELAN_LABELS, ELAN_CAUSE, ELAN_SCORE = "labels: ", "cause", "score"  # types of tiers; a label set follows the first
STUDIO_LABELS, STUDIO_CAUSE = "labels:", "cause"  # names of controls; a label set follows the first
MEASURED_ROWS = ("whole video", "window")  # of a CSV: intensities, which are no findings
_ESCAPED = re.compile(r"\\u([0-9a-f]{4})")

VideoSpans = tuple[str, list[StatedSpan]]


class _Detection(Stated):
    label: str
    segment: tuple[float, float]
    score: float | None = None
    labels: str | None = None
    cause: str | None = None


class _Annotated(Stated):
    annotations: tuple[_Detection, ...] = ()


class _ActivityNet(Stated):
    results: dict[str, tuple[_Detection, ...]] | None = None
    database: dict[str, _Annotated] | None = None


class _Attributes(Stated):
    labels: str | None = None
    cause: str | None = None


class _TemporalDetection(Stated):
    label: str
    timestamps: tuple[float, float]
    confidence: float = 1.0
    attributes: _Attributes = _Attributes()


class _FiftyOne(Stated):
    labels: dict[str, tuple[_TemporalDetection, ...] | None]


class _Range(Stated):
    start: int
    end: int


class _Value(Stated):
    ranges: tuple[_Range, ...] = ()
    timelinelabels: tuple[str, ...] = ()
    text: tuple[str, ...] | str = ()


class _Region(Stated):
    """A part of an annotation; relations between regions have neither id nor value."""

    type: str
    id: str = ""
    from_name: str = ""
    value: _Value = _Value()
    score: float | None = None


class _Judged(Stated):
    result: tuple[_Region, ...] = ()
    was_cancelled: bool = False
    updated_at: str = ""


class _Data(Stated):
    video: str
    fps: float = 24.0
    path: str | None = None


class _Task(Stated):
    data: _Data
    annotations: tuple[_Judged, ...] = ()
    predictions: tuple[_Judged, ...] = ()


def read_spans(path: Path, place: Place) -> list[VideoSpans]:
    """The videos of a file with their spans.

    Raises:
        RecordError: the file cannot be read, or is of none of the forms; the message names line, entry or region.
    """
    ending = path.suffix.lower()
    if ending == ".csv":
        return list(_table(path, place))
    if ending == ".eaf":
        return [_elan(read_text(path, place), path.stem, place)]
    if ending != ".json":
        raise place.error(f"a file ending in {ending or 'nothing'}")
    content = json_content(read_text(path, place), place)
    if not isinstance(content, dict) or "data" in content:
        return list(_label_studio(content if isinstance(content, list) else [content], place))
    return list(_fiftyone_rows(content, place) if "labels" in content else _activitynet(content, place))


def _table(path: Path, place: Place) -> Iterator[VideoSpans]:
    table = read_table(path)
    if not set(SPAN_COLUMNS) <= set(table.header):
        raise place.within("line 1").error(f"columns {', '.join(table.header) or 'none'}")
    for row in table.rows:
        values, where = row.values, place.within(f"line {row.line}")
        if values.get("row") in MEASURED_ROWS:
            continue
        try:
            start_s, end_s, score = (float(values[column]) for column in ("start_s", "end_s", "score"))
        except ValueError as error:
            raise where.error(error) from None
        labels, cause = values.get("labels") or None, values.get("cause") or None
        yield values["video"], [StatedSpan(where, (start_s, end_s), values["label"], score, labels, cause)]


def _activitynet(content: object, place: Place) -> Iterator[VideoSpans]:
    """Entries of ground truth have no score."""
    file = check(content, _ActivityNet, place)
    if file.results is None and file.database is None:
        raise place.error("neither results nor a database")
    videos = file.results or {name: video.annotations for name, video in (file.database or {}).items()}
    for video, entries in videos.items():
        spans: list[StatedSpan] = []
        for number, entry in enumerate(entries, start=1):
            where = place.within(f"video {video!r}, entry {number}")
            if entry.score is None and file.results is not None:
                raise where.error("no score")
            score = 1.0 if entry.score is None else entry.score
            spans.append(StatedSpan(where, entry.segment, entry.label, score, entry.labels, entry.cause))
        yield video, spans


def _fiftyone_rows(content: object, place: Place) -> Iterator[VideoSpans]:
    for video, entries in check(content, _FiftyOne, place).labels.items():
        where = place.within(f"video {video!r}")
        yield (
            video,
            [
                StatedSpan(
                    where,
                    entry.timestamps,
                    entry.label,
                    entry.confidence,
                    entry.attributes.labels,
                    entry.attributes.cause,
                )
                for entry in entries or ()
            ],
        )


def _label_studio(tasks: Sequence[Any], place: Place) -> Iterator[VideoSpans]:
    """A person's regions where one has checked the task, else the predicted ones.

    Of several annotations the latest counts, skipped ones never. A region that a person let stand keeps its score.
    """
    for number, content in enumerate(tasks, start=1):
        where = place.within(f"task {number}")
        task = check(content, _Task, where)
        if task.data.fps <= 0:
            raise where.error(f"{task.data.fps:g} frames a second")
        predicted = _regions(task.predictions[-1].result if task.predictions else (), task.data.fps, where)
        judged = [annotation for annotation in task.annotations if not annotation.was_cancelled]
        holds = predicted
        if judged:
            latest = max(judged, key=lambda annotation: annotation.updated_at)
            holds = _regions(latest.result, task.data.fps, where)
            for name, span in holds.items():
                before = predicted.get(name)
                same = before is not None and span._replace(score=before.score) == before
                holds[name] = before if before is not None and same else span._replace(score=1.0)
        yield task.data.path or task.data.video, list(holds.values())


def _regions(results: Sequence[_Region], rate_hz: float, place: Place) -> dict[str, StatedSpan]:
    """Spans by the id of their region; frames are counted from 1, and the last one is inside."""
    causes = {
        region.id: region.value.text if isinstance(region.value.text, str) else "\n".join(region.value.text)
        for region in results
        if region.type == "textarea" and region.from_name == STUDIO_CAUSE
    }
    found: dict[str, StatedSpan] = {}
    for region in results:
        if region.type != "timelinelabels":
            continue
        where, value = place.within(f"region {region.id!r}"), region.value
        if len(value.ranges) != 1 or len(value.timelinelabels) != 1:
            raise where.error(f"{len(value.ranges)} ranges and {len(value.timelinelabels)} labels, not one each")
        if region.id in found:
            raise where.error("the region stands twice")
        (frames,), (label,) = value.ranges, value.timelinelabels
        times_s = (frames.start - 1) / rate_hz, frames.end / rate_hz
        score = 1.0 if region.score is None else region.score
        labels = region.from_name.removeprefix(STUDIO_LABELS)
        found[region.id] = StatedSpan(where, times_s, label, score, labels, causes.get(region.id))
    return found


class _NoDocumentType(ElementTree.TreeBuilder):
    """Entities can only be declared in a document type: without one, nothing can be expanded."""

    def doctype(self, *declared: str | None) -> None:
        raise ElementTree.ParseError(f"a document type ({declared[0]}), which no ELAN file has")


def _elan(text: str, stem: str, place: Place) -> VideoSpans:
    """The annotations of the tiers of label sets; other tiers are left alone. The video is that of the header."""
    parser = ElementTree.XMLParser(target=_NoDocumentType())
    try:
        parser.feed(text)
        root = parser.close()
    except ElementTree.ParseError as error:
        raise place.error(f"no XML ({error})") from None
    times_ms = {slot.get("TIME_SLOT_ID"): slot.get("TIME_VALUE") for slot in root.iter("TIME_SLOT")}
    tiers = [(tier.get("LINGUISTIC_TYPE_REF") or "", tier) for tier in root.iter("TIER")]
    if not any(kind.startswith(ELAN_LABELS) for kind, _ in tiers):
        raise place.error("no tier of a label set")
    causes, scores = (
        {
            note.get("ANNOTATION_REF"): _elan_value(note)
            for tier_kind, tier in tiers
            if tier_kind == kind
            for note in tier.iter("REF_ANNOTATION")
        }
        for kind in (ELAN_CAUSE, ELAN_SCORE)
    )
    spans: list[StatedSpan] = []
    for kind, tier in tiers:
        if not kind.startswith(ELAN_LABELS):
            continue
        labels = _plain(kind.removeprefix(ELAN_LABELS))
        for annotation in tier.iter("ALIGNABLE_ANNOTATION"):
            name = annotation.get("ANNOTATION_ID")
            where = place.within(f"annotation {name}")
            begin, end = (times_ms.get(annotation.get(key)) for key in ("TIME_SLOT_REF1", "TIME_SLOT_REF2"))
            try:
                times_s = int(begin or "") / 1000, int(end or "") / 1000
                score = float(scores.get(name) or 1)
            except ValueError:
                raise where.error(f"times {begin} and {end} ms, score {scores.get(name)}") from None
            spans.append(StatedSpan(where, times_s, _elan_value(annotation), score, labels, causes.get(name)))
    media = next(root.iter("MEDIA_DESCRIPTOR"), None)
    address = "" if media is None else _plain(media.get("MEDIA_URL") or "")
    return address.removeprefix("file:///").removeprefix("./") or stem, spans


def _elan_value(annotation: ElementTree.Element) -> str:
    return _plain(annotation.findtext("ANNOTATION_VALUE") or "")


def _plain(text: str) -> str:
    """Text as it was before the ELAN export escaped what XML cannot hold."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
