"""Inversions that tune or replace the empty prompt, and those that ask again; laws of every inversion."""

from dataclasses import replace
from itertools import pairwise

import networks
import pytest
import torch
from networks import drawn, relative
from torch import Tensor

from newtake.attention.frames import look_at
from newtake.errors import BadInput
from newtake.guidance import cfg
from newtake.inversion import DDIM, INVERSIONS, FixedPoint, NegativePrompt, NullText, negative_prompt
from newtake.inversion.secants import combined, undoing
from newtake.inversion.trajectory import Inversion, Trajectory, retrace
from newtake.methods import configured
from newtake.models.counted import Counted
from newtake.models.model import Text
from newtake.models.unet import UNet

W, STEPS = 7.5, 3
CLIP = networks.clip(f=2, h=4, w=4)
KINDS = ("epsilon", "v_prediction")
EACH = {name: cls() for name, cls in INVERSIONS.items()} | {
    "null_text, adam": NullText.reference(inner=2), "null_text, a frame": NullText(shared=False, start="empty"),
    "null_text, once": NullText(once=True), "negative_prompt, turned": NegativePrompt(towards_empty=0.3),
    "fixed_point, plain": FixedPoint(anderson=0),
}


def model(kind: str = "epsilon", **config) -> UNet:
    return UNet(networks.unet(**config), {**networks.SCHEDULER, "prediction_type": kind})


def inverted(network, inversion: Inversion, z0: Tensor | None = None, steps: int = STEPS, w: float = W) -> Trajectory:
    ask = networks.asked()
    return inversion(network, CLIP if z0 is None else z0, ask.source, ask.null, network.levels(steps), w)


def error(network, inversion: Inversion, path: Trajectory, z0: Tensor | None = None, w: float = W) -> float:
    ask = networks.asked()
    again = retrace(network, inversion, replace(path, pinned=False), ask.source, ask.null, cfg(w))
    return float((again - (CLIP if z0 is None else z0)).square().mean())


# Every inversion

@pytest.mark.parametrize("name", EACH)
def test_a_path(name):
    """Of the right lengths and shapes, the clip at its end, the same bits twice, the network as it was."""
    network, inversion, z0 = model(), EACH[name], CLIP
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in network.net.modules()]
    with network.control(look_at("own", "first")):
        path, again = (inverted(network, inversion) for _ in range(2))
    assert len(path.z) == len(path.levels) == path.steps + 1 and len(path.fed) == path.steps
    assert all(z.shape[:2] == z0.shape[:2] and z.dtype == z0.dtype for z in path.z)
    assert all(z.isfinite().all() and not z.requires_grad for z in path.z)
    assert all(fed.shape[1:] == z0.shape[1:] for fed in path.fed) and torch.equal(path.shown(path.z[-1]), z0)
    assert all(series is None or len(series) == path.steps for series in (path.null, path.noise))
    assert all(torch.equal(a, b) for a, b in zip([*path.z, *path.fed], [*again.z, *again.fed], strict=True))
    nulls = zip(path.null or [], again.null or [], strict=True)
    assert all(torch.equal(a.tokens, b.tokens) and not a.tokens.requires_grad for a, b in nulls)
    assert hooks == [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in network.net.modules()]
    assert all(p.grad is None and not p.requires_grad for p in network.net.parameters())


@pytest.mark.parametrize("name", ["null_text, a frame", "negative_prompt", "edit_friendly", "bdia"])
def test_a_folder_holds_it(name, tmp_path):
    path = inverted(model(), EACH[name])
    path.save(tmp_path / "path")
    again = Trajectory.load(tmp_path / "path")
    assert all(map(torch.equal, path.z, again.z)) and (path.null is None) == (again.null is None)
    assert all(torch.equal(a.tokens, b.tokens) for a, b in zip(path.null or [], again.null or [], strict=True))


@pytest.mark.parametrize("name, method", [
    ("null_text", "fatezero"), ("null_text, a frame", "ddim"), ("negative_prompt", "fatezero"), ("fixed_point", "ddim"),
])
def test_methods_take_it(name, method):
    network, ask = model(), networks.asked()
    edit = configured(method, steps=2)
    edit = replace(edit, setup=replace(edit.setup, inversion=EACH[name]))
    assert edit(network, edit.invert(network, CLIP, ask), ask).isfinite().all()


