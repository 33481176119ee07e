"""What is not made twice, and what outlives kill -9: `python benchmarks/reuse.py`.

A clip of the world and the built-in checkpoint, on the processor in float32.  `row-passes`: rows through the denoiser, counted
in the run; expected of them as docs/methods say.  First a clip is edited twice, then with ten targets in one command.  Last an
edit is killed (SIGKILL) ten times on the command line, each time at a random moment of its work on an empty cache, and the same
command is run to its end: its frames are compared with those of a run that nobody disturbed.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, product
from math import floor
from pathlib import Path
from typing import Any

from length import Given, filmed

from newtake.errors import Note
from newtake.methods import configured
from newtake.record import Job
from newtake.run import Way, run
from newtake.track import watched
from newtake.world import Scene

COLOURS, THINGS = ("blue", "yellow", "green", "purple", "orange", "white"), ("car", "star", "fish", "house")
LOOKS = 25                                              # a second, at what is on disk


@dataclass(frozen=True)
class Place:
    """Where all of it is done."""

    folder: Path
    clip: Path
    scene: Scene
    steps: int
    window: int

    def job(self, targets: Sequence[str], method: str = "newtake") -> Job:
        return Job(str(self.clip), self.scene.caption(), tuple(targets), method, {"steps": self.steps},
                   windows=(self.window, self.window), device="cpu", dtype="fp32")

    def command(self, target: str, name: str) -> list[str]:
        told = ["edit", str(self.clip), target, "--source", self.scene.caption(), "--set", f"steps={self.steps}", "--window",
                str(self.window), "--device", "cpu", "--dtype", "fp32", "--cache", str(self.folder / f"{name}-cache"), "--out",
                str(self.folder / name)]
        return [sys.executable, "-m", "newtake", *told]


def main(said: Sequence[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--window", type=int, default=8)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--targets", type=int, default=10)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--small", action="store_true", help="a quick look: 3 frames, 5 steps, 2 targets, nothing is killed")
    given = parser.parse_args(said)
    if given.small:
        given.frames, given.window, given.steps, given.targets, given.kills = 3, 2, 5, 2, 0
    warnings.simplefilter("ignore", Note)
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.mp4"
        place = Place(Path(folder), clip, filmed(Given(given.frames, "newtake", given.steps, given.window), clip), given.steps,
                      given.window)
        found = {"second edit": twice(place),
                 "targets": [many(place, given.targets, method) for method in ("fatezero", "newtake")]}
        if given.kills:
            found["kill -9"] = killed(place, given.kills, given.seed)
    print(json.dumps(found, indent=1))
    return found


# One inversion

def twice(place: Place) -> dict[str, Any]:
    """An edit, and another of the same clip."""
    first, second = (measured(place.job([target]), place.folder / f"twice-{i}", place.folder / "cache")
                     for i, target in enumerate(targets(place.scene, 2)))
    return {"first": first, "second": second,
            "seconds, second over first": round(second["seconds"] / first["seconds"], 3),
            "holds": second["inverting steps"] == 0 and not second["made now"]}


def measured(job: Job, out: Path, cache: Path) -> dict[str, Any]:
    """Of a run: its row-passes, and how many steps of inversions were made in it, told by two who do not know of each other."""
    steps = 0

    def watch(what: str, done: int, of: int) -> None:
        nonlocal steps
        steps += what == "inverting" and done > 0

    with watched(watch):
        told = run(job, out, Way(cache=str(cache)))
    return {"row-passes": told["evaluations"], "inverting steps": steps, "made now": told["inversion"]["made_now"],
            "seconds": round(sum(told["seconds"].values()), 2), "hashes": [edit["sha256"] for edit in told["edits"]]}


def many(place: Place, r: int, method: str) -> dict[str, Any]:
    """Several targets in one command, against the formula."""
    told = measured(place.job(targets(place.scene, r), method), place.folder / f"many-{method}", place.folder / f"of-{method}")
    expected = formula(method, place.steps, r)
    alone = formula(method, place.steps, 1)
    return {"method": method, "targets": r, "row-passes": told["row-passes"], "expected": expected,
            "one by one, each with its inversion": [r * one for one in alone], "seconds": told["seconds"],
            "holds": told["row-passes"] in expected}


def formula(method: str, n: int, r: int) -> list[int]:
    """Row-passes of n steps and r targets.  newtake: for each number of targets whose shape stays, the most of them first."""
    setup = configured(method, steps=n).setup
    inside = lambda share: floor(n * share + 1e-9)
    guided = r * (n + inside(setup.guided_until))
    if method == "fatezero":
        return [n + guided + inside(0.8)]               # the source row beside the targets, in the larger of the shares
    return [n + (1 + r) + guided + inside(0.5) * stay + inside(0.2) * (r - stay) for stay in range(r, -1, -1)]


def targets(scene: Scene, r: int) -> list[str]:
    """Other colours, then other things of every colour."""
    others = [thing for thing in THINGS if thing != scene.object]
    asked = islice(product([scene.object, *others], COLOURS), r)
    return [scene.becomes(object=thing, colour=colour).caption() for thing, colour in asked]


# Killed

def killed(place: Place, often: int, seed: int) -> dict[str, Any]:
    """Each time at a moment drawn from the work of an undisturbed run: from its first step on disk until its end."""
    target, drawn = targets(place.scene, 1)[0], random.Random(seed)
    began, ended, code = watched_run(place, target, "undisturbed", None)
    assert code == 0, "the undisturbed run failed"
    right = recorded(place, "undisturbed")
    times = []
    for i in range(often):
        after = drawn.uniform(0, ended - began)
        *_, code = watched_run(place, target, f"killed-{i}", after)
        progress = reached(place, f"killed-{i}", code)
        subprocess.run(place.command(target, f"killed-{i}"), check=True, capture_output=True)
        again = recorded(place, f"killed-{i}")
        saved = right["inversion"]["evaluations"] - again["inversion"]["evaluations_now"]
        same = again["edits"][0]["sha256"] == right["edits"][0]["sha256"]
        times.append({"seconds": round(after, 2), "at": progress, "inversion's row-passes saved": saved, "same bits": same})
        print(json.dumps(times[-1]), flush=True)
    return {"work, seconds": round(ended - began, 2), "same bits": sum(one["same bits"] for one in times), "of": often,
            "left behind": sorted(file.name for file in place.folder.glob(".*")),
            "holds": all(one["same bits"] for one in times), "times": times}


def watched_run(place: Place, target: str, name: str, kill_after: float | None) -> tuple[float, float, int]:
    """The command from its start: when the first step was on disk, when it ended, and its exit code."""
    began = None
    with subprocess.Popen(place.command(target, name), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        while run.poll() is None:
            time.sleep(1 / LOOKS)
            if began is None and steps_of(place, name):
                began = time.monotonic()
            if began is not None and kill_after is not None and time.monotonic() - began >= kill_after:
                run.kill()
                break
        code = run.wait()
    ended = time.monotonic()
    return began or ended, ended, code


def steps_of(place: Place, name: str) -> int:
    """States of the inversion that are on disk: the clip, and a step each."""
    return len([*(place.folder / f"{name}-cache").glob("*/inverting-*.safetensors")])


def reached(place: Place, name: str, code: int) -> str:
    if code == 0:
        return "done"
    out, there = place.folder / name, steps_of(place, name)
    assert not out.exists() or (out / "run.json").exists(), "a run folder was left half-written"
    if any((place.folder / f"{name}-cache").glob("*/manifest.json")):
        return "writing" if [*place.folder.glob(f".{name}.*")] else "editing"
    return f"inverting, {max(0, there - 1)} of {place.steps}"


def recorded(place: Place, name: str) -> dict[str, Any]:
    return json.loads((place.folder / name / "run.json").read_text())


if __name__ == "__main__":
    main()
