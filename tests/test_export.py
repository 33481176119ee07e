"""Folders of Tune-A-Video, FateZero and Video-P2P are read as they lie on the Hub, and Tune-A-Video's are written."""

import json
import re
import shutil

import huggingface_hub
import pytest
import torch
from accelerate import init_empty_weights
from checkpoints import folder, latents, said
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file
from shell import newtake as command

import newtake
from newtake.errors import BadInput
from newtake.models.export import export, unet_config, unet_weights
from newtake.models.families import configs
from newtake.models.load import located
from newtake.models.temporal import TemporalAttention, TemporalConv

BLOCK = r".+\.transformer_blocks\.\d+"
# Of every block these are trained: the queries of both attentions, and temporal attention, whole (its norm is not).
TRAINED = ("attn1.to_q.weight", "attn2.to_q.weight", "attn_temp.to_q.weight", "attn_temp.to_k.weight", "attn_temp.to_v.weight",
           "attn_temp.to_out.0.weight", "attn_temp.to_out.0.bias")
# The blocks of Stable Diffusion 1.x: two a level down, the middle, three a level up.
SD1 = [*(f"down_blocks.{i}.attentions.{j}" for i in range(3) for j in range(2)), "mid_block.attentions.0",
       *(f"up_blocks.{i}.attentions.{j}" for i in range(1, 4) for j in range(3))]


def blocks(net):
    return {name: module for name, module in net.named_modules() if re.fullmatch(BLOCK, name)}


def temporal(net):
    torch.manual_seed(4)
    return {name: TemporalAttention(block.attn1.to_q.in_features, block.attn1.heads).requires_grad_(False).eval()
            for name, block in blocks(net).items()}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return folder(tmp_path_factory.mktemp("export") / "sd1", "sd1")


def tuned(plain, **options):
    model = newtake.load(plain, device="cpu", norms="clip", **options)
    model.temporal = temporal(model.net)
    return model


