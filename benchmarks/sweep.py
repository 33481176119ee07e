"""Many jobs, here and by Ray, one worker of it killed: `python benchmarks/sweep.py`.

24 jobs of the world with the built-in checkpoint, on the processor in float32, one thread a job: 2 clips x 3 targets x 2
methods x 2 seeds, each way with an empty cache of inversions.  First `--engine local`, then `--engine ray --workers 2`, then
the same in another folder while `kill -9` ends one of the two workers when a third of the jobs is there.  The frames' hashes
of all three are compared, and every end is counted.  Last the same command once more, which should do nothing.

`seconds`: the whole command, imports and the start of Ray included.  `processor`: seconds of all its processes together, looked
at often; `a job`: the mean of what a job took where it ran.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import yaml

from newtake.world import Scene
from newtake.world.clips import video

OFTEN = 0.2                                             # seconds between looks


def main(said: Sequence[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=2)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args(said)
    with tempfile.TemporaryDirectory() as folder:
        jobs = written(Path(folder), given.frames, given.steps, given.seeds)
        ray = ("--engine", "ray", "--workers", str(given.workers))
        ways = {"local": ((), False), "ray": (ray, False), "ray, a worker killed": (ray, True)}
        found: dict[str, Any] = {name: carried_out(jobs, name.replace(", ", "-").replace(" ", "-"), *way)
                                 for name, way in ways.items()}
        found["the same command again"] = again(jobs, "ray-a-worker-killed", ray)
    local, spread, killed = (found[name] for name in ways)
    found["same bits"] = local["bits"] == spread["bits"] == killed["bits"]
    found["ray over local"] = {what: round(spread[what] - local[what], 1) for what in ("seconds", "processor")}
    for name in ways:
        found[name].pop("bits")
    print(json.dumps(found, indent=1))
    return found


def written(folder: Path, frames: int, steps: int, seeds: int) -> Path:
    for name, thing, background in (("ball", "ball", "grass"), ("star", "star", "snow")):
        video(Scene(object=thing, background=background, frames=frames, size=(64, 64))).write(folder / f"{name}.mp4")
    told = {"clips": [{"clip": "ball.mp4", "source": "a red ball on the grass"},
                      {"clip": "star.mp4", "source": "a red star in the snow"}],
            "targets": ["a blue ball on the grass", "a red fish in the snow", "a yellow car on the sand"],
            "methods": ["ddim", "sdedit"], "settings": {"steps": steps}, "seeds": list(range(seeds)), "size": "64x64",
            "device": "cpu", "dtype": "fp32", "threads": 1}
    (folder / "jobs.yaml").write_text(yaml.safe_dump(told))
    return folder / "jobs.yaml"


def command(jobs: Path, name: str, options: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "newtake", "sweep", str(jobs), *options, "--out", str(jobs.parent / name), "--cache",
            str(jobs.parent / f"{name}-cache"), "--no-report", "--json"]


def carried_out(jobs: Path, name: str, options: Sequence[str], kill: bool) -> dict[str, Any]:
    """A sweep, looked at while it runs; kill: one of its workers, in the middle."""
    out, spent, victim, start = jobs.parent / name, {}, None, time.monotonic()
    with open(jobs.parent / f"{name}.log", "w") as log, \
            subprocess.Popen(command(jobs, name, options), stdout=subprocess.PIPE, stderr=log, text=True) as sweep:
        while sweep.poll() is None:
            workers = looked_at(psutil.Process(sweep.pid), spent)
            if kill and victim is None and workers and len([*out.glob("*/run.json")]) >= 8:
                victim = workers[0].pid
                workers[0].kill()
            time.sleep(OFTEN)
        seconds = time.monotonic() - start
        assert sweep.stdout is not None
        told = json.loads(sweep.stdout.read())
    listed = json.loads((out / "sweep.json").read_text())["jobs"]
    lines = (jobs.parent / f"{name}.log").read_text().splitlines()
    ends = Counter(one["run"] for one in listed for line in lines if line.startswith(f"{one['run']}, "))
    return {"jobs": told["jobs"], "done": told["done"], "given up": len(told["given_up"]), "tried again": told["tried_again"],
            "ended once": sum(count == 1 for count in ends.values()), "killed": victim is not None,
            "workers": len({one["worker"] for one in listed}), "seconds": round(seconds, 1),
            "processor": round(sum(spent.values()), 1), "a job": round(sum(one["seconds"] for one in listed) / len(listed), 2),
            "inversions": sum(one["inverted"] for one in listed), "bits": {one["run"]: one["sha256"] for one in listed}}


def looked_at(sweep: psutil.Process, spent: dict[int, float]) -> list[psutil.Process]:
    """Its workers of Ray that are at work; and what each of its processes has spent so far."""
    workers = []
    try:
        for one in (sweep, *sweep.children(recursive=True)):
            with one.oneshot():
                spent[one.pid] = sum(one.cpu_times()[:2])
                if one.cmdline()[:1] == ["ray::Worker.answer"]:
                    workers.append(one)
    except psutil.Error:                                # it ended meanwhile
        pass
    return workers


def again(jobs: Path, name: str, options: Sequence[str]) -> dict[str, Any]:
    out = jobs.parent / name
    before, start = times(out), time.monotonic()
    done = subprocess.run(command(jobs, name, options), check=True, capture_output=True, text=True)
    return {"said": done.stderr.strip(), "changed nothing": times(out) == before, "seconds": round(time.monotonic() - start, 1)}


def times(folder: Path) -> dict[str, int]:
    return {str(file): file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file()}


if __name__ == "__main__":
    main()
