"""Laws of the seam and of every control."""

from dataclasses import replace

import networks
import pytest
import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention, AttnProcessor, IPAdapterAttnProcessor2_0
from networks import asked, clip, drawn, relative
from torch.overrides import _get_current_function_mode_stack

from newtake.attention.call import Call, Frames, Site, attend, compose, early, when
from newtake.attention.frames import index, is_self, look, look_at, look_everywhere
from newtake.attention.maps import during
from newtake.attention.regions import Words, blend, region
from newtake.attention.rows import from_source, fuse, keep
from newtake.attention.seam import Pass, plain, seam, sites
from newtake.errors import BadInput
from newtake.inversion import DDIM
from newtake.levels import Level
from newtake.models.model import Text
from newtake.models.unet import UNet

AT = Level(500, 0.5, 0.8, 0, 5)
PLAIN = lambda call, attend: attend(call)
MASK = lambda call: (call.frames.numbers[:, None] + torch.arange(call.tokens))[None] % 3 == 0      # (1 f n), by frame number

CONTROLS = {
    "first, previous": look_at("first", "previous"),
    "own, middle": look_at("own", "middle"),
    "offsets": look_at(-1, 1, "last"),
    "dense": look_everywhere,
    "keep": when(is_self, keep),
    "fuse": when(is_self, fuse(MASK)),
    "dense, fuse": compose(look_everywhere, when(is_self, fuse(MASK))),
    "edit": when(lambda call: call.kind == "cross", from_source([asked().changes[1].edit])),
    "words": Words(rows=1, by_step=True),
}


def rows() -> tuple[torch.Tensor, Text]:
    """Two rows of a clip of three frames, and their prompts."""
    return torch.cat([clip(), drawn(*clip().shape, seed=9)]), asked().targets


def seen_by(net, control, rows=2, f=3, size=(8, 8)):
    return seam(sites(net), control, Pass(AT, True, rows, Frames.all(f), size))


# The seam

def test_controls_nest_and_leave_nothing():
    model, (z, text), order = networks.model(), rows(), []
    said = lambda name: lambda call, attend: (order.append(name), attend(call))[1]
    clean = model.predict(z, AT, text).out
    with model.control(said("a")):
        with model.control(said("b"), said("c")):
            model.predict(z, AT, text)
            assert order == ["a", "b", "c"] * len(model.sites)
        with pytest.raises(ZeroDivisionError), model.control(lambda call, attend: 1 / 0):
            model.predict(z, AT, text)
        order.clear()
        model.predict(z, AT, text)
        assert set(order) == {"a"}
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.net.modules())
    assert not _get_current_function_mode_stack()
    assert torch.equal(model.predict(z, AT, text).out, clean)


def test_a_control_that_does_nothing_changes_nothing():
    model, (z, text) = networks.model(), rows()
    with model.control(PLAIN):
        assert relative(model.predict(z, AT, text).out, networks.model().predict(z, AT, text).out) < 1e-12


def test_a_site_that_is_not_seen_is_an_error():
    model, (z, text) = networks.model(), rows()
    model.net.set_attn_processor(AttnProcessor())
    count = len(model.sites)
    missing = rf"{count} of {count} attention layers were not seen, first down_blocks.*AttnProcessor2_0"
    with model.control(PLAIN), pytest.raises(BadInput, match=missing):
        model.predict(z, AT, text)


def test_video_transformers():
    net, calls = networks.wan(), []
    ask = lambda: net(drawn(2, 4, 3, 8, 8), torch.full((2,), 500), drawn(2, 12, 16), return_dict=False)[0]
    before = ask()
    with seen_by(net, lambda call, attend: (calls.append(call), attend(call))[1]):
        assert relative(ask(), before) < 1e-10
    assert [call.kind for call in calls] == ["self", "cross"] * 2
    assert {call.q.shape[:2] for call in calls} == {(2, 1)}             # frames are tokens of one row
    with seen_by(net, when(is_self, keep)):
        kept = ask()
    with seen_by(net, when(is_self, from_source([lambda M, M_, at: M]))):
        assert relative(kept, ask()) < 1e-12


def test_sdxl():
    model, calls = UNet(networks.sdxl(), networks.SCHEDULER), []
    z, tokens = drawn(2, 3, 4, 16, 16).float(), drawn(2, 12, 16).float()
    text = Text(tokens, dict(text_embeds=drawn(2, 10).float(), time_ids=drawn(1, 6).float().expand(2, -1)))
    before = model.predict(z, AT, text).out
    with model.control(lambda call, attend: (calls.append(call.kind), attend(call))[1]):
        assert relative(model.predict(z, AT, text).out, before) < 1e-6
    assert len(calls) == len(model.sites) and set(calls) == {"self", "cross"}


