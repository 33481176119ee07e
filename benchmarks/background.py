"""What a kept background is worth at the mask's border: `python benchmarks/background.py --out FOLDER`.

Edits of the world's development scenes by `newtake` and the built-in checkpoint are laid into their clips in several ways,
inside the true outline of the thing before and after, and inside a box around it, where background is redrawn too.
The edit is newtake's, or as good as there can be: the true answer, as the autoencoder gives it back.
`outside`: PSNR to the clip outside of the mask; `truth`: PSNR to the true answer, and `transition`: the same within 4 pixels
of the mask's border; `seam`: how far the steps between neighbouring pixels across the border, and up to 4 pixels inside of it,
are from the true answer's, in levels of 255.  Means over scenes.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

import newtake
from newtake.background import grown, kept, of_tensor
from newtake.edits import edited
from newtake.methods import configured
from newtake.metrics.pixels import psnr
from newtake.prompts import round_trip
from newtake.show import shown
from newtake.track import track
from newtake.video import Video, sheet
from newtake.world.benchmark import edits
from newtake.world.clips import video
from newtake.world.render import masks

KINDS = ("recolour", "object", "two things")            # whose background stays
MARGIN = 4                                              # pixels, of the box around the thing, and of what is near a border
WAYS = [(0, feather, corrected) for corrected in (False, True) for feather in (0, 1, 2, 4) if feather or not corrected]
WAYS += [(2, 2, False), (2, 2, True)]                   # grown by so many pixels, feather, corrected
SHOWN = [(0, 0, False), (0, 1, True), (0, 4, True), (2, 2, True)]
COLUMNS = {"outside": ".1f", "truth": ".2f", "transition": ".2f", "seam": ".2f"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=4)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--out", type=Path, required=True, help="a folder for the edits, made once, and sheets")
    job = parser.parse_args()
    job.out.mkdir(parents=True, exist_ok=True)
    model, rows = newtake.load("tiny", device="cpu"), {}
    asked = [edit for edit in edits("development", model.native, job.frames) if edit.kind in KINDS][:job.scenes]
    with shown():
        for edit in track(asked, "scenes"):
            source, truth = video(edit.scene), video(edit.truth)
            made = Video.of(edit_of(edit, source, model, job), like=source)
            back = Video.of(round_trip(model, source[:]), like=source)
            ideal = Video.of(round_trip(model, truth[:]), like=source)
            outline = torch.from_numpy(masks(edit.scene) | masks(edit.truth))
            for name, mask in (("outline", outline), ("box", boxed(outline))):
                for what, clip in (("newtake", made), ("ideal", ideal)):
                    ways = {"the edit alone": clip} | {said(*way): laid(clip, source, mask, back, *way) for way in WAYS}
                    for way, done in ways.items():
                        rows.setdefault((name, what, way), []).append(figures(done[:], source[:], truth[:], mask))
                    seen = [source, truth, clip, *(ways[said(*way)] for way in SHOWN)]
                    sheet(seen, job.out / f"{edit.name}-{what}-{name}.png", 4, 256)
    print(f"| mask | edit | way | {' | '.join(COLUMNS)} |\n|---|---|---|{'---|' * len(COLUMNS)}")
    for names, of in rows.items():
        cells = (f"{np.mean([row[column] for row in of]):{form}}" for column, form in COLUMNS.items())
        print(f"| {' | '.join(names)} | {' | '.join(cells)} |")


def said(grow: int, feather: int, corrected: bool) -> str:
    return (f"grown {grow}, " if grow else "") + (f"feather {feather}" if feather else "paste") + ", corrected" * corrected


def edit_of(edit, source, model, job) -> torch.Tensor:  # (f 3 h w)
    there = job.out / f"{edit.name}-{job.frames}-{job.steps}.npy"
    if not there.exists():
        method = configured("newtake", steps=job.steps)
        np.save(there, edited(source, edit.source, [edit.target], method, model).videos[0][:].clamp(-1, 1).numpy())
    return torch.from_numpy(np.load(there))


def laid(made: Video, source: Video, mask: torch.Tensor, back: Video, grow: int, feather: int, corrected: bool) -> Video:
    done = kept(made, source, grown(of_tensor(mask), grow), feather, back if corrected else None)
    return Video.of(done[:], like=source)


def boxed(mask: torch.Tensor) -> torch.Tensor:          # (f h w) bool
    box = torch.zeros_like(mask)
    for frame, inside in zip(box, mask, strict=True):
        for rows, columns in [inside.nonzero(as_tuple=True)] * bool(inside.any()):
            y, x = max(0, rows.min() - MARGIN), max(0, columns.min() - MARGIN)
            frame[y:rows.max() + 1 + MARGIN, x:columns.max() + 1 + MARGIN] = True
    return box


def figures(made, source, truth, mask) -> dict[str, float]:
    near = wider(mask, MARGIN) & wider(~mask, MARGIN)
    step = lambda a, dim: a.diff(dim=dim)
    off = []
    for dim in (-1, -2):
        inner = wider(~mask, MARGIN + 1) & wider(mask, 1)
        size = mask.shape[dim] - 1
        both = inner.narrow(dim, 0, size) & inner.narrow(dim, 1, size)
        off.append((step(made, dim) - step(truth, dim)).abs().mean(1)[both])
    return {"outside": min(99.0, psnr(made, source, ~mask)), "truth": psnr(made, truth), "transition": psnr(made, truth, near),
            "seam": float(torch.cat(off).mean() * 127.5)}


def wider(mask: torch.Tensor, by: int) -> torch.Tensor: # (f h w) bool
    return F.max_pool2d(mask.float(), 2 * by + 1, 1, by) > 0


if __name__ == "__main__":
    main()
