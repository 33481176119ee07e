"""Differences of pixels: PSNR, SSIM, MS-SSIM, flicker.

Frames are (f 3 h w) in [-1, 1].  `where` (f h w, None: everywhere) says which pixels count; the others do not touch the result.

SSIM: Wang, Bovik, Sheikh, Simoncelli, Image quality assessment: from error visibility to structural similarity, IEEE
Transactions on Image Processing 2004.  MS-SSIM: Wang, Simoncelli, Bovik, Multiscale structural similarity for image quality
assessment, Asilomar 2003.  The legacy variants are those of PIE-Bench (Ju et al., ICLR 2024, arXiv 2310.01506) and FiVE-Bench.
"""

from collections.abc import Iterator
from math import inf, log10, nan

import torch
import torch.nn.functional as F
from torch import Tensor

from .metric import Material, Metric, likenesses, some

WINDOW, SIGMA = 11, 1.5                                 # pixels, of the gaussian window
HALF = WINDOW // 2
C1, C2 = 0.01 ** 2, 0.03 ** 2                           # of values in [0, 1]
SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)       # weights of Wang et al. 2003, fine to coarse


def psnr(a: Tensor, b: Tensor, where: Tensor | None = None) -> float:
    """Peak signal-to-noise ratio of frames (f 3 h w) in [-1, 1], dB, higher is nearer; infinite where they are equal.

    Of all frames together (the error is averaged before the logarithm), and of the pixels `where` (f h w) is True alone
    (None: all).  Not a number where no pixel is.
    """
    error = (a.double() - b.double()).square().mean(1)                              # (f h w)
    mean = (error if where is None else error[where]).mean()
    return float(-10 * (mean / 4).log10())


def ssim(a: Tensor, b: Tensor, where: Tensor | None = None) -> float:
    """Structural similarity, at most 1, higher is nearer: the mean over frames, channels and windows.

    A window counts if it lies in the picture and its middle is one of the pixels `where`; of the window only these pixels are
    looked at.  Frames without any are left out; not a number where none is left.
    """
    return mean([similarity(x, y, seen)[0] for x, y, seen in each(a, b, where)])


def ms_ssim(a: Tensor, b: Tensor, where: Tensor | None = None) -> float:
    """Multi-scale structural similarity, 0 to 1, higher is nearer.  Windows count as in `ssim`.

    Of the five scales those are taken that a window fits into (all of them from 176 pixels on), their weights made to sum to 1.
    A negative scale counts as 0.
    """
    return mean([of_scales(x, y, seen) for x, y, seen in each(a, b, where)])


def of_scales(x: Tensor, y: Tensor, seen: Tensor) -> float:
    fit = sum(min(x.shape[-2:]) >> scale >= WINDOW for scale in range(len(SCALES)))
    product = 1.0 if fit else nan
    for scale, weight in enumerate(SCALES[:fit]):
        if scale:
            x, y, seen = half(x, seen), half(y, seen), F.avg_pool2d(seen, 2).gt(0).to(x)
        whole, contrast = similarity(x, y, seen)
        value = whole if scale == fit - 1 else contrast
        product *= max(value, 0.0) ** (weight / sum(SCALES[:fit])) if value == value else nan
    return product


