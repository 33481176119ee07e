"""Readers of published data sets, on miniatures in the published layouts."""

import json

import made_datasets
import numpy as np
import pytest
from made_datasets import MADE, SIZE, SQUARE
from PIL import Image

from newtake.datasets import LAYOUTS, METRICS, Runs, masks
from newtake.errors import BadInput
from newtake.metrics import METRICS as OURS
from newtake.video import Video

EDITS = {"davis": 3, "tgve": 12, "v2vbench": 3, "five": 3, "pie": 2, "editboard": 2}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_edit_can_be_begun(made, layout):
    tasks = LAYOUTS[layout](made(layout))
    assert len(tasks) == EDITS[layout] and len({task.name for task in tasks}) == len(tasks)
    for task in tasks:
        clip = Video.read(task.clip)
        assert task.target and "[" not in task.target and task.source != ""
        if (where := masks(task)) is not None:
            assert where.shape == (len(clip), *clip.size[::-1])


def test_davis(made):
    first = LAYOUTS["davis"](made("davis"))[:2]
    assert [(task.name, task.source, task.target, task.kind) for task in first] == [
        ("bear-0", "a bear walks", "a panda walks", "object"), ("bear-1", None, "a bear walks, in the snow", "edit")]


def test_tgve(made):
    tasks = LAYOUTS["tgve"](folder := made("tgve"))
    assert tasks[7].name == "cat-in-the-sun-multiple" and tasks[7].kind == "multiple" and tasks[7].source == "a cat-in-the-sun"
    assert tasks[7].target == "a robot cat-in-the-sun on Mars"
    assert tasks[7].clip == folder / "youtube_480p/480p_frames/cat-in-the-sun"


def test_v2vbench(made):
    tasks = LAYOUTS["v2vbench"](made("v2vbench"))
    assert [(task.name, task.kind) for task in tasks] == [("hike-0", "composite"), ("hike-1", "overall"), ("aurora-0", "edit")]
    assert tasks[0].source == "a man hikes through the dolomites" and tasks[0].target == "a superman hikes through the desert"


def test_five(made):
    tasks = LAYOUTS["five"](made("five"))
    assert [task.name for task in tasks] == ["edit1-0-0001_bus", "edit1-1-0002_girl-dog", "edit3-0-0001_bus"]
    assert (tasks[2].source, tasks[2].target, tasks[2].kind) == ("a red bus", "a blue bus", "colour")
    assert (tasks[2].frames, tasks[2].every) == ((0, 41), 8)


def test_editboard(made):
    tasks = LAYOUTS["editboard"](folder := made("editboard"))
    assert [task.name for task in tasks] == ["bear_autumn", "bear_white"]
    assert tasks[0].clip == tasks[1].clip == folder / "bear" and tasks[0].mask == folder / "bear_mask" and tasks[1].mask is None


@pytest.mark.parametrize("layout", ["davis", "editboard"])
def test_all_that_is_not_black_is_in_the_mask(made, layout):
    expected = np.zeros(SIZE[::-1], bool)
    expected[SQUARE] = True
    for mask in masks(LAYOUTS[layout](made(layout))[0]).numpy():
        assert (mask == expected).all()


def test_a_mask_is_fitted_as_its_clip_is(made):
    """Twice as large, then a square of the middle: what was inside is, at twice its size."""
    expected = np.zeros((16, 16), bool)
    expected[4:10, 2:14] = True                         # columns 3 to 8 of 12, less 2 on either side
    task = LAYOUTS["davis"](made("davis"))[0]
    assert (masks(task, size=(16, 16)).numpy() == expected).all() and masks(task, size=SIZE).equal(masks(task))
    assert masks(task, size=(2, 2)).all()               # a part of each is inside


# Run lengths

def test_run_lengths_of_pie(made):
    task = LAYOUTS["pie"](made("pie"))[0]
    assert (task.source, task.target, task.kind) == ("a bicycle on the road", "a rusty bicycle on the road", "random")
    expected = np.zeros((512, 512), bool)
    expected[2, 3:9] = expected[511, 500:] = True       # the last run ends beyond the picture, and is cut
    assert (masks(task)[0].numpy() == expected).all()
    expected[0] = expected[-1] = expected[:, 0] = expected[:, -1] = True
    assert (masks(task, border=True)[0].numpy() == expected).all()


def naive(runs, width, height):
    flat = [False] * (width * height)
    for start, length in zip(runs[::2], runs[1::2], strict=True):
        for i in range(start, min(start + length, len(flat))):
            flat[i] = True
    return np.array(flat).reshape(height, width)


def test_run_lengths_against_a_naive_decoder():
    draw = np.random.default_rng(0)
    for _ in range(20):
        runs = tuple(draw.integers(0, 35, 6).tolist())
        assert (Runs(runs, (7, 5)).decoded() == naive(runs, 7, 5)).all()


