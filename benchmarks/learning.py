"""A thing that no training saw, learnt from five renders and put into held-out clips: `python benchmarks/learning.py`.

A mushroom is no object of the world's, and no caption of its trainings says the word.  It is learnt under another word, and in
six clips the object becomes it.  A row a method: `mushroom`: share of frames in which a classifier finds one; `truth`: PSNR
against the true answer; `outside`: PSNR against the source of the pixels outside both objects; with the adapter, and before:
the same edit without it, by a word that the checkpoint does not know.  dB.  The classifier is trained here, on renders: two
layers on the judge's features, which has not seen mushrooms either.  Its negatives are the twelve objects, and pictures,
of mushrooms too, that are spoilt.  Killed, the same command goes on.
"""

import argparse
import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import newtake
from newtake.aside import aside
from newtake.concepts import CAPTIONS, Pictures, configured, learn
from newtake.edits import edited
from newtake.methods import spelled
from newtake.methods.configuring import values
from newtake.metrics.pixels import psnr
from newtake.prompts import round_trip
from newtake.show import shown
from newtake.track import track
from newtake.video import Video, sheet
from newtake.world import BACKGROUNDS, COLOURS, Scene
from newtake.world import judge as judges
from newtake.world.clips import video
from newtake.world.render import frame, masks
from newtake.world.training.data import scene_of
from newtake.world.training.judging import SPOILS, softened

THING, WORD, KIND = "mushroom", "blub", "flower"
PICTURES, FIRST, RENDERS = 90_000_000, 91_000_000, 92_000_000       # the first seeds of each
MANY = {"train": 900, "held out": 300}                  # renders of each side that the classifier sees, and is tested on
STEPS = 25                                              # of an edit
METHODS = ["newtake", "fatezero:self_until=0;cross_until=0.2"]


@dataclass(frozen=True)
class Renders:
    x: Tensor                                           # (many 3 h w)
    is_thing: Tensor                                    # (many,)


def pictures(folder: Path) -> Path:
    """Five renders, with captions that name all but the thing: so the word means the shape alone."""
    if not (folder / CAPTIONS).exists():
        folder.mkdir(parents=True, exist_ok=True)
        told = {}
        for i in range(5):
            scene = Scene.sample(PICTURES + i, object=THING, colour=COLOURS[(2 * i) % len(COLOURS)], style="plain",
                                 background=BACKGROUNDS[i], motion="in place", frames=1, size=(64, 64))
            video(scene).write(folder / f"{i}.png")
            told[f"{i}.png"] = scene.caption().replace(THING, "{word}")
        (folder / CAPTIONS).write_text(json.dumps(told, indent=1))
    return folder


# Who says whether it is one

def renders(first: int, many: int, seed: int) -> Renders:
    """As many of the thing as of other objects and of what is spoilt, as an autoencoder may give them back."""
    draw = torch.Generator().manual_seed(seed)
    picture = lambda i, thing: frame(Scene.sample(first + i, size=(64, 64), **({"object": thing} if thing else {})), i % 16)
    pixels = np.stack([picture(i, THING if i % 2 else None) for i in range(2 * many)])
    x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
    others, things = x[::2], x[1::2]
    each = len(things) // (2 * len(SPOILS))
    spoilt = [spoil(torch.cat([things[k * each:(k + 1) * each], others[k * each:(k + 1) * each]]), draw)
              for k, (spoil, _) in enumerate(SPOILS.values())]
    x = softened(torch.cat([things, others, *spoilt]), draw)
    return Renders(x, (torch.arange(len(x)) < len(things)).float())


def classifier(judge: judges.Judge, folder: Path) -> tuple[nn.Module, float]:
    """Says of pictures (b 3 h w) how likely the thing is; and how often it is right of renders that it did not see."""
    torch.manual_seed(0)
    head, kept = nn.Sequential(nn.LayerNorm(192), nn.Linear(192, 64), nn.SiLU(), nn.Linear(64, 1)), folder / "classifier.pt"
    if kept.exists():
        saved = torch.load(kept, weights_only=True)
        head.load_state_dict(saved["head"])
        return nn.Sequential(Features(judge), head), saved["right"]
    seen, held = renders(RENDERS, MANY["train"], 0), renders(RENDERS + 100_000, MANY["held out"], 1)
    with torch.no_grad():
        known, asked = (torch.cat([judge.features(some) for some in r.x.split(64)]) for r in (seen, held))
    adam = torch.optim.AdamW(head.parameters(), lr=3e-3, weight_decay=0.01)
    draw = torch.Generator().manual_seed(0)
    for _ in track(range(1500), "training the classifier"):
        some = torch.randint(len(known), (128,), generator=draw)
        wrong = F.binary_cross_entropy_with_logits(head(known[some])[:, 0], seen.is_thing[some])
        adam.zero_grad()
        wrong.backward()
        adam.step()
    with torch.no_grad():
        right = ((head(asked)[:, 0] > 0) == held.is_thing.bool()).float()
    sides = [float(right[held.is_thing == side].mean()) for side in (1, 0)]
    with aside(kept) as part:
        torch.save({"head": head.state_dict(), "right": sides}, part)
    return nn.Sequential(Features(judge), head), sides


