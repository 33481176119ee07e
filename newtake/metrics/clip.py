"""What a network of pictures and words finds: likeness to the prompt, consistency of frames, PickScore.

CLIP: Radford et al., ICML 2021, arXiv 2103.00020.  PickScore: Kirstain et al., NeurIPS 2023, arXiv 2305.01569.  Frame
consistency is published under one name with three definitions; here each has a name of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import nan
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import BadInput
from .metric import Embedder, Material, Metric, some
from .networks import batched, located, pretrained, sight


def cosines(network: Embedder, frames: Tensor, prompts: Sequence[str]) -> Tensor:
    """(f n): of the angle between each frame (f 3 h w) and each prompt."""
    return unit(network.pictures(frames)) @ unit(network.texts(prompts)).T


def text_alignment(network: Embedder, frames: Tensor, prompt: str) -> float:
    """Mean over frames of 100 times the cosine of picture and prompt."""
    return 100 * float(cosines(network, frames, [prompt]).mean())


def frame_accuracy(network: Embedder, frames: Tensor, target: str, source: str) -> float:
    """Percent of the frames that are at least as like the target prompt as the source's."""
    there, here = cosines(network, frames, [target, source]).T
    return 100 * float((there >= here).double().mean())


def all_pairs(features: Tensor) -> float:
    """Mean cosine of every two different frames of (f d); not a number of one frame."""
    f = len(features)
    like = unit(features) @ unit(features).T
    return float((like.sum() - like.trace()) / (f * (f - 1))) if f > 1 else nan


def adjacent(features: Tensor, least: float = -1.0) -> float:
    """Mean cosine of each frame of (f d) and the next, each at least `least`; not a number of one frame."""
    if len(features) < 2:
        return nan
    return float(F.cosine_similarity(features[:-1], features[1:]).clamp(min=least).mean())


def cropped(frames: Tensor, mask: Tensor) -> list[Tensor]:
    """Of each frame (3 h w) in whose mask (h w) something lies, the smallest box around it: (1 3 h' w') each."""
    boxes = []
    for frame, where in zip(frames, mask, strict=True):
        if where.any():
            y, x = where.nonzero().T
            boxes.append(frame[None, :, int(y.min()):int(y.max()) + 1, int(x.min()):int(x.max()) + 1])
    return boxes


def alignment_inside(m: Material) -> float:
    found = [text_alignment(some(m.clip), box, some(m.target)) for box in cropped(m.edit, some(m.mask))]
    return sum(found) / len(found) if found else nan


def legacy_alignment_inside(m: Material) -> float:
    """PIE-Bench's: the picture is black outside the mask, and below 0 is 0."""
    marked = some(m.mask).flatten(1).any(1)
    if not marked.any():
        return nan
    frames = m.edit[marked].where(some(m.mask)[marked, None], -1.0)
    return 100 * float(cosines(some(m.clip), frames, [some(m.target)]).clamp(min=0).mean())


def pick_score(m: Material) -> float:
    return some(m.pick).scale * float(cosines(some(m.pick), m.edit, [some(m.target)]).mean())


def unit(features: Tensor) -> Tensor:
    return F.normalize(features.double(), dim=-1)


class CLIP:
    """A CLIP model of transformers, as a `ScaledEmbedder`.  `sight`: frames (f 3 h w) in [-1, 1] as its pictures."""

    def __init__(self, net: Any, tokenizer: Any, sight: Callable[[Tensor], Tensor]):
        self.net, self.tokenizer, self.sight = net, tokenizer, sight
        self.scale = float(net.logit_scale.exp())
        self.pooled = batched(lambda frames: self.vision(frames))
        self.pictures = batched(lambda frames: net.visual_projection(self.vision(frames)))

    def vision(self, frames: Tensor) -> Tensor:
        return self.net.vision_model(pixel_values=self.sight(frames).to(self.net.device)).pooler_output

    @torch.no_grad()
    def texts(self, prompts: Sequence[str]) -> Tensor:
        told = self.tokenizer(list(prompts), padding=True, truncation=True, return_tensors="pt",
                              max_length=self.net.config.text_config.max_position_embeddings)
        told = {name: told[name].to(self.net.device) for name in ("input_ids", "attention_mask")}
        return self.net.text_projection(self.net.text_model(**told).pooler_output).float().cpu()


