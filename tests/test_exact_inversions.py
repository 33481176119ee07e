"""Inversions that can be undone, and what is drawn: noise of an edit-friendly path, and of SDEdit."""

import warnings
from dataclasses import replace
from itertools import pairwise
from typing import Any

import networks
import pytest
import torch
from networks import relative
from test_fatezero import Shuffled
from torch import Tensor

from newtake.attention.frames import look_at
from newtake.errors import BadInput, Note
from newtake.guidance import cfg
from newtake.inversion import BDIA, DDIM, EDICT, EditFriendly
from newtake.inversion.trajectory import Inversion, Trajectory, retrace
from newtake.levels import later, noise
from newtake.methods import FateZero, SDEdit, configured
from newtake.methods.method import Setup
from newtake.models.counted import Counted
from newtake.models.unet import UNet

STEPS = 4
EXACT = {"edict": EDICT(), "edict, guided": EDICT(guidance=3.0), "edict, unmixed": EDICT(mix=1.0),
         "bdia": BDIA(), "bdia, guided": BDIA(guidance=3.0), "bdia, 0.97": BDIA(gamma=0.97)}
DRAWN = {"edit_friendly": EditFriendly(seed=1), "edit_friendly, whole": EditFriendly(seed=1, skip=0.0, guidance=1.0)}
COSTS = {"edict": 2 * STEPS, "edict, guided": 4 * STEPS, "bdia": STEPS + 1, "bdia, guided": 2 * STEPS + 2,
         "edit_friendly": 2 * (STEPS - 1), "edit_friendly, whole": STEPS}
KINDS = ("epsilon", "v_prediction")
NARROW: dict[str, Any] = dict(
    block_out_channels=(8,), down_block_types=("CrossAttnDownBlock2D",), up_block_types=("CrossAttnUpBlock2D",),
)


def model(kind: str = "epsilon") -> UNet:
    """One resolution: quick to ask."""
    return UNet(networks.unet(**NARROW), {**networks.SCHEDULER, "prediction_type": kind})


def inverted(network, inversion: Inversion, z0: Tensor, steps: int = STEPS) -> Trajectory:
    ask = networks.asked()
    return inversion(network, z0, ask.source, ask.null, network.levels(steps), 7.5)


def returned(network, inversion: Inversion, path: Trajectory, w: float) -> Tensor:
    """The clip by sampling alone: nothing is put back on the path."""
    ask = networks.asked()
    return retrace(network, inversion, replace(path, pinned=False), ask.source, ask.null, cfg(w))


def psnr(z: Tensor, clip: Tensor) -> float:
    """In dB, of latents: their range is the peak."""
    return float(10 * torch.log10((clip.max() - clip.min()) ** 2 / (z - clip).square().mean()))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", EXACT | DRAWN)
def test_the_clip_returns(name, kind):
    """With the inversion's own guidance, frames looking at others; with another guidance it does not."""
    inversion, z0, network = (EXACT | DRAWN)[name], networks.clip(), model(kind)
    with network.control(look_at("own", "first")):
        path = inverted(network, inversion, z0)
        again, other = (returned(network, inversion, path, w) for w in (inversion.guidance, 7.5))
    assert path.pinned and torch.equal(path.shown(path.z[-1]), z0)
    assert psnr(again, z0) >= 120 and psnr(other, z0) < 60


@pytest.mark.parametrize("name", EXACT | DRAWN)
def test_a_source_row_is_fed_what_the_inversion_fed(name):
    """At every level and in every turn, in the order of sampling."""
    inversion, network, ask = (EXACT | DRAWN)[name], model(), networks.asked()
    path = inverted(network, inversion, networks.clip())
    state = path.z[0]
    for i, at in enumerate(path.levels[:-1]):
        turns = []

        def told(z, at, turn, turns=turns):
            turns.append(turn)
            assert relative(z, path.source_at(at, turn)) < 1e-9 and torch.equal(path.source_at(at, turn), path.fed_at(at, turn))
            return network.guided(z, at, ask.source, ask.null, cfg(inversion.guidance))

        state = inversion.down(path, i, state, told)
        assert turns == list(range(len(path.fed[i])))
        assert relative(state, path.z[i + 1]) < 1e-9


@pytest.mark.parametrize("name", COSTS)
def test_what_it_costs(name):
    network = Counted(model())
    inverted(network, (EXACT | DRAWN)[name], networks.clip(f=1, h=4, w=4))
    assert network.evaluations == COSTS[name]


@pytest.mark.parametrize("inversion", ["edict", "bdia", "edit_friendly"])
@pytest.mark.parametrize("method", ["ddim", "fatezero"])
def test_methods_take_them(method, inversion):
    """Finite, with the same bits twice; without guidance the source's own prompt gives the clip back."""
    ask, network, z0 = networks.asked(), model(), networks.clip(f=2, h=4, w=4)
    told = dict(steps=3, inversion=inversion) | (dict(mask=0.5, blend_latents=True) if method == "fatezero" else {})
    way = configured(method, **told)
    outs = [way(network, way.invert(network, z0, ask), ask) for _ in range(2)]
    assert torch.equal(*outs) and outs[0].isfinite().all() and outs[0].shape == (2, *z0.shape[1:])
    same = configured(method, steps=3, guidance=1, **{"inversion": inversion, "inversion.guidance": 1})
    ask = replace(ask, targets=ask.source, changes=ask.changes[:1])
    quiet = replace(same, self_until=0.0, cross_until=0.0) if isinstance(same, FateZero) else same
    assert psnr(quiet(network, quiet.invert(network, z0, ask), ask), z0) >= 60


