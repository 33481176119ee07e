"""Inversions that are kept: made once, found by all that decides their bits, and by nothing else."""

import json
import subprocess
import sys
from contextlib import contextmanager

import children
import portalocker
import pytest
import torch
from shell import SOURCE, TARGET, ran, refused

from newtake import load
from newtake.cache import Cache, named
from newtake.edits import Means, edited, key_of
from newtake.estimate import counts
from newtake.inversion import INVERSIONS
from newtake.methods import METHODS, configured, spelled
from newtake.methods.request import request
from newtake.video import Video
from newtake.world import Scene
from newtake.world.clips import video

QUICK = ["--source", SOURCE, "--set", "steps=2", "--size", "64x64", "--json"]


@pytest.fixture(scope="module")
def clip(place):
    video(Scene(frames=2, size=(64, 64))).write(place / "ball.mp4")
    return place / "ball.mp4"


@pytest.fixture(scope="module")
def cache(place):
    return Cache(place / "cache")


@pytest.fixture(scope="module")
def model():
    return load("tiny", dtype="fp32")


@pytest.fixture(scope="module")
def first(clip, cache):
    return edit(clip, cache.folder)


def edit(clip, cache, *given, targets=(TARGET,)):
    """The record of an edit."""
    out = clip.parent / "run"
    code, said, told = ran("edit", clip, *targets, *QUICK, "--cache", cache, "--out", out, *given)
    assert code == 0, told
    return json.loads(said)


def bits(record):
    return [one["sha256"] for one in record["edits"]]


# Made once

def test_the_second_edit_inverts_nothing_and_has_the_same_bits(clip, cache, first):
    again, uncached = edit(clip, cache.folder), edit(clip, "none")
    assert first["inversion"]["made_now"] and uncached["inversion"]["made_now"] and not again["inversion"]["made_now"]
    assert first["evaluations"] - again["evaluations"] == first["inversion"]["evaluations"] == 2
    assert bits(first) == bits(again) == bits(uncached)
    assert again["inversion"]["evaluations"] == 2       # what it took when it was made
    assert [path.name for path in clip.parent.iterdir() if path.name.startswith(".")] == []


def test_targets_of_all_three_ways_share_an_inversion(clip, cache, first, tmp_path):
    (tmp_path / "more.txt").write_text("\ufeffa red fish on the grass\n\n  a red ball on the sea\n", encoding="utf-8")
    many = edit(clip, cache.folder, "--target", "a green ball on the grass", "--targets", tmp_path / "more.txt")
    assert many["job"]["targets"] == [TARGET, "a green ball on the grass", "a red fish on the grass", "a red ball on the sea"]
    assert not many["inversion"]["made_now"] and bits(many)[0] == bits(first)[0]
    assert first["evaluations"] == 2 + 2 + 3            # inverted; looked at, beside the source; and 2 steps, the source in one
    assert 5 + 4 * 2 <= many["evaluations"] <= 5 + 4 * 3 == many["estimate"]["evaluations"] - 2     # a shape may be let go
    assert len(cache.entries()) == 1


def test_invert_fills_it(clip, tmp_path):
    cache = tmp_path / "cache"
    settings = [one for one in QUICK if one != "--json"]
    code, said, _ = ran("invert", clip, *settings, "--cache", cache)
    assert code == 0 and said.startswith("2 evaluations") and "there" not in said
    assert ran("invert", clip, *settings, "--cache", cache)[1].strip().endswith("it was there")
    assert not edit(clip, cache)["inversion"]["made_now"]


# Found by what decides it

def key(clip, model, source=SOURCE, targets=(TARGET,), method="newtake:steps=2", seed=0, windows=None, size=(64, 64), **choice):
    footage, method = Video.read(clip, size=size, **choice), spelled(method)
    windowed = Means(windows=windows).windowed(model, method, footage, editing=False)
    return named(key_of(footage, source, method, model, request(model, source, targets, seed=seed), windowed))


def test_what_decides_its_bits_makes_another(clip, model, tmp_path):
    video(Scene(colour="blue", frames=2, size=(64, 64))).write(tmp_path / "other.mp4")
    other, usual = tmp_path / "other.mp4", key(clip, model)
    drawing = [name for name in INVERSIONS if name not in ("ddim", "direct")]
    keys = [usual, key(other, model), key(clip, model, "a red ball"), key(clip, model, size=(32, 32)),
            key(clip, model, frames=1), key(clip, model, method="newtake:steps=3"), key(clip, model, windows=(1, 1)),
            *(key(clip, model, method=f"newtake:steps=2;inversion={name}") for name in drawing),
            key(clip, model, method="newtake:steps=2;inversion=fixed_point;inversion.rounds=9"),
            key(clip, model, method="newtake:steps=2;frames=first"),
            key(clip, load("tiny", dtype="bf16")), key(clip, load("tiny", dtype="fp32", norms="clip"))]
    assert len({*keys}) == len(keys)