@pytest.mark.parametrize("runs", [(1,), (35, 1), (-1, 2), (0.5, 1), ("0", 1)])
def test_run_lengths_that_are_none(runs):
    with pytest.raises(BadInput, match="pairs of start and length inside 7x5"):
        Runs(runs, (7, 5))


# What is missing or does not fit

TABLES = {"davis": "prompts.csv", "tgve": "LOVEU-TGVE-2023_Dataset.csv", "v2vbench": "config.yaml",
          "five": "edit_prompt/edit1_FiVE.json", "pie": "mapping_file.json", "editboard": "script.csv"}
A_CLIP = {"davis": "JPEGImages/480p/bear", "tgve": "videvo_480p/480p_frames/ship", "v2vbench": "frames/hike",
          "five": "images/0002_girl-dog", "pie": "annotation_images/0_random_140/000000000000.jpg", "editboard": "bear"}
SAID = {"davis": "a panda walks", "tgve": "a robot ship on Mars ", "v2vbench": "a superman hikes through the desert",
        "five": "a red [truck]", "pie": "a [rusty] bicycle on the road", "editboard": "a white bear walks on rocks"}
MASKS = {"davis": "Annotations/480p/bear", "five": "bmasks/0001_bus", "editboard": "bear_mask"}


def wrong(layout, folder):
    with pytest.raises(BadInput) as told:
        LAYOUTS[layout](folder)
    assert "\n" not in str(told.value)
    return str(told.value)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_missing_table_is_named(made, layout):
    folder = made(layout)
    if layout == "five":
        (folder / "edit_prompt/edit3_FiVE.json").unlink()
    (folder / TABLES[layout]).unlink()
    assert TABLES[layout] in wrong(layout, folder)
    assert "no such folder" in wrong(layout, folder / "elsewhere")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_missing_clip_is_named(made, layout):
    clip = (folder := made(layout)) / A_CLIP[layout]
    clip.rename(clip.with_name("elsewhere"))
    assert "has no clip" in (line := wrong(layout, folder)) and A_CLIP[layout] in line


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_clip_without_prompt_is_named(made, layout):
    path = (folder := made(layout)) / TABLES[layout]
    told = path.read_text()
    assert SAID[layout] in told
    path.write_text(told.replace(SAID[layout], '""' if layout == "v2vbench" else ""))
    assert "no prompt" in wrong(layout, folder)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_tables_that_are_none(made, layout):
    path = (folder := made(layout)) / TABLES[layout]
    for told in (b"\xff\xfe\x00", b"[[[", b"data: 3\n", b"7"):
        path.write_bytes(told)
        assert path.name in wrong(layout, folder)


@pytest.mark.parametrize("layout", MASKS)
def test_a_mask_of_another_size_or_length_is_named(made, layout):
    mask = (folder := made(layout)) / MASKS[layout]
    picture = next(mask.iterdir())
    picture.unlink()
    assert "2 frames and its clip 3" in wrong(layout, folder)
    for file in mask.iterdir():
        file.unlink()
    mask.rmdir()
    made_datasets.annotations(mask, size=(6, 8), ending=picture.suffix[1:])
    assert "6x8 and its clip 12x8" in wrong(layout, folder)


def test_a_picture_of_another_size_than_its_run_lengths(made):
    folder = made("pie")
    Image.new("RGB", (512, 500)).save(folder / A_CLIP["pie"])
    assert "512x512 and its clip 512x500" in wrong("pie", folder)


def test_five_names_a_clip_without_mask(made):
    mask = (folder := made("five")) / "bmasks/0002_girl-dog"
    mask.rename(folder / "elsewhere")
    assert "0002_girl-dog has no mask" in wrong("five", folder)


@pytest.mark.parametrize("name", ["../bear", "/bear", "", "bear/../../bear"])
def test_names_lead_nowhere_else(made, name):
    folder = made("v2vbench")
    made_datasets.pictures(folder.parent / "bear")
    (folder / "config.yaml").write_text(f"data: [{{video_id: '{name}', prompt: a, edit: [{{prompt: b}}]}}]")
    assert wrong("v2vbench", folder)
    entry = json.loads((pie := MADE["pie"](other := folder.parent / "pie") or other / "mapping_file.json").read_text())
    pie.write_text(json.dumps({"../evil": entry["000000000000"]}))
    assert "no name of an edit" in wrong("pie", other)


def test_two_edits_of_one_name(made):
    with open((folder := made("editboard")) / "script.csv", "a") as stream:
        stream.write("bear,bear_white,,a bear,a green bear\n")
    assert "bear_white names two edits" in wrong("editboard", folder)


# Published metrics

def test_every_layout_names_its_metrics():
    assert set(METRICS) == set(LAYOUTS) == set(MADE)
    assert {name: sum(ours is not None for ours in known.values()) for name, known in METRICS.items()} == {
        "davis": 5, "tgve": 3, "v2vbench": 5, "five": 8, "pie": 8, "editboard": 5}
    assert {ours for known in METRICS.values() for ours in known.values()} - {None} <= OURS.keys()
