"""Who may come in: a page on this machine is within reach of every site that its user's browser shows.

Names of the host are checked against rebinding of DNS, origins against posts and sockets of other sites; beyond the loopback a
token is asked for.  Nothing is loaded from elsewhere, and no body is read that is larger than an upload may be.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from typing import Any, final
from urllib.parse import parse_qsl, urlencode, urlsplit

from ..errors import BadInput

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
EVERY = ("0.0.0.0", "::", "")                           # addresses to listen at that stand for all
SHORTEST = 12                                           # letters of a token
COOKIE, FIELD, DOOR = "newtake", "token", "/door"
OWN = "'self'"
CONTENT = {"default-src": OWN, "script-src": f"{OWN} 'unsafe-inline' 'unsafe-eval'", "style-src": f"{OWN} 'unsafe-inline'",
           "img-src": f"{OWN} data: blob:", "media-src": f"{OWN} data: blob:", "font-src": f"{OWN} data:",
           "worker-src": f"{OWN} blob:", "connect-src": OWN, "object-src": "'none'", "base-uri": OWN, "form-action": OWN,
           "frame-ancestors": "'none'"}
HEADERS = {"content-security-policy": "; ".join(f"{what} {whence}" for what, whence in CONTENT.items()),
           "x-content-type-options": "nosniff", "x-frame-options": "DENY",
           "referrer-policy": "same-origin",            # with no-referrer a form's own post has no origin
           "cross-origin-opener-policy": "same-origin", "cross-origin-resource-policy": "same-origin"}
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
            raise BadInput(f"a token of {len(self.token)} letters can be guessed; give {SHORTEST} or more, or leave --token out")
        if self.token is None and self.host not in LOOPBACK:
            raise BadInput(f"{self.host} is seen from other machines; give a --token")

    def knows(self, host: str) -> bool:
        """Whether a Host header names this machine.  A name of others may lead here by DNS; a bare address never does."""
        name = name_of(host)
        return name in LOOPBACK or name == self.host.lower() or (self.host in EVERY and is_address(name))

    def opens(self, token: str | None) -> bool:
        return self.token is None or (token is not None and hmac.compare_digest(token.encode(), self.token.encode()))


def rules(host: str, token: str | None = None, most: int = 1 << 30) -> Rules:
    """With a new token where one is needed and none was said."""
    return Rules(host, token or (None if host in LOOPBACK else secrets.token_urlsafe(24)), most)


@final
@dataclass(frozen=True)
class Door:
    """An ASGI application around another, which sees what is let in alone."""

    app: App
    rules: Rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise NotImplementedError


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
