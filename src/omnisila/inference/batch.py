"""Many inputs, one after another: a bad file never stops the rest, a finished one is not done again."""

import os
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple, Self

from pydantic import ValidationError

from omnisila import __version__
from omnisila.config import Frozen
from omnisila.digests import digest, file_digest
from omnisila.errors import EndpointError, OmnisilaError, OutputError
from omnisila.files import check_replaceable, check_writable, path_text, printable, remove, write_atomically
from omnisila.inference.inputs import Failure, Input
from omnisila.inference.run_folders import QUERY, is_endpoint, plan_answering, shortcuts_of
from omnisila.inference.settings import AnalyzerConfig
from omnisila.labels import label_set
from omnisila.media.video import sha256
from omnisila.models.run_files import CALIBRATION, RUN, is_run, run_calibration
from omnisila.schema import Analysis
from omnisila.weights.checkpoint_files import folder_digest

Writer = Callable[[Analysis, Input], bytes | str]
INDEX = "index.html"  # of a run, beside the outputs
STATE_FOLDER = ".omnisila"
_JSON = "json"
_CHOSEN = (
    "window_s", "hop_s", "rate_hz", "max_fnr", "alarms_per_hour", "contextual", "scene_text", "server", "send_video",
)  # fmt: skip
_UNEDITED = (_JSON, "html")  # checked whole; people edit the files of other programs, and their work stays
_MAX_NAME_BYTES = 255  # of a file's name, on all common file systems
_MAX_ENDING_BYTES = 16  # of a video's name: what is longer is no ending


class RunIdentity(Frozen):
    """What, beside the file itself, decides a result; ``settings`` holds every choice that changes any output."""

    model_digest: str
    labels: tuple[str, ...]
    settings: dict[str, str | float | bool | None]
    version: str = __version__

    @classmethod
    def of(cls, model_digest: str, settings: AnalyzerConfig, **more: str | float | bool | None) -> Self:
        """Of what is asked, and ``more`` that changes an output."""
        chosen = {name: getattr(settings, name) for name in _CHOSEN}
        camera = file_digest(settings.camera) if settings.camera else None
        return cls(model_digest=model_digest, labels=settings.labels, settings={**chosen, "camera": camera, **more})


def answering_digest(model: str, settings: AnalyzerConfig) -> str:
    """What differs where models, their thresholds, what they leave out or the labels do; nothing is loaded for it.

    Raises:
        InputError: as ``plan_answering``.
        WeightsError: a Video-LLM's folder cannot be read.
    """
    runs, parts = plan_answering(model, settings), [model]
    if runs.scenes is not None:
        settings = runs.scenes.settings
        parts.append(shortcuts_of(settings, run_calibration(runs.scenes.folder)).model_dump_json())
    elif model.startswith(QUERY) and not is_endpoint(model):
        parts.append(folder_digest(model.removeprefix(QUERY)))
    parts += [label_set(name).model_dump_json() for name in settings.labels]
    for folder in runs.folders:
        if is_run(folder):
            parts += [file_digest(folder / name) for name in (RUN, CALIBRATION) if (folder / name).is_file()]
        else:
            parts.append(folder_digest(str(folder)))
    return digest(*parts)


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


class _Record(Frozen):
    """What stands beside an input's outputs: what they belong to, and which of them this tool wrote.

    ``path`` is as it was given, ``link`` leads there from the folder of the results. ``files`` has the SHA-256 of each
    output by its suffix, "" for one that does not belong to this analysis, or not yet.
    """

    sha256: str
    path: str
    link: str
    identity: RunIdentity
    files: dict[str, str]


def failure_reason(item: Input, error: Exception) -> str:
    """Why an input failed, in one line: a fault of ours, or of a library, in one file must not cost the others."""
    if isinstance(error, OmnisilaError):
        return printable(str(error))
    told = f"{item.path}: {type(error).__name__}: {error}. This is a fault of omnisila; please report it."
    return printable(" ".join(told.split()))


def output_path(out: Path, name: str, suffix: str) -> Path:
    """Where an output of the input called ``name`` stands: ``out/a/clip.mp4.json``.

    A name that would be longer than file systems allow is shortened; a digest of the whole keeps it unique.
    """
    path = out / f"{name}.{suffix}"
    if len(os.fsencode(path.name)) <= _MAX_NAME_BYTES:
        return path
    video = Path(name)
    ending = video.suffix if len(os.fsencode(video.suffix)) <= _MAX_ENDING_BYTES else ""
    end = f"~{digest(os.fsencode(video.name))[:12]}{ending}.{suffix}"
    begin = video.stem
    while len(os.fsencode(begin + end)) > _MAX_NAME_BYTES:
        begin = begin[:-1]
    return path.with_name(begin + end)


