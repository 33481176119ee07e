"""Small guests with random weights, none of which is zero, for the networks of `networks`; and pictures for them."""

from typing import Any

import torch
from diffusers import ControlNetModel
from diffusers import T2IAdapter as AdapterModel
from networks import drawn
from torch import Tensor, nn

from newtake.invitation import Invitation
from newtake.models.guests import ControlNet, Guest, T2IAdapter

KEPT = ("in_channels", "down_block_types", "block_out_channels", "layers_per_block", "cross_attention_dim",
        "attention_head_dim", "norm_num_groups", "transformer_layers_per_block", "addition_embed_type",
        "addition_time_embed_dim",
        "projection_class_embeddings_input_dim", "use_linear_projection")


def controlnet(unet: Any, seed: int = 5, factor: int = 8, **config) -> ControlNetModel:
    depth = factor.bit_length()
    torch.manual_seed(seed)
    given = {name: unet.config[name] for name in KEPT} | {"conditioning_embedding_out_channels": (4,) * depth}
    net = ControlNetModel(**given | config)
    for convolution in (*net.controlnet_down_blocks, net.controlnet_mid_block):     # zero at birth
        nn.init.normal_(convolution.weight, std=0.3)
    nn.init.normal_(net.controlnet_cond_embedding.conv_out.weight, std=3)
    return nn.Module.to(net, unet.dtype).eval().requires_grad_(False)


def adapter(unet: Any, seed: int = 6, **config) -> AdapterModel:
    torch.manual_seed(seed)
    sdxl = unet.config.down_block_types[0] == "DownBlock2D"
    given = dict(channels=unet.config.block_out_channels, num_res_blocks=1, downscale_factor=16 if sdxl else 8,
                 adapter_type="full_adapter_xl" if sdxl else "full_adapter")
    return nn.Module.to(AdapterModel(**given | config), unet.dtype).eval().requires_grad_(False)


def pictures(f: int = 3, h: int = 8, w: int = 12, factor: int = 8, seed: int = 3) -> Tensor:
    """(f 3 H W) in [-1, 1] for latents of h x w."""
    return drawn(f, 3, h * factor, w * factor, seed=seed).tanh()


def guests(unet: Any, shown: Tensor, **asked: float) -> tuple[Guest, Guest]:
    """One of each kind."""
    return (ControlNet(controlnet(unet), shown, Invitation("a controlnet", **asked)),
            T2IAdapter(adapter(unet), shown, Invitation("an adapter", **asked)))
