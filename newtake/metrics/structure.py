"""What a vision transformer without words finds: structure, and whether things stay the same.

Structure distance: Tumanyan et al., Splicing ViT features for semantic appearance transfer, CVPR 2022, arXiv 2201.00424, on the
keys of DINO (Caron et al., ICCV 2021, arXiv 2104.14294).  Object consistency is V2VBench's, on DINOv2 (Oquab et al., 2023,
arXiv 2304.07193).
"""

from __future__ import annotations

from math import nan
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor

from .metric import Features, Material, Metric, some
from .networks import IMAGENET_COLOURS, batched, pretrained, seen


def structure_distance(keys: Features, a: Tensor, b: Tensor) -> float:
    """Of frames (f 3 h w): mean squared difference of the cosines of every two keys, 0 to 4; 0 is the same structure."""
    found = [(alike(keys(x)) - alike(keys(y))).square().mean() for x, y in zip(a.split(1), b.split(1), strict=True)]
    return float(sum(found) / len(found))


def alike(tokens: Tensor) -> Tensor:
    """(f n d) -> (f n n)"""
    one = F.normalize(tokens.double(), dim=-1)
    return one @ one.mT


def object_consistency(objects: Features, frames: Tensor) -> float:
    """Mean cosine of each frame (f 3 h w) and the next; not a number of one frame."""
    if len(frames) < 2:
        return nan
    found = objects(frames).double()
    return float(F.cosine_similarity(found[:-1], found[1:]).mean())


def legacy_structure_distance(m: Material) -> float:
    """PIE-Bench's: the network is shown values from 0 to 255 where it expects 0 to 1."""
    glaring = lambda frames: ((frames.clamp(-1, 1) + 1) * 127.5).round() * 2 - 1
    return structure_distance(some(m.keys), glaring(m.edit), glaring(some(m.source)))


def dino_keys(what: str | Path, trust: bool = False) -> Features:
    """The keys of the last layer of a ViT, all heads side by side, the first token included: frames -> (f n d).

    From a folder or a cached hub id, such as facebook/dino-vitb8 (pickles with `trust` only).  It sees pictures at a short side
    of 224 (a long one of no more than 480).  Raises BadInput.
    """
    net = pretrained("ViTModel", what, trust, add_pooling_layer=False)
    layer = next(module for name, module in reversed(list(net.named_modules())) if name.split(".")[-1] in ("key", "k_proj"))

    def keys(frames: Tensor) -> Tensor:
        kept: list[Tensor] = []
        hook = layer.register_forward_hook(lambda _module, _given, out: kept.append(out))
        try:
            net(seen(frames, 224, None, IMAGENET_COLOURS, 480, "bilinear").to(net.device), interpolate_pos_encoding=True)
        finally:
            hook.remove()
        return kept[0]
    return batched(keys)


def dinov2_objects(what: str | Path, trust: bool = False) -> Features:
    """DINOv2's vector of a picture: frames -> (f d).  From a folder or a cached hub id, such as facebook/dinov2-base."""
    net = pretrained("Dinov2Model", what, trust)
    return batched(lambda frames: net(seen(frames, 256, 224, IMAGENET_COLOURS).to(net.device)).pooler_output)


METRICS: tuple[Metric[Material], ...] = (
    Metric("structure_distance", "", 0, 4, False, "source", ("source", "keys"),
           "Splice (Tumanyan et al., CVPR 2022, arXiv 2201.00424)", "how much the self-similarity of DINO's keys changes",
           lambda m: structure_distance(some(m.keys), m.edit, some(m.source))),
    Metric("structure_distance_legacy", "", 0, 4, False, "source", ("source", "keys"),
           "PIE-Bench's and FiVE-Bench's code", "the same, of a network shown values 255 times too large",
           legacy_structure_distance),
    Metric("object_consistency", "", -1, 1, True, "itself", ("objects",),
           "V2VBench: object consistency", "cosine of each frame and the next in DINOv2",
           lambda m: object_consistency(some(m.objects), m.edit)),
)
