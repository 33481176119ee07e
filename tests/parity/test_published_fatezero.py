"""FateZero.reference() against the published code: inversion, maps, masks, every latent of an edit."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from cases import Case, Watched, as_look, asked_of, cases, relative, self_until, shares_of
from torch import Tensor

from newtake.attention import regions
from newtake.attention.maps import during
from newtake.inversion import DDIM
from newtake.levels import Level
from newtake.methods import FateZero, fatezero
from newtake.methods.masks import changing
from newtake.methods.method import Setup

RECORDED = 32 ** 2                                      # query tokens of the sites whose maps the code stores, at most


class Maps:
    """A control that notes the source's cross-attention of every step: {step: {stage: maps in order}}."""

    def __init__(self):
        self.noted: dict[int, dict[str, list[Tensor]]] = {}

    def __call__(self, call, attend):
        def note(p):
            self.noted.setdefault(call.level.step, {}).setdefault(call.site.stage, []).append(p[0])
            return p
        return attend(call.edit(note) if call.kind == "cross" and call.tokens <= RECORDED else call)


def method_of(case: Case) -> FateZero:
    edit, options = case.told["edit"], case.told["frame_attention"]["model_config"]
    threshold = edit.get("blend_th", 0.3)
    threshold = threshold[0] if isinstance(threshold, list) else threshold
    setup = Setup(
        DDIM(), case.told["scheduler"]["num_inference_steps"], case.told["guidance_scale"],
        as_look(options.get("SparseCausalAttention_index", [-1, "first"])),
        min(threshold, 1.0) if edit.get("blend_words") else None,      # above 1 as at 1: nowhere
    )
    return FateZero.reference(
        setup=setup, self_until=self_until(case), cross_until=shares_of(case)[0], channels=options.get("least_sc_channel", 0),
        blend_latents=bool(edit.get("blend_latents")), fuse_maps=bool(edit.get("blend_self_attention")),
    )


def is_edit(case: Case) -> bool:
    return case.is_of("FateZero") and "edit" in case.told


@pytest.fixture(scope="module", params=cases(is_edit))
def run(request) -> dict[str, Any]:
    """A case, and all that our own run of it leaves."""
    case, notes = request.param, Maps()
    with torch.no_grad():
        model, method, ask = case.model(), method_of(case), asked_of(case)
        with model.control(notes):
            path = method.invert(model, case.latents("inversion.latents")[0], ask)
    return dict(case=case, model=model, method=method, ask=ask, path=path, maps=notes.noted)


def test_levels(run):
    assert [at.t for at in run["path"].levels[:-1]] == run["case"].told["scheduler"]["timesteps"]


def test_inversion(run):
    for got, expected in zip(run["path"].z[::-1], run["case"].latents("inversion.latents"), strict=True):
        assert relative(got, expected) <= 1e-5


def test_maps_of_the_source(run):
    case = run["case"]
    for name in case.names("cross_maps.inversion_step_"):
        inverted, place = name.removeprefix("cross_maps.inversion_step_").split(".")
        stage, _, number = place.split("_")
        expected = case.tensors[name]
        got = run["maps"][run["path"].steps - 1 - int(inverted)][stage][int(number)]
        assert (got[..., :expected.shape[-1]] - expected).abs().max() <= 2e-5, name


def test_shares_of_the_steps(run):
    case, steps = run["case"], run["path"].steps
    until, shares = shares_of(case)
    table = case.tensors["control.cross_replace_alpha"].flatten(1)                  # (steps + 1, m)
    here = during(until, shares, lambda M, M_, at: M, spare=1)
    for i in range(steps):
        one, none = torch.ones(1, 1, 1, table.shape[-1]), torch.zeros(1, 1, 1, table.shape[-1])
        assert torch.equal(here(one, none, Level(1, 0.5, 0.8, i, steps)).flatten(), table[i]), i


@pytest.mark.parametrize("forced", [False, True], ids=["free", "forced"])
def test_edit(run, forced, monkeypatch):
    """Every latent: in a run of our own, and with each step started from the authors' latents."""
    case, path = run["case"], run["path"]
    inverted, edited = case.latents("inversion.latents")[::-1], case.latents("expected.edited_latents")
    if forced:
        path = replace(path, z=inverted, fed=inverted[1:])
    masks = []
    monkeypatch.setattr(fatezero, "blend", lambda z, source, mask: (masks.append(mask), regions.blend(z, source, mask))[1])
    model = Watched(run["model"], edited if forced else None)
    out = run["method"](model, path, run["ask"])
    for i, (got, expected) in enumerate(zip([*model.seen[1:], out], edited, strict=True)):
        assert relative(got[-1:], expected) <= (1e-5 if forced else 1e-4), i
    active = case.told.get("latent_blend", {}).get("active_edit_steps", []) if run["method"].blend_latents else []
    for i, mask in zip(active, masks, strict=True):
        assert differ(mask[0], by_mask(case, f"masks.latent.{i:02d}")) <= 1e-3, i


def test_masks_of_the_source(run):
    case, method, path = run["case"], run["method"], run["path"]
    for name in (*case.names("masks.self."), *case.names("masks.latent_source_only.")):
        expected = by_mask(case, name)
        at = path.levels[int(name.split(".")[2])]
        got = changing(method.setup, run["ask"], tuple(expected.shape[-2:]), path.words[at.step])
        assert differ(got[0], expected) <= 1e-3, name


def by_mask(case: Case, name: str) -> Tensor:
    return case.tensors[name][0].bool()


def differ(a: Tensor, b: Tensor) -> float:
    assert a.shape == b.shape
    return float((a != b).float().mean())
