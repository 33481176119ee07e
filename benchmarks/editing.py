"""Edits of held-out scenes against their true answers: `python benchmarks/editing.py --out FOLDER`.

24 scenes, 8 in which the colour changes, 8 the object, 8 the background; a row a method.  `asked`: share of frames in which the
judge finds the changed attribute as asked.  `truth`: PSNR against the true answer.  `outside`: PSNR against the source of the
pixels outside both objects (colour and object edits).  `ceiling`: the autoencoder's round trip of the true answer.  dB.
A method is a name out of CHOSEN, or NAME[:SETTING=VALUE;...].  One that draws no noise runs once: all seeds are the same to it.
What is in the folder is not run again; several processes may fill one folder.
"""

import argparse
import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch

import newtake
from newtake.aside import aside
from newtake.edits import edited
from newtake.inversion import EditFriendly
from newtake.methods import SDEdit, spelled
from newtake.methods.configuring import values
from newtake.metrics import statistics
from newtake.metrics.pixels import psnr
from newtake.prompts import round_trip
from newtake.show import shown
from newtake.track import track
from newtake.video import Video, sheet
from newtake.world import BACKGROUNDS, COLOURS, OBJECTS
from newtake.world import judge as judges
from newtake.world.clips import video
from newtake.world.render import masks
from newtake.world.training.data import scene_of

CHANGES = {"colour": COLOURS, "object": OBJECTS, "background": BACKGROUNDS}
FIRST = {"test": 30_000_000, "development": 40_000_000}
COLUMNS = [(what, changes, form) for what, form in (("asked", ".0%"), ("truth", ".1f")) for changes in (*CHANGES, "all")]
COLUMNS += [("outside", "all", ".1f"), ("ceiling", "all", ".1f"), ("evaluations", "all", ".0f"), ("seconds", "all", ".0f")]


# As published: frame attention, inversions and masks of their papers, Prompt-to-Prompt with direct inversion (Ju et al., ICLR
# 2024).  Shares, thresholds and guidance were chosen on the development split, those of the family of Prompt-to-Prompt once.
SHARES, W = "self_until=0.5;cross_until=0.3", "guidance=5.5"
FUSED = f"fatezero:{SHARES};blend_latents=true;blend_until=1"
PUBLISHED = {
    "ddim": f"ddim:{W}",
    "sdedit": f"sdedit:{W};strength=0.65",
    "plug_and_play": f"plug_and_play:{W}",
    "masactrl": f"masactrl:{W}",
    "fatezero": f"{FUSED};{W};mask=0.6;blend_from=0",
    "prompt_to_prompt": f"prompt_to_prompt:{W};{SHARES};mask=0.6;blend_from=0",
    "vid2vid_zero": f"vid2vid_zero:{W};{SHARES}",
    "video_p2p": f"video_p2p:{W};{SHARES};mask=0.6;blend_from=0",
}
# Our combinations: masks as they are found, those called early with guidance in the first steps alone, and newtake
EXACT, EARLY = "mask=0.3;widen=0", "guidance=9;guided_until=0.4;blend_from=0.5"
NEW = {
    "newtake": "newtake",
    "fatezero, exact mask, early": f"{FUSED};{EXACT};{EARLY}",
    "prompt_to_prompt, exact mask, early": f"prompt_to_prompt:{SHARES};{EXACT};{EARLY};frames=own,middle",
    "fatezero, exact mask": f"{FUSED};{W};{EXACT};blend_from=0",
    "prompt_to_prompt, exact mask": f"prompt_to_prompt:{W};{SHARES};{EXACT};blend_from=0;frames=own,middle",
    "vid2vid_zero, direct, exact mask": f"{PUBLISHED['vid2vid_zero']};inversion=direct;{EXACT};blend_from=0",
}
CHOSEN = PUBLISHED | NEW