class Features(nn.Module):
    def __init__(self, judge: judges.Judge):
        super().__init__()
        self.judge = judge

    def forward(self, x: Tensor) -> Tensor:
        return self.judge.features(x)


# Edits

def edits(many: int):
    """Held-out scenes, plain ones of known objects, and their true answers."""
    scenes = (scene_of(FIRST + i, True, 64, 8) for i in range(1000))
    chosen = [scene for scene in scenes if scene.style == "plain"][:many]
    return [(scene, scene.becomes(object=THING)) for scene in chosen]


def edited_with(asked: str, scene: Scene, model, folder: Path) -> Video:
    """The scene with the word in the place of its object; an edit that is in the folder is not made again."""
    told = [values(spelled(asked, steps=STEPS)), asdict(scene), model.hash]
    kept = folder / f"{sha256(json.dumps(told).encode()).hexdigest()[:16]}.npz"
    if not kept.exists():
        target = scene.caption().replace(scene.object, WORD)
        done = edited(video(scene), scene.caption(), [target], spelled(asked, steps=STEPS), model)
        folder.mkdir(parents=True, exist_ok=True)
        with aside(kept) as part, open(part, "wb") as file:
            np.savez(file, edit=done.videos[0][:].clamp(-1, 1).numpy().astype(np.float16))
    return Video.of(torch.from_numpy(np.load(kept)["edit"]).float(), like=video(scene))


def figures(edit: Tensor, scene: Scene, truth: Scene, says: nn.Module) -> dict[str, float]:
    outside = torch.from_numpy(~(masks(scene) | masks(truth)))
    return {"mushroom": share(says, edit), "truth": psnr(edit, video(truth)[:]),
            "outside": psnr(edit, video(scene)[:], outside)}


@torch.no_grad()
def share(judges_it: nn.Module, frames: Tensor) -> float:
    return float((judges_it(frames) > 0).float().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", nargs="+", default=METHODS, metavar="METHOD")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="of newtake learn")
    parser.add_argument("--clips", type=int, default=6)
    parser.add_argument("--out", type=Path, default=Path("runs/learning"), help="of the adapter, figures and sheets")
    job = parser.parse_args()
    settings = dict(pair.split("=", 1) for pair in job.set)
    adapter, rows, base = job.out / "adapter", [], newtake.load("tiny")
    with shown():
        says, right = classifier(judges.load(), ready(job.out))
        told = learn(Pictures.read(pictures(job.out / "pictures"), WORD, KIND), adapter, configured("tiny", **settings),
                     newtake.load("tiny", dtype="fp32"))
        models = {"before": base, "after": newtake.load("tiny", adapters={str(adapter): 1.0})}
        for asked in track(job.methods, "methods"):
            clips = {name: [] for name in ("source", *models, "truth")}
            for scene, truth in track(edits(job.clips), "clips"):
                clips["source"].append(video(scene)), clips["truth"].append(video(truth))
                ceiling = share(says, round_trip(base, video(truth)[:]))
                for name, model in models.items():
                    clips[name].append(edited_with(asked, scene, model, job.out / "edits"))
                    rows.append({"method": asked, "model": name, "ceiling": ceiling}
                                | figures(clips[name][-1][:], scene, truth, says))
            middle = [Video.of(torch.cat([clip[4:5] for clip in some])) for some in clips.values()]
            sheet(middle, job.out / f"{asked.partition(':')[0]}.png")
    print(f"classifier: right of {right[0]:.1%} of the thing's renders and {right[1]:.1%} of the others that it did not see")
    print(f"{told['steps']} steps; loss {told['looks'][0][1]:.4f} before, {told['looks'][-1][1]:.4f} after\n")
    print(table(rows))


def ready(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def table(rows: list[dict]) -> str:
    """Means over clips, as Markdown."""
    heads = ["mushroom", "truth", "outside"]
    lines = [f"| method | {' | '.join(f'{head}, {model}' for head in heads for model in ('before', 'after'))} | ceiling |",
             "|---" * (2 + 2 * len(heads)) + "|"]
    for asked in dict.fromkeys(row["method"] for row in rows):
        mean = lambda head, model, asked=asked: np.mean([row[head] for row in rows
                                                         if (row["method"], row["model"]) == (asked, model)])
        cells = [f"{mean(head, model):{'.0%' if head == 'mushroom' else '.1f'}}" for head in heads
                 for model in ("before", "after")]
        lines.append(f"| {asked} | {' | '.join(cells)} | {mean('ceiling', 'after'):.0%} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
