"""What a person sees while files are worked through: one line a file, with what was found in it."""

from collections.abc import Collection, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from omnisila.files import printable
from omnisila.inference.batch import BatchReport, Outcome, output_path
from omnisila.labels import REACTION
from omnisila.schema import Analysis

# How a file's time is shared between the stages, about, so that the time left means something.
_STAGES = {"features": (0.0, 0.85), "locate": (0.85, 0.1), "attribute": (0.95, 0.05), "reaction": (0.0, 1.0)}


class BatchProgress:
    """Bars on a terminal, plain lines elsewhere, nothing when not shown."""

    def __init__(self, files: int, *, shown: bool) -> None:
        self._console = Console(stderr=True, quiet=not shown)
        self._bars = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:3.0f}%"),
            TimeRemainingColumn(), console=self._console, transient=True,
            disable=not shown or not self._console.is_terminal,
        )  # fmt: skip
        self._files = files
        self._all = self._bars.add_task(f"{files} files", total=files, visible=files > 1)
        self._file = self._bars.add_task("", total=1.0)
        self._done = 0
        self._told: set[str] = set()

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def start(self, name: str) -> None:
        self._bars.reset(self._file, total=1.0, description=_short(printable(name)))

    def stage(self, stage: str, share: float) -> None:
        """A stage of the file has come so far."""
        first, extent = _STAGES[stage]
        self._bars.update(self._file, completed=first + extent * share)
        self._bars.update(self._all, completed=self._done + first + extent * share)

    def report_outcome(self, outcome: Outcome, notes: Collection[str] = ()) -> None:
        """A file ended; says what was found. Warnings among ``notes`` hold for the run and are told once."""
        self._done += 1
        self._bars.update(self._all, completed=self._done)
        name = outcome.input.name
        if outcome.state == "skipped":
            self.say(f"{name}: already analysed, nothing changed")
        elif outcome.analysis is not None:
            warnings = [warning for warning in outcome.analysis.warnings if warning not in self._told]
            for line in _lines(name, outcome.analysis, warnings):
                self.say(line)
            self._told.update(warning for warning in warnings if warning in notes)

    def say(self, line: str) -> None:
        """A line, above the bars."""
        self._console.print(printable(line), highlight=False, markup=False, soft_wrap=True)

    def conclude(self, report: BatchReport, out: Path, index: Path | None, *, html: bool) -> None:
        """Where the results are, if there are any."""
        counts = (("analysed", report.done), ("unchanged", report.skipped), ("failed", report.failed))
        told = ", ".join(f"{len(items)} {word}" for word, items in counts if items)
        names = (*report.done, *report.skipped)
        page = index or (output_path(out, names[0], "html") if html and len(names) == 1 else out)
        self.say(f"{told}. Open {page}" if index or names else f"{told}.")


def _lines(name: str, analysis: Analysis, warnings: Sequence[str]) -> list[str]:
    told = [] if analysis.labels == (REACTION.name,) else [_count_text(len(analysis.findings))]
    if analysis.intensities:
        told.append(", ".join(f"{label} {value:.2f}" for label, value in analysis.intensities.items()))
    elif REACTION.name in analysis.labels:
        told.append("no reaction measured")
    lines = [f"{name}: {analysis.video.duration_s:.1f} s, {'; '.join(told)}"]
    lines += [
        f"  {finding.span.start_s:6.1f}-{finding.span.end_s:.1f} s  {finding.label} ({finding.score:.2f})"
        + (f"  {finding.cause}" if finding.cause else "")
        for finding in analysis.findings
    ]
    return lines + [f"  note: {warning}" for warning in warnings]


def _count_text(findings: int) -> str:
    return "nothing to report" if findings == 0 else f"{findings} finding{'s' if findings > 1 else ''}"


def _short(name: str, width: int = 32) -> str:
    return name if len(name) <= width else f"…{name[-width + 1 :]}"
