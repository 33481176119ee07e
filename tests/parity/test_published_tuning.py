"""ClipTuning.reference() and TuneAVideo.reference() against the published code: steps of tuning, inversion, sampling."""

from dataclasses import replace

import pytest
from cases import Case, Watched, by_frame, cases, relative
from torch.nn.attention import SDPBackend, sdpa_kernel

from newtake.attention.frames import look
from newtake.levels import trained
from newtake.methods import TuneAVideo
from newtake.methods.request import Request
from newtake.tuning import ClipTuning, Training, prepared, train
from newtake.tuning.clip import denoising
from newtake.tuning.loop import LOOKED_AT


def tuning_of(case: Case, checkpointing: bool) -> ClipTuning:
    told = case.told["optimizer"]
    assert told["kind"] == "AdamW" and told["betas"] == [0.9, 0.999] and told["eps"] == 1e-8
    return ClipTuning.reference(training=Training(
        len(case.told["timesteps"]), told["lr"], decay=told["weight_decay"], clip=told["grad_clip_norm"],
        checkpointing=checkpointing,
    ))


@pytest.mark.parametrize("case", cases(lambda case: "optimizer" in case.told))
@pytest.mark.parametrize("checkpointing", [False, True])
def test_tuning(case: Case, checkpointing, tmp_path):
    """Losses, lengths of gradients, gradients, and every weight after the last step."""
    tuning, told, text = tuning_of(case, checkpointing), case.tensors, case.text("prompt_embeds")
    tuned, levels = prepared(case.model(), tuning), trained(case.told["scheduler"])
    assert set(tuned.weights) == set(case.told["trainable"]["tensors"])
    looks = [0] * LOOKED_AT                             # before and after; nothing is learnt from them
    turns = iter([*looks, *range(tuning.training.steps), *looks])

    def loss(draw):
        i = next(turns)
        eps, at = case.latents("noise")[i], levels[case.told["timesteps"][i]]
        with tuned.model.control(look(*tuning.frames)):
            return denoising(tuned.model, by_frame(told["clean_latents"]), eps, at, text)

    with sdpa_kernel(SDPBackend.MATH):
        for i, step in enumerate(train(tuned.weights, loss, tuning.training, tmp_path / "state", {})):
            assert step.loss == pytest.approx(float(told["expected.loss"][i]), rel=1e-6)
            assert step.norm == pytest.approx(float(told["expected.grad_norm_before_clip"][i]), rel=1e-6)
            for name in case.names("expected.grad_step0.") if i == 0 else ():
                grad = tuned.weights[name.removeprefix("expected.grad_step0.")].grad
                assert grad is not None and relative(grad, told[name]) <= 1e-5, name
    for name, weight in tuned.weights.items():
        assert (weight - told[f"expected.trained.{name}"]).abs().max() <= 5e-6, name


@pytest.mark.parametrize("case", cases(lambda case: case.is_of("Tune-A-Video") and "inversion_prompt" in case.told))
@pytest.mark.parametrize("forced", [False, True], ids=["free", "forced"])
def test_inverting_and_sampling(case: Case, forced):
    """Every latent; the source's prompt counts for nothing."""
    method = TuneAVideo.reference()
    assert method.setup.guidance == case.told["guidance_scale"] and case.told["inversion_prompt"] == ""
    method = replace(method, setup=replace(method.setup, steps=case.told["scheduler"]["num_inference_steps"]))
    inverted, edited = case.latents("inversion.latents"), case.latents("expected.edited_latents")
    ask = Request(case.text("target_embeds"), case.text("target_embeds"), case.text("empty_embeds"), ())
    path = method.invert(case.model(), inverted[0], ask)
    for got, expected in zip(path.z[::-1], inverted, strict=True):
        assert relative(got, expected) <= 1e-5
    path = replace(path, z=inverted[::-1]) if forced else path
    model = Watched(case.model(), edited if forced else None)
    out = method(model, path, ask)
    for i, (got, expected) in enumerate(zip([*model.seen[1:], out], edited, strict=True)):
        assert relative(got, expected) <= (2e-5 if forced else 1e-4), i
