"""How much memory a frame takes while it runs through a network, from the network's shapes."""

import json
import weakref
from collections.abc import Iterable
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from .parts import empty
from .unet import UNet


def activations(model: UNet, size: tuple[int, int], graph: bool = False) -> int:
    """Bytes that are alive at most while one frame with latents of this size (h w) runs through: of so many frames so many
    times as much.  Measured on tensors without data; attention as one fused kernel does it, without a map.

    graph: with what a gradient to the prompt needs.
    """
    return alive(json.dumps(dict(model.net.config), default=str), model.dtype, size, graph)


@cache
def alive(config: str, dtype: torch.dtype, size: tuple[int, int], graph: bool) -> int:
    with empty():
        net: Any = UNet2DConditionModel.from_config(json.loads(config))
    net = net.to(dtype).eval()
    blank = lambda *shape: torch.empty(*shape, device="meta", dtype=dtype)
    added = {"text_embeds": blank(1, net.config.projection_class_embeddings_input_dim - 6 * net.config.addition_time_embed_dim),
             "time_ids": blank(1, 6)} if net.config.addition_embed_type == "text_time" else None
    net.requires_grad_(False)
    prompt = blank(1, 77, net.config.cross_attention_dim).requires_grad_(graph)
    with torch.set_grad_enabled(graph), Alive(net.parameters()) as seen, Fused():
        net(blank(1, net.config.in_channels, *size), torch.empty((), device="meta"), prompt, added_cond_kwargs=added)
    return seen.most


class Alive(TorchDispatchMode):
    """Inside, counts the bytes of the tensors that operations give and that are still there."""

    def __init__(self, besides: Iterable[Tensor]):
        super().__init__()
        self.now = self.most = 0
        self.seen = {one.untyped_storage()._cdata for one in besides}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for one in tree_leaves(out):
            if isinstance(one, Tensor):
                self._note(one.untyped_storage())
        return out

    def _note(self, storage: Any) -> None:
        if (key := storage._cdata) in self.seen:
            return
        self.seen.add(key)
        self.now += storage.nbytes()
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._forget, key, storage.nbytes())

    def _forget(self, key: int, many: int) -> None:
        self.seen.discard(key)
        self.now -= many


class Fused(TorchFunctionMode):
    """Inside, attention makes its output alone."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is F.scaled_dot_product_attention:
            given = (*args, *(kwargs or {}).values())[:3]
            return given[0] + 0 * sum(one.sum() for one in given[1:])              # which all three decide
        return func(*args, **(kwargs or {}))
