"""Motion: warp error and motion error, defined here on one page.

**Flow** (f-1 h w 2) says where what is seen at a pixel of frame i is in frame i+1: pixels, x to the right, y downwards.  It
is given (the world's is exact), or estimated by DIS (Kroeger et al., ECCV 2016, arXiv 1603.03590) in OpenCV, preset medium, on
grey 8-bit frames whose short side is brought to 256 pixels, so that clips of any size are looked at alike.

**Visible** is a pixel of frame i that lands in the picture, and from where the flow back leads home: |there + back|^2 is at
most 0.01 (|there|^2 + |back|^2) + (0.005 h)^2.  The form is Sundaram et al.'s (ECCV 2010); the constant is half a percent of
the height here, not pixels.

**Warp error**: frame i+1 of the edit is read, bilinearly, where the source's flow leads from each pixel of frame i.  The
squared difference from frame i of the edit, values in [0, 1], mean over colours and over the visible pixels of all frames
together, times 1000.  0 where the edit moves as the source does.  Black, and all that is smooth, has none either.

**Motion error**: the length of the difference of the edit's estimated flow and the source's, mean over all pixels, percent of
the picture's height.  Published ones (V2VBench's) are in pixels, and grow with the resolution.
"""

from __future__ import annotations

from itertools import pairwise
from math import inf, nan
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from ..extras import opencv
from .metric import Material, Metric, some

SHORT = 256                                             # pixels of the short side that flow is estimated at
GREY = (0.299, 0.587, 0.114)                            # ITU-R BT.601


def estimated(frames: Tensor) -> Tensor:
    """The flow (f-1 h w 2) of frames (f 3 h w) in [-1, 1].  Raises BadInput where OpenCV is not installed."""
    cv2: Any = opencv("motion is measured")
    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    h, w = frames.shape[-2:]
    grey = torch.einsum("fchw,c->fhw", frames.float().cpu(), torch.tensor(GREY))[:, None]
    size = round(h * SHORT / min(h, w)), round(w * SHORT / min(h, w))
    grey = F.interpolate(grey, size, mode="bilinear", antialias=True)[:, 0]
    pictures = ((grey.clamp(-1, 1) + 1) * 127.5).round().byte().numpy()
    flows = [torch.from_numpy(dis.calc(a, b, None)) for a, b in pairwise(pictures)]
    if not flows:
        return torch.zeros(0, h, w, 2)
    flow = F.interpolate(rearrange(torch.stack(flows), "f h w xy -> f xy h w"), (h, w), mode="bilinear", antialias=True)
    return rearrange(flow, "f xy h w -> f h w xy") * torch.tensor([w / size[1], h / size[0]])


def warped(frames: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
    """Frames (f c h w) read, bilinearly, where the flow (f h w 2) leads from each pixel; which are led into the picture."""
    h, w = frames.shape[-2:]
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    at = torch.stack([x, y], -1).to(flow) + flow                                    # of pixels' middles
    most = at.new_tensor([w - 1, h - 1])
    there = ((at >= 0) & (at <= most)).all(-1)
    grid = at / most.clamp(min=1) * 2 - 1
    return F.grid_sample(frames.to(grid), grid, mode="bilinear", padding_mode="border", align_corners=True), there


def visible(flow: Tensor, back: Tensor) -> Tensor:
    """Which pixels of frame i are seen in frame i+1 too: bool (f-1 h w)."""
    home, there = warped(rearrange(back.double(), "f h w xy -> f xy h w"), flow.double())
    home = rearrange(home, "f xy h w -> f h w xy")
    lengths = flow.double().square().sum(-1) + home.square().sum(-1)
    return there & ((flow + home).square().sum(-1) <= 0.01 * lengths + (0.005 * flow.shape[1]) ** 2)


def warp_error(edit: Tensor, flow: Tensor, back: Tensor) -> float:
    """Of frames (f 3 h w) in [-1, 1] along a flow and the flow back (f-1 h w 2); not a number where no pixel is seen twice."""
    if len(edit) < 2:
        return nan
    now, seen = edit[:-1].double(), visible(flow, back)
    then, _ = warped(edit[1:].double(), flow.double())
    return 1000 * float((then - now).square().mean(1)[seen].mean()) / 4


def motion_error(a: Tensor, b: Tensor) -> float:
    """Of two flows (f-1 h w 2): percent of the height."""
    return 100 * end_point_error(a, b) / a.shape[1]


def end_point_error(a: Tensor, b: Tensor) -> float:
    """The mean length of the difference of two flows (f-1 h w 2), pixels; not a number where there is none."""
    return float((a.double() - b.double()).norm(dim=-1).mean())


def along_source(m: Material) -> float:
    source = some(m.source)
    return warp_error(m.edit, estimated(source), estimated(source.flip(0)).flip(0))


METRICS: tuple[Metric[Material], ...] = (
    Metric("warp_error", "1/1000", 0, 1000, False, "itself", ("source", "opencv"), "newtake",
           "change of what the source's estimated motion follows", along_source),
    Metric("warp_error_true", "1/1000", 0, 1000, False, "itself", ("flow", "flow_back"), "newtake",
           "the same along the source's true motion", lambda m: warp_error(m.edit, some(m.flow), some(m.flow_back))),
    Metric("motion_error", "% of the height", 0, inf, False, "source", ("source", "opencv"), "newtake",
           "estimated motion of the edit against that of the source",
           lambda m: motion_error(estimated(m.edit), estimated(some(m.source)))),
    Metric("motion_error_true", "% of the height", 0, inf, False, "itself", ("flow", "opencv"), "newtake",
           "estimated motion of the edit against the source's true motion",
           lambda m: motion_error(estimated(m.edit), some(m.flow))),
    Metric("motion_alignment_legacy", "pixels", -inf, 0, True, "source", ("source", "opencv"),
           "V2VBench: motion alignment (there with GMFlow, here with DIS)", "the same in pixels, below 0",
           lambda m: -end_point_error(estimated(m.edit), estimated(some(m.source)))),
)
