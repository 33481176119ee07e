"""How the judge is trained: on renders as an autoencoder may blur them, and on pictures that show nothing."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ..judge import ATTRIBUTES, Judge
from .autoencoder import pixels
from .data import Pictures
from .fit import fit

BATCH, SPOILT = 64, 0.35
ALL = torch.ones(4, dtype=torch.bool)
OBJECT_ONLY = torch.tensor([True, False, False, False])


def blurred(x: Tensor, least: float, most: float, generator: torch.Generator) -> Tensor:
    """By going down to a share of the size and up again.  (b 3 h w)"""
    share = least + (most - least) * torch.rand((), generator=generator).item()
    h, w = x.shape[-2:]
    small = F.interpolate(x, (max(2, round(h * share)), max(2, round(w * share))), mode="bilinear", antialias=True)
    return F.interpolate(small, (h, w), mode="bilinear")


def halves(x: Tensor, generator: torch.Generator) -> Tensor:
    """Two pictures side by side in one, or one over the other: no whole thing is left."""
    other, cut = x.roll(1, 0), torch.rand(len(x), generator=generator) < 0.5
    h, w = x.shape[-2:]
    left = torch.where(torch.arange(w) < w // 2, x, other)
    above = torch.where(torch.arange(h)[:, None] < h // 2, x, other)
    return torch.where(cut[:, None, None, None], left, above)


def blobs(x: Tensor, generator: torch.Generator) -> Tensor:
    """A smooth lump of one colour over the middle."""
    b, _, h, w = x.shape
    field = F.interpolate(torch.randn(b, 1, 5, 5, generator=generator), (h, w), mode="bicubic")
    y, x_ = torch.meshgrid(torch.linspace(-1, 1, h), torch.linspace(-1, 1, w), indexing="ij")
    cover = ((1.1 - 1.25 * (y**2 + x_**2).sqrt() + 0.35 * field) * 6).clamp(0, 1)
    return x * (1 - cover) + (torch.rand(b, 3, 1, 1, generator=generator) * 2 - 1) * cover


def noisy(x: Tensor, generator: torch.Generator) -> Tensor:
    return (0.3 * x + 0.8 * torch.randn(x.shape, generator=generator)).clamp(-1, 1)


SPOILS = {                                              # and which attributes are lost
    "halves": (halves, ALL), "blobs": (blobs, OBJECT_ONLY | torch.tensor([False, True, False, False])), "noise": (noisy, ALL),
    "heavy blur": (lambda x, generator: blurred(x, 0.04, 0.09, generator), ALL),
}


def softened(x: Tensor, generator: torch.Generator) -> Tensor:
    """As a picture may come out of an autoencoder: a little soft, a little noisy, a little off in colour."""
    rand = lambda *shape: torch.rand(*shape, generator=generator)
    x = torch.where(rand(len(x), 1, 1, 1) < 0.5, blurred(x, 0.45, 1.0, generator), x)
    x = x * (1 + 0.12 * (rand(len(x), 1, 1, 1) - 0.5)) + 0.08 * (rand(len(x), 3, 1, 1) - 0.5)
    return (x + 0.06 * rand(len(x), 1, 1, 1) * torch.randn(x.shape, generator=generator)).clamp(-1, 1)


def train(judge: Judge, seen: Pictures, steps: int, state: Path) -> None:
    labels = torch.from_numpy(seen.labels)
    none = torch.tensor([len(known) for known in ATTRIBUTES.values()])
    device = next(judge.parameters()).device

    def loss(generator):
        chosen = torch.randint(len(labels), (BATCH,), generator=generator)
        x, y = pixels(seen, chosen), labels[chosen].clone()
        clean = round(BATCH * (1 - SPOILT))
        parts, first = [softened(x[:clean], generator)], clean
        for k, (spoil, lost) in enumerate(SPOILS.values()):
            last = clean + (BATCH - clean) * (k + 1) // len(SPOILS)
            parts.append(softened(spoil(x[first:last], generator), generator))
            y[first:last] = torch.where(lost, none, y[first:last])
            first = last
        said = judge(torch.cat(parts).to(device))
        wrong = [F.cross_entropy(logits.float(), y[:, k].to(device)) for k, logits in enumerate(said.values())]
        return torch.stack(wrong).sum()

    fit(judge, loss, steps, 2e-3, state, "training the judge")
