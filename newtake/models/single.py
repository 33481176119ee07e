"""Checkpoints in one file, in the original layout of Stable Diffusion 1.x, 2.x and SDXL, read without a network.

The configs are the family's; what can be read from the weights (widths, depths, layers) is read from them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import BadInput
from .families import FAMILIES, Family, clip_tokenizer, configs, recognise
from .parts import Parts, assemble, empty, opened

UNET = "model.diffusion_model."
VAES = ("first_stage_model.", "vae.")
OPEN_CLIP = {
    "positional_embedding": "embeddings.position_embedding.weight", "token_embedding": "embeddings.token_embedding",
    "ln_final": "final_layer_norm", "transformer.resblocks": "encoder.layers", "ln_1": "layer_norm1", "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2", ".attn.": ".self_attn.", "text_projection": "text_projection.weight",
}


def read(path: Path, dtype: torch.dtype, trust: bool = False) -> Parts:
    """The parts of a file; of one with a UNet alone, that.  BadInput where it holds something else."""
    weights = opened(path, trust)
    if f"{UNET}input_blocks.0.0.weight" not in weights:
        raise BadInput(f"{path} is no whole checkpoint in the original layout: it has no {UNET}*; adapters need a model beside")
    name = recognise(weights)
    told = configs(name)
    parts = Parts(unet(weights, told["unet"], dtype, path), dict(told["scheduler"]), pooled=FAMILIES[name].pooled)
    parts.empty_is_zero = parts.pooled
    if any(key.startswith(VAES) for key in weights):
        parts.vae = vae(weights, told["vae"], path)
    if any(key.startswith(FAMILIES[name].encoders) for key in weights):
        parts.tokenizers = [clip_tokenizer(pad) for pad in FAMILIES[name].pads]
        parts.encoders = text_encoders(weights, FAMILIES[name], told["text_encoders"], dtype, path)
    said = prediction(weights, metadata(path)) or (heard(parts.net) if name == "sd2" else "epsilon")
    parts.scheduler |= {"prediction_type": said, "rescale_betas_zero_snr": "ztsnr" in weights}
    if name == "sd2" and said == "epsilon":             # 2.x "base" is the one of 512 pixels
        parts.net.register_to_config(sample_size=64)
    return parts


def unet(weights: Mapping[str, Tensor], config: dict[str, Any], dtype: torch.dtype, path: Path) -> Any:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    converted, config = unet_as_diffusers(weights, config)
    if (channels := config["in_channels"]) != config["out_channels"]:
        raise BadInput(f"{path} takes {channels} channels (inpainting?); known are UNets that take latents alone")
    with empty():
        net = UNet2DConditionModel.from_config(config)
    return assemble(net, converted, dtype, str(path))


def unet_as_diffusers(weights: Mapping[str, Tensor], config: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The UNet's weights in diffusers' names, and the config that fits them."""
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    own = {name: weight for name, weight in weights.items() if name.startswith(UNET)}
    downs = [i for i in range(1, 100) if f"{UNET}input_blocks.{i}.0.op.weight" in own]
    config = config | {"layers_per_block": downs[0] - 1} if downs else config
    converted = convert_ldm_unet_checkpoint(own, config)
    return converted, fit_unet(config, converted)


