"""What memory.py and speed.py edit: a clip of the world by the built-in checkpoint, or random latents by a random network.

The random one has the shape of Stable Diffusion 1.5: its numbers tell of memory and time, and nothing of pictures.
"""

from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

import newtake
from newtake.attention.maps import refine
from newtake.methods.change import Change
from newtake.methods.request import Request, request
from newtake.models.families import configs
from newtake.models.model import Text
from newtake.models.parts import empty
from newtake.models.unet import UNet
from newtake.world.clips import video
from newtake.world.demo import SCENE, TARGET

DTYPES = {"fp32": torch.float32, "fp64": torch.float64, "bf16": torch.bfloat16, "fp16": torch.float16}
NARROW = dict(block_out_channels=(32, 64, 64, 64), attention_head_dim=2)        # the same layers, for a quick look


@dataclass(frozen=True)
class Subject:
    model: UNet
    z0: Tensor                                          # (1 f c h w)
    ask: Request                                        # one target


def tiny(frames: int, device: str = "cpu", dtype: str = "fp32") -> Subject:
    """The built-in clip in the size that the checkpoint was trained in.  fp64: latents and prompts too, as oracles want it."""
    model = newtake.load("tiny", device, "fp32" if dtype == "fp64" else dtype)
    scene = replace(SCENE, size=(model.native, model.native), frames=frames)
    with torch.no_grad():
        subject = Subject(model, model.encode(video(scene)[:]), request(model, scene.caption(), TARGET))
    if dtype != "fp64":
        return subject
    model.net.double()
    text = lambda rows: replace(rows, tokens=rows.tokens.double())
    ask = subject.ask
    ask = replace(ask, source=text(ask.source), targets=text(ask.targets), null=text(ask.null))
    return Subject(model, subject.z0.double(), ask)


def sd(frames: int, pixels: int, device: str = "cpu", dtype: str = "fp32", narrow: bool = False) -> Subject:
    """device "meta": shapes without numbers."""
    told, side, meta = configs("sd1"), pixels // 8, device == "meta"
    torch.manual_seed(0)
    with empty() if meta else nullcontext():
        net = UNet2DConditionModel.from_config(told["unet"] | (NARROW if narrow else {}))
    net = nn.Module.to(net, device, DTYPES[dtype]).eval().requires_grad_(False)
    exact = torch.float64 if dtype == "fp64" else torch.float32
    drawn = lambda *shape: torch.randn(shape, dtype=exact).to(device)
    text = lambda: Text(drawn(1, 77, 768))
    known = (torch.arange(77) != 5).to(exact)           # the sixth token is another
    change = Change(refine(torch.arange(77), known), (5,), (5,))
    return Subject(UNet(net, told["scheduler"]), drawn(1, frames, 4, side, side), Request(text(), text(), text(), (change,)))
