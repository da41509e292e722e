"""Where streams come from, and how they are named where others can read it: never with a password."""

import re
from pathlib import Path
from typing import Literal, NamedTuple, Self
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

from omnisila.errors import InputError

Kind = Literal["rtsp", "http", "device", "file", "folder"]
_KINDS: dict[str, Kind] = {"rtsp": "rtsp", "rtsps": "rtsp", "http": "http", "https": "http"}
_HIDDEN = "***"
_NAMED = re.compile(r"([\w.-]+)=(.+)", re.DOTALL)


class Address(NamedTuple):
    """A stream: its name among the results, its kind, and where it is; ``url`` may hold a password."""

    name: str
    kind: Kind
    url: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """``rtsp://...``, ``http(s)://...``, ``/dev/video0``, a folder or a file; ``NAME=`` before it names it.

        Raises:
            InputError: none of these.
        """
        named = _NAMED.fullmatch(text)
        name, url = (named[1], named[2]) if named and "://" not in named[1] else (None, text)
        parts = urlsplit(url)
        kind = _KINDS.get(parts.scheme)
        if kind is not None:
            if not parts.hostname:
                raise InputError(
                    f"{public(url)}: no host in this address. Give one such as rtsp://camera.local/stream."
                )
            return cls(name or _plain(f"{parts.hostname}{parts.path}"), kind, url)
        if "://" in url:
            raise InputError(f"{public(url)}: streams are read over {', '.join(_KINDS)}. Give one of these.")
        path = Path(url)
        if not path.exists():
            raise InputError(f"{url}: no such device, folder or file. Check the path, or give an address with rtsp://.")
        kind = "folder" if path.is_dir() else "device" if path.is_char_device() else "file"
        return cls(name or _plain(path.stem), kind, url)

    @property
    def is_live(self) -> bool:
        """Whether it goes on whether or not anybody keeps up."""
        return self.kind not in ("file", "folder")


def public(url: str) -> str:
    """A URL as anybody may read it: user, password and the values of its query are hidden."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return _HIDDEN
    if not parts.scheme or not parts.netloc:
        return url if "@" not in url and "?" not in url else _HIDDEN
    query = urlencode([(key, _HIDDEN) for key, _ in parse_qsl(parts.query, keep_blank_values=True)], safe="*")
    user = f"{_HIDDEN}@" if "@" in parts.netloc else ""
    return urlunsplit(SplitResult(parts.scheme, user + host, parts.path, query, ""))


def distinct(addresses: list[Address]) -> tuple[Address, ...]:
    """The addresses, with a number after a name that two have."""
    seen: dict[str, int] = {}
    named: list[Address] = []
    for address in addresses:
        seen[address.name] = seen.get(address.name, 0) + 1
        count = seen[address.name]
        named.append(address if count == 1 else address._replace(name=f"{address.name}-{count}"))
    if len({address.name for address in named}) < len(named):
        raise InputError("two streams have one name. Give each a name of its own: NAME=rtsp://...")
    return tuple(named)


def _plain(text: str) -> str:
    return re.sub(r"[^\w.-]+", "-", text).strip("-.") or "camera"
