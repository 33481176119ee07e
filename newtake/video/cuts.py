"""Where a clip cuts from one shot to another, and whether anything moves in it.

Small pictures of neighbouring frames are compared block by block, each with whatever lies near its place in the other frame:
the remainder is what motion does not explain.  A cut's is large, and large beside those of its neighbours; a flash is undone a
frame or two later, and so is none.  A fade is no cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from einops import rearrange

from .clip import Video

if TYPE_CHECKING:
    from torch import Tensor

WIDE, BLOCK, REACH = 32, 4, 3                           # pixels: of the small pictures, of their blocks, searched to each side
LEAST = 0.03                                            # of the range of pixels: a smaller remainder is no cut
TIMES = 2.0                                             # the neighbours' remainder, so many times of which is a cut
AROUND = 6                                              # neighbours on each side
FEWEST = 6                                              # frames: among fewer nothing says what is usual
FLASH = 2                                               # frames after which a flash is over
NOISE = 4 / 255                                         # difference of pixels, of the range, up to which nothing moves
HELD = 1 << 22                                          # pixels in memory at a time


def shots(video: Video) -> list[range]:
    """The numbers of the frames between hard cuts, in order; one range where there is none, or too few frames to tell."""
    if len(video) < FEWEST:
        return [range(len(video))]
    small = list(pictures(video))
    apart = [remainder(one, other) for one, other in pairwise(small)]
    cuts = [at + 1 for at in range(len(apart)) if sudden(apart, at) and lasting(small, at, apart[at])]
    return [range(first, end) for first, end in pairwise([0, *cuts, len(small)])]


def still(video: Video) -> bool:
    """Whether all frames are one picture, but for the noise of a codec."""
    from torch.nn.functional import avg_pool2d

    first = None
    for picture in pictures(video):
        picture = avg_pool2d(picture, min(3, *picture.shape[1:]), 1)
        first = picture if first is None else first
        if float((picture - first).abs().max()) > NOISE:
            return False
    return True


def pictures(video: Video) -> Iterator[Tensor]:         # (3 h w) in [0, 1]
    """Every frame, small."""
    from torch.nn.functional import interpolate

    width, height = video.size
    factor = min(1, WIDE / max(width, height))
    size = max(1, round(height * factor)), max(1, round(width * factor))
    chunk, step = max(1, HELD // (width * height)), max(1, max(width, height) // (8 * WIDE))
    for first in range(0, len(video), chunk):
        frames = video[first:first + chunk][..., ::step, ::step].contiguous()
        yield from interpolate(frames.add(1).div(2), size, mode="area")


def sudden(apart: list[float], at: int) -> bool:
    """Whether a remainder stands out from those before it and from those after it."""
    beside = (apart[max(0, at - AROUND):at], apart[at + 1:at + 1 + AROUND])
    usual = max((sorted(some)[-2:][0] for some in beside if some), default=0.0)         # the largest may be another cut
    return apart[at] >= max(LEAST, TIMES * usual)


def lasting(small: list[Tensor], at: int, apart: float) -> bool:
    """Whether no frame soon after is again like one before, as after a flash."""
    before, after = small[max(0, at - FLASH):at + 1], small[at + 1:at + 2 + FLASH]
    return all(remainder(one, other) >= apart / 2 for one in before for other in after)


def remainder(one: Tensor, other: Tensor) -> float:     # (3 h w) each
    """The mean difference of blocks from the likest place near theirs, of the range of pixels: the lesser of both ways."""
    return min(unexplained(one, other), unexplained(other, one))


def unexplained(one: Tensor, other: Tensor) -> float:   # (3 h w) each
    from torch.nn.functional import avg_pool2d, pad

    height, width = one.shape[1:]
    wider = pad(other[None], (REACH,) * 4, mode="replicate")[0]
    near = wider.unfold(1, height, 1).unfold(2, width, 1)                               # (3 i j h w)
    apart = rearrange((near - one[:, None, None]).abs().mean(0), "i j h w -> (i j) 1 h w")
    blocks = avg_pool2d(apart, (min(BLOCK, height), min(BLOCK, width)), ceil_mode=True)
    return float(blocks.amin(0).mean())
