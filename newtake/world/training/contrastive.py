"""The world's CLIP: pictures and captions in one space (Radford et al., ICML 2021, arXiv 2103.00020)."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTokenizer

from ..judge import ATTRIBUTES
from ..scene import STYLE_WORDINGS, WORDINGS
from .autoencoder import pixels
from .data import Pictures
from .denoiser import LONGEST
from .fit import fit
from .judging import softened

BATCH, GROUPS, SIZE, PATCH = 128, 8, 64, 8
MANY = len(WORDINGS) * len(STYLE_WORDINGS)


class Pair(nn.Module):
    """Both towers as one thing to train."""

    def __init__(self, clip: CLIPTokenizer):
        super().__init__()
        torch.manual_seed(0)
        text = dict(
            vocab_size=len(clip), hidden_size=96, intermediate_size=288, num_hidden_layers=2, num_attention_heads=3,
            max_position_embeddings=LONGEST, eos_token_id=clip.eos_token_id, bos_token_id=clip.eos_token_id - 1,
            pad_token_id=clip.eos_token_id)
        vision = dict(hidden_size=128, intermediate_size=384, num_hidden_layers=6, num_attention_heads=4, image_size=SIZE,
                      patch_size=PATCH)
        self.clip = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=64))

    def forward(self, x: Tensor, ids: Tensor) -> Tensor:
        """Pictures (b 3 h w) in [-1, 1] and captions (b m) -> what each picture says to each caption, (b b)."""
        said = self.clip(input_ids=ids, pixel_values=x)
        return said.logits_per_image


def train(pair: Pair, clip: CLIPTokenizer, seen: Pictures, steps: int, state: Path) -> None:
    """Pictures of the same scene are no wrong answers to each other's captions.

    A batch is of a few groups that differ in object and style alone, or colour and background, which are easily told, would
    tell nearly all pictures of it apart.
    """
    labels = torch.from_numpy(seen.labels)
    groups = alike(labels)
    device = next(pair.parameters()).device

    def loss(generator):
        of = torch.randint(len(groups), (GROUPS,), generator=generator).tolist()
        chosen = torch.cat([groups[k][torch.randint(len(groups[k]), (BATCH // GROUPS,), generator=generator)] for k in of])
        wordings = torch.randint(MANY, (BATCH,), generator=generator).tolist()
        captions = [seen.caption(i, wording) for i, wording in zip(chosen.tolist(), wordings, strict=True)]
        ids = clip(captions, padding="max_length", max_length=LONGEST, return_tensors="pt").input_ids
        said = pair(softened(pixels(seen, chosen), generator).to(device), ids.to(device)).float()
        same = (labels[chosen][:, None] == labels[chosen]).all(-1).float().to(device)
        right = same / same.sum(1, keepdim=True)
        return (F.cross_entropy(said, right) + F.cross_entropy(said.T, right)) / 2

    fit(pair, loss, steps, 1e-3, state, "training the world's CLIP")


def alike(labels: Tensor) -> list[Tensor]:
    """The numbers of the pictures of each colour and background."""
    same = labels[:, [list(ATTRIBUTES).index(name) for name in ("colour", "background")]]
    return [(same == kind).all(-1).nonzero()[:, 0] for kind in same.unique(dim=0)]


def write(pair: Pair, clip: CLIPTokenizer, folder: Path) -> None:
    """As any CLIP's folder."""
    pair.clip.half().save_pretrained(folder)
    clip.save_pretrained(folder)
    side, half = {"height": SIZE, "width": SIZE}, [0.5] * 3
    CLIPImageProcessor(size=side, crop_size=side, do_center_crop=False, image_mean=half, image_std=half).save_pretrained(folder)
