"""PromptToPrompt.reference() against the published code, with each inversion it was published with: every latent of an edit,
its masks, the maps they are made of."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from cases import Case, Watched, asked_of, by_frame, cases, relative, self_until, shares_of
from torch import Tensor

from newtake import guidance
from newtake.attention import regions
from newtake.guidance import cfg
from newtake.inversion import DDIM, Direct, NegativePrompt
from newtake.inversion.trajectory import Inversion, Trajectory
from newtake.levels import step
from newtake.methods import PromptToPrompt, side_by_side
from newtake.methods import masks as places
from newtake.methods.method import Setup

PAPERS = ("Prompt-to-Prompt", "Negative-prompt", "Direct")


def is_edit(case: Case) -> bool:
    return any(case.is_of(paper) for paper in PAPERS) and "edit" in case.told


def inversion_of(case: Case) -> Inversion:
    if case.is_of("Negative-prompt"):
        return NegativePrompt(case.told["npi_interp"])
    return Direct() if case.is_of("Direct") else DDIM()


def method_of(case: Case) -> PromptToPrompt:
    edit, told = case.told["edit"], case.told
    mask = edit["blend_threshold"] if edit["blend_words"] else None
    setup = Setup(inversion_of(case), told["scheduler"]["num_inference_steps"], told["guidance_scale"], mask=mask)
    return PromptToPrompt.reference(setup=setup, cross_until=shares_of(case)[0], self_until=self_until(case),
                                    **proximal_of(case))


def proximal_of(case: Case) -> dict[str, Any]:
    if "proximal" not in case.told:
        return {}
    told = case.told["proximal"]
    return dict(proximal=told["quantile"], shrink={"l0": "soft", "l1": "twice"}[told["kind"]], pull=told["recon_lr"],
                pull_below=told["recon_t"], pull_around=told["dilate_mask"])


@pytest.fixture(scope="module", params=cases(is_edit))
def run(request) -> dict[str, Any]:
    case = request.param
    model, method, ask = case.model(), method_of(case), asked_of(case)
    with torch.no_grad():
        levels = model.levels(method.setup.steps)
        if "start_latent" in case.tensors:              # the case begins after the inversion
            z = [by_frame(case.tensors["start_latent"])] * len(levels)
            path = Trajectory(levels, z, z[1:], [case.text(name) for name in case.names("null_embeddings.")])
        else:
            path = method.invert(model, case.latents("inversion.latents")[0], ask)
    return dict(case=case, model=model, method=method, ask=ask, path=path)


def test_inversion(run):
    expected = run["case"].latents("inversion.latents")
    for got, wanted in zip(run["path"].z[::-1], expected or run["path"].z[::-1], strict=True):
        assert relative(got, wanted) <= 1e-5


def test_negative_prompts(run):
    for expected in run["case"].names("expected.negative_embeds"):
        for got in run["path"].null:
            assert relative(got.tokens, run["case"].tensors[expected]) <= 1e-5


def test_offsets(run):
    """What the published code adds to the source is what it is off the path by."""
    case, model, path, ask = (run[name] for name in ("case", "model", "path", "ask"))
    for i, expected in enumerate(case.latents("expected.offsets")):
        said = model.guided(path.z[i].expand(2, *[-1] * 4), path.levels[i], ask.source.then(ask.targets), ask.null,
                            cfg(run["method"].setup.guidance))
        assert relative(path.z[i + 1] - step(said, path.levels[i + 1]), expected) <= 5e-5, i


@pytest.mark.parametrize("forced", [False, True], ids=["free", "forced"])
def test_edit(run, forced, monkeypatch):
    """Every latent, mask and blend map: in a run of our own, and with each step started from the authors' latents."""
    case, method, path = run["case"], run["method"], run["path"]
    edited, inverted = case.latents("expected.edited_latents"), case.latents("inversion.latents")[::-1]
    if forced and inverted:
        path = replace(path, z=inverted, fed=inverted[1:])
    masks, maps, thresholds, mean, threshold = [], [], [], regions.Words.mean, guidance.threshold
    monkeypatch.setattr(side_by_side, "blend", lambda z, source, mask: (masks.append(mask), regions.blend(z, source, mask))[1])
    monkeypatch.setattr(regions.Words, "mean", lambda words, step=0: (maps.append(mean(words, step)), maps[-1])[1])
    monkeypatch.setattr(guidance, "threshold", lambda *told: (thresholds.append(threshold(*told)), thresholds[-1])[1])
    model = Watched(run["model"], edited if forced else None)
    out = method(model, path, run["ask"])
    if case.told.get("proximal", {}).get("kind") == "l1" and not forced:
        return                                          # its values jump: a run of our own says nothing
    for i, (got, expected) in enumerate(zip([*model.seen[1:], out], edited, strict=True)):
        assert mostly(got, expected[-len(got):], case) <= (1e-5 if forced else 1e-4), i
    if forced and "proximal" in case.told:
        assert thresholds == pytest.approx(case.told["proximal"]["thresholds_per_step"], rel=1e-4)
    blended = [int(name.split(".")[1]) for name in case.names("masks.")]
    few = places.named(run["ask"])
    for i, mask, noted in zip(blended, masks, maps, strict=True):
        words = noted.new_zeros(*noted.shape[:2], run["ask"].source.tokens.shape[-2], *noted.shape[3:])
        words[:, :, few] = noted
        here, there = case.tensors[f"masks.{i:02d}"].bool()
        assert differ(mask[0], there) <= 1e-3, i
        assert differ(places.changing(method.setup, run["ask"], tuple(here.shape[-2:]), words[0])[0], here) <= 1e-3, i
        summed = (words * case.tensors["control.blend_word_mask"][:, None, :, None, None]).sum(2) * (i + 1)
        assert relative(summed, case.tensors[f"expected.blend_map.{i:02d}"]) <= (1e-5 if forced else 1e-4), i


def mostly(got: Tensor, expected: Tensor, case: Case) -> float:
    """The greatest difference; of proximal guidance of kind l1, which jumps, of all but 0.5 % of the elements."""
    if case.told.get("proximal", {}).get("kind") != "l1":
        return relative(got, expected)
    off = (got - expected).abs().flatten().sort().values
    return float(off[int(0.995 * (len(off) - 1))] / expected.abs().max())


def differ(a: Tensor, b: Tensor) -> float:
    assert a.shape == b.shape
    return float((a != b).float().mean())
