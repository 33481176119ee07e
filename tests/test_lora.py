"""LoRA files of every form are added to the weights, W + weight * alpha / rank * B A, and nothing else is left of them."""

from copy import deepcopy

import pytest
import torch
from accelerate import init_empty_weights
from checkpoints import folder, latents, original_unet, said
from diffusers import UNet2DConditionModel
from diffusers.loaders import StableDiffusionXLLoraLoaderMixin
from peft import LoraConfig, inject_adapter_in_model
from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

import newtake
from newtake.errors import BadInput, Note
from newtake.models.adapters.lora import Place, put, sorted_out
from newtake.models.families import configs
from newtake.models.folder import read

QUERIES = ["to_q", "to_out.0", "q_proj", "fc1", "proj_in", "conv1"]
NAMES = ("unet", "text_encoder", "text_encoder_2")


@pytest.fixture(scope="module", params=["sd1", "sdxl"])
def saved(request, tmp_path_factory):
    return folder(tmp_path_factory.mktemp("lora") / request.param, request.param)


@pytest.fixture(scope="module")
def sd1(tmp_path_factory):
    return folder(tmp_path_factory.mktemp("lora") / "sd1", "sd1")


def parts_of(path, dtype=torch.float32):
    return read(path, dtype)


def nets(parts):
    return dict(zip(NAMES, (parts.net, *parts.encoders), strict=False))


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 0.2


def pair(weight, rank=2, seed=0):
    """Matrices for a weight (o i) or a kernel (o i h w): down, up."""
    out, into, *kernel = weight.shape
    return drawn(rank, into, *kernel, seed=seed), drawn(out, rank, *[1] * len(kernel), seed=seed + 1)


def naive(weight, down, up, factor):
    """A rank at a time."""
    out = weight.detach().double()
    for r in range(len(down)):
        out = out + factor * (up[:, r].double().reshape(-1, *[1] * (weight.ndim - 1)) * down[None, r].double())
    return out.float()


def lora(seed, alpha=3, rank=2):
    return LoraConfig(r=rank, lora_alpha=alpha, target_modules=QUERIES, init_lora_weights=False)


def injected(parts, seed=0, **config):
    """Copies of the networks with peft's own layers in them."""
    torch.manual_seed(seed)
    return {name: inject_adapter_in_model(lora(seed, **config), deepcopy(net)) for name, net in nets(parts).items()}


def written(path, parts, with_config=True, **config):
    """A LoRA of all networks, by peft's own save and diffusers'; and the networks with it."""
    with_layers = injected(parts, **config)
    layers = {name: {key: weight.contiguous() for key, weight in get_peft_model_state_dict(net).items()}
              for name, net in with_layers.items()}
    told = dict(r=2, lora_alpha=3, alpha_pattern={}, rank_pattern={}, target_modules=QUERIES)
    StableDiffusionXLLoraLoaderMixin.save_lora_weights(
        path, layers["unet"], layers["text_encoder"], layers.get("text_encoder_2"),
        **{f"{name}_lora_adapter_metadata": told for name in layers if with_config})
    return path / "pytorch_lora_weights.safetensors", with_layers


def same(a, b):
    ours, theirs = a.state_dict(), b.state_dict()
    return list(ours) == list(theirs) and all(torch.equal(ours[name], theirs[name]) for name in ours)


# Forms

def test_diffusers_files_are_merged_as_peft_adds_them(saved, tmp_path):
    parts = parts_of(saved)
    file, with_layers = written(tmp_path, parts)
    after = put(parts, file, 1.0, False)
    assert same(put(parts, tmp_path, 1.0, False).net, after.net)        # its folder
    for name, net in nets(after).items():
        for key, weight in net.state_dict().items():
            stem = key.removesuffix(".weight")
            theirs = with_layers[name].state_dict()
            if f"{stem}.lora_A.default.weight" in theirs:
                expected = naive(theirs[f"{stem}.base_layer.weight"], theirs[f"{stem}.lora_A.default.weight"],
                                 theirs[f"{stem}.lora_B.default.weight"], 3 / 2)
                assert torch.allclose(weight, expected, atol=1e-6)
                assert not torch.equal(weight, nets(parts)[name].state_dict()[key])
    z, at, ids = latents(2, 4, 16, 16), torch.tensor([7, 7]), torch.arange(8)[None]
    text = latents(2, 5, parts.net.config.cross_attention_dim)
    extra = dict(text_embeds=latents(2, 64), time_ids=latents(2, 6)) if len(parts.encoders) > 1 else None
    theirs = with_layers["unet"](z, at, text, added_cond_kwargs=extra).sample
    assert torch.allclose(after.net(z, at, text, added_cond_kwargs=extra).sample, theirs, atol=1e-4)
    for i, encoder in enumerate(after.encoders):
        assert torch.allclose(encoder(ids)[0], with_layers[NAMES[i + 1]](ids)[0], atol=1e-4)


