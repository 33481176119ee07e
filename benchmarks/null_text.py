"""Null-text inversion, the published loop and ours, on one picture: `python benchmarks/null_text.py`.

An evaluation is a row through the network, a backward counts two; the inversion is among them.  `picture`: PSNR of the
reconstruction against the autoencoder's round trip; `latents`: mean squared error against the clip's.  `plain` keeps the empty
prompt as it is.
"""

import argparse
import time

import torch

import newtake
from newtake.guidance import cfg
from newtake.inversion import DDIM, NegativePrompt, NullText
from newtake.inversion.trajectory import retrace
from newtake.metrics.pixels import psnr
from newtake.models.counted import Counted
from newtake.show import shown
from newtake.world.clips import video
from newtake.world.training.data import scene_of

JOBS = {
    "plain": DDIM(),
    "negative prompt": NegativePrompt(),
    "published loop": NullText.reference(),
    "published loop, from the source prompt": NullText.reference(start="source"),
    "ours, from the empty prompt": NullText(start="empty", inner=4),
    "ours": NullText(),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--guidance", type=float, nargs="+", default=[7.5])
    parser.add_argument("--seed", type=int, default=40_000_000, help="of the scene")
    parser.add_argument("--only", nargs="+", choices=JOBS, default=list(JOBS))
    job = parser.parse_args()
    torch.set_num_threads(1)
    model = newtake.load(job.model, device="cpu")
    scene = scene_of(job.seed, True, job.size, 1)
    with torch.no_grad(), shown():
        z0 = model.encode(video(scene)[:])
        source, null, levels = model.text(scene.caption()), model.text(""), model.levels(job.steps)
        model.predict(z0, levels[0], null)              # the first pass is slower
        print(f"{scene.caption()}, {job.size} pixels, {job.steps} steps\n")
        print("| guidance | tuning | seconds | evaluations | picture | latents |\n|---|---|---|---|---|---|")
        for w in job.guidance:
            for name in job.only:
                asked, began = Counted(model), time.perf_counter()
                path = JOBS[name](asked, z0, source, null, levels, w)
                seconds = time.perf_counter() - began
                again = retrace(model, JOBS[name], path, source, null, cfg(w))
                same = [model.decode(z[0]).clamp(-1, 1) for z in (again, z0)]
                error = float((again - z0).square().mean())
                print(f"| {w:g} | {name} | {seconds:.0f} | {asked.evaluations} | {psnr(*same):.2f} | {error:.1e} |", flush=True)


if __name__ == "__main__":
    main()
