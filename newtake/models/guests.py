"""Networks beside the U-Net that see a picture of each frame and add to what it makes of the latents.

ControlNet: Adding Conditional Control to Text-to-Image Diffusion Models (Zhang et al., ICCV 2023, arXiv 2302.05543).
T2I-Adapter: Learning Adapters to Dig Out More Controllable Ability for Text-to-Image Diffusion Models (Mou et al., AAAI 2024,
arXiv 2302.08453).  Their own attention and norms are not touched: each frame is seen as they were trained to see pictures.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from itertools import chain
from pathlib import Path
from typing import Any, final

import torch
from diffusers.models.unets.unet_2d_blocks import CrossAttnDownBlock2D
from torch import Tensor

from ..attention.seam import Pass
from ..errors import BadInput
from ..invitation import BUILT_IN, Invitation
from ..levels import Level
from ..video.reel import Reel
from .folder import config, pretrained
from .load import HUB_ID, built_in, cached, fitted, quiet

AT_ONCE = 16                                            # frames
FETCHED = ("config.json", "*.index.json", "*.safetensors")          # of a hub id


@dataclass(frozen=True, eq=False)
class Guest(ABC):
    """A network and its control pictures: of every frame of the clip one, by its number."""

    net: Any                                            # ControlNetModel, T2IAdapter
    pictures: Tensor                                    # (f 3 H W) in [-1, 1], of the size of the clip that is edited
    asked: Invitation

    def counts(self, at: Level) -> bool:
        return self.asked.scale != 0 and at.inside(self.asked.end) and not at.inside(self.asked.start)

    @abstractmethod
    def shapes(self, unet: Any, factor: int) -> dict[str, tuple[Any, Any]]:
        """What has to be alike: its own, and the U-Net's.  factor: pixels a latent, along a side."""

    @abstractmethod
    def adds(self, x: Tensor, at: Level, told: dict[str, Any], during: Pass) -> list[Tensor]:
        """To noisy latents x ((r f) c h w) with what the U-Net is told of them."""

    def beside(self, unet: Any, factor: int) -> Guest:
        """The guest where the U-Net is and in its numbers.  Raises BadInput where it is one for another network."""
        shapes = self.shapes(unet, factor) | {"channels of a picture": (min(self.channels, 3), self.channels)}
        if wrong := [f"{what}: {own}, not {wanted}" for what, (own, wanted) in shapes.items() if own != wanted]:
            raise BadInput(f"{self.asked.where} is a {type(self).__name__} for another network: {'; '.join(wrong)}")
        return replace(self, net=fitted(self.net, unet.device, unet.dtype, shared=True))

    @property
    @abstractmethod
    def channels(self) -> int:
        """Of a picture, as it is seen."""

    @property
    def told(self) -> list[Any]:
        """What makes it, beside its weights and its pictures."""
        config = {name: value for name, value in self.net.config.items() if not name.startswith("_")}
        return [type(self).__name__, config, self.asked.scale, self.asked.start, self.asked.end]

    def seen(self, pictures: Tensor) -> Tensor:
        """In [0, 1], where the network is; grey for one that sees one channel."""
        grey = pictures.mean(1, keepdim=True) if self.channels == 1 else pictures
        return ((grey.clamp(-1, 1) + 1) / 2).to(self.net.device, self.net.dtype)


@final
class ControlNet(Guest):
    """Asked in every step: it sees the noisy latents and the prompts as well."""

    @property
    def channels(self) -> int:
        return self.net.config.conditioning_channels

    def shapes(self, unet, factor):
        own, other = self.net.config, unet.config
        convolutions = (*self.net.controlnet_down_blocks, self.net.controlnet_mid_block)
        return {
            "channels of latents": (own.in_channels, other.in_channels),
            "width of prompts": (own.cross_attention_dim, other.cross_attention_dim),
            "kind of what is told beside the prompt": (own.addition_embed_type, other.addition_embed_type),
            "channels of what it adds": ([conv.out_channels for conv in convolutions], skips(unet)),
            "pixels a latent": (2 ** (len(own.conditioning_embedding_out_channels) - 1), factor),
        }

    def adds(self, x, at, told, during):
        pictures = self.seen(self.pictures[during.frames.numbers]).repeat(during.rows, 1, 1, 1)
        down, mid = self.net(x, at.t, controlnet_cond=pictures, conditioning_scale=self.asked.scale, return_dict=False, **told)
        return [*down, mid]


