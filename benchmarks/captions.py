"""What the world's CLIP reads, on combinations held out of its training: `python benchmarks/captions.py`.

Captions: of clips of the world the share whose object, colour, background and style `newtake caption` reads as they are.  Frame
accuracy: percent of the frames that are as like the target prompt as the source's, or more, of the true answers and of the
sources themselves, over the test edits of `newtake bench world`.  Results on stdout, as one JSON object.
"""

import argparse
import json
from statistics import fmean

from newtake.captions.world import Reader, load
from newtake.metrics.clip import frame_accuracy
from newtake.metrics.clip import load as of_folder
from newtake.show import shown
from newtake.track import track
from newtake.world.benchmark import edits
from newtake.world.clips import video
from newtake.world.grammar import read
from newtake.world.judge import ATTRIBUTES
from newtake.world.training.data import scene_of

FIRST = 100_000_000                                     # the first seed of these scenes; training and other tables use others
THREE = ("object", "colour", "background")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--edits", type=int, default=60, help="the first so many")
    parser.add_argument("--clip-model", help="the folder of another CLIP than the world's")
    job = parser.parse_args()
    clip = of_folder(job.clip_model) if job.clip_model else load()
    with shown():
        found = {"clips": job.clips, "read": captions(Reader(clip), job), "frame_accuracy": accuracies(clip, job)}
    print(json.dumps(found, indent=1))


def captions(reader: Reader, job: argparse.Namespace) -> dict[str, float]:
    """Shares of the clips that are read right."""
    right = []
    for i in track(range(job.clips), "reading clips"):
        scene = scene_of(FIRST + i, True, 64, job.frames)
        said = {"style": "plain"} | read(reader(video(scene)))
        right.append({name: said[name] == getattr(scene, name) for name in ATTRIBUTES})
    found = {name: fmean(one[name] for one in right) for name in ATTRIBUTES}
    return found | {"object, colour and background": fmean(all(one[name] for name in THREE) for one in right)}


def accuracies(clip, job: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Of the true answers and the sources: all edits, and each kind."""
    found: dict[str, dict[str, list[float]]] = {}
    for task in track(edits("test", 64, job.frames)[:job.edits], "edits"):
        for name, scene in (("true answers", task.truth), ("sources", task.scene)):
            value = frame_accuracy(clip, video(scene)[:], task.target, task.source)
            for kind in ("all", task.kind):
                found.setdefault(name, {}).setdefault(kind, []).append(value)
    return {name: {kind: fmean(values) for kind, values in kinds.items()} for name, kinds in found.items()}


if __name__ == "__main__":
    main()
