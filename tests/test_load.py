"""Checkpoints of every kind, and what is said of those that are none."""

import json
import subprocess
import sys

import pytest
import torch
from checkpoints import folder, latents, said, unet
from safetensors.torch import load_file, save_file
from torch import Tensor

import newtake
from newtake.errors import BadInput
from newtake.guidance import cfg
from newtake.models.counted import Counted
from newtake.models.families import FAMILIES, configs
from newtake.models.model import Text
from newtake.models.unet import UNet


@pytest.fixture(scope="module", params=FAMILIES)
def family(request):
    return request.param


@pytest.fixture(scope="module")
def saved(family, tmp_path_factory):
    return folder(tmp_path_factory.mktemp("checkpoints") / family, family)


@pytest.fixture(scope="module")
def sd1(tmp_path_factory):
    return folder(tmp_path_factory.mktemp("checkpoints") / "sd1", "sd1")


@pytest.fixture(scope="module")
def model(saved):
    return newtake.load(saved, device="cpu")


# What a loaded checkpoint does

def test_folder(model, family):
    text, null = model.text("a red car", "the blue cat, on the grass"), model.text("")
    assert text.tokens.shape == (2, 77, 128 if family == "sdxl" else 64)
    assert set(text.extra) == ({"text_embeds"} if family == "sdxl" else set())
    z, at = latents(2, 3, 4, 16, 8), model.levels(5)[0]
    answer = model.guided(z, at, text, null, cfg(2.0))
    assert answer.out.shape == z.shape and answer.out.isfinite().all()
    assert not torch.equal(answer.out[0], answer.out[1])
    assert not any(weight.requires_grad for weight in model.net.parameters()) and not model.net.training
    assert (model.factor, model.native, model.unit) == (2, 32, 4)


def test_empty_prompt_is_zeros_in_sdxl_only(model, family):
    text = model.text("", "a cat")
    assert bool(text.tokens[0].abs().max() == 0) == (family == "sdxl")
    assert text.tokens[1].abs().max() > 0
    assert all(rows[0].abs().max() == 0 and rows[1].abs().max() > 0 for rows in text.extra.values())


def test_prompts_are_those_of_the_pipeline(model, family):
    """The hidden states that the family's networks were trained on, by the encoders' own forward."""
    ids = lambda tokenizer: tokenizer(["a blue cat"], padding="max_length", max_length=77, return_tensors="pt").input_ids
    outs = [encoder(ids(tokenizer), output_hidden_states=True)
            for tokenizer, encoder in zip(model.encoders.tokenizers, model.encoders.encoders, strict=True)]
    text = model.text("a blue cat")
    if family == "sdxl":
        assert torch.equal(text.tokens, torch.cat([out.hidden_states[-2] for out in outs], -1))
        assert torch.equal(text.extra["text_embeds"], outs[1].text_embeds)
    else:
        assert torch.equal(text.tokens, outs[0].last_hidden_state)


def test_words(model):
    text = model.text("A red car, on the grass.").then(model.text("the cat"))
    assert text.spans[0]["car"] == (3,) and text.spans[1] == {"the": (1,), "cat": (2,)}
    assert text.tokens.shape[0] == len(text.spans) == 2
    assert model.lost("a cat") == []
    assert model.lost("a " * 74 + "cat on grass") == ["on", "grass"]
    assert Counted(model).text("a cat").spans == model.text("a cat").spans


def test_autoencoder(model, family):
    frames = torch.rand(3, 3, 32, 24, generator=torch.Generator().manual_seed(1)) * 2 - 1
    z = model.encode(frames)
    assert z.shape == (1, 3, 4, 16, 12) and z.dtype == torch.float32
    assert torch.equal(z, model.encode(frames))                 # the mean, not a sample
    mean = model.vae.net.encode(frames).latent_dist.mean * configs(family)["vae"]["scaling_factor"]
    assert torch.allclose(z[0], mean, atol=1e-6)
    pictures = model.decode(z[0])
    assert pictures.shape == frames.shape and pictures.abs().max() <= 1 and pictures.dtype == torch.float32
    assert torch.allclose(model.decode(z), pictures[None], atol=1e-6)
    assert torch.allclose(model.encode(frames[1:2])[0, 0], z[0, 1], atol=1e-5)      # chunks do not show
    with pytest.raises(BadInput, match="multiples of 2"):
        model.encode(frames[..., :-1])


def test_shift_of_the_autoencoder(sd1):
    model = newtake.load(sd1)
    frames = torch.zeros(1, 3, 8, 8)
    plain = model.encode(frames)
    model.vae.shift = 0.5
    assert torch.allclose(model.encode(frames), plain - 0.5 * model.vae.scale, atol=1e-6)


