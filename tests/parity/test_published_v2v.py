"""Vid2VidZero.reference() against the published code: its path, its tuned prompts, every latent of an edit."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from cases import Case, Watched, asked_of, by_frame, cases, relative, shares_of

from newtake.levels import Level
from newtake.methods import Vid2VidZero


def is_edit(case: Case) -> bool:
    return case.is_of("vid2vid-zero") and "edit" in case.told


def method_of(case: Case) -> Vid2VidZero:
    """null_uncond_ratio above 0: the tuned prompts until this share of the steps; else from one and this share on."""
    method, ratio, tuning = Vid2VidZero.reference(), case.told["editing"]["null_uncond_ratio"], case.told["null_text"]
    inversion = replace(method.setup.inversion, inner=tuning["inner_steps"], rate=tuning["base_lr"], enough=tuning["epsilon"])
    setup = replace(method.setup, inversion=inversion, steps=case.told["scheduler"]["num_inference_steps"],
                    guidance=case.told["guidance_scale"])
    tuned = dict(tuned_from=0.0, tuned_until=ratio) if ratio > 0 else dict(tuned_from=1 + ratio, tuned_until=1.0)
    return replace(method, setup=setup, cross_until=shares_of(case)[0], **tuned)


def explicit(call, attend):
    """Maps, as the code makes them: Adam's first step is the sign of a gradient, and where that is nought its rounding."""
    return attend(call.edit(lambda p: p))


@pytest.fixture(scope="module", params=cases(is_edit))
def run(request) -> dict[str, Any]:
    """A case, and what our own inversion of it leaves."""
    case = request.param
    with torch.no_grad():
        model, method, ask = case.model(), method_of(case), asked_of(case)
        with model.control(explicit):
            path = method.invert(model, case.latents("inversion.latents")[0], ask)
    return dict(case=case, model=model, method=method, ask=ask, path=path)


def test_inversion(run):
    for got, expected in zip(run["path"].z[::-1], run["case"].latents("inversion.latents"), strict=True):
        assert relative(got, expected) <= 1e-5


def test_tuned_prompts(run):
    case = run["case"]
    for got, name in zip(run["path"].null, case.names("null_embeddings."), strict=True):
        assert (got.tokens - case.tensors[name]).abs().max() <= 1e-3, name


def test_when_they_are_used(run):
    method, told = run["method"], run["case"].told["editing"]["steps_using_optimised_embedding"]
    assert [method._tuned(Level(1, 0.5, 0.8, i, len(told))) for i in range(len(told))] == told


@pytest.mark.parametrize("prompts, forced", [("stored", False), ("stored", True), ("ours", False)])
def test_edit(run, prompts, forced):
    """Every latent, with the stored prompts in a run of our own and from the authors' latents, and with prompts of our own."""
    case, path = run["case"], run["path"]
    edited, inverted = case.latents("expected.edited_latents"), case.latents("inversion.latents")[::-1]
    if prompts == "stored":
        path = replace(path, null=[case.text(name) for name in case.names("null_embeddings.")])
    if forced:
        path = replace(path, z=inverted, fed=inverted[1:])
    model = Watched(run["model"], edited if forced else None)
    out = run["method"](model, path, run["ask"])
    most = 1e-5 if forced else {"stored": 1e-4, "ours": 1e-3}[prompts]
    for i, (got, expected) in enumerate(zip([*model.seen[1:], out], edited, strict=True)):
        assert relative(got, expected[-len(got):]) <= most, i


@pytest.mark.parametrize("case", cases(lambda case: case.is_of("vid2vid-zero") and "expected.noise_pred" in case.tensors))
def test_one_pass(case):
    """The frame attention of reference() is the code's, site by site."""
    model, z = case.model(), by_frame(case.tensors["latents"])
    with model.control(Vid2VidZero.reference()._frames()):
        out = model.predict(z, Level(case.told["timestep"], 0.5, 0.8, 0, 1), case.text("prompt_embeds")).out
    assert relative(out, by_frame(case.tensors["expected.noise_pred"])) <= 1e-5
