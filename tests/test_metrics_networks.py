"""Metrics over networks: LPIPS, CLIP, DINO; small ones with random weights stand in for the real."""

from dataclasses import replace

import materials
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from newtake.errors import BadInput
from newtake.metrics import METRICS, perceptual
from newtake.metrics.clip import adjacent, all_pairs, load, text_alignment
from newtake.metrics.networks import CLIP_COLOURS, IMAGENET_COLOURS, i3d, inception, inception_chances, seen
from newtake.metrics.structure import dino_keys, dinov2_objects, structure_distance


def vit(**config) -> dict:
    return dict(hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, patch_size=8) | config


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory):
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(0)
    words = vit(vocab_size=49408, max_position_embeddings=77, bos_token_id=49406, eos_token_id=49407)
    words.pop("patch_size")
    config = CLIPConfig(text_config=words, vision_config=vit(image_size=32), projection_dim=12)
    folder = tmp_path_factory.mktemp("clip")
    CLIPModel(config).save_pretrained(folder)
    return folder


# Perceptual distance

def lpips_files(folder, net: str) -> tuple:
    torch.manual_seed(0)
    make, _, widths = perceptual.TRUNKS[net]
    trunk = {f"features.{name}": z.detach().clone() for name, z in make().state_dict().items()}
    heads = {f"lin{i}.model.1.weight": materials.drawn(1, c, 1, 1, seed=i).abs() for i, c in enumerate(widths)}
    save_file(trunk | {"classifier.1.weight": torch.zeros(1)}, folder / "trunk.safetensors")
    save_file(heads, folder / "heads.safetensors")
    return folder / "trunk.safetensors", folder / "heads.safetensors"


@pytest.mark.parametrize("net", perceptual.TRUNKS)
def test_lpips_is_torchmetrics(net, tmp_path, monkeypatch):
    """Theirs without torchvision: our trunk in the place of torchvision's."""
    theirs = pytest.importorskip("torchmetrics.functional.image.lpips", reason="torchmetrics is not installed")
    trunk, heads = lpips_files(tmp_path, net)
    ours = perceptual.lpips(trunk, heads, net)
    layers = nn.Sequential(*(layer for stage in ours.layers for layer in stage))
    monkeypatch.setattr(theirs, "_get_tv_model_features", lambda *_: layers)
    other = theirs._LPIPS(pretrained=False, net=net)
    other.load_state_dict(perceptual.weights_of(heads, False), strict=False)
    a, b = (materials.drawn(2, 3, 64, 72, seed=i).clamp(-1, 1) for i in range(2))
    assert perceptual.perceptual(ours, a, b) == pytest.approx(float(other(a, b).mean()), rel=1e-5)


@pytest.mark.parametrize("net, count", [("alex", 2_469_696), ("squeeze", 722_496)])
def test_the_trunks_have_as_many_weights_as_torchvisions(net, count):
    assert sum(p.numel() for p in perceptual.TRUNKS[net][0]().parameters()) == count


def test_weights_that_are_not_lpips_are_refused(tmp_path):
    for net in perceptual.TRUNKS:
        (tmp_path / net).mkdir()
    trunk, heads = lpips_files(tmp_path / "alex", "alex")
    with pytest.raises(BadInput, match=r"lacks 10 of 10 weights, first 0\.weight"):
        perceptual.lpips(heads, heads)
    with pytest.raises(BadInput, match=r"heads.safetensors is not LPIPS' layers over squeeze: it has no lin1.* of 1 x 128"):
        perceptual.lpips(lpips_files(tmp_path / "squeeze", "squeeze")[0], heads, "squeeze")
    with pytest.raises(BadInput, match="no such file"):
        perceptual.lpips(trunk.with_name("none.safetensors"), heads)
    pickle = tmp_path / "trunk.pth"
    torch.save({}, pickle)
    with pytest.raises(BadInput, match=r"pickle.*--trust"):
        perceptual.lpips(pickle, heads)


