"""Growth with a clip's length, and seams between windows: `python benchmarks/length.py`.

A clip of the world, a camera that moves over a scene, is written as an mp4 and edited as `newtake edit` does it, with the
built-in checkpoint and a window of fixed size: a process for each length.  `peak`: the most memory that the process took,
Python and torch included; `own`: of it what is of no file; `disk`: the most that its inversion and its frames took there.
`busy`: seconds of the processor, all cores together, which other work on the machine does not lengthen much.  `further`: of
them a frame, between the length before and this one.  Last what was estimated before the work.

Seams: the squared difference of neighbouring frames along the true flow (as the metric warp_error_true), of pairs at a border
of windows over that of pairs inside of them.  A pair is at a border where its frames are not made of the same windows in the
same shares.  The control is the same ratio, at the same places, of the edit that sees all frames at once.
"""

import argparse
import json
import os
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from taken import status
from torch import Tensor

import newtake
from newtake.attention.frames import read
from newtake.edits import Means, edited
from newtake.errors import Note
from newtake.methods import METHODS, configured
from newtake.metrics.motion import warp_error
from newtake.models.windows import Windowed
from newtake.record import Job
from newtake.run import Way, run
from newtake.video import Video
from newtake.world import Scene
from newtake.world.render import flow, frame

SIDE = 64                                               # pixels, as the built-in checkpoint was trained
MIB = 2 ** 20
LAWS = {"peak": 1.15, "linear": 1.15, "seam": 1.1}
LOOKS = ("own,middle", "first,previous", "dense")


@dataclass(frozen=True)
class Given:
    """What is edited, and how."""

    frames: int
    method: str
    steps: int
    window: int
    seed: int = 0


@dataclass(frozen=True)
class Cost:
    peak: int                                           # bytes
    own: int
    disk: int
    seconds: float
    busy: float                                         # seconds of the processor, of all its cores
    parts: dict[str, float]                             # seconds of parts of the work
    estimate: dict[str, float]


def main(said: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, nargs="*", default=[16, 64, 256, 1024], help="lengths; none: seams alone")
    parser.add_argument("--window", type=int, default=16)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--method", choices=METHODS, default="newtake")
    parser.add_argument("--clips", type=int, default=4, help="whose seams are looked for; 0: none")
    parser.add_argument("--seam-frames", type=int, default=64, help="of each of them")
    parser.add_argument("--seam-steps", type=int, default=10)
    parser.add_argument("--looks", nargs="+", default=LOOKS, help="frames looked at; dense is slow")
    given = parser.parse_args(said)
    told = [growth([Given(f, given.method, given.steps, given.window) for f in given.frames])] if given.frames else []
    if given.clips:
        told.append(seams(given.clips, Given(given.seam_frames, given.method, given.seam_steps, given.window), given.looks))
    print(json.dumps([law for laws in told for law in laws], indent=1))


# Growth

def growth(jobs: Sequence[Given]) -> list[dict]:
    print("| frames | peak, MiB | own, MiB | disk, MiB | seconds | a frame | busy | further | estimate: MiB | disk, MiB | "
          "seconds |\n|---|---|---|---|---|---|---|---|---|---|---|")
    found: list[Cost] = []
    for job in jobs:
        with ProcessPoolExecutor(1, get_context("spawn")) as alone:
            found.append(alone.submit(cost, job).result())
        print(row(job, jobs[len(found) - 2] if len(found) > 1 else None, found), flush=True)
    for job, one in zip(jobs, found, strict=True):
        print(f"{job.frames} frames, seconds: " + ", ".join(f"{what} {spent:.1f}" for what, spent in one.parts.items()))
    return grown(jobs, found)


def row(job: Given, before: Given | None, found: Sequence[Cost]) -> str:
    now, expected = found[-1], found[-1].estimate
    further = f"{(now.busy - found[-2].busy) / (job.frames - before.frames):.3f}" if before else ""
    cells = [job.frames, *(f"{one / MIB:.0f}" for one in (now.peak, now.own, now.disk)), f"{now.seconds:.1f}",
             f"{now.seconds / job.frames:.3f}", f"{now.busy:.1f}", further,
             *(expected[name] for name in ("memory_mb", "disk_mb", "seconds"))]
    return f"| {' | '.join(map(str, cells))} |"


def grown(jobs: Sequence[Given], found: Sequence[Cost], least: int = 64) -> list[dict]:
    """The laws: from `least` frames on peaks are alike, and every further frame takes as long."""
    long = [(job.frames, one) for job, one in zip(jobs, found, strict=True) if job.frames >= least]
    peaks = [one.peak for _, one in long]
    slopes = [(b.busy - a.busy) / (many - few) for (few, a), (many, b) in pairwise(long)]
    laws = []
    if len(peaks) > 1:
        laws.append(law(f"greatest peak over least, from {least} frames on", max(peaks) / min(peaks), LAWS["peak"]))
    if len(slopes) > 1:
        laws.append(law("processor's seconds of a further frame, last over first", slopes[-1] / slopes[0], LAWS["linear"]))
    return laws


def law(what: str, value: float, most: float) -> dict:
    return {"law": what, "value": round(value, 3), "most": most, "holds": value <= most}


