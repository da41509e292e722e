"""FiftyOne's temporal detection data set: a ``labels.json`` that its importer takes as it is.

``fiftyone.types.FiftyOneTemporalDetectionDataset`` with ``labels_path``, and ``data_path`` where paths are relative.
Source: https://docs.voxel51.com/user_guide/import_datasets.html (FiftyOneTemporalDetectionDataset).
"""

import json
from collections.abc import Sequence
from pathlib import PurePosixPath, PureWindowsPath

from omnisila.report.exports._stated import Place, Stated, fitting_labels, only, parsed, whole_seconds
from omnisila.schema import Analysis, Finding

SUFFIX = "fiftyone.json"
_PLACE = Place(
    "FiftyOne JSON",
    '{"labels": {video: [{"label": ..., "timestamps": [s, s], "confidence": ...}]}}, or with frames as '
    '"support": [first, last]',
)


class _Attributes(Stated):
    labels: str | None = None
    cause: str | None = None


class _Detection(Stated):
    label: str | int
    timestamps: tuple[float, float] | None = None
    support: tuple[int, int] | None = None
    confidence: float | None = None
    attributes: _Attributes = _Attributes()


class _File(Stated):
    classes: tuple[str, ...] | None = None
    labels: dict[str, tuple[_Detection, ...] | None]


def export(analysis: Analysis) -> str:
    """The findings under the video's path; a relative path loses its ending, as the importer looks files up."""
    found = [
        {
            "label": finding.label,
            "timestamps": whole_seconds(finding.span),
            "confidence": finding.score,
            "attributes": {"labels": finding.labels, "cause": finding.cause},
        }
        for finding in analysis.findings
    ]
    return json.dumps({"labels": {_key(analysis.video.path): found}}, ensure_ascii=False, indent=1)


def read(text: str, labels: str | None = None, rate_hz: float | None = None) -> tuple[Finding, ...]:
    """The findings of a file about one video.

    Raises:
        RecordError: as ``read_videos``, or the file is about several videos.
    """
    return only(read_videos(text, labels, rate_hz), _PLACE)


def read_videos(text: str, labels: str | None = None, rate_hz: float | None = None) -> dict[str, tuple[Finding, ...]]:
    """The findings of each video, by its key; detections without a confidence count as certain.

    Args:
        text: a ``labels.json``.
        labels: the label set of detections that name none; None: the only built-in one that has all their labels.
        rate_hz: frames per second, for detections in frames.

    Raises:
        RecordError: not of the form, frames without a rate, or a label set cannot be told.
    """
    file = parsed(text, _File, _PLACE)
    videos = {name: found or () for name, found in file.labels.items()}
    if labels is None:
        unsaid = [_label(one, file.classes) for found in videos.values() for one in found if not one.attributes.labels]
        labels = fitting_labels(unsaid, _PLACE) if unsaid else ""
    return {name: _findings(name, found, file.classes, labels, rate_hz) for name, found in videos.items()}


def _findings(
    name: str, found: Sequence[_Detection], classes: Sequence[str] | None, labels: str, rate_hz: float | None
) -> tuple[Finding, ...]:
    findings: list[Finding] = []
    for number, one in enumerate(found, start=1):
        place = _PLACE.within(f"video {name!r}, detection {number}")
        score = one.confidence if one.confidence is not None else 1.0
        times_s = _times_s(one, rate_hz, place)
        attributes = one.attributes
        findings.append(
            place.finding(times_s, _label(one, classes), attributes.labels or labels, score, attributes.cause)
        )
    return tuple(findings)


def _times_s(one: _Detection, rate_hz: float | None, place: Place) -> tuple[float, float]:
    if one.timestamps is not None:
        return one.timestamps
    if one.support is None:
        raise place.error("neither timestamps nor support")
    if rate_hz is None:
        raise place.error("its times are frames; say how many there are in a second")
    first, last = one.support  # both inclusive, counted from 1
    return (first - 1) / rate_hz, last / rate_hz


def _label(one: _Detection, classes: Sequence[str] | None) -> str:
    if isinstance(one.label, str):
        return one.label
    if classes is None or not 0 <= one.label < len(classes):
        raise _PLACE.error(f"label {one.label} is no position in classes")
    return classes[one.label]


def _key(path: str) -> str:
    if PurePosixPath(path).is_absolute() or PureWindowsPath(path).is_absolute():
        return path
    return str(PurePosixPath(path.replace("\\", "/")).with_suffix(""))
