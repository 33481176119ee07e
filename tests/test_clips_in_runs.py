"""People's clips through `newtake edit`: cuts, stills, odd times, odd names, backgrounds, windows, and results as files."""

import importlib
import json
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from made_clips import container, moving, packets, psnr
from PIL import Image
from shell import SOURCE, TARGET, ran, refused

from newtake.aside import aside
from newtake.commands.said import plain
from newtake.errors import BadInput
from newtake.estimate import steady
from newtake.outputs import CARRYING
from newtake.record import hash_of_frames
from newtake.video import Video
from newtake.world import Scene
from newtake.world.clips import video

QUICK = ["--source", SOURCE, "--set", "steps=2", "--size", "64x64"]
FAST = [*QUICK, "--method", "ddim"]


@pytest.fixture(scope="module")
def clip(place):
    video(Scene(frames=4, size=(64, 64))).write(place / "ball.mp4")
    return place / "ball.mp4"


@pytest.fixture(scope="module")
def cache(place):
    return place / "cache"


@pytest.fixture(autouse=True)
def one_cache(cache, monkeypatch):
    monkeypatch.setenv("NEWTAKE_CACHE", str(cache))


def edit(clip, out, *given, how=QUICK):
    """The record of an edit."""
    code, said, told = ran("edit", clip, TARGET, *how, "--out", out, "--json", *given)
    assert code == 0, told
    return json.loads(said)


def as_told(record):
    """Whether it took as many evaluations as were estimated, but for an inversion that was there."""
    there = 0 if record["inversion"]["made_now"] else record["estimate"]["inverting"]
    return record["evaluations"] == record["estimate"]["evaluations"] - there


@pytest.fixture(scope="module")
def usual(clip, place, cache):
    return edit(clip, place / "usual", "--cache", cache)


# Cuts and stills

@pytest.fixture(scope="module")
def two_scenes(place):
    one, other = (video(Scene(colour=colour, background=where, frames=4, size=(64, 64)))[:]
                  for colour, where in (("red", "grass"), ("blue", "sea")))
    Video.of(torch.cat([one, other]), 8).write(place / "two.mp4", lossless=True)
    return place / "two.mp4"


def test_a_clip_with_a_cut_is_edited_shot_by_shot(two_scenes, tmp_path):
    both = edit(two_scenes, tmp_path / "both.mkv", "--lossless", how=FAST)
    assert any("cuts, at frame 4: each shot" in note for note in both["notes"])
    alone = [edit(two_scenes, tmp_path / f"{start}.mkv", "--lossless", "--start", start, "--frames", 4, how=FAST)
             for start in (0, 4)]
    parts = [Video.read(tmp_path / f"{start}.mkv")[:] for start in (0, 4)]
    assert torch.equal(Video.read(tmp_path / "both.mkv")[:], torch.cat(parts))
    assert as_told(both)
    assert all(not one["inversion"]["made_now"] for one in alone)       # the shots' own inversions, found again


def test_a_cut_is_refused_or_ignored_as_told(two_scenes, tmp_path):
    said = refused("edit", two_scenes, TARGET, *FAST, "--cuts", "refuse", "--start", 1, "--out", tmp_path / "run")
    assert "cuts, at frame 4;" in said and not [*tmp_path.iterdir()]    # the file's numbers, whatever was taken of it
    assert "edit, refuse or ignore" in refused("edit", two_scenes, TARGET, *FAST, "--cuts", "magic", "--out", tmp_path / "run")
    assert edit(two_scenes, tmp_path / "run", "--cuts", "ignore", how=FAST)["notes"] == []


def test_a_still_clip_is_said_to_be_one(place, tmp_path):
    Video.of(video(Scene(frames=1, size=(64, 64)))[:].expand(3, -1, -1, -1)).write(tmp_path / "still.mp4")
    assert any("nothing moves" in note for note in edit(tmp_path / "still.mp4", tmp_path / "run", how=FAST)["notes"])


# What is not whole, or short, or odd