# Null-text

@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["null_text", "null_text, adam", "null_text, a frame", "null_text, once"])
def test_null_text_returns_the_clip_nearer(name, kind):
    """Than the plain empty prompt does under guidance."""
    network, inversion = model(kind), replace(EACH[name], inner=4)
    path = inverted(network, inversion)
    assert path.null is not None
    assert error(network, inversion, path) < 0.98 * error(network, inversion, replace(path, null=None))


def test_secants_against_adam():
    """From the empty prompt in as many rounds, an error that is less; from the source prompt less than that prompt has."""
    network = model()
    tuned = lambda **given: error(network, DDIM(), inverted(network, NullText(enough=0, easier=0, **given)))
    assert tuned(start="empty", inner=4) < tuned(start="empty", inner=4, optimiser="adam")
    source = error(network, DDIM(), inverted(network, NegativePrompt()))
    assert tuned(inner=4) < tuned(inner=1) < source


def test_a_prompt_for_each_frame():
    """Frames that see nothing of each other are tuned as they are alone."""
    network, inversion = model(), NullText(shared=False, start="empty", inner=2, optimiser="adam", enough=0)
    path, z0 = inverted(network, inversion), CLIP
    assert path.null is not None and path.null[0].tokens.shape == (1, 2, networks.TOKENS, networks.CHANNELS)
    alone = inverted(network, inversion, z0[:, 1:2]).null
    assert alone is not None
    moved = (path.null[-1].tokens - networks.asked().null.tokens[:, None]).abs().mean()
    assert (path.null[-1].tokens[:, 1:2] - alone[-1].tokens).abs().mean() < 0.01 * moved      # Adam divides by small gradients


def test_one_prompt_for_all_steps():
    path = inverted(model(), NullText(once=True, inner=3, start="empty"))
    assert path.null is not None and all(null is path.null[0] for null in path.null)
    assert relative(path.null[0].tokens, networks.asked().null.tokens) > 1e-3


def test_without_guidance_nothing_is_tuned():
    network = Counted(model())
    assert inverted(network, NullText(), w=1).null is None and network.evaluations == STEPS
    assert inverted(network, NullText(guidance=1)).null is None
    assert inverted(network, NullText(guidance=3), w=1).null is not None


def test_what_null_text_costs():
    """The prompted answer once a step; where the first error is small enough, no round; and the published loop one anyway."""
    for inversion, evaluations in {
        NullText(inner=2, enough=0, easier=0): STEPS * (3 + 2 * 3), NullText(inner=2, enough=1e9): STEPS * 3,
        NullText.reference(inner=2, enough=0, easier=0): STEPS * (3 + 2 * 3), NullText.reference(enough=1e9): STEPS * (3 + 3),
    }.items():
        network = Counted(model())
        inverted(network, inversion)
        assert network.evaluations == evaluations, inversion


def test_gradients_reach_the_tokens_through_controls():
    """The gradient under frame attention is that of differences; no outer no_grad is in its way."""
    network, ask, z0 = model(), networks.asked(), CLIP
    at, tokens, towards = network.levels(4)[1], ask.null.tokens, drawn(1, networks.TOKENS, networks.CHANNELS, seed=9)
    said = lambda tokens: network.predict(z0, at, Text(tokens), prompted=False).out.square().sum()
    with network.control(look_at("first", "previous")):
        with torch.enable_grad():
            here = tokens.clone().requires_grad_()
            (grad,) = torch.autograd.grad(said(here), here)
        measured = (said(tokens + 1e-5 * towards) - said(tokens - 1e-5 * towards)) / 2e-5
    assert relative((grad * towards).sum(), measured) < 1e-6


@pytest.mark.parametrize("norms", ["frame", "clip"])
def test_gradient_checkpointing(norms):
    """The same prompts, under controls, with fewer tensors kept for the gradient; the network's own setting stays."""
    kept, nulls = [], []
    for checkpointed in (False, True):
        network = networks.model(norms=norms)
        if checkpointed:
            network.net.enable_gradient_checkpointing()
        funcs = [m.__dict__.get("_gradient_checkpointing_func") for m in network.net.modules()]
        sizes = []
        keep = lambda z, sizes=sizes: (sizes.append(z.numel()), z)[1]
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda z: z), network.control(look_at("first", "previous")):
            path = inverted(network, NullText(inner=2, start="empty", enough=0), steps=2)
        assert funcs == [m.__dict__.get("_gradient_checkpointing_func") for m in network.net.modules()]
        assert path.null is not None
        nulls.append(path.null[-1].tokens)
        kept.append(sum(sizes))
    assert relative(*nulls) < 1e-9 and kept[1] < 0.7 * kept[0]