def test_without_a_config_alpha_is_the_rank(sd1, tmp_path):
    parts = parts_of(sd1)
    file, with_layers = written(tmp_path, parts, with_config=False)
    key = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
    own = with_layers["unet"].get_submodule(key)
    expected = naive(own.base_layer.weight, own.lora_A["default"].weight, own.lora_B["default"].weight, 1.0)
    assert torch.allclose(put(parts, file, 1.0, False).net.get_submodule(key).weight, expected, atol=1e-6)


@pytest.mark.parametrize("prefix", ["unet.", ""])
def test_the_names_of_processors(sd1, tmp_path, prefix):
    parts = parts_of(sd1)
    block, layer = "mid_block.attentions.0.transformer_blocks.0.attn1", "encoder.layers.1.self_attn"
    weights, expected = {}, {}
    for i, (old, new) in enumerate({"to_q_lora": "to_q", "to_k_lora": "to_k", "to_out_lora": "to_out.0"}.items()):
        weight = parts.net.get_submodule(f"{block}.{new}").weight
        down, up = pair(weight, seed=2 * i)
        weights |= {f"{prefix}{block}.processor.{old}.down.weight": down, f"{prefix}{block}.processor.{old}.up.weight": up}
        expected[f"{block}.{new}"] = naive(weight, down, up, 0.5)
    for i, (old, new) in enumerate({"to_v_lora": "v_proj", "to_out_lora": "out_proj"}.items()):
        weight = parts.encoders[0].get_submodule(f"{layer}.{new}").weight
        down, up = pair(weight, seed=20 + 2 * i)
        stem = f"text_encoder.text_model.{layer}.{old}"
        weights |= {f"{stem}.down.weight": down, f"{stem}.up.weight": up}
        expected[f"{layer}.{new}"] = naive(weight, down, up, 0.5)
    save_file(weights, tmp_path / "old.safetensors")
    after = put(parts, tmp_path / "old.safetensors", 0.5, False)
    for name, weight in expected.items():
        net = after.encoders[0] if name.startswith(layer) else after.net
        assert torch.allclose(net.get_submodule(name).weight, weight, atol=1e-6)


def kohya(parts, places, alpha=1.0):
    """A file in kohya's names, (network, module, kohya's name) each, and what the weights are then."""
    weights, expected = {}, {}
    for i, (name, module, stem) in enumerate(places):
        weight = nets(parts)[name].get_submodule(module).weight
        down, up = pair(weight, seed=2 * i)
        weights |= {f"{stem}.lora_down.weight": down, f"{stem}.lora_up.weight": up, f"{stem}.alpha": torch.tensor(alpha + i)}
        expected[Place(name, module)] = naive(weight, down, up, 0.7 * (alpha + i) / 2)
    return weights, expected


def flat(prefix, name):
    return prefix + name.replace(".", "_")


def merges(parts, places, file):
    weights, expected = kohya(parts, places)
    save_file(weights, file)
    after = put(parts, file, 0.7, False)
    for place, weight in expected.items():
        assert torch.allclose(nets(after)[place.network].get_submodule(place.module).weight, weight, atol=1e-5), place


def test_kohya_files_have_an_alpha_each_and_convolutions(sd1, tmp_path):
    parts = parts_of(sd1)
    unet = ["down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k", "mid_block.resnets.0.conv1",
            "mid_block.attentions.0.transformer_blocks.0.ff.net.2", "down_blocks.0.attentions.0.proj_in",
            "down_blocks.0.downsamplers.0.conv", "up_blocks.1.resnets.0.conv_shortcut", "up_blocks.0.resnets.0.time_emb_proj"]
    texts = ["encoder.layers.0.self_attn.q_proj", "encoder.layers.1.mlp.fc2"]
    places = [("unet", name, flat("lora_unet_", name)) for name in unet]
    places += [("text_encoder", name, flat("lora_te_text_model_", name)) for name in texts]
    merges(parts, places, tmp_path / "k.safetensors")


