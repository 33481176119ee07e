"""Tuning to a clip: what is inserted, what is learnt, what is kept on the way."""

from dataclasses import replace

import networks
import pytest
import torch
from networks import SCHEDULER, drawn, relative, unet
from torch import nn
from tunings import AT, TEXT, Z0, model, same, tuning

from newtake.attention.frames import look
from newtake.errors import BadInput
from newtake.levels import READ, Level, Prediction, generator, trained, wanted
from newtake.models.families import configs
from newtake.models.parts import empty
from newtake.models.unet import UNet
from newtake.tuning import ClipTuning, Training, kept, loop, prepared, train, tune
from newtake.tuning.clip import denoising

LOOKS = 3


@pytest.fixture(autouse=True)
def few_looks(monkeypatch):
    monkeypatch.setattr(loop, "LOOKED_AT", LOOKS)


def weights_of(state, how: ClipTuning, **told):
    """The weights after a tuning of a network that is always the same, and the steps it took."""
    made = prepared(model(), how)
    steps = list(tune(made, Z0, TEXT, how, state, told))
    return {name: weight.detach().clone() for name, weight in made.weights.items()}, steps


# At birth

@pytest.mark.parametrize("rank", [None, 2])
@pytest.mark.parametrize("norms", ["frame", "clip"])
@pytest.mark.parametrize("f", [1, 16])
def test_at_birth_no_bit_is_another(f, norms, rank):
    z, net = drawn(2, f, 4, 8, 8).float(), unet(torch.float32)
    ask = lambda video: video.predict(z, AT, TEXT).out
    plain = ask(UNet(net, SCHEDULER, norms))
    made = prepared(UNet(net, SCHEDULER), replace(tuning(rank=rank), norms=norms)).model
    assert len(made.temporal) == 7 and torch.equal(ask(made), plain)
    with made.control(look("first", "previous")):
        ask(made)                                       # every new site is seen
    if rank is None:
        published = prepared(model(), ClipTuning.reference(norms=norms)).model
        assert not torch.allclose(ask(published), plain, atol=1e-3)


def test_new_layers_are_drawn_by_the_seed_and_leave_torchs_alone():
    models = [model() for _ in range(3)]
    before = torch.random.get_rng_state()
    once, again, other = (prepared(one, tuning(seed=seed)).adapter() for one, seed in zip(models, (0, 0, 1), strict=True))
    assert same(dict(once), dict(again)) and not same(dict(once), dict(other))
    assert torch.equal(before, torch.random.get_rng_state())


def test_of_low_rank_a_layer_starts_from_its_blocks_own_attention():
    made = prepared(model(), tuning(rank=2)).model
    for module, layer in made.temporal.items():
        own = made.net.get_submodule(module)
        assert torch.equal(layer.get_parameter("attn_temp.to_k.base_layer.weight"), own.attn1.to_k.weight)
        assert torch.equal(layer.get_parameter("norm_temp.weight"), own.norm1.weight)


def sd1() -> nn.Module:
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel.from_config(configs("sd1")["unet"])


def test_how_many_weights_of_stable_diffusion_are_tuned():
    """Published: 112 tensors, 74.4 million; in rank 24 a twentieth."""
    many = {}
    for rank in (None, 24):
        with empty():
            chosen = prepared(UNet(sd1(), SCHEDULER), tuning(rank=rank)).weights
        assert all(weight.is_meta for weight in chosen.values())
        many[rank] = len(chosen), sum(weight.numel() for weight in chosen.values())
    assert many[None][0] == 112 and round(many[None][1] / 1e5) == 744
    assert many[24][0] == 16 * 6 * 2 and 20 < many[None][1] / many[24][1] < 21


def test_a_network_with_lora_is_refused():
    made = prepared(model(), tuning(rank=2)).model
    with pytest.raises(BadInput, match="fuse them"):
        prepared(made, tuning())


# Learning

@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample", "flow"])
def test_what_a_network_should_say_reads_as_what_is_there(kind):
    x0, eps = drawn(1, 2, 3, 4, 4), drawn(1, 2, 3, 4, 4, seed=2)
    at = Level(1, 0.6, 0.8, 0, 1) if kind != "flow" else Level(1, 0.3, 0.7, 0, 1)
    z = at.alpha * x0 + at.sigma * eps
    said = Prediction(kind, wanted(kind, x0, eps, at), z, at)
    assert set(READ) >= {kind} and relative(said.x0, x0) < 1e-12 and relative(said.eps, eps) < 1e-12


def test_the_levels_of_training_are_those_of_sampling():
    at = trained(SCHEDULER)
    assert len(at) == 1000
    for level in networks.model().levels(20)[:-1]:
        assert (at[int(level.t)].alpha, at[int(level.t)].sigma) == (level.alpha, level.sigma)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("rank", [None, 2])
def test_a_clip_is_learnt(kind, rank, tmp_path):
    """Only what is to be tuned is another afterwards, all of it, and the clip is known better."""
    how = tuning(steps=30, rank=rank, rate=1e-2, every=30)
    made = prepared(model(prediction_type=kind), how)
    before = {name: weight.clone() for name, weight in made.model.net.named_parameters()}
    *_, last = tune(made, Z0, TEXT, how, tmp_path / "state", {})
    assert last.looks[-1][0] == 30 and last.looks[-1][1] < 0.98 * last.looks[0][1]
    moved = {name for name, weight in made.model.net.named_parameters() if not torch.equal(weight, before[name])}
    assert moved == {name.replace(".weight", ".default.weight") if rank else name
                     for name in made.weights if "attn_temp" not in name}
    assert all("to_q" in name for name in moved)


