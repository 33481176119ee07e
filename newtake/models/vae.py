"""Pictures to latents and back: AutoencoderKL (Rombach et al., CVPR 2022, arXiv 2112.10752)."""

from typing import Any, final

import torch
from torch import Tensor

from ..errors import BadInput

PIXELS = 2 * 512 ** 2                                   # at a time: decoding them takes about 2 GB in float32
FRAMES = 16                                             # at a time, however small they are


def at_once(wide: int, high: int) -> int:
    """Frames of so many pixels that are encoded or decoded at a time."""
    return max(1, min(FRAMES, PIXELS // (wide * high)))


@final
class Autoencoder:
    def __init__(self, net: Any):                       # AutoencoderKL
        self.net = net
        self.scale = float(net.config.scaling_factor)
        self.shift = float(net.config.get("shift_factor") or 0.0)

    @property
    def factor(self) -> int:
        """Pixels a latent, along a side."""
        return 2 ** (len(self.net.config.block_out_channels) - 1)

    @torch.no_grad()
    def encode(self, frames: Tensor) -> Tensor:
        """(f 3 H W) in [-1, 1] -> (f c h w), float32, where the network lies.

        Raises BadInput where a side is no multiple of `factor`.
        """
        high, wide = frames.shape[-2:]
        if high % self.factor or wide % self.factor:
            raise BadInput(f"pictures of {wide}x{high} cannot be encoded; their sides must be multiples of {self.factor}")
        means = [self.net.encode(some.to(self.net.device, self.net.dtype)).latent_dist.mean.float()
                 for some in frames.split(at_once(wide, high))]
        return (torch.cat(means) - self.shift) * self.scale

    @torch.no_grad()
    def decode(self, z: Tensor) -> Tensor:
        """(... c h w) -> (... 3 H W) in [-1, 1], float32, where z lies."""
        chunks = z.flatten(0, -4).split(at_once(z.shape[-1] * self.factor, z.shape[-2] * self.factor))
        pictures = [self._picture(some) for some in chunks]
        return torch.cat(pictures).unflatten(0, z.shape[:-3])

    def _picture(self, z: Tensor) -> Tensor:            # (f 3 H W)
        latent = (z / self.scale + self.shift).to(self.net.device, self.net.dtype)
        return self.net.decode(latent).sample.float().clamp(-1, 1).to(z.device)
