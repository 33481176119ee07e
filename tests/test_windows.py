"""A clip seen through windows is edited as the whole clip is, where frames look at nothing but themselves and fixed ones."""

from dataclasses import replace
from itertools import pairwise

import networks
import pytest
import torch
from networks import asked, drawn, model, relative

from newtake.errors import BadInput
from newtake.inversion import INVERSIONS
from newtake.levels import diffusion
from newtake.methods import METHODS, configured
from newtake.models.counted import Counted
from newtake.models.windows import Windowed

CLIP = networks.clip(f=5)
AT = diffusion(networks.SCHEDULER, 4)[1]


def edit(network, method, ask=None, z0=CLIP):
    ask = ask or asked()
    path = method.invert(network, z0, ask)
    return path, method(network, path, ask)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_gives_the_clip_that_it_gives_without(name):
    method = configured(name, steps=2, frames="own,middle", **({"alone": "false"} if name == "vid2vid_zero" else {}))
    whole, windowed = Counted(model()), Counted(Windowed(model(), 2, method.setup.frames))
    (path, z), (path_, z_) = edit(whole, method), edit(windowed, method)
    assert relative(z_, z) < 1e-9 and whole.evaluations == windowed.evaluations
    for one, other in zip(path.words or [], path_.words or [], strict=True):
        assert relative(other, one) < 1e-9              # the anchor is in several passes, and counts once


@pytest.mark.parametrize("name", INVERSIONS)
def test_every_inversion_too(name):
    method = configured("ddim", steps=3, frames="own,first,last", inversion=name)
    path, path_ = (edit(network, method)[0] for network in (model(), Windowed(model(), 2, method.setup.frames)))
    assert all(relative(b, a) < 1e-8 for a, b in zip(path.z, path_.z, strict=True))
    assert all(relative(b.tokens, a.tokens) < 1e-6 for a, b in zip(path.null or [], path_.null or [], strict=True))


def test_a_mask_of_the_users_and_prompts_of_each_frame_go_by_the_frames_numbers():
    ask = replace(asked(), mask=drawn(5, 16, 24) > 0)
    method = configured("fatezero", steps=2, frames="own,middle", mask=0.5)
    assert relative(edit(Windowed(model(), 2, method.setup.frames), method, ask)[1], edit(model(), method, ask)[1]) < 1e-9
    null = configured("ddim", steps=2, inversion="null_text", **{"inversion.shared": "false"})
    assert relative(edit(Windowed(model(), 2), null)[1], edit(model(), null)[1]) < 1e-6


@pytest.mark.parametrize(("look", "overlap"), [(("own", "previous"), 1), (("dense",), 1), (("own", "middle"), 0)])
def test_windows_cover_the_clip(look, overlap):
    for size in range(4, 9):
        windowed = Windowed(model(), size, look)
        assert windowed.overlap == (size // 4 if overlap else 0)
        for f in range(1, 40):
            windows = windowed.windows(f)
            assert {i for window in windows for i in window} == set(range(f)) and all(len(w) <= size for w in windows)
            shared = [a.stop - b.start for a, b in pairwise(windows)]
            assert all(n >= windowed.overlap for n in shared) and (overlap or not any(shared))


@pytest.mark.parametrize("look", [("own", "previous"), ("first", "previous"), ("dense",)])
def test_where_frames_look_at_neighbours_windows_are_blended(look):
    """Near the whole clip's answer, and from frame to frame no rougher than it at the windows' borders."""
    from newtake.attention.frames import look as looking

    share = torch.linspace(0, 1, 16)[:, None, None, None].double()
    z, text = torch.lerp(drawn(1, 1, 4, 8, 12), drawn(1, 1, 4, 8, 12, seed=2), share), asked().source
    network = model()
    with network.control(looking(*look)):
        whole = network.predict(z, AT, text).out
        blended = Windowed(network, 8, look).predict(z, AT, text).out
        alone = torch.cat([network.predict(part, AT, text).out for part in z.split(4, 1)], 1)
    off = lambda out: float((out - whole).abs().mean())
    assert 0 < off(blended) < off(alone)
    jumps = lambda out: (out[:, 1:] - out[:, :-1]).square().mean((0, 2, 3, 4))
    assert float(jumps(blended).max()) < 1.5 * float(jumps(whole).max())


def test_the_network_sees_no_more_than_a_window(monkeypatch):
    seen = []
    network = model()
    inner = network.predict
    monkeypatch.setattr(network, "predict", lambda z, *rest, **named: (seen.append(z.shape[1]), inner(z, *rest, **named))[1])
    windowed = Windowed(network, 2, ("own", "first"))
    windowed.predict(CLIP, AT, asked().source)
    assert max(seen) == 2 and sum(seen) == windowed.asked(5) == 6       # frame 0 once more, as the anchor
    with pytest.raises(BadInput, match="at least 1 frame"):
        Windowed(network, 0)
