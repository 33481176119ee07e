"""Control pictures: how guests are asked for, what is drawn from a clip or read from one, and the command with them."""

import json

import pytest
import torch
from diffusers import UNet2DConditionModel
from invited import controlnet
from made_clips import moving
from networks import drawn
from shell import SOURCE, TARGET
from shell import newtake as command
from test_commands import QUICK

import newtake
from newtake import drawing
from newtake.errors import BadInput
from newtake.invitation import Invitation, spelled
from newtake.methods import configured
from newtake.models.load import built_in
from newtake.video import Video
from newtake.welcome import footage, pictures
from newtake.world import Scene
from newtake.world.clips import video


@pytest.mark.parametrize("said, meant", [
    ("tiny-controlnet", Invitation("tiny-controlnet")),
    ("a folder:scale=0.8;end=0.5", Invitation("a folder", scale=0.8, end=0.5)),
    (r"C:\guests\one:pictures=C:\a clip.mp4", Invitation(r"C:\guests\one", r"C:\a clip.mp4")),
    ("owner/name:pictures=depth=some/folder;start=0.1", Invitation("owner/name", "depth=some/folder", start=0.1)),
])
def test_a_guest_is_spelled(said, meant):
    assert spelled(said) == meant


def test_what_a_guest_sees():
    kinds = {"edges": ("edges", None), "depth=a/b": ("depth", "a/b"), "pose=c": ("pose", "c"), "x=1.mp4": ("clip", "x=1.mp4")}
    for said, (kind, file) in kinds.items():
        asked = Invitation("a", said)
        assert (asked.kind, asked.file) == (kind, file) and asked.with_files("a", file) == asked


@pytest.mark.parametrize("said, line", [
    ("", "a guest is WHERE"), ("a:scale=2;x", "a guest is WHERE"), ("a:weight=1", "unknown setting 'weight' of a guest"),
    ("a:scale=much", "scale is a number, not 'much'"), ("a:scale=-1", "scale must be between 0 and 10"),
    ("a:end=2", "end must be between 0 and 1"), ("a:scale=nan", "scale must be between"),
    ("a:pictures=depth=", "pictures=depth=FOLDER"), ("a:start=0.5;end=0.5", "not from 0.5 to 0.5"),
])
def test_a_mistake_of_spelling_is_one_line(said, line):
    with pytest.raises(BadInput, match=line):
        spelled(said)


# What is drawn

def test_the_edges_of_a_square_are_a_square():
    """Canny's edges are a pixel wide and lie where the grey changes; its corners are rounded by a pixel."""
    pytest.importorskip("cv2", reason="edges are drawn with OpenCV")
    frames = torch.full((2, 3, 40, 48), -1.0)
    frames[0, :, 10:30, 12:36] = 1
    drawn_ = drawing.edges(frames)
    assert drawn_.shape == frames.shape and set(drawn_.unique().tolist()) == {-1.0, 1.0}
    assert (drawn_[0, 0] == drawn_[0, 2]).all() and (drawn_[1] == -1).all()
    white = drawn_[0, 0] == 1
    y, x = white.nonzero().T
    assert {*range(12, 35)} <= {*x.tolist()} <= {*range(11, 37)} and {*range(10, 29)} <= {*y.tolist()} <= {*range(9, 31)}
    assert not white[13:27, 15:33].any() and 76 <= int(white.sum()) <= 92       # its border has 84 pixels


def test_a_figure_has_the_joints_that_are_sure():
    pytest.importorskip("cv2", reason="poses are drawn with OpenCV")
    places, scores = torch.zeros(17, 2), torch.zeros(17)
    places[5], places[6], places[7] = torch.tensor([40.0, 20]), torch.tensor([20.0, 20]), torch.tensor([40.0, 50])
    scores[[5, 6, 7]] = 0.9
    picture = drawing.figure(places, scores, (64, 80))
    lit = (picture > -1).any(0)
    y, x = lit.nonzero().T
    assert picture.shape == (3, 80, 64) and lit[20, 30] and lit[35, 40]         # the neck; the left upper arm
    assert (int(x.min()), int(x.max()), int(y.min()), int(y.max())) == (19, 41, 19, 51)
    assert (drawing.figure(places, scores * 0.1, (64, 80)) == -1).all()


def test_depth_is_scaled_over_the_clip(tmp_path):
    """A network of transformers without training; what it sees of a frame does not change with the others, its grey may."""
    transformers = pytest.importorskip("transformers")
    from transformers.models.dpt.image_processing_pil_dpt import DPTImageProcessorPil

    torch.manual_seed(0)
    net = transformers.DPTForDepthEstimation(transformers.DPTConfig(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=8,
        backbone_out_indices=[0, 1, 2, 3], neck_hidden_sizes=[8] * 4, fusion_hidden_size=8, initializer_range=0.4))
    net.save_pretrained(tmp_path / "depth")
    DPTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(tmp_path / "depth")
    seen = torch.cat([*drawing.depth(Video.of(moving(3)), str(tmp_path / "depth"))])
    assert seen.shape == (3, 3, 24, 32) and seen.min() == -1 and seen.max() == 1 and (seen[:, 0] == seen[:, 2]).all()
    assert sorted((frame.min() == -1).item() for frame in seen) == [False, False, True]


def test_who_draws_is_a_network_of_transformers(tmp_path):
    for where, line in (("nowhere", "no such folder"), ("nobody/nothing", "cached"), (str(tmp_path), "no config.json")):
        with pytest.raises(BadInput, match=line):
            [*drawing.depth(Video.of(moving(2)), where)]


# What is given

