"""FateZero without stored maps is FateZero with stored maps, at the cost the design says."""

from dataclasses import replace

import networks
import pytest
import torch
from networks import relative
from oracles import StoredMaps
from torch import Tensor

from newtake.attention import regions
from newtake.attention.call import Frames
from newtake.errors import BadInput, Note
from newtake.inversion import DDIM, Direct, NullText
from newtake.methods import FateZero, masks
from newtake.methods.method import Setup
from newtake.methods.request import Request
from newtake.models.counted import Counted
from newtake.models.model import Text
from newtake.models.unet import UNet

STEPS = 5
CASES = {                                               # mask, blend, self_until, cross_until
    "kept": (None, False, 0.6, 0.8),
    "fused and blended": (0.7, True, 0.8, 0.4),
    "fused to the end": (0.7, False, 1.0, 1.0),
    "blended only": (0.7, True, 0.0, 0.2),
}


def fatezero(mask, blend, self_until, cross_until, inversion=DDIM(), frames=("own", "middle")) -> FateZero:
    return FateZero(Setup(inversion, STEPS, 7.5, frames, mask), self_until, cross_until, blend_latents=blend)


def per_word(ask: Request) -> Request:
    """A word of the first target comes from the source longer than the rest, another only in the middle."""
    first, second = ask.changes
    return replace(ask, changes=(replace(first, shares={4: (0.0, 1.0), 5: (0.2, 0.6)}), second))


def stored(net: torch.nn.Module, method: FateZero, ask: Request, target: int, z0: Tensor) -> list[Tensor]:
    model = UNet(net, networks.SCHEDULER)
    oracle = StoredMaps(net, model.levels(STEPS), ask, method.self_until, method.cross_until, method.setup.mask,
                        method.blend_latents)
    oracle.invert(z0)
    return oracle.edit(target)


@pytest.mark.parametrize("words", [False, True], ids=["", "per word"])
@pytest.mark.parametrize("name", CASES)
def test_equals_stored_maps(name, words):
    method, z0 = fatezero(*CASES[name]), networks.clip()
    ask = per_word(networks.asked()) if words else networks.asked()
    model = Counted(networks.model())
    path = method.invert(model, z0, ask)
    assert model.evaluations == STEPS
    out = method(model, path, ask)
    source = STEPS if words else round(max(method.self_until, method.cross_until) * STEPS)
    assert model.evaluations == STEPS + len(ask.changes) * 2 * STEPS + source
    for target in range(len(ask.changes)):
        expected = stored(networks.unet(), method, ask, target, z0)[-1]
        assert relative(out[target:target + 1], expected) < 1e-9


class Forced(Counted):
    """Notes the latents that a method asks with, and starts each step from others."""

    def __init__(self, inner, others: list[Tensor]):
        super().__init__(inner)
        self.seen, self.others = [], others

    def guided(self, z, at, text, null, guidance, free=slice(None)):
        self.seen.append(z[-1:])
        if at.step > 0:
            z = torch.cat([z[:-1], self.others[at.step - 1]])
        return super().guided(z, at, text, null, guidance, free)


def single(x):
    """In float32."""
    text = lambda t: Text(t.tokens.float())
    return Request(text(x.source), text(x.targets), text(x.null), x.changes) if isinstance(x, Request) else x.float()


def test_every_step_in_single_precision():
    """Each step from the same latents: 1e-5 (relative), in float32."""
    method, z0, ask = fatezero(*CASES["fused and blended"]), single(networks.clip()), single(networks.asked())
    ask = replace(ask, targets=Text(ask.targets.tokens[:1]), changes=ask.changes[:1])
    expected = stored(networks.unet(torch.float32), method, ask, 0, z0)
    model = Forced(networks.model(torch.float32), expected)
    last = method(model, method.invert(model, z0, ask), ask)
    for i, (got, wanted) in enumerate(zip([*model.seen[1:], last], expected, strict=True)):
        assert relative(got, wanted) < 1e-5, i


class Shuffled(Counted):
    """Hands the clip over in another order, with its numbers."""

    order = torch.tensor([2, 0, 1])

    def predict(self, z, at, text, prompted=True, frames=None):
        said = self.inner.predict(z[:, self.order], at, text, prompted, Frames(self.order, len(self.order)))
        return replace(said, out=said.out[:, self.order.argsort()], z=z)


class Windowed(Counted):
    """Hands over each frame alone, with the anchors riding along."""

    def __init__(self, inner, *anchors):
        super().__init__(inner)
        self.anchors = anchors

    def predict(self, z, at, text, prompted=True, frames=None):
        out = []
        for i in range(z.shape[1]):
            numbers = torch.tensor([i, *(a for a in self.anchors if a != i)])
            said = self.inner.predict(z[:, numbers], at, text, prompted, Frames(numbers, z.shape[1]))
            out.append(said.out[:, :1])
        return replace(said, out=torch.cat(out, 1), z=z)


