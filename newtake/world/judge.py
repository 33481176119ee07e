"""The judge: which object, colour, background and style a picture shows, or none.

A small classifier, trained on renders and on spoilt renders, that says whether an edit did as asked.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .scene import BACKGROUNDS, COLOURS, OBJECTS, STYLES
from .weights import read

NONE = "none"
ATTRIBUTES = {"object": OBJECTS, "colour": COLOURS, "background": BACKGROUNDS, "style": STYLES}
SIDE = 64                                               # pixels it looks at


class Block(nn.Module):
    def __init__(self, before: int, after: int, stride: int):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.GroupNorm(8, after)
        self.conv2, self.norm2 = nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.GroupNorm(8, after)
        self.skip = nn.Conv2d(before, after, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm2(self.conv2(F.silu(self.norm1(self.conv1(x)))))
        return F.silu(y + self.skip(x))


class Judge(nn.Module):
    def __init__(self):
        super().__init__()
        blocks = Block(24, 32, 2), Block(32, 64, 2), Block(64, 96, 2), Block(96, 96, 2)
        self.body = nn.Sequential(nn.Conv2d(3, 24, 3, 1, 1), *blocks)
        self.heads = nn.ModuleDict({name: nn.Linear(2 * 96, len(known) + 1) for name, known in ATTRIBUTES.items()})

    def features(self, x: Tensor) -> Tensor:
        """Pictures (b 3 h w) in [-1, 1] -> (b 192)."""
        if x.shape[-2:] != (SIDE, SIDE):
            x = F.interpolate(x, (SIDE, SIDE), mode="bilinear", antialias=True)
        y = self.body(x)
        return torch.cat([y.mean((-2, -1)), y.amax((-2, -1))], 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Pictures (b 3 h w) in [-1, 1] -> logits by attribute, the last of each for none."""
        y = self.features(x)
        return {name: head(y) for name, head in self.heads.items()}

    @torch.no_grad()
    def says(self, x: Tensor) -> list[dict[str, str]]:
        """What each picture (b 3 h w) in [-1, 1] shows: a name or "none" for each attribute."""
        found = {name: logits.argmax(-1).tolist() for name, logits in self(x.float()).items()}
        return [{name: (*known, NONE)[found[name][i]] for name, known in ATTRIBUTES.items()} for i in range(len(x))]


def load() -> Judge:
    return read(Judge(), "judge")
