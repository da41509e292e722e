"""CSV: one row per finding, for spreadsheets and scripts; the video stands in each row so that files can be joined.

Reaction intensities follow: a row an emotion of the whole video, then of each window, with the intensity as the score.
The last column tells the three kinds of row apart.
"""

import csv
import io
from collections.abc import Iterator

from pydantic import ValidationError

from omnisila.errors import RecordError
from omnisila.labels import REACTION
from omnisila.report.exports import whole_milliseconds
from omnisila.schema import Analysis, Finding, Span

SUFFIX = "csv"
COLUMNS = ("video", "start_s", "end_s", "labels", "label", "score", "cause", "row")
FINDING, WHOLE, WINDOW = "finding", "whole video", "window"


def export(analysis: Analysis) -> str:
    """The findings in time order, then the intensities; a video with neither gives the header alone."""
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(COLUMNS)
    video = analysis.video.path
    for finding in analysis.findings:
        said = finding.labels, finding.label, repr(finding.score), finding.cause or "", FINDING
        table.writerow((video, *_times(finding.span), *said))
    for kind, span, intensities in _measured(analysis):
        for label, value in intensities.items():
            table.writerow((video, *_times(span), REACTION.name, label, repr(value), "", kind))
    return text.getvalue()


def _measured(analysis: Analysis) -> Iterator[tuple[str, Span, dict[str, float]]]:
    """The intensities of the whole video and of each window."""
    if analysis.intensities:
        end_s = max((point.end_s for point in analysis.intensity_curve), default=analysis.video.duration_s)
        yield WHOLE, Span(start_s=0.0, end_s=end_s), analysis.intensities
    for point in analysis.intensity_curve:
        yield WINDOW, Span(start_s=point.start_s, end_s=point.end_s), point.intensities


def _times(span: Span) -> tuple[str, str]:
    start_ms, end_ms = whole_milliseconds(span)
    return f"{start_ms / 1000:.3f}", f"{end_ms / 1000:.3f}"


def read(text: str) -> tuple[Finding, ...]:
    """The findings of a table with at least the columns start_s, end_s, labels, label and score; measurements are none.

    Raises:
        RecordError: a column is missing, or a row is malformed; the message names the line.
    """
    rows = csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    try:
        missing = {"start_s", "end_s", "labels", "label", "score"} - set(rows.fieldnames or ())
        if missing:
            raise RecordError(f"CSV of findings: no column {sorted(missing)[0]}. Wanted: {', '.join(COLUMNS)}.")
        return tuple(_finding(row, rows.line_num) for row in rows if row.get("row") not in (WHOLE, WINDOW))
    except csv.Error as error:
        raise RecordError(
            f"CSV of findings, after line {rows.line_num}: {error}. Wanted: {', '.join(COLUMNS)}."
        ) from None


def _finding(row: dict[str, str], line: int) -> Finding:
    try:
        span = Span(start_s=float(row["start_s"]), end_s=float(row["end_s"]))
        return Finding(
            span=span,
            label=row["label"],
            labels=row["labels"],
            score=float(row["score"]),
            cause=row.get("cause") or None,
        )
    except (ValueError, TypeError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise RecordError(f"CSV of findings, line {line}: {reason}. Wanted: {', '.join(COLUMNS)}.") from None
