"""Distances of sets: FID, KID, FVD, and the Inception score, over features (n d) of any network.

FID: Heusel et al., NeurIPS 2017, arXiv 1706.08500.  KID: Binkowski et al., Demystifying MMD GANs, ICLR 2018, arXiv 1801.01401.
FVD: Unterthiner et al., arXiv 1812.01717.  IS: Salimans et al., NeurIPS 2016, arXiv 1606.03498.

Few samples: FID and FVD are biased upwards, by more the fewer there are, so that only numbers of as many samples of the same
network are comparable; below as many samples as features a note says so.  KID has no bias, but a wide spread.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, nan

import torch
from torch import Tensor

from ..errors import BadInput, Note
from ..track import track
from .metric import Features, Metric, some


@dataclass(frozen=True, eq=False)
class Sets:
    """Features of many edits, and of the clips they should look like.  What is None is not there.

    Raises BadInput where two sets have features of different networks.
    """

    pictures: Tensor | None = None                      # (n d), a row a frame
    real_pictures: Tensor | None = None                 # (m d)
    clips: Tensor | None = None                         # (n d'), a row a clip
    real_clips: Tensor | None = None                    # (m d')
    chances: Tensor | None = None                       # (n k), of the classes of a classifier, a row a frame

    def __post_init__(self):
        for name in ("pictures", "clips"):
            ours, theirs = getattr(self, name), getattr(self, f"real_{name}")
            if ours is not None and theirs is not None and ours.shape[1] != theirs.shape[1]:
                raise BadInput(f"the {name} have {ours.shape[1]} features and the real ones {theirs.shape[1]}; "
                               "take both of one network")


def gathered(features: Features, clips: Sequence[Tensor]) -> Tensor:
    """The features of all clips (f 3 h w), one after the other: (n d)."""
    return torch.cat([features(clip) for clip in track(clips, "looking")])


def frechet_distance(a: Tensor, b: Tensor, name: str = "frechet distance") -> float:
    """|mean difference|^2 + tr(A + B - 2 (A B)^1/2) of the normal distributions through features (n d) and (m d); 0 or more.

    A and B are the unbiased covariances.  A note where there are fewer samples than features; not a number below two samples.
    """
    few, d = min(len(a), len(b)), a.shape[1]
    if few < 2:
        return nan
    if few < d:
        warnings.warn(f"{name}: {few} samples of {d} features; it is biased upwards, compare it with as many samples only",
                      Note, stacklevel=2)
    a, b = a.double(), b.double()
    root = square_root(covariance(a))                   # A B and A^1/2 B A^1/2 have the same eigenvalues
    shared = torch.linalg.eigvalsh(root @ covariance(b) @ root).clamp(min=0).sqrt().sum()
    distance = (a.mean(0) - b.mean(0)).square().sum() + covariance(a).trace() + covariance(b).trace() - 2 * shared
    return max(float(distance), 0.0)


def covariance(a: Tensor) -> Tensor:
    off = a - a.mean(0)
    return off.T @ off / (len(a) - 1)


def square_root(matrix: Tensor) -> Tensor:
    """Of a symmetric matrix with no negative eigenvalues."""
    values, vectors = torch.linalg.eigh(matrix)
    return vectors * values.clamp(min=0).sqrt() @ vectors.T


def kernel_distance(a: Tensor, b: Tensor) -> float:
    """Squared maximum mean discrepancy of features (n d) and (m d) under (x y / d + 1)^3, unbiased: below 0 by chance.

    Of all samples at once; published numbers are means over subsets of 1000.  Not a number below two samples.
    """
    if min(len(a), len(b)) < 2:
        return nan
    a, b = a.double(), b.double()
    kernel = lambda x, y: (x @ y.T / x.shape[1] + 1) ** 3
    others = lambda k: (k.sum() - k.trace()) / (len(k) * (len(k) - 1))
    return float(others(kernel(a, a)) + others(kernel(b, b)) - 2 * kernel(a, b).mean())


def inception_score(chances: Tensor) -> float:
    """exp of the mean KL(p(class | picture) || p(class)), from chances (n k) that sum to 1: 1 to k.

    Of all samples at once; published numbers are means over ten splits of 50 000.  A note below ten samples a class.
    """
    n, k = chances.shape
    if n < 10 * k:
        warnings.warn(f"inception score: {n} samples of {k} classes; it is biased downwards, compare it with as many samples "
                      "only", Note, stacklevel=2)
    if not n:
        return nan
    p = chances.double()
    return float((torch.xlogy(p, p).sum(1) - torch.xlogy(p, p.mean(0)).sum(1)).mean().exp())


METRICS: tuple[Metric[Sets], ...] = (
    Metric("fid", "", 0, inf, False, "set", ("pictures", "real_pictures"), "Heusel et al., NeurIPS 2017, arXiv 1706.08500",
           "Fréchet distance of frames", lambda s: frechet_distance(some(s.pictures), some(s.real_pictures), "fid")),
    Metric("kid", "", -inf, inf, False, "set", ("pictures", "real_pictures"), "Binkowski et al., ICLR 2018, arXiv 1801.01401",
           "kernel distance of frames", lambda s: kernel_distance(some(s.pictures), some(s.real_pictures))),
    Metric("fvd", "", 0, inf, False, "set", ("clips", "real_clips"), "Unterthiner et al., 2018, arXiv 1812.01717",
           "Fréchet distance of clips", lambda s: frechet_distance(some(s.clips), some(s.real_clips), "fvd")),
    Metric("inception_score", "", 1, inf, True, "itself", ("chances",), "Salimans et al., NeurIPS 2016, arXiv 1606.03498",
           "how sure and how different the classes of frames are", lambda s: inception_score(some(s.chances))),
)
