"""What stands before every route: who may ask, from where, and what a browser may do with the answer.

* A request must name a host on the list, else a web page could reach this machine through a name of its own (DNS
  rebinding).
* With accounts, a token is needed: ``Authorization: Bearer``, or the cookie that a link's ``?token=`` is exchanged for.
* A change must come from the page's own origin or a trusted one; other sites' pages are refused even where the browser
  would send the cookie (``SameSite=Strict`` says that it should not).
* Bodies are counted while they are read, and so are the requests of each user that cost work.
"""

import math
import time
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from omnisila.serve.settings import ServeSettings, User

COOKIE_DAYS = 30
UPLOADS = "/v1/"  # below it, bodies may be as long as uploads
CHAT, MAX_CHAT_BYTES = "/v1/chat/", 200_000_000  # these are held in memory
OPEN = ("/healthz",)  # answered without a token: it says nothing but that the server runs
_SAFE = ("GET", "HEAD", "OPTIONS")
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_ANY = ("0.0.0.0", "::", "")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Rate:
    """What each user may ask in a minute: a bucket that fills evenly and holds a minute's worth."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute, self._buckets = per_minute, dict[str, tuple[float, float]]()

    def wait_s(self, user: str) -> float:
        """Take one from the bucket: 0, or the seconds until there is one again."""
        now_s = time.monotonic()
        held, then_s = self._buckets.get(user, (float(self._per_minute), now_s))
        held = min(held + (now_s - then_s) * self._per_minute / 60, self._per_minute)
        self._buckets[user] = (max(held - 1, 0.0) if held >= 1 else held, now_s)
        return 0.0 if held >= 1 else (1 - held) * 60 / self._per_minute


class Guard:
    """ASGI middleware; it sets ``scope["state"]["user"]``."""

    def __init__(self, app: ASGIApp, settings: ServeSettings) -> None:
        self.app, self.settings = app, settings
        own = () if settings.host in _ANY else (settings.host, f"[{settings.host}]")
        trusted = (urlsplit(origin).hostname or "" for origin in settings.trusted_origins)
        self._hosts = frozenset(map(str.lower, (*_LOOPBACK, *own, *settings.hosts, *trusted)))
        self._rate = Rate(settings.asks_per_minute)
        self._origins = frozenset(origin.rstrip("/").lower() for origin in settings.trusted_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            raise RuntimeError(f"{scope['type']} connections are not served")
        base = self.settings.base_path
        path = scope["path"].removeprefix(base) if base and scope["path"].startswith(f"{base}/") else scope["path"]
        headers = Headers(scope=scope)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    given.setdefault(name, value)
                given.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = self._refusal(scope, headers, path)
        if refusal is not None:
            await refusal(scope, receive, answer)
            return
        if path.startswith(UPLOADS) and scope["method"] == "POST":
            wait_s = self._rate.wait_s(scope["state"]["user"].name)
            if wait_s:
                refusal = _refuse(429, "too many requests in a minute; try again later.")
                refusal.headers["Retry-After"] = str(math.ceil(wait_s))
                await refusal(scope, receive, answer)
                return
        scope["root_path"], scope["path"] = base, f"{base}{path}"  # some proxies take the path off, some leave it
        limit = self.settings.max_upload_bytes if path.startswith(UPLOADS) else self.settings.max_body_bytes
        if path.startswith(CHAT):
            limit = min(limit, MAX_CHAT_BYTES)
        await self.app(scope, _limit_body(receive, headers, limit), answer)

    def _refusal(self, scope: Scope, headers: Headers, path: str) -> Response | None:
        """Why a request goes no further, or the way it must take first; sets the user."""
        if not self._is_served(headers.get("host", "")):
            return _refuse(421, "this host name is not served here. Start the server with --allow-host.")
        if scope["method"] not in _SAFE and not self._is_own(headers):
            return _refuse(403, "changes come from the page itself, or from a --trusted-origin.")
        if self.settings.base_path and scope["path"] == self.settings.base_path:
            return RedirectResponse(f"{self.settings.base_path}/", 308)
        state = scope.setdefault("state", {})
        if not self.settings.accounts or path in OPEN:
            state["user"] = self.settings.local_user
        else:
            pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
            token, query = dict(pairs).get("token"), [pair for pair in pairs if pair[0] != "token"]
            user = self._user(headers, token)
            if user is None:
                return PlainTextResponse(
                    "A token is needed: open the link that omnisila serve printed for you.\n",
                    401,
                    {"WWW-Authenticate": "Bearer"},
                )
            if token is not None and scope["method"] == "GET":
                return self._admit(scope, token, query)
            state["user"] = user
        return None

    def _is_served(self, host: str) -> bool:
        name = host.lower().rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host.lower()
        return name in self._hosts

    def _is_own(self, headers: Headers) -> bool:
        """Whether a change comes from our own page, a trusted origin, or a program that is no browser."""
        origin = headers.get("origin")
        if origin is None:
            return headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")
        return origin.lower() in self._origins or urlsplit(origin).netloc.lower() == headers.get("host", "").lower()

    def _user(self, headers: Headers, token: str | None) -> User | None:
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        bearer = shown.strip() if scheme.lower() == "bearer" else None
        for candidate in (token, bearer, self._cookie(headers)):
            if candidate:
                return self.settings.account(candidate)
        return None

    @property
    def cookie_name(self) -> str:
        """Cookies know no ports: two servers of one machine keep theirs apart by name."""
        return f"omnisila_{self.settings.port}"

    def _cookie(self, headers: Headers) -> str | None:
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(self.cookie_name)
        except CookieError:
            return None
        return found.value if found else None

    def _admit(self, scope: Scope, token: str, query: Iterable[tuple[str, str]]) -> Response:
        """Put the token into a cookie and take it out of the address."""
        rest = urlencode(list(query))
        # relative: a proxy may have shown the page below another path than the one that arrives here
        here = scope["path"].rpartition("/")[2] or "./"
        response = RedirectResponse(f"{here}?{rest}" if rest else here, 303)
        response.set_cookie(
            self.cookie_name, token, max_age=COOKIE_DAYS * 86_400, path=f"{self.settings.base_path}/",
            secure=scope["scheme"] == "https", httponly=True, samesite="strict",
        )  # fmt: skip
        return response


def _refuse(status: int, reason: str) -> Response:
    return JSONResponse({"error": {"message": reason}}, status)


def _limit_body(receive: Receive, headers: Headers, limit: int) -> Receive:
    """``receive`` that ends with status 413 once a body is longer than it may be."""
    too_long = HTTPException(413, f"the request is longer than {limit} bytes, the most that is taken here.")
    taken = 0

    async def counted() -> Message:
        nonlocal taken
        message = await receive()
        if message["type"] == "http.request":
            taken += len(message.get("body", b""))
            stated = headers.get("content-length", "")
            if taken > limit or (stated.isdigit() and int(stated) > limit):
                raise too_long
        return message

    return counted
