"""Checkpoints in diffusers' folders, and the video networks of Tune-A-Video and FateZero in theirs."""

import json
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import BadInput
from ..words import Tokenizer
from .families import of_pipeline
from .parts import Parts, assemble, empty, opened, refuse
from .temporal import is_temporal, temporal_layers


def read(folder: Path, dtype: torch.dtype, trust: bool = False) -> Parts:
    """The parts of a folder.  BadInput where it is none, or one of a family that is not known."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    index = config(folder, "model_index.json")
    family = of_pipeline((str(index.get("_class_name")),), str(folder))
    parts = unet(folder / "unet", dtype, trust)
    parts.scheduler = config(folder, "scheduler", "scheduler_config.json")
    parts.pooled, parts.empty_is_zero = family.pooled, family.pooled and index.get("force_zeros_for_empty_prompt", True)
    kinds = (CLIPTextModel, CLIPTextModelWithProjection)[:len(family.encoders)]
    suffixes = ("", "_2")[:len(family.encoders)]
    parts.vae = pretrained(AutoencoderKL, folder / "vae", trust, torch_dtype=torch.float32)
    parts.encoders = [pretrained(kind, folder / f"text_encoder{which}", trust, dtype=dtype)
                      for kind, which in zip(kinds, suffixes, strict=True)]
    parts.tokenizers = [tokenizer(folder / f"tokenizer{which}") for which in suffixes]
    return parts


def config(*names: str | Path) -> dict[str, Any]:
    path = Path(*names)
    if not path.is_file():
        raise BadInput(f"{path.parent} is not a checkpoint in diffusers' layout: it has no {path.name}")
    try:
        told = json.loads(path.read_text("utf-8"))
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise BadInput(f"{path} is not a JSON object")
    return told


def unet(folder: Path, dtype: torch.dtype, trust: bool) -> Parts:
    """The network, with the layers that a video network has inserted: they are known by their weights' names."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    told, where = config(folder, "config.json"), files(folder, trust)
    if not any(map(is_temporal, names(where, trust))):
        if told.get("_class_name") != "UNet2DConditionModel":
            kind = told.get("_class_name")
            raise BadInput(f"{folder} is a {kind}; known is UNet2DConditionModel, or a video network with attn_temp layers")
        return Parts(pretrained(UNet2DConditionModel, folder, trust, torch_dtype=dtype), {})
    weights: dict[str, Tensor] = {}
    for path in where:
        weights |= opened(path, trust)
    flat = {key: re.sub("(Pseudo)?3D", "2D", json.dumps(value)) for key, value in told.items() if not key.startswith("_")}
    with empty():
        net: Any = UNet2DConditionModel.from_config({key: json.loads(value) for key, value in flat.items()})
    assemble(net, weights, dtype, str(folder))
    temporal = temporal_layers(net, {name: weight for name, weight in weights.items() if is_temporal(name)})
    return Parts(net, {}, temporal={module: layer.to(dtype) for module, layer in temporal.items()})


def names(where: list[Path], trust: bool) -> list[str]:
    """Of all weights of these files; safetensors are not read for it."""
    from safetensors import SafetensorError, safe_open

    found: list[str] = []
    for path in where:
        try:
            if path.suffix == ".safetensors":
                with safe_open(path, "pt") as file:
                    found += file.keys()
            else:
                found += opened(path, trust)
        except SafetensorError as wrong:
            raise BadInput(f"{path} is not a whole .safetensors file ({wrong})") from None
    return found


def files(folder: Path, trust: bool) -> list[Path]:
    """The files of one set of weights: safetensors if there are, full precision if there is."""
    for suffix in (".safetensors", ".bin"):
        found = [path for path in sorted(folder.glob(f"*{suffix}")) if "non_ema" not in path.name]
        if suffix == ".bin" and found and not trust:
            refuse(found[0])
        if found:
            chosen = min(map(variant, found), key=lambda name: (name != "", name))
            return [path for path in found if variant(path) == chosen]
    raise BadInput(f"{folder} has no weights (.safetensors)")


def variant(path: Path) -> str:
    """"fp16" of model.fp16.safetensors and of its shards; "" of a file without one."""
    middle = re.sub(r"-\d+-of-\d+", "", path.name).split(".")[1:-1]
    return middle[0] if middle else ""


def pretrained(kind: Any, folder: Path, trust: bool, **options: Any) -> Any:
    """A network by its library's own loader, from this folder alone; nothing is left at random."""
    from safetensors import SafetensorError

    config(folder, "config.json")
    first = files(folder, trust)[0]
    try:
        net, told = kind.from_pretrained(folder, local_files_only=True, use_safetensors=first.suffix == ".safetensors",
                                         variant=variant(first) or None, output_loading_info=True, **options)
    except (OSError, ValueError, RuntimeError, SafetensorError) as wrong:
        raise BadInput(f"{folder} cannot be read: {str(wrong).strip().splitlines()[0]}") from wrong
    if missing := sorted(told["missing_keys"]):
        raise BadInput(f"{folder} lacks {len(missing)} weights, first {missing[0]}")
    return net


def tokenizer(folder: Path) -> Tokenizer:
    from transformers import AutoTokenizer

    if not any((folder / name).is_file() for name in ("tokenizer.json", "vocab.json")):
        raise BadInput(f"{folder} is not a tokenizer: it has no tokenizer.json or vocab.json")
    told = folder / "tokenizer_config.json"
    if told.is_file() and config(told).get("auto_map"):
        raise BadInput(f"{folder} is a tokenizer with code of its own, which is never run; known are those of transformers")
    try:
        found = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as wrong:
        raise BadInput(f"{folder} cannot be read: {str(wrong).strip().splitlines()[0]}") from wrong
    if not found.is_fast:
        raise BadInput(f"{folder} is a {type(found).__name__}, which does not tell characters; known are fast tokenizers")
    return found