@pytest.fixture
def given(tmp_path):
    Video.of(moving(8)).write(tmp_path / "eight")       # a folder of pictures
    return Invitation("a", str(tmp_path / "eight"))


def test_given_pictures_are_taken_by_the_clips_numbers(given):
    clip = Video.of(moving(8)[3:8:2])                   # frames 3, 5 and 7
    found = footage(given, clip, start=3, stride=2)
    assert found is not None and torch.equal(found[:], moving(8)[3:8:2])
    whole = footage(given, Video.of(moving(8)))
    assert whole is not None and torch.equal(whole[:], moving(8))
    small = footage(given, Video.of(drawn(8, 3, 12, 16).float()))
    assert small is not None and small.size == (16, 12)


@pytest.mark.parametrize("many, start, line", [
    (9, 0, "have 8 frames; give a clip of 9 frames$"), (6, 3, "have 8 frames; give a clip of 6 frames, or 9 from which"),
])
def test_too_few_pictures_are_one_line(given, many, start, line):
    with pytest.raises(BadInput, match=line):
        footage(given, Video.of(moving(many)), start)


def test_edges_are_drawn_from_the_clip_itself():
    pytest.importorskip("cv2", reason="edges are drawn with OpenCV")
    clip = Video.of(moving(3))
    assert torch.equal(pictures(Invitation("a"), clip, 0, 1, "cpu", False, False), drawing.edges(clip[:]))


# The command

@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A clip of the world, and a ControlNet for the built-in checkpoint that knows nothing."""
    folder = tmp_path_factory.mktemp("guests")
    video(Scene(frames=4, size=(64, 64))).write(folder / "ball.mp4")
    net = UNet2DConditionModel.from_pretrained(built_in() / "unet", torch_dtype=torch.float32)
    controlnet(net, factor=4).save_pretrained(folder / "guest")
    controlnet(net, factor=8).save_pretrained(folder / "foreign")
    return folder


def edited(capsys, files, out, *more):
    return command(capsys, "edit", files / "ball.mp4", TARGET, "--source", SOURCE, *QUICK, "--out", out, "--json", *more)


def test_a_run_with_guests_is_found_again(capsys, files, tmp_path):
    """Names and hashes are kept, and no paths; the files are found beside the run, or where it is said."""
    asked = f"{files / 'guest'}:pictures={files / 'ball.mp4'};scale=0.5;end=0.6"
    code, said, _ = edited(capsys, files, tmp_path / "run", "--guest", asked)
    record = json.loads(said)
    assert code == 0 and record["job"]["guests"] == [
        {"where": "guest", "pictures": "ball.mp4", "scale": 0.5, "start": 0.0, "end": 0.6}]
    assert all(len(record["guests"][0][name]) == 64 for name in ("network", "pictures"))
    assert str(files) not in (tmp_path / "run" / "run.json").read_text()
    _, plain, _ = edited(capsys, files, tmp_path / "plain")
    plain = json.loads(plain)
    assert plain["model"]["sha256"] != record["model"]["sha256"] and plain["edits"][0]["sha256"] != record["edits"][0]["sha256"]
    assert plain["job"]["guests"] == plain["guests"] == []

    code, _, told = command(capsys, "rerun", tmp_path / "run", "--clip", files / "ball.mp4")
    assert code == 2 and "the guest guest is not beside run" in told and "--guest" in told
    code, _, told = command(capsys, "rerun", tmp_path / "run", "--clip", files / "ball.mp4", "--guest", files / "guest",
                            "--guest", files / "ball.mp4")
    assert code == 0 and "the same bits" in told
    for wrong in ([{"where": "x"}], [{"where": "x", "pictures": 3}], [{"where": "x", "pictures": "edges", "scale": 99}], []):
        strange = record | {"job": record["job"] | {"guests": wrong}}
        (tmp_path / "run" / "run.json").write_text(json.dumps(strange))
        code, _, told = command(capsys, "rerun", tmp_path / "run", "--clip", files / "ball.mp4")
        assert code == 2 and "no run folder" in told


def test_in_python_guests_are_spelled_as_in_the_command(files):
    """Of scale 0 one is as none, to the bit."""
    clip, one = Video.read(files / "ball.mp4", frames=1), configured("ddim", steps=1)
    made = [newtake.edit(clip, source=SOURCE, target=TARGET, method=one, guests=asked)[:] for asked in (
        [], [f"{files / 'guest'}:scale=0"], [spelled(f"{files / 'guest'}:pictures={files / 'ball.mp4'}")])]
    assert torch.equal(made[0], made[1]) and not torch.allclose(made[0], made[2])


@pytest.mark.parametrize("guest, line", [
    ("nowhere", "no such folder; a guest is tiny-controlnet, tiny-t2i"), ("FILES/foreign", "pixels a latent: 8, not 4"),
    ("FILES/guest:scale=20", "between 0 and 10"), ("FILES/guest:pictures=nowhere.mp4", "no such file"),
    ("FILES/guest:pictures=FILES/short", "have 1 frames; give a clip of 2 frames"), ("nobody/nothing", "cached"),
    ("FILES/ball.mp4", "no such folder"), ("FILES/guest:pictures=depth=nowhere", "no such folder"),
])
def test_a_mistake_with_guests_is_one_line_and_leaves_nothing(capsys, files, tmp_path, guest, line):
    if not (files / "short").exists():
        Video.of(moving(1)).write(files / "short")
    code, said, told = edited(capsys, files, tmp_path / "run", "--guest", guest.replace("FILES", str(files)))
    assert code == 2 and said == "" and line in told and len(told.splitlines()) == 1 and not [*tmp_path.iterdir()]
