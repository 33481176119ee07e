"""The autoencoder of the built-in checkpoint (Kingma & Welling, ICLR 2014, arXiv 1312.6114; Rombach et al., CVPR 2022)."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

from .data import Pictures
from .fit import fit

BATCH = 8


def build(channels: int) -> AutoencoderKL:
    """Latents at a quarter of the picture."""
    torch.manual_seed(0)
    net = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(32, 64, 96), layers_per_block=1, latent_channels=channels, norm_num_groups=8,
        mid_block_add_attention=False, sample_size=64,
    )
    return net.to(memory_format=torch.channels_last)


def train(net: AutoencoderKL, seen: Pictures, steps: int, state: Path) -> None:
    device = next(net.parameters()).device

    def loss(generator):
        chosen = torch.randint(len(seen.pixels), (BATCH,), generator=generator)
        x = pixels(seen, chosen).to(device)
        posterior = net.encode(x).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=generator).to(device)
        y = net.decode(posterior.mean + posterior.std * noise).sample.float()
        kl = posterior.kl().mean() / posterior.mean[0].numel()
        return F.mse_loss(y, x) + 0.1 * F.l1_loss(y, x) + 0.1 * edges(y, x) + 1e-5 * kl

    fit(net, loss, steps, 1e-3, state, "training the autoencoder")


def edges(y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Differences of neighbours, so that outlines stay sharp."""
    return sum(F.l1_loss(y.diff(dim=d), x.diff(dim=d)) for d in (-1, -2)) / 2


def pixels(seen: Pictures, chosen: torch.Tensor) -> torch.Tensor:
    """(b 3 h w) in [-1, 1]"""
    x = torch.from_numpy(seen.pixels[chosen.numpy()]).permute(0, 3, 1, 2).float() / 127.5 - 1
    return x.contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def latents(net: AutoencoderKL, seen: Pictures) -> torch.Tensor:
    """Means, unscaled.  (many c h w)"""
    device = next(net.parameters()).device
    out = []
    for chosen in torch.arange(len(seen.pixels)).split(200):
        with torch.autocast(device.type, torch.bfloat16):
            out.append(net.encode(pixels(seen, chosen).to(device)).latent_dist.mean.float().cpu())
    return torch.cat(out)
