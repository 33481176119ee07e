"""How the video network is trained: on clips of the world, and on clips that do not move as things in it do."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from einops import reduce
from torch import Tensor

from ...aside import aside
from ...track import track
from ..render import frames
from ..viewer import FRAMES, LEARNED, SIDE, Viewer
from .data import scene_of
from .fit import fit

BATCH, CHUNK, UNMOVED = 32, 100, 0.3                    # share of clips that are made to move wrongly
FIRST = 60_000_000                                      # the first seed of these scenes


def chunk(first: int) -> tuple[np.ndarray, np.ndarray]:
    """CHUNK clips, uint8 (b f h w 3), none of them held out, and their labels."""
    scenes = [scene_of(FIRST + first + i, False, 2 * SIDE, FRAMES) for i in range(CHUNK)]
    pixels = [reduce(frames(s).astype(np.float32), "f (h a) (w b) c -> f h w c", "mean", a=2, b=2) for s in scenes]
    labels = [[known.index(getattr(s, name)) for name, known in LEARNED.items()] for s in scenes]
    return np.stack(pixels).round().astype(np.uint8), np.array(labels)


def clips(folder: Path, many: int) -> tuple[Tensor, Tensor]:
    """Rendered once and kept."""
    kept = folder / f"clips_{SIDE}_{many}.npz"
    if not kept.exists():
        firsts = range(0, many, CHUNK)
        with ProcessPoolExecutor() as pool:
            made = [part for part, _ in zip(pool.map(chunk, firsts), track(firsts, "rendering clips"), strict=True)]
        pixels, labels = (np.concatenate(z) for z in zip(*made, strict=True))
        with aside(kept) as part, open(part, "wb") as file:
            np.savez(file, pixels=pixels, labels=labels)
    with np.load(kept) as z:
        return torch.from_numpy(z["pixels"]), torch.from_numpy(z["labels"])


def unmoved(x: Tensor, generator: torch.Generator) -> Tensor:
    """Frozen, shuffled or flickering, a third each.  (b f 3 h w)"""
    frozen, shuffled, flickering = x.tensor_split(3)
    flicker = 0.5 * torch.randn(*flickering.shape[:2], 1, 1, 1, generator=generator)
    return torch.cat([frozen[:, :1].expand_as(frozen), shuffled[:, torch.randperm(x.shape[1], generator=generator)],
                      (flickering + flicker).clamp(-1, 1)])


def train(viewer: Viewer, pixels: Tensor, labels: Tensor, steps: int, state: Path) -> None:
    device = next(viewer.parameters()).device

    def loss(generator):
        chosen = torch.randint(len(labels), (BATCH,), generator=generator)
        x, y = pixels[chosen].permute(0, 1, 4, 2, 3).float() / 127.5 - 1, labels[chosen].clone()
        wrong = round(BATCH * UNMOVED)
        x[:wrong] = unmoved(x[:wrong], generator)
        x = (x + 0.05 * torch.randn(x.shape, generator=generator)).clamp(-1, 1)
        y[:wrong, list(LEARNED).index("motion")] = len(LEARNED["motion"])
        said = viewer(x.to(device))
        return torch.stack([F.cross_entropy(z.float(), y[:, k].to(device)) for k, z in enumerate(said.values())]).sum()

    fit(viewer, loss, steps, 2e-3, state, "training the video network")
