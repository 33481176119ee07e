"""The studio's page in a real browser: Debian's Chromium, driven by playwright, on one server for the whole file."""

import os
import shutil
import socket
import threading
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

pytest.importorskip("gradio", reason="the studio is shown with gradio")
playwright = pytest.importorskip("playwright.sync_api", reason="browsers are driven by playwright")

from newtake.models import watched
from newtake.record import Job
from newtake.studio import Limits, Places, Queue, Rules, Studio
from newtake.world import Scene
from newtake.world.clips import video

CHROMIUM = os.environ.get("NEWTAKE_CHROMIUM") or shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium; NEWTAKE_CHROMIUM names one")
PATIENCE = 15_000                                      # milliseconds: a machine may be busy
TARGET = "a blue ball on the grass"


class Hold:
    """Work stops in its second step while it is held: the first has ended, and its preview can be seen."""

    def __init__(self):
        self.free = threading.Event()
        self.free.set()

    @contextmanager
    def __call__(self):
        self.free.clear()
        try:
            yield
        finally:
            self.free.set()

    def around(self, preview_file):
        def held(path):
            show = preview_file(path)

            def shown(step, of, picture):
                show(step, of, picture)
                if step:
                    self.free.wait()
            return shown
        return held


@pytest.fixture(scope="module")
def hold():
    hold = Hold()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watched, "preview_file", hold.around(watched.preview_file))
        yield hold


@pytest.fixture(scope="module")
def clip(place):
    scene = Scene.sample(1, object="ball", colour="red", background="grass", style="plain", size=(64, 64), frames=4)
    video(scene).write(path := place / "clip.mp4")
    return path


@pytest.fixture(scope="module")
def studio(place, hold):
    """The studio, and its address."""
    from newtake.studio.serve import server

    places = Places(place / "runs")
    with Queue(places) as queue, socket.create_server(("127.0.0.1", 0)) as there:
        studio = Studio(places, queue, Rules(), Limits(seconds=3.0))
        serving = server(studio)
        thread = threading.Thread(target=serving.run, args=([there],))
        thread.start()
        yield studio, f"http://127.0.0.1:{there.getsockname()[1]}/"
        hold.free.set()
        serving.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def run(studio, clip):
    """The name of a run on disk, of two targets."""
    studio, _ = studio
    job = Job(str(clip), "a red ball on the grass", (TARGET, "a green ball on the grass"), "ddim", {"steps": 3, "guidance": 2.5},
              frames=3, seed=7)
    ticket = studio.queue.submit("nobody", job)
    ticket.over.wait()
    return ticket.state.result


@pytest.fixture(scope="module")
def chromium():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium, studio):
    """Opens the page as a new person; at the end nothing was asked elsewhere and nothing went wrong in the browser."""
    contexts, asked, wrong = [], [], []

    def new(**options):
        contexts.append(context := chromium.new_context(reduced_motion="reduce", **options))
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        return load(page, studio[1])

    yield new
    for context in contexts:
        context.close()
    elsewhere = [url for url in asked if urlsplit(url).scheme not in ("data", "blob") and urlsplit(url).hostname != "127.0.0.1"]
    assert asked and not elsewhere
    assert not wrong


def load(page, address):
    page.goto(address)
    page.get_by_role("button", name="Settings of the method").click()
    page.get_by_label("steps", exact=True).wait_for()   # what comes last
    return page


def button(page, name):
    return page.get_by_role("button", name=name, exact=True)


def brought(page, path):
    page.locator("input[type=file]").first.set_input_files(path)


def asked(page, clip, target=TARGET, steps="2"):
    """A page on which an edit is asked for, but not begun."""
    brought(page, clip)
    playwright.expect(page.get_by_label("What the clip shows")).not_to_have_value("", timeout=PATIENCE)
    page.get_by_label("What it should become").fill(target)
    page.get_by_label("steps", exact=True).fill(steps)
    return page


def says(page, text, where="#work"):
    playwright.expect(page.locator(where)).to_contain_text(text, timeout=PATIENCE)


def test_a_clip_is_brought_and_edited(opened, studio, clip, hold):
    page = opened()
    with hold():
        asked(page, clip)
        assert "4 frames, 8 a second" in page.inner_text(".inset")
        assert page.get_by_label("What the clip shows").input_value() == "a red ball on the grass"
        assert page.locator(".strip img").count() == 4
        button(page, "Edit").click()
        says(page, "editing")
        page.locator("#work img").wait_for()            # held, so the preview cannot be gone
        assert page.get_by_role("progressbar", name="Progress").count() == 1
    player = page.locator("newtake-player")
    player.wait_for()
    studio, address = studio
    newest = studio.places.listed().runs[0]
    link = player.locator("a").get_attribute("href")
    assert link == f"/runs/{newest}/edit.mp4" and page.request.get(address + link[1:]).body() == \
        (studio.places.runs / newest / "edit.mp4").read_bytes()
