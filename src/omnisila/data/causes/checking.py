"""Written causes to people and back: a table in which each cause is accepted, adjusted or rejected.

A row is known by its ``id`` alone; what a spreadsheet does to times or separators does no harm.
Source: Omni-SILA 4.1, attributions were checked and adjusted by hand.
"""

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from omnisila.data.annotated import AnnotatedSet, AnnotatedVideo, Malformed
from omnisila.data.causes.annotator import WrittenCause, span_id
from omnisila.files import write_atomically
from omnisila.tables import read_table

VERDICTS = ("accept", "adjust", "reject")
COLUMNS = ("id", "video", "start_s", "end_s", "labels", "label", "cause", "verdict", "adjusted")
_NEEDED = ("id", "cause", "verdict", "adjusted")


class Checked(NamedTuple):
    """What came back: the cause of each checked span (None: rejected), the unchecked ones, and rows left out."""

    causes: dict[str, str | None]
    unchecked: tuple[str, ...]
    malformed: tuple[Malformed, ...]


class Confirmed(NamedTuple):
    """Annotations with the causes that people let stand, and checked ids that belong to no span of the set."""

    annotated: AnnotatedSet
    strangers: tuple[str, ...]


def write_sheet(path: Path, causes: Iterable[WrittenCause]) -> None:
    """A row for each written cause, with ``verdict`` and ``adjusted`` left empty for the person who checks.

    Spans for which nothing was seen stand there too, with an empty cause that can be adjusted or rejected.

    Raises:
        OutputError: the file cannot be written.
    """
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(COLUMNS)
    for written in causes:
        times = f"{written.span.start_s:.3f}", f"{written.span.end_s:.3f}"
        columns = written.id, written.video, *times, written.labels, written.label, written.cause or "", "", ""
        table.writerow(columns)
    write_atomically(path, "\ufeff" + text.getvalue())  # the mark tells spreadsheets that it is UTF-8


def read_sheet(path: Path) -> Checked:
    """The verdicts of a checked table; a row that cannot be understood is left out and named by its line.

    ``verdict`` is accept (the cause stands), adjust (``adjusted`` stands in its place), reject, or empty for a row
    that nobody checked yet.

    Raises:
        RecordError: the file cannot be read, is no table in UTF-8, or lacks a column.
    """
    found: dict[str, _Verdict] = {}
    malformed: list[Malformed] = []
    for line, values, is_ragged in read_table(path, _NEEDED, keep_ragged=True).rows:
        try:
            if is_ragged:
                raise ValueError(f"not as many fields as the header has; wanted: {', '.join(COLUMNS)}")
            verdict = _verdict(values)
            if verdict.id in found:
                raise ValueError(f"{verdict.id!r} stands in an earlier row too; wanted: one row a span")
            found[verdict.id] = verdict
        except ValueError as error:
            malformed.append(Malformed(file=str(path), line=line, reason=str(error)))
    return Checked(
        causes={name: checked.cause for name, checked in found.items() if checked.verdict},
        unchecked=tuple(name for name, checked in found.items() if not checked.verdict),
        malformed=tuple(malformed),
    )


def apply_causes(annotated: AnnotatedSet, causes: Mapping[str, str | None]) -> Confirmed:
    """The annotations with each checked cause at its span; a rejected one leaves the span without a cause."""
    used: set[str] = set()

    def apply_checks(video: AnnotatedVideo) -> AnnotatedVideo:
        if not video.truth:
            return video
        ids = [span_id(annotated.name, video.id, truth) for truth in video.truth]
        used.update(causes.keys() & set(ids))
        return video.replace(
            truth=tuple(
                truth.replace(cause=causes[name]) if name in causes else truth
                for name, truth in zip(ids, video.truth, strict=True)
            )
        )

    videos = tuple(apply_checks(video) for video in annotated.videos)
    return Confirmed(annotated.replace(videos=videos), tuple(name for name in causes if name not in used))


class _Verdict(NamedTuple):
    id: str
    verdict: str
    cause: str | None


def _verdict(values: Mapping[str, str]) -> _Verdict:
    identity, cause, verdict, adjusted = (values[column].strip() for column in _NEEDED)
    verdict = verdict.lower()
    if not identity:
        raise ValueError("the id is empty; wanted: the id that the table was written with")
    if verdict and verdict not in VERDICTS:
        raise ValueError(f"verdict {verdict!r}; wanted: {', '.join(VERDICTS)}, or empty while unchecked")
    if verdict == "adjust" and not adjusted:
        raise ValueError("verdict 'adjust' without a text; wanted: the better cause in column adjusted")
    if verdict != "adjust" and adjusted:
        raise ValueError(f"an adjusted text with verdict {verdict!r}; wanted: verdict 'adjust', or no text")
    if verdict == "accept" and not cause:
        raise ValueError("verdict 'accept' where no cause stands; wanted: adjust with a text, or reject")
    return _Verdict(identity, verdict, {"accept": cause, "adjust": adjusted}.get(verdict))
