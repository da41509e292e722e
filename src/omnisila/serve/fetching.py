"""Videos at web addresses: only of hosts that the server's owner listed, and never of a machine inside the network.

The name is resolved once, every address it has must be public, and the connection goes to the address that was
checked, so that a name cannot point elsewhere a moment later. Redirects are checked like the first address. A listed
host that is itself an address, such as ``10.0.0.7``, was named on purpose and may be private.
"""

import http.client
import ipaddress
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import PurePosixPath
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from omnisila import __version__
from omnisila.errors import InputError

_REDIRECTS = 5
_WAIT_S = 20.0  # for a connection, and for the next piece
_CONTENT_TYPES = "video/*, image/*, application/octet-stream;q=0.9, */*;q=0.1"


class FetchSettings(NamedTuple):
    """Where videos may be fetched from, and how much.

    Attributes:
        hosts: names whose addresses must be public, subdomains included, or addresses, in small letters; none: nothing
            is fetched.
    """

    hosts: tuple[str, ...]
    max_bytes: int
    timeout_s: float


class Fetched:
    """A video that is being received, read like a file; ``name`` is the last part of its address.

    Raises:
        InputError: on ``read``: it is too long, too slow, or the connection broke.
    """

    def __init__(self, asked: "_Asked", url: SplitResult, settings: FetchSettings, end_s: float) -> None:
        self.name = PurePosixPath(unquote(url.path)).name or "video"
        self._stream, self._answer = asked
        self._host, self._settings, self._end_s, self._taken = url.hostname, settings, end_s, 0

    def read(self, size: int) -> bytes:
        try:
            self._stream.settimeout(min(_WAIT_S, max(self._end_s - time.monotonic(), 0.01)))
            piece = self._answer.read1(size)  # what is there, so that a server that drips is noticed
        except (OSError, http.client.HTTPException) as error:
            self._check_time()
            raise InputError(f"video_url: {self._host} stopped sending ({_reason(error)}). Try again.") from None
        self._taken += len(piece)
        if max(self._taken, self._answer.length or 0) > self._settings.max_bytes:
            raise InputError(f"video_url: longer than {self._settings.max_bytes} bytes, the most that is taken here.")
        self._check_time()
        if not piece and self._answer.length:
            raise InputError(f"video_url: {self._host} sent less than it announced. Try again.")
        return piece

    def _check_time(self) -> None:
        if time.monotonic() > self._end_s:
            raise InputError(f"video_url: not received within {self._settings.timeout_s:g} s. Upload the video.")


class _Asked(NamedTuple):
    stream: socket.socket
    answer: http.client.HTTPResponse


@contextmanager
def fetch(address: str, settings: FetchSettings) -> Iterator[Fetched]:
    """Ask for a video, which can be read until the end of the context.

    Raises:
        InputError: the address may not be fetched, or its server gives no video; the message says why.
    """
    end_s = time.monotonic() + settings.timeout_s
    for _ in range(_REDIRECTS + 1):
        url = _check(address, settings.hosts)
        with _get(url, _find_address(url, settings.hosts)) as asked:
            answer = asked.answer
            if answer.status in (301, 302, 303, 307, 308):
                address = urljoin(address, answer.headers.get("Location", ""))
                continue
            if answer.status != 200:
                said = f"{answer.status} {answer.reason}"
                raise InputError(f"video_url: {url.hostname} answers {said}. Give another address.")
            yield Fetched(asked, url, settings, end_s)
            return
    raise InputError(f"video_url: more than {_REDIRECTS} redirects. Give the address of the video itself.")


def _check(address: str, hosts: tuple[str, ...]) -> SplitResult:
    try:
        url = urlsplit(address)
        host, _ = url.hostname or "", url.port
    except ValueError:
        raise InputError("video_url: no web address. Give one such as https://example.org/clip.mp4.") from None
    if url.scheme not in ("http", "https") or not host:
        raise InputError("video_url: no web address. Give http, https or data:video/mp4;base64,...")
    if not hosts:
        raise InputError("video_url: this server fetches no addresses (--fetch-from). Upload the video.")
    is_listed = any(host == known or host.endswith(f".{known}") for known in hosts)
    if url.username is not None or not is_listed:
        raise InputError(f"video_url: {host} is not among the hosts that this server fetches from. Upload the video.")
    return url


def _find_address(url: SplitResult, hosts: tuple[str, ...]) -> tuple[str, int]:
    """The address to connect to: the first one, where all that the name has may be asked."""
    host, port = url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
    try:
        found = [info[4][0] for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError):
        raise InputError(f"video_url: {host} is unknown to the network here. Check the address.") from None
    for text in map(str, found):
        known = ipaddress.ip_address(text)
        if (not known.is_global or known.is_multicast) and text not in hosts:
            raise InputError(f"video_url: {host} is a machine inside a network, which is not asked. Upload the video.")
    return str(found[0]), port


@contextmanager
def _get(url: SplitResult, address: tuple[str, int]) -> Iterator[_Asked]:
    host = url.hostname or ""
    with closing(http.client.HTTPConnection(host, address[1], timeout=_WAIT_S)) as connection:
        try:
            stream = socket.create_connection(address, _WAIT_S)
            connection.sock = stream  # to the address that was checked; the name is not resolved again
            if url.scheme == "https":
                connection.sock = stream = ssl.create_default_context().wrap_socket(stream, server_hostname=host)
            target = f"{url.path or '/'}?{url.query}" if url.query else url.path or "/"
            wanted = {"User-Agent": f"omnisila/{__version__}", "Accept": _CONTENT_TYPES}
            connection.request("GET", target, headers=wanted)
            answer = connection.getresponse()
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise InputError(f"video_url: {host} cannot be asked ({_reason(error)}). Check the address.") from None
        with answer:
            yield _Asked(stream, answer)


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).strip()