def edited(model, method) -> Tensor:
    ask = networks.asked()
    return method(model, method.invert(model, networks.clip(), ask), ask)


@pytest.mark.parametrize("norms", ["frame", "clip"])
@pytest.mark.parametrize("frames", [("own", "middle"), ("first", "previous"), ("dense",), (-1, 1, "last")])
def test_frames_in_any_order(frames, norms):
    model, method = networks.model(norms=norms), fatezero(*CASES["fused and blended"], frames=frames)
    assert relative(edited(Shuffled(model), method), edited(model, method)) < 1e-9


def test_windows_with_anchors():
    model, method = networks.model(), fatezero(*CASES["fused and blended"])
    assert relative(edited(Windowed(model, 1), method), edited(model, method)) < 1e-9
    with pytest.raises(ValueError, match=r"frames \[1\] are looked at but not present"):
        edited(Windowed(model, 0), method)


def test_no_map_unless_edited(monkeypatch):
    """Only cross-attention has maps: softmax is never taken over the keys of a frame."""
    widths, softmax = set(), torch.Tensor.softmax
    note = lambda z, *args, **more: (widths.add(z.shape[-1]), softmax(z, *args, **more))[1]
    monkeypatch.setattr(torch.Tensor, "softmax", note)
    edited(networks.model(), fatezero(*CASES["fused and blended"]))
    assert widths == {networks.TOKENS}


def test_nothing_named_is_kept_whole():
    """Without words of what changes, a mask means nothing: self-attention is the source's and no latent is blended in."""
    ask = networks.asked()
    ask = replace(ask, changes=tuple(replace(change, source=(), target=()) for change in ask.changes))
    model, outs = networks.model(), []
    for mask, blend in ((None, False), (0.5, True)):
        method = fatezero(mask, blend, 0.6, 0.8)
        outs.append(method(model, method.invert(model, networks.clip(), ask), ask))
    assert relative(outs[1], outs[0]) < 1e-9


def test_masks_are_widened_as_said(monkeypatch):
    """What is spared never is."""
    seen, region = [], regions.region

    def watched(words, tokens, size, above, widen):
        seen.append(widen)
        return region(words, tokens, size, above, widen)
    monkeypatch.setattr(masks, "region", watched)
    model, method = networks.model(), fatezero(*CASES["fused and blended"])
    edited(model, replace(method, setup=replace(method.setup, widen=3)))
    assert {*seen} == {0, 3}


def test_a_mask_of_words_that_nobody_asked():
    method = fatezero(*CASES["fused and blended"], inversion=NullText(prompted=False))
    with pytest.raises(BadInput, match=r"set inversion\.prompted=true, or give a mask of your own"):
        edited(networks.model(), method)


def test_latents_stay_in_their_own_precision():
    method, z0, ask = fatezero(*CASES["fused and blended"]), single(networks.clip()), networks.asked()
    model = networks.model(torch.bfloat16)
    out = method(model, method.invert(model, z0, ask), ask)
    assert out.dtype == torch.float32 and out.isfinite().all()


def test_direct_inversion_is_ddim():
    """The source row is fed what the inversion was fed, pinned or not: to the bit the same edit."""
    ddim, direct = (fatezero(*CASES["fused and blended"], inversion=kind) for kind in (DDIM(), Direct()))
    with pytest.warns(Note, match="fatezero ignores inversion=direct"):
        assert torch.equal(edited(networks.model(), direct), edited(networks.model(), ddim))


@pytest.mark.parametrize("settings, line", [
    (dict(most=1), "no cross-attention of at most 1 query tokens a frame to find words in; set most=none, or"),
    (dict(published_sites=True), "no cross-attention at the published sites to find words in; set published_sites=false, or"),
])
def test_no_site_to_find_words_in(settings, line):
    """Neither when the clip is inverted nor, where that knew better, when latents are blended."""
    narrow = dict(block_out_channels=(8,), down_block_types=("CrossAttnDownBlock2D",), layers_per_block=1,
                  up_block_types=("UpBlock2D",), mid_block_type=None)
    model, ask, z0 = networks.model(**narrow), networks.asked(), networks.clip()
    method = replace(fatezero(0.3, True, 0.8, 0.8), **settings)
    with pytest.raises(BadInput, match=line):
        method.invert(model, z0, ask)
    path = replace(method, most=None, published_sites=False).invert(model, z0, ask)
    with pytest.raises(BadInput, match=line):
        method(model, path, ask)
