"""Who may come in: a page on this machine is within reach of every site that its user's browser shows.

Names of the host are checked against rebinding of DNS, origins against posts and sockets of other sites; beyond the loopback a
token is asked for.  Nothing is loaded from elsewhere, and no body is read that is larger than an upload may be.
"""

from __future__ import annotations

import hmac
import secrets
import socket
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import ip_address
from typing import Any, final
from urllib.parse import parse_qsl, urlsplit

from ..errors import BadInput

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
EVERY = ("0.0.0.0", "::", "")                           # addresses to listen at that stand for all
SHORTEST = 12                                           # letters of a token
COOKIE, FIELD, DOOR = "newtake", "token", "/door"
TYPED = 4096                                            # bytes of a form with a token
OWN = "'self'"
# gradio's page has scripts and styles in it, and makes functions of text.
CONTENT = {"default-src": OWN, "script-src": f"{OWN} 'unsafe-inline' 'unsafe-eval'", "style-src": f"{OWN} 'unsafe-inline'",
           "img-src": f"{OWN} data: blob:", "media-src": f"{OWN} data: blob:", "font-src": f"{OWN} data:",
           "worker-src": f"{OWN} blob:", "connect-src": OWN, "object-src": "'none'", "base-uri": OWN, "form-action": OWN,
           "frame-ancestors": "'none'"}
HEADERS = {"content-security-policy": "; ".join(f"{what} {whence}" for what, whence in CONTENT.items()),
           "x-content-type-options": "nosniff", "x-frame-options": "DENY",
           "referrer-policy": "same-origin",            # with no-referrer a form's own post has no origin
           "cross-origin-opener-policy": "same-origin", "cross-origin-resource-policy": "same-origin"}
PLAIN, PAGE = "text/plain; charset=utf-8", "text/html; charset=utf-8"
ASKING = f"""<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>newtake studio</title><style>body {{ font: 1rem sans-serif; margin: 20vh auto; max-width: 24rem; padding: 0 1rem }}
input, button {{ font: inherit; padding: .5rem; width: 100%; box-sizing: border-box; margin-top: .5rem }}</style>
<form method="post" action="{DOOR}"><label>The token that newtake studio told
<input name="{FIELD}" type="password" autocomplete="current-password" required autofocus></label><button>Open</button></form>
"""


@dataclass(frozen=True)
class Rules:
    """Whom a door lets in.  Raises BadInput where the token is too short."""

    host: str = "127.0.0.1"                             # that is listened at
    token: str | None = None                            # None: none is needed
    most: int = 1 << 30                                 # bytes of a body

    def __post_init__(self):
        if self.token is not None and len(self.token) < SHORTEST:
            raise BadInput(f"a token of {len(self.token)} letters can be guessed; give {SHORTEST} or more, or no --token")
        if self.token is None and self.host not in LOOPBACK:
            raise BadInput(f"{self.host} is seen from other machines; give a --token")

    def knows(self, host: str) -> bool:
        """Whether a Host header names this machine.  A name of others may lead here by DNS; a bare address never does."""
        name, own = name_of(host), socket.gethostname().lower()
        known = {*LOOPBACK, self.host.lower(), *((own, f"{own}.local") if self.host in EVERY else ())}
        return name in known or (self.host in EVERY and is_address(name))

    def opens(self, token: str) -> bool:
        return self.token is not None and hmac.compare_digest(bytes_of(token), bytes_of(self.token))

    @property
    def key(self) -> str | None:
        """What a browser keeps instead of the token; None where none is needed."""
        return self.token and sha256(bytes_of(f"newtake studio {self.token}")).hexdigest()

    def lets_in(self, key: str) -> bool:
        return self.key is None or hmac.compare_digest(bytes_of(key), bytes_of(self.key))


def rules(host: str, token: str | None = None, most: int = 1 << 30) -> Rules:
    """With a new token where one is needed and none was said."""
    return Rules(host, token if token is not None or host in LOOPBACK else secrets.token_urlsafe(24), most)


