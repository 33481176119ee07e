"""The seam of features: which blocks there are, what a control sees, and that nothing stays behind."""

import networks
import pytest
import torch
from networks import relative

from newtake.attention.call import Frames, deep
from newtake.attention.features import Features, features, from_source
from newtake.attention.seam import Pass
from newtake.errors import BadInput
from newtake.models.counted import Counted
from newtake.models.model import Text
from newtake.models.unet import UNet

TEXT = Text(networks.drawn(1, networks.TOKENS, networks.CHANNELS, seed=2))
Z = networks.drawn(2, 3, 4, 4, 6)                       # two rows, three frames


def asked(model, *controls):
    with model.control(*controls):
        return model.predict(Z, model.levels(4)[1], TEXT, frames=Frames(torch.tensor([4, 2, 0]), 5)).out


def test_layers_are_where_the_papers_count_them():
    """In Stable Diffusion 1's layout: layer 4 of the decoder, and attention from layers 8 and 10 of sixteen on."""
    net = networks.unet(
        torch.float32, block_out_channels=(4, 4, 4, 4), layers_per_block=2,
        down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
    )
    model = UNet(net, networks.SCHEDULER)
    (here,) = (b for b in model.blocks if b.stage == "up" and b.index == 4 * b.of // 12)
    assert (here.name, here.of) == ("up_blocks.1.resnets.1", 12)
    seen: dict[int, list[str]] = {8: [], 10: []}
    def note(call, attend):
        for layer, names in seen.items():
            names += [call.site.name] * deep(layer)(call)
        return attend(call)
    with model.control(note):
        model.predict(networks.drawn(1, 1, 4, 16, 16).float(), model.levels(2)[0], TEXT)
    first = {layer: names[0].split(".transformer")[0] for layer, names in seen.items()}
    assert first == {8: "up_blocks.1.attentions.1", 10: "up_blocks.2.attentions.0"}
    assert {layer: len(names) for layer, names in seen.items()} == {8: 8, 10: 6}


def test_what_a_control_sees():
    model, seen, kept = networks.model(), [], {}
    hook = model.net.up_blocks[1].resnets[0].conv2.register_forward_hook(lambda layer, args, out: kept.update(out=out))
    asked(model, Features(lambda feature: (seen.append(feature), feature.z)[1]))
    hook.remove()
    names = [f.block.name for f in seen if f.block.stage == "up"]
    assert names == [f"up_blocks.{b}.resnets.{i}" for b in (0, 1) for i in (0, 1)]
    assert all(f.prompted and f.level.step == 1 and f.frames.numbers.tolist() == [4, 2, 0] for f in seen)
    (here,) = (f.z for f in seen if f.block.name == "up_blocks.1.resnets.0")
    assert torch.equal(here.flatten(0, 1), kept["out"]) and here.shape[:2] == (2, 3)


def test_what_it_returns_takes_the_place():
    model = networks.model()
    last = lambda feature: from_source(feature) if feature.block.name == "up_blocks.1.resnets.1" else feature.z
    kept, out = [], asked(model, Features(last))
    conv = model.net.up_blocks[1].resnets[1].conv2
    with conv.register_forward_hook(lambda layer, args, out: kept.append(out)):
        plain = asked(model)
    with conv.register_forward_hook(lambda layer, args, out: kept[0][:3].repeat(2, 1, 1, 1)):
        expected = asked(model)
    assert relative(out, expected) < 1e-12
    assert torch.equal(out[0], plain[0]) and not torch.equal(out[1], plain[1])


@pytest.mark.parametrize("wrap", [lambda model: model, Counted], ids=["plain", "counted"])
def test_nested_inner_first_and_restored(wrap):
    inner = networks.model()
    model, plain = wrap(inner), asked(inner)
    def on_the_first(do):
        return Features(lambda f: do(f.z) if f.block.name == "down_blocks.0.resnets.0" else f.z)
    double, more, both = (on_the_first(do) for do in (lambda z: 2 * z, lambda z: z + 1, lambda z: 2 * (z + 1)))
    doubled, nested = asked(inner, double), asked(inner, both)
    with model.control(double):
        assert relative(asked(model, more), nested) < 1e-12
        with pytest.raises(RuntimeError, match="on the way"):
            asked(model, Features(fails))
        assert torch.equal(asked(model), doubled)
    assert torch.equal(asked(model), plain) and not torch.equal(plain, doubled)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in inner.net.modules())


def fails(feature):
    raise RuntimeError("on the way")


def test_without_residual_blocks():
    during = Pass(networks.model().levels(2)[0], True, 1, Frames.all(1), (4, 4))
    with pytest.raises(BadInput, match="no residual blocks"), features({}, [Features(from_source)], during):
        pass