def test_a_truncated_clip_is_edited_or_refused(tmp_path):
    Video.of(moving(40, 64, 64)).write(tmp_path / "half.mp4")
    whole = (tmp_path / "half.mp4").read_bytes()
    (tmp_path / "half.mp4").write_bytes(whole[:len(whole) // 2])
    said = refused("edit", tmp_path / "half.mp4", TARGET, *FAST, "--whole", "--out", tmp_path / "run")
    assert "half.mp4 is not whole" in said and not (tmp_path / "run").exists()
    told = edit(tmp_path / "half.mp4", tmp_path / "run", "--cuts", "ignore", how=FAST)
    assert any("ends early" in note for note in told["notes"]) and 0 < told["clip"]["frames"] < 40


def test_seven_frames_at_23_976_with_sound_that_is_longer(tmp_path):
    rate = Fraction(24000, 1001)
    container(tmp_path / "film.mp4", moving(7, 64, 64), rate=rate, sound=("aac", 1.0))
    edit(tmp_path / "film.mp4", tmp_path / "run", "--cuts", "ignore", how=FAST)
    made = Video.read(tmp_path / "run" / "edit.mp4")
    assert len(made) == 7 and math.isclose(made.rate, rate, rel_tol=1e-3) and made.audio
    heard = [[sound for _, sound in packets(path)] for path in (tmp_path / "film.mp4", tmp_path / "run" / "edit.mp4")]
    assert heard[0] == heard[1]


def test_one_frame(tmp_path):
    video(Scene(frames=1, size=(64, 64))).write(tmp_path / "one.mp4")
    told = edit(tmp_path / "one.mp4", tmp_path / "run", "--keep-background", "--lossless")
    assert told["edits"][0]["file"] == "edit.png" and Video.read(tmp_path / "run" / "edit.png").size == (64, 64)
    edit(tmp_path / "one.mp4", tmp_path / "photo.jpg", how=FAST)
    assert len(Video.read(tmp_path / "photo.jpg")) == 1


@pytest.mark.parametrize("name", ["it's \"so\" good.mp4", "two\nlines.mp4", "пёс 犬 🐕.mp4", "-dash.mp4", "%04d.mp4"])
def test_names(clip, tmp_path, name):
    named = tmp_path / "in" / name
    named.parent.mkdir()
    named.write_bytes(clip.read_bytes())
    out = tmp_path / "out" / f"run of {name.removesuffix('.mp4')}"
    told = edit(named, out, how=FAST)
    assert told["job"]["clip"] == name and (out / "edit.mp4").exists()
    code, _, said = ran("rerun", out, "--clip", named)
    assert code == 0 and "the same bits" in said


def test_what_would_move_a_cursor_is_told_as_it_is_written(tmp_path):
    said = refused("edit", tmp_path / "\x1b[2J\u202egone.mp4", TARGET, *FAST)
    assert "\\x1b[2J\\u202egone.mp4" in said and said.strip().isprintable()
    assert plain("ein Hündchen 犬") == "ein Hündchen 犬" and plain("a\nb") == "a\\nb"


@pytest.mark.parametrize("name", ["🐕" * 60, "犬" * 80 + ".mp4", "a." + "b" * 240])
def test_long_names_are_written_aside_too(tmp_path, name):
    with aside(tmp_path / name) as part:
        part.write_text("whole")
    assert (tmp_path / name).read_text() == "whole" and len([*tmp_path.iterdir()]) == 1
    with pytest.raises(BadInput, match="cannot write"), aside(tmp_path / (name * 4)) as part:
        part.write_text("whole")
    assert len([*tmp_path.iterdir()]) == 1


@pytest.mark.parametrize("rate", [1e-6, 0, -8, math.nan, math.inf])
def test_a_rate_that_is_none(rate):
    with pytest.raises(BadInput, match="a rate is"):
        Video.of(moving(2), rate)


# Windows, memory, and what is told before

def test_windows_change_little_and_are_repeated(clip, usual, place, tmp_path):
    told = edit(clip, tmp_path / "run", "--window", 2, "--lossless")
    edit(clip, tmp_path / "all.mkv", "--lossless")
    assert told["job"]["windows"] == [2, 2] and usual["job"]["windows"] == [4, 4]
    assert psnr(Video.read(tmp_path / "run" / "edit.mp4")[:], Video.read(tmp_path / "all.mkv")[:]) > 50
    code, _, said = ran("rerun", tmp_path / "run", "--clip", clip)
    assert code == 0 and "the same bits" in said


def test_a_dry_run_writes_nothing_and_tells_what_run_json_tells(clip, usual, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, said, _ = ran("edit", clip, TARGET, *QUICK, "--dry-run", "--json", "--cache", tmp_path / "cache")
    told, steadily = json.loads(said), ("evaluations", "inverting", "rows", "windows", "frames", "disk_mb")
    assert code == 0 and [told[name] for name in steadily] == [usual["estimate"][name] for name in steadily]
    assert told.keys() == usual["estimate"].keys() and usual["evaluations"] == told["evaluations"] and not [*tmp_path.iterdir()]
    lines = ran("edit", clip, TARGET, *QUICK, "--dry-run", "--cache", tmp_path / "cache")[1].splitlines()
    assert lines[0] == "4 frames of 64x64, 1 shot" and lines[1].startswith(f"{usual['evaluations']} evaluations")


def test_too_little_memory_is_one_line(clip, tmp_path):
    assert "is too little" in refused("edit", clip, TARGET, *QUICK, "--memory", "10M", "--out", tmp_path / "run")
    assert "such as 8G" in refused("edit", clip, TARGET, *QUICK, "--memory", "much", "--out", tmp_path / "run")
    assert not [*tmp_path.iterdir()]


def test_windows_are_steady():
    assert [steady(n) for n in (1, 2, 3, 4, 5, 7, 8, 11, 12, 1000)] == [1, 2, 3, 4, 4, 6, 8, 8, 12, 768]


# Results

@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".gif", ".webp"])
def test_one_file_by_its_ending_says_how_it_was_made(clip, tmp_path, ending):
    out = tmp_path / f"edit{ending}"
    told = edit(clip, out, how=FAST)
    assert len(Video.read(out)) == 4 and told["edits"][0]["file"] == out.name
    assert {path.name for path in tmp_path.iterdir()} == {out.name, *(["edit.json"] if ending in (".gif", ".webp") else [])}
    edit(clip, out, how=FAST)                           # its own is replaced
    (tmp_path / "moved").mkdir()
    for path in [path for path in tmp_path.iterdir() if path.is_file()]:
        path.rename(tmp_path / "moved" / path.name)
    code, _, said = ran("rerun", tmp_path / "moved" / out.name, "--clip", clip)
    assert code == 0 and "the same bits" in said and (tmp_path / "moved" / "edit-again" / "edit.mp4").exists()


def test_a_folder_of_pictures_by_their_names(clip, tmp_path):
    (tmp_path / "work").mkdir()
    out = tmp_path / "work" / "shots" / "%03d.png"
    told = edit(clip, out, "--target", "a red fish on the grass", how=FAST)
    assert [one["file"] for one in told["edits"]] == ["shots", "shots-2"]
    assert {path.name for path in (tmp_path / "work").iterdir()} == {"shots", "shots-2", "shots.json"}
    assert sorted(path.name for path in (tmp_path / "work" / "shots-2").iterdir()) == [f"00{i}.png" for i in range(4)]
    assert [hash_of_frames(Video.read(tmp_path / "work" / one["file"])) for one in told["edits"]] == \
        [one["sha256"] for one in told["edits"]]
    assert told["notes"] == ["a folder keeps no rate: it was 8 a second"]
    edit(clip, out, how=FAST)                           # its own are replaced
    code, _, said = ran("rerun", tmp_path / "work" / "shots", "--clip", clip)
    assert code == 0 and "the same bits" in said
    assert "too long for this system" in refused("edit", clip, TARGET, "--out", tmp_path / f"{'a' * 300}.mp4")
    (tmp_path / "work" / "shots.json").unlink()          # now they may be anybody's
    assert "shots is there already, and is no edit of newtake" in refused("edit", clip, TARGET, *FAST, "--out", out)
    (tmp_path / "work" / "shots" / "mine.txt").write_text("mine")
    assert "such as mine.txt" in refused("edit", clip, TARGET, *FAST, "--out", out)


@pytest.mark.parametrize("ending", CARRYING)
def test_what_is_told_of_an_edit_is_read_back(tmp_path, ending):
    Video.of(moving(2)).write(tmp_path / f"edit{ending}", comment='{"é": "犬"}')
    assert Video.read(tmp_path / f"edit{ending}").comment == '{"é": "犬"}'


def test_what_cannot_be_written_so_is_told_before_the_work(clip, tmp_path, monkeypatch):
    monkeypatch.setattr("newtake.edits.edited", None)
    (tmp_path / "there").mkdir()
    for out, given, line in (("edit.png", [], "4 frames do not fit in one .png; use .mp4 or .webp, names for pictures such as"),
                             ("run", ["--preview", tmp_path / "there"], "a preview is a .png"),
                             ("run", ["--preview", clip.parent / "ball.mp4" / "x.png"], "is no folder"),
                             ("edit.gif", ["--lossless"], "never lossless"), ("edit.avi", [], ".avi is not written; use .mp4"),
                             ("run", ["--preview", clip], "a preview is a .png"), ("run", ["--light", "magic"], "'magic'"),
                             ("run", ["--feather", 3], "--keep-background"), ("run", ["--model", "x.ckpt"], "x.ckpt"),
                             ("run", ["--keep-background", "--feather", 10**9], "--feather is")):
        assert line in refused("edit", clip, TARGET, *FAST, *given, "--out", tmp_path / out)
    assert [*tmp_path.iterdir()] == [tmp_path / "there"]


@pytest.mark.parametrize("mine, out", [("edit.mp4", "edit.mp4"), ("edit-2.mp4", "edit.mp4"), ("edit.json", "edit.gif")])
def test_what_is_not_newtakes_is_not_replaced(clip, tmp_path, mine, out):
    (tmp_path / mine).write_text("mine")
    said = refused("edit", clip, TARGET, "a red fish on the grass", *FAST, "--out", tmp_path / out)
    assert f"{mine} is there already" in said and [path.name for path in tmp_path.iterdir()] == [mine]
    assert (tmp_path / mine).read_text() == "mine"
    (tmp_path / "folder.mp4").mkdir()
    assert "is there already" in refused("edit", clip, TARGET, *FAST, "--out", tmp_path / "folder.mp4")


def test_links_out_of_the_folder(clip, tmp_path):
    """What is written goes where the user's own link leads, which is told; links inside of a run folder are never followed."""
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "diary.mp4").write_text("mine")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "edit.mp4").symlink_to(tmp_path / "else" / "diary.mp4")
    edit(clip, tmp_path / "run", how=FAST)
    assert (tmp_path / "else" / "diary.mp4").read_text() == "mine" and not (tmp_path / "run" / "edit.mp4").is_symlink()
    (tmp_path / "link").symlink_to(tmp_path / "else")
    assert "holds other things" in refused("edit", clip, TARGET, *FAST, "--out", tmp_path / "link")
    (tmp_path / "link.mp4").symlink_to(tmp_path / "else" / "diary.mp4")
    assert "is no edit of newtake" in refused("edit", clip, TARGET, *FAST, "--out", tmp_path / "link.mp4")
    (tmp_path / "new").symlink_to(tmp_path / "far")
    assert edit(clip, tmp_path / "new", how=FAST)["folder"] == str((tmp_path / "far").resolve())
    assert (tmp_path / "new").is_symlink() and (tmp_path / "far" / "edit.mp4").exists()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_an_answer_that_is_no_number_is_one_line(clip, tmp_path, monkeypatch, value):
    real = importlib.import_module("newtake.models.load").load

    def spoilt(*given, **named):
        model = real(*given, **named)
        model.net.conv_out.bias[0] = value
        return model
    monkeypatch.setattr("newtake.models.load.load", spoilt)
    said = refused("edit", clip, TARGET, *FAST, "--out", tmp_path / "run", "--cache", tmp_path / "cache")
    assert "of 2 is not a number" in said and "in step" in said and "fp32, or bf16" in said
    assert not (tmp_path / "run").exists() and not [*tmp_path.rglob("*.part*")]


