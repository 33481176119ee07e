"""The product's commands, run as a person runs them: what they make, and what they say of mistakes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shell import SOURCE, TARGET, newtake

from newtake.ready import marked
from newtake.record import Job
from newtake.video import Video
from newtake.world import Scene
from newtake.world.clips import video

QUICK = ["--set", "steps=2", "--frames", "2"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clips") / "a red ball.mp4"
    video(Scene(frames=4, size=(64, 64))).write(path)
    return str(path)


def test_help_needs_no_torch():
    script = "import sys; sys.argv = ['newtake', '--help']\nfrom newtake import cli\ntry: cli.main()\nexcept SystemExit: pass\n"
    done = subprocess.run([sys.executable, "-c", script + "print('torch' in sys.modules)"], capture_output=True, text=True)
    assert "edit" in done.stdout and done.stdout.endswith("False\n")


def test_edit_makes_a_run_folder_and_rerun_the_same_bits(capsys, clip, tmp_path):
    out = tmp_path / "run one"
    code, said, told = newtake(capsys, "edit", clip, TARGET, "--source", SOURCE, *QUICK, "--out", out, "--json")
    record = json.loads(said)
    assert code == 0 and {p.name for p in out.iterdir()} == {"source.mp4", "edit.mp4", "compare.mp4", "sheet.png", "run.json"}
    assert record["evaluations"] == 2 + 2 * 2 + 1       # inverting, guided, and the source in the steps that need it
    assert len(Video.read(out / "edit.mp4")) == 2 and str(tmp_path) not in (out / "run.json").read_text()
    code, _, told = newtake(capsys, "rerun", out, "--clip", clip)
    assert code == 0 and "the same bits" in told and (tmp_path / "run one-again" / "edit.mp4").exists()


def test_several_targets_share_an_inversion_and_a_mask(capsys, clip, tmp_path):
    Image.fromarray(np.eye(64, dtype=np.uint8) * 255).save(tmp_path / "mask.png")
    out = tmp_path / "run"
    code, said, _ = newtake(capsys, "edit", clip, TARGET, "a red fish on the grass", "--source", SOURCE, *QUICK,
                            "--mask", tmp_path / "mask.png", "--norms", "clip", "--out", out, "--json")
    record = json.loads(said)
    assert code == 0 and [one["file"] for one in record["edits"]] == ["edit.mp4", "edit-2.mp4"]
    assert record["evaluations"] == 2 + 2 * (2 + 1)    # inverting once; each target twice, beside the source the first time
    assert not any("ignores" in note for note in record["notes"])
    assert record["job"]["mask"] == "mask.png" and record["job"]["norms"] == "clip"
    assert {p.name for p in out.iterdir()} == {"source.mp4", "edit.mp4", "edit-2.mp4", "compare.mp4", "sheet.png", "run.json"}
    assert Video.read(out / "compare.mp4").size[0] > 3 * 256
    code, _, told = newtake(capsys, "rerun", out, "--clip", clip)
    assert code == 0 and "the same bits" in told
    (tmp_path / "mask.png").write_bytes(b"another")
    assert "the mask mask.png is not beside run" in newtake(capsys, "rerun", out, "--clip", clip)[2]


def test_the_demo_replaces_nobodys_file(capsys, tmp_path):
    (tmp_path / "x-clip.mp4").write_text("mine")
    code, _, told = newtake(capsys, "demo", "--out", tmp_path / "x")
    assert code == 2 and "x-clip.mp4 is there already" in told and (tmp_path / "x-clip.mp4").read_text() == "mine"


def test_a_mask_is_cropped_as_the_clip_is(clip, tmp_path):
    left = np.zeros((64, 128), np.uint8)
    left[:, :32] = 255                                  # what the crop leaves out
    Image.fromarray(left).save(tmp_path / "mask.png")
    job = Job(clip, SOURCE, (TARGET,), mask=str(tmp_path / "mask.png"))
    assert not marked(job, Video.read(clip, size=(64, 64))).any()


@pytest.mark.parametrize("wrong", [dict(targets=[1]), dict(weights={"blue": "x"}), dict(mask="a.png"), dict(targets=[])])
def test_a_strangers_record_that_is_none_is_one_line(capsys, clip, tmp_path, wrong):
    _, said, _ = newtake(capsys, "edit", clip, TARGET, "--source", SOURCE, *QUICK, "--out", tmp_path / "run", "--json")
    record = json.loads(said)
    (tmp_path / "run" / "run.json").write_text(json.dumps(record | {"job": record["job"] | wrong}))
    code, _, told = newtake(capsys, "rerun", tmp_path / "run", "--clip", clip)
    assert code == 2 and "no run folder" in told


def test_a_picture_is_a_clip_of_one_frame(capsys, tmp_path):
    video(Scene(frames=1, size=(64, 64))).write(tmp_path / "photo.png")
    code, said, _ = newtake(capsys, "edit", tmp_path / "photo.png", TARGET, "--source", SOURCE, "--set", "steps=2",
                            "--out", tmp_path / "run")
    assert code == 0 and said.strip().endswith("edit.png") and (tmp_path / "run" / "edit.png").exists()


def test_what_the_built_in_checkpoint_does_not_know_is_said(capsys, clip, tmp_path):
    code, _, told = newtake(capsys, "edit", clip, "a blue dragon on the grass", "--source", SOURCE, *QUICK,
                            "--out", tmp_path / "run")
    assert code == 0 and "does not know dragon" in told and "--model" in told


def test_methods_are_listed_with_their_settings(capsys):
    from newtake.inversion import INVERSIONS
    from newtake.methods import METHODS

    _, said, _ = newtake(capsys, "methods", "--json")
    listed = json.loads(said)
    assert set(listed["methods"]) == set(METHODS) and set(listed["inversions"]) == set(INVERSIONS)
    for name in METHODS:
        _, said, _ = newtake(capsys, "methods", name, "--json")
        shown = json.loads(said)
        assert "arXiv" in shown["paper"] and {"steps", "guidance"} <= {s["name"] for s in shown["settings"]}
    for name in set(INVERSIONS) - set(METHODS):
        _, said, _ = newtake(capsys, "methods", name, "--json")
        assert all(s["name"].startswith("inversion.") for s in json.loads(said)["settings"])


@pytest.mark.parametrize("mistake, line", [
    (["edit", "CLIP", TARGET, "--model", "FOLDER"], "--source"),
    (["edit", "CLIP", " ", "--source", SOURCE], "empty"),
    (["edit", "CLIP", TARGET, "--source", " "], "--source"),
    (["edit", "nowhere.mp4", TARGET, "--source", SOURCE], "no such file"),
    (["edit", "CLIP", TARGET, "--source", SOURCE, "--method", "magic"], "fatezero"),
    (["edit", "CLIP", TARGET, "--source", SOURCE, "--set", "magic=1"], "guidance"),
    (["edit", "CLIP", TARGET, "--source", SOURCE, "--set", "steps"], "NAME=VALUE"),
    (["edit", "CLIP", TARGET, "--source", SOURCE, "--set", "steps=0"], "between 1 and"),
    (["edit", "CLIP", TARGET, "--source", SOURCE, "--set", "reach=2"], "between 0 and 1"),
    (["edit", "CLIP", TARGET, "--source", SOURCE, "--frames", "9"], "4 frames"),
    (["edit", "CLIP", TARGET, "--source", SOURCE, "--size", "big"], "WIDTHxHEIGHT"),
    (["edit", "CLIP", TARGET, "--source", SOURCE, "--model", "FOLDER"], "FOLDER"),
    (["edit", "CLIP", TARGET, "--source", SOURCE, "--model", "nobody/nothing"], "cached"),
    (["edit", "CLIP", TARGET, "--source", SOURCE, "--device", "abacus"], "abacus"),
    (["edit", "CLIP", TARGET, "--source", SOURCE, "--norms", "none"], "norms are frame or clip"),
    (["edit", "CLIP", TARGET, "--source", SOURCE, "--mask", "nowhere.png"], "no such file"),
    (["edit", "CLIP", TARGET, "--source", SOURCE, "--mask", "CLIP", "--frames", "3", "--start", "2"], "frames"),
    (["edit", "CLIP", TARGET, "--source", SOURCE, "--spare", "zebra"], "zebra"),
    (["edit", "CLIP", TARGET, "--source", SOURCE, "--dtype", "int3"], "int3"),
    (["edit", "CLIP", TARGET, "--source", SOURCE, "--word", "zebra"], "zebra"),
    (["edit", "CLIP", TARGET, "--source", SOURCE, "--weight", "blue=much"], "NAME=NUMBER"),
    (["edit", "CLIP", TARGET, "--source", SOURCE, "--weight", "red=2"], "red"),
    (["edit", "CLIP", TARGET, "--source", SOURCE, "--weight", "blue=nan"], "nan"),
    (["edit", "CLIP", TARGET, "--source", SOURCE, "--share", "blue=5"], "between 0 and 1"),
    (["edit", "CLIP", TARGET, "--source", SOURCE, "--size", "65x64"], "multiples of 4"),
    (["edit", "CLIP", TARGET, "--source", SOURCE, "--set", "name=1"], "unknown setting"),
    (["edit", "CLIP", TARGET, "--source", SOURCE, "--method", "fatezero", "--set", "most=1"], "at most 1 query token"),
    (["demo", "--out", "CLIP/run"], "cannot write"),
    (["demo", "--out", "/"], "holds other things"),
    (["edit", "CLIP", TARGET + " " + "on the grass " * 12, "--source", SOURCE], "lost"),
    (["edit", "CLIP", TARGET, "--source", SOURCE, "--out", "CLIP"], "is no edit of newtake"),
    (["edit", "CLIP", TARGET, "--source", SOURCE, "--out", "CLIP/run"], "cannot write"),
    (["edit", "CLIP", TARGET, "--source", SOURCE, "--out", "/proc/run"], "cannot write"),
    (["edit", "CLIP", TARGET + "\udcff", "--source", SOURCE], "not UTF-8"),
    (["edit", "CLIP", TARGET, "--source", SOURCE, "--set", "inversion=null_text", "--set", "inversion.inner=501"],
     "between 1 and 500"),
    (["rerun", "FOLDER"], "no run folder"),
    (["methods", "magic"], "fatezero"),
    (["world", "clip", "a red dragon", "--out", "FOLDER/new"], "dragon"),
    (["edit"], "clip"),
    (["magic"], "magic"),
])
def test_a_mistake_is_one_line_and_leaves_nothing(capsys, clip, tmp_path, monkeypatch, mistake, line):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "FOLDER"
    folder.mkdir()
    arguments = [a.replace("CLIP", clip).replace("FOLDER", str(folder)) for a in mistake]
    code, said, told = newtake(capsys, *arguments, *(QUICK[:2] if mistake[0] == "edit" and "steps=0" not in mistake else []))
    told = [row for row in told.splitlines() if row]
    assert code == 2 and said == "" and line in told[-1] and len(told) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["FOLDER"] and not [*folder.iterdir()]


def test_an_interrupt_leaves_nothing_and_exits_130(clip, tmp_path):
    command = [sys.executable, "-m", "newtake", "edit", clip, TARGET, "--source", SOURCE, "--set", "steps=300", "--method",
               "ddim", "--out", "run"]
    unbuffered = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=unbuffered) as job:
        assert job.stderr is not None
        while "inverting" not in (row := job.stderr.readline()):
            assert row, "it ended before it began"
        job.send_signal(signal.SIGINT)
        _, told = job.communicate(timeout=120)
    assert job.returncode == 130 and "Traceback" not in told and "cancelled" in told and not [*tmp_path.iterdir()]
    assert not [*Path(os.environ["NEWTAKE_CACHE"]).rglob("*.part*")]


@pytest.fixture
def strange(tmp_path_factory, clip):
    """Files that are not what their names say."""
    folder = tmp_path_factory.mktemp("strange")
    whole = Path(clip).read_bytes()
    (folder / "text.mp4").write_text("hello")
    (folder / "concat.mp4").write_text(f"ffconcat version 1.0\nfile '{clip}'\n")
    (folder / "hls.mp4").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{clip}\n#EXT-X-ENDLIST\n")
    (folder / "torn.mp4").write_bytes(whole[:len(whole) // 3])
    (folder / "empty").mkdir()
    return folder


@pytest.mark.parametrize("name", ["text.mp4", "concat.mp4", "hls.mp4", "torn.mp4", "empty", "x" * 300 + ".mp4"])
def test_a_clip_that_is_none_is_one_line(capsys, strange, tmp_path, name):
    code, said, told = newtake(capsys, "edit", strange / name, TARGET, "--source", SOURCE, "--out", tmp_path / "run")
    assert code == 2 and said == "" and len(told.splitlines()) == 1 and not [*tmp_path.iterdir()]


def test_a_folder_of_other_things_is_not_replaced(capsys, clip, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "run.json").write_text("{}")
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    for command in (["edit", clip, TARGET, "--source", SOURCE, *QUICK], ["demo"], ["world", "clip", "a red ball"]):
        code, _, told = newtake(capsys, *command, "--out", tmp_path / "mine")
        assert code == 2 and "other things" in told and (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_a_strange_record_is_one_line(capsys, tmp_path):
    for text in ('{"format": 1, "job": {}}', "[]", '{"format": 1}', "nonsense"):
        (tmp_path / "run.json").write_text(text)
        code, _, told = newtake(capsys, "rerun", tmp_path)
        assert code == 2 and "no run folder" in told


@pytest.mark.parametrize("given", [["--seed", "-1"], ["--rate", "0.0001"], ["--rate", "nan"], ["--frames", "0"],
                                   ["--motion", "fly"], ["--size", "8x8"], ["--becomes", "a red dragon"]])
def test_a_scene_that_cannot_be_is_one_line(capsys, tmp_path, given):
    code, said, told = newtake(capsys, "world", "clip", "a red ball", "--out", tmp_path / "clip", *given)
    assert code == 2 and said == "" and len(told.splitlines()) == 1 and not [*tmp_path.iterdir()]


def test_a_scene_of_one_frame_in_any_size(capsys, tmp_path):
    code, _, _ = newtake(capsys, "world", "clip", "a red ball on the sea in pixel art", "--out", tmp_path / "clip",
                         "--frames", "1", "--size", "101x75")
    assert code == 0 and Video.read(tmp_path / "clip" / "clip.mp4").size == (102, 76)