def test_pictures_beside_prompts():
    """IP-Adapter attends a second time in the same layer."""
    layer, kinds = Attention(16, cross_attention_dim=16, heads=2, dim_head=8), []
    layer.set_processor(IPAdapterAttnProcessor2_0(16, 16, num_tokens=(4,), scale=[1.0]))
    note = lambda call, attend: (kinds.append((call.kind, call.k.shape[-2])), attend(call))[1]
    with seam(sites(layer, "attn2"), note, Pass(AT, True, 2, Frames.all(3), (4, 4))):
        layer(drawn(6, 16, 16).float(), encoder_hidden_states=(drawn(6, 12, 16).float(), [drawn(6, 1, 4, 16).float()]))
    assert kinds == [("cross", 12), ("picture", 4)]


SITE = Site("block.attn1", "block", 0)
HONOURED = {
    "scale": dict(scale=0.3),
    "boolean mask": dict(attn_mask=torch.eye(6, dtype=torch.bool) | (drawn(6, 6) > 0)),
    "bias": dict(attn_mask=drawn(4, 1, 1, 6)),
    "both": dict(scale=0.1, attn_mask=torch.eye(6, dtype=torch.bool) | (drawn(4, 1, 6, 6) > 0)),
}


@pytest.mark.parametrize("name", HONOURED)
def test_arguments_are_honoured(name):
    q, k, v = (drawn(4, 2, 6, 8, seed=seed) for seed in range(3))
    given = plain(dict(query=q, key=k, value=v) | HONOURED[name], SITE)
    two = lambda z: z.unflatten(0, (2, 2))
    bias = None if given["bias"] is None else two(given["bias"])
    call = Call(SITE, "self", AT, True, Frames.all(2), (2, 3), two(given["query"]), two(k), two(v), two(q[:, 0]), bias)
    expected = F.scaled_dot_product_attention(q, k, v, **HONOURED[name])
    for way in (call, call.edit(lambda p: p)):
        assert relative(attend(way).flatten(0, 1), expected) < 1e-12
    if bias is not None:
        with pytest.raises(BadInput, match="has a mask; it cannot fold over frames"):
            call.folded()


@pytest.mark.parametrize("argument", [dict(is_causal=True), dict(enable_gqa=True), dict(dropout_p=0.1)])
def test_arguments_are_refused(argument):
    with pytest.raises(BadInput, match=f"block.attn1 attends with {next(iter(argument))}="):
        plain(dict(query=drawn(4, 2, 6, 8), key=drawn(4, 2, 6, 8), value=drawn(4, 2, 6, 8)) | argument, SITE)


# Frames have numbers

@pytest.mark.parametrize("norms", ["frame", "clip"])
@pytest.mark.parametrize("name", CONTROLS)
def test_frames_in_any_order(name, norms):
    model, (z, text) = networks.model(norms=norms), rows()
    order = torch.tensor([2, 0, 1])
    with model.control(CONTROLS[name]):
        in_order = model.predict(z, AT, text).out
        shuffled = model.predict(z[:, order], AT, text, frames=Frames(order, 3)).out
    assert relative(shuffled[:, order.argsort()], in_order) < 1e-9


def test_who_is_looked_at():
    frames = Frames(torch.tensor([3, 0]), 5)
    assert index(frames, "own", "first", "previous", "middle", "last", 1, "-2").tolist() == [
        [3, 0, 2, 2, 4, 4, 1], [0, 0, 0, 2, 4, 1, 0]]
    for wrong in ((), ("dense", "first"), ("nearest",)):
        with pytest.raises(BadInput, match="frames are"):
            look(*wrong)
    with pytest.raises(ValueError, match=r"frames \[2\] are looked at but not present"):
        frames.places(index(frames, "middle"))


def test_frames_come_from_who_has_them():
    """Sparse and dense attention ask the same `fetch` for keys and values of frames that are not present."""
    q, k, v = (drawn(1, 4, 2, 6, 8, seed=seed) for seed in range(3))
    whole = Call(SITE, "self", AT, True, Frames.all(4), (2, 3), q, k, v, q[:, :, 0])
    here, asked_for = torch.tensor([2, 1]), []
    wanted = lambda numbers: torch.arange(4) if numbers is None else numbers
    elsewhere = lambda call, numbers: (asked_for.append(numbers), (k[:, wanted(numbers)], v[:, wanted(numbers)]))[1]
    part = replace(whole, frames=Frames(here, 4, elsewhere),
                   **{name: getattr(whole, name)[:, here] for name in ("q", "k", "v", "x")})
    for control in (look_at("first", "previous"), look_everywhere):
        assert relative(control(part, attend), control(whole, attend)[:, here]) < 1e-12
    assert len(asked_for) == 2


# Rows and maps

