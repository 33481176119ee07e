"""Edits of held-out scenes against their true answers: `python benchmarks/editing.py`.

24 scenes, 8 in which the colour changes, 8 the object, 8 the background; a row a method.  `asked`: share of frames in which the
judge finds the changed attribute as asked.  `truth`: PSNR against the true answer.  `outside`: PSNR against the source of the
pixels outside both objects (colour and object edits).  `ceiling`: the autoencoder's round trip of the true answer.  dB.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

import newtake
from newtake.methods import named
from newtake.methods.method import configured
from newtake.metrics.pixels import psnr
from newtake.run import edited
from newtake.show import shown
from newtake.track import track
from newtake.video import sheet
from newtake.world import BACKGROUNDS, COLOURS, OBJECTS
from newtake.world import judge as judges
from newtake.world.clips import video
from newtake.world.render import masks
from newtake.world.training.data import scene_of

CHANGES = {"colour": COLOURS, "object": OBJECTS, "background": BACKGROUNDS}
FIRST = {"test": 30_000_000, "development": 40_000_000}


def edits(each: int, size: int, frames: int, split: str):
    """(what changes, scene, true answer): held-out scenes, the new value drawn by the scene's own seed."""
    for k, (name, values) in enumerate(CHANGES.items()):
        for i in range(each):
            scene = scene_of(FIRST[split] + 1000 * k + i, True, size, frames)
            others = [v for v in values if v != getattr(scene, name)]
            yield name, scene, scene.becomes(**{name: others[scene.seed % len(others)]})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--methods", nargs="+", default=["ddim", "fatezero"], metavar="NAME[:SETTING=VALUE,...]")
    parser.add_argument("--each", type=int, default=8)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--split", choices=FIRST, default="test")
    parser.add_argument("--out", type=Path, help="a folder for the numbers and sheets: source, truth, every edit")
    job = parser.parse_args()
    model, judge = newtake.load(job.model), judges.load()
    jobs = list(edits(job.each, model.native, job.frames, job.split))
    rows = []
    with shown():
        for i, (name, scene, truth) in enumerate(track(jobs, "scenes")):
            answer = video(truth)
            ceiling = psnr(round_trip(model, answer[:]), answer[:])
            clips = [video(scene), answer]
            for asked in job.methods:
                done = edited(clips[0], scene.caption(), [truth.caption()], method(asked, job.steps), model)
                rows.append(row(asked, name, scene, truth, done, judge) | {"scene": i, "ceiling": ceiling})
                clips.append(done.videos[0])
            if job.out:
                job.out.mkdir(parents=True, exist_ok=True)
                sheet(clips, job.out / f"{i:02d}_{name}.png")
                (job.out / "rows.json").write_text(json.dumps(rows, indent=1))
    print(table(rows))


def method(asked: str, steps: int):
    name, _, given = asked.partition(":")
    return configured(named(name), **{"steps": steps} | dict(pair.split("=") for pair in given.split(",") if pair))


@torch.no_grad()
def round_trip(model, frames):
    return model.decode(model.encode(frames)[0]).clamp(-1, 1).cpu()


def row(asked, name, scene, truth, done, judge) -> dict:
    edit, source, answer = done.videos[0][:].clamp(-1, 1), done.source[:], video(truth)[:]
    outside = torch.from_numpy(~(masks(scene) | masks(truth)))
    return {
        "method": asked, "changes": name, "caption": truth.caption(),
        "asked": float(np.mean([s[name] == getattr(truth, name) for s in judge.says(edit)])),
        "truth": psnr(edit, answer), "outside": psnr(edit, source, outside) if name != "background" else None,
        "evaluations": done.evaluations, "seconds": sum(done.seconds.values()),
    }


def table(rows) -> str:
    """Means over scenes, as Markdown."""
    figures = {"asked": ".0%", "truth": ".1f", "outside": ".1f", "ceiling": ".1f", "evaluations": ".0f", "seconds": ".1f"}
    lines = [f"| method | changes | {' | '.join(figures)} |", "|---" * (2 + len(figures)) + "|"]
    for asked in dict.fromkeys(r["method"] for r in rows):
        for name in (*CHANGES, "all"):
            some = [r for r in rows if r["method"] == asked and name in (r["changes"], "all")]
            cells = [f"{mean(some, key):{form}}" for key, form in figures.items()]
            lines.append(f"| {asked} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def mean(rows, key) -> float:
    return float(np.mean([r[key] for r in rows if r[key] is not None] or [float("nan")]))


if __name__ == "__main__":
    main()
