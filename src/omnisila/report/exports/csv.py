"""CSV: one row per finding, for spreadsheets and scripts; the video stands in each row so that files can be joined.

Reaction intensities follow: a row an emotion of the whole video, then of each window, with the intensity as the score.
The last column tells the three kinds of row apart.
"""

import csv
import io
from collections.abc import Iterator

from omnisila.files import printable
from omnisila.labels import REACTION
from omnisila.predictions.span_files import MEASURED_ROWS
from omnisila.report.exports import whole_milliseconds
from omnisila.schema import Analysis, Span

SUFFIX = "csv"
COLUMNS = ("video", "start_s", "end_s", "labels", "label", "score", "cause", "row")
FINDING, (WHOLE, WINDOW) = "finding", MEASURED_ROWS


def export(analysis: Analysis) -> str:
    """The findings in time order, then the intensities; a video with neither gives the header alone."""
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(COLUMNS)
    video = printable(analysis.video.path)
    for finding in analysis.findings:
        said = finding.labels, finding.label, repr(finding.score), finding.cause or "", FINDING
        table.writerow((video, *_times(finding.span), *said))
    for kind, span, intensities in _intensity_rows(analysis):
        for label, value in intensities.items():
            table.writerow((video, *_times(span), REACTION.name, label, repr(value), "", kind))
    return text.getvalue()


def _intensity_rows(analysis: Analysis) -> Iterator[tuple[str, Span, dict[str, float]]]:
    """The intensities of the whole video and of each window."""
    if analysis.intensities:
        end_s = max((point.end_s for point in analysis.intensity_curve), default=analysis.video.duration_s)
        yield WHOLE, Span(start_s=0.0, end_s=end_s), analysis.intensities
    for point in analysis.intensity_curve:
        yield WINDOW, Span(start_s=point.start_s, end_s=point.end_s), point.intensities


def _times(span: Span) -> tuple[str, str]:
    start_ms, end_ms = whole_milliseconds(span)
    return f"{start_ms / 1000:.3f}", f"{end_ms / 1000:.3f}"
