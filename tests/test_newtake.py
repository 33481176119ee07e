"""newtake's own method: it is FateZero in one of two ways, and what the targets change says in which."""

from dataclasses import replace

import networks
import pytest
import torch
from networks import drawn, relative

from newtake import load
from newtake.edits import edited as edit
from newtake.methods import configured
from newtake.methods.newtake import Newtake, alone
from newtake.methods.request import request
from newtake.models.unet import UNet
from newtake.world import Scene
from newtake.world.clips import video

RED = "a red ball on the grass"


def edited(method, model, z0, ask):
    return method(model, method.invert(model, z0, ask), ask)


@pytest.mark.parametrize("reach, way", [(1.0, Newtake._kept), (0.0, Newtake._free)])
def test_it_is_fatezero_in_one_of_two_ways(reach, way):
    model, z0, ask = UNet(networks.unet(), networks.SCHEDULER), drawn(1, 3, 4, 4, 4), alone(networks.asked(), 0)
    method = configured("newtake", steps=4, reach=reach, mask=0.9)
    assert relative(edited(method, model, z0, ask), edited(way(method, ask), model, z0, ask)) < 1e-9


def test_each_target_is_looked_at_by_itself():
    """Of another colour nearly all of the change lies inside the words' mask, of another thing less does; all in one run."""
    model, scene = load("tiny"), Scene(frames=2, size=(64, 64))
    targets = ["a blue ball on the grass", "a red rocket on the grass", "a red ball on the grass in watercolour"]
    ask, z0 = request(model, RED, targets), model.encode(video(scene)[:])
    method = configured("newtake", steps=4)
    path = method.invert(model, z0, ask)
    colour, thing, style = method._reach(model, path, ask)
    assert colour < 0.15 and colour < thing and style == 0            # a style has no place: the shape stays
    method = configured("newtake", steps=4, reach=(colour + thing) / 2)                # one shape stays, one is let go
    both = method(model, path, ask)
    for i, way in enumerate((method._kept(ask), method._free(ask))):
        assert torch.allclose(both[i:i + 1], way(model, path, alone(ask, i)), atol=1e-4)
    for i, target in enumerate(targets):
        assert torch.allclose(both[i:i + 1], method(model, path, request(model, RED, target)), atol=1e-4)


def test_a_mask_that_is_given_says_how_far_the_edit_may_go():
    model, z0 = UNet(networks.unet(), networks.SCHEDULER), drawn(1, 2, 4, 4, 4)
    ask = replace(networks.asked(), mask=torch.ones(2, 8, 8, dtype=torch.bool))
    lets_go = configured("newtake", steps=4, reach=0)
    assert relative(edited(lets_go, model, z0, ask), edited(lets_go._kept(ask), model, z0, ask)) < 1e-9


@pytest.mark.parametrize("name", ["newtake", "fatezero", "masactrl"])
def test_a_target_may_be_longer_than_the_source(name):
    """Words of the target that lie further on than the source's prompt goes have no place in its maps."""
    told = dict(blend_latents=True) if name == "fatezero" else {}
    model, method = load("tiny"), configured(name, steps=2, mask=0.3, **told)
    ask = request(model, "a ball", ["a watercolour painting of a red fish in the snow"])
    assert edited(method, model, model.encode(video(Scene(frames=2, size=(64, 64)))[:]), ask).isfinite().all()


def test_where_an_edit_may_differ_is_told_of_a_method_that_inverts_nothing():
    model, scene = load("tiny"), Scene(frames=2, size=(64, 64))
    done = edit(video(scene), RED, ["a blue ball on the grass"], configured("sdedit", steps=2), model, located=True)
    assert done.inside is not None and done.inside.shape == (1, 2, 16, 16) and 0 < done.inside.float().mean() < 1
