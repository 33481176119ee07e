"""A small video network: how the object of a clip moves, and what the clip shows.  Its features are for the world's FVD.

Trained on clips of the world, and on clips whose frames are frozen, shuffled or flicker, which move in no way it knows.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange, reduce
from torch import Tensor, nn

from .judge import ATTRIBUTES
from .scene import MOTIONS
from .weights import read

SIDE, FRAMES, FEATURES = 32, 8, 128                     # pixels and frames it looks at; numbers it says
WIDTHS, STRIDES = (24, 48, 64, 96, FEATURES), ((1, 2, 2), (2, 2, 2), (1, 2, 2), (2, 2, 2))
LEARNED = {"motion": MOTIONS, **ATTRIBUTES}


class Viewer(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv3d(3, WIDTHS[0], 3, 1, 1)
        steps = zip(WIDTHS, WIDTHS[1:], STRIDES, strict=False)
        self.body = nn.Sequential(*(layer for before, after, stride in steps for layer in (
            nn.GroupNorm(8, before), nn.SiLU(), nn.Conv3d(before, after, 3, stride, 1, bias=False))))
        self.norm = nn.GroupNorm(8, FEATURES)
        self.heads = nn.ModuleDict({name: nn.Linear(FEATURES, len(known) + 1) for name, known in LEARNED.items()})

    def features(self, clips: Tensor) -> Tensor:
        """Clips (b f 3 h w) in [-1, 1], of any size and length -> (b 128)."""
        b, f = clips.shape[:2]
        x = clips.flatten(0, 1)
        if x.shape[-2:] != (SIDE, SIDE):
            x = F.interpolate(x, (SIDE, SIDE), mode="bilinear", antialias=True)
        x = rearrange(x, "(b f) c h w -> b c f h w", b=b)
        if f != FRAMES:
            x = x[:, :, torch.linspace(0, f - 1, FRAMES).round().long()]
        return reduce(F.silu(self.norm(self.body(self.stem(x)))), "b c f h w -> b c", "mean")

    def forward(self, clips: Tensor) -> dict[str, Tensor]:
        """Logits by what is learned, the last of each for none."""
        said = self.features(clips)
        return {name: head(said) for name, head in self.heads.items()}


def load() -> Viewer:
    """The one that belongs to the built-in checkpoint.  Raises BadInput where it has not been trained."""
    return read(Viewer(), "viewer")