def test_sizes_are_told_to_sdxl(tmp_path):
    model = newtake.load(folder(tmp_path / "sdxl", "sdxl"))
    seen = []
    model.net.add_time_proj.register_forward_pre_hook(lambda module, args: seen.append(args[0].reshape(-1, 6)))
    model.predict(latents(1, 2, 4, 16, 8), model.levels(5)[0], model.text("a cat"))
    assert seen[0].tolist() == [[32, 16, 0, 0, 32, 16]] * 2


def test_without_autoencoder_and_text():
    model = UNet(unet("sd1"), configs("sd1")["scheduler"])
    for ask in (lambda: model.text("a"), lambda: model.encode(latents(1, 3, 8, 8)), lambda: model.decode(latents(1, 4, 8, 8)),
                lambda: model.tokenizer):
        with pytest.raises(BadInput, match="whole checkpoint"):
            ask()
    at = model.levels(5)[0]
    assert model.predict(latents(1, 2, 4, 8, 8), at, Text(latents(1, 7, 64))).out.shape == (1, 2, 4, 8, 8)


def test_counted(model):
    counted = Counted(model)
    text = model.text("a cat")
    counted.guided(latents(3, 1, 4, 16, 8), model.levels(5)[0], text, text, cfg(2.0), slice(1, None))
    assert counted.evaluations == 5


def test_hash(sd1):
    first, again, clip = newtake.load(sd1), newtake.load(sd1), newtake.load(sd1, norms="clip")
    assert first.hash == again.hash != clip.hash
    other = newtake.load(sd1)
    other.net.conv_in.bias += 1
    assert other.hash != first.hash


def test_hash_knows_what_is_no_weight(sd1):
    first = newtake.load(sd1).hash
    other = newtake.load(sd1)
    other.vae.shift = 0.5
    assert other.hash != first
    other = newtake.load(sd1)
    other.tokenizer.add_tokens(["zebra"])
    assert other.hash != first


def test_dtype(sd1):
    model = newtake.load(sd1, device="cpu", dtype="bf16")
    assert model.dtype == torch.bfloat16 and model.vae.net.dtype == torch.float32
    text = model.text("a cat")
    answer = model.predict(latents(1, 2, 4, 16, 16), model.levels(5)[0], text)
    assert answer.out.dtype == text.tokens.dtype == torch.float32
    full = newtake.load(sd1, device="cpu").predict(latents(1, 2, 4, 16, 16), model.levels(5)[0], text)
    assert 0 < (answer.out - full.out).abs().max() < 0.1 * full.out.abs().max()


def test_prediction(tmp_path):
    path = folder(tmp_path / "v", "sd2", prediction_type="v_prediction")
    model = newtake.load(path)
    assert model.predict(latents(1, 1, 4, 16, 16), model.levels(5)[0], model.text("a")).kind == "v_prediction"
    model = newtake.load(path, prediction="epsilon")
    assert model.predict(latents(1, 1, 4, 16, 16), model.levels(5)[0], model.text("a")).kind == "epsilon"


# Video networks

