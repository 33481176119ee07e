"""Pictures of a kind of thing, made by the checkpoint itself: what it knew before it learns.

For prior preservation (DreamBooth, Ruiz et al., CVPR 2023, arXiv 2208.12242, section 3.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from ..guidance import cfg
from ..levels import noise, step
from ..models.unet import UNet
from ..track import track
from ..video import Video
from .concept import Shown

STEPS, GUIDANCE, EACH = 25, 5.0, 8                      # of sampling; pictures at once


def of_kind(model: UNet, prompts: Sequence[str], many: int, shape: Sequence[int], folder: Path, seed: int) -> Shown:
    """So many pictures, of the prompts in turn, in latents of this shape (c h w).

    They are kept in the folder; killed, the same call goes on with those that are missing.
    """
    said = [prompts[i % len(prompts)] for i in range(many)]
    files = [folder / f"{i:04d}.png" for i in range(many)]
    folder.mkdir(parents=True, exist_ok=True)
    missing = [i for i in range(0, many, EACH) if not all(file.exists() for file in files[i:i + EACH])]
    for i in track(missing, "making pictures of the kind"):
        which = range(i, min(i + EACH, many))           # the same at every call: a picture's bits depend on those beside it
        made = sampled(model, said[i:i + EACH], noise(seed, which, *shape))
        for k, picture in zip(which, made, strict=True):
            Video.of(picture[None]).write(files[k])
    z = [encoded(model, torch.cat([Video.read(file)[:] for file in files[i:i + EACH]])) for i in range(0, many, EACH)]
    return Shown(torch.cat(z), tuple(said))


@torch.no_grad()
def sampled(model: UNet, prompts: Sequence[str], z: Tensor) -> Tensor:
    """Pictures (r 3 H W) of noise (r c h w), a prompt each."""
    z, text, null = z[:, None].to(model.device), model.text(*prompts), model.text("")
    for at, to in pairwise(model.levels(STEPS)):
        z = step(model.guided(z, at, text, null, cfg(GUIDANCE)), to)
    return model.decode(z[:, 0]).clamp(-1, 1).cpu()


@torch.no_grad()
def encoded(model: UNet, frames: Tensor) -> Tensor:
    """Pictures (r 3 H W) as rows of one frame, (r 1 c h w)."""
    return torch.cat([model.encode(some) for some in frames.split(EACH)], 1).transpose(0, 1)
