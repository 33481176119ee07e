"""Two ranks give what one process gives: of every method and inversion, windows, norms and layers over the clip, gradients, and
the command line."""

import os
import subprocess
import sys
from dataclasses import replace
from itertools import chain
from pathlib import Path

import networks
import pytest
import torch
import tunings
from networks import asked, relative
from ranked import Compared, Started, free_port
from shell import SOURCE, TARGET, newtake, ran

from newtake.attention.call import Frames
from newtake.attention.frames import index, look
from newtake.attention.share import Share
from newtake.errors import BadInput
from newtake.following import copied, joined
from newtake.inversion import INVERSIONS
from newtake.levels import diffusion
from newtake.methods import METHODS, configured
from newtake.models.ranks import shared_out
from newtake.models.temporal import fresh
from newtake.models.unet import UNet
from newtake.models.windows import Windowed
from newtake.ranks import Ranks, ranks
from newtake.shelf import Shelf, keeping
from newtake.tuning import prepared, tune
from newtake.video import Video

AT = diffusion(networks.SCHEDULER, 4)[1]


@pytest.fixture(scope="module")
def two():
    started = Started()
    yield started
    started.stop()


def network(**config) -> UNet:
    return networks.model(**config)


@torch.no_grad()
def mixing() -> UNet:
    """Norms over the clip, and layers over its frames that do something."""
    net = networks.unet()
    layers = fresh(net)
    for layer in layers.values():
        layer.attn_temp.to_out[0].weight.normal_(generator=torch.Generator().manual_seed(0))
    return UNet(net, networks.SCHEDULER, "clip", layers)


def edit(model, method, f):
    path = method.invert(model, networks.clip(f, 4, 6), asked())
    z = method(model, path, asked())
    return [*path.z], [text.tokens for text in path.null or []], [*(path.words or [])], [*z]


# What a rank does

def edited(made, method, f, window=None):
    net = made()
    seen = lambda model: model if window is None else Windowed(model, window, method.setup.frames, net.mixed)
    model = Compared(seen(shared_out(net)), seen(net))
    made = edit(model, method, f)
    return model.off, made


def sent(names, f):
    model, before = shared_out(network()), ranks().sent
    with model.control(look(*names)):
        model.predict(networks.clip(f), AT, asked().source)
    return ranks().sent - before


def uneven():
    """Rank 0 sends rank 1 two rows, which sends one back; the sum of what came, each row times its number and the rank's."""
    here = ranks().number
    z = (torch.arange(3.0) + 10 * here).requires_grad_()
    with torch.enable_grad():
        came = ranks().exchanged(z, [[1, 2], [1, 2]][here], [[1, 1], [2, 2]][here])
        (came * torch.arange(1.0, 1 + len(came)) * (1 + here)).sum().backward()
    return came.tolist(), z.grad.tolist()


def on(device):
    """What is wrong with it, of this device on every rank."""
    return wrong(lambda: ranks().apart(torch.device(device)))


def slopes(checkpointing):
    """Of the empty prompt, and of all weights."""
    model, text = mixing(), asked().null
    if checkpointing:
        model.net.train().enable_gradient_checkpointing()
    weights = [*model.net.parameters(), *chain(*(layer.parameters() for layer in model.temporal.values()))]
    for weight in weights:
        weight.requires_grad_(True)
    tokens = text.tokens.clone().requires_grad_()
    with torch.enable_grad(), model.control(look("first", "previous")):
        shared_out(model).predict(networks.clip(5), AT, replace(text, tokens=tokens)).out.square().sum().backward()
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    for gradient in gradients:
        ranks().average(gradient)
    return tokens.grad, gradients


def tuned(folder, steps):
    tuning = tunings.tuning(steps)
    made = prepared(tunings.model(), tuning)
    losses = [step.loss for step in tune(made, tunings.Z0, tunings.TEXT, tuning, Path(folder) / "state.safetensors", {})]
    return losses, {name: weight.detach() for name, weight in made.weights.items()}


def mistaken(by):
    """Those of rank 0 alone, or of one of them."""
    def fails():
        if ranks().number == by:
            raise BadInput("no such thing")
        return "made"

    found = []
    for make in ranks().told, ranks().agreed:
        try:
            found.append(make(fails))
        except BadInput as wrong:
            found.append(str(wrong))
    return found


def other_weights():
    """What is wrong where a rank has another network, and where none has."""
    def make(by):
        model = network()
        model.net.conv_in.bias += ranks().number == by
        return model

    return [wrong(lambda by=by: joined(lambda: make(by))) for by in (0, 1, 2)]


