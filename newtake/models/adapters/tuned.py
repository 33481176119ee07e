"""The adapter that tuning leaves: the weights of a network that were tuned to a clip, in a folder, with what they were made of.

Of the published tuning (Tune-A-Video, Wu et al., ICCV 2023, arXiv 2212.11565) these are the queries of self- and
cross-attention and temporal attention behind every transformer block, whole.  In low rank (LoRA, Hu et al., ICLR 2022,
arXiv 2106.09685) they are two small matrices for each, whose product is added: temporal attention then starts from the block's
own self-attention, so that there is nothing random in it to be kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import BadInput
from ..parts import Parts, opened
from ..temporal import TemporalAttention, blocks, is_temporal, new_layer, of_block, temporal_layers
from . import folder

Layers = dict[str, nn.Module]                           # by the module they follow

WEIGHTS = "adapter.safetensors"
FILES = re.compile(r"adapter\.(json|safetensors)")
KIND = "tuned"
TUNED = re.compile(r".+\.(attn1\.to_q|attn2\.to_q|attn_temp)\..+")      # as in the published code: norm_temp is not
OF_LAYER = ("to_q", "to_k", "to_v", "to_out.0")         # what has low rank in temporal attention


def write(out: Path, weights: Mapping[str, Tensor], told: Mapping[str, Any]) -> None:
    """A folder that `put` reads.  told: `rank` (None: whole), `norms`, and what else there is to know of it."""
    folder.write(out, KIND, {WEIGHTS: weights}, told)


def told_of(path: Path) -> dict[str, Any] | None:
    """What an adapter of this kind says of itself; None where it is none.  BadInput where another version made it."""
    return folder.told_of(path, KIND, {"rank": lambda rank: type(rank) in (int, type(None)),
                                       "norms": lambda norms: norms in ("frame", "clip")})


def reads(path: Path, trust: bool) -> bool:
    return told_of(path) is not None


def put(parts: Parts, path: Path, weight: float, trust: bool) -> Parts:
    """Weights W become W + weight (W' - W); new temporal layers come with their output times the weight.

    The norms are the adapter's.  Temporal layers that are there already are changed as other weights are: of two adapters that
    are wholly put the last is left.  With weight 0 nothing.
    """
    told = told_of(path) or {}
    if not (path / WEIGHTS).is_file():
        raise BadInput(f"{path} is not a whole adapter: it has no {WEIGHTS}")
    weights = opened(path / WEIGHTS, trust)
    fits(parts.net, told["rank"], weights, path)
    if weight == 0:
        return parts
    net = deepcopy(parts.net) if parts.shared else parts.net
    merge = whole if told["rank"] is None else low_rank
    return replace(parts, net=net, temporal=merge(net, dict(parts.temporal), weights, weight), norms=told["norms"])


def shapes(net: nn.Module, rank: int | None) -> dict[str, tuple[int, ...]]:
    """The names and shapes of what a tuning of this network leaves."""
    with torch.device("meta"):
        layers = {name: new_layer(block) for name, block in blocks(net).items()}
    temporal = {f"{name}.{key}": value for name, layer in layers.items() for key, value in layer.state_dict().items()}
    own = {name: value for name, value in net.state_dict().items() if TUNED.fullmatch(name)}
    if rank is None:
        return {name: tuple(value.shape) for name, value in (own | temporal).items()}
    linear = {name.removesuffix(".weight"): value.shape for name, value in (own | temporal).items() if value.ndim == 2}
    return {f"{name}.lora_{side}.weight": (rank, shape[1]) if side == "A" else (shape[0], rank)
            for name, shape in linear.items() for side in "AB"}


def fits(net: nn.Module, rank: int | None, weights: Mapping[str, Tensor], path: Path) -> None:
    """BadInput, which says what differs, where the weights are of another network."""
    here, there = shapes(net, rank), {name: tuple(weight.shape) for name, weight in weights.items()}
    wrong = [name for name in here | there if here.get(name) != there.get(name)]
    if wrong:
        said = lambda shape: "x".join(map(str, shape)) if shape else "missing"
        first = "; ".join(f"{name} is {said(there.get(name))}, here {said(here.get(name))}" for name in wrong[:2])
        raise BadInput(f"{path} was made for another network: {len(wrong)} of {len(here | there)} shapes differ, first {first}")


@torch.no_grad()
def whole(net: Any, temporal: Layers, weights: Mapping[str, Tensor], share: float) -> Layers:
    for name, weight in weights.items():
        if not is_temporal(name):
            towards(net.get_parameter(name), weight, share)
    tuned = temporal_layers(net, {name: weight for name, weight in weights.items() if is_temporal(name)})
    for module, layer in tuned.items():
        if module in temporal:
            for name, weight in layer.state_dict().items():
                towards(temporal[module].get_parameter(name), weight, share)
        elif isinstance(layer, TemporalAttention):
            layer.scale_output(share)
            temporal[module] = layer.to(net.conv_in.weight)
    return temporal


@torch.no_grad()
def low_rank(net: Any, temporal: Layers, weights: Mapping[str, Tensor], share: float) -> Layers:
    product = lambda name: weights[f"{name}.lora_B.weight"].float() @ weights[f"{name}.lora_A.weight"].float()
    for module, block in blocks(net).items():           # before its queries change, which the new layer starts from
        new = module not in temporal
        layer = temporal.setdefault(module, of_block(block))
        for name in OF_LAYER:
            inside = f"attn_temp.{name}"
            added(layer.get_parameter(f"{inside}.weight"), product(f"{module}.{inside}"),
                  1.0 if new and name != "to_out.0" else share)
    for name in {name.rpartition(".lora_")[0] for name in weights if not is_temporal(name)}:
        added(net.get_parameter(f"{name}.weight"), product(name), share)
    return temporal


def towards(weight: Tensor, other: Tensor, share: float) -> None:
    weight.copy_(weight.float().lerp(other.to(weight.device).float(), share))


def added(weight: Tensor, other: Tensor, share: float) -> None:
    weight.copy_(weight.float() + share * other.to(weight.device))
