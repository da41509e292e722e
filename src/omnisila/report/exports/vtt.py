"""WebVTT: findings as subtitles that any player shows.

Each cue reads ``label · label set · score`` and, on the next line, the cause. Source: W3C WebVTT.
"""

import html
import re
from collections.abc import Iterator

from pydantic import ValidationError

from omnisila.errors import RecordError
from omnisila.report.exports import whole_milliseconds
from omnisila.schema import Analysis, Finding, Span

SUFFIX = "vtt"
_SEPARATOR = " · "
_TIME = r"(?:(\d+):)?([0-5]\d):([0-5]\d)\.(\d{3})"
_TIMING = re.compile(rf"\s*{_TIME}\s+-->\s+{_TIME}(?:\s.*)?")
_FORM = "Wanted: a line 00:00:01.000 --> 00:00:02.000 and a line 'label · label set · score'."


def export(analysis: Analysis) -> str:
    """The findings as cues, scores to four digits; a video without findings gives a file without cues."""
    blocks = ["WEBVTT", f"NOTE {_escaped(analysis.video.path)} sha256 {analysis.video.sha256}"]
    for index, finding in enumerate(analysis.findings, start=1):
        start_ms, end_ms = whole_milliseconds(finding.span)
        title = _SEPARATOR.join((_escaped(finding.label), _escaped(finding.labels), f"{finding.score:.4f}"))
        lines = [str(index), f"{_clock(start_ms)} --> {_clock(end_ms)}", title]
        blocks.append("\n".join([*lines, _escaped(finding.cause)] if finding.cause else lines))
    return "\n\n".join(blocks) + "\n"


def read(text: str) -> tuple[Finding, ...]:
    """The findings of a file in the form that ``export`` writes; times may have been edited in a subtitle editor.

    Raises:
        RecordError: not WebVTT, or a cue of another form; the message names the line.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if not re.match(r"WEBVTT(?=\s|$)", text):
        raise RecordError(f"WebVTT, line 1: {text[:20]!r} instead of WEBVTT. Give a .vtt file.")
    return tuple(
        _finding(lines, number)
        for number, lines in _blocks(text)
        if number > 1 and not re.match(r"(NOTE|STYLE|REGION)(?=\s|$)", lines[0])
    )


def _blocks(text: str) -> Iterator[tuple[int, list[str]]]:
    """Runs of non-empty lines, each with the number of its first line."""
    block: list[str] = []
    for number, line in enumerate((*text.split("\n"), ""), start=1):
        if line:
            block.append(line)
        elif block:
            yield number - len(block), block
            block = []


def _finding(lines: list[str], number: int) -> Finding:
    identified = "-->" not in lines[0]
    timing, *payload = lines[1:] if identified else lines
    number += identified
    match = _TIMING.fullmatch(timing)
    title = payload[0].rsplit(_SEPARATOR, 2) if payload else []
    if match is None or len(title) != 3:
        raise RecordError(f"WebVTT, line {number}: {timing!r} does not begin a cue with a finding. {_FORM}")
    label, labels, score = title
    try:
        return Finding(
            span=Span(start_s=_seconds(*match.groups()[:4]), end_s=_seconds(*match.groups()[4:])),
            label=html.unescape(label),
            labels=html.unescape(labels),
            score=float(score),
            cause=html.unescape("\n".join(payload[1:])) or None,
        )
    except ValueError as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise RecordError(f"WebVTT, line {number}: {reason}. {_FORM}") from None


def _escaped(text: str) -> str:
    """Text that stays on its line, is no tag, no arrow and no separator; players undo it."""
    text = html.escape(text, quote=False).replace("·", "&middot;")
    return text.replace("\n", "&#10;").replace("\r", "&#13;")


def _clock(time_ms: int) -> str:
    seconds, milliseconds = divmod(time_ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}.{milliseconds:03}"


def _seconds(hours: str | None, minutes: str, seconds: str, milliseconds: str) -> float:
    whole = int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds)
    return (whole * 1000 + int(milliseconds)) / 1000
