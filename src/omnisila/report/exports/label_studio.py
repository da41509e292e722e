"""Label Studio: a task whose prediction people check on the video's timeline, and its JSON export read back.

Label Studio counts frames from 1 and includes a span's last one, so times come back to half a frame. The task carries
the labelling interface that fits it (``data.interface``): paste it into the project before the import. ``data.video``
is the analysed path: point it to where Label Studio finds the file, or let its local storage serve the folder.
Source: https://labelstud.io/tags/timelinelabels, https://labelstud.io/guide/predictions, .../guide/task_format
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from xml.etree import ElementTree

from omnisila.labels import BUILT_IN
from omnisila.report.exports._stated import Place, Stated, checked, json_content, only
from omnisila.schema import Analysis, Finding, Span

SUFFIX = "labelstudio.json"
DEFAULT_RATE_HZ = 24.0  # Label Studio's own where a video's is not known
_LABELS = "labels:"  # before a label set's name, so that no set can be called as another control
_CAUSE = "cause"
_PLACE = Place("Label Studio JSON", "a task of omnisila, or the project's export as 'JSON' (not 'JSON-MIN')")


class Checked(NamedTuple):
    """One task: what omnisila said and what a person made of it.

    Attributes:
        video: the path that was analysed.
        checked: whether a person submitted an annotation; otherwise ``findings`` are the predicted ones.
        findings: what holds now, in time order.
        kept: of ``findings``, those that stand as they were predicted.
        corrected: predicted and corrected pairs in which label, span or cause differs.
        added: of ``findings``, those that a person added.
        removed: predicted findings that the person took away.
    """

    video: str
    checked: bool
    findings: tuple[Finding, ...]
    kept: tuple[Finding, ...] = ()
    corrected: tuple[tuple[Finding, Finding], ...] = ()
    added: tuple[Finding, ...] = ()
    removed: tuple[Finding, ...] = ()


class _Range(Stated):
    start: int
    end: int


class _Value(Stated):
    ranges: tuple[_Range, ...] = ()
    timelinelabels: tuple[str, ...] = ()
    text: tuple[str, ...] | str = ()


class _Result(Stated):
    """A part of an annotation; relations between regions have neither id nor value."""

    type: str
    id: str = ""
    from_name: str = ""
    value: _Value = _Value()
    score: float | None = None


class _Judged(Stated):
    result: tuple[_Result, ...] = ()
    was_cancelled: bool = False
    updated_at: str = ""


class _Data(Stated):
    video: str
    fps: float = DEFAULT_RATE_HZ
    path: str | None = None


class _Task(Stated):
    id: int | None = None
    data: _Data
    annotations: tuple[_Judged, ...] = ()
    predictions: tuple[_Judged, ...] = ()


def export(analysis: Analysis) -> str:
    """A list with the video's one task; files of several videos are imported together."""
    rate_hz = analysis.video.rate_hz or DEFAULT_RATE_HZ
    prediction = {
        "model_version": f"{analysis.model.name} {analysis.model.version}",
        "score": max((finding.score for finding in analysis.findings), default=0.0),
        "result": [
            result
            for number, finding in enumerate(analysis.findings, start=1)
            for result in _results(finding, f"omnisila-{number}", rate_hz)
        ],
    }
    data = {
        "video": analysis.video.path,
        "path": analysis.video.path,
        "fps": rate_hz,
        "sha256": analysis.video.sha256,
        "interface": interface(analysis),
    }
    return json.dumps([{"data": data, "predictions": [prediction]}], ensure_ascii=False, indent=1)


def interface(analysis: Analysis) -> str:
    """The labelling interface of a project: a timeline a label set, and a text of causes for each region."""
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Video", name="video", value="$video", frameRate="$fps", timelineHeight="120")
    named = dict.fromkeys((*analysis.labels, *(finding.labels for finding in analysis.findings)))
    for labels in named:
        known = BUILT_IN[labels].reportable if labels in BUILT_IN else ()
        seen = (finding.label for finding in analysis.findings if finding.labels == labels)
        ElementTree.SubElement(view, "Header", value=labels)
        timeline = ElementTree.SubElement(view, "TimelineLabels", name=_LABELS + labels, toName="video")
        for label in dict.fromkeys((*known, *seen)):
            ElementTree.SubElement(timeline, "Label", value=label)
    ElementTree.SubElement(
        view, "TextArea", name=_CAUSE, toName="video", perRegion="true", editable="true", maxSubmissions="1", rows="3"
    )
    return ElementTree.tostring(view, encoding="unicode")


