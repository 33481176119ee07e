"""Methods that denoise the source beside the targets: they are what stored maps make, at the cost that the docs say."""

from dataclasses import replace
from itertools import cycle

import networks
import pytest
import torch
from networks import drawn, relative
from oracles import SideBySide, StoredMaps
from torch import Tensor

from newtake.attention.regions import resized
from newtake.errors import BadInput, Note
from newtake.inversion import DDIM, INVERSIONS, Direct
from newtake.inversion.trajectory import Trajectory
from newtake.methods import FateZero, PromptToPrompt, Vid2VidZero, VideoP2P
from newtake.methods.method import Setup
from newtake.methods.request import Request
from newtake.models.counted import Counted
from newtake.models.model import Text
from newtake.models.temporal import TemporalAttention, temporal_layers
from newtake.models.unet import UNet

STEPS, SMALL = 5, dict(f=2, h=6, w=4)
FRAMES = ("own", "middle")                              # as the oracle has them
CASES = {                                               # mask, cross_until, self_until, edited_words
    "maps": (None, 0.8, 0.4, False),
    "maps and mask": (0.7, 0.4, 0.6, False),
    "mask of edited maps": (0.6, 0.8, 0.2, True),
    "mask alone": (0.7, 0.0, 0.0, False),
}


def setup(inversion=DDIM(), mask=None, frames=FRAMES) -> Setup:
    return Setup(inversion, STEPS, 7.5, frames, mask)


def asked() -> Request:
    """A word with steps of its own; in both prompts something that is to be left alone."""
    ask = networks.asked()
    first, second = (replace(change, spared=((6,), (7, 8))) for change in ask.changes)
    return replace(ask, changes=(replace(first, shares={4: (0.0, 0.6), 5: (0.2, 0.4)}), second))


def path_of(method, ask: Request, tuned: bool = False) -> Trajectory:
    path = method.invert(networks.model(), networks.clip(**SMALL), ask)
    nulls = [Text(drawn(1, networks.TOKENS, networks.CHANNELS, seed=30 + i)) for i in range(STEPS)]
    return replace(path, null=nulls) if tuned else path


def by_hand(method, path: Trajectory, ask: Request, target: int, decoupled: bool = False, **more) -> Tensor:
    net = networks.unet()
    maps = StoredMaps(net, path.levels, ask, method.self_until, method.cross_until, method.setup.mask, True, fuse=False)
    maps.z, maps.store = path.z, [{} for _ in range(STEPS)]
    tuned = [path.null_at(at, ask.null).tokens for at in path.levels[:-1]]
    nulls = [(tokens, ask.null.tokens if decoupled else tokens) for tokens in tuned]
    return SideBySide(maps, path.z, nulls, path.pinned, **more).edit(target)


@pytest.mark.parametrize("inversion", [DDIM(), Direct()], ids=["stepped", "pinned"])
@pytest.mark.parametrize("name", CASES)
def test_equals_stored_maps(name, inversion):
    mask, cross_until, self_until, edited_words = CASES[name]
    method = PromptToPrompt(setup(inversion, mask), cross_until, self_until, edited_words=edited_words)
    ask, model = asked(), Counted(networks.model())
    path = path_of(method, ask, tuned=name == "maps and mask")
    out = method(model, path, ask)
    needed = STEPS if mask is not None else round(max(self_until, cross_until, 0.6) * STEPS)
    assert model.evaluations == len(ask.changes) * 2 * STEPS + (1 if path.pinned else 2) * needed
    for target in range(len(ask.changes)):
        expected = by_hand(method, path, ask, target, edited_words=edited_words)
        assert relative(out[target:target + 1], expected) < 1e-9


@pytest.mark.parametrize("fast", [False, True])
def test_decoupled_guidance(fast):
    """The tuned prompt, or none, is the source's; the targets have the plain one."""
    ask, method = asked(), VideoP2P(setup(mask=0.7), 0.4, 0.6, fast=fast)
    path = path_of(method, ask, tuned=not fast)
    model = Counted(networks.model())
    out = method(model, path, ask)
    assert model.evaluations == STEPS * (2 * len(ask.changes) + (1 if fast else 2))
    for target in range(len(ask.changes)):
        expected = by_hand(method, path, ask, target, decoupled=True, source_guidance=1.0 if fast else 7.5)
        assert relative(out[target:target + 1], expected) < 1e-9


@pytest.mark.parametrize("inversion", [DDIM(), Direct()], ids=["stepped", "pinned"])
def test_where_methods_are_the_same(inversion):
    """Without a mask: of the reconstruction's maps FateZero is Prompt-to-Prompt; with dense attention so is vid2vid-zero."""
    ask, model = asked(), networks.model()
    own = PromptToPrompt(setup(inversion), 0.4, 0.6, most=None)
    path = path_of(own, ask)
    fatezero = FateZero(setup(inversion), 0.6, 0.4, maps="reconstruction")
    assert relative(fatezero(model, path, ask), own(model, path, ask)) < 1e-9
    everywhere = setup(inversion, frames=("dense",))
    zero, dense = Vid2VidZero(everywhere, 0.4, 0.6, most=None), replace(own, setup=everywhere)
    assert relative(zero(model, path, ask), dense(model, path, ask)) < 1e-9


