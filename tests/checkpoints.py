"""Small checkpoints with random weights, on disk: diffusers' folders, and the original layout in one file."""

import json
import re
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

import newtake
from newtake.errors import BadInput
from newtake.models.families import FAMILIES, configs

WORDS = ["a", "red", "blue", "car", "cat", "dog", "on", "the", "grass", "jeep", "driving", "is"]
CROSS, PLAIN = "CrossAttnDownBlock2D", "DownBlock2D"


def unet(family: str, seed: int = 0) -> UNet2DConditionModel:
    """The family's kind of network, in small; norms have 32 groups, as in the original layout."""
    torch.manual_seed(seed)
    down = (PLAIN, CROSS) if family == "sdxl" else (CROSS, PLAIN)
    own = dict(transformer_layers_per_block=(1, 2), projection_class_embeddings_input_dim=6 * 256 + 64)
    return UNet2DConditionModel(**configs(family)["unet"] | dict(
        sample_size=16, block_out_channels=(32, 64), layers_per_block=1, down_block_types=down,
        up_block_types=tuple(name.replace("Down", "Up") for name in reversed(down)),
        cross_attention_dim=128 if family == "sdxl" else 64, attention_head_dim=8 if family == "sd1" else (1, 1),
        **(own if family == "sdxl" else {}),
    )).eval()


def vae(family: str) -> AutoencoderKL:
    torch.manual_seed(1)
    return AutoencoderKL(**configs(family)["vae"] | dict(
        block_out_channels=(32, 32), layers_per_block=1, down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
    )).eval()


def encoders(family: str, vocabulary: int) -> list[CLIPTextModel | CLIPTextModelWithProjection]:
    torch.manual_seed(2)
    small = dict(vocab_size=vocabulary, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=1,
                 projection_dim=64, bos_token_id=vocabulary - 2, eos_token_id=vocabulary - 1)
    kinds = (CLIPTextModel, CLIPTextModelWithProjection)
    told = configs(family)["text_encoders"]
    return [kind(CLIPTextConfig(**each | small)).eval() for kind, each in zip(kinds, told, strict=False)]


def tokenizer(folder: Path, pad: str, width: int = 77) -> int:
    """A vocabulary of letters and a few words, in CLIP's files; how many tokens it has."""
    letters = [*"abcdefghijklmnopqrstuvwxyz,.!-'0123456789"]
    vocabulary = [*letters, *(f"{letter}</w>" for letter in letters)]
    merges = []
    for word in WORDS[1:]:
        parts = [*word[:-1], f"{word[-1]}</w>"]
        while len(parts) > 1:
            merges.append((parts[0], parts[1]))
            parts[:2] = ["".join(parts[:2])]
            vocabulary.append(parts[0])
    vocabulary = [*dict.fromkeys(vocabulary), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(vocabulary)}))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *(f"{a} {b}" for a, b in dict.fromkeys(merges))]) + "\n")
    told = dict(tokenizer_class="CLIPTokenizer", model_max_length=width, pad_token=pad, unk_token="<|endoftext|>")
    (folder / "tokenizer_config.json").write_text(json.dumps(told))
    return len(vocabulary)


def folder(path: Path, family: str, **scheduler) -> Path:
    """A checkpoint of the family as diffusers saves it."""
    row = FAMILIES[family]
    classes = FAMILIES["sd1"].pipelines if family == "sd2" else row.pipelines
    path.mkdir()
    (path / "model_index.json").write_text(json.dumps({"_class_name": classes[0]}))
    (path / "scheduler").mkdir()
    (path / "scheduler" / "scheduler_config.json").write_text(json.dumps(configs(family)["scheduler"] | scheduler))
    unet(family).save_pretrained(path / "unet")
    vae(family).save_pretrained(path / "vae")
    for which, pad in zip(("", "_2"), row.pads, strict=False):
        vocabulary = tokenizer(path / f"tokenizer{which}", pad)
    for which, encoder in zip(("", "_2"), encoders(family, vocabulary), strict=False):
        encoder.save_pretrained(path / f"text_encoder{which}")
    return path