def fit_unet(config: dict[str, Any], weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """The config with the sizes of these weights (in diffusers' names)."""
    blocks = sorted({int(name.split(".")[1]) for name in weights if name.startswith("down_blocks.")})
    widths = [len(weights[f"down_blocks.{i}.resnets.0.conv1.weight"]) for i in blocks]
    inside = lambda i: f"down_blocks.{i}.attentions.0.transformer_blocks."
    depths = [len({name.split(".")[5] for name in weights if name.startswith(inside(i))}) for i in blocks]
    heads = config["attention_head_dim"]                # SD 1.x has 8 everywhere, the others heads of 64
    context = next((weight.shape[1] for name, weight in weights.items() if name.endswith("attn2.to_k.weight")), None)
    down = ["CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in depths]
    sizes: dict[str, Any] = dict(
        in_channels=weights["conv_in.weight"].shape[1], out_channels=len(weights["conv_out.weight"]),
        block_out_channels=widths, down_block_types=down,
        up_block_types=[name.replace("Down", "Up") for name in reversed(down)],
        transformer_layers_per_block=[max(1, depth) for depth in depths],
        cross_attention_dim=context or config["cross_attention_dim"],
        attention_head_dim=heads if isinstance(heads, int) else [max(1, width // 64) for width in widths],
    )
    if "add_embedding.linear_1.weight" in weights:
        sizes["projection_class_embeddings_input_dim"] = weights["add_embedding.linear_1.weight"].shape[1]
    return config | sizes


def vae(weights: Mapping[str, Tensor], config: dict[str, Any], path: Path) -> Any:
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    own = {name: weight for name, weight in weights.items() if name.startswith(VAES)}
    many = len({name.split(".")[3] for name in own if ".encoder.down." in name})
    kinds = dict(down_block_types=["DownEncoderBlock2D"] * many, up_block_types=["UpDecoderBlock2D"] * many)
    converted = convert_ldm_vae_checkpoint(own, config | kinds)
    sizes = dict(
        block_out_channels=[len(converted[f"encoder.down_blocks.{i}.resnets.0.conv1.weight"]) for i in range(many)],
        layers_per_block=len({name.split(".")[4] for name in converted if name.startswith("encoder.down_blocks.0.resnets.")}),
        latent_channels=converted["decoder.conv_in.weight"].shape[1],
    )
    with empty():
        net = AutoencoderKL.from_config(config | kinds | sizes)
    return assemble(net, converted, torch.float32, str(path))


def text_encoders(
    weights: Mapping[str, Tensor], family: Family, told: list[dict[str, Any]], dtype: torch.dtype, path: Path
) -> list[Any]:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    encoders = []
    kinds = (CLIPTextModel, CLIPTextModelWithProjection)
    for kind, prefix, config in zip(kinds, family.encoders, told, strict=False):
        own = {name.removeprefix(prefix): weight for name, weight in weights.items() if name.startswith(prefix)}
        own = {name.removeprefix("text_model."): weight for name, weight in own.items()}
        converted = open_clip_as_transformers(own) if prefix.endswith(".model.") else own
        with empty():
            model = kind(CLIPTextConfig(**fit_clip(config, converted)))
        inside = {name.removeprefix("text_model."): name for name in model.state_dict()}
        named = {inside[name]: weight for name, weight in converted.items() if name in inside}
        encoders.append(assemble(model, named, dtype, str(path)))
    return encoders


def open_clip_as_transformers(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """OpenCLIP's text model in transformers' names; its queries, keys and values are in one piece."""
    found: dict[str, Tensor] = {}
    for name, weight in weights.items():
        for old, new in OPEN_CLIP.items():
            name = name.replace(old, new)
        before, packed, kind = name.partition("in_proj_")
        if packed:
            found |= {f"{before}{z}_proj.{kind}": part for z, part in zip("qkv", weight.chunk(3), strict=True)}
        else:
            found[name] = weight.T if name == "text_projection.weight" else weight
    return found


def fit_clip(config: dict[str, Any], weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """The config with the sizes of these weights.  A last layer that the family does not ask (2.x) stays unread."""
    words, width = weights["embeddings.token_embedding.weight"].shape
    layers = {int(name.split(".")[2]) for name in weights if name.startswith("encoder.layers.")}
    sizes = dict(
        vocab_size=words, hidden_size=width, num_attention_heads=max(1, width // 64),
        max_position_embeddings=len(weights["embeddings.position_embedding.weight"]),
        intermediate_size=len(weights["encoder.layers.0.mlp.fc1.weight"]),
        num_hidden_layers=min(config["num_hidden_layers"], max(layers) + 1),
    )
    if "text_projection.weight" in weights:
        sizes["projection_dim"] = len(weights["text_projection.weight"])
    return config | sizes


def metadata(path: Path) -> dict[str, str]:
    """What the file says of itself (Stability AI's ModelSpec)."""
    if path.suffix != ".safetensors":
        return {}
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return file.metadata() or {}


def prediction(weights: Mapping[str, Any], told: Mapping[str, str]) -> str | None:
    """What the network was trained to say, as the file tells it: by ModelSpec, or a mark among its weights."""
    said = told.get("modelspec.prediction_type", "").lower()
    if "v_pred" in weights or said.startswith("v") or "-768-v" in told.get("modelspec.architecture", ""):
        return "v_prediction"
    return "epsilon" if said.startswith("eps") else None


@torch.no_grad()
def heard(net: Any) -> str:
    """What it was trained to say, as one hears when it is given noise alone: epsilon gives it back, v does not."""
    side = max(32, 2 ** len(net.config.block_out_channels))
    noise = torch.randn(1, net.config.in_channels, side, side, generator=torch.Generator().manual_seed(0))
    words = torch.zeros(1, 77, net.config.cross_attention_dim)
    out = net(noise.to(net.dtype), 999, words.to(net.dtype)).sample.float()
    return "epsilon" if torch.cosine_similarity(out.flatten(), noise.flatten(), 0) > 0.5 else "v_prediction"