def without_room(by, folder):
    """What is wrong where a rank has no folder to keep an inversion in, and which steps lie in that of this one."""
    here = Path(folder) / str(ranks().number)
    here.touch() if ranks().number == by else here.mkdir()
    method = configured("ddim", steps=2)
    with keeping(Shelf(here)):
        said = wrong(lambda: method.invert(shared_out(network()), networks.clip(5, 4, 6), asked()))
    return said, [] if here.is_file() else [file.name for file in here.iterdir()]


def copies(folder):
    """Rank 0's files, of which one is on rank 1 already."""
    here = Path(folder) / str(ranks().number)
    copied(here)
    return {file.name: file.read_bytes() for file in here.iterdir()}


def wrong(work):
    try:
        work()
    except BadInput as mistake:
        return str(mistake)


# That it is what one process does

def agree(found, alone):
    """found: of each rank."""
    (off, first), (_, other) = found
    assert off < 1e-12
    for ours, theirs, wanted in zip(first, other, alone, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))         # they never part
        assert all(relative(a, b) < 1e-9 for a, b in zip(ours, wanted, strict=True))


FRAMES = [*((name, 5) for name in METHODS), ("fatezero", 16), ("vid2vid_zero", 16), ("video_p2p", 1)]


@pytest.mark.parametrize("name, f", FRAMES)
def test_every_method(two, name, f):
    method = configured(name, steps=2)
    agree(two(edited, network, method, f), edit(network(), method, f))


@pytest.mark.parametrize("name", INVERSIONS)
def test_every_inversion(two, name):
    method = configured("prompt_to_prompt", steps=2, inversion=name, frames="own,first")
    agree(two(edited, network, method, 5), edit(network(), method, 5))


@pytest.mark.parametrize("frames, window", [("own,middle", 4), ("dense", 4), ("first,previous", None), ("-1,last", None)])
def test_masks_windows_norms_and_layers_over_the_clip(two, frames, window):
    method = configured("fatezero", steps=2, frames=frames, mask=0.5, blend_latents=True)
    net = mixing()
    alone = net if window is None else Windowed(net, window, method.setup.frames, net.mixed)
    agree(two(edited, mixing, method, 5, window), edit(alone, method, 5))


def test_only_what_is_looked_at_is_sent(two):
    """At three sites of 8x12 places and 8 channels, and four of 4x6 and 16, in float64."""
    sites = [(8 * 12, 8)] * 3 + [(4 * 6, 16)] * 4
    a_frame = 8 * 2 * sum(n * c for n, c in sites)      # keys and values
    answer = 8 * 4 * 8 * 12
    for names, theirs in [(("own",), (0, 0)), (("own", "middle"), (1, 0)), (("first", "last"), (1, 1)),
                          (("own", "previous"), (1, 0)), (("own", 1), (0, 1)), (("dense",), (2, 2))]:
        assert two(sent, names, 4) == [2 * answer + frames * a_frame for frames in theirs], names


