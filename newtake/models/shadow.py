"""A very small stand-in for a network, with random weights: on it is counted what would be asked of the network."""

from typing import Any

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

from .unet import UNet

SMALL = dict(
    sample_size=8, block_out_channels=(4,), layers_per_block=2, norm_num_groups=2, attention_head_dim=2,
    num_attention_heads=None, down_block_types=("CrossAttnDownBlock2D",), up_block_types=("CrossAttnUpBlock2D",),
    transformer_layers_per_block=1,
    mid_block_type="UNetMidBlock2DCrossAttn", only_cross_attention=False,
)


def shadow(model: UNet) -> UNet:
    """One that reads the same prompts and levels and has latents of as many channels."""
    told = {name: value for name, value in model.net.config.items() if not name.startswith("_")}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net: Any = UNet2DConditionModel.from_config({**told, **SMALL})
    return UNet(net.eval().requires_grad_(False), model.scheduler)
