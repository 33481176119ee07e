"""What inversions keep, cost and leave to edit, on held-out pictures of the world: `python benchmarks/inversions.py`.

A row an inversion and a guidance w; `own`: the inversion's own guidance, where it has one.  `source`: PSNR of the source row,
put back on the path where the inversion does so, against the autoencoder's round trip (= : on the path by construction).
`free`: of an edit whose target is the source, which nothing puts back.  `evaluations` of the inversion a picture, a backward
pass counted as two.  The last three say how far its noise is from the noise that the checkpoint was trained on: nats per
dimension under N(0, I) (1.42 for white noise), standard deviation (1), and correlation of neighbours (0).
"""

import argparse
import json
from hashlib import sha256
from math import inf, log, pi
from pathlib import Path

import numpy as np
import torch

import newtake
from newtake.aside import aside
from newtake.guidance import cfg
from newtake.inversion import INVERSIONS
from newtake.inversion.trajectory import retrace
from newtake.methods import configured
from newtake.methods.configuring import values
from newtake.methods.request import request
from newtake.metrics.pixels import psnr
from newtake.models.counted import Counted
from newtake.show import shown
from newtake.track import track
from newtake.world.clips import video
from newtake.world.training.data import scene_of

FIRST = 50_000_000                                      # the first seed of these scenes; training and other tables use others


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--inversions", nargs="+", choices=INVERSIONS, default=list(INVERSIONS))
    parser.add_argument("--pictures", type=int, default=6)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--guidance", type=float, nargs="+", default=[1.0, 7.5])
    parser.add_argument("--out", type=Path, default=Path("runs/inversions"), help="of rows; killed, it goes on from there")
    job = parser.parse_args()
    model, rows = newtake.load(job.model), []
    job.out.mkdir(parents=True, exist_ok=True)
    kinds = [(name, w, own) for name in job.inversions for w in job.guidance for own in owns(name, w)]
    with shown():
        for kind, i in track([(kind, i) for i in range(job.pictures) for kind in kinds], "inverting pictures"):
            told = [values(asked(*kind, job.steps)), i, model.hash, str(model.dtype)]
            kept = job.out / f"{sha256(json.dumps(told).encode()).hexdigest()[:16]}.json"
            if not kept.exists():
                made = row(model, *kind, scene_of(FIRST + i, True, model.native, 1), job.steps)
                with aside(kept) as part:
                    part.write_text(json.dumps(made))
            rows.append(json.loads(kept.read_text()))
    print(table(rows))


def owns(name: str, w: float) -> list[float | None]:
    """Guidances that the inversion itself may have: the one it comes with, and the edit's."""
    own = getattr(INVERSIONS[name](), "guidance", None)
    return [None] if own is None else list(dict.fromkeys([own, w]))


def asked(name: str, w: float, own: float | None, steps: int):
    """The edit without controls, by this inversion."""
    given = {} if own is None else {"inversion.guidance": own}
    return configured("ddim", inversion=name, steps=steps, guidance=w, **given)


def row(model, name, w, own, scene, steps) -> dict:
    method = asked(name, w, own, steps)
    ask = request(model, scene.caption(), scene.caption())
    z0, counted = model.encode(video(scene)[:]), Counted(model)
    path = method.invert(counted, z0, ask)
    cost, seen = counted.evaluations, model.decode(z0[0])
    source = retrace(model, method.setup.inversion, path, ask.source, ask.null, cfg(w))
    free = method(model, path, ask)
    noise = path.shown(path.z[0])[0, 0].double()
    return {
        "inversion": name, "w": w, "own": own,
        "source": inf if torch.equal(source, z0) else psnr(model.decode(source[0]), seen),
        "free": psnr(model.decode(free[0]), seen), "evaluations": cost,
        "nll": float(0.5 * (noise.square().mean() + log(2 * pi))), "std": float(noise.std()), "neighbours": neighbours(noise),
    }


def neighbours(z) -> float:
    """Correlation of latents beside and below each other.  (c h w)"""
    pairs = [(z[..., 1:], z[..., :-1]), (z[:, 1:], z[:, :-1])]
    return float(np.mean([torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1] for a, b in pairs]))


def table(rows) -> str:
    """Means over pictures, as Markdown."""
    figures = {"source": ".1f", "free": ".1f", "evaluations": ".0f", "nll": ".2f", "std": ".2f", "neighbours": ".2f"}
    lines = [f"| inversion | w | own | {' | '.join(figures)} |", "|---" * (3 + len(figures)) + "|"]
    for name, w, own in dict.fromkeys((r["inversion"], r["w"], r["own"]) for r in rows):
        some = [r for r in rows if (r["inversion"], r["w"], r["own"]) == (name, w, own)]
        finite = {key: [r[key] for r in some if r[key] != inf] for key in figures}  # what came back to the bit has no PSNR
        means = {key: float(np.mean(values)) if values else inf for key, values in finite.items()}
        cells = ["=" if means[key] == inf else f"{means[key]:{form}}" for key, form in figures.items()]
        lines.append(f"| {name} | {w:g} | {'' if own is None else f'{own:g}'} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
