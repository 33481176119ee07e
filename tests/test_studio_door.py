"""Who is let in, and how the studio begins."""

import asyncio
import socket
import sys
from importlib.util import find_spec
from types import SimpleNamespace

import pytest
from shell import ran, refused

from newtake.commands import studio as command
from newtake.errors import BadInput
from newtake.studio.door import COOKIE, DOOR, HEADERS, Door, Rules, rules

TOKEN = "a token that is long"
HERE = {"host": "127.0.0.1:7860"}


async def page(scope, receive, send):
    """Reads what it is sent, and says how much that was; a socket is taken."""
    if scope["type"] == "websocket":
        await receive()
        return await send({"type": "websocket.accept"})
    read, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RuntimeError("the client went away")
        read, more = read + len(message["body"]), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"X-Frame-Options", b"ALLOWALL")]})
    await send({"type": "http.response.body", "body": str(read).encode()})


def asked(rules=Rules(), path="/", method="GET", kind="http", body=(b"",), **headers):
    """Status (of a socket what it was sent), headers, body.  Names of headers have _ for -."""
    path, _, query = path.partition("?")
    given = {name.replace("_", "-"): value for name, value in (HERE | headers).items() if value is not None}
    told = [(name.encode(), value.encode()) for name, value in given.items()]
    scope = {"type": kind, "method": method, "path": path, "query_string": query.encode(), "headers": told, "scheme": "http"}
    messages = [{"type": "http.request", "body": part, "more_body": i < len(body) - 1} for i, part in enumerate(body)]
    sent = []

    async def receive():
        return {"type": "websocket.connect"} if kind == "websocket" else messages.pop(0)

    async def send(message):
        sent.append(message)

    asyncio.run(Door(page, rules)(scope, receive, send))
    if kind == "websocket":
        return sent[0]["type"]
    (start, *rest) = sent
    assert start["type"] == "http.response.start" and [one["type"] for one in rest] == ["http.response.body"]
    headers = {name.decode().lower(): value.decode() for name, value in start["headers"]}
    assert len(headers) == len(start["headers"])
    return start["status"], headers, rest[0]["body"].decode()


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost", "LOCALHOST:1", "[::1]:7860"])
def test_names_of_the_loopback_are_known(host):
    assert asked(host=host)[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:7860", "", "[::1",
                                  "10.0.0.5", "127.0.0.1@evil.example", None])
def test_a_name_that_was_made_to_lead_here_is_not(host):
    assert asked(host=host)[0] == 421


def test_who_listens_elsewhere_is_known_by_that_name_or_address():
    at = Rules("studio.example", TOKEN)
    assert at.knows("studio.example:80") and at.knows("localhost") and not at.knows("10.0.0.5")
    everywhere = Rules("0.0.0.0", TOKEN)
    assert everywhere.knows("10.0.0.5:7860") and everywhere.knows("[fe80::1]") and everywhere.knows(socket.gethostname())
    assert not everywhere.knows("evil.example")


@pytest.mark.parametrize("headers, status", [
    (dict(origin="http://127.0.0.1:7860"), 200), (dict(sec_fetch_site="same-origin"), 200),
    (dict(sec_fetch_site="none"), 200), ({}, 200),
    (dict(origin="http://evil.example"), 403), (dict(origin="null"), 403), (dict(origin="http://127.0.0.1:8000"), 403),
    (dict(origin="http://127.0.0.1:7860.evil.example"), 403), (dict(sec_fetch_site="cross-site"), 403),
    (dict(sec_fetch_site="same-site"), 403), (dict(sec_fetch_site="cross-site", sec_fetch_mode="navigate"), 403),
    (dict(sec_fetch_site="cross-site", sec_fetch_mode="navigate", sec_fetch_dest="iframe"), 403)])
def test_other_sites_can_ask_nothing(headers, status):
    assert asked(method="POST", **headers)[0] == asked(**headers)[0] == status
    assert asked(kind="websocket", **headers) == ("websocket.accept" if status == 200 else "websocket.close")


def test_a_link_on_another_site_opens_the_page_and_posts_nothing():
    link = dict(sec_fetch_site="cross-site", sec_fetch_mode="navigate", sec_fetch_dest="document")
    assert asked(**link)[0] == 200 and asked(method="POST", **link)[0] == 403
    assert asked(path="/gradio_api/file=http://evil.example/x.png", **link)[0] == 403      # nor opens anything else


