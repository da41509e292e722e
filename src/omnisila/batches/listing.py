"""What a batch works on: paths and addresses only, each with a name of its own and what tells a changed file."""

import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from omnisila.batches.remote import is_remote, listed_files, open_storage
from omnisila.digests import digest
from omnisila.errors import InputError
from omnisila.files import path_text
from omnisila.inference.inputs import MAGIC, Failure, expand, is_medium

_VERSIONS = ("ETag", "etag", "md5Hash", "blob_id", "mtime", "LastModified", "last_modified", "updated", "created")


class Source(NamedTuple):
    """One input.

    Attributes:
        name: of its outputs, ``a/clip.mp4``; unique within a batch.
        version: differs when the file was changed; "" for a remote line of a list, whose content is taken to stay.
    """

    address: str
    name: str
    version: str

    @property
    def key(self) -> str:
        """Of its end."""
        return digest(os.fsencode(self.address), self.version)[:40]


class Sources(NamedTuple):
    """What arguments stand for, those that stand for nothing, and notes on what was passed over."""

    files: tuple[Source, ...]
    failed: tuple[Failure, ...]
    notes: tuple[str, ...]


def list_sources(arguments: Sequence[str]) -> Sources:
    """The files that arguments name: paths, folders and globs as ``analyze`` takes them, remote ones likewise, and
    ``@FILE``, a file with a path or an address a line.

    Raises:
        InputError: nothing at all was found, or a list or storage cannot be read.
    """
    local: list[str] = []
    remote: list[tuple[str, bool]] = []
    for argument in arguments:
        for line, is_listed in _lines(argument):
            if is_remote(line):
                remote.append((line, is_listed))
            else:
                local.append(line)
    found: list[Source] = []
    failed: list[Failure] = []
    notes: tuple[str, ...] = ()
    if local:
        try:
            inputs = expand(local)
            found += [Source(os.fspath(item.path), item.name, _local_version(item.path)) for item in inputs.files]
            failed, notes = list(inputs.failed), inputs.notes
        except InputError as error:
            if not remote:
                raise
            failed.append(Failure(", ".join(local), path_text(str(error))))
    for address, is_listed in remote:
        if is_listed:
            found.append(Source(address, address.partition("://")[2], ""))
            continue
        try:
            found += _remote(address)
        except InputError as error:
            failed.append(Failure(address, str(error)))
    if not found:
        raise InputError(failed[0].reason if failed else "No input given. Name videos, folders, globs or addresses.")
    first: dict[str, Source] = {}
    for source in found:
        first.setdefault(source.address, source)
    return Sources(_with_unique_names(first.values()), tuple(failed), notes)


def _lines(argument: str) -> Iterator[tuple[str, bool]]:
    """An argument itself, or the lines of the list that it names."""
    if not argument.startswith("@"):
        yield argument, False
        return
    place = argument[1:]
    try:
        if is_remote(place):
            system, path = open_storage(place)
            text = system.cat_file(path).decode()
        else:
            text = Path(place).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{place}: no list can be read from it ({reason}). Give a text file, a path a line.") from None
    yield from ((line.strip(), True) for line in text.splitlines() if line.strip() and not line.startswith("#"))


def _local_version(path: Path) -> str:
    try:
        stat = path.stat()
    except OSError:
        return ""
    return f"{stat.st_size} {stat.st_mtime_ns}"


def _remote(address: str) -> Iterator[Source]:
    from fsspec.utils import glob_translate

    scheme = address.partition("://")[0]
    system, path = open_storage(address)
    try:
        if MAGIC & set(path):
            parts = path.split("/")
            root = "/".join(parts[: next(index for index, part in enumerate(parts) if MAGIC & set(part))])
            slashes = math.inf if "**" in path else path.count("/")
            matches = re.compile(glob_translate(path)).match
            files = [(name, facts) for name, facts in listed_files(system, root, slashes) if matches(name)]
        elif system.isfile(path):
            yield Source(address, PurePosixPath(path).name, _version(system.info(path)))
            return
        else:
            root, files = path.rstrip("/"), listed_files(system, path)
    except FileNotFoundError:
        files, root = [], path
    except Exception as error:  # of botocore and the like, which share no base
        raise InputError(f"{address}: cannot be listed ({error}). Check the address and access to it.") from None
    media = [(name, facts) for name, facts in files if is_medium(PurePosixPath(name.removeprefix(f"{root}/")))]
    if not media:
        raise InputError(f"{address}: no video or picture there. Check the address, or name the files in a list.")
    for name, facts in sorted(media, key=lambda file: file[0]):
        yield Source(f"{scheme}://{name.lstrip('/')}", name.removeprefix(f"{root}/"), _version(facts))


def _version(facts: dict[str, Any]) -> str:
    told = next((str(facts[name]) for name in _VERSIONS if facts.get(name)), "")
    return f"{facts.get('size')} {told}"


def other_names(source: Source) -> tuple[str, str]:
    """Longer names for an input whose own is taken; the second one is no other input's."""
    name = _inner(source.address.replace("://", "/"))
    return name, f"{digest(os.fsencode(source.address))[:12]}/{name}"


def _inner(path: str) -> str:
    """A path that leads nowhere but down."""
    return "/".join(part for part in path.split("/") if part not in ("", ".", ".."))


def _with_unique_names(found: Iterable[Source]) -> tuple[Source, ...]:
    sources = [source._replace(name=_inner(source.name)) for source in found]
    for number in range(2):
        counts = Counter(source.name for source in sources)
        sources = [
            source if counts[source.name] == 1 else source._replace(name=other_names(source)[number])
            for source in sources
        ]
    return tuple(sources)
