"""CSV: one row per finding, for spreadsheets and scripts; the video stands in each row so that files can be joined."""

import csv
import io

from pydantic import ValidationError

from omnisila.errors import RecordError
from omnisila.report.exports import whole_milliseconds
from omnisila.schema import Analysis, Finding, Span

SUFFIX = "csv"
COLUMNS = ("video", "start_s", "end_s", "labels", "label", "score", "cause")


def export(analysis: Analysis) -> str:
    """The findings in time order; a video without findings gives the header alone."""
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(COLUMNS)
    for finding in analysis.findings:
        start_ms, end_ms = whole_milliseconds(finding.span)
        times = f"{start_ms / 1000:.3f}", f"{end_ms / 1000:.3f}"
        table.writerow(
            (analysis.video.path, *times, finding.labels, finding.label, repr(finding.score), finding.cause or "")
        )
    return text.getvalue()


def read(text: str) -> tuple[Finding, ...]:
    """The findings of a table with at least the columns start_s, end_s, labels, label and score.

    Raises:
        RecordError: a column is missing, or a row is malformed; the message names the line.
    """
    rows = csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    try:
        missing = {"start_s", "end_s", "labels", "label", "score"} - set(rows.fieldnames or ())
        if missing:
            raise RecordError(f"CSV of findings: no column {sorted(missing)[0]}. Wanted: {', '.join(COLUMNS)}.")
        return tuple(_finding(row, rows.line_num) for row in rows)
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
