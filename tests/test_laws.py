"""Laws of every method with every inversion: what is registered is tested.  Settings are paired, not multiplied out."""

import warnings
from dataclasses import replace
from functools import cache, partial
from itertools import combinations, product

import invited
import networks
import pytest
import torch
from networks import drawn, relative

from newtake.attention.call import Frames
from newtake.inversion import INVERSIONS
from newtake.methods import METHODS, configured
from newtake.methods.request import Request
from newtake.models.counted import Counted
from newtake.models.model import Text
from newtake.models.unet import UNet

STEPS = 3
V = dict(prediction_type="v_prediction")
SINGLE = torch.float32
FAMILIES = {                                            # network, scheduler
    "sd1": (lambda: networks.unet(SINGLE), networks.SCHEDULER),
    "sd2": (lambda: networks.unet(SINGLE, attention_head_dim=(2, 4), use_linear_projection=True), networks.SCHEDULER | V),
    "sdxl": (networks.sdxl, networks.SCHEDULER),
}
FACTORS = {
    "method": [*METHODS], "inversion": [*INVERSIONS], "family": [*FAMILIES], "count": [1, 2, 5, 16],
    "frames": ["own", "own,middle", "first,previous", "dense", "-1,last"], "dtype": [torch.float32, torch.bfloat16],
    "norms": ["frame", "clip"], "size": [(4, 4), (4, 6)], "mask": ["none", "words", "user's"],
    "rescale": [0.0, 0.7], "guided_until": [1.0, 0.5], "guest": ["none", "controlnet", "adapter"],
}


Pairs = set[frozenset[tuple]]


def pairs(row: dict) -> Pairs:
    return {frozenset(pair) for pair in combinations(row.items(), 2)}


def all_pairs() -> Pairs:
    return {frozenset([(a, x), (b, y)]) for a, b in combinations(FACTORS, 2) for x, y in product(FACTORS[a], FACTORS[b])}


def pairwise() -> list[dict]:
    """Few rows in which every two settings meet: greedily, each from a pair that has not met."""
    left, rows = all_pairs(), []
    place = {(name, value): (i, j) for i, name in enumerate(FACTORS) for j, value in enumerate(FACTORS[name])}
    while left:
        row = dict(min(left, key=lambda pair: sorted(place[item] for item in pair)))
        for name in FACTORS:
            if name not in row:
                row[name] = max(FACTORS[name], key=partial(meetings, row, name, left))
        left -= pairs(row)
        rows.append(row)
    return rows


def meetings(row: dict, name: str, left: Pairs, value) -> int:
    """How many of the pairs that are left the row has with this value."""
    return sum(frozenset([(name, value), item]) in left for item in row.items())


ROWS = pairwise()
TOGETHER = [(list(METHODS)[i % len(METHODS)], list(INVERSIONS)[i % len(INVERSIONS)], FACTORS["frames"][i % 5])
            for i in range(max(len(METHODS), len(INVERSIONS)))]
ASKING = ["sdedit", "fatezero", "prompt_to_prompt", "video_p2p", "masactrl"]         # of those that ask alike, one


@cache
def network(family: str, dtype: torch.dtype):
    net, scheduler = FAMILIES[family]
    return net().to(dtype), scheduler


def asked(family: str) -> Request:
    """One target, two words of which are looked for."""
    ask = networks.asked()
    extra = lambda rows, seed: {"text_embeds": drawn(rows, 10, seed=seed).float()} if family == "sdxl" else {}
    text = lambda t, seed: Text(t.tokens[:1].float(), extra(1, seed))
    return Request(text(ask.source, 7), text(ask.targets, 8), text(ask.null, 9), ask.changes[:1], seed=3)


def edited(model, method, ask, z0) -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return method(model, method.invert(model, z0, ask), ask)


def traces(net) -> list:
    """What an edit could leave on a network."""
    hooks = [(module._forward_hooks, module._forward_pre_hooks) for module in net.modules()]
    assert not any(after or before for after, before in hooks)
    return [(weight.clone(), weight.requires_grad, weight.grad) for weight in net.parameters()]


def unchanged(net, before: list) -> bool:
    return all(torch.equal(a, c) and (b, d) == (e, f) for (a, b, d), (c, e, f) in zip(traces(net), before, strict=True))