def test_bdia_stays_bounded():
    """Over 50 steps, beside DDIM."""
    network, z0 = model(), networks.clip(f=1, h=4, w=4)
    spread = lambda path: torch.stack([path.shown(state).std() for state in path.z])
    ratio = spread(inverted(network, BDIA(), z0, 50)) / spread(inverted(network, DDIM(), z0, 50))
    assert ratio.max() < 3 and ratio.min() > 1 / 3


@pytest.mark.parametrize("inversion, wrong", [(EDICT, dict(mix=0.5)), (BDIA, dict(gamma=0.5)), (BDIA, dict(gamma=1.1)),
                                              (EditFriendly, dict(skip=1.0))])
def test_settings_that_would_not_stay_bounded(inversion, wrong):
    with pytest.raises(BadInput, match=f"{next(iter(wrong))} must be between 0"):
        inversion(**wrong)


# What is drawn

def test_noise_of_a_frame_is_its_own():
    whole = noise(3, range(5), 4, 6)
    assert torch.equal(noise(3, [4, 1], 4, 6), whole[[4, 1]])
    assert not any(torch.equal(a, b) for a, b in pairwise([*whole, *noise(4, range(5), 4, 6)]))
    assert abs(float(noise(0, [0], 10_000).std()) - 1) < 0.03


def test_levels_after_a_share_of_the_steps():
    levels = model().levels(10)
    assert later(levels, 0) == levels
    rest = later(levels, 0.36)
    assert [(at.step, at.of) for at in rest] == [(i, 7) for i in range(8)]
    assert [at.t for at in rest] == [at.t for at in levels[3:]]
    assert [(at.t, at.step, at.of) for at in later(levels, 1)] == [(0, 0, 0)]


def test_edit_friendly_noise():
    """A map of its own for every step; none after the last, as published, on request."""
    network, z0 = model(), networks.clip()
    path, published = (inverted(network, EditFriendly(seed=1, last=last), z0) for last in (True, False))
    assert path.steps == STEPS - 1 and path.noise is not None and published.noise is not None
    assert all(relative(a, b) > 0.1 for a, b in pairwise(path.noise))
    assert not published.noise[-1].any() and all(map(torch.equal, path.noise[:-1], published.noise[:-1]))
    exact, near = (psnr(returned(network, EditFriendly(), way, 3.5), z0) for way in (path, published))
    assert exact >= 60 > near


def edit(network, method, seed: int = 0) -> Tensor:
    ask = replace(networks.asked(), seed=seed)
    return method(network, method.invert(network, networks.clip(), ask), ask)


@pytest.mark.parametrize("method", [
    SDEdit(Setup(steps=3, frames=("own", "middle"))),
    FateZero(Setup(EditFriendly(), steps=3, frames=("own", "middle"))),
], ids=["sdedit", "edit_friendly"])
def test_what_the_seed_does(method):
    network = model()
    first = edit(network, method)
    assert torch.equal(first, edit(network, method)) and relative(edit(network, method, seed=1), first) > 0.01
    assert relative(edit(Shuffled(network), method), first) < 1e-9


def test_a_seed_of_its_own():
    """An inversion's own seed goes before the edit's."""
    def noisiest(own: int | None, edits: int) -> Tensor:
        setup = Setup(EditFriendly(seed=own), steps=2)
        return setup.invert(model(), networks.clip(f=1, h=4, w=4), replace(networks.asked(), seed=edits)).z[0]

    assert torch.equal(noisiest(5, 0), noisiest(None, 5)) and torch.equal(noisiest(5, 0), noisiest(5, 1))
    assert not torch.equal(noisiest(None, 0), noisiest(None, 5))


# SDEdit

def test_strength():
    z0, network = networks.clip(), Counted(model())
    assert torch.equal(edit(network, SDEdit(strength=0.0)), z0.expand(2, *z0.shape[1:])) and network.evaluations == 0
    edit(network, SDEdit(Setup(steps=5), strength=0.6))
    assert network.evaluations == 2 * 2 * 3


def test_outside_a_mask_the_clip_stays():
    z0, ask = networks.clip(), networks.asked()
    mask = torch.zeros(3, 64, 96, dtype=torch.bool)
    mask[:, :32] = True
    method = SDEdit(Setup(steps=3))
    z = method(model(), method.invert(model(), z0, ask), replace(ask, mask=mask))
    still = z0.expand_as(z)
    assert torch.equal(z[..., 4:, :], still[..., 4:, :]) and relative(z[..., :4, :], still[..., :4, :]) > 0.1


def test_what_sdedit_ignores():
    method = SDEdit(Setup(EDICT(), steps=1, mask=0.3))
    ask = replace(networks.asked(), given=("words", "weights"))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", Note)
        method(model(), method.invert(model(), networks.clip(), ask), ask)
    assert [str(w.message).split(":")[0] for w in said] == [
        f"sdedit ignores {what}" for what in ("words", "weights", "mask=0.3", "inversion=edict")]
