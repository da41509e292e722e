"""What a person sees while files are worked through: one line a file, with what was found in it."""

from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from omnisila.inference.batch import BatchReport, Outcome
from omnisila.labels import REACTION
from omnisila.schema import Analysis

# How a file's time is shared between the stages, about, so that the time left means something.
_STAGES = {"features": (0.0, 0.85), "locate": (0.85, 0.1), "attribute": (0.95, 0.05), "reaction": (0.0, 1.0)}


class BatchProgress:
    """Bars on a terminal, plain lines elsewhere, nothing when not shown."""

    def __init__(self, files: int, *, shown: bool) -> None:
        self._console = Console(stderr=True, quiet=not shown)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:3.0f}%"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not shown or not self._console.is_terminal,
        )
        self._files = files
        self._all = self._bars.add_task(f"{files} files", total=files, visible=files > 1)
        self._file = self._bars.add_task("", total=1.0)
        self._done = 0

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def start(self, name: str) -> None:
        """A file begins."""
        self._bars.reset(self._file, total=1.0, description=_short(name))

    def stage(self, stage: str, share: float) -> None:
        """A stage of the file has come so far."""
        first, extent = _STAGES[stage]
        self._bars.update(self._file, completed=first + extent * share)
        self._bars.update(self._all, completed=self._done + first + extent * share)

    def finished(self, outcome: Outcome) -> None:
        """A file ended; says what was found."""
        self._done += 1
        self._bars.update(self._all, completed=self._done)
        name = outcome.input.name
        if outcome.state == "skipped":
            self._console.print(f"{name}: already analysed, nothing changed", highlight=False, markup=False)
        elif outcome.analysis is not None:
            for line in _lines(name, outcome.analysis):
                self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def conclude(self, report: BatchReport, out: Path, index: Path | None, *, html: bool) -> None:
        """Where the results are."""
        counts = (("analysed", report.done), ("unchanged", report.skipped), ("failed", report.failed))
        told = ", ".join(f"{len(items)} {word}" for word, items in counts if items)
        names = (*report.done, *report.skipped)
        page = index or (out / f"{names[0]}.html" if html and len(names) == 1 else out)
        self._console.print(f"{told}. Open {page}", highlight=False, markup=False, soft_wrap=True)


def _lines(name: str, analysis: Analysis) -> list[str]:
    told = [] if analysis.labels == (REACTION.name,) else [_counted(len(analysis.findings))]
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
    return lines + [f"  note: {warning}" for warning in analysis.warnings]


def _counted(findings: int) -> str:
    return "nothing to report" if findings == 0 else f"{findings} finding{'s' if findings > 1 else ''}"


def _short(name: str, width: int = 32) -> str:
    return name if len(name) <= width else f"…{name[-width + 1 :]}"