def test_vid2vid_zeros_path():
    """Inverted with the empty prompt, tuned against the source's."""
    network, ask = model(), networks.asked()
    path = inverted(network, NullText(prompted=False, inner=1))
    plain = DDIM()(network, CLIP, ask.null, ask.null, network.levels(STEPS), 1)
    assert all(map(torch.equal, path.z, plain.z)) and path.null is not None


@pytest.mark.parametrize("given, wrong", [
    ("inner=501", "inner must be between 1 and 500, not 501"), ("inner=0", "inner must be between 1 and 500, not 0"),
    ("start=here", "inversion.start is a name, one of source, empty, not 'here'"),
    ("optimiser=sgd", "inversion.optimiser is a name, one of secants, adam, not 'sgd'"),
    ("guidance=101", "guidance must be between 0 and 100, not 101.0"),
])
def test_settings_of_null_text(given, wrong):
    name, value = given.split("=")
    with pytest.raises(BadInput) as said:
        configured("ddim", inversion="null_text", **{f"inversion.{name}": value})
    assert str(said.value) == wrong


# Negative prompts

def test_negative_prompt():
    """Guidance between the same prompts is none."""
    network, ask = model(), networks.asked()
    path = inverted(network, NegativePrompt())
    assert path.null is not None and all(torch.equal(null.tokens, ask.source.tokens) for null in path.null)
    assert error(network, DDIM(), path) == pytest.approx(error(network, DDIM(), replace(path, null=None), w=1), rel=1e-6)


def test_turned_towards_the_empty_prompt():
    """Along the arc, of the length of the ends."""
    ask = networks.asked()
    turned = lambda share: negative_prompt.between(ask.source, ask.null, share).tokens
    assert torch.equal(turned(0), ask.source.tokens) and torch.equal(turned(1), ask.null.tokens)
    a, b, half = (z.flatten() for z in (ask.source.tokens, ask.null.tokens, turned(0.5)))
    cos = lambda a, b: torch.nn.functional.cosine_similarity(a, b, dim=0)
    assert relative(half, (a + b) / (2 * (0.5 * cos(a, b).acos()).cos())) < 1e-12


# Fixed points

@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("anderson", [0, 2])
def test_more_rounds_reconstruct_better(anderson, kind):
    network = model(kind)
    inversion = lambda rounds: FixedPoint(rounds=rounds, anderson=anderson)
    errors = [error(network, inversion(n), inverted(network, inversion(n)), w=1) for n in (0, 1, 3, 6)]
    assert all(b < 0.5 * a for a, b in pairwise(errors)), errors
    assert errors[0] == pytest.approx(error(network, DDIM(), inverted(network, DDIM()), w=1), rel=1e-9)


def test_anderson_is_ahead():
    network = model("v_prediction")
    errors = [error(network, DDIM(), inverted(network, FixedPoint(6, anderson)), w=1) for anderson in (0, 2)]
    assert errors[1] < 0.01 * errors[0]


def test_what_was_fed_repeats_the_step():
    network = model()
    path = inverted(network, FixedPoint(rounds=8))
    assert all(relative(path.fed_at(at), path.z[at.step]) < 1e-2 for at in path.levels[:-1])
    counted = Counted(network)
    inverted(counted, FixedPoint(rounds=2))
    assert counted.evaluations == 3 * STEPS


# Secants

def test_what_is_linear_is_undone():
    changes = [drawn(3, 5, seed=i) for i in range(3)]
    off = combined([2.0, -1.0, 0.5], changes, torch.zeros(3, 5, dtype=torch.float64))
    assert undoing(off, changes) == pytest.approx([-2, 1, -0.5])
    assert undoing(off, []) == [] and undoing(off, [torch.zeros(3, 5)]) == [0]
    twice = undoing(off, [changes[0], changes[0]])
    assert all(abs(factor) < 10 for factor in twice)
