"""Guests: what a ControlNet and a T2I-Adapter add to a pass, by diffusers' own calls; when they count, for whom they are."""

import json

import pytest
import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from diffusers import T2IAdapter as AdapterModel
from invited import adapter, controlnet, guests, pictures
from networks import CHANNELS, SCHEDULER, clip, drawn, model, relative, sdxl, unet

from newtake.attention.call import Frames
from newtake.errors import BadInput
from newtake.invitation import Invitation
from newtake.models.families import configs
from newtake.models.guests import ControlNet, T2IAdapter, load
from newtake.models.model import Text
from newtake.models.unet import UNet

SHOWN = pictures()
TEXT = Text(drawn(2, 12, CHANNELS, seed=9))
ASKED = Invitation("a guest", scale=0.7)


def rows() -> torch.Tensor:
    """Latents (2 3 c h w)."""
    return torch.cat([clip(), clip().flip(1) * 0.5])


def ask(model: UNet, z: torch.Tensor, frames: Frames | None = None, step: int = 2) -> torch.Tensor:
    return model.predict(z, model.levels(5)[step], TEXT, frames=frames).out


def by_hand(net, z, t, tokens, picture, controlnets=(), adapters=()) -> torch.Tensor:
    """One frame of one row through diffusers' networks; guests with their scales."""
    given, seen = {}, (picture[None].double() + 1) / 2
    for guest, scale in controlnets:
        down, mid = guest(z[None], t, tokens[None], seen, conditioning_scale=scale, return_dict=False)
        before, middle = given.get("down_block_additional_residuals"), given.get("mid_block_additional_residual", 0)
        given["down_block_additional_residuals"] = [a + b for a, b in zip(before, down, strict=True)] if before else down
        given["mid_block_additional_residual"] = middle + mid
    for guest, scale in adapters:
        before = given.get("down_intrablock_additional_residuals", [0, 0])
        given["down_intrablock_additional_residuals"] = [a + scale * b for a, b in zip(before, guest(seen), strict=True)]
    return net(z[None], t, tokens[None], **given).sample[0]


@pytest.mark.parametrize("kinds", ["controlnet", "adapter", "two controlnets", "all"])
def test_what_is_added_is_what_diffusers_adds(kinds):
    net = unet()
    controlnets, adapters = [(controlnet(net), 0.7), (controlnet(net, 8), 1.3)], [(adapter(net), 0.7), (adapter(net, 9), 1.3)]
    controlnets, adapters = {"controlnet": (controlnets[:1], []), "adapter": ([], adapters[:1]),
                             "two controlnets": (controlnets, []), "all": (controlnets, adapters)}[kinds]
    both = [*((ControlNet, *one) for one in controlnets), *((T2IAdapter, *one) for one in adapters)]
    invited = UNet(net, SCHEDULER).with_guests(
        *(kind(own, SHOWN, Invitation("a guest", scale=scale)) for kind, own, scale in both))
    z = rows()
    out, t = ask(invited, z), invited.levels(5)[2].t
    for row in range(2):
        for frame in range(3):
            expected = by_hand(net, z[row, frame], t, TEXT.tokens[row], SHOWN[frame], controlnets, adapters)
            assert relative(out[row, frame], expected) < 1e-10
    assert relative(ask(UNet(net, SCHEDULER), z), out) > 0.05


def test_of_scale_0_there_is_none_to_the_bit():
    plain = model()
    invited = plain.with_guests(*guests(plain.net, SHOWN, scale=0))
    assert torch.equal(ask(invited, rows()), ask(plain, rows()))


@pytest.mark.parametrize("which", [0, 1])
def test_a_guest_counts_in_its_share_of_the_steps(which):
    """Of 5 steps the second and the third end after 0.2 and inside 0.6."""
    plain = model()
    invited = plain.with_guests(guests(plain.net, SHOWN, start=0.2, end=0.6)[which])
    alike = [torch.equal(ask(invited, rows(), step=step), ask(plain, rows(), step=step)) for step in range(5)]
    assert alike == [True, False, False, True, True]


