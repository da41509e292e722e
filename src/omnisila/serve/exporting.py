"""Decisions as data: our JSONL, or the forms of other programs with one file a video.

In the forms of other programs stand the findings that were accepted, with the label and the span that people gave them.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path, PurePath

from omnisila.decisions import Decision
from omnisila.digests import digest
from omnisila.files import path_text, write_atomically, written_aside
from omnisila.report.exports import exporter
from omnisila.schema import Analysis, Finding, ModelIdentity, Span, VideoIdentity

FORMATS = ("activitynet", "csv", "elan", "label_studio", "vtt")
_NAME_CHARS = 150  # of a file, before the digest that keeps it apart from others of its name


def write_lines(decisions: Iterable[Decision], path: Path) -> int:
    """One line a decision; how many there are.

    Raises:
        OutputError: the file cannot be written.
    """
    with written_aside(path) as file:
        return sum(bool(file.write(decision.model_dump_json().encode() + b"\n")) for decision in decisions)


def write_files(decisions: Iterable[Decision], form: str, folder: Path) -> tuple[Path, ...]:
    """One file for each video that was decided about, whatever is left of it.

    Raises:
        InputError: no such format.
        OutputError: a file cannot be written.
    """
    export = exporter(form)
    written = []
    for analysis in analyses(decisions):
        name = PurePath(analysis.video.path.replace("\\", "/")).name[:_NAME_CHARS]
        path = folder / f"{name}.{digest(analysis.video.sha256, analysis.video.path)[:8]}.{export.suffix}"
        write_atomically(path, export.export(analysis))
        written.append(path)
    return tuple(written)


def analyses(decisions: Iterable[Decision]) -> Iterator[Analysis]:
    """Each video with its accepted findings; several people's of one finding stand side by side."""
    ordered = sorted(decisions, key=lambda decision: (decision.video, decision.video_sha256, decision.start_s))
    for (video, sha256), group in groupby(ordered, key=lambda decision: (decision.video, decision.video_sha256)):
        mine = list(group)
        users = ", ".join(dict.fromkeys(decision.user for decision in mine))
        yield Analysis(
            video=VideoIdentity(
                path=path_text(video),
                sha256=sha256,
                duration_s=max(decision.duration_s for decision in mine),
                rate_hz=None,
                width_px=0,
                height_px=0,
                decoded_ratio=1.0,
            ),
            labels=tuple(dict.fromkeys(decision.labels for decision in mine)), labels_not_scored=(),
            model=ModelIdentity(name="reviewed", version=users, digest=""),
            findings=tuple(_finding(decision) for decision in mine if decision.verdict == "accepted"),
            anomaly_curve=(), expert_weights=(),
        )  # fmt: skip


def _finding(decision: Decision) -> Finding:
    span = Span(start_s=decision.start_s, end_s=decision.end_s)
    return Finding(
        span=span, label=decision.final_label, labels=decision.labels, score=decision.score, cause=decision.cause
    )
