"""ActivityNet's form of detection results, which most scorers of temporal localisation take.

A video's key is its file name without the ending, as ActivityNet's own; ``labels`` and ``cause`` are additions to the
form that scorers pass over. Ground truth (a ``database`` of annotations) is read too.
Source: http://activity-net.org/challenges/2016/evaluation.html (Caba Heilbron et al., CVPR 2015).
"""

import json
from collections.abc import Sequence

from omnisila.report.exports._stated import Place, Stated, fitting_labels, only, parsed, stem, whole_seconds
from omnisila.schema import Analysis, Finding

SUFFIX = "activitynet.json"
_VERSION = "VERSION 1.3"
_PLACE = Place(
    "ActivityNet JSON",
    '{"results": {video: [{"label": ..., "score": ..., "segment": [s, s]}]}} or {"database": {video: {"annotations": '
    '[{"label": ..., "segment": [s, s]}]}}}',
)


class Detection(Stated):
    """One entry of a video's list; annotations of ground truth have no score."""

    label: str
    segment: tuple[float, float]
    score: float | None = None
    labels: str | None = None
    cause: str | None = None


class _Annotated(Stated):
    annotations: tuple[Detection, ...] = ()


class _File(Stated):
    results: dict[str, tuple[Detection, ...]] | None = None
    database: dict[str, _Annotated] | None = None


def export(analysis: Analysis) -> str:
    """The findings under the video's name; a video without findings has an empty list."""
    found = [
        {
            "label": finding.label,
            "score": finding.score,
            "segment": whole_seconds(finding.span),
            "labels": finding.labels,
            "cause": finding.cause,
        }
        for finding in analysis.findings
    ]
    used = {"used": True, "details": f"{analysis.model.name} {analysis.model.version}"}
    file = {"version": _VERSION, "results": {stem(analysis.video.path): found}, "external_data": used}
    return json.dumps(file, ensure_ascii=False, indent=1)


def read(text: str, labels: str | None = None) -> tuple[Finding, ...]:
    """The findings of a file about one video.

    Raises:
        RecordError: as ``read_videos``, or the file is about several videos.
    """
    return only(read_videos(text, labels), _PLACE)


def read_videos(text: str, labels: str | None = None) -> dict[str, tuple[Finding, ...]]:
    """The findings of each video, by its key.

    Args:
        text: results, or ground truth, whose entries count as certain.
        labels: the label set of entries that name none; None: the only built-in one that has all their labels.

    Raises:
        RecordError: not of the form, or a label set cannot be told; the message names video and entry.
    """
    videos = detections(text)
    if labels is None:
        unsaid = [one.label for found in videos.values() for one in found if one.labels is None]
        labels = fitting_labels(unsaid, _PLACE) if unsaid else ""
    return {name: _findings(name, found, labels) for name, found in videos.items()}


def detections(text: str, place: Place = _PLACE) -> dict[str, tuple[Detection, ...]]:
    """The entries of each video as they stand; their times and scores are not checked yet.

    Raises:
        RecordError: not of the form, or a result without a score.
    """
    file = parsed(text, _File, place)
    if file.results is not None:
        for name, found in file.results.items():
            if unsaid := [number for number, one in enumerate(found, start=1) if one.score is None]:
                raise place.within(f"video {name!r}, entry {unsaid[0]}").error("no score")
        return file.results
    if file.database is not None:
        return {name: video.annotations for name, video in file.database.items()}
    raise place.error("neither results nor a database")


def _findings(name: str, found: Sequence[Detection], labels: str) -> tuple[Finding, ...]:
    return tuple(
        _PLACE.within(f"video {name!r}, entry {number}").finding(
            one.segment,
            one.label,
            one.labels if one.labels is not None else labels,
            one.score if one.score is not None else 1.0,
            one.cause,
        )
        for number, one in enumerate(found, start=1)
    )