@pytest.mark.parametrize("which", [0, 1])
def test_pictures_are_found_by_the_frames_numbers(which):
    plain, z = model(), rows()
    invited = plain.with_guests(guests(plain.net, SHOWN)[which])
    out, order = ask(invited, z), torch.tensor([2, 0])
    assert relative(ask(invited, z[:, order], Frames(order, 3)), out[:, order]) < 1e-12
    assert relative(ask(invited, z[:, order], Frames(torch.tensor([0, 1]), 3)), out[:, order]) > 1e-3


def test_a_t2i_adapter_is_asked_once_and_a_controlnet_in_every_pass():
    plain, counts = model(), [0, 0]
    both = guests(plain.net, SHOWN)
    invited = plain.with_guests(*both)
    for i, guest in enumerate(both):
        guest.net.register_forward_hook(lambda *_, i=i: counts.__setitem__(i, counts[i] + 1))
    for step in range(3):
        ask(invited, rows(), step=step)
    assert counts == [3, 1]


def test_the_attention_of_a_guest_is_not_controlled():
    plain, seen = model(), []
    invited = plain.with_guests(*guests(plain.net, SHOWN))

    def watch(call, attend):
        seen.append(call.site.name)
        return attend(call)

    with invited.control(watch):
        ask(invited, rows())
    assert sorted(seen) == sorted(site.name for site in plain.sites)


def test_the_gradient_of_a_prompt_goes_through_a_controlnet():
    net = unet()
    invited = UNet(net, SCHEDULER).with_guests(*guests(net, SHOWN))
    z, at, own = clip(), invited.levels(5)[2], ([(controlnet(net), 1)], [(adapter(net), 1)])
    with torch.enable_grad():
        ours, theirs = (drawn(1, 12, CHANNELS).requires_grad_() for _ in range(2))
        invited.predict(z, at, Text(ours)).out.square().sum().backward()
        alone = [by_hand(net, z[0, f], at.t, theirs[0], SHOWN[f], *own) for f in range(3)]
        torch.stack(alone).square().sum().backward()
    assert ours.grad is not None and theirs.grad is not None and relative(ours.grad, theirs.grad) < 1e-9


def test_with_the_norms_of_a_clip_equal_frames_are_one():
    one = model()
    still, shown = clip(f=1).expand(2, 3, -1, -1, -1), SHOWN[:1].expand(3, -1, -1, -1)
    expected = ask(one.with_guests(*guests(one.net, shown)), still)
    whole = UNet(one.net, SCHEDULER, "clip")
    assert relative(ask(whole.with_guests(*guests(one.net, shown)), still), expected) < 1e-9


def test_grey_pictures_for_who_sees_one_channel():
    net = unet()
    own = adapter(net, in_channels=1)
    out = ask(UNet(net, SCHEDULER).with_guests(T2IAdapter(own, SHOWN, ASKED)), rows())
    grey = SHOWN.mean(1, keepdim=True)
    t = UNet(net, SCHEDULER).levels(5)[2].t
    assert relative(out[1, 2], by_hand(net, rows()[1, 2], t, TEXT.tokens[1], grey[2], adapters=[(own, 0.7)])) < 1e-10


def test_the_hash_is_of_guests_and_their_pictures_too():
    plain = model()
    alone = lambda shown=SHOWN, **asked: plain.with_guests(guests(plain.net, shown, **asked)[0]).hash
    hashes = [plain.hash, alone(), alone(scale=0.5), alone(end=0.5), alone(SHOWN.flip(0)),
              plain.with_guests(guests(plain.net, SHOWN)[1]).hash]
    assert len({*hashes}) == len(hashes) and alone() == hashes[1]
    assert plain.with_guests(ControlNet(controlnet(plain.net), SHOWN, Invitation("elsewhere"))).hash == hashes[1]


# For whom a guest is

OTHERS = {
    "controlnet": [
        (lambda: unet(in_channels=6), "channels of latents: 4, not 6"),
        (lambda: unet(cross_attention_dim=24), "width of prompts: 16, not 24"),
        (lambda: unet(block_out_channels=(8, 24)), r"what it adds: \[8, 8, 8, 16, 16\], not \[8, 8, 8, 24, 24\]"),
        (sdxl, "beside the prompt: None, not text_time"),
    ],
    "adapter": [
        (lambda: unet(block_out_channels=(8, 24)), r"\[\(8, 8\), \(16, 16\)\], not \[\(8, 8\), \(24, 16\)\]"),
        (sdxl, r"\[\(8, 8\), \(16, 16\)\], not \[\(8, 16\), \(16, 16\)\]"),
    ],
}