class Batch:
    """Analyses inputs into a folder; a run that was stopped goes on where it stood.

    An input is skipped when all its outputs are there, whole, and were written for the same content at the same place,
    the same model, labels and settings. Where the video was only moved, or outputs are missing, they are written from
    the JSON. Outputs of another analysis that this run does not write again are taken away: nothing stale stays.

    Args:
        out: folder of the results; made when missing.
        writers: by suffix, the content of each output, JSON among them; each is written whole or not at all.
        suffixes: of every output there can be.
        retire: takes away what else was made of an earlier analysis of an input.

    Raises:
        OutputError: ``out`` cannot be written to.
    """

    def __init__(
        self,
        out: Path,
        analyze: Callable[[Path], Analysis],
        writers: Mapping[str, Writer],
        identity: RunIdentity,
        suffixes: Collection[str] = (),
        retire: Callable[[Input], None] = lambda _: None,
    ) -> None:
        check_writable(out)
        self.out = out
        self.analyze = analyze
        self.writers = writers
        self.identity = identity
        self.suffixes = suffixes
        self.retire = retire
        self._taken = {_key(out / INDEX): (out / INDEX, "the index of the run")}

    def run(self, inputs: Iterable[Input]) -> Iterator[Outcome]:
        """Work through the inputs, one outcome each, in their order; no error of a single input leaves this.

        Raises:
            EndpointError: no question can be asked any more, of whatever input.
        """
        for item in inputs:
            try:
                yield self._outcome(item)
            except EndpointError:
                raise
            except Exception as error:
                yield Outcome(item, "failed", reason=failure_reason(item, error))

    def _outcome(self, item: Input) -> Outcome:
        self._take(item)
        link = path_text(os.path.relpath(item.path, self.out))
        wanted = _Record(
            sha256=sha256(item.path), path=path_text(item.path), link=link, identity=self.identity, files={}
        )
        found = self._earlier_record(item)
        same = (found.sha256, found.identity) == (wanted.sha256, wanted.identity)
        whole = {suffix: kept for suffix, kept in found.files.items() if self._is_whole(item, suffix, kept)}
        kept = whole if same and (found.path, found.link) == (wanted.path, wanted.link) else {}
        if self.writers.keys() <= kept.keys():
            return Outcome(item, "skipped")
        for suffix in self.writers:
            check_replaceable(self._output(item, suffix))
        known = self._read(item) if same and _JSON in whole else None
        analysis = known or self.analyze(item.path)
        files = {**dict.fromkeys((*found.files, *self.writers), ""), **kept}
        self._write(item, analysis, wanted.replace(files=files), anew=known is None)
        return Outcome(item, "done", analysis=analysis)

    def _write(self, item: Input, analysis: Analysis, record: _Record, anew: bool) -> None:
        """Put the outputs in place that ``record`` has no digest of; its file is always true of what stands there."""
        files = dict(record.files)

        def note() -> None:
            write_atomically(self._marker(item), record.replace(files=files).model_dump_json())

        def put(suffix: str) -> None:
            content = self.writers[suffix](analysis, item)
            data = content.encode() if isinstance(content, str) else content
            write_atomically(self._output(item, suffix), data)
            files[suffix] = digest(data)
            note()

        note()
        if not files[_JSON]:
            put(_JSON)
        if anew:
            self.retire(item)
        for suffix in [suffix for suffix, kept in files.items() if not kept]:
            remove(self._output(item, suffix))  # also what is written again: if that fails, nothing old stays
            if suffix not in self.writers:
                del files[suffix]
        for suffix in self.writers:
            if not files[suffix]:
                put(suffix)
        note()

    def _take(self, item: Input) -> None:
        """Refuse an input whose outputs would replace another's of this run, as on a disk that ignores case."""
        for suffix in self.writers:
            path = self._output(item, suffix)
            other, name = self._taken.setdefault(_key(path), (path, item.name))
            if name != item.name and (other == path or _is_same_file(other, path)):
                raise OutputError(
                    f"{item.path}: its result {path} would replace that of {name}. Rename one, or give each a folder."
                )

    def _earlier_record(self, item: Input) -> _Record:
        """The record of an earlier run; of one that is damaged or of another version, all outputs may be left."""
        marker, left = self._marker(item), self.suffixes
        try:
            return _Record.model_validate_json(marker.read_bytes())
        except FileNotFoundError:
            left = ()
        except (OSError, ValidationError):
            pass
        return _Record(sha256="", path="", link="", identity=self.identity, files=dict.fromkeys(left, ""))

    def _is_whole(self, item: Input, suffix: str, wanted: str) -> bool:
        path = self._output(item, suffix)
        if not wanted or not path.is_file():
            return False
        return suffix not in _UNEDITED or file_digest(path) == wanted

    def _read(self, item: Input) -> Analysis | None:
        """The analysis that an earlier run wrote, of the video where it lies now."""
        try:
            analysis = Analysis.model_validate_json(self._output(item, _JSON).read_bytes())
        except ValidationError:
            return None
        return analysis.replace(video=analysis.video.replace(path=path_text(item.path)))

    def _output(self, item: Input, suffix: str) -> Path:
        return output_path(self.out, item.name, suffix)

    def _marker(self, item: Input) -> Path:
        return output_path(self.out / STATE_FOLDER, item.name, "done")


def _key(path: Path) -> str:
    """The same for paths that some file systems do not tell apart."""
    return unicodedata.normalize("NFC", str(path)).casefold()


def _is_same_file(first: Path, other: Path) -> bool:
    try:
        return first.samefile(other)
    except OSError:
        return False


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
