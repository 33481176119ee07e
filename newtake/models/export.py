"""A model as a folder in Tune-A-Video's layout (Wu et al., ICCV 2023, arXiv 2212.11565), which its published code reads.

That is the code at commit 7d4a89a, on diffusers 0.11.1 and transformers of its time: weights have the names that these know,
which those of today know too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ..aside import aside, free
from ..errors import BadInput
from ..words import Tokenizer
from .folder import config
from .folder import tokenizer as read_tokenizer
from .temporal import TemporalAttention
from .unet import UNet

VERSION = "0.11.1"                                      # of diffusers
PARTS = {"scheduler": "diffusers", "text_encoder": "transformers", "tokenizer": "transformers", "unet": "models",
         "vae": "diffusers"}                            # and whose classes they are
INDEX, PIPELINE = "model_index.json", "TuneAVideoPipeline"
BLOCKS = ("down_block_types", "mid_block_type", "up_block_types")
OF_VAE = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}     # its attention, in names of the time


def export(model: UNet, folder: Path, pickles: bool = False) -> None:
    """Writes a model with temporal attention.  A folder in this layout is replaced; it appears whole or not at all.

    pickles: weights as .bin too, beside .safetensors: the published code trains from these alone.  Raises BadInput where
    the layout has no place for something.
    """
    vae, encoder = exportable(model)
    free(folder, lambda name: name in (*PARTS, INDEX))
    if folder.exists() and any(folder.iterdir()) and config(folder, INDEX).get("_class_name") != PIPELINE:
        raise BadInput(f"{folder} is another checkpoint, which would be replaced; name a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with aside(folder) as part, torch.no_grad():
        for name in PARTS:
            (part / name).mkdir(parents=True)
        scheduler = {"_class_name": "DDIMScheduler", "_diffusers_version": VERSION, **model.scheduler}
        write(part / "scheduler" / "scheduler_config.json", scheduler)
        write_tokenizer(model.tokenizer, part / "tokenizer", folder)
        save = lambda name, weights: write_weights(part / name, weights, pickles)
        save("unet/diffusion_pytorch_model", unet_weights(model.net, model.temporal))
        write(part / "unet" / "config.json", unet_config(model.net.config))
        save("vae/diffusion_pytorch_model", renamed(vae, of_vae))
        write(part / "vae" / "config.json", public(vae.config, "AutoencoderKL"))
        save("text_encoder/model", renamed(encoder, lambda name: "text_model." + name.removeprefix("text_model.")))
        encoder.config.save_pretrained(part / "text_encoder")
        classes = {"scheduler": scheduler["_class_name"], "text_encoder": "CLIPTextModel", "tokenizer": "CLIPTokenizer",
                   "unet": "UNet3DConditionModel", "vae": "AutoencoderKL"}
        index = {"_class_name": PIPELINE, "_diffusers_version": VERSION}
        write(part / INDEX, index | {name: [library, classes[name]] for name, library in PARTS.items()})


def exportable(model: UNet) -> tuple[Any, Any]:
    """The autoencoder and the text encoder of what can be written."""
    if model.vae is None or model.encoders is None:
        raise BadInput("a folder has an autoencoder and a text encoder; load a whole checkpoint")
    encoder, *more = model.encoders.encoders
    if more:
        raise BadInput("Tune-A-Video's layout is of Stable Diffusion 1.x and 2.x; this model has two text encoders, as SDXL")
    if not model.temporal:
        raise BadInput("this model has no temporal attention, of which Tune-A-Video's layout is; give what newtake tune wrote: "
                       "--adapter")
    if wrong := [name for name, layer in model.temporal.items() if not isinstance(layer, TemporalAttention)]:
        raise BadInput(f"Tune-A-Video's layout has no place for convolutions over the frames (FateZero's), such as {wrong[0]}")
    return model.vae.net, encoder


def unet_weights(net: nn.Module, temporal: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """The network's and its temporal layers', in Tune-A-Video's names."""
    inserted = {f"{module}.{name}": weight for module, layer in temporal.items() for name, weight in layer.state_dict().items()}
    return net.state_dict() | inserted


def unet_config(config: Mapping[str, Any]) -> dict[str, Any]:
    told = public(config, "UNet3DConditionModel")
    return told | {key: json.loads(json.dumps(told[key]).replace("2D", "3D")) for key in BLOCKS}


def public(config: Mapping[str, Any], kind: str) -> dict[str, Any]:
    own = {name: value for name, value in config.items() if not name.startswith("_")}
    return {"_class_name": kind, "_diffusers_version": VERSION, **own}


def of_vae(name: str) -> str:
    return re.sub(r"(attentions\.\d+)\.(to_[qkv]|to_out\.0)", lambda found: f"{found[1]}.{OF_VAE[found[2]]}", name)


def renamed(net: nn.Module, name_of: Callable[[str], str]) -> dict[str, Tensor]:
    return {name_of(name): weight for name, weight in net.state_dict().items()}


def write_weights(path: Path, weights: Mapping[str, Tensor], pickles: bool) -> None:
    whole = {name: weight.cpu().contiguous() for name, weight in weights.items()}
    save_file(whole, path.with_name(f"{path.name}.safetensors"), {"format": "pt"})
    if pickles:                                         # transformers' have a name of their own
        torch.save(whole, path.with_name(f"{'pytorch_model' if path.name == 'model' else path.name}.bin"))


def write_tokenizer(tokenizer: Tokenizer, folder: Path, where: Path) -> None:
    """In the files of today and of the time.  BadInput where it comes back as another."""
    tokenizer.save_pretrained(folder)
    tokenizer.backend_tokenizer.model.save(str(folder))
    again = read_tokenizer(folder)
    if str(again.backend_tokenizer.normalizer) != str(tokenizer.backend_tokenizer.normalizer):
        raise BadInput(f"{where} cannot be written with words of several vectors (textual inversion); leave that adapter out")


def write(path: Path, told: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
