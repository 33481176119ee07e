"""LoRA files: two small matrices a weight, whose product is added to it, W + alpha / rank * B A.

LoRA (Hu et al., ICLR 2022, arXiv 2106.09685), of the UNet and of text encoders, in diffusers' names (peft's, and the older ones
of attention processors) and in kohya's (lora_unet_*, lora_te_*, with an alpha for each).  The convolutions of LoCon files are
known too: down by a kernel, up by one of 1x1.  After `put` the weights are merged: the network has no layer more.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ...errors import BadInput, Note
from ..folder import names
from ..parts import Parts, branch, opened
from ..single import metadata

SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
IN_FOLDERS = ("pytorch_lora_weights.safetensors", "pytorch_lora_weights.bin", "adapter_model.safetensors")
NETWORKS = ("unet", "text_encoder", "text_encoder_2")
KOHYA = re.compile(r"(lora_(?:unet|te\d?)_\w+)\.(?:lora_)?(down\.weight|up\.weight|alpha)")
PEFT = re.compile(r"(.+)\.(?:lora_([AB])(?:\.default)?\.weight|(alpha))")
OTHER_KINDS = {"dora_scale": "DoRA", "lora_magnitude_vector": "DoRA", "hada_w1": "LoHa", "lokr_w": "LoKr"}


class Place(NamedTuple):
    """Where a LoRA belongs."""

    network: str                                        # one of NETWORKS
    module: str                                         # its name there, in peft's way


def reads(path: Path, trust: bool) -> bool:
    file = file_of(path)
    return file is not None and any("lora" in name or "hada_w1" in name or "lokr_w" in name for name in names([file], trust))


def put(parts: Parts, path: Path, weight: float, trust: bool, whole: bool = False) -> Parts:
    """The parts with a LoRA in them, times the weight; with weight 0 they are the same to the bit.

    The product is added in float32 and rounded to the network's numbers.  A Note tells of weights for which the network has no
    place; BadInput where it has none for any (whole: for one), or where shapes differ.
    """
    file = file_of(path)
    assert file is not None
    weights = opened(file, trust)
    if other := next((kind for mark, kind in OTHER_KINDS.items() if any(mark in name for name in weights)), None):
        raise BadInput(f"{path} is a {other}, which newtake does not know; known are LoRA and LoCon")
    nets: dict[str, Any] = dict(zip(NETWORKS, (parts.net, *parts.encoders), strict=False))
    lessons, left = sorted_out(weights, nets)
    if not lessons or (whole and left):
        raise BadInput(f"{path} is for another network: nothing here answers to {said(left, len(weights))}")
    fits(lessons, nets, path)
    if left:
        warnings.warn(f"{path.name}: the network has no place for {said(left, len(weights))}", Note, stacklevel=2)
    if weight == 0:
        return parts
    told = configs(file)
    factors = {place: weight * scale(lesson, place, told.get(place.network), path) for place, lesson in lessons.items()}
    nets = {name: branch(net) if any(place.network == name for place in lessons) else net for name, net in nets.items()}
    for place, lesson in lessons.items():
        module: Any = nets[place.network].get_submodule(place.module)
        module.weight = nn.Parameter(merged(module.weight, lesson["A"], lesson["B"], factors[place]), requires_grad=False)
    return replace(parts, net=nets["unet"], encoders=[nets[name] for name in NETWORKS[1:] if name in nets])


def merged(weight: Tensor, down: Tensor, up: Tensor, factor: float) -> Tensor:
    """Of a linear layer or, its kernel in `down`, of a convolution."""
    wide = torch.promote_types(weight.dtype, torch.float32)
    product = up.to(weight.device, wide).flatten(1) @ down.to(weight.device, wide).flatten(1)
    return (weight.detach().to(wide) + factor * product.reshape(weight.shape)).to(weight.dtype)


def file_of(path: Path) -> Path | None:
    """The file that is meant, of a folder that of diffusers' or peft's name; None where it is none that may hold weights."""
    if path.is_dir():
        return next((path / name for name in IN_FOLDERS if (path / name).is_file()), None)
    return path if path.suffix in SUFFIXES else None


# What belongs where

def sorted_out(weights: Mapping[str, Any], nets: Mapping[str, nn.Module]) -> tuple[dict[Place, dict[str, Tensor]], list[str]]:
    """The matrices A and B, and alpha where there is one, of each place that the networks have; and the names of the rest."""
    modules = {name: {key for key, module in net.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)}
               for name, net in nets.items()}
    of_kohya = kohya_places(nets["unet"])
    found: dict[Place, dict[str, Tensor]] = {}
    sources: dict[Place, list[str]] = {}
    left = []
    for name, tensor in weights.items():
        place, part = of_kohya(name) if name.startswith("lora_") else of_diffusers(name)
        place = place and here(place, modules)
        if place is None:
            left.append(name)
        else:
            found.setdefault(place, {})[part] = tensor
            sources.setdefault(place, []).append(name)
    halves = [place for place, lesson in found.items() if not {"A", "B"} <= set(lesson)]
    left += [name for place in halves for name in sources[place]]
    return {place: lesson for place, lesson in found.items() if place not in halves}, left


def here(place: Place, modules: Mapping[str, set[str]]) -> Place | None:
    """The place as the networks in memory call it: of a text encoder's modules some begin with text_model, some do not."""
    own = modules.get(place.network, set())
    spelled = (place.module, place.module.removeprefix("text_model."), f"text_model.{place.module}")
    return next((Place(place.network, name) for name in spelled if name in own), None)


