"""Maps that are edited exist a part at a time, and the numbers are the same."""

from dataclasses import replace

import networks
import pytest
import torch
from networks import asked, clip, drawn, relative

from newtake.attention import call as calls
from newtake.attention.call import Call, Frames, Site, attend, compose, when
from newtake.attention.frames import look_at, look_everywhere
from newtake.attention.regions import Words
from newtake.attention.rows import from_source
from newtake.levels import Level

AT = Level(500, 0.5, 0.8, 0, 5)
TAUGHT = from_source([asked().changes[0].edit])
OVER_FRAMES = lambda call, attend: attend(call.edit(lambda p: p ** 2 / (p ** 2).sum(-1, keepdim=True)))     # sharper
CONTROLS = {
    "cross": when(lambda call: call.kind == "cross", TAUGHT),
    "dense": compose(look_everywhere, OVER_FRAMES),
    "reached": compose(look_at("first", "previous"), OVER_FRAMES),
}


def call(dtype: torch.dtype, rows=2, f=3, heads=2, n=10, m=7, bias=None) -> Call:
    q, k, v = (drawn(rows, f, heads, count, 4, seed=seed).to(dtype) for count, seed in ((n, 2), (m, 3), (m, 4)))
    x = torch.zeros(rows, f, n, 4)
    return Call(Site("a", "up", 0), "cross", AT, True, Frames.all(f), (2, 5), q, k, v, x, bias)


def most(monkeypatch, numbers: int) -> None:
    monkeypatch.setattr(calls, "AT_ONCE", numbers)


@pytest.mark.parametrize("dtype, near", [(torch.float64, 1e-12), (torch.float32, 1e-6)])
@pytest.mark.parametrize("mask", [None, (2, 3, 1, 1, 7), (2, 3, 2, 10, 7)])
def test_the_same_numbers_in_parts(monkeypatch, dtype, near, mask):
    bias, sizes = None if mask is None else drawn(*mask, seed=6).to(dtype), []
    asking = call(dtype, bias=bias).edit(lambda p: (sizes.append(p.numel()), p.flip(0))[1]).edit(lambda p: p.square())
    whole = attend(asking)
    assert sizes == [2 * 3 * 2 * 10 * 7]
    for numbers in (84 * 3, 84, 1):                     # three queries at a time, one, and one where not even that fits
        sizes.clear()
        most(monkeypatch, numbers)
        assert relative(attend(asking), whole) < near
        assert max(sizes) <= max(numbers, 84) and sum(sizes) == 840


def test_who_wants_the_whole_gets_it(monkeypatch):
    most(monkeypatch, 1)
    sizes = []
    noted = lambda p: (sizes.append(p.shape[-2]), p)[1]
    attend(call(torch.float32).edit(noted, whole=True).edit(lambda p: p))
    attend(call(torch.float32).edit(noted).edit(lambda p: p, whole=True))
    assert sizes == [10, 10]


@pytest.mark.parametrize("name", CONTROLS)
@pytest.mark.parametrize("dtype, near", [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_a_network_under_edits(monkeypatch, name, dtype, near):
    """Folded dense attention too; words are noted beside, and are the same."""
    model, said = networks.model(dtype), []
    z, text = torch.cat([clip(), drawn(*clip().shape, seed=9)]).to(dtype), asked().targets
    for numbers in (2 ** 24, 5_000):
        most(monkeypatch, numbers)
        words = Words(rows=1, by_step=True)
        with model.control(words, CONTROLS[name]):
            said.append((model.predict(z, AT, replace(text, tokens=text.tokens.to(dtype))).out, words.mean()))
    assert all(relative(b, a) < near for a, b in zip(*said, strict=True))


def test_gradients_go_through_parts(monkeypatch):
    grads = []
    for numbers in (2 ** 24, 84):
        most(monkeypatch, numbers)
        asking = call(torch.float64)
        with torch.enable_grad():
            asking.k.requires_grad_()
            attend(asking.edit(lambda p: p ** 2)).square().sum().backward()
        grads.append(asking.k.grad)
    assert relative(grads[1], grads[0]) < 1e-12
