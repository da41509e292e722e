"""Exactly one end for each input, in the folder of the results: whoever writes an end first has written it.

``.omnisila/ledger/ends`` has a file an input, by its address and version: what a run that goes on needs to know
without reading a video. ``.omnisila/ledger/contents`` has a file a content, which says where its results are: the same
video in two places is analysed once. ``.omnisila/ledger/names`` has a file a name, with the address of the input whose
results have it: another run's input of the same name takes a longer one. A folder has one model and one set of
settings (``bind``): both hold for these.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal

from pydantic import Field, ValidationError

from omnisila.batches.listing import Source, other_names
from omnisila.batches.storage import Storage
from omnisila.config import Frozen
from omnisila.digests import digest
from omnisila.errors import InputError
from omnisila.files import path_text
from omnisila.inference.batch import STATE_FOLDER, RunIdentity

_LEDGER = f"{STATE_FOLDER}/ledger"
_IDENTITY = f"{STATE_FOLDER}/batch.json"
WHOLE = "ledger.jsonl"  # all ends, a line each, once a run is over


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


class End(Frozen):
    """How one input ended.

    Attributes:
        address: of the input.
        version: what told whether it was changed.
        name: of its outputs.
        state: ``skipped`` is an input whose content another one had: it has that one's results.
        reason: why it failed, or which input had its content.
        sha256: of the content, where it could be read.
        video_s: its length.
        seconds: of work.
        findings: how many of each label.
        score: of the strongest finding.
        peak: the anomaly curve's highest score, or the strongest reaction.
        utc: when it ended.
    """

    address: str
    version: str
    name: str
    state: Literal["done", "skipped", "failed"]
    reason: str | None = None
    sha256: str | None = None
    video_s: float = 0.0
    seconds: float = 0.0
    findings: dict[str, int] = Field(default_factory=dict)
    score: float | None = None
    peak: float = 0.0
    utc: str = Field(default_factory=_now)


class Ledger:
    """The ends of a folder of results."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage

    def bind(self, identity: RunIdentity) -> None:
        """Give the folder its model and settings, or see that it has these.

        Raises:
            InputError: it has others.
            OutputError: it cannot be written.
        """
        wanted = identity.model_dump_json(indent=1).encode()
        if self.storage.create(_IDENTITY, wanted):
            return
        try:
            found = RunIdentity.model_validate_json(self.storage.read(_IDENTITY) or b"")
        except ValidationError:
            raise InputError(f"{self.storage.url(_IDENTITY)}: cannot be read. Give another folder.") from None
        if found != identity:
            pairs = [*_fields(found).items()], _fields(identity)
            other = [f"{name} {value!r}, not {pairs[1].get(name)!r}" for name, value in pairs[0]
                     if value != pairs[1].get(name)]  # fmt: skip
            raise InputError(
                f"{self.storage.address}: holds results of another run ({'; '.join(other)}). Give another --out."
            )

    def of(self, source: Source) -> End | None:
        """How an input ended, if it did."""
        content = self.storage.read(_place("ends", source.key))
        return None if content is None else _parse(content)

    def put(self, source: Source, end: End) -> End:
        """Write how an input ended; gives what the ledger says, which is another's word if that came first.

        Raises:
            OutputError: it cannot be written.
        """
        place, content = _place("ends", source.key), end.model_dump_json().encode()
        if self.storage.create(place, content):
            return end
        first = self.of(source)
        if first is None:  # damaged, or taken away just now
            self.storage.put(place, content)
        return first or end

    def forget(self, key: str) -> None:
        """The input of this key is to be tried again, or was changed and has another."""
        self.storage.remove(_place("ends", key))

    def named(self, source: Source) -> Source:
        """The input with a name that no other address has in this folder, from now on.

        Raises:
            InputError: all its names are taken.
            OutputError: it cannot be written.
        """
        address = path_text(source.address).encode()
        for name in (source.name, *other_names(source)):
            place = _place("names", digest(path_text(name)))
            if self.storage.create(place, address) or self.storage.read(place) == address:
                return source._replace(name=name)
        raise InputError(f"{source.address}: other inputs have its names in this folder. Give another --out.")

    def holder(self, sha256: str) -> str | None:
        """The name of the input that a content's results were written for first."""
        found = self.storage.read(_place("contents", sha256))
        return found.decode() if found else None

    def hold(self, sha256: str, name: str) -> None:
        """A content's results are there under this name.

        Raises:
            OutputError: it cannot be written.
        """
        self.storage.create(_place("contents", sha256), name.encode())

    def ends(self) -> Iterator[tuple[str, End]]:
        """Every end by its input's key; damaged ones are left out, so that their inputs are tried again."""
        for name, content in self.storage.read_all(f"{_LEDGER}/ends"):
            if (end := _parse(content)) is not None:
                yield name.rpartition("/")[2].removesuffix(".json"), end

    def write_whole(self) -> None:
        """All ends in one file, a line each.

        Raises:
            OutputError: it cannot be written.
        """
        self.storage.put_lines(WHOLE, (end.model_dump_json().encode() for _, end in self.ends()))


def _place(kind: str, key: str) -> str:
    return f"{_LEDGER}/{kind}/{key[:2]}/{key}.json"


def _parse(content: bytes) -> End | None:
    try:
        return End.model_validate_json(content)
    except ValidationError:
        return None


def _fields(identity: RunIdentity) -> dict[str, object]:
    model = digest(identity.model_digest)[:8]
    return {"model": model, "labels": identity.labels, "version": identity.version, **identity.settings}
