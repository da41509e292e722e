"""Storages that fsspec knows: opened, asked again where they fail, and listed without passing over a folder."""

import errno
import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from omnisila.errors import InputError, needing
from omnisila.pace import Backoff

FULL = (errno.ENOSPC, errno.EDQUOT)
_TRIES = 4  # how often a storage that fails is asked
_RETRY_S, _RETRY_MAX_S = 1.0, 30.0
_FINAL = (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError)  # another try would say the same
_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "hf": "huggingface_hub"}
Answer = TypeVar("Answer")


def is_remote(address: str) -> bool:
    """Whether it names a storage of fsspec, and not a path."""
    return "://" in address


def open_storage(address: str) -> tuple[Any, str]:
    """The file system of a remote address, and the path within it.

    Raises:
        InputError: no such storage, or the package that reads it is missing.
    """
    scheme = address.partition("://")[0]
    with needing("fsspec", f"{scheme}://", "batch"):
        from fsspec.core import url_to_fs
    try:
        with needing(_PACKAGES.get(scheme), f"{scheme}://", "batch"):
            return url_to_fs(address, use_listings_cache=False)
    except ValueError as error:
        raise InputError(f"{address}: {error}. Give a path, or s3://, gs://, hf:// and the like.") from None


def retry(ask: Callable[[], Answer]) -> Answer:
    """A storage's answer; where it fails it is asked again after pauses, and the last error is raised."""
    backoff = Backoff()
    for _ in range(_TRIES - 1):
        try:
            return ask()
        except Exception as error:  # of botocore and the like, which share no base
            if isinstance(error, _FINAL) or (isinstance(error, OSError) and error.errno in FULL):
                raise
            time.sleep(backoff.next_s(_RETRY_S, _RETRY_MAX_S))
    return ask()


def listed_files(
    system: Any, path: str, slashes: float = math.inf, besides: str = ""
) -> Sequence[tuple[str, dict[str, Any]]]:
    """Every file below a path of a storage with what is known of it, folder by folder.

    ``walk``, ``find`` and ``glob`` of fsspec would pass over a folder that cannot be listed, and all that is in it.

    Args:
        slashes: folders with so many in their path are not listed.
        besides: a folder that is left out.

    Raises:
        FileNotFoundError: there is no such path.
        Exception: of the storage, where a folder cannot be listed.
    """
    found: list[tuple[str, dict[str, Any]]] = []
    folders = [path.rstrip("/")]
    while folders:
        folder = folders.pop()
        try:
            entries: list[dict[str, Any]] = retry(partial(system.ls, folder, detail=True))
        except FileNotFoundError:
            if folder == path.rstrip("/"):
                raise
            continue  # it was taken away just now
        for facts in entries:
            name = str(facts["name"]).rstrip("/")
            if name.strip("/") == folder.strip("/"):
                continue  # an object of the folder's own name
            if facts["type"] == "directory":
                if name != besides and name.count("/") < slashes:
                    folders.append(name)
            else:
                found.append((name, facts))
    return found