def read(text: str) -> tuple[Finding, ...]:
    """The findings of a file about one video: a person's where one has checked it, else the predicted ones.

    Raises:
        RecordError: as ``read_checked``, or the file is about several videos.
    """
    return only({one.video: one.findings for one in read_checked(text)}, _PLACE)


def read_checked(text: str) -> tuple[Checked, ...]:
    """What people made of the predictions, task by task; of several annotations the latest counts, skipped ones never.

    A corrected or added finding counts as certain, one that a person let stand keeps its score.

    Raises:
        RecordError: not of the form, a region without times or label, or two tasks of one video; the message names
            task and region.
    """
    tasks = json_content(text, _PLACE)
    found: dict[str, Checked] = {}
    for number, content in enumerate(tasks if isinstance(tasks, list) else [tasks], start=1):
        place = _PLACE.within(f"task {number}")
        one = _checked(checked(content, _Task, place), place)
        if one.video in found:
            raise place.error(f"{one.video!r} has a task already")
        found[one.video] = one
    return tuple(found.values())


def _results(finding: Finding, region: str, rate_hz: float) -> Iterable[dict[str, Any]]:
    """A region, and its cause as a text of that region."""
    first, last = _frames(finding.span, rate_hz)
    common = {"id": region, "to_name": "video"}
    ranges = [{"start": first, "end": last}]
    yield {
        **common,
        "type": "timelinelabels",
        "from_name": _LABELS + finding.labels,
        "score": finding.score,
        "value": {"ranges": ranges, "timelinelabels": [finding.label]},
    }
    if finding.cause:
        value = {"ranges": ranges, "text": [finding.cause]}
        yield {**common, "type": "textarea", "from_name": _CAUSE, "value": value}


def _frames(span: Span, rate_hz: float) -> tuple[int, int]:
    """First and last frame, counted from 1, both inside; a span never becomes empty."""
    first = round(span.start_s * rate_hz) + 1
    return first, max(round(span.end_s * rate_hz), first)


def _checked(task: _Task, place: Place) -> Checked:
    if task.data.fps <= 0:
        raise place.error(f"{task.data.fps:g} frames a second")
    video = task.data.path or task.data.video
    said = _regions(task.predictions[-1].result if task.predictions else (), task.data.fps, place)
    judged = [one for one in task.annotations if not one.was_cancelled]
    if not judged:
        return Checked(video, checked=False, findings=_in_time_order(said.values()))
    now = _regions(max(judged, key=lambda one: one.updated_at).result, task.data.fps, place)
    kept = {name: one for name, one in said.items() if name in now and _same(now[name], one)}
    certain = {name: kept.get(name, one.replace(score=1.0)) for name, one in now.items()}
    return Checked(
        video,
        checked=True,
        findings=_in_time_order(certain.values()),
        kept=_in_time_order(kept.values()),
        corrected=tuple((said[name], one) for name, one in certain.items() if name in said and name not in kept),
        added=_in_time_order(one for name, one in certain.items() if name not in said),
        removed=_in_time_order(one for name, one in said.items() if name not in now),
    )


def _regions(results: Sequence[_Result], rate_hz: float, place: Place) -> dict[str, Finding]:
    """Findings by the id of their region."""
    causes = {one.id: _text(one.value) for one in results if one.type == "textarea" and one.from_name == _CAUSE}
    found: dict[str, Finding] = {}
    for one in results:
        if one.type != "timelinelabels":
            continue
        where = place.within(f"region {one.id!r}")
        if len(one.value.ranges) != 1 or len(one.value.timelinelabels) != 1:
            raise where.error(
                f"{len(one.value.ranges)} ranges and {len(one.value.timelinelabels)} labels, not one each"
            )
        (frames,), (label,) = one.value.ranges, one.value.timelinelabels
        times_s = (frames.start - 1) / rate_hz, frames.end / rate_hz
        score = one.score if one.score is not None else 1.0
        if one.id in found:
            raise where.error("the region stands twice")
        found[one.id] = where.finding(times_s, label, one.from_name.removeprefix(_LABELS), score, causes.get(one.id))
    return found


def _text(value: _Value) -> str:
    return value.text if isinstance(value.text, str) else "\n".join(value.text)


def _same(one: Finding, other: Finding) -> bool:
    return one.replace(score=other.score) == other


def _in_time_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda finding: (finding.span.start_s, finding.span.end_s)))
