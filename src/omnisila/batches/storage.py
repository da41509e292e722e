"""Files by name in a folder of this machine or of any storage that fsspec knows: whole or absent, first come first."""

import contextlib
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

from omnisila.batches.remote import is_remote, listed_files, open_storage, retry
from omnisila.errors import InputError, OutputError
from omnisila.files import named_failure, walk, write_atomically, written_aside

_MANY = 500  # objects that are read at a time


class Storage:
    """A folder by its address, which may be given to other processes; made when something is written.

    Args:
        address: a path, or ``s3://bucket/folder`` and the like.
    """

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/") or address

    def __reduce__(self) -> tuple[type["Storage"], tuple[str]]:
        return Storage, (self.address,)  # connections stay here

    @property
    def folder(self) -> Path | None:
        """Where it lies on this machine; None elsewhere."""
        return None if is_remote(self.address) else Path(self.address)

    def url(self, name: str) -> str:
        return f"{self.address}/{name}"

    def put(self, name: str, content: bytes) -> None:
        """Write a file, in the place of an older one.

        Raises:
            OutputError: it cannot be written.
        """
        if self.folder is not None:
            write_atomically(self.folder / _inside(name), content)
            return
        with self._named_failure(name):
            self._system.pipe_file(self._path(name), content)

    def create(self, name: str, content: bytes) -> bool:
        """Write a file unless there is one of that name, which stays; whether it was written.

        Of several that try at the same time one succeeds, where the storage knows conditional writes (S3, Google's,
        file systems with hard links); others look first and then write.

        Raises:
            OutputError: it cannot be written.
        """
        if self.folder is not None:
            return _create_locally(self.folder / _inside(name), content)
        try:
            with self._named_failure(name):
                self._system.pipe_file(self._path(name), content, mode="create")
        except FileExistsError:
            return False
        return True

    def read(self, name: str) -> bytes | None:
        """A file's content; None where there is none.

        Raises:
            OutputError: it cannot be read, tried again and again.
        """
        try:
            if self.folder is not None:
                return retry((self.folder / _inside(name)).read_bytes)
            return retry(lambda: self._system.cat_file(self._path(name)))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except InputError:
            raise
        except Exception as error:
            raise OutputError(f"{self.url(name)}: cannot be read ({_reason(error)}). Check access to it.") from None

    def read_all(self, within: str) -> Iterator[tuple[str, bytes]]:
        """Name and content of every file below a folder, many at a time; those that vanish meanwhile are left out.

        Raises:
            OutputError: the folder cannot be listed, or a file in it not be read.
        """
        if self.folder is not None:
            for folder, _, files in walk(self.folder / within, _refuse):
                for file in files:
                    name = (folder / file).relative_to(self.folder).as_posix()
                    if not file.startswith(".") and (content := self.read(name)):
                        yield name, content
            return
        paths = [path for path, _ in self._list_files(self._path(within))]
        for start in range(0, len(paths), _MANY):
            for path, found in self._system.cat(paths[start : start + _MANY], on_error="return").items():
                name = path.removeprefix(f"{self._root}/")
                content = self.read(name) if isinstance(found, Exception) else found
                if content is not None:
                    yield name, content

    def names(self, besides: str) -> frozenset[str]:
        """Of every file, besides those in one folder.

        Raises:
            OutputError: a folder cannot be listed.
        """
        if self.folder is None:
            listed = self._list_files(self._root, besides=self._path(besides))
            return frozenset(path.removeprefix(f"{self._root}/") for path, _ in listed)
        found: set[str] = set()
        for folder, folders, files in walk(self.folder, _refuse, follow_links=True):
            inner = folder.relative_to(self.folder)
            folders[:] = [name for name in folders if (inner / name).as_posix() != besides]
            found.update((inner / name).as_posix() for name in files)
        return frozenset(found)

    def remove(self, name: str) -> None:
        """Take a file away.

        Raises:
            OutputError: it cannot be removed.
        """
        if self.folder is not None:
            path = self.folder / _inside(name)
            with named_failure(path):
                path.unlink(missing_ok=True)
            return
        with self._named_failure(name), contextlib.suppress(FileNotFoundError):
            self._system.rm_file(self._path(name))

    def put_lines(self, name: str, lines: Iterable[bytes]) -> None:
        """Write a file of any length, line by line.

        Raises:
            OutputError: it cannot be written.
        """
        if self.folder is not None:
            with written_aside(self.folder / _inside(name)) as file:
                file.writelines(line + b"\n" for line in lines)
            return
        with self._named_failure(name), self._system.open(self._path(name), "wb") as file:
            for line in lines:
                file.write(line + b"\n")

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        return open_storage(self.address)

    @property
    def _system(self) -> Any:
        return self._opened[0]

    @property
    def _root(self) -> str:
        return self._opened[1].rstrip("/")

    def _list_files(self, path: str, besides: str = "") -> Sequence[tuple[str, Any]]:
        try:
            return listed_files(self._system, path, besides=besides)
        except FileNotFoundError:
            return ()
        except Exception as error:
            raise OutputError(
                f"{self._system.unstrip_protocol(path)}: cannot be listed ({_reason(error)}). Check access to it."
            ) from None

    def _path(self, name: str) -> str:
        return f"{self._root}/{_inside(name)}"

    @contextlib.contextmanager
    def _named_failure(self, name: str) -> Iterator[None]:
        try:
            yield
        except (FileExistsError, InputError):
            raise
        except Exception as error:  # of botocore and the like, which share no base
            raise OutputError(f"{self.url(name)}: cannot be written ({_reason(error)}). Check access to it.") from error


def _create_locally(path: Path, content: bytes) -> bool:
    """A hard link is made whole or not at all, and never over another file."""
    if path.exists():
        return False
    with named_failure(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.parent / f".{secrets.token_hex(8)}.partial"
        try:
            with aside.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            try:
                path.hardlink_to(aside)
            except FileExistsError:
                return False
            except OSError:  # a file system without links: two at the same moment could both win
                aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
    return True


def _refuse(fault: str) -> NoReturn:
    raise OutputError(fault)


def _inside(name: str) -> str:
    """A name that stays below the folder.

    Raises:
        InputError: it would not.
    """
    if {"", ".."} & set(name.split("/")):
        raise InputError(f"{name!r}: leads out of the folder of results. Rename the input.")
    return name


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