def edits(each: int, size: int, frames: int, split: str):
    """(name, (scene, true answer)): held-out scenes, the new value drawn by the scene's own seed."""
    for k, (what, known) in enumerate(CHANGES.items()):
        for i in range(each):
            scene = scene_of(FIRST[split] + 1000 * k + i, True, size, frames)
            others = [v for v in known if v != getattr(scene, what)]
            yield f"{what}-{i}", (scene, scene.becomes(**{what: others[scene.seed % len(others)]}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--methods", nargs="+", default=list(CHOSEN), metavar="METHOD")
    parser.add_argument("--each", type=int, default=8)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--split", choices=FIRST, default="test")
    parser.add_argument("--dtype", help="fp32, bf16 or fp16")
    parser.add_argument("--out", type=Path, required=True, help="a folder for the edits, their figures, and sheets of them")
    parser.add_argument("--best", help="the method that others are compared with, in pairs")
    job = parser.parse_args()
    if job.best and job.best not in job.methods:
        parser.error(f"--best {job.best} is not among the methods")
    model, judge = newtake.load(job.model, dtype=job.dtype), judges.load()
    scenes, rows = dict(edits(job.each, model.native, job.frames, job.split)), []
    draws = [(asked, seed) for asked in job.methods for seed in seeds(method(asked, job.steps), job.seeds)]
    told = {asked: told_of(method(asked, job.steps), model, job) for asked in job.methods}
    kept = lambda asked, seed, scene: job.out / "rows" / asked / f"{job.split}-{scene}-{seed}-{told[asked]}.npz"
    with shown():
        for name, (scene, truth) in track(list(scenes.items()), "scenes"):
            for asked, seed in draws:
                if not (there := kept(asked, seed, name)).exists():
                    done = edited(video(scene), scene.caption(), [truth.caption()], method(asked, job.steps), model, seed)
                    said = {"method": asked, "scene": name} | row(name, scene, truth, done, model, judge)
                    there.parent.mkdir(parents=True, exist_ok=True)
                    with aside(there) as part, open(part, "wb") as file:
                        np.savez(file, row=json.dumps(said), edit=done.videos[0][:].numpy().astype(np.float16))
                rows.append(json.loads(str(np.load(there)["row"])))
            made = [torch.from_numpy(np.load(kept(asked, 0, name))["edit"]).float() for asked in job.methods]
            clips = [video(scene), video(truth), *(Video.of(edit, like=video(scene)) for edit in made)]
            sheet(clips, job.out / f"{job.split}-{name}.png")
    print(table(rows))
    if job.best:
        print("\n" + pairs(rows, job.best))


def method(asked: str, steps: int):
    return spelled(CHOSEN.get(asked, asked), steps=steps)


def told_of(method, model, job) -> str:
    """A name for all that decides an edit beside its scene and seed."""
    return sha256(json.dumps([values(method), model.hash, str(model.dtype), job.frames]).encode()).hexdigest()[:10]


def seeds(method, many: int) -> range:
    """Of as many draws as make a difference."""
    return range(many if isinstance(method, SDEdit) or isinstance(method.setup.inversion, EditFriendly) else 1)


def row(name, scene, truth, done, model, judge) -> dict:
    edit, source, answer = done.videos[0][:].clamp(-1, 1), done.source[:], video(truth)[:]
    what, _, _ = name.partition("-")
    outside = torch.from_numpy(~(masks(scene) | masks(truth)))
    return {
        "changes": what, "caption": truth.caption(), "ceiling": psnr(round_trip(model, answer), answer),
        "asked": float(np.mean([s[what] == getattr(truth, what) for s in judge.says(edit)])),
        "truth": psnr(edit, answer), "outside": psnr(edit, source, outside) if what != "background" else None,
        "evaluations": done.evaluations, "seconds": sum(done.seconds.values()),
    }


def table(rows) -> str:
    """Means over scenes, as Markdown: of all, or of the scenes in which this changes."""
    heads = [what if changes == "all" else f"{what}, {changes}" for what, changes, _ in COLUMNS]
    lines = [f"| method | {' | '.join(heads)} |", "|---" * (1 + len(heads)) + "|"]
    for asked in dict.fromkeys(r["method"] for r in rows):
        of = lambda changes, asked=asked: [r for r in rows if r["method"] == asked and changes in (r["changes"], "all")]
        lines.append(f"| {asked} | {' | '.join(f'{mean(of(changes), what):{form}}' for what, changes, form in COLUMNS)} |")
    return "\n".join(lines)


def pairs(rows, best: str) -> str:
    """How much better `best` is than each other method on the same scenes: means, and their 95 % intervals (bootstrap)."""
    lines = [f"| {best} against | asked, points | truth, dB | outside, dB |", "|---|---|---|---|"]
    by_scene = lambda asked, key: {
        i: mean(some, key) for i in dict.fromkeys(r["scene"] for r in rows)
        if (some := [r for r in rows if (r["method"], r["scene"]) == (asked, i) and r[key] is not None])}
    for other in dict.fromkeys(r["method"] for r in rows if r["method"] != best):
        cells = []
        for key, factor in (("asked", 100), ("truth", 1), ("outside", 1)):
            ours, theirs = by_scene(best, key), by_scene(other, key)
            gain = statistics.mean([factor * (ours[i] - theirs[i]) for i in ours])
            cells.append(f"{gain.value:+.1f} ({gain.low:+.1f} to {gain.high:+.1f})")
        lines.append(f"| {other} | {' | '.join(cells)} |")
    return "\n".join(lines)


def mean(rows, key) -> float:
    return float(np.mean([r[key] for r in rows if r[key] is not None] or [float("nan")]))


if __name__ == "__main__":
    main()