def inserted(path, attn: str, heads: str) -> dict[str, Tensor]:
    """Temporal layers in the names of Tune-A-Video or FateZero, put into a folder's UNet."""
    stored = load_file(path / "unet" / "diffusion_pytorch_model.safetensors")
    blocks = {name.split(".attn1")[0] for name in stored if ".attn1" in name}
    weights = {}
    for i, block in enumerate(sorted(blocks)):
        c = len(stored[f"{block}.norm1.weight"])
        weights |= {f"{block}.attn_{attn}.to_{kind}.weight": latents(c, c) * 0.1 for kind in ("q", "k", "v", "out.0")}
        weights |= {f"{block}.attn_{attn}.to_out.0.bias": torch.full((c,), 0.1 * i),
                    f"{block}.norm_{attn}.weight": torch.ones(c), f"{block}.norm_{attn}.bias": torch.zeros(c)}
    if attn == "temporal":
        conv = "conv_in.conv_temporal"
        weights |= {f"{conv}.down.weight": latents(2, 32, 3), f"{conv}.up.weight": latents(32, 2, 3)}
    config = json.loads((path / "unet" / "config.json").read_text())
    config = {key: json.loads(json.dumps(value).replace("2D", heads)) for key, value in config.items()}
    (path / "unet" / "config.json").write_text(json.dumps(config | {"_class_name": f"UNet{heads}ConditionModel"}))
    (path / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    torch.save(stored | weights, path / "unet" / "diffusion_pytorch_model.bin")
    return weights


@pytest.mark.parametrize("attn, heads", [("temp", "3D"), ("temporal", "Pseudo3D")])
def test_video_network(tmp_path, attn, heads):
    path = folder(tmp_path / "tuned", "sd1")
    image = newtake.load(path)
    weights = inserted(path, attn, heads)
    assert "--trust" in said(path)
    model = newtake.load(path, trust=True)
    assert model.norms == "clip" and sum(len(layer.state_dict()) for layer in model.temporal.values()) == len(weights)
    z, at, text = latents(1, 3, 4, 16, 16), model.levels(5)[0], model.text("a cat")
    out = model.predict(z, at, text).out
    assert out.isfinite().all() and not torch.allclose(out, image.predict(z, at, text).out, atol=1e-3)
    model.temporal, model.norms = {}, "frame"
    assert torch.equal(model.predict(z, at, text).out, image.predict(z, at, text).out)


def test_video_network_of_another_making(tmp_path):
    path = folder(tmp_path / "modelscope", "sd1")
    config = json.loads((path / "unet" / "config.json").read_text())
    (path / "unet" / "config.json").write_text(json.dumps(config | {"_class_name": "UNet3DConditionModel"}))
    assert "UNet3DConditionModel" in said(path)


# Wrong inputs

def test_not_a_checkpoint(tmp_path, sd1):
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "broken.safetensors").write_bytes(b"hello")
    save_file({"lora_up.weight": torch.zeros(1)}, tmp_path / "lora.safetensors")
    (tmp_path / "empty").mkdir()
    assert "model_index.json" in said(tmp_path / "empty")
    assert "no such file" in said(tmp_path / "missing.safetensors")
    assert "known are" in said(tmp_path / "notes.txt")
    assert "not a whole" in said(tmp_path / "broken.safetensors")
    assert "original layout" in said(tmp_path / "lora.safetensors")
    assert "fp32, fp16, bf16" in said(sd1, dtype="int8")


def test_hub_ids_that_are_not_cached(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert "--download" in said("somebody/some-model")
    assert "hub id" in said("neither a file nor an id")


def test_broken_folders(tmp_path):
    path = folder(tmp_path / "one", "sd1")
    (path / "unet" / "diffusion_pytorch_model.safetensors").rename(path / "weights")
    assert "no weights" in said(path)
    (path / "weights").rename(path / "unet" / "diffusion_pytorch_model.safetensors")
    (path / "model_index.json").write_text(json.dumps({"_class_name": "FluxPipeline"}))
    assert "FluxPipeline" in said(path) and "SDXL" in said(path)
    weights = load_file(path / "text_encoder" / "model.safetensors")
    weights.popitem()
    save_file(weights, path / "text_encoder" / "model.safetensors", {"format": "pt"})
    (path / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))
    assert "lacks 1 weight" in said(path)               # no network is left at random
    for part in ("vae", "unet"):
        stored = path / part / "diffusion_pytorch_model.safetensors"
        stored.write_bytes(stored.read_bytes()[:-100])
        assert part in said(path)
    (path / "model_index.json").write_text("{")
    assert "JSON" in said(path)


def test_half_precision_variant(tmp_path):
    path = folder(tmp_path / "half", "sd1")
    whole = path / "unet" / "diffusion_pytorch_model.safetensors"
    z = latents(1, 1, 4, 16, 16)
    ask = lambda model: model.predict(z, model.levels(5)[0], model.text("a cat")).out
    expected = ask(newtake.load(path))
    whole.rename(whole.with_name("diffusion_pytorch_model.fp16.safetensors"))
    assert torch.equal(ask(newtake.load(path)), expected)


def test_a_tokenizer_with_code_of_its_own(tmp_path, monkeypatch):
    """It is not run, and nobody is asked whether to."""
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked on the terminal"))
    path = folder(tmp_path / "own", "sd1")
    told = path / "tokenizer" / "tokenizer_config.json"
    own = dict(tokenizer_class="Own", auto_map={"AutoTokenizer": ["own.Own", None]})
    told.write_text(json.dumps(json.loads(told.read_text()) | own))
    (path / "tokenizer" / "own.py").write_text("raise SystemExit")
    assert "code of its own" in said(path)


def test_importing_is_light():
    code = "import sys, newtake; newtake.__version__; sys.exit(any(m in sys.modules for m in ('torch', 'diffusers', 'av')))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    assert {"load", "Video", "edit"} <= set(dir(newtake))
    with pytest.raises(AttributeError):
        newtake.nothing  # noqa: B018