@final
class T2IAdapter(Guest):
    """Asked once: it sees the pictures alone."""

    @property
    def channels(self) -> int:
        return self.net.config.in_channels

    @cached_property
    @torch.no_grad()
    def features(self) -> list[Tensor]:
        """Of every frame, (f c h w), coarser and coarser, on disk."""
        reels: dict[int, Reel] = defaultdict(Reel)
        for some in self.pictures.split(AT_ONCE):
            for depth, feature in enumerate(self.net(self.seen(some))):
                reels[depth].add(feature)
        return [reel.tensor() for reel in reels.values()]

    def shapes(self, unet, factor):
        side = self.net.total_downscale_factor
        own = [(feature.shape[1], side // feature.shape[-1]) for feature in self.net(self.seen(torch.zeros(1, 3, side, side)))]
        wanted = entrances(unet, factor)
        if len(own) != len(wanted):                     # what there is of it in the middle may be left out
            wanted = wanted[:-1]
        return {"channels of what it adds, and pixels a place": (own, wanted)}

    def adds(self, x, at, told, during):
        here = (feature[during.frames.numbers].to(x) * self.asked.scale for feature in self.features)
        return [feature.repeat(during.rows, 1, 1, 1) for feature in here]


KINDS: dict[Any, type[Guest]] = {"ControlNetModel": ControlNet, "T2IAdapter": T2IAdapter}     # by diffusers' names


def skips(unet: Any) -> list[int]:
    """Channels of what a U-Net's encoder hands on, and of its middle."""
    within = ((*block.resnets, *(block.downsamplers or ())) for block in unet.down_blocks)
    widths = [layer.out_channels for layer in chain.from_iterable(within)]
    return [unet.conv_in.out_channels, *widths, unet.mid_block.resnets[-1].out_channels]


def entrances(unet: Any, factor: int) -> list[tuple[int, int]]:
    """Where a U-Net takes a T2I-Adapter's features: channels, and pixels a place, of its encoder's levels and its middle."""
    found, side = [], factor
    for block in unet.down_blocks:
        halved = side * 2 if block.downsamplers else side
        early = isinstance(block, CrossAttnDownBlock2D)         # it is added to before it is halved
        found.append((block.resnets[-1].out_channels, side if early else halved))
        side = halved
    return [*found, (unet.mid_block.resnets[-1].out_channels, side)]


def additions(guests: Sequence[Guest], x: Tensor, at: Level, told: dict[str, Any], during: Pass, factor: int) -> dict[str, Any]:
    """What all guests together add to one pass, as arguments of the U-Net.  BadInput where their pictures are of another."""
    here = [guest for guest in guests if guest.counts(at)]
    for guest in here:
        fits_clip(guest, during, factor)
    sums = {kind: summed([guest.adds(x, at, told, during) for guest in here if isinstance(guest, kind)])
            for kind in (ControlNet, T2IAdapter)}
    arguments: dict[str, Any] = {}
    if outside := sums[ControlNet]:
        arguments |= dict(down_block_additional_residuals=outside[:-1], mid_block_additional_residual=outside[-1])
    if inside := sums[T2IAdapter]:
        arguments |= dict(down_intrablock_additional_residuals=inside)
    return arguments


def summed(added: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    return [reduce(torch.add, parts) for parts in zip(*added, strict=True)]


def fits_clip(guest: Guest, during: Pass, factor: int) -> None:
    f, (h, w) = during.frames.of, during.size
    many, _, high, wide = guest.pictures.shape
    if many < f:
        raise BadInput(f"{guest.asked.where} has control pictures of {many} frames, and the clip {f}")
    if (high, wide) != (h * factor, w * factor):
        raise BadInput(f"{guest.asked.where} has control pictures of {wide}x{high}, and the clip is {w * factor}x{h * factor}")


# From a folder

def load(asked: Invitation, pictures: Tensor, device: torch.device, dtype: torch.dtype, download: bool = False,
         trust: bool = False) -> Guest:
    """The guest of this name with these pictures.  Raises BadInput, in one line, where it cannot be read."""
    import diffusers

    quiet()
    folder = located(asked.where, download)
    kind = config(folder, "config.json").get("_class_name")
    if kind not in KINDS:
        raise BadInput(f"{asked.where} is a {kind}; a guest is a ControlNetModel or a T2IAdapter, in diffusers' layout")
    net = pretrained(getattr(diffusers, str(kind)), folder, trust, torch_dtype=dtype)
    return KINDS[kind](net.to(device).eval().requires_grad_(False), pictures, asked)


def located(where: str, download: bool) -> Path:
    if where in BUILT_IN:
        return built_in() / BUILT_IN[where]
    folder = Path(where).expanduser()
    if folder.is_dir():
        return folder
    if HUB_ID.fullmatch(where) and not folder.exists():
        return cached(where, download, FETCHED)
    raise BadInput(f"{where}: no such folder; a guest is {', '.join(BUILT_IN)}, a folder of diffusers or a hub id (owner/name)")
