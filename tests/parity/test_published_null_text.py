"""NullText.reference() against the published code: the path, every loss, every empty prompt, where each step led.

Adam makes a whole step of the smallest gradient, by its sign alone.  So attention is taken by plain products here, as it was
published: a fused kernel rounds otherwise, and turned 1 of 1232 such signs.
"""

from dataclasses import dataclass, field

import pytest
import torch
from cases import Case, cases, relative
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from newtake.inversion import NullText, null_text
from newtake.inversion.trajectory import Trajectory
from newtake.models.model import Text


@dataclass
class Run:
    case: Case
    path: Trajectory
    inversion: NullText
    led: list[list[Tensor]] = field(default_factory=list)   # where the rounds of a step led, and last where the step did

    @property
    def name(self) -> str:
        return "expected.null_embeddings" if self.case.names("expected.null_embeddings.") else "null_embeddings"

    @property
    def nulls(self) -> list[Tensor]:
        return [self.case.tensors[name] for name in self.case.names(self.name + ".")]


def inversion_of(case: Case) -> NullText:
    told = case.told["null_text"]
    return NullText.reference(
        inner=told["inner_steps"], enough=told["epsilon"], rate=told.get("base_lr", 1e-2), guidance=case.told["guidance_scale"],
        prompted=case.told.get("inversion_prompt") != "",
    )


def inverted(case: Case) -> list[Tensor]:
    """The path as published, the clip first."""
    return case.latents("pivots") or case.latents("inversion.latents")


@pytest.fixture(scope="module", params=cases(lambda case: "null_text" in case.told))
def run(request) -> Run:
    case, led, leading = request.param, [], null_text.leading
    model, inversion = case.model(), inversion_of(case)

    def noting(*given):
        lead, mine = leading(*given), []
        led.append(mine)
        return lambda tokens: (mine.append(lead(tokens)), mine[-1])[1]

    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), pytest.MonkeyPatch.context() as patch:
        patch.setattr(null_text, "leading", noting)
        levels = model.levels(case.told["scheduler"]["num_inference_steps"])
        path = inversion(model, inverted(case)[0], case.text("source_embeds"), case.text("empty_embeds"), levels, 1)
    return Run(case, path, inversion, led)


def test_path(run):
    for got, expected in zip(run.path.z[::-1], inverted(run.case), strict=True):
        assert relative(got, expected) <= 1e-5


def test_losses(run):
    told = run.case.told
    losses = told["null_text"].get("losses_per_step") or told["losses_per_step"]
    rounds = told["null_text"].get("inner_steps_done") or told["inner_steps_done"]
    for i, (led, expected, many) in enumerate(zip(run.led, losses, rounds, strict=True)):
        assert len(led) - 1 == len(expected) == many, i
        got = torch.stack([(z - run.path.z[i + 1]).square().mean() for z in led[:-1]])
        assert relative(got, torch.tensor(expected)) <= 1e-5, i


def test_empty_prompts(run):
    most = 2e-3 if "pivots.00" in run.case.tensors else 1e-3
    for i, (null, expected) in enumerate(zip(run.path.null, run.nulls, strict=True)):
        assert (null.tokens - expected).abs().max() <= most, i
    for i, (led, expected) in enumerate(zip(run.led, run.case.latents("expected.reconstruction"), strict=False)):
        assert relative(led[-1], expected) <= 1e-4, i


def test_steps_from_the_stored_state(run):
    """Each from the authors' latents and the authors' prompt of the step before."""
    case, model, levels = run.case, run.case.model(), run.path.levels
    reached, path = case.latents("expected.reconstruction"), inverted(case)[::-1]
    if not reached:
        pytest.skip("the case does not tell where its steps led")
    starts = zip([path[0], *reached], [case.tensors["empty_embeds"], *run.nulls], strict=True)
    for i, ((z, tokens), at, down) in enumerate(zip(starts, levels, levels[1:], strict=False)):
        prompted = model.predict(z, at, case.text("source_embeds"))
        lead = null_text.leading(model, prompted, down, Text(tokens), run.inversion.guidance)
        tuned, led = run.inversion._tuned(lead, path[i + 1], tokens, i)
        assert (tuned - run.nulls[i]).abs().max() <= 5e-4, i
        assert relative(led, reached[i]) <= 1e-5, i
