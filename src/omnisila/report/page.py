"""One analysis as one self-contained web page: it loads nothing, and everything from outside is escaped.

The page needs no script to be read: scripts add the player, selection and values under the pointer.
"""

from base64 import b64encode
from itertools import groupby
from pathlib import PurePath
from typing import NamedTuple
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markupsafe import Markup

from omnisila.files import printable
from omnisila.labels import REACTION
from omnisila.operating_points import VALIDITY
from omnisila.report import charts
from omnisila.report.overlays import Overlay, overlay
from omnisila.report.previews import Clip, FindingMedia, KeyFrame, PageMedia, highest
from omnisila.report.reactions import shown_reactions
from omnisila.report.templates import render
from omnisila.report.wording import (
    Sightings,
    by_strength,
    clock,
    duration_text,
    headline,
    kind,
    lane,
    located_label_sets,
    score_text,
    scored_labels,
    sightings,
    span_text,
    summary,
    why,
)
from omnisila.scene_registry import SCENES
from omnisila.schema import Analysis, Finding

ZOOM_FROM_S = 300.0  # shorter videos need no magnified time line


class ShownFrame(NamedTuple):
    """A key frame with what is drawn over it."""

    when: str
    picture: Markup
    overlay: Overlay


class ShownFinding(NamedTuple):
    """A finding as the page tells it."""

    number: int
    kind: str
    headline: str
    lane: str
    when: str
    start: str
    length: str
    score: str
    score_pct: float
    cause: str | None
    why: str
    frames: tuple[ShownFrame, ...]
    weights: tuple[tuple[str, float], ...]
    sightings: Sightings
    clip: Clip | None


class Lane(NamedTuple):
    """One label set's findings on the time line."""

    title: str
    bars: tuple[charts.Bar, ...]
    rows: int


class Stage(NamedTuple):
    """Where time went; ``part`` stages are contained in the one before them."""

    name: str
    seconds: float
    share_pct: float
    part: bool


class Timings(NamedTuple):
    """All stages, their sum, and how much faster than real time that was."""

    stages: tuple[Stage, ...]
    total_s: float
    speed: float


def render_page(
    analysis: Analysis,
    media: PageMedia,
    original_href: str | None,
    *,
    model_card: str | None = None,
    calibration_note: str = VALIDITY,
) -> str:
    """The page as HTML text.

    Args:
        media: pictures and clips, in the order of the findings (``collect_media``).
        original_href: where the page finds the video, already percent-encoded; the only address on the page.
        model_card: the model's card in Markdown; without one the page says how to read it.
        calibration_note: what the thresholds hold for.
    """
    video = analysis.video
    duration_s = _duration_s(analysis)
    findings = tuple(
        _finding(number, finding, shown, analysis)
        for number, (finding, shown) in enumerate(zip(analysis.findings, media.findings, strict=True))
    )
    name = printable(PurePath(video.path).name or video.path)
    folder = printable(PurePath(video.path).parent)
    return render(
        "page.html", analysis=analysis, name=name, folder=None if folder == "." else folder,
        summary=summary(analysis), length=duration_text(video.duration_s), duration_s=duration_s, findings=findings,
        strongest=by_strength(analysis.findings)[0] if findings else None,
        lanes=tuple(_lane(labels, analysis, duration_s) for labels in located_label_sets(analysis)),
        events=bool(located_label_sets(analysis)) or REACTION.name not in analysis.labels,
        reactions=shown_reactions(analysis, duration_s),
        kinds=[name for name, _ in groupby(sorted(kind(finding) for finding in analysis.findings))],
        curve=charts.anomaly_curve(analysis.anomaly_curve, duration_s),
        areas=charts.expert_areas(analysis.expert_weights, duration_s),
        zooms=[(zoom, charts.ticks(duration_s, zoom)) for zoom in _zooms(duration_s)], scenes=SCENES,
        labels=scored_labels(analysis), peak=_peak(analysis), poster=_picture(media.poster) if media.poster else None,
        poster_when=clock(media.poster.time_s, tenths=True) if media.poster else None,
        faces_blurred=media.faces_blurred, original_href=_safe_link(original_href), timings=_timings(analysis),
        model_card=_markdown(model_card) if model_card else None, calibration_note=calibration_note,
        record=_embed_json(analysis.model_dump_json()),
        width_for_height=max(video.width_px, 1) / max(video.height_px, 1),
    )  # fmt: skip