def load(what: str | Path, trust: bool = False) -> CLIP:
    """CLIP, or PickScore's, from a folder or a cached hub id (pickles with `trust` only).

    Such as openai/clip-vit-large-patch14 (TGVE, V2VBench, PIE-Bench), openai/clip-vit-base-patch32 (FateZero),
    yuvalkirstain/PickScore_v1.  Its tokenizer is the folder's own; of a folder without one, CLIP's.  Raises BadInput.
    """
    from ..models.families import clip_tokenizer
    from ..models.folder import tokenizer

    folder = located(what)
    net = pretrained("CLIPModel", folder, trust)
    own = (folder / "tokenizer.json").is_file() or (folder / "vocab.json").is_file()
    words = tokenizer(folder) if own else clip_tokenizer("<|endoftext|>")
    if (many := len(words)) > (known := net.config.text_config.vocab_size):     # pyright: ignore[reportArgumentType]
        whose = "its tokenizer" if own else "CLIP's tokenizer, as it has none of its own,"
        raise BadInput(f"{folder} knows {known} tokens, and {whose} {many}")
    return CLIP(net, words, sight(folder, net.config.vision_config.image_size))


METRICS: tuple[Metric[Material], ...] = (
    Metric("text_alignment", "", -100, 100, True, "prompt", ("clip", "target"),
           "LOVEU-TGVE-2023: CLIP text", "100 times the cosine of frame and target prompt",
           lambda m: text_alignment(some(m.clip), m.edit, some(m.target))),
    Metric("text_alignment_source", "", -100, 100, True, "prompt", ("clip", "source", "caption"),
           "PIE-Bench's and FiVE-Bench's code", "100 times the cosine of the source and its prompt, whatever the edit",
           lambda m: text_alignment(some(m.clip), some(m.source), some(m.caption))),
    Metric("text_alignment_inside", "", -100, 100, True, "prompt", ("clip", "target", "mask"), "newtake",
           "the same of the smallest box around the mask", alignment_inside),
    Metric("text_alignment_inside_legacy", "", 0, 100, True, "prompt", ("clip", "target", "mask"),
           "PIE-Bench's and FiVE-Bench's code", "the same of the frames, black outside the mask", legacy_alignment_inside),
    Metric("frame_accuracy", "%", 0, 100, True, "prompt", ("clip", "target", "caption"),
           "FateZero: Fram-Acc; EditBoard: success rate", "frames that are like the target prompt rather than the source's",
           lambda m: frame_accuracy(some(m.clip), m.edit, some(m.target), some(m.caption))),
    Metric("frame_consistency_all_pairs", "", -1, 1, True, "itself", ("clip",),
           "LOVEU-TGVE-2023: CLIP frame", "cosine of every two frames",
           lambda m: all_pairs(some(m.clip).pictures(m.edit))),
    Metric("frame_consistency_adjacent", "", -1, 1, True, "itself", ("clip",),
           "FateZero: Tem-Con", "cosine of each frame and the next",
           lambda m: adjacent(some(m.clip).pictures(m.edit))),
    Metric("frame_consistency_unprojected", "", 0, 1, True, "itself", ("clip",),
           "V2VBench: frames consistency", "the same before the projection into the space of words, at least 0",
           lambda m: adjacent(some(m.clip).pooled(m.edit), 0.0)),
    Metric("pick_score", "", -100, 100, True, "prompt", ("pick", "target"),
           "PickScore (Kirstain et al., NeurIPS 2023, arXiv 2305.01569)", "what people would pick, by a CLIP that learned it",
           pick_score),
)
