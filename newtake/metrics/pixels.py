"""Differences of pixels."""

from torch import Tensor


def psnr(a: Tensor, b: Tensor, where: Tensor | None = None) -> float:
    """Peak signal-to-noise ratio of frames (f 3 h w) in [-1, 1], dB, higher is nearer; infinite where they are equal.

    Of all frames together (the error is averaged before the logarithm), and of the pixels `where` (f h w) is True alone
    (None: all).  Not a number where no pixel is.
    """
    error = (a.double() - b.double()).square().mean(1)                              # (f h w)
    mean = (error if where is None else error[where]).mean()
    return float(-10 * (mean / 4).log10())
