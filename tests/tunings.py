"""A small network, a clip, and a tuning of a few steps."""

import torch
from networks import CHANNELS, SCHEDULER, TOKENS, drawn, unet
from torch import Tensor

from newtake.levels import Level
from newtake.models.model import Text
from newtake.models.unet import UNet
from newtake.tuning import ClipTuning, Training

Z0, TEXT = drawn(1, 3, 4, 8, 8).float(), Text(drawn(1, TOKENS, CHANNELS, seed=2).float())
AT = Level(501, 0.6, 0.8, 0, 1)


def small(width: int = 8):
    """One resolution: four transformer blocks."""
    kinds = dict(down_block_types=("CrossAttnDownBlock2D",), up_block_types=("CrossAttnUpBlock2D",))
    return unet(torch.float32, block_out_channels=(width,), **kinds)


def model(**scheduler) -> UNet:
    return UNet(small(), SCHEDULER | scheduler)


def tuning(steps: int = 3, rank: int | None = None, **given) -> ClipTuning:
    return ClipTuning(Training(**{**dict(steps=steps, rate=1e-3, every=2), **given}), rank)


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
