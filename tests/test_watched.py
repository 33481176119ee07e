"""Previews, by every method; they change nothing and cost nothing."""

import warnings

import networks
import pytest
import torch
from diffusers import AutoencoderTiny
from networks import drawn, relative
from PIL import Image
from test_laws import asked, edited

from newtake.errors import BadInput
from newtake.methods import METHODS, configured
from newtake.models.counted import Counted
from newtake.models.unet import UNet
from newtake.models.watched import Watched, preview_file, tiny_decoder
from newtake.track import track, watched

STEPS, Z0 = 3, drawn(1, 3, 4, 4, 6).float()
DECODE = lambda z: z[:, :3] / 8                         # a stand-in for an autoencoder


def network() -> UNet:
    return UNet(networks.unet(torch.float32), networks.SCHEDULER)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_shows_every_step_and_costs_no_more(name):
    method, ask = configured(name, steps=STEPS, inversion="ddim", mask=0.5), asked("sd1")
    plain, model, seen = Counted(network()), Counted(network()), []
    path = method.invert(model, Z0, ask)
    seeing = Watched(model, lambda step, of, picture: seen.append((step, of, picture)), decode=DECODE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shown = method(seeing, path, ask)
    expected = edited(plain, method, ask, Z0)
    assert torch.equal(shown, expected) and model.evaluations == plain.evaluations
    of = seen[-1][1]
    assert [(step, n) for step, n, _ in seen] == [(i, of) for i in range(of)]
    assert all(picture.shape == (3, 4, 6) and picture.isfinite().all() for *_, picture in seen)
    if name in ("ddim", "fatezero", "prompt_to_prompt", "sdedit", "vid2vid_zero", "tune_a_video"):
        last = DECODE(shown[-1, 1][None])[0].clamp(-1, 1)           # the last guided x0 is nearly where it ends
        assert relative(seen[-1][2], last) < 0.1


def test_the_guided_answer_of_the_last_row_is_shown_every_so_often():
    seen, inner = [], network()
    model = Watched(inner, lambda *what: seen.append(what), every=2, decode=DECODE)
    ask, levels, z = networks.asked(), inner.levels(4), drawn(2, 5, 4, 8, 8).float()
    for at in levels[:-1]:
        guided = lambda null, prompted, at: prompted.rows(slice(0, 2))
        p = model.guided(z, at, ask.targets, ask.null, guided)
        model.guided(z + 1, at, ask.targets, ask.null, guided)      # a second turn of the step
        if at.step in (0, 2):
            assert torch.equal(seen[-1][2], DECODE(p.x0[-1, 2][None])[0].clamp(-1, 1))
    assert [step for step, *_ in seen] == [0, 2]


def test_several_frames_small():
    seen, inner = [], network()
    sizes, told = [], []

    def decode(z):
        sizes.extend(some.shape for some in track([z], "decoding"))
        return z[:, :3]

    model = Watched(inner, lambda *what: seen.append(what), count=2, decode=decode)
    with watched(lambda *what: told.append(what)):
        model.predict(drawn(1, 4, 4, 40, 80).float(), inner.levels(2)[0], networks.asked().source)
    assert sizes == [(2, 4, 16, 32)] and seen[0][2].shape == (3, 16, 64) and not told
    with pytest.raises(BadInput, match="not of 0 in every 1"):
        Watched(inner, lambda *_: None, count=0)


def tiny(folder, channels: int = 4):
    torch.manual_seed(0)
    blocks = dict(encoder_block_out_channels=(8, 8), decoder_block_out_channels=(8, 8), num_encoder_blocks=(1, 1),
                  num_decoder_blocks=(1, 1))
    AutoencoderTiny(latent_channels=channels, **blocks).save_pretrained(folder)
    return folder


def test_a_decoder_of_the_users(tmp_path):
    model = network()
    decode = tiny_decoder(tiny(tmp_path / "fits"), model)
    assert decode(drawn(2, 4, 6, 8).float()).shape == (2, 3, 12, 16)
    with pytest.raises(BadInput, match="decodes latents of 16 channels, and this model's have 4"):
        tiny_decoder(tiny(tmp_path / "wide", 16), model)
    (tmp_path / "fits" / "config.json").write_text('{"_class_name": "AutoencoderKL"}')
    with pytest.raises(BadInput, match="is a AutoencoderKL; previews are decoded by an AutoencoderTiny"):
        tiny_decoder(tmp_path / "fits", model)


@pytest.mark.parametrize("ending", [".png", ".webp"])
def test_in_a_file(tmp_path, ending):
    show = preview_file(tmp_path / f"seen{ending}")
    for grey in (-1.0, 1.0):
        show(0, 2, torch.full((3, 8, 12), grey))
    with Image.open(tmp_path / f"seen{ending}") as image:
        assert image.size == (12, 8) and image.convert("L").getextrema()[0] > 250
    assert len([*tmp_path.iterdir()]) == 1
    with pytest.raises(BadInput, match=r"a preview is a \.png or a \.webp, not seen\.jpg"):
        preview_file(tmp_path / "seen.jpg")
