"""Distances of what a network sees: LPIPS, and the same without learned weights over any network.

Zhang et al., The unreasonable effectiveness of deep features as a perceptual metric, CVPR 2018, arXiv 1801.03924.  No weights
come with newtake: those of the trunk are torchvision's, those of the layers the paper's, each a .safetensors file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import nan
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import BadInput
from .metric import Distance, Material, Metric, likenesses, some

SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # LPIPS sees (x - shift) / scale of x in [-1, 1]


def perceptual(distance: Distance, a: Tensor, b: Tensor, where: Tensor | None = None) -> float:
    """Distance of frames a to b (f 3 h w) in [-1, 1], 0 where they are equal: the sum over layers of the mean over pixels.

    `where` (f h w, None: everywhere): the other pixels of a are first replaced by b's, for every value of a layer sees some way
    around itself, and a pixel of a layer counts by its share of the mask.  Frames without any are left out.
    """
    if where is not None:
        marked = where.flatten(1).any(1)
        a, b, where = a[marked], b[marked], where[marked]
        a = a.where(where[:, None], b)
    if not len(a):
        return nan
    total = torch.zeros(len(a), dtype=torch.float64)
    for layer in distance(a, b):
        size = layer.shape[1], layer.shape[2]
        weight = layer.new_ones(layer.shape) if where is None else F.adaptive_avg_pool2d(where.to(layer), size)
        total += ((layer * weight).sum((1, 2)) / weight.sum((1, 2))).double().cpu()
    return float(total.mean())


class LayerDistance(nn.Module):
    """A `Distance`: of every layer the squared differences of its normalised channels, weighted and added up.

    layers: called one after the other, each on what the last one gave; weights: of their channels, (c,) each, None: 1; side:
    pixels that pictures are scaled to, None: their own; shift, scale: (x - shift) / scale is what the first layer sees.
    """

    def __init__(self, layers: Iterable[nn.Module], weights: Sequence[Tensor] | None = None, side: int | None = None,
                 shift: Sequence[float] = (0, 0, 0), scale: Sequence[float] = (1, 1, 1)):
        super().__init__()
        self.layers, self.weights, self.side = nn.ModuleList(layers), weights, side
        self.shift, self.scale = torch.tensor(shift).view(3, 1, 1), torch.tensor(scale).view(3, 1, 1)

    @torch.no_grad()
    def forward(self, a: Tensor, b: Tensor) -> list[Tensor]:
        x, maps = torch.cat([a, b]).float(), []
        if self.side is not None:
            x = F.interpolate(x, (self.side, self.side), mode="bilinear", antialias=True)
        x = (x - self.shift.to(x)) / self.scale.to(x)
        for i, layer in enumerate(self.layers):
            x = layer(x)
            one = x / (x.norm(dim=1, keepdim=True) + 1e-10)
            squares = (one[:len(a)] - one[len(a):]).square()                        # (f c h' w')
            maps.append(squares.sum(1) if self.weights is None else (squares * self.weights[i].view(-1, 1, 1)).sum(1))
        return maps


class Fire(nn.Module):
    """SqueezeNet's (Iandola et al., 2016, arXiv 1602.07360)."""

    def __init__(self, before: int, middle: int, after: int):
        super().__init__()
        self.squeeze = nn.Conv2d(before, middle, 1)
        self.expand1x1, self.expand3x3 = nn.Conv2d(middle, after, 1), nn.Conv2d(middle, after, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze(x).relu()
        return torch.cat([self.expand1x1(x).relu(), self.expand3x3(x).relu()], 1)


def alexnet() -> nn.Sequential:
    """The convolutions of torchvision's, by its numbers."""
    conv, pool = nn.Conv2d, lambda: nn.MaxPool2d(3, 2)
    return nn.Sequential(
        conv(3, 64, 11, 4, 2), nn.ReLU(), pool(), conv(64, 192, 5, 1, 2), nn.ReLU(), pool(), conv(192, 384, 3, 1, 1), nn.ReLU(),
        conv(384, 256, 3, 1, 1), nn.ReLU(), conv(256, 256, 3, 1, 1), nn.ReLU())


def squeezenet() -> nn.Sequential:
    """The layers of torchvision's squeezenet1_1, by its numbers."""
    pool = lambda: nn.MaxPool2d(3, 2, ceil_mode=True)
    return nn.Sequential(nn.Conv2d(3, 64, 3, 2), nn.ReLU(), pool(), Fire(64, 16, 64), Fire(128, 16, 64),
                         pool(), Fire(128, 32, 128), Fire(256, 32, 128), pool(), Fire(256, 48, 192), Fire(384, 48, 192),
                         Fire(384, 64, 256), Fire(512, 64, 256))


TRUNKS = {                                              # where its layers end, and their channels
    "alex": (alexnet, (2, 5, 8, 10, 12), (64, 192, 384, 256, 256)),
    "squeeze": (squeezenet, (2, 5, 8, 10, 11, 12, 13), (64, 128, 256, 384, 384, 512, 512)),
}


def lpips(trunk: str | Path, heads: str | Path, net: Literal["alex", "squeeze"] = "alex", trust: bool = False) -> LayerDistance:
    """LPIPS: torchvision's weights of the trunk (features.0.weight, ...), the paper's of the layers (lin0.model.1.weight, ...).

    Each a .safetensors file, or with `trust` a pickle, of which tensors alone are read.  Raises BadInput where they do not fit.
    """
    from ..models.parts import assemble

    make, ends, widths = TRUNKS[net]
    layers, learned = make(), weights_of(heads, trust)
    named = {name.removeprefix("features."): z for name, z in weights_of(trunk, trust).items()}
    assemble(layers, named, torch.float32, str(trunk))
    weights = [learned.get(f"lin{i}.model.1.weight", torch.empty(0)).float() for i in range(len(widths))]
    for i, (weight, c) in enumerate(zip(weights, widths, strict=True)):
        if weight.shape != (1, c, 1, 1):
            raise BadInput(f"{heads} is not LPIPS' layers over {net}: it has no lin{i}.model.1.weight of 1 x {c} x 1 x 1")
    stages = [layers[start:end] for start, end in zip((0, *ends), ends, strict=False)]
    return LayerDistance(stages, [z.flatten() for z in weights], shift=SHIFT, scale=SCALE).eval().requires_grad_(False)


def weights_of(path: str | Path, trust: bool) -> dict[str, Tensor]:
    from ..models.parts import opened

    if not Path(path).is_file():
        raise BadInput(f"no such file: {path}")
    return opened(Path(path), trust)


def legacy_background(m: Material) -> float:
    """PIE-Bench's and FiVE-Bench's: both pictures are black inside the mask, and the whole picture counts."""
    mask = some(m.mask)
    marked = ~mask.flatten(1).all(1)
    a, b = (z[marked].where(~mask[marked, None], -1.0) for z in (m.edit, some(m.source)))
    return perceptual(some(m.lpips), a, b)


ZHANG = "Zhang et al., CVPR 2018, arXiv 1801.03924"
METRICS: tuple[Metric[Material], ...] = (
    *likenesses("lpips", "", 0, float("inf"), False, ("lpips",), ZHANG, "learned perceptual distance",
                lambda m, b, w: perceptual(some(m.lpips), m.edit, b, w)),
    *likenesses("perceptual", "", 0, float("inf"), False, ("perceptual",), f"as {ZHANG}, without learned weights",
                "perceptual distance of another network", lambda m, b, w: perceptual(some(m.perceptual), m.edit, b, w)),
    Metric("lpips_background_legacy", "", 0, float("inf"), False, "source", ("source", "mask", "lpips"),
           "PIE-Bench's and FiVE-Bench's code", "LPIPS of the whole pictures, black inside the mask", legacy_background),
)
