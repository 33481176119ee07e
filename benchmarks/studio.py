"""Pictures of the studio's page for the docs, of the built-in clip: one while it works, one with its result.

    python benchmarks/studio.py --out docs [--narrow FOLDER]

Needs playwright and a Chromium (NEWTAKE_CHROMIUM, or one on the path).  Two minutes on two cores.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import tempfile
import threading
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from newtake.studio import Places, Queue, Rules, Studio
from newtake.studio.serve import serving
from newtake.world.clips import video
from newtake.world.demo import SCENE, TARGET

TARGETS = (TARGET, "a yellow ball on the grass")
LONG = 600_000                                          # milliseconds


def pictures(page: Page, clip: Path, out: Path) -> None:
    page.set_default_timeout(LONG)
    page.locator("input[type=file]").first.set_input_files(clip)
    page.wait_for_function("[...document.querySelectorAll('textarea, input')].some(one => one.value.startsWith('a red ball'))")
    page.get_by_label("What it should become").fill("\n".join(TARGETS))
    page.get_by_role("button", name="Edit", exact=True).click()
    page.get_by_text("editing: 40 of").wait_for()
    page.screenshot(path=out / "studio-running.png")
    page.locator("newtake-player").wait_for()
    for _ in range(6):
        page.get_by_role("button", name="One frame on").click()
    page.wait_for_timeout(1000)                         # until the films show it
    page.screenshot(path=out / "studio-result.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs"))
    parser.add_argument("--narrow", type=Path, help="a folder for one picture more, of the result on a telephone")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as there, sync_playwright() as driver:
        clip, places = Path(folder) / "ball.mp4", Places(Path(folder) / "runs")
        video(SCENE).write(clip)
        browser = driver.chromium.launch(executable_path=os.environ.get("NEWTAKE_CHROMIUM") or shutil.which("chromium"),
                                         args=["--no-sandbox"])
        studio = Studio(places, Queue(places), Rules())
        with studio.queue, serving(studio) as server:
            thread = threading.Thread(target=server.run, args=([there],))
            thread.start()
            page = browser.new_page(viewport={"width": 1280, "height": 1000}, reduced_motion="reduce")
            page.goto(f"http://127.0.0.1:{there.getsockname()[1]}/")
            pictures(page, clip, given.out)
            if given.narrow:
                page.set_viewport_size({"width": 390, "height": 844})
                page.wait_for_timeout(1000)
                page.screenshot(path=given.narrow / "studio-narrow.png", full_page=True)
            server.should_exit = True
            thread.join()
        browser.close()


if __name__ == "__main__":
    main()
