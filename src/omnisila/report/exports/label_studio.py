"""Label Studio: a task whose prediction people check on the video's timeline.

Label Studio counts frames from 1 and includes a span's last one, so times come back to half a frame. The task carries
the labelling interface that fits it (``data.interface``): paste it into the project before the import. ``data.video``
is the analysed path: point it to where Label Studio finds the file, or let its local storage serve the folder.
Source: https://labelstud.io/tags/timelinelabels, https://labelstud.io/guide/predictions, .../guide/task_format
"""

import json
from collections.abc import Iterable
from typing import Any
from xml.etree import ElementTree

from omnisila.labels import LABEL_SETS
from omnisila.predictions.span_files import STUDIO_CAUSE, STUDIO_LABELS
from omnisila.schema import Analysis, Finding, Span

SUFFIX = "labelstudio.json"
_DEFAULT_RATE_HZ = 24.0  # Label Studio's own where a video's is not known


def export(analysis: Analysis) -> str:
    """A list with the video's one task; files of several videos are imported together."""
    rate_hz = analysis.video.rate_hz or _DEFAULT_RATE_HZ
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
        known = LABEL_SETS[labels].reportable if labels in LABEL_SETS else ()
        seen = [finding.label for finding in analysis.findings if finding.labels == labels]
        if not known and not seen:
            continue  # a timeline without labels is refused
        ElementTree.SubElement(view, "Header", value=labels)
        timeline = ElementTree.SubElement(view, "TimelineLabels", name=STUDIO_LABELS + labels, toName="video")
        for label in dict.fromkeys((*known, *seen)):
            ElementTree.SubElement(timeline, "Label", value=label)
    ElementTree.SubElement(
        view,
        "TextArea",
        name=STUDIO_CAUSE,
        toName="video",
        perRegion="true",
        editable="true",
        maxSubmissions="1",
        rows="3",
    )  # fmt: skip
    return ElementTree.tostring(view, encoding="unicode")


def _results(finding: Finding, region: str, rate_hz: float) -> Iterable[dict[str, Any]]:
    """A region, and its cause as a text of that region."""
    first, last = _frames(finding.span, rate_hz)
    common = {"id": region, "to_name": "video"}
    ranges = [{"start": first, "end": last}]
    yield {
        **common,
        "type": "timelinelabels",
        "from_name": STUDIO_LABELS + finding.labels,
        "score": finding.score,
        "value": {"ranges": ranges, "timelinelabels": [finding.label]},
    }
    if finding.cause:
        value = {"ranges": ranges, "text": [finding.cause]}
        yield {**common, "type": "textarea", "from_name": STUDIO_CAUSE, "value": value}


def _frames(span: Span, rate_hz: float) -> tuple[int, int]:
    """First and last frame, counted from 1, both inside; a span never becomes empty."""
    first = round(span.start_s * rate_hz) + 1
    return first, max(round(span.end_s * rate_hz), first)
