"""Three metrics of EditBoard (Chen et al., AAAI 2025, arXiv 2409.09668) as its code computes them, on 8-bit frames.

FF-alpha is 0, which is its best, where the source itself is warped badly.  FF-beta takes still pixels for pixels that move
otherwise: the edit that changes nothing has the share of the picture that stands still.  Ours are `warp_error`, `motion_error`
and `psnr_to_source_outside`.
"""

from __future__ import annotations

from itertools import pairwise
from math import nan
from typing import Any

import numpy as np

from ..extras import opencv
from ..video import as_pixels
from .metric import Material, Metric, some

GREY_LEVELS, LEAST = 5, 0.7                             # a pixel counts if the source is warped that well; the share that must


def flows(pictures: Any) -> list[Any]:
    """Farneback's, a pair of frames each: (h w 2)."""
    cv2: Any = opencv("motion is measured")
    grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in pictures]
    return [cv2.calcOpticalFlowFarneback(a, b, None, 0.5, 3, 15, 3, 5, 1.2, 0) for a, b in pairwise(grey)]


def ff_alpha(m: Material) -> float:
    """Mean over frames of the difference of the edit and the frame before, warped: the greatest of three colours, 0 to 255."""
    cv2: Any = opencv("motion is measured")
    edit, source = as_pixels(m.edit), as_pixels(some(m.source))
    y, x = np.mgrid[0:source.shape[1], 0:source.shape[2]].astype(np.float32)
    scores, shares = [], []
    for i, flow in enumerate(flows(source)):
        warped = lambda picture, at=np.stack([x, y], -1) - flow: cv2.remap(picture, at, None, cv2.INTER_LINEAR)
        off = cv2.cvtColor(cv2.absdiff(source[i + 1], warped(source[i])), cv2.COLOR_RGB2GRAY)
        counts = off <= GREY_LEVELS
        shares.append(counts.mean())
        scores.append(cv2.absdiff(edit[i + 1], warped(edit[i])).max(-1)[counts].mean() if counts.any() else nan)
    if not scores:
        return nan
    return float(np.mean(scores)) if np.mean(shares) >= LEAST else 0.0


def ff_beta(m: Material) -> float:
    """Mean of 1 - cosine of both flows; where one is 0 that is 1."""
    lengths = lambda flow: (flow * flow).sum(-1) ** 0.5 + 1e-7
    pairs = zip(flows(as_pixels(m.edit)), flows(as_pixels(some(m.source))), strict=True)
    found = [float((1 - (a * b).sum(-1) / lengths(a) / lengths(b)).mean()) for a, b in pairs]
    return sum(found) / len(found) if found else nan


def semantic_score(m: Material) -> float:
    """Mean over frames of the mean difference outside the mask: the greatest of three colours, 0 to 255."""
    edit, source, outside = as_pixels(m.edit), as_pixels(some(m.source)), ~some(m.mask).cpu().numpy()
    off = np.abs(edit.astype(int) - source).max(-1)
    found = [float(off[i][outside[i]].mean()) for i in range(len(off)) if outside[i].any()]
    return sum(found) / len(found) if found else nan


CODE = "EditBoard's code (Chen et al., AAAI 2025, arXiv 2409.09668)"
METRICS: tuple[Metric[Material], ...] = (
    Metric("ff_alpha_legacy", "of 255", 0, 255, False, "itself", ("source", "opencv"), CODE,
           "difference of frames warped along the source's motion; 0 where that is not found", ff_alpha),
    Metric("ff_beta_legacy", "", 0, 2, False, "itself", ("source", "opencv"), CODE,
           "1 less the cosine of the edit's motion and the source's; 1 where either stands still", ff_beta),
    Metric("semantic_score_legacy", "of 255", 0, 255, False, "source", ("source", "mask"), CODE,
           "greatest difference of three colours outside the mask", semantic_score),
)
