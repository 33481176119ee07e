"""Levels are the scheduler's own, and the step is DDIM."""

import warnings
from itertools import pairwise

import pytest
import torch
from diffusers import DDIMScheduler
from networks import SCHEDULER, drawn, relative

from newtake.errors import BadInput, Note
from newtake.guidance import cfg
from newtake.levels import Level, Prediction, alphas_cumprod, diffusion, prediction_kind, step, timesteps

BETAS = {
    "scaled_linear": {},
    "linear": dict(beta_schedule="linear", beta_start=1e-4, beta_end=0.02, set_alpha_to_one=True),
    "squaredcos_cap_v2": dict(beta_schedule="squaredcos_cap_v2"),
    "trained_betas": dict(trained_betas=torch.linspace(1e-3, 2e-2, 1000).tolist()),
}


def theirs(config, steps: int) -> DDIMScheduler:
    scheduler = DDIMScheduler(clip_sample=False, **config)
    scheduler.set_timesteps(steps)
    return scheduler


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("betas", BETAS)
def test_levels_and_steps_of_diffusers(betas, prediction):
    config = {**SCHEDULER, **BETAS[betas], "prediction_type": prediction}
    scheduler, levels = theirs(config, 7), diffusion(config, 7)
    assert [at.t for at in levels[:-1]] == scheduler.timesteps.tolist() and levels[-1].t == 0
    assert [at.step for at in levels] == list(range(8)) and {at.of for at in levels} == {7}
    z = ours = drawn(1, 2, 4, 3, 3)
    for at, down in pairwise(levels):
        out = drawn(1, 2, 4, 3, 3, seed=at.step)
        ours = step(Prediction(prediction_kind(config), out, ours, at), down)
        z = scheduler.step(out, at.t, z).prev_sample
        assert relative(ours, z) < 1e-5
        assert at.alpha ** 2 + at.sigma ** 2 == pytest.approx(1)


@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
@pytest.mark.parametrize("steps", [1, 3, 10, 50, 999])
def test_timesteps_of_diffusers(spacing, steps):
    config = {**SCHEDULER, "timestep_spacing": spacing}
    assert timesteps(config, steps) == theirs(config, steps).timesteps.tolist()


def test_a_silent_config_is_read_as_diffusers_reads_it():
    assert torch.allclose(alphas_cumprod({}), DDIMScheduler().alphas_cumprod)
    assert diffusion({}, 5)[-1].alpha == 1 and prediction_kind({}) == "epsilon"


def test_zero_terminal_snr():
    """The level without signal is left out, and it is said."""
    config = {**SCHEDULER, "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    assert torch.allclose(alphas_cumprod(config), theirs(config, 10).alphas_cumprod, atol=1e-6)
    with pytest.warns(Note, match="first of 10 steps starts from pure noise and is left out"):
        levels = diffusion(config, 10)
    assert [at.t for at in levels] == [*theirs(config, 10).timesteps.tolist()[1:], 0]
    assert len(levels) == 10 and levels[0].step == 0 and levels[0].of == 9
    with pytest.raises(BadInput, match="2 steps or more"):
        diffusion(config, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        diffusion(SCHEDULER, 10)


@pytest.mark.parametrize(("steps", "most"), [(0, 999), (-3, 999), (1000, 999)])
def test_steps_out_of_range(steps, most):
    with pytest.raises(BadInput, match=f"steps must be between 1 and {most}, not {steps}"):
        diffusion(SCHEDULER, steps)


@pytest.mark.parametrize("name", ["beta_schedule", "timestep_spacing", "prediction_type"])
def test_an_unknown_scheduler(name):
    with pytest.raises(BadInput, match=f"the scheduler's {name} is 'odd'; known are "):
        (prediction_kind if name == "prediction_type" else lambda config: diffusion(config, 5))({name: "odd"})


@pytest.mark.parametrize("wrong", [
    dict(beta_start="x"), dict(beta_end=2), dict(beta_end=None), dict(num_train_timesteps="many"), dict(steps_offset=0.5),
    dict(trained_betas=["x"]), dict(trained_betas=[0.1]),
])
def test_a_scheduler_without_numbers(wrong):
    (name,) = wrong
    with pytest.raises(BadInput, match=f"the scheduler's {name}") as error:
        diffusion(SCHEDULER | wrong, 5)
    assert "\n" not in str(error.value)


def test_shares_of_the_steps():
    """Inside a share: the step ends in it.  The published table of cross-attention has a row more."""
    inside = lambda of, tau, spare=0: sum(Level(1, 0.5, 0.8, i, of).inside(tau, spare) for i in range(of))
    assert [inside(50, tau) for tau in (0, 0.4, 0.8, 1)] == [0, 20, 40, 50]
    assert [inside(50, tau, 1) for tau in (0, 0.4, 0.8, 1)] == [0, 20, 40, 50]
    assert (inside(6, 0.5), inside(6, 0.5, 1), inside(6, 0.8), inside(6, 0.8, 1)) == (3, 3, 4, 5)
    assert inside(10, 0.1 + 0.2) == 3


AT, FLOW = diffusion(SCHEDULER, 5)[1], Level(700, 0.3, 0.7, 1, 5)


KINDS = [("epsilon", AT), ("v_prediction", AT), ("sample", AT), ("epsilon", FLOW), ("flow", FLOW)]


@pytest.mark.parametrize(("kind", "at"), KINDS)
def test_what_a_network_says_is_read_the_same(kind, at):
    """Of one clean latent and one noise, whatever is predicted; and guidance does not depend on it."""
    x0, eps, other = (drawn(1, 2, 4, 3, 3, seed=seed) for seed in range(3))
    z = at.alpha * x0 + at.sigma * eps
    said = lambda x0, eps: dict(epsilon=eps, sample=x0, v_prediction=at.alpha * eps - at.sigma * x0, flow=eps - x0)[kind]
    p = Prediction(kind, said(x0, eps), z, at)
    assert relative(p.x0, x0) < 1e-12 and relative(p.eps, eps) < 1e-12 and relative(step(p, at), z) < 1e-12
    null = Prediction(kind, said((z - at.sigma * other) / at.alpha, other), z, at)
    guided = cfg(7.5)(null, p, at)
    assert relative(guided.eps, other + 7.5 * (eps - other)) < 1e-10
    assert relative(step(guided, at), z) < 1e-10
    assert cfg(1)(None, p, at) is p
