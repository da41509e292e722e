"""One input to its end: fetched, analysed, its outputs written, then its end in the ledger; in a child process."""

import fcntl
import os
import shutil
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

import torch
from pydantic import ValidationError

from omnisila.batches.ledger import End, Ledger
from omnisila.batches.listing import Source
from omnisila.batches.remote import FULL, is_remote, open_storage, retry
from omnisila.batches.storage import Storage
from omnisila.errors import EndpointError, InputError, OutputError
from omnisila.files import path_text
from omnisila.inference.batch import INDEX, Writer, failure_reason, output_path
from omnisila.inference.inputs import Input
from omnisila.media.video import sha256
from omnisila.schema import Analysis

_SCRATCH = "omnisila-batch-"
_GPU_FAULT = 70  # exit status


class Work:
    """Brings inputs to their ends.

    Args:
        writers: by suffix, what makes each output's content; JSON among them.
        scratch: a folder for what is fetched, emptied after each input.
    """

    def __init__(
        self, analyze: Callable[[Path], Analysis], writers: Mapping[str, Writer], storage: Storage, scratch: Path
    ) -> None:
        self._analyze, self._writers, self._storage = analyze, writers, storage
        self._scratch, self._ledger = scratch, Ledger(storage)

    def __call__(self, source: Source) -> End:
        """How the input ended; what is already in the ledger is not done again.

        Raises:
            OutputError: a result cannot be written, or the ledger not be read, which is no input's fault.
            EndpointError: likewise, no question can be asked.
        """
        if (known := self._ledger.of(source)) is not None:
            return known
        began_s = time.monotonic()
        try:
            source = self._ledger.named(source)
            with _fetch(source, self._scratch) as path:
                end = self._finish(source, path)
        except (OutputError, EndpointError):
            raise
        except torch.OutOfMemoryError as error:
            end = end_of(source, "failed", reason=f"{source.address}: {path_text(str(error))}")
        except torch.AcceleratorError:  # this process cannot use its GPU any more
            traceback.print_exc()
            os._exit(_GPU_FAULT)
        except Exception as error:
            reason = failure_reason(Input(Path(source.address), source.name), error)
            end = end_of(source, "failed", reason=reason.replace(f"{self._scratch}/", ""))
        finally:
            _empty(self._scratch)
        return self._ledger.put(source, end.replace(seconds=round(time.monotonic() - began_s, 3)))

    def _finish(self, source: Source, path: Path) -> End:
        content = sha256(path)
        holder = self._ledger.holder(content)
        known = self._read(holder, content) if holder is not None else None
        analysis = known or self._analyze(path)
        analysis = analysis.replace(video=analysis.video.replace(path=path_text(source.address)))
        for suffix, write in self._writers.items():
            made = write(analysis, Input(path, source.name))
            name = output_name(source.name, suffix)
            if name == INDEX:
                raise InputError(f"{source.address}: its page would replace that of the batch. Rename it.")
            self._storage.put(name, made.encode() if isinstance(made, str) else made)
        if known is None:
            self._ledger.hold(content, source.name)
        again = known is not None and holder != source.name
        return end_of(
            source,
            "skipped" if again else "done",
            reason=f"the same content as {holder}" if again else None,
            sha256=content,
            video_s=analysis.video.duration_s,
            findings=dict(Counter(finding.label for finding in analysis.findings)),
            score=max((finding.score for finding in analysis.findings), default=None),
            peak=max((*(point.score for point in analysis.anomaly_curve), *(analysis.intensities or {}).values(), 0.0)),
        )

    def _read(self, holder: str, content: str) -> Analysis | None:
        """The analysis of a content; None where another has taken its place since."""
        try:
            analysis = Analysis.model_validate_json(self._storage.read(output_name(holder, "json")) or b"")
        except ValidationError:
            return None
        return analysis if analysis.video.sha256 == content else None


def end_of(source: Source, state: str, **facts: object) -> End:
    """An input's end."""
    given = {"address": path_text(source.address), "version": source.version, "name": path_text(source.name)}
    return End.model_validate({**given, "state": state, **facts})


def output_name(name: str, suffix: str) -> str:
    """Where an output of an input stands in the folder of results."""
    return path_text(output_path(Path(), name, suffix).as_posix())


def scratch_folder() -> Path:
    """An empty folder of this process; those of processes that were killed are taken away."""
    root = Path(tempfile.gettempdir())
    for old in root.glob(f"{_SCRATCH}*"):
        with suppress(OSError), (old / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # whoever worked there holds it for life
            shutil.rmtree(old, ignore_errors=True)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_SCRATCH))
        lock = os.open(folder / "lock", os.O_CREAT | os.O_WRONLY)  # a number, which stays open as long as the process
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / "lock").exists():
            return folder
        os.close(lock)  # another process came between, and took the folder for one that was left behind


def _empty(scratch: Path) -> None:
    for path in scratch.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != "lock":
            path.unlink(missing_ok=True)


@contextmanager
def _fetch(source: Source, scratch: Path) -> Iterator[Path]:
    """The input as a file of this machine.

    Raises:
        InputError: it cannot be fetched.
        OutputError: the disk is full.
    """
    if not is_remote(source.address):
        yield Path(source.address)
        return
    path = scratch / PurePosixPath(source.name).name
    system, place = open_storage(source.address)
    try:
        retry(lambda: system.get_file(place, os.fspath(path)))
    except (FileNotFoundError, PermissionError) as error:
        raise InputError(f"{source.address}: cannot be fetched ({error}). Check access to it.") from None
    except Exception as error:  # of botocore and the like, which share no base
        if isinstance(error, OSError) and error.errno in FULL:
            raise OutputError(
                f"{scratch}: {error.strerror}. Free some space, or set TMPDIR to a larger disk."
            ) from None
        raise InputError(f"{source.address}: cannot be fetched ({error}). Run again later.") from None
    yield path
