"""A model that shows what it sees while it denoises."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import final

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from ..aside import aside
from ..attention.call import Frames
from ..errors import BadInput
from ..guidance import Guidance
from ..levels import Level, Prediction
from ..track import watched
from .folder import config, pretrained
from .model import ALL, Model, Text
from .unet import UNet
from .wrapper import Wrapper

Show = Callable[[int, int, Tensor], None]               # step, 0 first; of how many; picture (3 h w) in [-1, 1]
Decode = Callable[[Tensor], Tensor]                     # latents (f c h w) -> pictures (f 3 H W)

SIDE = 32                                               # latents of a preview, along its longer side, at most


@final
class Watched(Wrapper):
    """The same model, for the edit alone; the last row's clean latent is shown once in every `every` steps.

    It is the outermost wrapper.  What is shown is guided where a method asks so (`guided`), else what the network says with the
    prompt: methods that ask all in one pass mix their answers themselves.  It costs no evaluation.
    """

    def __init__(self, inner: Model, show: Show, every: int = 1, count: int = 1, decode: Decode | None = None):
        """count: of frames, side by side, from equal parts of the clip.  decode: None for the model's own autoencoder."""
        if every < 1 or count < 1:
            raise BadInput(f"a preview is of 1 frame or more in every 1 step or more, not of {count} in every {every}")
        super().__init__(inner)
        self.show, self.every, self.count = show, every, count
        self.pictures = decode or inner.decode
        self._step = -1                                 # the last one that was seen
        self._guiding = False

    def guided(
        self, z: Tensor, at: Level, text: Text, null: Text | None, guidance: Guidance, free: slice = ALL
    ) -> Prediction:
        outer, self._guiding = self._guiding, True
        try:
            said = super().guided(z, at, text, null, guidance, free)
        finally:
            self._guiding = outer
        if at.step != self._step:
            self._seen(said)
        return said

    def predict(
        self, z: Tensor, at: Level, text: Text, prompted: bool = True, frames: Frames | None = None
    ) -> Prediction:
        said = self.inner.predict(z, at, text, prompted, frames)
        goes_on = at.step in (0, self._step + 1) and at.step != self._step          # some look ahead before they begin
        if prompted and goes_on and not self._guiding:
            self._seen(said)
        return said

    def _seen(self, said: Prediction) -> None:
        self._step = said.at.step
        if self._step % self.every == 0:
            self.show(self._step, said.at.of, self._picture(said.rows(slice(-1, None)).x0[0].detach()))

    def _picture(self, x0: Tensor) -> Tensor:           # (f c h w) -> (3 h (count w))
        f, count = len(x0), min(self.count, len(x0))
        some = x0[[(2 * i + 1) * f // (2 * count) for i in range(count)]].float()
        high, wide = some.shape[-2:]
        share = min(1.0, SIDE / max(high, wide))
        small = F.interpolate(some, (max(1, round(high * share)), max(1, round(wide * share))), mode="area")
        with watched(lambda what, done, of: None):      # its decoding is no part of the work that is told
            return rearrange(self.pictures(small).float().clamp(-1, 1).cpu(), "f c h w -> c h (f w)")


def tiny_decoder(folder: Path, model: UNet) -> Decode:
    """diffusers' AutoencoderTiny in a folder, for the latents of this model.  Raises BadInput where it is for others."""
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny

    if (kind := config(folder, "config.json").get("_class_name")) != "AutoencoderTiny":
        raise BadInput(f"{folder} is a {kind}; previews are decoded by an AutoencoderTiny, in diffusers' layout")
    net = pretrained(AutoencoderTiny, folder, trust=False, torch_dtype=torch.float32)
    if (own := net.config.latent_channels) != (wanted := model.net.config.in_channels):
        raise BadInput(f"{folder} decodes latents of {own} channels, and this model's have {wanted}; take one made for it")
    net.to(model.device).eval().requires_grad_(False)
    scale, shift = net.config.scaling_factor, net.config.shift_factor
    return torch.no_grad()(lambda z: net.decode(z.to(net.device) / scale + shift).sample)


def preview_file(path: Path) -> Show:
    """Each picture in this file, .png or .webp, in the place of the one before; it is never half there."""
    from ..video.footage import as_pixels

    if path.suffix.lower() not in (".png", ".webp"):
        raise BadInput(f"a preview is a .png or a .webp, not {path.name}")

    def show(step: int, of: int, picture: Tensor) -> None:
        from PIL import Image

        with aside(path) as part:
            Image.fromarray(as_pixels(picture[None])[0]).save(part)
    return show
