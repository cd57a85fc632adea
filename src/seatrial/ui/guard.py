"""What stands in front of every page: only the user's own browser gets in, and no answer loads anything from elsewhere.

A page of another site can make a browser send requests here, and by DNS even under a name of its own (rebinding). So
the host must be this machine's, what changes something must come from a page of ours, and all need the session's
cookie, which SameSite=Strict keeps from requests that other sites cause. Whoever has the token gets the cookie.
"""

import html
import secrets
from collections.abc import Mapping
from urllib.parse import parse_qsl, quote, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Own files only; an image inside of a page (`data:`) causes no request."""
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
READING = ("GET", "HEAD")
METHODS = (*READING, "POST")
WELCOME = '<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={url}">'
WELCOME += '<title>seatrial</title><p><a href="{url}">Open the page</a></p>'
"""Not a redirect: a browser that came from elsewhere would not send the cookie along with one."""


class PageAccess:
    """Who gets in: by a token in the first address, by a cookie from then on."""

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(32)
        """For addresses that the user copies."""
        self.cookie = secrets.token_urlsafe(32)
        self._once = secrets.token_urlsafe(32)

    def make_once(self) -> str:
        """A token that is good for one use: other users of the machine see what a browser is started with."""
        self._once = secrets.token_urlsafe(32)
        return self._once

    def admits(self, token: str) -> bool:
        """Whether this is the token, or the one that is good once and was not used."""
        if _are_same(token, self._once):
            self._once = secrets.token_urlsafe(32)
            return True
        return _are_same(token, self.token)


def _are_same(given: str, own: str) -> bool:
    return secrets.compare_digest(given.encode("utf-8", "surrogateescape"), own.encode())


def read_query(scope: Scope) -> dict[str, str]:
    """The query of a request; names of files keep their bytes, as `os.fsdecode` has them."""
    pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True, errors="surrogateescape")
    return dict(pairs)


class Guard:
    """An ASGI application that lets requests through to another one, or refuses them."""

    def __init__(self, app: ASGIApp, session: PageAccess, port: int) -> None:
        self._app, self._session, self._port = app, session, port
        self._hosts = (f"127.0.0.1:{port}", f"localhost:{port}")
        self._name = f"seatrial-{port}"
        """Of the cookie: browsers keep those of all ports together."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._judge(scope)
        await (self._app if refusal is None else refusal)(scope, receive, send_guarded)

    def _judge(self, scope: Scope) -> Response | None:
        """The answer to a request that does not get through; None where it does."""
        headers = Headers(scope=scope)
        if headers.getlist("host") not in [[host] for host in self._hosts]:
            return _refuse(403, f"this page is at {self._hosts[0]} and {self._hosts[1]} only")
        if scope["method"] not in METHODS:
            return _refuse(405, "GET, HEAD and POST are what there is")
        if not self._is_own(scope, headers):
            return _refuse(403, "another site has no business here")
        query = read_query(scope)
        if scope["method"] in READING and "token" in query:
            return self._welcome(scope, query)
        if not _are_same(self._read_cookie(headers), self._session.cookie):
            return _refuse(401, "open the address that `seatrial ui` printed, with its token")
        return None

    def _is_own(self, scope: Scope, headers: Headers) -> bool:
        """Whether a request is of one of our pages, or, where it only reads, of no page at all."""
        origins = headers.getlist("origin")
        if origins:
            return origins == [f"http://{headers['host']}"]
        return scope["method"] in READING

    def _welcome(self, scope: Scope, query: dict[str, str]) -> Response:
        """The cookie, for the token."""
        if not self._session.admits(query.pop("token")):
            return _refuse(401, "this is not the token that `seatrial ui` printed, or it was used")
        address = quote(scope["path"]) + (f"?{urlencode(query, errors='surrogateescape')}" if query else "")
        # An address that begins with // would be another host's.
        answer = HTMLResponse(WELCOME.format(url=html.escape("/" + address.lstrip("/"))))
        answer.set_cookie(self._name, self._session.cookie, path="/", httponly=True, samesite="strict")
        return answer

    def _read_cookie(self, headers: Headers) -> str:
        pairs = (part.strip().partition("=") for line in headers.getlist("cookie") for part in line.split(";"))
        return next((value for name, _, value in pairs if name == self._name), "")


def _refuse(status: int, why: str) -> Response:
    return PlainTextResponse(f"seatrial: {why}\n", status)
