"""What happened at each step, as lines of a file and, where it is installed, as TensorBoard curves."""

from pathlib import Path
from typing import Any

from omnisila.config import Frozen
from omnisila.files import write_atomically
from omnisila.records import append, cut_half_line, records
from omnisila.training.loop import StepReport

LOSSES = "losses.jsonl"


class LoggedStep(Frozen):
    """One line of ``losses.jsonl``; steps are counted from 0."""

    stage: str
    step: int
    loss: float
    gradient_norm: float


class TrainingLog:
    """The steps of one stage, added to ``losses.jsonl`` of a run folder; to be called after each step.

    A resumed stage takes its steps up again from a state that may be some steps old: the lines that it repeats leave
    the file first, so each step stands there once.
    """

    def __init__(self, folder: Path, stage: str) -> None:
        self.path, self.stage = folder / LOSSES, stage
        self._curves: Any = None

    def __call__(self, report: StepReport) -> None:
        self._curves = self._curves or self._begin(report.step)
        line = LoggedStep(stage=self.stage, step=report.step, loss=report.loss, gradient_norm=report.gradient_norm)
        append(self.path, [line])
        self._curves.add_scalar(f"{self.stage}/loss", report.loss, report.step)
        self._curves.add_scalar(f"{self.stage}/gradient norm", report.gradient_norm, report.step)
        if report.step + 1 == report.steps:
            self._curves.close()

    def _begin(self, step: int) -> Any:
        if self.path.exists():
            cut_half_line(self.path)
            before = list(records(self.path, LoggedStep))
            kept = [line for line in before if line.stage != self.stage or line.step < step]
            if len(kept) < len(before):
                write_atomically(self.path, "".join(line.model_dump_json() + "\n" for line in kept))
        return _curves(self.path.parent / "tensorboard" / self.stage, step)


class _NoCurves:
    """Without TensorBoard the file is all."""

    def add_scalar(self, *_: object) -> None: ...

    def close(self) -> None: ...


def _curves(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return _NoCurves()
    return SummaryWriter(str(folder), purge_step=step)