@pytest.mark.parametrize("of", [2, 3, 5])
@pytest.mark.parametrize("names", [("own", "middle"), ("first", "previous"), ("last", 1), ("own", -2, 3)])
def test_who_sends_what(of, names):
    """Every rank has what it looks at, from who has it, once; and what all others look at goes round."""
    for f in (1, 2, 5, 16):
        shares = [Share(Ranks(number, of), torch.arange(f)) for number in range(of)]
        seen = index(Frames.all(f), *names)
        (common, rest), *others = [share.plan(tuple(map(tuple, seen.tolist()))) for share in shares]
        assert all(other == (common, rest) for other in others)
        assert all(place // shares[0].each == rank for rank in range(of) for place in (*common[rank], *chain(*rest[rank])))
        for number, share in enumerate(shares):
            own, came = {*share.places.tolist()}, [place for sent in rest for place in sent[number]]
            round_ = [place for rank, places in enumerate(common) if rank != number for place in places]
            assert len({*came, *round_}) == len(came) + len(round_)
            assert {*seen[share.places].flatten().tolist()} - own == {*came, *round_}


def test_uneven_parts_and_the_way_back(two):
    assert two(uneven) == [([0.0, 10.0], [1.0, 2.0, 4.0]), ([1.0, 2.0, 11.0, 12.0], [2.0, 6.0, 8.0])]


@pytest.mark.parametrize("checkpointing", [False, True])
def test_gradients(two, checkpointing):
    with torch.enable_grad():
        tokens, weights = slopes(checkpointing)
    for ours, those in two(slopes, checkpointing):
        assert relative(ours, tokens) < 1e-9 and len(those) == len(weights)
        assert all(float((a - b).abs().max()) < 1e-9 * float(b.abs().max() + 1) for a, b in zip(those, weights, strict=True))


def test_tuning_and_going_on_with_it(two, tmp_path):
    losses, weights = tuned(tmp_path / "alone", 4)
    two(tuned, tmp_path / "shared", 2)
    for ours, those in two(tuned, tmp_path / "shared", 4):
        assert ours == pytest.approx(losses[2:], rel=1e-5)
        assert all(float((those[name] - weight).abs().max()) < 1e-5 for name, weight in weights.items())


def test_a_mistake_of_one_is_that_of_all(two):
    assert two(mistaken, 0) == [["no such thing", "no such thing"]] * 2
    assert two(mistaken, 1) == [["made", "rank 1: no such thing"], ["made", "rank 1: no such thing"]]


def test_all_have_the_same_network(two):
    for first, second, none in two(other_weights):
        assert "rank 1 has another network" in first and first == second and none is None


def test_where_one_has_no_room_none_goes_on(two, tmp_path):
    for by, said in (0, "cannot keep"), (1, "rank 1: cannot keep"):
        (tmp_path / str(by)).mkdir()
        told = two(without_room, by, tmp_path / str(by))
        assert all(why.startswith(said) for why, _ in told)
        assert told[by][1] == [] and told[1 - by][1] == ["inverting-0000.safetensors"]      # of the same step


def test_files_of_rank_0_are_those_of_all(two, tmp_path):
    (tmp_path / "0").mkdir()
    (tmp_path / "1").mkdir()
    for rank, name, content in (0, "a", b"one"), (0, "b", b"two"), (1, "a", b"old"):
        (tmp_path / str(rank) / name).write_bytes(content)
    assert two(copies, tmp_path) == [{"a": b"one", "b": b"two"}] * 2


def test_devices_are_for_one_rank_each(two):
    assert two(on, "cpu") == [None, None]
    for device, why in ("cuda:0", "a GPU each"), ("mps", "not on mps"):
        assert all(why in wrong for wrong in two(on, device))


LEAVES = """
from pathlib import Path
from newtake.ranks import opened, ranks

with opened():
    import torch.distributed.nn.functional              # as diffusers does
    ranks().every(0)
print([name for task in Path("/proc/self/task").glob("*") if "gloo" in (name := (task / "comm").read_text())])
"""


def test_gloo_ends_with_the_ranks():
    """Its threads would abort Python at its end, now and then."""
    told = dict(WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(free_port()))
    both = [subprocess.Popen([sys.executable, "-c", LEAVES], env=os.environ | told | {"RANK": rank}, stdout=subprocess.PIPE)
            for rank in "01"]
    assert [one.communicate(timeout=60)[0].strip() for one in both] == [b"[]"] * 2


def test_the_command(two, place, capsys):
    """An inversion by two ranks, and an edit from it; what one process makes of it all."""
    from newtake.world.clips import video
    from newtake.world.demo import SCENE

    video(SCENE).write(place / "clip.mp4")
    common = [place / "clip.mp4", "--source", SOURCE, "--frames", 3, "--set", "steps=3", "--size", "64x64"]
    told = [*common, TARGET, "--keep-background", "--preview", place / "preview.png", "--lossless"]
    assert [code for code, _, _ in two(ran, "invert", *common, "--cache", place / "kept")] == [0, 0]
    (code, said, _), (other, nothing, silent) = two(
        ran, "edit", *told, "--window", 2, "--cache", place / "kept", "--out", place / "two")
    assert (code, other, nothing, silent) == (0, 0, "", "") and "two" in said
    assert newtake(capsys, "edit", *told, "--out", place / "one")[0] == 0
    ours, alone = (Video.read(place / name / "edit.mp4") for name in ("two", "one"))
    assert float((ours[:] - alone[:]).abs().max()) < 3 / 255
    assert {path.name for path in place.iterdir()} == {"clip.mp4", "kept", "one", "two", "preview.png"}


def test_mistakes_are_told_once_and_end_all(two, tmp_path):
    missing = ["edit", tmp_path / "none.mp4", TARGET, "--source", SOURCE]
    for arguments, why in ((missing, "no such file"), (["methods"], "without torchrun"), (["edit", "--what"], "--help")):
        (code, said, line), follower = two(ran, *arguments)
        assert (code, said) == (2, "") and why in line and len(line.splitlines()) == 1
        assert follower == (2, "", "")