@pytest.mark.parametrize("kind, other, line", [(kind, *one) for kind, rows in OTHERS.items() for one in rows])
def test_a_guest_for_another_network_is_refused_with_the_shapes(kind, other, line):
    own = guests(unet(), SHOWN)[kind == "adapter"]
    with pytest.raises(BadInput, match=line) as told:
        UNet(other(), SCHEDULER).with_guests(own)
    assert "for another network" in str(told.value) and "\n" not in str(told.value)


def test_a_guest_for_another_autoencoder_is_refused():
    net = unet()
    with pytest.raises(BadInput, match="pixels a latent: 4, not 8"):
        UNet(net, SCHEDULER).with_guests(ControlNet(controlnet(net, factor=4), SHOWN, ASKED))


@pytest.mark.parametrize("family, kind, factor", [("sd1", "full_adapter", 8), ("sd1", "light_adapter", 8),
                                                  ("sdxl", "full_adapter_xl", 16)])
def test_published_guests_fit_their_networks(family, kind, factor):
    """Their shapes, without weights, are diffusers' defaults."""
    channels = (320, 640, 1280) if kind == "light_adapter" else (320, 640, 1280, 1280)
    with torch.device("meta"):
        net = UNet2DConditionModel(**configs(family)["unet"])
        own = AdapterModel(channels=channels, downscale_factor=factor, adapter_type=kind), ControlNetModel.from_unet(net)
    for guest in (T2IAdapter(own[0], SHOWN, ASKED), ControlNet(own[1], SHOWN, ASKED)):
        assert all(ours == theirs for ours, theirs in guest.shapes(net, 8).values())


@pytest.mark.parametrize("shown, line", [
    (SHOWN[:2], "a guest has control pictures of 2 frames, and the clip 3"),
    (pictures(h=4), "a guest has control pictures of 96x32, and the clip is 96x64"),
])
def test_pictures_of_another_clip_are_refused(shown, line):
    plain = model()
    with pytest.raises(BadInput, match=line):
        ask(plain.with_guests(ControlNet(controlnet(plain.net), shown, ASKED)), rows())


# From a folder

def loaded(where, **more):
    return load(Invitation(str(where)), SHOWN, torch.device("cpu"), torch.float64, **more)


@pytest.mark.parametrize("build", [controlnet, adapter])
def test_a_guest_comes_from_a_folder(tmp_path, build):
    net = unet()
    build(net).save_pretrained(tmp_path / "guest")
    own = loaded(tmp_path / "guest")
    invited = UNet(net, SCHEDULER).with_guests(own)
    expected = UNet(net, SCHEDULER).with_guests(type(own)(build(net), SHOWN, own.asked))
    assert torch.equal(ask(invited, rows()), ask(expected, rows())) and invited.hash == expected.hash
    assert not any(weight.requires_grad for weight in own.net.parameters())


def test_a_pickle_is_read_with_trust_alone(tmp_path):
    controlnet(unet()).save_pretrained(tmp_path / "guest", safe_serialization=False)
    with pytest.raises(BadInput, match=r"is a pickle.*--trust"):
        loaded(tmp_path / "guest")
    assert isinstance(loaded(tmp_path / "guest", trust=True), ControlNet)


def test_what_is_no_guest_is_refused(tmp_path):
    unet().save_pretrained(tmp_path / "unet")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.safetensors").write_bytes(b"")
    (tmp_path / "nameless").mkdir()
    (tmp_path / "nameless" / "config.json").write_text(json.dumps({}))
    for where, line in (("unet", "is a UNet2DConditionModel; a guest is a ControlNetModel or a T2IAdapter"),
                        ("empty", "no config.json"), ("file.safetensors", "no such folder; a guest is tiny-controlnet"),
                        ("nameless", "is a None"), ("nowhere", "no such folder")):
        with pytest.raises(BadInput, match=line):
            loaded(tmp_path / where)
    with pytest.raises(BadInput, match="no hub id that is cached"):
        loaded("nobody/nothing")
