"""Folders that an owner allowed, and names that strangers give."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newtake.errors import BadInput
from newtake.places import LONGEST, Places, clean, within


@pytest.fixture
def home(tmp_path):
    """A folder with a file, a folder, and links: inside, outside, in a ring."""
    inside = tmp_path / "inside"
    (inside / "run").mkdir(parents=True)
    (inside / "run" / "run.json").write_text("{}")
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "inside and more").mkdir()
    (inside / "again").symlink_to(inside / "run")
    (inside / "out").symlink_to(tmp_path / "secret")
    (inside / "up").symlink_to(tmp_path)
    (inside / "ring").symlink_to(inside / "ring")
    return inside


@pytest.mark.parametrize("name", ["run", "run/run.json", "again/run.json", "./run"])
def test_what_lies_inside_is_found(home, name):
    assert within(home, name).is_relative_to(home.resolve())


@pytest.mark.parametrize("name", ["", ".", "..", "../secret", "run/../../secret", "run/..", "../inside/run",
                                  "../inside and more", "/etc/passwd", "out", "up/secret", "ring", "gone", "a\0b", "x" * 300,
                                  "run/" + "y" * 250, "\ud800"])
def test_all_else_is_not(home, name):
    with pytest.raises(BadInput, match="choose one that is listed"):
        within(home, name)


@given(st.text(max_size=300))
def test_a_name_of_ours_is_plain(told):
    name = clean(told)
    assert 0 < len(name) <= LONGEST and not {*name} & {*'/\\.:\0 "<>|?*\n'} and name[0] not in "-_"
    assert Path(name).name == name and name.encode()


def test_what_may_be_chosen(tmp_path):
    def put(*files):
        for file in files:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).write_text("{}")

    put("m/sd/model_index.json", "m/one.safetensors", "m/notes/read.me", "m/.hidden/model_index.json", "own/model_index.json",
        "a/ball/adapter.json", "a/lora/pytorch_lora_weights.safetensors", "a/ink.safetensors",
        "g/weights.safetensors", "g/pose/config.json",
        "elsewhere/model_index.json", "more/sd/model_index.json")
    for when, name in enumerate(("first", "second", "third")):
        put(f"runs/{name}/run.json")
        os.utime(tmp_path / "runs" / name / "run.json", (when, when))
    put("runs/uploads/x/clip.mp4")
    (tmp_path / "m" / "linked").symlink_to(tmp_path / "elsewhere")
    places = Places(tmp_path / "runs", (tmp_path / "m", tmp_path / "more", tmp_path / "own"), (tmp_path / "a",),
                    (tmp_path / "g",), str(tmp_path / "elsewhere"))
    there = places.listed()
    assert there.models == {"tiny": "tiny", "elsewhere": str(tmp_path / "elsewhere"), "sd": str(tmp_path / "m" / "sd"),
                            "one.safetensors": str(tmp_path / "m" / "one.safetensors"), "own": str(tmp_path / "own")}
    assert {*there.adapters} == {"ball", "lora", "ink.safetensors"}
    assert {*there.guests} == {"tiny-controlnet", "tiny-t2i", "pose"}
    assert there.runs == ("third", "second", "first")


def test_nothing_is_made_or_listed_before_something_is_put(tmp_path):
    assert Places(tmp_path / "runs").listed().runs == () and not (tmp_path / "runs").exists()
    with pytest.raises(BadInput, match="no such folder; --models names one"):
        Places(tmp_path / "runs", (tmp_path / "none",))
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="is no folder"):
        Places(tmp_path / "file")
