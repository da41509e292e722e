"""Many inputs, one after another: a bad file never stops the rest, a finished one is not done again."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import ValidationError

from omnisila import __version__
from omnisila.config import Frozen
from omnisila.errors import OmnisilaError
from omnisila.files import check_writable, write_atomically
from omnisila.inference.inputs import Failure, Input
from omnisila.media.video import sha256
from omnisila.schema import Analysis

Writer = Callable[[Analysis, Input], bytes | str]
_STATE_FOLDER = ".omnisila"


class RunIdentity(Frozen):
    """What, beside the file itself, decides a result; ``settings`` holds every choice that changes any output."""

    model_digest: str
    labels: tuple[str, ...]
    settings: dict[str, str | float | bool | None]
    version: str = __version__


class Outcome(NamedTuple):
    """How one input ended; ``analysis`` is there when it is done now, ``reason`` when it failed."""

    input: Input
    state: Literal["done", "skipped", "failed"]
    analysis: Analysis | None = None
    reason: str | None = None


class BatchReport(NamedTuple):
    """How a run ended, by the inputs' names."""

    done: tuple[str, ...]
    skipped: tuple[str, ...]
    failed: tuple[Failure, ...]


class _Finished(Frozen):
    """Written after the last output of an input: all of them belong to this content and this identity."""

    sha256: str
    identity: RunIdentity
    formats: tuple[str, ...]


def output_path(out: Path, name: str, suffix: str) -> Path:
    """Where an output of the input called ``name`` stands: ``out/a/clip.mp4.json``."""
    return out / f"{name}.{suffix}"


class Batch:
    """Analyses inputs into a folder; a run that was stopped goes on where it stood.

    An input is skipped when all its outputs exist and were written for the same content, model, labels and settings.

    Args:
        out: folder of the results; made when missing.
        analyze: the analysis of one file.
        writers: by suffix, the content of each output; all are written, each whole or not at all.
        identity: what decides a result beside the file.

    Raises:
        OutputError: ``out`` cannot be written to.
    """

    def __init__(
        self, out: Path, analyze: Callable[[Path], Analysis], writers: Mapping[str, Writer], identity: RunIdentity
    ) -> None:
        check_writable(out)
        self.out = out
        self.analyze = analyze
        self.writers = writers
        self.identity = identity

    def run(self, inputs: Iterable[Input]) -> Iterator[Outcome]:
        """Work through the inputs, one outcome each, in their order; no error of a single input leaves this."""
        for item in inputs:
            try:
                yield self._outcome(item)
            except OmnisilaError as error:
                yield Outcome(item, "failed", reason=str(error))
            except Exception as error:  # a fault of ours, or of a library, in one file must not cost the others
                reason = f"{item.path}: {type(error).__name__}: {error}. This is a fault of omnisila; please report it."
                yield Outcome(item, "failed", reason=reason)

    def _outcome(self, item: Input) -> Outcome:
        finished = _Finished(sha256=sha256(item.path), identity=self.identity, formats=tuple(sorted(self.writers)))
        if self._is_finished(item, finished):
            return Outcome(item, "skipped")
        analysis = self.analyze(item.path)
        marker = self._marker(item)
        marker.unlink(missing_ok=True)
        for suffix, writer in self.writers.items():
            write_atomically(output_path(self.out, item.name, suffix), writer(analysis, item))
        write_atomically(marker, finished.model_dump_json())
        return Outcome(item, "done", analysis=analysis)

    def _marker(self, item: Input) -> Path:
        return output_path(self.out / _STATE_FOLDER, item.name, "done")

    def _is_finished(self, item: Input, wanted: _Finished) -> bool:
        try:
            finished = _Finished.model_validate_json(self._marker(item).read_bytes())
        except (OSError, ValidationError, json.JSONDecodeError):
            return False
        same = finished.sha256 == wanted.sha256 and finished.identity == wanted.identity
        return same and all(
            suffix in finished.formats and output_path(self.out, item.name, suffix).is_file() for suffix in self.writers
        )


def summary(outcomes: Iterable[Outcome], failed: Iterable[Failure] = ()) -> BatchReport:
    """The report of a run; ``failed`` are arguments that stood for no file."""
    done: list[str] = []
    skipped: list[str] = []
    failures = list(failed)
    for outcome in outcomes:
        match outcome.state:
            case "done":
                done.append(outcome.input.name)
            case "skipped":
                skipped.append(outcome.input.name)
            case "failed":
                failures.append(Failure(outcome.input.name, outcome.reason or ""))
    return BatchReport(tuple(done), tuple(skipped), tuple(failures))