def each(a: Tensor, b: Tensor, where: Tensor | None) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Frame by frame: two pictures (3 1 h w) in [0, 1] and the pixels that count (1 1 h w), in doubles."""
    seen = torch.ones_like(a[:, 0]) if where is None else where
    for x, y, s in zip(a, b, seen, strict=True):
        yield (x.double()[:, None] + 1) / 2, (y.double()[:, None] + 1) / 2, s.double()[None, None]


def similarity(x: Tensor, y: Tensor, seen: Tensor) -> tuple[float, float]:
    """SSIM, and its contrast and structure alone: means over the windows that count."""
    if min(x.shape[-2:]) < WINDOW:
        return nan, nan
    moments = blurred(torch.stack([x, y, x * x, y * y, x * y]) * seen) / blurred(seen).clamp(min=1e-12)
    mx, my, mxx, myy, mxy = moments
    sxx, syy, sxy = mxx - mx * mx, myy - my * my, mxy - mx * my
    light, contrast = (2 * mx * my + C1) / (mx * mx + my * my + C1), (2 * sxy + C2) / (sxx + syy + C2)
    counts = seen[0, 0, HALF:-HALF, HALF:-HALF] > 0
    return float((light * contrast)[:, 0, counts].mean()), float(contrast[:, 0, counts].mean())


def blurred(z: Tensor) -> Tensor:
    """(... h w) -> (... h-10 w-10), by the gaussian window."""
    return band(z.shape[-2]).to(z).T @ z @ band(z.shape[-1]).to(z)


def band(n: int) -> Tensor:
    """The window as a matrix (n n-10), a column a place: faster than a convolution in doubles."""
    window = torch.softmax(-(torch.arange(WINDOW).double() - HALF).square() / (2 * SIGMA ** 2), 0)
    at = torch.arange(n)[:, None] - torch.arange(n - WINDOW + 1)
    return window[at.clamp(0, WINDOW - 1)].where((at >= 0) & (at < WINDOW), 0.0)


def half(z: Tensor, seen: Tensor) -> Tensor:
    """Half as large; of four pixels the mean of those that count."""
    return F.avg_pool2d(z * seen, 2) / F.avg_pool2d(seen, 2).clamp(min=0.25)


def flicker(edit: Tensor) -> float:
    """Percent of the range of values that a pixel is off, on average, the middle between the frames before and after it."""
    if len(edit) < 3:
        return nan
    off = edit[1:-1].double() - (edit[:-2].double() + edit[2:]) / 2
    return float(off.abs().mean()) * 50


def more_flicker(m: Material) -> float:
    ours, theirs = flicker(m.edit), flicker(some(m.source))
    return max(ours - theirs, 0.0) if ours == ours else nan


def mean(values: list[float]) -> float:
    """Of those that are numbers."""
    there = [value for value in values if value == value]
    return sum(there) / len(there) if there else nan


# As PIE-Bench and FiVE-Bench compute them: both pictures are black inside the mask, and the whole picture counts

def blackened(m: Material) -> Iterator[tuple[Tensor, Tensor]]:
    """Frame by frame, where something lies outside the mask: edit and source (3 1 h w) in [0, 1], black inside it."""
    for x, y, seen in each(m.edit, some(m.source), ~some(m.mask)):
        if seen.any():
            yield x * seen, y * seen


def legacy_mse(m: Material) -> float:
    return mean([float((x - y).square().mean()) for x, y in blackened(m)])


def legacy_psnr(m: Material) -> float:
    errors = [float((x - y).square().mean()) for x, y in blackened(m)]
    return mean([-10 * log10(error) if error else inf for error in errors])


def legacy_ssim(m: Material) -> float:
    """As torchmetrics does: windows over the picture's edge see it mirrored."""
    mirrored = lambda z: F.pad(z, (HALF,) * 4, mode="reflect")
    return mean([similarity(mirrored(x), mirrored(y), torch.ones_like(mirrored(x)[:1]))[0] for x, y in blackened(m)])


WANG, WANG_MS = "Wang et al., IEEE TIP 2004", "Wang et al., Asilomar 2003"
PIE = "PIE-Bench's and FiVE-Bench's code"
LEGACY = ("source", "mask")
METRICS: tuple[Metric[Material], ...] = (
    *likenesses("psnr", "dB", -inf, inf, True, (), "usual", "peak signal-to-noise ratio", lambda m, b, w: psnr(m.edit, b, w)),
    *likenesses("ssim", "", -1, 1, True, (), WANG, "structural similarity", lambda m, b, w: ssim(m.edit, b, w)),
    *likenesses("ms_ssim", "", 0, 1, True, (), WANG_MS, "structural similarity at up to five scales",
                lambda m, b, w: ms_ssim(m.edit, b, w)),
    Metric("psnr_background_legacy", "dB", -inf, inf, True, "source", LEGACY, PIE,
           "PSNR of the whole pictures, black inside the mask", legacy_psnr),
    Metric("mse_background_legacy", "", 0, 1, False, "source", LEGACY, PIE,
           "squared error of the whole pictures, black inside the mask", legacy_mse),
    Metric("ssim_background_legacy", "", -1, 1, True, "source", LEGACY, PIE,
           "SSIM of the whole pictures, black inside the mask", legacy_ssim),
    Metric("flicker", "%", 0, 100, False, "itself", (), "newtake",
           "how far a pixel is off the middle between its neighbours in time", lambda m: flicker(m.edit)),
    Metric("flicker_beyond_source", "%", 0, 100, False, "source", ("source",), "newtake",
           "by how much the edit flickers more than the source, 0 where it does not", more_flicker),
)
