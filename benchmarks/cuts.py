"""Cuts found, missed and seen where none is: `python benchmarks/cuts.py`.

Clips of the world: three scenes joined each (hard cuts), the same on the same ground (the hardest cuts there are), scenes
alone (motion), with every third frame (fast motion), faded from one to the next, and with a flash.  Results on stdout, as one
JSON object.
"""

import argparse
import json

import torch

from newtake.show import shown
from newtake.track import track
from newtake.video import Video
from newtake.video.cuts import shots
from newtake.world import Scene
from newtake.world.clips import video

FRAMES = 10                                             # of a scene


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=40)
    job = parser.parse_args()
    found: dict[str, dict[str, int]] = {}
    with shown():
        for seed in track(range(job.clips), "clips"):
            for name, frames, cuts in kinds(seed):
                got = {shot.start for shot in shots(Video.of(frames))} - {0}
                counts = found.setdefault(name, {"found": 0, "missed": 0, "false": 0, "frames": 0})
                for key, more in (("found", got & cuts), ("missed", cuts - got), ("false", got - cuts), ("frames", frames)):
                    counts[key] += len(more)
    print(json.dumps(found, indent=1))


def kinds(seed: int):
    """(name, frames (f 3 h w), numbers of the first frames after cuts) of each kind."""
    drawn = [Scene.sample(3 * seed + i, frames=FRAMES, size=(64, 64)) for i in range(3)]
    one, two, three = (video(scene)[:] for scene in drawn)
    alike = [video(scene.becomes(background=drawn[0].background, style=drawn[0].style))[:] for scene in drawn]
    share = torch.linspace(0, 1, FRAMES).view(-1, 1, 1, 1)
    flash = one.clone()
    flash[5:6] = (flash[5:6] + 1.2).clamp(-1, 1)
    yield "hard cuts", torch.cat([one, two, three]), {FRAMES, 2 * FRAMES}
    yield "hard cuts on the same ground", torch.cat(alike), {FRAMES, 2 * FRAMES}
    yield "motion", one, set()
    yield "fast motion", one[::3], set()
    yield "fade", one * (1 - share) + two * share, set()
    yield "flash", flash, set()


if __name__ == "__main__":
    main()