def test_a_step_by_hand(tmp_path):
    """Two draws: the gradient is the mean of theirs, and AdamW's first step is the rate times its sign, after the decay."""
    weight = nn.Parameter(torch.tensor([1.0, -2.0]))
    at_first, seen = weight.detach().clone(), []

    def loss(draw):
        x = torch.randn(2, generator=draw)
        seen.append(x)
        return (weight * x).sum()

    training = Training(1, 0.1, accumulate=2, decay=0.5, clip=1e9)
    (step,) = train({"w": weight}, loss, training, tmp_path / "state", {})
    xs = [torch.randn(2, generator=generator(0, 0, k)) for k in range(2)]
    grad = (xs[0] + xs[1]) / 2
    assert torch.equal(torch.stack(seen[LOOKS:LOOKS + 2]), torch.stack(xs)) and step.norm == pytest.approx(float(grad.norm()))
    assert step.loss == pytest.approx(float((at_first * grad).sum()))
    assert torch.allclose(weight, at_first * (1 - 0.1 * 0.5) - 0.1 * grad.sign(), atol=1e-5)


def test_the_moving_average(tmp_path):
    weight = nn.Parameter(torch.tensor([1.0]))
    after = [step and weight.item() for step in
             train({"w": weight}, lambda draw: weight.sum(), Training(3, 0.1, ema=0.15), tmp_path / "state", {})]
    mean = 1.0
    for share, value in zip((1 / 10, 0.15, 0.15), after, strict=True):      # a short average at first: 1/10, 2/11, 3/12
        mean = share * mean + (1 - share) * value
    assert weight.item() == pytest.approx(mean, abs=1e-6)


def test_it_stops_where_nothing_gets_better(tmp_path):
    weight = nn.Parameter(torch.ones(1))
    training = Training(100, 0.1, every=3, patience=2)
    run = lambda: [step.done for step in train({"w": weight}, lambda draw: 0 * weight.sum() + 1, training, tmp_path / "s", {})]
    assert run() == [1, 2, 3, 4, 5, 6] and run() == []


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_loss_that_is_no_number(value, tmp_path):
    weight = nn.Parameter(torch.ones(1))
    with pytest.raises(BadInput, match="take a lower rate"):
        list(train({"w": weight}, lambda draw: weight.sum() * value, Training(2), tmp_path / "state", {}))


@pytest.mark.parametrize("norms", ["frame", "clip"])
def test_checkpointing_changes_no_gradient(norms, tmp_path):
    """Also when the controls of a pass are gone by the time its blocks are run again."""
    found = []
    for checkpointing in (False, True):
        made = prepared(model(), replace(tuning(checkpointing=checkpointing), norms=norms))
        with torch.enable_grad():
            with made.model.control(look("first", "previous")):
                now = denoising(made.model, Z0, drawn(*Z0.shape, seed=5).float(), AT, TEXT)
            now.backward()
        assert made.model.net.down_blocks[0].gradient_checkpointing == checkpointing
        found.append({name: weight.grad for name, weight in made.weights.items()})
    assert all(relative(found[1][name], grad) < 1e-5 for name, grad in found[0].items() if grad.any())


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_is_close(precision, tmp_path):
    exact, mixed = (weights_of(tmp_path / kind, tuning(precision=kind))[1] for kind in ("fp32", precision))
    assert mixed[-1].loss == pytest.approx(exact[-1].loss, rel=0.03)


# Stopped, and going on

@pytest.mark.parametrize("rank, ema, accumulate", [(None, None, 1), (2, 0.9, 2)])
def test_it_goes_on_as_if_it_had_not_been_stopped(rank, ema, accumulate, tmp_path):
    how = tuning(steps=5, rank=rank, ema=ema, accumulate=accumulate)
    whole, steps = weights_of(tmp_path / "whole", how)
    made = prepared(model(), how)
    run = tune(made, Z0, TEXT, how, tmp_path / "parts", {})
    assert [next(run).done for _ in range(3)] == [1, 2, 3]
    run.close()                                         # as an interrupt would: what is done so far is kept
    assert kept(tmp_path / "parts")[0] == 3
    after, rest = weights_of(tmp_path / "parts", how)
    assert [step.done for step in rest] == [4, 5] and rest[-1].looks[-1] == steps[-1].looks[-1] and same(after, whole)


def test_an_interrupt_within_a_step_keeps_the_steps_before(tmp_path):
    how, made = tuning(steps=5), prepared(model(), tuning())
    run = train(made.weights, interrupted(made, at=LOOKS + 2 + LOOKS), how.training, tmp_path / "state", {})
    with pytest.raises(KeyboardInterrupt):
        list(run)
    assert kept(tmp_path / "state")[0] == 2


def interrupted(made, at: int):
    calls = []

    def loss(draw):
        calls.append(draw)
        if len(calls) > at:
            raise KeyboardInterrupt
        return denoising(made.model, Z0, torch.randn(Z0.shape, generator=draw), AT, TEXT)
    return loss


def test_more_steps_go_on_and_another_tuning_does_not(tmp_path):
    state = tmp_path / "a" / "state"
    weights_of(state, tuning(steps=2), clip="a")
    with pytest.raises(BadInput, match=r"^.*a holds unfinished work with another rate, clip; .* name another --out$"):
        weights_of(state, tuning(steps=4, rate=2e-3), clip="b")
    more, steps = weights_of(state, tuning(steps=4), clip="a")
    assert [step.done for step in steps] == [3, 4] and same(more, weights_of(tmp_path / "b", tuning(steps=4))[0])


def test_what_is_no_state_is_refused(tmp_path):
    (tmp_path / "state").write_bytes(b"\x80\x04 a pickle")
    with pytest.raises(BadInput, match="is not what newtake left"):
        weights_of(tmp_path / "state", tuning())