def cost(given: Given) -> Cost:
    """Of an edit in this process, which does nothing else."""
    warnings.simplefilter("ignore", Note)
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.mp4"
        scene = filmed(given, clip)
        Path("/proc/self/clear_refs").write_text("5")   # what writing the clip took is forgotten
        job = Job(str(clip), scene.caption(), (target(scene),), given.method, {"steps": given.steps},
                  windows=(given.window, given.window), device="cpu")
        start, busy = time.perf_counter(), time.process_time()
        with sampled(Path(folder) / "cache") as seen:
            told = run(job, Path(folder) / "run", Way(cache=str(Path(folder) / "cache")))
        return Cost(status("VmHWM"), seen.own, seen.disk, time.perf_counter() - start, time.process_time() - busy,
                    told["seconds"], told["estimate"])


def filmed(given: Given, path: Path) -> Scene:
    """Writes the clip, a few frames at a time."""
    scene = scene_of(given)
    take = lambda numbers: torch.from_numpy(np.stack([frame(scene, i) for i in numbers])).permute(0, 3, 1, 2) / 127.5 - 1
    rate = Fraction(scene.rate)
    Video(take, scene.size, tuple(i / rate for i in range(given.frames)), given.frames / rate).write(path)
    return scene


def scene_of(given: Given) -> Scene:
    """One that moves at any length: the camera goes on as fast."""
    return Scene.sample(given.seed, style="plain", colour="red", motion="in place", pan=(0.1, 0.05), frames=given.frames,
                        size=(SIDE, SIDE))


def target(scene: Scene) -> str:
    return scene.becomes(colour="blue").caption()


@dataclass
class Seen:
    own: int = 0
    disk: int = 0
    done: threading.Event = field(default_factory=threading.Event)

    def look(self, folder: Path) -> None:
        self.own = max(self.own, status("RssAnon"))
        self.disk = max(self.disk, nameless() + sum(size(file) for file in folder.rglob("*")))

    def until_done(self, folder: Path) -> None:
        while not self.done.wait(0.05):
            self.look(folder)


@contextmanager
def sampled(folder: Path) -> Iterator[Seen]:
    """What is taken inside, looked at twenty times a second."""
    seen = Seen()
    thread = threading.Thread(target=seen.until_done, args=[folder])
    thread.start()
    try:
        yield seen
    finally:
        seen.done.set()
        thread.join()


def nameless() -> int:
    """Bytes of this process's open files that have no name: frames on their way."""
    return sum(size(file) for file in Path("/proc/self/fd").iterdir() if str(os.path.realpath(file)).endswith("(deleted)"))


def size(file: Path) -> int:
    """0 where it has just gone."""
    try:
        return file.stat().st_size
    except OSError:
        return 0


# Seams

def seams(clips: int, given: Given, looks: Sequence[str] = LOOKS) -> list[dict]:
    print("\n| frames looked at | borders / inside | the same, all frames at once | of both | difference of the edits |\n"
          "|---|---|---|---|---|")
    model, laws = newtake.load("tiny", "cpu"), []
    for look in looks:
        parted, whole, off = [], [], 0.0
        for seed in range(clips):
            one = Given(given.frames, given.method, given.steps, given.window, seed)
            edits = [edit(one, look, model, window) for window in (given.window, None)]
            off = max(off, float((edits[0] - edits[1]).abs().max()))
            for errors, video in zip((parted, whole), edits, strict=True):
                errors.append(flicker(video, scene_of(one)))
        border = borders(Windowed(model, given.window, read(look), model.mixed), given.frames)
        ratios = [ratio(torch.stack(errors), border) for errors in (parted, whole)]
        print(f"| {look} | {ratios[0]:.3f} | {ratios[1]:.3f} | {ratios[0] / ratios[1]:.3f} | {off:.1e} |", flush=True)
        laws.append(law(f"flicker at borders over inside, {look}", ratios[0], LAWS["seam"]))
    return laws


def edit(given: Given, look: str, model, window: int | None) -> Tensor:   # (f 3 h w)
    scene = scene_of(given)
    clip = Video.of(torch.from_numpy(np.stack([frame(scene, i) for i in range(given.frames)])).permute(0, 3, 1, 2) / 127.5 - 1)
    method = configured(given.method, steps=given.steps, frames=look)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Note)
        return edited(clip, scene.caption(), [target(scene)], method, model,
                      means=Means(windows=window and (window, window))).videos[0][:]


def flicker(video: Tensor, scene: Scene) -> Tensor:     # (f-1)
    """The warp error of each pair of neighbours."""
    there = [torch.from_numpy(flow(scene, i, i + 1))[None] for i in range(scene.frames - 1)]
    back = [torch.from_numpy(flow(scene, i + 1, i))[None] for i in range(scene.frames - 1)]
    return torch.tensor([warp_error(video[i:i + 2], there[i], back[i]) for i in range(scene.frames - 1)])


def borders(windowed: Windowed, f: int) -> Tensor:      # (f-1), bool
    """Which pairs of neighbours are not made of the same windows in the same shares."""
    windows = windowed.windows(f)
    shares = torch.zeros(len(windows), f)
    for i, window in enumerate(windows):
        shares[i, window.start:window.stop] = windowed._weight(len(window)).flatten()
    shares = shares / shares.sum(0)
    return ((shares[:, 1:] - shares[:, :-1]).abs() > 1e-6).any(0)


def ratio(errors: Tensor, border: Tensor) -> float:     # (clips f-1)
    return float(errors[:, border].mean() / errors[:, ~border].mean())


if __name__ == "__main__":

    main()