def of_diffusers(name: str) -> tuple[Place | None, str]:
    """Where a weight in diffusers' names belongs, and what it is there: A, B or alpha."""
    from diffusers.utils.state_dict_utils import StateDictType, convert_state_dict_to_peft, convert_unet_state_dict_to_peft

    name = name.removeprefix("base_model.model.")
    network = next((net for net in reversed(NETWORKS) if name.startswith(f"{net}.")), None)
    own = {name.removeprefix(f"{network}."): None}
    if network in NETWORKS[1:]:
        for kind in (StateDictType.DIFFUSERS_OLD, StateDictType.DIFFUSERS):
            own = convert_state_dict_to_peft(own, kind)
    else:
        own = convert_unet_state_dict_to_peft(own)
    if not (match := PEFT.fullmatch(next(iter(own)))):
        return None, ""
    return Place(network or "unet", match[1]), match[2] or match[3]


def kohya_places(net: Any) -> Any:
    """As `of_diffusers`, of kohya's names, which diffusers translates: those of SDXL are the original layout's."""
    from diffusers.loaders.lora_pipeline import StableDiffusionXLLoraLoaderMixin as Loader

    @cache
    def place_of(stem: str) -> Place | None:
        pair = {f"{stem}.lora_{side}.weight": torch.empty(0) for side in ("down", "up")}
        try:
            translated = Loader.lora_state_dict(pair, unet_config=net.config)[0]
        except (ValueError, KeyError, IndexError):      # its words for: no name that it knows
            return None
        return of_diffusers(next(iter(translated)))[0]

    def of_kohya(name: str) -> tuple[Place | None, str]:
        match = KOHYA.fullmatch(name)
        return (place_of(match[1]), {"down.weight": "A", "up.weight": "B"}.get(match[2], "alpha")) if match else (None, "")

    return of_kohya


def fits(lessons: Mapping[Place, Mapping[str, Tensor]], nets: Mapping[str, nn.Module], path: Path) -> None:
    """BadInput, which says what differs, where the weights are of another network."""
    wrong = []
    for place, lesson in lessons.items():
        if not all(isinstance(lesson[side], Tensor) and lesson[side].ndim > 1 for side in "AB"):
            raise BadInput(f"{path} is no LoRA: what it has for {place.module} are no matrices")
        own: Any = nets[place.network].get_submodule(place.module)
        here, there = own.weight.flatten(1).shape, (lesson["B"].shape[0], lesson["A"].flatten(1).shape[1])
        if tuple(here) != there or lesson["B"].flatten(1).shape[1] != len(lesson["A"]):
            wrong.append(f"{place.module} is {there[0]}x{there[1]} there, {here[0]}x{here[1]} here")
    if wrong:
        raise BadInput(f"{path} is for another network: {len(wrong)} of {len(lessons)} shapes differ, first {wrong[0]}")


def said(left: Sequence[str], many: int) -> str:
    return f"{len(left)} of its {many} weights, such as {', '.join(left[:3])}"


# By how much

def scale(lesson: Mapping[str, Tensor], place: Place, told: Mapping[str, Any] | None, path: Path) -> float:
    """alpha / rank: as the file says for this weight, or for the network; 1 where it does not."""
    rank, config = len(lesson["A"]), told or {}
    ends = lambda pattern: f".{place.module}".endswith("." + pattern.lstrip("^"))
    try:
        own = [alpha for pattern, alpha in (config.get("alpha_pattern") or {}).items() if ends(pattern)]
        alpha = float([*own, config.get("lora_alpha", rank)][0] if "alpha" not in lesson else lesson["alpha"])
    except (ValueError, TypeError, RuntimeError, AttributeError):
        raise BadInput(f"{path} has an alpha for {place.module} that is no number") from None
    return alpha / (rank ** 0.5 if config.get("use_rslora") and "alpha" not in lesson else rank)


def configs(file: Path) -> dict[str, dict[str, Any]]:
    """peft's config of each network: what diffusers writes into the file, or peft beside it."""
    try:
        if file.with_name("adapter_config.json").is_file() and file.name.startswith("adapter_model"):
            return {"unet": json.loads(file.with_name("adapter_config.json").read_text("utf-8"))}
        told = dict(json.loads(metadata(file).get("lora_adapter_metadata", "{}")))
    except (ValueError, TypeError):
        raise BadInput(f"{file} has a config that is not JSON") from None
    found: dict[str, dict[str, Any]] = {}
    for key, value in told.items():
        network, _, name = key.partition(".")
        found.setdefault(network, {})[name] = value
    return found