def test_without_the_token_there_is_a_form_and_nothing_else():
    status, headers, body = asked(Rules(token=TOKEN))
    assert status == 401 and f'action="{DOOR}"' in body and TOKEN not in body and "text/html" in headers["content-type"]
    for said in ("wrong", "", TOKEN[:-1], TOKEN + "x", "%ED%B3%BF", "%00"):
        assert asked(Rules(token=TOKEN), cookie=f"{COOKIE}={said}")[0] == asked(Rules(token=TOKEN), f"/?token={said}")[0] == 401
    assert asked(Rules(token=TOKEN), kind="websocket") == "websocket.close"


@pytest.mark.parametrize("way", [dict(path=f"/?token={TOKEN.replace(' ', '+')}&x=1"),
                                 dict(path=DOOR, method="POST", content_length="26",
                                      body=(b"token=", TOKEN.replace(" ", "+").encode()))])
def test_the_token_is_told_once_and_a_cookie_kept(way):
    behind = Rules(token=TOKEN)
    status, headers, _ = asked(behind, **way)
    cookie, *attributes = headers["set-cookie"].split("; ")
    assert (status, headers["location"]) == (303, "/") and {*attributes} == {"Path=/", "HttpOnly", "SameSite=Lax"}
    assert TOKEN not in headers["set-cookie"]
    assert asked(behind, cookie=f"other=1; {cookie}")[0] == 200
    assert asked(behind, kind="websocket", cookie=cookie) == "websocket.accept"
    assert asked(behind, cookie=cookie, origin="http://evil.example")[0] == 403
    assert asked(Rules(token=TOKEN + "!"), cookie=cookie)[0] == 401


def test_beyond_the_loopback_a_token_is_needed():
    assert rules("127.0.0.1").token is rules("localhost").token is None
    assert len(rules("0.0.0.0").token) >= 32 and rules("0.0.0.0").token != rules("0.0.0.0").token
    for wrong in (lambda: Rules("0.0.0.0"), lambda: Rules("10.0.0.5"), lambda: Rules(token="short"), lambda: rules("::", "")):
        with pytest.raises(BadInput, match="token"):
            wrong()


def test_every_answer_has_our_headers_once():
    for answer in (asked(), asked(host="evil.example"), asked(Rules(token=TOKEN))):
        assert {name: answer[1][name] for name in HEADERS} == HEADERS
    assert "unsafe" not in HEADERS["content-security-policy"].split("style-src")[1].split(";")[1]
    assert "http" not in HEADERS["content-security-policy"]


def test_no_more_is_read_than_the_limit():
    small = Rules(most=1 << 20)
    half = b"x" * (1 << 19)
    assert asked(small, method="POST", body=(half, half))[2] == str(1 << 20)
    assert asked(small, method="POST", body=(half, half, b"x"))[0] == 413           # in parts, whose length was not told
    assert asked(small, method="POST", content_length=str((1 << 20) + 1))[0] == 413
    assert asked(small, method="POST", content_length="-1")[0] == 413


# The command

@pytest.fixture
def served(monkeypatch):
    """What the page was given; it is interrupted at once."""
    given = []

    def serve(studio, listening):
        given.append((studio, listening.getsockname()))
        raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "newtake.studio.serve", SimpleNamespace(serve=serve))
    return given


def test_it_says_where_it_is_and_ends_with_130(served, tmp_path):
    code, said, told = ran("studio", "--no-open", "--port", 0, "--runs", tmp_path / "runs", "--max-mb", 3)
    ((studio, (host, port)),) = served
    assert (code, said) == (130, "") and f"http://{host}:{port}/\n" in told and host == "127.0.0.1"
    assert studio.limits.bytes == 3 << 20 < studio.rules.most and studio.rules.token is None
    assert not studio.queue.worker.is_alive() and studio.places.runs == (tmp_path / "runs").resolve()


def test_beyond_the_loopback_its_address_has_a_token(served, tmp_path):
    told = ran("studio", "--no-open", "--port", 0, "--runs", tmp_path, "--host", "0.0.0.0")[2]
    assert f"/?token={served[0][0].rules.token}" in told


def test_what_is_wrong_is_one_line(served, monkeypatch, tmp_path):
    here = ("studio", "--no-open", "--runs", tmp_path / "runs")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        assert "in use" in refused(*here, "--port", other.getsockname()[1])
    assert "give another --port or --host" in refused(*here, "--host", "192.0.2.1", "--token", TOKEN)
    assert "can be guessed" in refused(*here, "--token", "short")
    assert "no such folder" in refused(*here, "--adapters", tmp_path / "none")
    assert "nowhere" in refused(*here, "--model", "nowhere")
    monkeypatch.setattr(command, "find_spec", lambda name: None if name == "gradio" else find_spec(name))
    assert "newtake[studio]" in refused(*here)
    assert served == [] and not (tmp_path / "runs").exists()
