"""WebVTT: findings as subtitles that any player shows.

Each cue reads ``label · label set · score`` and, on the next line, the cause. Source: W3C WebVTT.
"""

import html

from omnisila.files import printable
from omnisila.report.exports import whole_milliseconds
from omnisila.schema import Analysis

SUFFIX = "vtt"
_SEPARATOR = " · "


def export(analysis: Analysis) -> str:
    """The findings as cues, scores to four digits; a video without findings gives a file without cues."""
    blocks = ["WEBVTT", f"NOTE {_escape(printable(analysis.video.path))} sha256 {analysis.video.sha256}"]
    for index, finding in enumerate(analysis.findings, start=1):
        start_ms, end_ms = whole_milliseconds(finding.span)
        title = _SEPARATOR.join((_escape(finding.label), _escape(finding.labels), f"{finding.score:.4f}"))
        lines = [str(index), f"{_clock(start_ms)} --> {_clock(end_ms)}", title]
        blocks.append("\n".join([*lines, _escape(finding.cause)] if finding.cause else lines))
    return "\n\n".join(blocks) + "\n"


def _escape(text: str) -> str:
    """Text that stays on its line, is no tag, no arrow and no separator; players undo it."""
    text = html.escape(text, quote=False).replace("·", "&middot;")
    return text.replace("\n", "&#10;").replace("\r", "&#13;")


def _clock(time_ms: int) -> str:
    seconds, milliseconds = divmod(time_ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}.{milliseconds:03}"