# Backgrounds

@pytest.fixture(scope="module")
def left(place):
    mask = np.zeros((64, 64), np.uint8)
    mask[:, :32] = 255
    Image.fromarray(mask).save(place / "left.png")
    return place / "left.png"


@pytest.mark.parametrize("by", ["mask", "box", "words"])
def test_outside_of_what_changes_nothing_does(clip, left, tmp_path, by):
    given = {"mask": ["--mask", left], "box": ["--box", "0.0,0.0,0.5,1.0"], "words": []}[by]
    told = edit(clip, tmp_path / "run", "--keep-background", "--lossless", *given)
    made, source, was = (Video.read(tmp_path / "run" / "edit.mp4")[:], Video.read(tmp_path / "run" / "source.mp4")[:],
                         Video.read(clip, size=(64, 64))[:])
    assert torch.equal(source, was)
    same = (made == was).all(1)                         # (f h w)
    assert not same.all() and (same[..., 33:].all() if by != "words" else same.float().mean() > 0.2)
    assert as_told(told)


def test_where_words_are_only_added_it_says_that_nothing_is_kept(clip, tmp_path):
    code, _, told = ran("edit", clip, "a red ball on the grass in the snow", *FAST, "--keep-background", "--out",
                           tmp_path / "run")
    assert code == 0 and "nothing of the background is kept" in told


def test_full_size_keeps_the_clips_own_pixels(tmp_path):
    video(Scene(frames=2, size=(192, 128))).write(tmp_path / "wide.mp4")
    edit(tmp_path / "wide.mp4", tmp_path / "edit.mkv", "--keep-background", "--full-size", "--box", "0.0,0.0,0.5,1.0",
         "--lossless")
    made, was = Video.read(tmp_path / "edit.mkv")[:], Video.read(tmp_path / "wide.mp4")[:]
    assert made.shape == was.shape and torch.equal(made[..., 98:], was[..., 98:]) and not torch.equal(made, was)


def test_previews_and_lighter_models_run(clip, tmp_path):
    told = edit(clip, tmp_path / "run", "--preview", tmp_path / "now.png", "--light", "tiling", "--light", "fp8", how=FAST)
    assert told["job"]["light"] == ["tiling", "fp8"] and Image.open(tmp_path / "now.png").size[0] > 8
    assert "unknown way" in refused("edit", clip, TARGET, *FAST, "--light", "magic", "--out", tmp_path / "other")
