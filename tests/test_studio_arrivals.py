"""What a browser may name: files that came, and nothing else of this machine or of the network.

Every file that is named here was made for it.
"""

import pytest

from newtake.errors import BadInput
from newtake.studio import Places, Queue, Rules, Studio
from newtake.studio.uploads import ARRIVING, brought
from newtake.world import Scene
from newtake.world.clips import video

FETCHED = "http://198.51.100.7/clip.mp4"                # of an address that is nobody's


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with a clip that nobody brought, and the studio's runs."""
    home = tmp_path_factory.mktemp("home")
    video(Scene(frames=2, size=(32, 32))).write(home / "private.mp4")
    return home


@pytest.fixture(scope="module")
def browser(home):
    """Asks the page over HTTP, as a browser does."""
    pytest.importorskip("gradio", reason="the studio is shown with gradio")
    from starlette.testclient import TestClient

    from newtake.studio.serve import serving

    places = Places(home / "runs")
    with serving(Studio(places, Queue(places), Rules())) as server, \
            TestClient(server.config.app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client


def answers(browser, name, *data):
    """Of the function of this name: whether it answered at all, and with what."""
    number = next(one["id"] for one in browser.get("/config").json()["dependencies"] if one["api_name"] == name)
    got = browser.post("/gradio_api/run/predict", json={"fn_index": number, "data": data, "session_hash": "x"})
    return got.status_code == 200, got.text


def told(path, **more):
    return {"path": str(path), "orig_name": "clip.mp4", "meta": {"_type": "gradio.FileData"}} | more


@pytest.mark.parametrize("more", [{}, {"is_stream": True}, {"url": "/gradio_api/file=x"}], ids=["plain", "stream", "url"])
@pytest.mark.parametrize("name", ["arrived", "masked"])
def test_a_file_that_nobody_brought_is_not_read_nor_taken_away(browser, home, name, more):
    private = home / "private.mp4"
    for path in (private, home / "runs" / "uploads" / ".." / ".." / "private.mp4"):
        assert not answers(browser, name, told(path, **more))[0]
    assert private.is_file() and not [*(home / "runs").rglob("*.mp4")]


def test_what_was_drawn_is_of_the_browser(browser, home):
    drawing = {"background": None, "layers": [told(home / "private.mp4")], "composite": None}
    assert not answers(browser, "drew", drawing)[0] and not [*(home / "runs").rglob("*.mp4")]


def test_what_came_is_taken_and_leaves_no_copy(browser, home):
    sent = browser.post("/gradio_api/upload", files={"files": ("../../of mine.mov", (home / "private.mp4").read_bytes())})
    assert answers(browser, "arrived", told(sent.json()[0]))[0]
    (kept,) = (home / "runs").rglob("*.m[op][v4]")
    assert kept.name == "of-mine.mp4" and kept.parent.parent == home / "runs" / "uploads"
    assert not answers(browser, "arrived", told(kept))[0] and kept.is_file()        # it is another's, perhaps
    kept.unlink()


def test_nothing_is_fetched(browser, monkeypatch):
    monkeypatch.setattr("httpx.AsyncClient.send", None)
    worked, line = answers(browser, "arrived", told(FETCHED))
    assert not worked and "nothing is fetched" in line
    got = browser.get(f"/gradio_api/file={FETCHED}")
    assert got.status_code == 403 and "nothing is fetched" in got.text


def test_a_file_that_came_is_taken_away_once_it_was_read(tmp_path):
    places = Places(tmp_path / "runs")
    folder = places.uploads / f"{ARRIVING}x"
    folder.mkdir(parents=True)
    (file := folder / "clip.mp4").write_bytes(b"")
    (outside := tmp_path / "clip.mp4").write_bytes(b"")
    (other := places.uploads / "clip.mp4").write_bytes(b"")
    (link := folder / "link.mp4").symlink_to(outside)
    with brought(str(file), places) as path:
        assert path.is_file()
    assert not file.exists()
    for wrong in (file, outside, other, link, folder, folder / ".." / "clip.mp4"):
        with pytest.raises(BadInput, match="bring it again"), brought(str(wrong), places):
            pass
    assert outside.is_file() and other.is_file()
