"""The figures of the built-in checkpoint, on combinations held out of its training: `python benchmarks/checkpoint.py`.

Autoencoder: PSNR of the round trip of held-out renders.  Judge: right on held-out renders, "none" on spoilt ones.  Generation:
share of generated pictures in which the judge finds what the caption says.  A spoilt render counts as refused where the judge
finds no object; it was trained on four kinds of spoiling, the fifth (tiles in another order) it never saw.  Words: how many
times as strong the map of the object's word is inside the object as outside, while the render is inverted (1: it is nowhere).
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from einops import rearrange, reduce
from PIL import Image

import newtake
from newtake.guidance import cfg
from newtake.levels import step
from newtake.methods import configured
from newtake.methods.request import request
from newtake.metrics.pixels import psnr
from newtake.prompts import round_trip
from newtake.show import shown
from newtake.track import track
from newtake.world import judge as judges
from newtake.world.judge import ATTRIBUTES
from newtake.world.render import frame, mask
from newtake.world.training.data import scene_of
from newtake.world.training.judging import SPOILS

FIRST = 20_000_000                                      # the first seed of these scenes; training and its checks use others


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--pictures", type=int, default=256)
    parser.add_argument("--renders", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--guidance", type=float, default=7.5)
    parser.add_argument("--sheet", type=Path, help="a PNG of the first 64 generated pictures, without their captions")
    job = parser.parse_args()
    model, judge = newtake.load(job.model), judges.load()
    scenes = [scene_of(FIRST + i, True, model.native) for i in range(job.renders)]
    renders = torch.stack([torch.from_numpy(frame(s, i % s.frames)) for i, s in enumerate(scenes)])
    renders = renders.permute(0, 3, 1, 2).float() / 127.5 - 1
    with shown():
        figures = {"round_trip_psnr": kept(model, renders[:256])} | {
            f"judge_{name}": share for name, share in shares(judge, renders, scenes).items()}
        figures["judge_none_on_spoilt"] = refused(judge, [spoil for spoil, _ in SPOILS.values()], renders, 50)
        figures["judge_none_on_unseen_spoil"] = refused(judge, [tiles], renders, 200)
        figures["words_inside_over_outside"] = found(model, scenes[:32])
        made = generated(model, [s.caption() for s in scenes[:job.pictures]], job.steps, job.guidance)
    figures |= {f"generated_{name}": share for name, share in shares(judge, made, scenes[:job.pictures]).items()}
    figures |= {"pictures": job.pictures, "steps": job.steps, "guidance": job.guidance}
    if job.sheet:
        save_sheet(made[:64], job.sheet)
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}, indent=2))


def kept(model, renders) -> float:
    """Mean over pictures, dB."""
    again = torch.cat([round_trip(model, x) for x in renders.split(32)])
    return float(np.mean([psnr(a[None], b[None]) for a, b in zip(again, renders, strict=True)]))


def found(model, scenes) -> float:
    """Mean over scenes and steps."""
    ratios = []
    for scene in track(scenes, "looking for words"):
        ask = request(model, scene.caption(), scene.caption())
        picture = torch.from_numpy(frame(scene, 0)).permute(2, 0, 1)[None].float() / 127.5 - 1
        path = configured("fatezero", steps=20).invert(model, model.encode(picture), ask)
        maps = torch.stack(path.words)[:, 0, list(ask.source.spans[0][scene.object])].sum(1)
        whole = torch.from_numpy(mask(scene, 0)).float()
        inside = reduce(whole, "(h a) (w b) -> h w", "mean", h=maps.shape[1], w=maps.shape[2])
        mean = lambda where, maps=maps: (maps * where).sum((1, 2)) / where.sum()
        ratios.append((mean(inside) / mean(1 - inside)).mean())
    return float(np.mean(ratios))


def shares(judge, pictures, scenes) -> dict[str, float]:
    """Share of pictures in which the judge finds each attribute of their scenes, and all four."""
    said = judge.says(pictures)
    right = {name: [s[name] == getattr(scene, name) for s, scene in zip(said, scenes, strict=True)] for name in ATTRIBUTES}
    right["all"] = [all(four) for four in zip(*right.values(), strict=True)]
    return {name: float(np.mean(r)) for name, r in right.items()}


def refused(judge, spoils, renders, each: int) -> float:
    """Share of spoilt renders, `each` of every kind, in which the judge finds no object."""
    draws = torch.Generator().manual_seed(0)
    parts = [spoil(renders[k * each:(k + 1) * each], draws) for k, spoil in enumerate(spoils)]
    return float(np.mean([s["object"] == judges.NONE for s in judge.says(torch.cat(parts))]))


def tiles(x, draws):
    """Sixteen tiles in another order."""
    parts = rearrange(x, "b c (i h) (j w) -> (i j) b c h w", i=4, j=4)
    return rearrange(parts[torch.randperm(16, generator=draws)], "(i j) b c h w -> b c (i h) (j w)", i=4)


def generated(model, captions, steps, guidance, batch=64):
    """Pictures from noise, a frame each.  (many 3 h w)"""
    levels, null, out = model.levels(steps), model.text(""), []
    shape = model.encode(torch.zeros(1, 3, model.native, model.native)).shape[2:]
    for first in range(0, len(captions), batch):
        said = captions[first:first + batch]
        z = torch.stack([torch.randn(1, *shape, generator=torch.Generator().manual_seed(first + i)) for i in range(len(said))])
        text = model.text(*said)                                                    # a row a picture
        for i in track(range(steps), "generating"):
            z = step(model.guided(z, levels[i], text, null, cfg(guidance)), levels[i + 1])
        out.append(model.decode(z[:, 0]).clamp(-1, 1).cpu())
    return torch.cat(out)


def save_sheet(pictures, path) -> None:
    tiles = ((pictures + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy().repeat(2, 1).repeat(2, 2)
    rows = [np.concatenate(tiles[i:i + 8], 1) for i in range(0, len(tiles), 8)]
    Image.fromarray(np.concatenate(rows)).save(path)


if __name__ == "__main__":
    main()
