"""MasaCtrl in one pass is MasaCtrl with stored keys and values, at the cost its page says."""

import networks
import pytest
import torch
import torch.nn.functional as F
from injections import Stored
from networks import relative

from newtake.attention.call import Call, Frames, Site, attend, compose
from newtake.attention.frames import look
from newtake.methods import configured
from newtake.methods.masactrl import MasaCtrl
from newtake.models.counted import Counted
from newtake.models.unet import UNet

STEPS, CLIP = 5, networks.clip(2, 4, 6)
LATE = {10: ("up_blocks.1",), 8: ("up_blocks.0.attentions.1", "up_blocks.1"), 0: ("down", "mid", "up")}    # layer -> sites


def method(**given) -> MasaCtrl:
    return configured("masactrl", steps=STEPS, **given)


def edited(model, method, ask):
    return method(model, method.invert(model, CLIP, ask), ask)


@pytest.mark.parametrize("since, layer", [(0.2, 10), (0.0, 8), (0.6, 0)])
def test_equals_stored_tensors(since, layer):
    ask, model = networks.asked(), Counted(networks.model())
    out = edited(model, method(since=since, layer=layer), ask)
    many = len(ask.changes)
    assert model.evaluations == STEPS + 2 * many * STEPS + STEPS - round(since * STEPS)
    oracle = Stored(networks.unet())
    levels = UNet(networks.unet(), networks.SCHEDULER).levels(STEPS)
    looks = lambda name, own, source: (own[0], *source[1:]) if name.startswith(LATE[layer]) else own
    plan = lambda i: (looks if i >= round(since * STEPS) else None, False)
    for target in range(many):
        expected = oracle.edit(CLIP, levels, ask, target, 7.5, plan)
        assert relative(out[target:target + 1], expected) < 1e-9


def test_never_looking_is_ddim():
    model, ask = networks.model(), networks.asked()
    assert relative(edited(model, method(since=1), ask), edited(model, configured("ddim", steps=STEPS), ask)) < 1e-9


@pytest.mark.parametrize("frames, seen", [("first,previous", [[0, 0], [0, 0], [0, 1]]), ("dense", [[0, 1, 2]] * 3)])
def test_frames_of_the_source(frames, seen):
    """Frame attention stands outside: a frame of a target looks at the source's frames that it would look at of its own."""
    q, k, v = (networks.drawn(2, 3, 2, 6, 4, seed=seed) for seed in (1, 2, 3))
    at = networks.model().levels(4)[1]
    call = Call(Site("", "up", 0, 0.9), "self", at, True, Frames.all(3), (2, 3), q, k, v, networks.drawn(2, 3, 6, 8))
    out = compose(look(*frames.split(",")), *method(since=0.2)._controls())(call, attend)
    for row in range(2):
        for frame in range(3):
            keys, values = (torch.cat([*z[0, seen[frame]]], 1) for z in (k, v))
            expected = F.scaled_dot_product_attention(q[row, frame], keys, values)
            assert relative(out[row, frame], expected) < 1e-9


def test_the_reference_has_the_published_settings():
    reference = MasaCtrl.reference()
    assert (reference.maps, reference.prompted, reference.layer) == ("reconstruction", False, 10)
    at = [level for level in networks.model().levels(50) if level.t and not level.inside(reference.since)]
    assert at[0].step == 4
