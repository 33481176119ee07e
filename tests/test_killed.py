"""Edits that are killed: the same command goes on where it was, to the bits of an undisturbed one."""

import json
import signal
import sys
import time

import children
import pytest
from shell import ran

from newtake.world import Scene
from newtake.world.clips import video

STEPS = 8


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    folder = tmp_path_factory.mktemp("killed")
    video(Scene(frames=2, size=(64, 64))).write(folder / "ball.mp4")
    return ["edit", folder / "ball.mp4", "a blue ball on the grass", "--source", "a red ball on the grass", "--method", "ddim",
            "--set", f"steps={STEPS}", "--size", "64x64", "--json"]


def killed(command, cache, out, level):
    """The command, ended with kill -9 when so many levels are in the cache."""
    job = children.started(children.command, *command, "--cache", cache, "--out", out)
    while not [*cache.glob(f"*/inverting-{level:04d}.safetensors")]:
        assert job.exitcode is None, "it ended before it was stopped"
        time.sleep(0.005)
    job.kill()
    assert children.ended(job) == -signal.SIGKILL
    assert not [*cache.glob("*/manifest.json")], "it was done before it was stopped"


def done(command, cache, out):
    code, said, told = ran(*command, "--cache", cache, "--out", out)
    assert code == 0, told
    return json.loads(said)


def parts(folder):
    return [path.name for path in folder.rglob("*") if ".part" in path.name or path.name.startswith(".")]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9")
def test_killed_twice_it_ends_with_the_same_bits(command, tmp_path):
    undisturbed = done(command, tmp_path / "other cache", tmp_path / "undisturbed")
    cache, out = tmp_path / "cache", tmp_path / "run"
    killed(command, cache, out, 2)
    (first,) = cache.glob("*/inverting-0001.safetensors")
    written = first.stat().st_mtime_ns
    killed(command, cache, out, 4)
    assert not out.exists()
    (first.parent / ".inverting-0005.safetensors.abcd.part.safetensors").write_text("torn")
    resumed = done(command, cache, out)
    assert [one["sha256"] for one in resumed["edits"]] == [one["sha256"] for one in undisturbed["edits"]]
    now = resumed["inversion"]["evaluations_now"]
    assert resumed["inversion"]["made_now"] and 0 < now <= STEPS - 4 and resumed["inversion"]["evaluations"] >= STEPS
    assert resumed["evaluations"] == undisturbed["evaluations"] - STEPS + now
    assert undisturbed["inversion"]["evaluations"] == STEPS and first.stat().st_mtime_ns == written
    assert not parts(tmp_path) and {path.name for path in tmp_path.iterdir()} == {"other cache", "undisturbed", "cache", "run"}
