"""Checkpoints in one file, in the original layout, read without a network."""

import subprocess

import pytest
import torch
from checkpoints import encoders, latents, original_unet, published_unet, said, single, unet, vae
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file

import newtake
from newtake.errors import BadInput
from newtake.models.families import FAMILIES, configs
from newtake.models.model import Text
from newtake.models.single import heard, unet_as_diffusers
from newtake.models.unet import UNet


@pytest.fixture(scope="module", params=FAMILIES)
def family(request):
    return request.param


def test_single_file_predicts_as_the_network(family, tmp_path):
    """Written out by hand in the original layout; its sizes are read from its weights."""
    path = single(tmp_path / "one.safetensors", family, **{"modelspec.prediction_type": "epsilon"})
    model, net = newtake.load(path, device="cpu"), unet(family)
    here = dict(text_embeds=latents(1, 64)) if family == "sdxl" else {}
    text, z, at = Text(latents(1, 9, 128 if family == "sdxl" else 64), here), latents(1, 2, 4, 16, 16), model.levels(5)[0]
    expected = UNet(net, configs(family)["scheduler"], vae=model.vae).predict(z, at, text)
    assert torch.equal(model.predict(z, at, text).out, expected.out)
    frames = torch.rand(1, 3, 16, 16)
    assert torch.allclose(model.encode(frames)[0], vae(family).encode(frames).latent_dist.mean * model.vae.scale, atol=1e-5)
    with pytest.raises(BadInput, match="text encoder"):
        model.text("a cat")


def test_single_file_with_text(family, tmp_path):
    nets = encoders(family, 49408)
    path = single(tmp_path / "one.safetensors", family, nets, **{"modelspec.prediction_type": "epsilon"})
    model = newtake.load(path, device="cpu")
    text = model.text("a café, by night")
    assert text.spans[0] == {"a": (1,), "café": (2,), "by": (4,), "night": (5,)}
    ids = [torch.tensor([[49406, 320, 15304, 267, 638, 930, 49407] + 70 * [pad]])
           for pad in ((49407, 0) if family == "sdxl" else (0,) if family == "sd2" else (49407,))]
    outs = [net(i, output_hidden_states=True) for net, i in zip(nets, ids, strict=True)]
    expected = torch.cat([out.hidden_states[-2] for out in outs], -1) if family == "sdxl" else outs[0].last_hidden_state
    assert torch.allclose(text.tokens, expected, atol=1e-5)
    if family == "sdxl":
        assert torch.allclose(text.extra["text_embeds"], outs[1].text_embeds, atol=1e-5)


@pytest.mark.parametrize("name, keys, shape", [
    ("sd1", 686, dict(width=320, times=(1, 2, 4, 4), depths=(1, 1, 1, 0), context=768)),
    ("sd2", 686, dict(width=320, times=(1, 2, 4, 4), depths=(1, 1, 1, 0), context=1024, linear=True)),
    ("sdxl", 1680, dict(width=320, times=(1, 2, 4), depths=(0, 2, 10), context=2048, linear=True, labels=2816)),
])
def test_published_layouts(name, keys, shape):
    """The family's config, and what is made of the original names, are the same network; nothing is allocated."""
    original = {key: torch.empty(size, device="meta") for key, size in published_unet(**shape).items()}
    assert len(original) == keys
    told = configs(name)["unet"]
    converted, config = unet_as_diffusers(original, told)
    assert all(config[key] == told[key] for key in told)        # the sizes read from the weights are those of the family
    with torch.device("meta"):
        net = UNet2DConditionModel(**config)
    sizes = lambda weights: {key: weight.shape for key, weight in weights.items()}
    assert sizes(net.state_dict()) == sizes(converted)
    assert sizes(original_unet(net)) == sizes(original)         # the naive way back, which the other tests use


@pytest.mark.parametrize("metadata, marks, expected", [
    ({"modelspec.prediction_type": "v"}, [], "v_prediction"),
    ({"modelspec.prediction_type": "epsilon"}, [], "epsilon"),
    ({"modelspec.architecture": "stable-diffusion-v2-768-v"}, [], "v_prediction"),
    ({}, ["v_pred"], "v_prediction"),
    ({}, [], "v_prediction"),           # nobody says: it is listened to, and these random weights do not give noise back
])
def test_prediction_of_a_single_file(tmp_path, metadata, marks, expected):
    weights = original_unet(unet("sd2")) | {mark: torch.zeros(1) for mark in marks}
    save_file({name: weight.contiguous() for name, weight in weights.items()}, tmp_path / "one.safetensors", metadata)
    assert newtake.load(tmp_path / "one.safetensors").scheduler["prediction_type"] == expected
    assert newtake.load(tmp_path / "one.safetensors", prediction="sample").scheduler["prediction_type"] == "sample"


def test_epsilon_is_heard():
    net = unet("sd2")
    net.forward = lambda z, t, words: type("Out", (), dict(sample=z + 0.1 * latents(*z.shape)))
    assert heard(net) == "epsilon"


def test_pickles_need_trust(tmp_path):
    path = tmp_path / "one.ckpt"
    torch.save({"state_dict": original_unet(unet("sd1")), "global_step": 3}, path)
    assert "--trust" in said(path)
    assert newtake.load(path, trust=True).net.config.block_out_channels == [32, 64]
    evil = tmp_path / "evil.ckpt"
    torch.save({"state_dict": subprocess.Popen}, evil)
    assert "weights alone" in said(evil, trust=True)


def test_other_channels(tmp_path):
    net = UNet2DConditionModel(**dict(unet("sd1").config) | dict(in_channels=9))
    weights = {name: weight.contiguous() for name, weight in original_unet(net).items()}
    save_file(weights, tmp_path / "inpaint.safetensors")
    assert "9 channels" in said(tmp_path / "inpaint.safetensors")