def test_kohya_files_of_sdxl_have_the_original_names(tmp_path):
    parts = parts_of(folder(tmp_path / "sdxl", "sdxl"))
    places = [("unet", "down_blocks.1.attentions.0.transformer_blocks.1.attn1.to_out.0",
               "lora_unet_input_blocks_3_1_transformer_blocks_1_attn1_to_out_0"),
              ("unet", "mid_block.resnets.1.conv2", "lora_unet_middle_block_2_out_layers_3"),
              ("text_encoder", "encoder.layers.0.self_attn.k_proj", "lora_te1_text_model_encoder_layers_0_self_attn_k_proj"),
              ("text_encoder_2", "text_model.encoder.layers.1.mlp.fc1", "lora_te2_text_model_encoder_layers_1_mlp_fc1")]
    merges(parts, places, tmp_path / "k.safetensors")


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_every_layer_of_the_published_networks_has_its_name(family):
    """Kohya's names of all that a LoRA may be of: the UNet's in diffusers' names or, of SDXL, in the original ones."""
    with init_empty_weights():
        net = UNet2DConditionModel.from_config(configs(family)["unet"])
        encoder = CLIPTextModel(CLIPTextConfig(**configs(family)["text_encoders"][0]))
    names = list(original_unet(net) if family == "sdxl" else net.state_dict())
    stems = {key: name.removeprefix("model.diffusion_model.").removesuffix(".weight")
             for key, name in zip(net.state_dict(), names, strict=True) if key.endswith(".weight")}
    layers = [key for key, module in net.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    weights = {f"{flat('lora_unet_', stems[f'{key}.weight'])}.lora_{side}.weight": key for key in layers
               for side in ("down", "up")}
    texts = [key for key, module in encoder.named_modules() if isinstance(module, nn.Linear)]
    weights |= {f"{flat('lora_te1_text_model_', key)}.lora_{side}.weight": key for key in texts for side in ("down", "up")}
    found, left = sorted_out(weights, {"unet": net, "text_encoder": encoder})
    assert left == [] and all(place.module == lesson["A"] == lesson["B"] for place, lesson in found.items())
    assert len(found) == len(layers) + len(texts) == {"sd1": 282 + 72, "sdxl": 794 + 72}[family]


# Laws

def test_nothing_is_left_beside_the_network_and_weight_nought_is_nothing(sd1, tmp_path):
    parts = parts_of(sd1)
    file, _ = written(tmp_path, parts)
    plain = newtake.load(sd1, device="cpu")
    nought, whole = (newtake.load(sd1, device="cpu", adapters={str(file): weight}) for weight in (0, 1))
    assert nought.hash == plain.hash != whole.hash
    assert [*whole.net.state_dict()] == [*plain.net.state_dict()] and not whole.net.training
    assert [type(module) for module in whole.net.modules()] == [type(module) for module in plain.net.modules()]
    assert not any(weight.requires_grad for net in (whole.net, *whole.encoders.encoders) for weight in net.parameters())


def test_two_commute_and_weights_are_factors(sd1, tmp_path):
    parts = parts_of(sd1)
    one, two = (written(tmp_path / name, parts, seed=i)[0] for i, name in enumerate(("one", "two")))
    here = put(put(parts, one, 0.8, False), two, -0.5, False)
    there = put(put(parts, two, -0.5, False), one, 0.8, False)
    for a, b in zip(here.net.parameters(), there.net.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)
    key = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q.weight"
    delta = lambda parts_: parts_.net.state_dict()[key] - parts.net.state_dict()[key]
    whole = [delta(put(parts, file, 1.0, False)) for file in (one, two)]
    assert torch.allclose(delta(put(parts, one, 0.25, False)) * 4, whole[0], atol=1e-5)
    assert torch.allclose(delta(here), 0.8 * whole[0] - 0.5 * whole[1], atol=1e-5)
    model = newtake.load(sd1, device="cpu", adapters={str(one): 0.8, str(two): -0.5})
    assert same(model.net, here.net)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_rounded_once(sd1, tmp_path, dtype):
    parts = parts_of(sd1, dtype)
    file, _ = written(tmp_path, parts_of(sd1))
    key = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
    wide = parts_of(sd1, dtype)
    wide.net.float()
    expected = put(wide, file, 0.3, False).net.get_submodule(key).weight.to(dtype)
    assert torch.equal(put(parts, file, 0.3, False).net.get_submodule(key).weight, expected)


def test_networks_of_others_stay_as_they_are(sd1, tmp_path):
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline

    parts = parts_of(sd1)
    file, _ = written(tmp_path, parts)
    scheduler = DDIMScheduler(**configs("sd1")["scheduler"])
    pipe = StableDiffusionPipeline(AutoencoderKL.from_pretrained(sd1 / "vae"), parts.encoders[0], parts.tokenizers[0],
                                   parts.net, scheduler, None, None, requires_safety_checker=False)
    before = deepcopy(pipe.unet), deepcopy(pipe.text_encoder)
    model = newtake.load(pipe, adapters={str(file): 1})
    assert same(pipe.unet, before[0]) and same(pipe.text_encoder, before[1]) and not same(model.net, pipe.unet)
    assert same(model.net, put(parts, file, 1, False).net)
    assert model.net.conv_in.weight is pipe.unet.conv_in.weight         # what is not changed is not copied


# What cannot be

def test_a_lora_of_another_network_says_which_shapes_differ(sd1, tmp_path):
    key = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"
    file = tmp_path / "x.safetensors"
    save_file({f"unet.{key}.lora_A.weight": drawn(4, 768), f"unet.{key}.lora_B.weight": drawn(320, 4)}, file)
    line = said(sd1, adapters={str(file): 0})
    assert f"1 of 1 shapes differ, first {key} is 320x768 there, 32x64 here" in line
    save_file({"unet.single_blocks.1.lora_A.weight": drawn(4, 8), "unet.single_blocks.1.lora_B.weight": drawn(8, 4)}, file)
    assert "nothing here answers to 2 of its 2 weights, such as unet.single" in said(sd1, adapters={str(file): 1})


def test_what_has_no_place_is_named(sd1, tmp_path):
    parts = parts_of(sd1)
    weights, _ = kohya(parts, [("unet", "mid_block.resnets.0.conv1", "lora_unet_mid_block_resnets_0_conv1")])
    weights |= {"lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": drawn(2, 64),
                "lora_unet_mid_block_resnets_0_conv2.lora_down.weight": drawn(2, 64, 3, 3), "bundle_emb.x": drawn(2)}
    save_file(weights, tmp_path / "k.safetensors")
    with pytest.warns(Note, match="no place for 3 of its 6 weights, such as .*bundle_emb.x"):
        put(parts, tmp_path / "k.safetensors", 1.0, False)


@pytest.mark.parametrize("mark, kind", [("dora_scale", "DoRA"), ("hada_w1_a", "LoHa"), ("lokr_w1", "LoKr")])
def test_other_kinds_are_named(sd1, tmp_path, mark, kind):
    save_file({f"lora_unet_mid_block_resnets_0_conv1.{mark}": drawn(2, 2)}, tmp_path / "k.safetensors")
    assert f"is a {kind}" in said(sd1, adapters={str(tmp_path / "k.safetensors"): 1})


def test_pickles_are_read_with_trust_and_as_tensors_alone(sd1, tmp_path):
    place = Place("unet", "mid_block.resnets.0.conv1")
    weights, expected = kohya(parts_of(sd1), [(*place, "lora_unet_mid_block_resnets_0_conv1")])
    torch.save(weights, tmp_path / "k.pt")
    assert "--trust" in said(sd1, adapters={str(tmp_path / "k.pt"): 1})
    model = newtake.load(sd1, device="cpu", trust=True, adapters={str(tmp_path / "k.pt"): 0.7})
    assert torch.allclose(model.net.mid_block.resnets[0].conv1.weight, expected[place], atol=1e-5)
    torch.save({"lora": nn.Linear(1, 1)}, tmp_path / "k.pt")
    assert "as weights alone" in said(sd1, trust=True, adapters={str(tmp_path / "k.pt"): 1})
    stem = "lora_unet_mid_block_resnets_0_conv1"
    for wrong, line in (([1, 2], "holds a list"), ({1: drawn(1)}, "not weights by name"),
                        ({f"{stem}.lora_down.weight": 1, f"{stem}.lora_up.weight": drawn(2)}, "are no matrices"),
                        (weights | {f"{stem}.alpha": drawn(3)}, "alpha for mid_block.resnets.0.conv1 that is no number")):
        torch.save(wrong, tmp_path / "k.pt")
        assert line in said(sd1, trust=True, adapters={str(tmp_path / "k.pt"): 1})


def test_files_that_are_none(sd1, tmp_path):
    (tmp_path / "torn.safetensors").write_bytes(b"hello")
    save_file({}, tmp_path / "empty.safetensors")
    (tmp_path / "notes.txt").write_text("lora")
    (tmp_path / "folder").mkdir()
    for name, line in {"torn.safetensors": "not a whole", "empty.safetensors": "no adapter that is known",
                       "notes.txt": "no adapter that is known", "folder": "no adapter that is known",
                       "nowhere": "no such adapter"}.items():
        assert line in said(sd1, adapters={str(tmp_path / name): 1})
    with pytest.raises(BadInput, match="such as 1"):
        newtake.load(sd1, device="cpu", adapters={str(tmp_path / "empty.safetensors"): float("nan")})
