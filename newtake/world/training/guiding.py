"""The guests of the built-in checkpoint, a ControlNet and a T2I-Adapter for edges, trained beside its denoiser, which stays.

Zhang et al., ICCV 2023, arXiv 2302.05543; Mou et al., AAAI 2024, arXiv 2302.08453.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import ControlNetModel, T2IAdapter, UNet2DConditionModel
from torch import Tensor, nn
from transformers import AutoTokenizer, CLIPTextModel

from ...drawing import edges
from ..scene import STYLE_WORDINGS, WORDINGS
from .autoencoder import pixels
from .data import Pictures
from .denoiser import noised, signals, wrong
from .fit import fit

BATCH = 16
DROPPED = 0.5                                           # captions left out, so that edges are read for themselves (section 3.3)
KEPT = ("in_channels", "down_block_types", "block_out_channels", "layers_per_block", "cross_attention_dim",
        "attention_head_dim", "norm_num_groups")
COPIED = ("conv_in", "time_embedding", "down_blocks", "mid_block.resnets.0")


def controlnet(unet: UNet2DConditionModel) -> ControlNetModel:
    """The U-Net's encoder once more; its middle without attention, which would be a third of it."""
    net = ControlNetModel(**{name: unet.config[name] for name in KEPT}, mid_block_type="UNetMidBlock2D",
                          conditioning_embedding_out_channels=(16, 32, 64))
    for name in COPIED:
        net.get_submodule(name).load_state_dict(unet.get_submodule(name).state_dict())
    return net


def adapter(unet: UNet2DConditionModel) -> T2IAdapter:
    return T2IAdapter(3, unet.config.block_out_channels, num_res_blocks=1, downscale_factor=4)


def of_controlnet(net: ControlNetModel, z: Tensor, t: Tensor, said: Tensor, drawn: Tensor) -> dict[str, Any]:
    down, mid = net(z, t, said, drawn, return_dict=False)
    return dict(down_block_additional_residuals=down, mid_block_additional_residual=mid)


def of_adapter(net: T2IAdapter, z: Tensor, t: Tensor, said: Tensor, drawn: Tensor) -> dict[str, Any]:
    return dict(down_intrablock_additional_residuals=net(drawn))


def uniform(u: Tensor) -> Tensor:
    return u


def early(u: Tensor) -> Tensor:
    """Noisy levels more often: they are where the layout comes from (Mou et al., non-uniform time step sampling)."""
    return 1 - u ** 3


@dataclass(frozen=True)
class Kind:
    """A kind of guest."""

    name: str                                           # for people
    build: Callable[[UNet2DConditionModel], nn.Module]  # beside this U-Net
    adds: Callable[..., dict[str, Any]]                 # network, noisy latents, t, prompts, edges -> for the U-Net
    times: Callable[[Tensor], Tensor]                   # even draws from 0 to 1 -> where in the schedule it is trained


GUESTS = {"controlnet": Kind("ControlNet", controlnet, of_controlnet, uniform),
          "t2i": Kind("T2I-Adapter", adapter, of_adapter, early)}


def train(net: nn.Module, kind: Kind, checkpoint: Path, seen: Pictures, latents: Tensor, steps: int, state: Path) -> None:
    """Beside the networks of a checkpoint.  `latents` (many c h w), scaled to a standard deviation of one."""
    device = next(net.parameters()).device
    frozen = lambda part: part.float().to(device).eval().requires_grad_(False)
    unet = frozen(UNet2DConditionModel.from_pretrained(checkpoint / "unet")).to(memory_format=torch.channels_last)
    text = frozen(CLIPTextModel.from_pretrained(checkpoint / "text_encoder"))
    words = AutoTokenizer.from_pretrained(checkpoint / "tokenizer")
    signal = signals()

    def said(chosen: Tensor, wording: Tensor, dropped: Tensor) -> Tensor:
        captions = ["" if no else seen.caption(int(i), int(w)) for i, w, no in zip(chosen, wording, dropped, strict=True)]
        ids = words(captions, padding="max_length", truncation=True, return_tensors="pt").input_ids
        return text(ids.to(device)).last_hidden_state

    def loss(generator):
        draw = lambda high: torch.randint(high, (BATCH,), generator=generator)
        share = lambda: torch.rand(BATCH, generator=generator)
        chosen, wording = draw(len(latents)), draw(len(WORDINGS) * len(STYLE_WORDINGS))
        with torch.no_grad():
            prompts = said(chosen, wording, share() < DROPPED)
        t = (kind.times(share()) * len(signal)).long().clamp(max=len(signal) - 1)
        noise = torch.randn(BATCH, *latents.shape[1:], generator=generator)
        z = noised(latents[chosen], noise, signal[t]).contiguous(memory_format=torch.channels_last).to(device)
        drawn, at = edges(pixels(seen, chosen)).to(device), t.to(device)
        out = unet(z, at, prompts, **kind.adds(net, z, at, prompts, (drawn + 1) / 2)).sample.float()
        return wrong(out, noise, signal[t]).mean()

    fit(net, loss, steps, 8e-4, state, f"training the {kind.name}", every=50)
