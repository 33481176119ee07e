"""The studio's page in a real browser: Debian's Chromium, driven by playwright, on one server for the whole file."""

import os
import shutil
import socket
import threading
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from PIL import Image

from newtake.models import watched
from newtake.record import Job
from newtake.studio import Limits, Places, Queue, Rules, Studio, pictures
from newtake.world import Scene
from newtake.world.clips import video

pytest.importorskip("gradio", reason="the studio is shown with gradio")
playwright = pytest.importorskip("playwright.sync_api", reason="browsers are driven by playwright")

CHROMIUM = os.environ.get("NEWTAKE_CHROMIUM") or shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium; NEWTAKE_CHROMIUM names one")
PATIENCE = 60_000                                      # milliseconds: a machine may be busy
SOURCE, TARGET = "a red ball on the grass", "a blue ball on the grass"


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
    from newtake.studio.serve import serving

    studio = Studio(places := Places(place / "runs"), Queue(places), Rules(), Limits(seconds=3.0))
    with studio.queue, socket.create_server(("127.0.0.1", 0)) as there, serving(studio) as server:
        thread = threading.Thread(target=server.run, args=([there],))
        thread.start()
        yield studio, f"http://127.0.0.1:{there.getsockname()[1]}/"
        hold.free.set()
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def run(studio, clip):
    """The name of a run on disk, of two targets."""
    studio, _ = studio
    job = Job(str(clip), SOURCE, (TARGET, "a green ball on the grass"), "ddim", {"steps": 3, "guidance": 2.5},
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
    """Opens the page, as a new person or, in a context that is there, as the same; at the end nothing was asked elsewhere and
    nothing went wrong in the browser."""
    contexts, asked, wrong = [], [], []

    def new(context=None, **options):
        if context is None:
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
    page.get_by_label("steps", exact=True).wait_for()
    page.wait_for_function("localStorage.getItem('newtake')")                   # the page has its first answer
    return page


def button(page, name):
    return page.get_by_role("button", name=name, exact=True)


def brought(page, path):
    page.locator("input[type=file]").first.set_input_files(path)


def asked(page, clip, target=TARGET, steps="2"):
    """A page on which an edit is asked for, but not begun."""
    page.get_by_label("What the clip shows").fill(SOURCE)
    page.get_by_label("What it should become").fill(target)
    brought(page, clip)
    says(page, "4 frames, 8 a second", "#clip")
    page.get_by_label("steps", exact=True).fill(steps)
    return page


def says(page, text, where="#work"):
    playwright.expect(page.locator(where)).to_contain_text(text, timeout=PATIENCE)


def test_a_clip_is_brought_and_edited(opened, studio, clip, hold, run):
    page = opened()
    with hold():
        asked(page, clip)
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
    reopened(page, run)                                 # another in its place
    playwright.expect(player.locator(".under video")).to_have_attribute("src", f"/runs/{run}/source.mp4", timeout=PATIENCE)
    assert button(page, TARGET).is_visible() and button(page, "a green ball on the grass").is_visible()


def test_work_is_cancelled_in_the_middle(opened, studio, clip, hold):
    studio, _ = studio
    before = studio.places.listed().runs
    page = opened()
    with hold():
        button(asked(page, clip, "a red cat on the grass", "9"), "Edit").click()
        says(page, "editing: 1 of 9")
        button(page, "Cancel").click()
        assert studio.queue.tickets[-1].unwanted.wait(PATIENCE / 1000)
    says(page, "cancelled", "#line")
    playwright.expect(button(page, "Cancel")).to_be_hidden()
    assert studio.places.listed().runs == before and not [*studio.places.runs.glob(".*.part*")]


def test_two_browsers_take_turns(opened, studio, clip, hold):
    studio, _ = studio
    first, second = opened(), opened()
    with hold():
        button(asked(first, clip, "a red dog on the grass"), "Edit").click()
        says(first, "editing")
        button(asked(second, clip, "a red fish on the grass"), "Edit").click()
        says(second, "waiting: it is next")
        context = first.context
        first.close()                                   # work goes on, and is found again
        first = opened(context)
        says(first, "a red dog on the grass")
    for page in (first, second):
        page.locator("newtake-player").wait_for()
    newest = [studio.places.runs / name for name in studio.places.listed().runs[:2]]
    told = [first.locator(".run").inner_text(), second.locator(".run").inner_text()]
    assert ["dog" in told[0], "fish" in told[1]] == [True, True]
    assert "fish" in (newest[0] / "run.json").read_text() and "dog" in (newest[1] / "run.json").read_text()


def test_source_and_edit_are_compared(opened, run):
    page = reopened(opened(), run)
    wipe, films = page.get_by_label("How much of the source"), page.locator("newtake-player .stage video")
    edge = lambda: page.locator("newtake-player .stage").evaluate("stage => stage.style.getPropertyValue('--wipe')")
    at_rest(page)
    place = wipe.bounding_box()
    page.mouse.click(place["x"] + place["width"] / 4, place["y"] + place["height"] / 2)
    assert edge() == "25%"
    wipe.press("ArrowRight")
    assert edge() == "26%"
    button(page, "One frame on").click()
    says(page, "2 of 3", "newtake-player .where")
    times = [1.5 / 8, 1.5 / 8]                          # the middle of the second frame
    at_rest(page)
    assert films.evaluate_all("films => films.map(film => film.currentTime)") == pytest.approx(times, abs=1e-3)
    button(page, "One frame back").click()
    button(page, "One frame back").click()
    says(page, "3 of 3", "newtake-player .where")
    button(page, "a green ball on the grass").click()
    assert films.nth(1).get_attribute("src").endswith("edit-2.mp4")
    button(page, "Difference").click()
    assert films.nth(1).evaluate("film => getComputedStyle(film.parentNode).mixBlendMode") == "difference"
    button(page, "Side by side").click()
    left, right = (films.nth(i).bounding_box() for i in (0, 1))
    assert left["x"] + left["width"] <= right["x"] and left["y"] == right["y"]


def at_rest(page):
    """Waits until both films show their frames."""
    page.wait_for_function("""() => [...document.querySelector("newtake-player").shadowRoot.querySelectorAll(".stage video")]
                                    .every(film => film.readyState > 1 && !film.seeking)""")


def reopened(page, run):
    page.get_by_role("tab", name="Runs").click()
    chosen, player = page.locator(f"button[value='{run}']"), page.locator("newtake-player")
    chosen.wait_for()
    chosen.click()
    player.wait_for()
    return page


def test_a_run_is_opened_again_with_its_settings(opened, run, clip, studio):
    page, folder = load(opened(), studio[1]), studio[0].places.runs / run      # loaded twice
    steps = page.get_by_label("steps", exact=True)
    asked(page, clip)
    reopened(page, run)
    assert page.get_by_label("What it should become").input_value() == f"{TARGET}\na green ball on the grass"
    assert page.get_by_label("How many").input_value() == "3"
    playwright.expect(steps).to_have_value("3", timeout=PATIENCE)
    button(page, "Estimate").click()
    says(page, "3 frames of 64x64", "#line")
    for dropped in ("edit.mp4", "run.json"):            # give them, too
        steps.fill("9")
        brought(page, folder / dropped)
        says(page, "these are the settings of that run", "#line")
        playwright.expect(steps).to_have_value("3", timeout=PATIENCE)


def test_kinds_of_edit_and_masks_are_chosen(opened, clip):
    page = opened()
    page.get_by_label("What the clip shows").fill(SOURCE)
    brought(page, clip)
    says(page, "4 frames", "#clip")
    page.get_by_label("Kind of edit").click()
    page.get_by_role("option", name="style").click()
    playwright.expect(page.get_by_label("Method", exact=True)).to_have_value("fatezero", timeout=PATIENCE)
    page.get_by_label("cross until").wait_for()
    page.get_by_role("button", name="Where it may change").click()
    frame = page.locator(".strip img").first
    plain = frame.get_attribute("src")
    page.get_by_label("What it should become").fill(TARGET)
    button(page, "Show where the words are").click()
    says(page, "where the words do not look", "#line")
    playwright.expect(frame).not_to_have_attribute("src", plain, timeout=PATIENCE)
    page.get_by_label("a box").click()
    playwright.expect(frame).not_to_have_attribute("src", plain, timeout=PATIENCE)
    page.get_by_label("what I draw").click()
    playwright.expect(frame).to_have_attribute("src", plain, timeout=PATIENCE)
    page.locator("canvas").first.wait_for()


def test_a_mask_is_white_where_something_was_painted(place):
    places = Places(place / "runs")
    layers = [Image.new("RGBA", (8, 4)), Image.new("RGBA", (8, 4))]
    assert pictures.drawn(layers, places) == ""
    layers[0].putpixel((1, 2), (180, 72, 30, 255))
    layers[1].putpixel((5, 3), (180, 72, 30, 9))
    mask = Image.open(places.uploads / pictures.drawn(layers, places))
    assert {(i % 8, i // 8) for i, white in enumerate(mask.tobytes()) if white} == {(1, 2), (5, 3)}
    assert {*mask.tobytes()} == {0, 255}


def test_what_cannot_be_is_refused_in_a_line(opened, place, clip):
    page = opened()
    (false := place / "holiday.mp4").write_text("#EXTM3U\nfile:///etc/passwd\n")
    brought(page, false)
    says(page, "holiday is no video and no picture", "#line")
    video(Scene.sample(1, size=(64, 64), frames=32)).write(long := place / "long.mp4")
    brought(page, long)
    says(page, "long.mp4 is 4.0 s long, and 3 s are taken at most", "#line")
    button(page, "Edit").click()
    says(page, "there is no clip yet", "#line")
    brought(page, clip)
    says(page, "4 frames", "#clip")
    playwright.expect(page.get_by_label("What the clip shows")).to_have_value(SOURCE, timeout=PATIENCE)     # as it is read
    button(page, "Edit").click()
    says(page, "the target prompt is empty", "#line")


def test_a_telephone_and_a_keyboard_are_enough(opened, run):
    page = reopened(opened(viewport={"width": 390, "height": 844}), run)
    for name in ("Where it may change", "Words", "Checkpoint, adapters", "Seed, cuts"):
        page.locator("button.label-wrap", has_text=name).click()
    button(page, "Play").wait_for()
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 390
    nameless = page.locator("input:visible, textarea:visible, button:visible, select:visible").evaluate_all(
        """all => all.filter(one => !one.labels?.length && !one.ariaLabel && !one.title && !one.textContent.trim()
                                    && !one.getAttribute("aria-labelledby")).map(one => one.outerHTML)""")
    assert nameless == []
    page.get_by_role("tab", name="Edit").focus()
    for _ in range(3):
        page.keyboard.press("Tab")
        seen = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert seen != "none", page.evaluate("document.activeElement.outerHTML")