def test_perceptual_distance_of_a_layer_by_hand():
    """One layer that hands the picture on: channels (1, 0, 0) and (0, 1, 0) are 2 apart, in a quarter of the pixels."""
    distance = perceptual.LayerDistance([nn.Identity()])
    a = torch.zeros(1, 3, 4, 4)
    a[:, 0] = 1.0
    b = a.clone()
    b[:, :, :2, :2] = torch.tensor([0.0, 1.0, 0.0]).view(3, 1, 1)
    where = torch.zeros(1, 4, 4, dtype=torch.bool)
    where[:, :2] = True
    assert perceptual.perceptual(distance, a, b) == pytest.approx(0.5)
    assert perceptual.perceptual(distance, a, b, where) == pytest.approx(1.0)
    assert perceptual.perceptual(distance, a, b, ~where) == 0


# Pictures and words

def test_three_consistencies_are_three_numbers():
    m = materials.others()["shuffled"]
    found = {METRICS[f"frame_consistency_{name}"](m) for name in ("all_pairs", "adjacent", "unprojected")}
    assert len(found) == 3


def test_consistencies_by_hand():
    turning = torch.tensor([[1.0, 0], [0, 2.0], [-3.0, 0]])
    assert adjacent(turning) == pytest.approx(0)
    assert all_pairs(turning) == pytest.approx(-1 / 3)
    assert adjacent(turning[::2]) == pytest.approx(-1) and adjacent(turning[::2], 0.0) == 0


class Colours:
    """Pictures by their mean colours, words as colours."""

    scale = 30.0
    pictures = pooled = staticmethod(lambda frames: frames.mean((2, 3)))
    texts = staticmethod(lambda prompts: torch.stack([torch.eye(3)["rgb".index(prompt)] for prompt in prompts]))


def test_words_by_hand():
    edit = torch.zeros(4, 3, 8, 8)
    edit[:3, 0], edit[3, 2] = 1.0, 1.0                  # three frames red, one blue
    m = replace(materials.material(), edit=edit, source=None, truth=None, flow=None, flow_back=None, target="r", caption="b",
                clip=Colours(), pick=Colours(), mask=torch.zeros(4, 8, 8, dtype=torch.bool))
    found = {name: METRICS[name](m) for name in ("text_alignment", "frame_accuracy", "pick_score")}
    assert found == pytest.approx({"text_alignment": 75, "frame_accuracy": 75, "pick_score": 22.5})
    edit[3, 0, :4, :4] = 1.0                            # a red and blue corner, in the mask
    m.mask[3, :4, :4] = True
    assert METRICS["text_alignment_inside"](m) == pytest.approx(100 * 0.5 ** 0.5)
    assert METRICS["text_alignment_inside_legacy"](m) == 0      # the black around it outweighs the red