def test_a_frame_alone_while_the_clip_is_inverted():
    model, ask, z0 = networks.model(), asked(), networks.clip(**SMALL)
    together, method = Vid2VidZero(setup(frames=("dense",)), alone=False), PromptToPrompt(setup(frames=("dense",)))
    assert torch.equal(together.invert(model, z0, ask).z[0], method.invert(model, z0, ask).z[0])
    plain = DDIM()(model, z0, ask.source, ask.null, model.levels(STEPS), 1)
    assert torch.equal(replace(together, alone=True).invert(model, z0, ask).z[0], plain.z[0])


def test_control_of_temporal_attention():
    block = "down_blocks.0.attentions.0.transformer_blocks.0"
    state = TemporalAttention(8, heads=2).state_dict()
    weights = {f"{block}.{name}": drawn(*weight.shape, seed=i) for i, (name, weight) in enumerate(state.items())}
    ask, method = asked(), VideoP2P(setup(), 0.0, 0.0, kind="temporal")
    path = path_of(method, ask)
    ask = replace(ask, changes=tuple(replace(change, shares={}) for change in ask.changes))
    net = networks.unet()
    for layers, same in ((None, True), (temporal_layers(net, weights), False)):
        model = UNet(net, networks.SCHEDULER, temporal=layers)
        outs = [replace(method, self_until=until)(model, path, ask) for until in (0.0, 1.0)]
        assert (relative(*outs) < 1e-9) == same


# A mask of the user's

@pytest.mark.parametrize("size", [(6, 4), (12, 8), (3, 2)])
def test_a_mask_of_the_users(size):
    inside = torch.zeros(2, 3, 2, dtype=torch.bool)
    inside[0, 1:], inside[1, :, 0] = True, True
    mask = resized(inside, size)
    assert torch.equal(resized(mask, (3, 2)), inside)
    ask = replace(asked(), mask=mask)
    for inversion in (DDIM(), Direct()):
        method = PromptToPrompt(setup(inversion), 0.2, 0.4)
        model, path = Counted(networks.model()), path_of(method, ask)
        out = method(model, path, ask)
        source = 3 if path.pinned else 2 * STEPS        # the word with steps of its own ends after 3
        assert model.evaluations == len(ask.changes) * 2 * STEPS + source
        expected = by_hand(method, path, ask, 0, inside=resized(mask, (6, 4)))
        assert relative(out[:1], expected) < 1e-9


def test_fatezero_takes_it_for_its_maps_too():
    ask, model = asked(), networks.model()
    method = FateZero(setup(), 0.6, 0.4)
    everywhere = torch.ones(2, 6, 4, dtype=torch.bool)
    path = path_of(method, ask)
    edit = lambda until, mask: replace(method, self_until=until)(model, path, replace(ask, mask=mask))
    assert relative(edit(0.6, everywhere), edit(0.0, None)) < 1e-9
    assert relative(edit(0.6, ~everywhere), edit(0.6, None)) < 1e-9


@pytest.mark.parametrize("name, method", zip(INVERSIONS, cycle([PromptToPrompt, VideoP2P, Vid2VidZero]), strict=False))
def test_where_nothing_may_change_the_clip_is_left(name, method):
    """Of every inversion whose source row is on its path, those with two latents among them."""
    ask, z0 = replace(asked(), mask=torch.zeros(2, 6, 4, dtype=torch.bool)), networks.clip(**SMALL)
    method = method(replace(setup(INVERSIONS[name]()), steps=2))
    model = networks.model()
    path = method.invert(model, z0, ask)
    out = method(model, path, ask)
    assert out.shape == (len(ask.changes), *z0.shape[1:]) and out.isfinite().all()
    assert not path.pinned or relative(out, z0.expand_as(out)) < 1e-6


def test_a_mask_of_another_clip():
    ask = replace(asked(), mask=torch.ones(3, 6, 4, dtype=torch.bool))
    with pytest.raises(BadInput, match=r"^the mask is of 3 frames, the clip of 2$"):
        PromptToPrompt(setup()).invert(networks.model(), networks.clip(**SMALL), ask)


@pytest.mark.parametrize("mask, given, ignored", [
    (None, ("words", "spared"), ["words", "spared"]), (0.3, ("words", "spared"), []),
    ("own", ("words", "mask"), ["words"]), (0.3, (), []),
])
def test_what_is_ignored_is_said(mask, given, ignored, recwarn):
    inside = torch.ones(2, 6, 4, dtype=torch.bool) if mask == "own" else None
    ask = replace(asked(), given=given, mask=inside)
    method = PromptToPrompt(replace(setup(mask=None if mask == "own" else mask), steps=1))
    method(networks.model(), path_of_one(method, ask), ask)
    assert [str(w.message).split(":")[0] for w in recwarn if w.category is Note] == [
        f"prompt_to_prompt ignores {name}" for name in ignored]


def path_of_one(method, ask: Request) -> Trajectory:
    return method.invert(networks.model(), networks.clip(**SMALL), ask)
