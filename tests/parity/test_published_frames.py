"""Frame attention against the published code: one layer alone, and whole passes through the network."""

import pytest
import torch
from cases import Case, as_look, by_frame, cases, frame_attention, relative
from diffusers.models.attention_processor import Attention

from newtake.attention.call import Frames
from newtake.attention.frames import index, look
from newtake.attention.seam import Pass, seam, sites
from newtake.guidance import cfg
from newtake.inversion import DDIM
from newtake.levels import Level, step

ANY = Level(1, 0.5, 0.8, 0, 1)                          # where only what the network is told matters


@pytest.mark.parametrize("case", cases(lambda case: "variants" in case.told))
def test_one_layer(case: Case):
    dims = case.told["dims"]
    layer = Attention(dims["dim"], heads=dims["heads"], dim_head=dims["dim"] // dims["heads"])
    layer.load_state_dict({name.removeprefix("weights."): case.tensors[name] for name in case.names("weights.")})
    frames = Frames.all(dims["f"])
    for variant in case.told["variants"]:
        names = as_look(variant["index"])
        assert index(frames, *names).tolist() == variant["key_frames_of_query_frame"]
        with seam(sites(layer, "layer"), look(*names), Pass(ANY, True, dims["b"], frames, (1, dims["n"]))):
            out = layer(case.tensors["hidden_states"])
        assert (out - case.tensors[variant["tensor"]]).abs().max() <= 1e-6, variant["index"]


@pytest.mark.parametrize("case", cases(lambda case: "expected.noise_pred" in case.told.get("tensors", {})))
def test_one_pass(case: Case):
    model, z = case.model(), by_frame(case.tensors["latents"])
    at, text = Level(case.told["timestep"], 0.5, 0.8, 0, 1), case.text("prompt_embeds")
    inside = {}
    for name in case.names("expected.intermediate."):
        module = name.removeprefix("expected.intermediate.")
        note = lambda _, args, out, name=name: inside.update({name: out if torch.is_tensor(out) else out[0]})
        model.net.get_submodule(module).register_forward_hook(note)
    with model.control(frame_attention(case.told["frame_attention"])):
        out = model.predict(z, at, text).out
    assert relative(out, by_frame(case.tensors["expected.noise_pred"])) <= 1e-5
    for name, value in inside.items():
        assert relative(value.unflatten(0, z.shape[:2]), by_frame(case.tensors[name])) <= 1e-5, name
    if "expected.noise_pred_normal_mode" in case.tensors:
        with model.control(look("own")):
            own = model.predict(z, at, text).out
        for plain in (own, model.predict(z, at, text).out):
            assert relative(plain, by_frame(case.tensors["expected.noise_pred_normal_mode"])) <= 1e-5


@pytest.mark.parametrize("case", cases(lambda case: case.is_of("Tune-A-Video") and "inversion_prompt" in case.told))
def test_inverting_and_sampling(case: Case):
    model, null, target = case.model(), case.text("empty_embeds"), case.text("target_embeds")
    inverted, edited = case.latents("inversion.latents"), case.latents("expected.edited_latents")
    levels, guidance = model.levels(case.told["scheduler"]["num_inference_steps"]), cfg(case.told["guidance_scale"])
    down = lambda z, i: step(model.guided(z, levels[i], target, null, guidance), levels[i + 1])
    with model.control(frame_attention(case.told["frame_attention"])):
        path = DDIM()(model, inverted[0], null, null, levels, 1)
        for got, expected in zip(path.z[::-1], inverted, strict=True):
            assert relative(got, expected) <= 1e-5
        z = path.z[0]
        for i, (before, expected) in enumerate(zip([inverted[-1], *edited], edited, strict=False)):
            z = down(z, i)
            assert relative(z, expected) <= 1e-4
            assert relative(down(before, i), expected) <= 2e-5