def test_every_two_settings_meet_and_the_runs_are_few():
    assert set().union(*map(pairs, ROWS)) >= all_pairs()
    assert len(ROWS) + 3 * len(TOGETHER) + len(METHODS) + 2 * len(ASKING) <= 130
    assert all(sum(p.numel() for p in network(family, torch.float32)[0].parameters()) < 1_000_000 for family in FAMILIES)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: " ".join(str(row[name]) for name in FACTORS))
def test_everything_runs_and_leaves_the_network_as_it_was(row):
    net, scheduler = network(row["family"], row["dtype"])
    before, model = traces(net), UNet(net, scheduler, row["norms"])
    if row["guest"] != "none":
        shown = invited.pictures(row["count"], *row["size"])
        model = model.with_guests(invited.guests(net, shown, scale=0.5)[row["guest"] == "adapter"])
    ask, z0 = asked(row["family"]), drawn(1, row["count"], 4, *row["size"]).float()
    if row["mask"] == "user's":
        ask = replace(ask, mask=torch.arange(row["count"] * 4 * 4).reshape(-1, 4, 4) % 3 > 0)
    method = configured(row["method"], steps=2, inversion=row["inversion"], frames=row["frames"],
                        mask=0.5 if row["mask"] == "words" else None, rescale=row["rescale"],
                        guided_until=row["guided_until"])
    out = edited(model, method, ask, z0)
    assert out.shape == z0.shape and out.dtype == z0.dtype and out.isfinite().all() and not out.requires_grad
    assert unchanged(net, before) and model._control == ()


class Shuffled(Counted):
    """Hands the clip over in another order, with its numbers."""

    order = torch.tensor([2, 0, 1])

    def predict(self, z, at, text, prompted=True, frames=None):
        said = self.inner.predict(z[:, self.order], at, text, prompted, Frames(self.order, len(self.order)))
        return replace(said, out=said.out[:, self.order.argsort()], z=z)


@pytest.mark.parametrize("name, inversion, frames", TOGETHER, ids=map(" ".join, TOGETHER))
def test_the_same_again_and_in_any_order_of_frames(name, inversion, frames):
    """Same seed, same bits; and the order in which frames are handed over makes no difference."""
    model, ask, z0 = UNet(networks.unet(), networks.SCHEDULER), asked("sd1"), drawn(1, 3, 4, 4, 6)
    model = model.with_guests(*invited.guests(model.net, invited.pictures(3, 4, 6), scale=0.5))
    method = configured(name, steps=STEPS, inversion=inversion, frames=frames, mask=0.5)
    once, again = (edited(model, method, ask, z0) for _ in range(2))
    assert torch.equal(once, again)
    assert relative(edited(Shuffled(model), method, ask, z0), once) < 1e-6


@pytest.mark.parametrize("name", ASKING)
def test_guidance_that_counts_nowhere_is_none_and_costs_nothing(name):
    model, ask, z0 = Counted(UNet(networks.unet(), networks.SCHEDULER)), asked("sd1"), drawn(1, 2, 4, 4, 4)
    out, cost = [], []
    for given in ({"guidance": 1}, {"guided_until": 0}):
        before = model.evaluations
        out.append(edited(model, configured(name, steps=STEPS, inversion="ddim", **given), ask, z0))
        cost.append(model.evaluations - before)
    assert relative(out[1], out[0]) < 1e-9 and cost[1] < cost[0]


@pytest.mark.parametrize("name", METHODS)
def test_an_error_on_the_way_leaves_nothing_behind(name):
    """At the first site, when it is asked for the third time, in the inversion or in the edit."""
    net, scheduler = network("sd1", torch.float32)
    before, model = traces(net), UNet(net, scheduler, "clip")
    calls = []

    def fails(call, attend):
        calls.append(call.site)
        if calls.count(calls[0]) > 2:
            raise RuntimeError("on the way")
        return attend(call)

    with pytest.raises(RuntimeError, match="on the way"), model.control(fails):
        edited(model, configured(name, steps=STEPS), asked("sd1"), drawn(1, 2, 4, 4, 4).float())
    assert unchanged(net, before) and model._control == ()