@pytest.fixture(scope="module")
def written(plain, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "tuned"
    export(tuned(plain), path, pickles=True)
    return path


def asked(model):
    z = latents(2, 3, 4, 16, 8)
    return model.predict(z, model.levels(5)[0], model.text("a red car", "the cat")).out


def same(a, b):
    """What they say, read and show, bit for bit."""
    frames = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1
    return (torch.equal(asked(a), asked(b)) and torch.equal(a.text("a red car on the grass").tokens,
            b.text("a red car on the grass").tokens) and torch.equal(a.encode(frames), b.encode(frames)))


# What is written

def test_a_folder_loads_back_bit_for_bit(plain, written):
    model, again = tuned(plain), newtake.load(written, device="cpu")
    assert same(model, again) and again.norms == "clip" and again.levels(5) == model.levels(5)
    assert not torch.equal(asked(again), asked(newtake.load(plain, device="cpu")))


def test_the_pickles_are_the_same_and_need_trust(plain, written, tmp_path):
    shutil.copytree(written, tmp_path / "hub")
    for file in (tmp_path / "hub").rglob("*.safetensors"):
        file.unlink()
    (tmp_path / "hub" / "samples").mkdir()                      # of the Hub's folders
    (tmp_path / "hub" / "config.yaml").write_text("seed: 33\n")
    assert [*(tmp_path / "hub").rglob("*.bin")] and "--trust" in said(tmp_path / "hub")
    assert same(tuned(plain), newtake.load(tmp_path / "hub", device="cpu", trust=True))


def test_the_layout_is_the_published_one(written):
    told = lambda *names: json.loads(written.joinpath(*names).read_text())
    index, unet = told("model_index.json"), told("unet", "config.json")
    assert index["_class_name"] == "TuneAVideoPipeline" and set(index) - {"_class_name", "_diffusers_version"} == {
        path.name for path in written.iterdir()} - {"model_index.json"}
    assert unet["_class_name"] == "UNet3DConditionModel" and unet["mid_block_type"] == "UNetMidBlock3DCrossAttn"
    assert unet["down_block_types"] == ["CrossAttnDownBlock3D", "DownBlock3D"]
    assert unet["up_block_types"] == ["UpBlock3D", "CrossAttnUpBlock3D"]
    assert {path.name for path in (written / "tokenizer").iterdir()} >= {"vocab.json", "merges.txt", "tokenizer_config.json"}
    vae = load_file(written / "vae" / "diffusion_pytorch_model.safetensors")
    text = torch.load(written / "text_encoder" / "pytorch_model.bin", weights_only=True)
    attention = {name.split("attentions.0.")[1] for name in vae if "decoder.mid_block.attentions.0." in name}
    assert {"query.weight", "key.bias", "value.weight", "proj_attn.bias"} <= attention
    assert not any("to_q" in name for name in vae)
    assert all(name.startswith("text_model.") for name in text)


def test_the_keys_of_the_published_network():
    """Stable Diffusion 1.x, without allocating its weights: 686 of the image network, 7 for each of 16 blocks, 112 trained."""
    with init_empty_weights():
        net = UNet2DConditionModel.from_config(configs("sd1")["unet"])
        layers = temporal(net)
    weights = unet_weights(net, layers)
    assert all(weight.is_meta for weight in weights.values())
    trained = {f"{block}.transformer_blocks.0.{name}" for block in SD1 for name in TRAINED}
    assert len(SD1) == 16 and len(trained) == 112 and trained <= set(weights)
    inserted = {f"{block}.transformer_blocks.0.{name}" for block in SD1 for name in
                (*TRAINED[2:], "norm_temp.weight", "norm_temp.bias")}
    assert set(weights) - set(net.state_dict()) == inserted and (len(weights), len(inserted)) == (798, 112)
    numbers = lambda names: sum(weights[name].numel() for name in names)
    assert round(numbers(weights) / 1e6, 1) == 909.1 and round(numbers(inserted) / 1e6, 1) == 49.6
    assert round(numbers(trained) / 1e6, 1) == 74.4
    assert unet_config(net.config)["down_block_types"] == ["CrossAttnDownBlock3D"] * 3 + ["DownBlock3D"]


def test_what_has_no_place_there_is_one_line(plain, tmp_path):
    model = newtake.load(plain, device="cpu")
    with pytest.raises(BadInput, match="no temporal attention"):
        export(model, tmp_path / "x")
    model.temporal = {"conv_in": TemporalConv(32, 2)}
    with pytest.raises(BadInput, match="FateZero's"):
        export(model, tmp_path / "x")
    xl = newtake.load(folder(tmp_path / "xl", "sdxl"), device="cpu")
    with pytest.raises(BadInput, match="two text encoders"):
        export(xl, tmp_path / "x")
    save_file({"<zorb>": torch.zeros(2, 64)}, tmp_path / "zorb.safetensors")
    with pytest.raises(BadInput, match="several vectors"):
        export(tuned(plain, adapters={str(tmp_path / "zorb.safetensors"): 1}), tmp_path / "x")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(BadInput, match="other things"):
        export(tuned(plain), tmp_path / "mine")
    folder(tmp_path / "base", "sd1")
    with pytest.raises(BadInput, match="another checkpoint, which would be replaced"):
        export(tuned(plain), tmp_path / "base")
    shutil.rmtree(tmp_path / "base")
    assert {path.name for path in tmp_path.iterdir()} == {"xl", "zorb.safetensors", "mine"}


def test_a_word_of_one_vector_is_written(plain, tmp_path):
    save_file({"<zorb>": torch.ones(1, 64)}, tmp_path / "zorb.safetensors")
    model = tuned(plain, adapters={str(tmp_path / "zorb.safetensors"): 1})
    export(model, tmp_path / "x")
    again = newtake.load(tmp_path / "x", device="cpu")
    assert torch.equal(model.text("a <zorb>").tokens, again.text("a <zorb>").tokens)
    assert again.text("a <zorb>").spans == model.text("a <zorb>").spans


def test_the_command(written, tmp_path, capsys):
    code, out, _ = command(capsys, "export", tmp_path / "copy", "--model", written)
    assert code == 0 and out.strip() == str(tmp_path / "copy")
    assert same(newtake.load(written, device="cpu"), newtake.load(tmp_path / "copy", device="cpu"))
    assert not [*(tmp_path / "copy").rglob("*.bin")]
    code, _, err = command(capsys, "export", tmp_path / "none", "--model", "tiny")
    assert code == 2 and "newtake tune" in err


# What is read

def rewritten(written, path, config, weights):
    """The folder with another UNet's config and names."""
    shutil.copytree(written, path)
    stored = load_file(path / "unet" / "diffusion_pytorch_model.safetensors")
    save_file({weights(name): weight for name, weight in stored.items()}, path / "unet" / "diffusion_pytorch_model.safetensors")
    told = json.loads((path / "unet" / "config.json").read_text())
    (path / "unet" / "config.json").write_text(json.dumps(config(told)))
    return newtake.load(path, device="cpu")


def test_names_of_blocks_and_layers_are_read_in_every_spelling(written, tmp_path):
    """FateZero's, and a middle block that was saved by the image network's name (showlab/Tune-A-Video issue 10)."""
    model = newtake.load(written, device="cpu")
    pseudo = lambda told: {key: json.loads(json.dumps(value).replace("3D", "Pseudo3D")) for key, value in told.items()}
    fatezero = rewritten(written, tmp_path / "fz", pseudo, lambda name: re.sub(r"_temp\.", "_temporal.", name))
    again = rewritten(written, tmp_path / "mid", lambda told: told | {"mid_block_type": "UNetMidBlock2DCrossAttn"}, str)
    assert torch.equal(asked(fatezero), asked(model)) and torch.equal(asked(again), asked(model))


@pytest.mark.parametrize("rank", [2, 5])
def test_fatezeros_rank_is_read_from_its_weights(written, tmp_path, rank):
    """Its YAML says it, its config.json does not."""
    shutil.copytree(written, tmp_path / "fz")
    file = tmp_path / "fz" / "unet" / "diffusion_pytorch_model.safetensors"
    conv = "mid_block.resnets.0.conv1.conv_temporal"
    own = {f"{conv}.down.weight": torch.ones(rank, 64, 3), f"{conv}.up.weight": torch.ones(64, rank, 3)}
    save_file(load_file(file) | own, file)
    model = newtake.load(tmp_path / "fz", device="cpu")
    assert model.temporal["mid_block.resnets.0.conv1"].down.out_channels == rank
    with pytest.raises(BadInput, match="FateZero's"):
        export(model, tmp_path / "x")


def test_a_hub_id_with_pickles_alone_is_fetched_with_trust(written, monkeypatch):
    """What the Hub library's folders have: no .safetensors."""
    asked_for = []

    def fetched(name, local_files_only, allow_patterns, ignore_patterns):
        asked_for.append(any(".bin" in pattern for pattern in allow_patterns))
        return str(written / "samples")                         # a folder without weights

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetched)
    for trust in (False, True):
        located("Tune-A-Video-library/a-man-is-surfing", download=True, trust=trust)
    assert asked_for == [False, False, True]