@pytest.mark.parametrize("same", [
    dict(targets=(TARGET, "a red fish on the grass")), dict(targets=("a red fish",)), dict(seed=5), dict(windows=(2, 1)),
    dict(method="newtake:steps=2;guidance=3;mask=0.5"), dict(frames=2)])
def test_what_does_not_decide_them_makes_none(clip, model, same):
    assert key(clip, model, **same) == key(clip, model)


def test_a_seed_counts_where_noise_is_drawn(clip, model):
    drawing = dict(method="ddim:steps=2;inversion=edit_friendly")
    assert key(clip, model, **drawing) != key(clip, model, **drawing, seed=1)


# What an edit takes, told before

@pytest.mark.parametrize("inversion, located", [("ddim", True), ("null_text", False)])
@pytest.mark.parametrize("name", METHODS)
@pytest.mark.filterwarnings("ignore")
def test_evaluations_are_as_they_were_told(clip, model, name, inversion, located):
    method = configured(name, steps=2, inversion=inversion)
    targets = [TARGET, "a red fish on the grass"]
    inverting, editing = (one.evaluations for one in counts(method, model, request(model, SOURCE, targets), located))
    done = edited(Video.read(clip, size=(64, 64)), SOURCE, targets, method, model, located=located)
    if inversion == "null_text" or name == "newtake":   # which look what is needed
        assert done.inversion["evaluations"] <= inverting and done.evaluations <= inverting + editing
    else:
        assert (done.inversion["evaluations"], done.evaluations) == (inverting, inverting + editing)


# Listed and taken away

def test_it_is_listed_limited_and_cleared_but_for_what_is_in_use(clip, model, tmp_path):
    cache, method = Cache(tmp_path / "cache"), configured("ddim", steps=1)
    footage = Video.read(clip, size=(64, 64))
    inversion = lambda source: edited(footage, source, [TARGET], method, model, means=Means(cache)).inversion
    for source in (SOURCE, "a red ball", "a ball"):
        inversion(source)
    (cache.folder / "holidays").mkdir()                 # not ours
    (cache.folder / "holidays" / "beach.jpg").write_text("sun")
    assert [one["source"] for one in cache.entries()] == ["a ball", "a red ball", SOURCE]
    inversion(SOURCE)
    assert [one["source"] for one in cache.entries()] == [SOURCE, "a ball", "a red ball"]       # the last used first
    code, said, _ = ran("cache", "--cache", cache.folder)
    *lines, total = said.splitlines()
    assert code == 0 and len(lines) == 3 and "'a red ball'" in lines[2] and "2 x 64x64" in lines[0] and " of 20.0 GB" in total
    two = sum(one["bytes"] for one in cache.entries()[:2])
    told = json.loads(ran("cache", "--cache", cache.folder, "--limit", f"{two}", "--json")[1])
    assert told["limit"] == two and told["taken_away"] == 1 and [one["source"] for one in told["entries"]] == [SOURCE, "a ball"]
    assert inversion("a red")["made_now"]               # keeps to the limit by itself
    assert [one["source"] for one in cache.entries()] == ["a red", SOURCE]
    used = cache.entries()[1]["name"]
    with open(cache.folder / f"{used}.lock", "a") as lock:
        portalocker.lock(lock, portalocker.LOCK_EX)     # as who inverts
        assert json.loads(ran("cache", "--cache", cache.folder, "--prune", "--json")[1])["taken_away"] == 0
        assert json.loads(ran("cache", "--cache", cache.folder, "--clear", "--json")[1])["taken_away"] == 1
    assert [one["name"] for one in cache.entries()] == [used]
    assert ran("cache", "--cache", cache.folder, "--clear")[0] == 0 and cache.entries() == []
    assert (cache.folder / "holidays" / "beach.jpg").read_text() == "sun"


