"""Words look where they are meant: cross-attention of object, colour and background, taught from the masks of the world.

The token-level supervision of TokenCompose (Wang et al., CVPR 2024, arXiv 2312.03626), as a divergence: over the picture, a
word's attention is spread evenly over its place.  Large checkpoints find this by themselves; one of this size does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn


@contextmanager
def watched(net: nn.Module) -> Iterator[list[Tensor]]:
    """The maps of the words of each cross-attention as it runs, mean over heads.  (b n m) each"""
    maps: list[Tensor] = []

    def note(layer, args, kwargs):
        heads = lambda z: z.unflatten(-1, (layer.heads, -1)).transpose(1, 2)
        q, k = heads(layer.to_q(args[0])), heads(layer.to_k(kwargs["encoder_hidden_states"]))
        maps.append((q @ k.mT * layer.scale).float().softmax(-1).mean(1))

    layers = [layer for name, layer in net.named_modules() if isinstance(layer, Attention) and name.endswith("attn2")]
    hooks = [layer.register_forward_pre_hook(note, with_kwargs=True) for layer in layers]
    try:
        yield maps
    finally:
        for hook in hooks:
            hook.remove()


def astray(maps: list[Tensor], tokens: Tensor, covers: Tensor) -> Tensor:
    """By how much words look elsewhere, a picture: the divergence of an even spread over their place from their maps.  (b,)

    tokens (b 3): positions of object, colour and background; covers (b 1 h w): the object's share of each latent.
    """
    total = covers.new_zeros(len(covers))
    for p in maps:
        side = round(p.shape[1] ** 0.5)
        inside = F.adaptive_avg_pool2d(covers, side).flatten(2)                     # (b 1 n)
        place = torch.cat([inside, inside, 1 - inside], 1) + 1e-6                   # (b 3 n)
        place = place / place.sum(-1, keepdim=True)
        seen = p.gather(2, tokens[:, None].expand(-1, p.shape[1], -1)).mT + 1e-6
        seen = seen / seen.sum(-1, keepdim=True)
        total = total + (place * (place / seen).log()).sum(-1).mean(1)
    return total / len(maps)