def test_a_real_clip_is_transformers_own(clip_folder):
    from PIL import Image
    from transformers import CLIPImageProcessor, CLIPModel

    ours, net = load(clip_folder), CLIPModel.from_pretrained(clip_folder).eval()
    frames = F.interpolate(materials.drawn(3, 3, 6, 8), (48, 64), mode="bicubic").clamp(-1, 1)
    pictures = [Image.fromarray(((f + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()) for f in frames]
    options = dict(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}, do_convert_rgb=True)
    pixels = CLIPImageProcessor(**options)(pictures, return_tensors="pt")["pixel_values"]
    assert torch.allclose(seen(frames, 32, 32, CLIP_COLOURS), pixels, atol=0.05)
    words = ours.tokenizer(["a red ball", "a ball"], padding="max_length", max_length=77, return_tensors="pt")
    with torch.no_grad():
        logits = net(pixel_values=pixels, **words).logits_per_image / net.logit_scale.exp()
    assert text_alignment(ours, frames, "a red ball") == pytest.approx(100 * float(logits[:, 0].mean()), abs=0.3)
    assert ours.texts(["a red ball", "a ball"]).shape == (2, 12)
    assert ours.pictures(frames).shape == (3, 12) and ours.pooled(frames).shape == (3, 16)
    assert ours.scale == pytest.approx(float(net.logit_scale.exp()))


def test_folders_that_are_no_networks_are_refused(tmp_path):
    with pytest.raises(BadInput, match="no such folder, and no hub id that is cached"):
        load(tmp_path / "none")
    with pytest.raises(BadInput, match="no hub id that is cached"):
        load("nobody/no-such-network")
    with pytest.raises(BadInput, match=r"it has no config\.json"):
        load(tmp_path)


# Structure

def test_structure_distance_by_hand():
    """Two keys that stood at right angles fall together: two of four cosines go from 0 to 1."""
    keys = lambda frames: torch.tensor([[[1.0, 0], [0, 2.0]]]) if frames.mean() > 0 else torch.tensor([[[1.0, 0], [3.0, 0]]])
    a = torch.ones(2, 3, 4, 4)
    assert structure_distance(keys, a, -a) == pytest.approx(0.5)
    assert structure_distance(keys, a, a) == 0


def test_keys_of_a_vision_transformer(tmp_path):
    """The keys of the last layer, from what enters it; of a picture that is not square."""
    from transformers import ViTConfig, ViTModel

    torch.manual_seed(0)
    net = ViTModel(ViTConfig(**vit(image_size=32, patch_size=32)), add_pooling_layer=False).eval()  # as DINO is published
    net.save_pretrained(tmp_path)
    frames = materials.drawn(2, 3, 32, 48).clamp(-1, 1)
    keys = dino_keys(tmp_path)(frames)
    assert keys.shape == (2, 1 + 7 * 10, 16)            # 224 x 336 in patches of 32
    last = lambda ending: [module for name, module in net.named_modules() if name.endswith(ending)][-1]
    with torch.no_grad():
        told = net(seen(frames, 224, None, IMAGENET_COLOURS, mode="bilinear"), interpolate_pos_encoding=True,
                   output_hidden_states=True)
        enters = last("layernorm_before")(told.hidden_states[-2])
        assert torch.allclose(keys, last(("key", "k_proj"))(enters), atol=1e-5)
    wide = dino_keys(tmp_path)(materials.drawn(1, 3, 20, 80))
    assert wide.shape == (1, 1 + 3 * 15, 16)            # the long side is 480, the short one 120


def test_a_vector_a_picture(tmp_path):
    from transformers import Dinov2Config, Dinov2Model

    torch.manual_seed(0)
    Dinov2Model(Dinov2Config(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14)
                ).save_pretrained(tmp_path)
    m = replace(materials.material(), objects=dinov2_objects(tmp_path))
    assert m.objects(m.edit).shape == (5, 16)
    assert -1 <= METRICS["object_consistency"](m) < 1
    assert METRICS["object_consistency"](replace(m, edit=m.edit[:1].expand_as(m.edit))) == pytest.approx(1)


# TorchScript

class Scripted(nn.Module):
    def forward(self, x, return_features: bool = False, no_output_bias: bool = False, rescale: bool = True,
                resize: bool = True):
        flat = x.float().flatten(1)
        return flat[:, :5] if return_features else flat[:, :3].softmax(1)


def test_torchscript_is_run_with_trust_only(tmp_path):
    path = tmp_path / "net.pt"
    torch.jit.save(torch.jit.script(Scripted()), path)
    with pytest.raises(BadInput, match="TorchScript, which can run code; pass --trust"):
        inception(path)
    frames = torch.ones(20, 3, 8, 8)
    assert torch.equal(inception(path, trust=True)(frames), torch.full((20, 5), 255.0))
    assert torch.allclose(inception_chances(path, trust=True)(frames).sum(1), torch.ones(20))
    assert torch.equal(i3d(path, trust=True)(frames), torch.ones(1, 5))
    with pytest.raises(BadInput, match="no such file"):
        i3d(tmp_path / "none.pt", trust=True)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(BadInput, match="is no TorchScript"):
        inception(path, trust=True)
