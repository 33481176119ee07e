"""A small classifier of noisy latents: which object, colour, background and style they will show.

For classifier guidance (Dhariwal & Nichol, NeurIPS 2021, arXiv 2105.05233): of a latent at any level of noise it gives
log p(y | z_t, t) and its gradient.  It belongs to the latents of the built-in checkpoint.
"""

from __future__ import annotations

from math import atan2

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from ..errors import BadInput
from ..guidance import LogP
from ..levels import Level
from .judge import ATTRIBUTES
from .weights import read

FREQUENCIES = 8                                         # by which a level is told
WIDTHS, STRIDES = (48, 64, 96, 96), (2, 2, 1)


class Classifier(nn.Module):
    """channels: of the latents."""

    def __init__(self, channels: int = 6):
        super().__init__()
        self.level = nn.Sequential(nn.Linear(2 * FREQUENCIES, 64), nn.SiLU())
        self.stem = nn.Conv2d(channels, WIDTHS[0], 3, 1, 1)
        self.blocks = nn.ModuleList(
            [Block(before, after, stride) for before, after, stride in zip(WIDTHS, WIDTHS[1:], STRIDES, strict=False)])
        self.heads = nn.ModuleDict({name: nn.Linear(2 * WIDTHS[-1], len(known)) for name, known in ATTRIBUTES.items()})

    def forward(self, z: Tensor, angle: Tensor) -> dict[str, Tensor]:
        """Latents (b c h w) at levels of these angles (b,), atan2(sigma, alpha) -> log-probabilities by attribute."""
        waves = angle[:, None] * torch.arange(1, FREQUENCIES + 1, device=angle.device, dtype=angle.dtype)
        told = self.level(torch.cat([waves.sin(), waves.cos()], 1))
        y = self.stem(z)
        for block in self.blocks:
            y = block(y, told)
        y = torch.cat([y.mean((-2, -1)), y.amax((-2, -1))], 1)
        return {name: head(y).log_softmax(-1) for name, head in self.heads.items()}

    def wanted(self, **attributes: str) -> LogP:
        """log p of these values, such as object="fish", for `newtake.guidance.by_classifier`.  BadInput where there is no such.

        The values are taken as independent of each other: their logarithms are added.
        """
        for name, value in attributes.items():
            if value not in ATTRIBUTES.get(name, ()):
                known = "; ".join(f"{kind}s {', '.join(values)}" for kind, values in ATTRIBUTES.items())
                raise BadInput(f"no {name} {value!r} in the world; it has {known}")

        def log_p(z: Tensor, at: Level) -> Tensor:                                  # (r f c h w) -> (r f)
            flat = z.flatten(0, 1).to(self.stem.weight)
            said = self(flat, torch.full_like(flat[:, 0, 0, 0], atan2(at.sigma, at.alpha)))
            chosen = [said[name][:, ATTRIBUTES[name].index(value)] for name, value in attributes.items()]
            return torch.stack(chosen).sum(0).unflatten(0, z.shape[:2]).to(z)
        return log_p


class Block(nn.Module):
    """A residual block that is told the level by a scale and a shift."""

    def __init__(self, before: int, after: int, stride: int):
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(8, before), nn.Conv2d(before, after, 3, stride, 1)
        self.norm2, self.conv2 = nn.GroupNorm(8, after), nn.Conv2d(after, after, 3, 1, 1)
        self.told = nn.Linear(64, 2 * after)
        self.skip = nn.Conv2d(before, after, 1, stride, bias=False)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        y = self.conv1(F.silu(self.norm1(x)))
        scale, shift = rearrange(self.told(told), "b (two c) -> two b c 1 1", two=2)
        return self.skip(x) + self.conv2(F.silu(self.norm2(y) * (1 + scale) + shift))


def load() -> Classifier:
    """The one that belongs to the built-in checkpoint.  Raises BadInput where it has not been trained."""
    return read(Classifier(), "classifier")