def latents(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


def said(what, **options) -> str:
    with pytest.raises(BadInput) as error:
        newtake.load(what, device="cpu", **options)
    assert "\n" not in str(error.value)
    return str(error.value)


# The original layout, written down by hand

RESNET = {"norm1": "in_layers.0", "conv1": "in_layers.2", "norm2": "out_layers.0", "conv2": "out_layers.3",
          "time_emb_proj": "emb_layers.1", "conv_shortcut": "skip_connection"}
ENDS = {"time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2", "conv_in": "input_blocks.0.0",
        "conv_norm_out": "out.0", "conv_out": "out.2", "add_embedding.linear_1": "label_emb.0.0",
        "add_embedding.linear_2": "label_emb.0.2", "mid_block.attentions.0": "middle_block.1",
        "mid_block.resnets.0": "middle_block.0", "mid_block.resnets.1": "middle_block.2"}


def original_unet(net: UNet2DConditionModel) -> dict[str, Tensor]:
    """Its weights under the names of CompVis' UNetModel."""
    layers, down = net.config.layers_per_block, net.config.up_block_types
    row = lambda i, j: int(i) * (layers + 1) + int(j)

    def named(name: str) -> str:
        for new, old in ENDS.items():
            name = re.sub(f"^{new}\\.", f"{old}.", name)
        name = re.sub(r"down_blocks\.(\d)\.resnets\.(\d)", lambda m: f"input_blocks.{row(m[1], m[2]) + 1}.0", name)
        name = re.sub(r"down_blocks\.(\d)\.attentions\.(\d)", lambda m: f"input_blocks.{row(m[1], m[2]) + 1}.1", name)
        name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0\.conv", lambda m: f"input_blocks.{row(m[1], layers) + 1}.0.op", name)
        name = re.sub(r"up_blocks\.(\d)\.resnets\.(\d)", lambda m: f"output_blocks.{row(m[1], m[2])}.0", name)
        name = re.sub(r"up_blocks\.(\d)\.attentions\.(\d)", lambda m: f"output_blocks.{row(m[1], m[2])}.1", name)
        name = re.sub(r"up_blocks\.(\d)\.upsamplers\.0\.conv",
                      lambda m: f"output_blocks.{row(m[1], layers)}.{1 + ('Cross' in down[int(m[1])])}.conv", name)
        if "transformer_blocks" not in name:
            for new, old in RESNET.items():
                name = name.replace(f".{new}.", f".{old}.")
        return f"model.diffusion_model.{name}"

    return {named(name): weight for name, weight in net.state_dict().items()}


def original_vae(net: AutoencoderKL) -> dict[str, Tensor]:
    many = len(net.config.block_out_channels)

    def named(name: str) -> str:
        name = re.sub(r"down_blocks\.(\d)\.resnets\.(\d)", r"down.\1.block.\2", name)
        name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", name)
        name = re.sub(r"up_blocks\.(\d)\.resnets\.(\d)", lambda m: f"up.{many - 1 - int(m[1])}.block.{m[2]}", name)
        name = re.sub(r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{many - 1 - int(m[1])}.upsample", name)
        name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
        name = name.replace("mid_block.attentions.0", "mid.attn_1").replace("conv_shortcut", "nin_shortcut")
        name = name.replace("conv_norm_out", "norm_out").replace("group_norm", "norm").replace("to_out.0", "proj_out")
        return "first_stage_model." + re.sub(r"\.to_([qkv])\.", r".\1.", name)

    as_conv = lambda name, weight: weight[:, :, None, None] if ".attn_1." in name and weight.ndim == 2 else weight
    return {named(name): as_conv(named(name), weight) for name, weight in net.state_dict().items()}


def original_encoder(net: torch.nn.Module, prefix: str) -> dict[str, Tensor]:
    """Under OpenAI's names, which are transformers'; or OpenCLIP's, whose attention is in one piece."""
    weights = {name.removeprefix("text_model."): weight for name, weight in net.state_dict().items()}
    if prefix.endswith("transformer."):
        return {f"{prefix}text_model.{name}": weight for name, weight in weights.items()}
    told = {"positional_embedding": weights["embeddings.position_embedding.weight"],
            "token_embedding.weight": weights["embeddings.token_embedding.weight"],
            "ln_final.weight": weights["final_layer_norm.weight"], "ln_final.bias": weights["final_layer_norm.bias"]}
    if "text_projection.weight" in weights:
        told["text_projection"] = weights["text_projection.weight"].T.contiguous()
    names = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj",
             "self_attn.out_proj": "attn.out_proj"}
    for i in {name.split(".")[2] for name in weights if name.startswith("encoder.layers.")}:
        here, there = f"encoder.layers.{i}.", f"transformer.resblocks.{i}."
        for kind in ("weight", "bias"):
            told |= {f"{there}{old}.{kind}": weights[f"{here}{new}.{kind}"] for new, old in names.items()}
            told[f"{there}attn.in_proj_{kind}"] = torch.cat([weights[f"{here}self_attn.{z}_proj.{kind}"] for z in "qkv"])
    return {prefix + name: weight for name, weight in told.items()}


def single(path: Path, family: str, texts: list[torch.nn.Module] | None = None, **metadata: str) -> Path:
    """A whole checkpoint of the family in one file; without text encoders where none are given."""
    weights = original_unet(unet(family)) | original_vae(vae(family))
    for prefix, net in zip(FAMILIES[family].encoders, texts or [], strict=False):
        weights |= original_encoder(net, prefix)
    save_file({name: weight.contiguous() for name, weight in weights.items()}, path, metadata)
    return path


def published_unet(width: int, times: tuple[int, ...], depths: tuple[int, ...], context: int, linear: bool = False,
                   labels: int = 0) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the weights of CompVis' UNetModel, as its own code builds them: two blocks a level."""
    found: dict[str, tuple[int, ...]] = {}

    def layer(name: str, *shape: int) -> None:
        found[f"{name}.weight"], found[f"{name}.bias"] = shape, shape[:1]

    def resnet(name: str, c: int, d: int) -> None:
        layer(f"{name}.in_layers.0", c), layer(f"{name}.in_layers.2", d, c, 3, 3), layer(f"{name}.emb_layers.1", d, 4 * width)
        layer(f"{name}.out_layers.0", d), layer(f"{name}.out_layers.3", d, d, 3, 3)
        if c != d:
            layer(f"{name}.skip_connection", d, c, 1, 1)

    def transformer(name: str, c: int, depth: int) -> None:
        edge = (c, c) if linear else (c, c, 1, 1)
        layer(f"{name}.norm", c), layer(f"{name}.proj_in", *edge), layer(f"{name}.proj_out", *edge)
        for block in (f"{name}.transformer_blocks.{i}" for i in range(depth)):
            for attention, m in (("attn1", c), ("attn2", context)):
                found.update({f"{block}.{attention}.to_q.weight": (c, c), f"{block}.{attention}.to_k.weight": (c, m),
                              f"{block}.{attention}.to_v.weight": (c, m)})
                layer(f"{block}.{attention}.to_out.0", c, c)
            layer(f"{block}.ff.net.0.proj", 8 * c, c), layer(f"{block}.ff.net.2", c, 4 * c)
            for i in (1, 2, 3):
                layer(f"{block}.norm{i}", c)

    layer("time_embed.0", 4 * width, width), layer("time_embed.2", 4 * width, 4 * width)
    if labels:
        layer("label_emb.0.0", 4 * width, labels), layer("label_emb.0.2", 4 * width, 4 * width)
    layer("input_blocks.0.0", width, 4, 3, 3)
    kept, c, i = [width], width, 0
    for level, (k, depth) in enumerate(zip(times, depths, strict=True)):
        for _ in range(2):
            i += 1
            resnet(f"input_blocks.{i}.0", c, k * width)
            c = k * width
            if depth:
                transformer(f"input_blocks.{i}.1", c, depth)
            kept.append(c)
        if level < len(times) - 1:
            i += 1
            layer(f"input_blocks.{i}.0.op", c, c, 3, 3)
            kept.append(c)
    resnet("middle_block.0", c, c), transformer("middle_block.1", c, depths[-1] or 1), resnet("middle_block.2", c, c)
    i = -1
    for level in reversed(range(len(times))):
        for j in range(3):
            i += 1
            resnet(f"output_blocks.{i}.0", c + kept.pop(), times[level] * width)
            c = times[level] * width
            if depths[level]:
                transformer(f"output_blocks.{i}.1", c, depths[level])
            if level and j == 2:
                layer(f"output_blocks.{i}.{1 + bool(depths[level])}.conv", c, c, 3, 3)
    layer("out.0", c), layer("out.2", 4, c, 3, 3)
    return {f"model.diffusion_model.{name}": shape for name, shape in found.items()}