def _duration_s(analysis: Analysis) -> float:
    """The length of the time line: the video's, or that of what was scored when a damaged file states less."""
    curves = (*analysis.anomaly_curve, *analysis.expert_weights, *analysis.intensity_curve)
    ends_s = [point.end_s for point in curves]
    return max(analysis.video.duration_s, *ends_s, *(finding.span.end_s for finding in analysis.findings), 0.04)


def _finding(number: int, finding: Finding, media: FindingMedia, analysis: Analysis) -> ShownFinding:
    width_px, height_px = max(analysis.video.width_px, 1), max(analysis.video.height_px, 1)
    weights = finding.expert_weights
    return ShownFinding(
        number=number, kind=kind(finding), headline=headline(finding), lane=lane(finding.labels),
        when=span_text(finding.span.start_s, finding.span.end_s), start=clock(finding.span.start_s, tenths=True),
        length=duration_text(finding.span.duration_s), score=score_text(finding.score),
        score_pct=round(100 * finding.score, 1), cause=finding.cause, why=why(finding),
        frames=tuple(
            ShownFrame(
                clock(frame.time_s, tenths=True),
                _picture(frame),
                overlay(finding.evidence, frame.time_s, width_px, height_px),
            )
            for frame in media.frames
        ),
        weights=tuple(weights.items()) if weights else (), sightings=sightings(finding.evidence), clip=media.clip,
    )  # fmt: skip


def _lane(labels: str, analysis: Analysis, duration_s: float) -> Lane:
    spans = [(number, finding.span) for number, finding in enumerate(analysis.findings) if finding.labels == labels]
    bars = charts.bars(spans, duration_s)
    return Lane(lane(labels), bars, max((bar.row for bar in bars), default=0) + 1)


def _zooms(duration_s: float) -> tuple[int, ...]:
    return charts.ZOOMS if duration_s > ZOOM_FROM_S else charts.ZOOMS[:1]


def _peak(analysis: Analysis) -> str | None:
    """Where the curve is highest, in words."""
    peak = highest(analysis.anomaly_curve)
    return f"{score_text(peak.score)} at {clock(peak.start_s)}" if peak else None


def _timings(analysis: Analysis) -> Timings:
    """Stages as the analysis names them: ``features/face`` is a part of ``features``."""
    total_s = sum(seconds for name, seconds in analysis.timings_s.items() if "/" not in name)
    wholes = dict.fromkeys(name.partition("/")[0] for name in analysis.timings_s)
    stages = tuple(
        Stage(name.rpartition("/")[2], seconds, round(100 * seconds / max(total_s, 1e-9), 1), "/" in name)
        for whole in wholes
        for name, seconds in analysis.timings_s.items()
        if name.partition("/")[0] == whole
    )
    return Timings(stages, total_s, analysis.video.duration_s / total_s if total_s else 0.0)


def _picture(frame: KeyFrame) -> Markup:
    return Markup(f"data:image/jpeg;base64,{b64encode(frame.jpeg).decode()}")


def _embed_json(json_text: str) -> Markup:
    """JSON that no parser of HTML can take for markup."""
    return Markup(json_text.translate({ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}))


def _safe_link(href: str | None) -> str | None:
    """A link to a file or a web address; a name that merely looks like a scheme stays a name."""
    if href is None or urlsplit(href).scheme in ("", "file", "http", "https"):
        return href
    return f"./{href}"


def _markdown(text: str) -> Markup:
    """Markdown without raw HTML, pictures and links: nothing in it can reach outside."""
    parser = MarkdownIt("js-default").disable(["image", "link", "autolink", "reference"])
    return Markup(parser.render(text))
