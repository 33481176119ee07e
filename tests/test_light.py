"""Lighter models say what the plain one says, with controls open."""

from copy import deepcopy
from dataclasses import replace

import invited
import networks
import pytest
import torch
from checkpoints import folder
from networks import asked, clip, drawn, relative

import newtake
from newtake.attention.call import compose
from newtake.attention.frames import look
from newtake.attention.rows import from_source
from newtake.errors import BadInput
from newtake.inversion import NullText
from newtake.levels import Level
from newtake.models import light
from newtake.models.light import LIGHT, lighten, offloaded
from newtake.models.unet import UNet

AT = Level(500, 0.5, 0.8, 0, 5)
Z = torch.cat([clip(), drawn(*clip().shape, seed=9)]).float()
EDITED = lambda call, attend: from_source([asked().changes[1].edit])(call, attend) if call.kind == "cross" else attend(call)
NEAR = {"channels_last": 1e-5, "fp8": 0.15, "offload": 0.0}     # the share of the greatest answer that they may differ by


@pytest.fixture(scope="module")
def sd1(tmp_path_factory):
    return folder(tmp_path_factory.mktemp("checkpoints") / "sd1", "sd1")


def model(norms: str = "frame") -> UNet:
    """With a guest of each kind."""
    own = networks.model(torch.float32, norms)
    return own.with_guests(*invited.guests(own.net, invited.pictures(), scale=0.5))


def said(model: UNet) -> torch.Tensor:
    """Under a control of frames and an edit of maps; and every site is seen, or the seam says so."""
    with model.control(compose(look("middle"), EDITED)):
        return model.predict(Z, AT, asked().targets).out


def made(name: str, model: UNet) -> UNet:
    if name == "offload":                               # onto the processor, from the processor
        offloaded(model, torch.device("cpu"))
    else:
        lighten(model, [name])
    return model


@pytest.mark.parametrize("name", NEAR)
@pytest.mark.parametrize("norms", ["frame", "clip"])
def test_it_says_what_the_plain_one_says(name, norms):
    plain, lighter = model(norms), made(name, model(norms))
    far = relative(said(lighter), said(plain))
    assert far <= NEAR[name] and (name != "fp8" or far > 0)
    assert torch.equal(said(lighter), said(lighter))
    assert (lighter.dtype, lighter.device) == (plain.dtype, plain.device)
    assert (lighter.hash == plain.hash) == (name == "offload")     # which is not asked by its name here


def test_weights_of_8_bits():
    """Of guests too; norms, ends and the embedding of time stay.  Twice is once, and the hash is of what lies there."""
    lighter = model()
    before = lighter.hash
    lighten(lighter, ["fp8"])
    said(lighter)
    for net in light.denoisers(lighter):
        small = {name for name, weight in net.named_parameters() if weight.dtype == light.EIGHT}
        assert small and not any(kept in name for name in small for kept in light.KEPT)
    assert not any("conv_in" in n or "time_emb" in n for n, w in lighter.net.named_parameters() if w.dtype == light.EIGHT)
    after = lighter.hash
    lighten(lighter, ["fp8"])
    assert before != after == lighter.hash


@pytest.mark.parametrize("name", ["fp8", "offload"])
def test_no_gradients_where_weights_come_and_go(name):
    lighter, ask = made(name, networks.model(torch.float32)), asked()
    tune = replace(NullText(), inner=1, enough=0.0)
    with pytest.raises(BadInput, match=f"with {name} there are no gradients, .* take another inversion"):
        tune(lighter, clip().float(), ask.source, ask.null, lighter.levels(2), 7.5)


def test_compiled_parts_are_plain_where_somebody_listens(monkeypatch):
    """What is compiled is asked for where nobody listens inside, and only there; a copy asks for its own weights."""
    asked_for = []
    noted = lambda kind: lambda part, *args, **kw: (asked_for.append(part), kind.forward(part, *args, **kw))[1]
    monkeypatch.setattr(light, "fast", noted)
    monkeypatch.setattr(light, "can_compile", lambda model: None)
    for norms, kinds in (("frame", {"FeedForward", "ResnetBlock2D"}), ("clip", {"FeedForward"})):
        plain, quick = networks.model(torch.float32, norms), networks.model(torch.float32, norms)
        light.compiled(quick)
        asked_for.clear()
        assert torch.equal(said(quick), said(plain))
        assert {type(part).__name__ for part in asked_for} == kinds
        copied = UNet(deepcopy(quick.net), quick.scheduler, norms)
        for weight in copied.net.parameters():
            weight.zero_()
        assert said(copied).abs().max() == 0 and torch.equal(said(quick), said(plain))


def test_tiles(sd1, monkeypatch):
    """Pictures as large as a tile are as they were; larger ones are near."""
    monkeypatch.setattr(light, "TILE", 32)
    plain, tiled = (newtake.load(sd1, device="cpu") for _ in range(2))
    tiled.vae.net.tile_sample_min_size = 16
    lighten(tiled, ["tiling"])
    assert tiled.vae.net.tile_latent_min_size * tiled.factor == 32
    side = tiled.vae.net.tile_sample_min_size
    small, large = (torch.nn.functional.interpolate(drawn(1, 3, 4, 4), (side, many * side), mode="bicubic").float().clamp(-1, 1)
                    for many in (1, 2))
    assert torch.equal(tiled.encode(small), plain.encode(small))
    assert tiled.encode(large).shape == plain.encode(large).shape
    z = plain.encode(large)
    assert 0 < (tiled.decode(z) - plain.decode(z)).abs().mean() < 0.5


@pytest.mark.parametrize("names, line", [
    (["fp7"], "unknown way to make a model light 'fp7'; known are tiling, channels_last, fp8, compile, offload"),
    (["offload"], "offload is for a GPU with memory of its own, and the model is on cpu; leave offload out"),
    (["tiling"], "this model has no autoencoder to tile"),
    (["compile", "fp8"], "compile does not go with fp8; leave one of them out"),
])
def test_what_cannot_be(names, line):
    plain = networks.model(torch.float32)
    before = plain.hash
    with pytest.raises(BadInput, match=line) as wrong:
        lighten(plain, ["channels_last", *names])
    assert "\n" not in str(wrong.value) and plain.hash == before


def test_devices_and_machines_without(monkeypatch):
    plain = networks.model(torch.float32)

    def fails(*_, **__):
        raise RuntimeError("no such thing\nat all")

    monkeypatch.setattr(torch, "compile", fails)
    monkeypatch.setattr(light, "EIGHT", torch.quint4x2)
    for name, line in (("compile", "torch.compile does not work here"), ("fp8", "cpu does not know numbers of 8 bits")):
        with pytest.raises(BadInput, match=line) as wrong:
            lighten(plain, [name])
        assert "\n" not in str(wrong.value)


def test_every_way_says_what_it_does():
    assert all(ways.__doc__ and "\n" not in ways.__doc__ for ways in LIGHT.values())
