"""Plug-and-Play in one pass is Plug-and-Play with stored features, queries and keys, at the cost its page says."""

from dataclasses import replace

import networks
import pytest
import torch
from injections import Stored
from networks import relative

from newtake.attention.features import Features
from newtake.errors import Note
from newtake.inversion import DDIM, Direct
from newtake.methods import configured
from newtake.methods.plug_and_play import PlugAndPlay
from newtake.models.counted import Counted
from newtake.models.unet import UNet

STEPS, CLIP = 5, networks.clip(2, 4, 6)
FEATURE = "up_blocks.0.resnets.1.conv2"                 # layer 4 of 12 in a decoder of four
FROM = ("up_blocks.0.attentions.1", "up_blocks.1")      # the second half of seven attention layers


def method(**given) -> PlugAndPlay:
    return configured("plug_and_play", steps=STEPS, **given)


def edited(model, method, ask):
    return method(model, method.invert(model, CLIP, ask), ask)


@pytest.mark.parametrize("features, attention, negative", [
    (0.8, 0.4, None), (0.2, 1.0, None), (0.0, 0.6, None), (0.6, 0.4, 0.7),
])
def test_equals_stored_tensors(features, attention, negative):
    ask, model = networks.asked(), Counted(networks.model())
    out = edited(model, method(features_until=features, attention_until=attention, negative=negative), ask)
    many, texts = len(ask.changes), 2 + (negative is not None)
    assert model.evaluations == STEPS + texts * many * STEPS + round(max(features, attention) * STEPS)
    oracle = Stored(networks.unet(), FEATURE)
    levels = UNet(networks.unet(), networks.SCHEDULER).levels(STEPS)
    swap = lambda name, own, source: (*source[:2], own[2]) if name.startswith(FROM) else own
    plan = lambda i: (swap if (i + 1) / STEPS <= attention + 1e-9 else None, (i + 1) / STEPS <= features + 1e-9)
    for target in range(many):
        expected = oracle.edit(CLIP, levels, ask, target, 7.5, plan, negative)
        assert relative(out[target:target + 1], expected) < 1e-9


def test_everything_from_the_source_is_the_source():
    """Of the same prompt, without guidance, from the clip's own latents: nothing changes what is injected into."""
    ask = networks.asked()
    ask = replace(ask, targets=ask.source, changes=ask.changes[:1])
    plain, model = configured("ddim", steps=STEPS, guidance=1), networks.model()
    ours = edited(model, method(guidance=1, maps="reconstruction", features_until=0.2, attention_until=0.2), ask)
    assert relative(ours, edited(model, plain, ask)) < 1e-9


def test_a_mask_keeps_the_clip_outside():
    """The user's mask: at the clean end the clip itself is outside."""
    ask, model = networks.asked(), networks.model()
    mask = torch.zeros(2, 4, 6, dtype=torch.bool)
    mask[:, 1:3, 2:5] = True
    out = edited(model, method(), replace(ask, mask=mask))
    kept = (out == CLIP).all(2)
    assert torch.equal(kept, ~mask.expand_as(kept))


def test_masks_from_words():
    """They are found in the maps of source and target, and where nothing is named everything may change."""
    ask, model = networks.asked(), networks.model()
    out = edited(model, method(mask=0.98), ask)
    assert 0.05 < (out == CLIP).all(2).double().mean() < 0.95
    unnamed = replace(ask, changes=tuple(replace(change, source=(), target=()) for change in ask.changes))
    assert relative(edited(model, method(mask=0.98), unnamed), edited(model, method(), ask)) < 1e-9


def test_the_reference_asks_the_source_without_a_prompt():
    model, ask = networks.model(), networks.asked()
    reference = replace(PlugAndPlay.reference(), setup=method().setup)
    path = reference.invert(model, CLIP, ask)
    assert relative(path.z[0], DDIM()(model, CLIP, ask.null, ask.null, path.levels, 1).z[0]) < 1e-12
    changed = replace(ask, source=ask.targets.times(2))
    assert torch.equal(reference(model, path, changed), reference(model, path, ask))


def test_the_network_is_left_as_it_was_after_an_error():
    model, ask = networks.model(), networks.asked()
    path = method().invert(model, CLIP, ask)
    def fails(feature):
        raise RuntimeError("on the way")
    with pytest.raises(RuntimeError, match="on the way"), model.control(Features(fails)):
        method()(model, path, ask)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.net.modules())
    assert torch.equal(method()(model, path, ask), edited(model, method(), ask))


def test_direct_inversion_is_ddim():
    model, ask = networks.model(), networks.asked()
    direct = replace(method(), setup=replace(method().setup, inversion=Direct()))
    with pytest.warns(Note, match="plug_and_play ignores inversion=direct"):
        assert torch.equal(edited(model, direct, ask), edited(model, method(), ask))