@final
@dataclass(frozen=True)
class Door:
    """An ASGI application around another, which sees what is let in alone."""

    app: App
    rules: Rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        headers, asks = told(scope), scope["type"] == "http"
        if (wrong := self.refusal(scope, headers)) is not None:
            return await (answer(send, *wrong) if asks else closed(receive, send))
        if asks and await self.token(scope, headers, receive):
            cookie = f"{COOKIE}={self.rules.key}; Path=/; HttpOnly; SameSite=Lax" + "; Secure" * (scope["scheme"] == "https")
            return await answer(send, 303, "", {"location": "/", "set-cookie": cookie})
        if not self.rules.lets_in(cookie_of(headers)):
            return await (answer(send, 401, ASKING, {"content-type": PAGE}) if asks else closed(receive, send))
        await (self.passed(scope, receive, send) if asks else self.app(scope, receive, send))

    def refusal(self, scope: Scope, headers: Mapping[str, str]) -> tuple[int, str] | None:
        """Status and line; None where nothing is against it."""
        hosts = [value for name, value in scope["headers"] if name.lower() == b"host"]
        if len(hosts) != 1 or not self.rules.knows(headers["host"]):
            return 421, "newtake studio is not known by this name; use the address that it told"
        if not own(scope, headers):
            return 403, "newtake studio answers its own page alone"
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self.rules.most:
            return 413, f"too large: at most {self.rules.most >> 20} MB"
        return None

    async def token(self, scope: Scope, headers: Mapping[str, str], receive: Receive) -> bool:
        """Whether the token is told now: in the address, or in the form that asks for it."""
        said = scope.get("query_string", b"") if scope["method"] == "GET" else b""
        if (scope["method"], scope["path"]) == ("POST", DOOR) and int(headers.get("content-length", TYPED)) < TYPED:
            said = await body(receive)
        return self.rules.opens(dict(parse_qsl(said.decode("utf-8", "replace"))).get(FIELD, ""))

    async def passed(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets the application answer, with our headers, as long as what it reads is not too large."""
        read, begun = 0, False

        async def limited() -> MutableMapping[str, Any]:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            return message if read <= self.rules.most else {"type": "http.disconnect"}

        async def guarded(message: MutableMapping[str, Any]) -> None:
            nonlocal begun
            if read > self.rules.most and not begun:
                return
            if message["type"] == "http.response.start":
                begun = True
                theirs = [one for one in message["headers"] if one[0].decode("latin-1").lower() not in HEADERS]
                message = {**message, "headers": [*theirs, *encoded(HEADERS)]}
            await send(message)

        try:
            await self.app(scope, limited, guarded)
        except Exception:
            if read <= self.rules.most:
                raise
        if read > self.rules.most and not begun:
            await answer(send, 413, f"too large: at most {self.rules.most >> 20} MB")


async def body(receive: Receive) -> bytes:
    """All of it, of a request whose length is known."""
    read, more = b"", True
    while more:
        message = await receive()
        read, more = read + message.get("body", b""), message.get("more_body", False)
    return read


def own(scope: Scope, headers: Mapping[str, str]) -> bool:
    """Whether it was our page, the user, or no browser that asked: browsers tell whose page did, where anything changes."""
    if (origin := headers.get("origin")) is not None:
        return urlsplit(origin).netloc.lower() == headers["host"].lower()
    site = headers.get("sec-fetch-site", "none")
    opens = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    return site in ("none", "same-origin") or (opens and (scope.get("method"), scope["path"]) == ("GET", "/"))


def told(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


def cookie_of(headers: Mapping[str, str]) -> str:
    parts = (part.strip().partition("=") for part in headers.get("cookie", "").split(";"))
    return next((value for name, _, value in parts if name == COOKIE), "")


async def answer(send: Send, status: int, text: str, headers: Mapping[str, str] = {}) -> None:
    body = text.encode()
    every = {"content-type": PLAIN, "content-length": str(len(body)), "cache-control": "no-store"} | HEADERS | {**headers}
    await send({"type": "http.response.start", "status": status, "headers": encoded(every)})
    await send({"type": "http.response.body", "body": body})


async def closed(receive: Receive, send: Send) -> None:
    await receive()                                     # its wish to connect
    await send({"type": "websocket.close", "code": 1008})


def encoded(headers: Mapping[str, str]) -> Sequence[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


def bytes_of(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def name_of(host: str) -> str:
    """Of a Host header, without its port; "" where it is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def is_address(name: str) -> bool:
    try:
        return bool(ip_address(name))
    except ValueError:
        return False
