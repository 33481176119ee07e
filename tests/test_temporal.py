"""What makes a video network of an image network."""

import pytest
import torch
from networks import CHANNELS, SCHEDULER, clip, drawn, model, relative, unet
from torch import nn

from newtake.errors import BadInput
from newtake.models.model import Text
from newtake.models.temporal import (
    FullTemporalConv,
    TemporalAttention,
    TemporalConv,
    clip_norms,
    is_temporal,
    residual_norms,
    temporal_layers,
)
from newtake.models.unet import UNet

BLOCK = "down_blocks.0.attentions.0.transformer_blocks.0"


def ask(model: UNet, z: torch.Tensor) -> torch.Tensor:
    return model.predict(z, model.levels(5)[2], Text(drawn(len(z), 12, CHANNELS, seed=9))).out


def hooks(net: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in net.modules())


def attention(channels: int = 8) -> dict[str, torch.Tensor]:
    """Weights of a temporal attention, as Tune-A-Video names them."""
    layer = TemporalAttention(channels, heads=2)
    return {f"{BLOCK}.{name}": drawn(*weight.shape, seed=i) for i, (name, weight) in enumerate(layer.state_dict().items())}


def test_clip_norms_are_those_of_the_frames_side_by_side():
    """The norm of a clip is the norm of one picture in which its frames hang one below the other."""
    net = unet()
    z = drawn(2, 8, 3, 6, 4)                                    # r c f h w
    norm = net.down_blocks[0].resnets[0].norm1
    expected = norm(z.reshape(2, 8, 18, 4)).reshape(z.shape)
    with clip_norms(net, 3):
        out = norm(z.transpose(1, 2).flatten(0, 1))
    assert relative(out.unflatten(0, (2, 3)).transpose(1, 2), expected) < 1e-12
    assert hooks(net) == 0


def test_clip_norms_mix_frames_and_not_rows():
    z = torch.cat([clip(), clip() * 0.5 + 0.1])
    other = z.clone()
    other[0, 2] += 1
    for norms in ("frame", "clip"):
        net = model(norms=norms)
        before, after = ask(net, z), ask(net, other)
        assert torch.equal(before[0, :2], after[0, :2]) == (norms == "frame")
        assert relative(after[1], before[1]) < 1e-12


def test_clip_norms_of_equal_frames_are_those_of_one():
    still = clip(f=1).expand(-1, 3, -1, -1, -1)
    assert relative(ask(model(norms="clip"), still), ask(model(), still)) < 1e-10


def test_every_norm_of_the_residual_path():
    net = unet()
    norms = [name for name, module in net.named_modules() if module in set(residual_norms(net))]
    assert len(norms) == len({*norms}) and "conv_norm_out" in norms
    assert all("resnets" in name or name == "conv_norm_out" for name in norms)
    assert sum("resnets" in name for name in norms) == sum(name.count(".norm1") for name, _ in net.named_modules()
                                                           if "resnets" in name) * 2


def test_temporal_attention_sees_all_frames_in_any_order():
    net = unet()
    video = UNet(net, SCHEDULER, temporal=temporal_layers(net, attention()))
    z = clip(f=4)
    text, at = Text(drawn(1, 12, CHANNELS)), video.levels(5)[2]
    out = video.predict(z, at, text).out
    order = torch.tensor([2, 0, 3, 1])
    assert relative(video.predict(z[:, order], at, text).out, out[:, order]) < 1e-10
    changed = z.clone()
    changed[:, 3] += 1
    assert not torch.allclose(video.predict(changed, at, text).out[:, 0], out[:, 0])
    assert hooks(net) == 0


def test_temporal_sites_are_seen_by_controls():
    net = unet()
    video = UNet(net, SCHEDULER, temporal=temporal_layers(net, attention()))
    seen = []

    def watch(call, attend):
        seen.append((call.kind, call.site.name, tuple(call.q.shape)))
        return attend(call)

    with video.control(watch):
        ask(video, clip(f=4, h=16, w=8))
    assert [shape for kind, name, shape in seen if kind == "temporal"] == [(1, 128, 2, 4, 4)]      # r p heads f d
    assert [name for kind, name, _ in seen if kind == "temporal"] == [f"{BLOCK}.attn_temp"]


@pytest.mark.parametrize("name, weights, kind", [
    ("conv_in.conv_temporal", {"down.weight": (3, 8, 3), "up.weight": (8, 3, 3)}, TemporalConv),
    ("conv_in.conv_temporal", {"weight": (8, 8, 3), "bias": (8,)}, FullTemporalConv),
])
def test_temporal_convolutions(name, weights, kind):
    """A place at a time, by torch's own convolution over the frames."""
    net = unet()
    given = {f"{name}.{key}": drawn(*shape, seed=4) for key, shape in weights.items()}
    layer = temporal_layers(net, given)["conv_in"]
    assert isinstance(layer, kind)
    x = drawn(5, 4, 8)                                          # p f c
    conv = lambda x, weight, bias=None: torch.nn.functional.conv1d(x.mT, weight, bias, padding=1).mT
    by_key = {key: given[f"{name}.{key}"] for key in weights}
    expected = conv(x, by_key["weight"], by_key["bias"]) if kind is FullTemporalConv else (
        x + conv(conv(x, by_key["down.weight"]), by_key["up.weight"]))
    assert relative(layer(x), expected) < 1e-12
    z = clip(f=4)
    plain, video = UNet(net, SCHEDULER), UNet(net, SCHEDULER, temporal={"conv_in": layer})
    assert not torch.allclose(ask(video, z), ask(plain, z))
    for weight in layer.parameters():
        weight.zero_()
    if kind is TemporalConv:                                    # untrained, it is the identity
        assert torch.equal(ask(video, z), ask(plain, z))


def test_both_names_are_one_layer():
    net = unet()
    weights = attention()
    tuned, fused = temporal_layers(net, weights), temporal_layers(
        net, {name.replace("_temp.", "_temporal."): weight for name, weight in weights.items()})
    x = drawn(6, 4, 8)
    assert list(tuned) == list(fused) == [BLOCK] and torch.equal(tuned[BLOCK](x), fused[BLOCK](x))
    assert all(map(is_temporal, weights)) and not any(map(is_temporal, net.state_dict()))


def test_other_names_are_told():
    with pytest.raises(BadInput, match="motion_module"):
        temporal_layers(unet(), {"motion_module.weight": torch.zeros(1)})
