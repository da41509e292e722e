"""The index of a folder run: every video on one page, the one to look at first on top."""

from base64 import b64encode
from collections.abc import Sequence
from typing import NamedTuple, Self

from markupsafe import Markup

from omnisila.report import charts
from omnisila.report.previews import highest
from omnisila.report.templates import render
from omnisila.report.wording import (
    by_strength,
    clock,
    duration_text,
    headline,
    kind,
    located_label_sets,
    score_text,
    strongest,
)
from omnisila.schema import Analysis

_MAX_SPARK_POINTS = 200  # of a row's small curve


class IndexFinding(NamedTuple):
    """A finding in as many words as a row has room for."""

    kind: str
    headline: str
    when: str
    score: float


class IndexEntry(NamedTuple):
    """One video of a run: little enough that a run of many thousands fits in memory.

    Attributes:
        name: its name within the run, ``a/clip.mp4``.
        href: its page, relative to the index and percent-encoded; None where there is none.
        findings: the strongest first.
        bars: the findings on the video's time line, in the order of ``findings``.
        curve: path of the small anomaly curve; where there is none, of the strongest reaction over time.
        peak: the anomaly curve's highest value; where there is none, the strongest reaction over the whole video.
        reaction: the strongest reaction over the whole video, in words.
        measured: whether reactions are all that was asked for.
        failure: why the video could not be analysed; everything else is empty then.
    """

    name: str
    href: str | None = None
    duration_s: float = 0.0
    findings: tuple[IndexFinding, ...] = ()
    bars: tuple[charts.Bar, ...] = ()
    curve: str = ""
    peak: float = 0.0
    reaction: str | None = None
    measured: bool = False
    warnings: int = 0
    thumbnail: bytes | None = None
    failure: str | None = None

    @classmethod
    def of(cls, analysis: Analysis, name: str, href: str | None = None, thumbnail: bytes | None = None) -> Self:
        """The row of an analysed video."""
        ends_s = (analysis.video.duration_s, *(point.end_s for point in analysis.anomaly_curve), 0.04)
        duration_s = max(*ends_s, *(finding.span.end_s for finding in analysis.findings))
        found = [analysis.findings[number] for number in by_strength(analysis.findings)]
        peak = highest(analysis.anomaly_curve)
        felt = strongest(analysis.intensities) if analysis.intensities else None
        placed = charts.bars([(number, finding.span) for number, finding in enumerate(found)], duration_s)
        return cls(
            name=name, href=href, duration_s=analysis.video.duration_s,
            findings=tuple(
                IndexFinding(kind(finding), headline(finding), clock(finding.span.start_s), finding.score)
                for finding in found
            ),
            bars=tuple(sorted(placed, key=lambda bar: bar.number)), curve=_spark(analysis, duration_s).area,
            peak=peak.score if peak else felt[1] if felt else 0.0,
            reaction=f"{felt[0]} {score_text(felt[1])}" if felt else None, measured=not located_label_sets(analysis),
            warnings=len(analysis.warnings), thumbnail=thumbnail,
        )  # fmt: skip

    @property
    def score(self) -> float | None:
        """Of the strongest finding; None where there is none."""
        return self.findings[0].score if self.findings else None


class BatchStanding(NamedTuple):
    """How far a batch is whose page shows its strongest videos alone.

    Attributes:
        total: inputs; ``done``, ``skipped`` and ``failed`` of them have ended.
        findings: how many of each label, the most frequent first.
    """

    total: int
    done: int
    skipped: int
    failed: int
    findings: tuple[tuple[str, int], ...]
    video_s: float
    pace: str
    utc: str
    is_running: bool


def rank_entries(entries: Sequence[IndexEntry]) -> list[IndexEntry]:
    """By the best finding's score; then videos without findings by their peak, see ``IndexEntry``; failed ones last."""
    return sorted(
        entries,
        key=lambda entry: (
            entry.failure is not None,
            -(entry.score if entry.score is not None else -1.0),
            -entry.peak,
            entry.name,
        ),
    )


def render_index(entries: Sequence[IndexEntry], batch: BatchStanding | None = None) -> str:
    """The index as HTML text: one self-contained page whose only addresses are those of the videos' pages."""
    order = rank_entries(entries)
    return render(
        "index.html", batch=batch, entries=[entry for entry in order if entry.failure is None],
        failed=[entry for entry in order if entry.failure is not None],
        with_findings=sum(bool(entry.findings) for entry in order),
        measured=all(entry.measured for entry in order if entry.failure is None),
        hours=duration_text(sum(entry.duration_s for entry in order)), spoken=duration_text, score_text=score_text,
        picture=lambda jpeg: Markup(f"data:image/jpeg;base64,{b64encode(jpeg).decode()}"),
    )  # fmt: skip


def _spark(analysis: Analysis, duration_s: float) -> charts.Curve:
    if analysis.anomaly_curve or not analysis.intensity_curve:
        return charts.anomaly_curve(analysis.anomaly_curve, duration_s, _MAX_SPARK_POINTS)
    return charts.strongest_intensity(analysis.intensity_curve, duration_s, _MAX_SPARK_POINTS)