def test_kept_and_fused_attention_are_edited_maps():
    model, (z, text) = networks.model(), rows()
    def by_hand(call, attend):
        m = MASK(call)[0].reshape(call.q.shape[1], 1, call.q.shape[-2], 1).to(call.q)
        return attend(call.edit(lambda p: torch.stack([p[0], m * p[1] + (1 - m) * p[0]])))
    pairs = {keep: from_source([lambda M, M_, at: M]), fuse(MASK): by_hand}
    for frames in (look_at("own", "middle"), look_everywhere):
        for fused, edited in pairs.items():
            with model.control(frames, when(is_self, fused)):
                a = model.predict(z, AT, text).out
            with model.control(frames, when(is_self, edited)):
                assert relative(a, model.predict(z, AT, text).out) < 1e-12


def test_what_was_fed_gives_the_inversion_back():
    """The source row of an edit, fed `fed[i]` at levels[i], repeats the queries and keys of the inversion."""
    model, ask = networks.model(), asked()
    inverted, edited = {}, {}
    note = lambda taken: lambda call, attend: (
        taken.setdefault((call.level.step, call.site), (call.q[:1], call.k[:1])), attend(call))[1]
    with model.control(note(inverted)):
        path = DDIM()(model, clip(), ask.source, ask.null, model.levels(3), 1)
    with model.control(note(edited)):
        for at in path.levels[:-1]:
            model.predict(torch.cat([path.fed[at.step], clip()]), at, ask.source)
    assert len(inverted) == len(edited) == 3 * len(model.sites)
    for where in inverted:
        for a, b in zip(inverted[where], edited[where], strict=True):
            assert relative(a, b) < 1e-10, where


def test_edits_early():
    """`early` counts steps and leaves the null pass and sites that are too large alone."""
    def call(step, n=4, **more):
        q, x = drawn(1, 1, 2, n, 8), drawn(1, 1, n, 8)
        return replace(Call(SITE, "self", replace(AT, step=step), True, Frames.all(1), (2, 2), q, q, q, x), **more)
    applies = early("self", 0.4, most=4)
    assert [applies(call(i)) for i in range(5)] == [True, True, False, False, False]
    assert not applies(call(0, prompted=False)) and not applies(call(0, n=5)) and not applies(call(0, kind="cross"))


def test_words_with_steps_of_their_own():
    ones, none = torch.ones(1, 1, 1, 3), torch.zeros(1, 1, 1, 3)
    edit = during(0.4, {1: (0.2, 0.8), 2: (0.0, 0.0)}, lambda M, M_, at: M)
    taught = [edit(ones, none, replace(AT, step=i)).flatten().tolist() for i in range(5)]
    assert taught == [[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 0], [0, 0, 0]]


# Regions

def test_words_are_means_of_the_nearest_sites():
    """Over heads and sites nearest to 16x16, a mean a step; asked again, nothing is counted twice."""
    model, (z, text), maps = networks.model(), rows(), []
    def note(call, attend):
        return attend(call.edit(lambda p: (maps.append(p), p)[1]) if call.kind == "cross" and call.tokens == 96 else call)
    words = Words(rows=1, by_step=True)
    with model.control(words, note):
        model.predict(z, AT, text)
        once = words.mean(0).clone()
        model.predict(z, AT, text)
    expected = torch.stack(maps[:len(maps) // 2]).mean((0, 3))[1:]                  # (1 f n m)
    assert relative(once, expected.unflatten(2, (8, 12)).permute(0, 1, 4, 2, 3)) < 1e-12
    assert torch.equal(words.mean(0), once)
    assert relative(once.sum(2), torch.ones(1, 3, 8, 12)) < 1e-12


def test_regions():
    maps = torch.zeros(2, 3, 4, 4)
    maps[0, 1, 0, 0], maps[0, 2, 3, 3], maps[1, 1, 2, 2] = 1.0, 0.5, 0.1
    one = region(maps, (1,), (4, 4), 0.3)
    assert one[0].nonzero().tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]            # 3x3 around it
    exact = region(maps, (1, 2), (4, 4), 0.3, widen=0)
    assert exact[0].nonzero().tolist() == [[0, 0], [3, 3]] and exact[1].nonzero().tolist() == [[2, 2]]
    assert region(maps, (1,), (4, 4), 0.3, widen=2)[1].sum() == 16
    assert one[1].sum() == 9                                                       # each frame by its own maximum
    assert region(maps, (1, 2), (8, 8), 0.3)[0].sum() == 32
    assert not region(maps, (), (4, 4), 0.3).any() and not region(maps, (0,), (4, 4), 0.0).any()
    z, source = drawn(1, 2, 4, 4, 4), drawn(1, 2, 4, 4, 4, seed=3)
    blended = blend(z, source, one[None])
    assert torch.equal(blended[0, 0, :, 0, 0], z[0, 0, :, 0, 0]) and torch.equal(blended[0, 0, :, 3, 3], source[0, 0, :, 3, 3])