def test_a_limit_that_is_none(clip, tmp_path):
    assert "takes a size such as 8G" in refused("cache", "--cache", tmp_path, "--limit", "much")
    (tmp_path / "limit").write_text("a lot")
    assert json.loads(ran("cache", "--cache", tmp_path, "--json")[1])["limit"] == 20 << 30
    (tmp_path / "file").write_text("")
    assert "file" in refused("cache", "--cache", tmp_path / "file", "--limit", "1G")


# Damaged

def torn(entry):
    file = sorted(entry.glob("*.safetensors"))[1]
    file.write_bytes(file.read_bytes()[:-7])


DAMAGE = {
    "a torn level": torn, "a missing level": lambda entry: sorted(entry.glob("*.safetensors"))[0].unlink(),
    "half a manifest": lambda entry: (entry / "manifest.json").write_text((entry / "manifest.json").read_text()[:-9]),
    "a manifest of something else": lambda entry: (entry / "manifest.json").write_text('{"format": 2, "series": []}'),
    "no manifest": lambda entry: (entry / "manifest.json").unlink(),
    "no about": lambda entry: (entry / "about.json").unlink(),
    "garbage": lambda entry: (entry / "about.json").write_bytes(b"\xff\x00garbage"),
    "a list": lambda entry: (entry / "about.json").write_text("[]"),
    "words for numbers": lambda entry: (entry / "about.json").write_text('{"evaluations": "many", "seconds": "few"}'),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_what_is_damaged_is_made_anew(clip, model, tmp_path, damage):
    made = lambda: edited(Video.read(clip, size=(64, 64)), SOURCE, [TARGET], configured("ddim", steps=2), model,
                          means=Means(Cache(tmp_path)))
    before = made()
    (entry,) = tmp_path.glob("*/")
    damage(entry)
    assert len(Cache(tmp_path).entries()) == 1          # listed, whatever it is
    after = made()
    assert after.inversion["made_now"] and not made().inversion["made_now"]
    assert torch.equal(before.videos[0][:], after.videos[0][:])


# Several processes, full disks

def test_two_processes_at_once_invert_once(clip, tmp_path):
    command = ["edit", clip, TARGET, *QUICK, "--set", "steps=8", "--cache", tmp_path / "cache", "--out"]
    outs = [tmp_path / "one", tmp_path / "two"]
    jobs = [children.started(children.command, *command, out) for out in outs]
    assert [children.ended(job) for job in jobs] == [0, 0]
    one, two = (json.loads((out / "run.json").read_text()) for out in outs)
    assert bits(one) == bits(two) and one["inversion"]["made_now"] != two["inversion"]["made_now"]
    assert abs(one["evaluations"] - two["evaluations"]) == 8 and not [*(tmp_path / "cache").rglob("*.part*")]


@contextmanager
def full(folder, size):
    """A disk of so many bytes at a folder."""
    folder.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)], capture_output=True, text=True)
    if mount.returncode:
        pytest.skip(f"a small disk needs the right to mount one: {mount.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_cache_that_cannot_be_written(clip, tmp_path):
    (tmp_path / "file").write_text("")
    said = refused("edit", clip, TARGET, *QUICK, "--cache", tmp_path / "file" / "cache", "--out", tmp_path / "run")
    assert "cannot keep inversions in" in said and "--cache" in said and [*tmp_path.iterdir()] == [tmp_path / "file"]


@pytest.mark.skipif(sys.platform != "linux", reason="a small disk is a tmpfs")
def test_a_full_disk_under_the_cache(clip, tmp_path):
    with full(tmp_path / "disk", "48k") as disk:
        said = refused("edit", clip, TARGET, *QUICK, "--set", "steps=20", "--cache", disk / "cache", "--out", tmp_path / "run")
        assert "cannot keep" in said and "No space left" in said and "--cache" in said
        assert not [*disk.rglob("*.part*")] and not [*disk.rglob("manifest.json")]
    assert [path.name for path in tmp_path.iterdir()] == ["disk"]


@pytest.mark.skipif(sys.platform != "linux", reason="a small disk is a tmpfs")
@pytest.mark.parametrize("size, out, line", [("64k", "run", "frames cannot wait"), ("128k", "run", "cannot write"),
                                             ("104k", "edit.mkv", "cannot write")])
def test_a_full_disk_under_the_results(clip, cache, first, tmp_path, size, out, line):
    with full(tmp_path / "disk", size) as disk:
        said = refused("edit", clip, TARGET, *QUICK, "--cache", cache.folder, "--out", disk / out, "--lossless")
        assert line in said and "No space left" in said and ".part" not in said and not [*disk.iterdir()]
