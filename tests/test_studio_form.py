"""What people bring and say: clips, settings, forms."""

import json
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from newtake.errors import BadInput
from newtake.former import OF_JOB
from newtake.inversion import INVERSIONS
from newtake.invitation import Invitation
from newtake.methods import METHODS, configured, spelled
from newtake.methods.configuring import settings, values
from newtake.places import Places
from newtake.record import Background, Job
from newtake.studio import PRESETS, Form, Limits, pictures, uploads
from newtake.studio import fields as of_methods
from newtake.studio.form import job
from newtake.studio.uploads import of_hash, opened, recipe, taken
from newtake.video import Video
from newtake.video.clip import footage
from newtake.world import Scene
from newtake.world.clips import video

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
BENCH = json.loads((BENCHMARKS.parent / "docs" / "bench" / "results.json").read_text())
CLIP = video(Scene(frames=3, size=(48, 32)))


# Uploads

@pytest.fixture
def places(tmp_path):
    return Places(tmp_path / "runs")


@pytest.fixture
def clip(tmp_path):
    CLIP.write(tmp_path / "brought.mp4")
    return tmp_path / "brought.mp4"


def test_a_clip_is_kept_once_under_a_name_of_ours(places, clip):
    upload = taken(clip, "../../Ünser Ball (1).exe", places)
    assert upload.path.parent.parent == places.uploads and upload.path.name == "Ünser-Ball-1.mp4"
    assert upload.path.read_bytes() == clip.read_bytes() and clip.exists()
    assert (upload.count, upload.rate, upload.size, upload.sound, upload.told) == (3, 8, (48, 32), False, None)
    assert upload.line == "3 frames, 8 a second, 0.4 s, 48x32, no sound"
    assert [frame.size for frame in upload.frames(1, 8)] == [(48, 32)] * 2 and upload.frames(3) == []
    first, last = (np.asarray(frame).astype(int) for frame in upload.frames(0, 2, 2))
    assert np.abs(first - np.asarray(upload.frames(0, 1)[0])).max() == 0 < np.abs(first - last).max()
    assert taken(clip, "other.mp4", places).path == upload.path == opened(upload.name, places).path
    assert [path.name for path in places.uploads.rglob("*.*")] == ["Ünser-Ball-1.mp4"]


@pytest.mark.parametrize("ending, kept, count", [
    (".mkv", ".mkv", 3), (".gif", ".gif", 3), (".webp", ".webp", 3), (".mov", ".mp4", 3), (".png", ".png", 1),
    (".jpg", ".jpg", 1)])
def test_what_it_is_is_read_from_what_is_in_it(places, tmp_path, ending, kept, count):
    CLIP.part(range(count)).write(tmp_path / f"made{ending}")
    upload = taken((tmp_path / f"made{ending}").rename(tmp_path / "made.txt"), "x.avi", places)
    assert upload.path.name == f"x{kept}" and upload.count == count
    assert (upload.line == "a picture, 48x32") == (count == 1)


def test_what_is_not_wanted_is_refused_with_the_reason_and_not_kept(places, clip, tmp_path):
    def refused(content, limits=Limits()):
        (tmp_path / "x.mp4").write_bytes(content)
        with pytest.raises(BadInput) as wrong:
            taken(tmp_path / "x.mp4", "my clip.mp4", places, limits)
        assert not [*places.uploads.rglob("my-clip*")] and str(tmp_path) not in str(wrong.value)
        return str(wrong.value)

    whole = clip.read_bytes()
    assert "my-clip is no video and no picture" in refused(b"hello")
    assert "no video and no picture" in refused(b"") and "no video and no picture" in refused(b"{}")
    assert "no video and no picture" in refused(b"ffconcat version 1.0\nfile /etc/passwd\n")
    assert "no frame that can be decoded" in refused(whole[:len(whole) // 2])
    assert "cannot be read as a picture" in refused(b"\x89PNG and no more")
    assert "B, and 10 B are taken at most" in refused(whole, Limits(bytes=10))
    assert "more than 2 frames" in refused(whole, Limits(frames=2))
    assert "0.4 s long, and 0.1 s are taken at most" in refused(whole, Limits(seconds=0.1))
    assert "48x32, and 0.0 million pixels" in refused(whole, Limits(pixels=1000))
    assert not [*places.uploads.iterdir()]
    assert taken(clip, "x", places, Limits(len(whole), 0.375, 3, 48 * 32)).count == 3


@pytest.mark.parametrize("ending", [".gif", ".webp", ".mkv"])
def test_what_is_too_much_is_refused_before_all_of_it_is_decoded(places, tmp_path, ending, monkeypatch):
    CLIP.write(path := tmp_path / f"made{ending}")
    asked = []
    monkeypatch.setattr(uploads, "footage", lambda path, enough: asked.append(enough) or footage(path, enough))
    with pytest.raises(BadInput, match="more than 2 frames"):
        taken(path, "x", places, Limits(frames=2))
    assert {*asked} <= {1, 2}
    asked.clear()
    with pytest.raises(BadInput, match="million pixels"):
        taken(path, "x", places, Limits(pixels=1000))
    assert {*asked} <= {1}


def test_who_is_refused_takes_nothing_from_who_brings_the_same(places, clip, monkeypatch):
    look, others = uploads.looked_at, []

    def refused(path, limits):
        monkeypatch.setattr(uploads, "looked_at", look)
        others.append(taken(clip, "theirs", places))
        raise BadInput("not wanted")

    monkeypatch.setattr(uploads, "looked_at", refused)
    with pytest.raises(BadInput, match="not wanted"):
        taken(clip, "mine", places)
    assert opened(others[0].name, places).count == 3
    assert [path.name for path in places.uploads.rglob("*.*")] == ["theirs.mp4"]


@pytest.mark.parametrize("wrong", [dict(start=-1), dict(stride=0), dict(stride=-2), dict(frames=-3), dict(frames=0),
                                   dict(start=3)])
def test_frames_that_are_not_there_are_refused(places, clip, wrong):
    with pytest.raises(BadInput, match=r"must be at least|none is chosen"):
        pictures.thumbnails(Form(**wrong), taken(clip, "clip", places), places)


@pytest.mark.parametrize("name", ["", "clip.mp4", "../../brought.mp4", "0" * 16 + "/clip.mp4", ".arriving/clip.mp4"])
def test_an_upload_that_was_not_taken_is_not_opened(places, clip, name):
    taken(clip, "clip.mp4", places)
    (places.uploads / ".arriving").mkdir()
    (places.uploads / ".arriving" / "clip.mp4").write_bytes(b"")
    with pytest.raises(BadInput, match="there is no "):
        opened(name, places)
    assert of_hash("../.." + "0" * 59, places) == of_hash("", places) == ""


@pytest.mark.parametrize("text", ["", "{}", "[]", "[" * 100_000, '{"format": 2}', "\udcff", " " * (1 << 20) + "{}"])
def test_what_is_no_recipe_is_refused(tmp_path, text):
    (tmp_path / "run.json").write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(BadInput, match=r"no run\.json of this version"):
        recipe(tmp_path / "run.json")


# Settings

@pytest.mark.parametrize("inversion", [None, *INVERSIONS])
@pytest.mark.parametrize("method", METHODS)
def test_every_setting_is_a_field_whose_default_says_nothing(method, inversion):
    there = of_methods.fields(method, inversion)
    known = settings(configured(method, **({"inversion": inversion} if inversion else {})))
    assert [field.name for field in there] == [setting.name for setting in known]
    assert of_methods.read(there, {field.name: field.default for field in there}) == {}
    for field in there:
        assert field.help and (field.kind == "choice") == bool(field.choices)
        assert field.kind != "choice" or field.default in field.choices
        assert not isinstance(field.default, list) and json.dumps(field.default)
    chosen = of_methods.read(there, {"inversion": inversion or "ddim", "steps": 3})
    assert values(configured(method, **chosen))["inversion"] == (inversion or "ddim")


def test_only_what_differs_is_read_and_as_json_knows_it():
    there = of_methods.fields("newtake")
    assert of_methods.read(there, {"steps": 20.0, "guidance": "9", "frames": "own, first", "mask": "", "widen": 0}) == {
        "steps": 20, "frames": ["own", "first"], "mask": None}
    own = {field.name: field for field in there}
    assert (own["steps"].kind, own["steps"].least, own["steps"].most) == ("whole number", 1, 1000)
    assert (own["mask"].kind, own["mask"].optional) == ("number", True) and own["frames"].default == "own,middle"
    for wrong in ({"steps": 2.5}, {"steps": None}, {"guidance": "much"}, {"frames": "nowhere"}, {"nothing": 1}):
        with pytest.raises(BadInput):
            of_methods.read(there, wrong)
    for wrong in ("nothing", "../x"):
        with pytest.raises(BadInput, match="unknown method"):
            of_methods.fields(wrong)


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_a_preset_is_of_a_method_and_its_settings_count(preset):
    there = of_methods.fields(preset.method)
    assert {*of_methods.read(there, preset.settings)} == {*preset.settings}
    assert configured(preset.method, **preset.settings)


def test_presets_say_what_was_measured(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from editing import CHOSEN

    colour, other, background, style, several = PRESETS
    assert configured(colour.method, **colour.settings) == spelled(CHOSEN["prompt_to_prompt, exact mask, early"])

    def best(task, metric):
        mean = lambda name: np.mean([row["scores"][metric] for row in BENCH["rows"]
                                     if row["method"] == name and row["task"] == task])
        return max(BENCH["methods"], key=mean)

    assert other.method == best("object", "psnr_to_truth") and several.method == best("two things", "psnr_to_truth")
    assert background.method == best("background", "psnr_to_truth") == best("background", "success")
    assert style.method == best("style", "success")


# Forms

@pytest.fixture
def full(tmp_path, clip):
    """Places with one of each, and a form that says everything."""
    for file in ("m/sd/model_index.json", "a/ball/adapter.json", "g/pose/config.json"):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).write_text("{}")
    places = Places(tmp_path / "runs", (tmp_path / "m",), (tmp_path / "a",), (tmp_path / "g",))
    Image.new("L", (48, 32), 255).save(tmp_path / "mask.png")
    name, mask = taken(clip, "clip", places).name, taken(tmp_path / "mask.png", "mask", places).name
    form = Form(name, " a ball ", "a fish\n\n a cat \n", "fatezero", {"steps": 7.0, "guidance": 7.5}, "ball, fish", "grass",
                "fish=2, ball=0.5", "ball=0.4", mask, "", True, True, 3, "sd", {"ball": 0.5},
                f"tiny-t2i\npose:pictures={name};scale=0.5\ntiny-controlnet:pictures=pose=pose", 2, 1, 1, "48x32", 5,
                "refuse", True)
    return places, form


def test_a_form_says_all_that_a_job_has(full, tmp_path):
    places, form = full
    clip = str(opened(form.clip, places).path)
    guests = (Invitation("tiny-t2i"), Invitation(str(tmp_path / "g" / "pose"), clip, 0.5),
              Invitation("tiny-controlnet", f"pose={tmp_path / 'g' / 'pose'}"))
    assert job(form, places, "cpu", "fp32") == Job(
        clip, "a ball", ("a fish", "a cat"), "fatezero", {"steps": 7}, ("ball", "fish"), ("grass",),
        str(opened(form.mask, places).path), {"fish": 2, "ball": 0.5}, {"ball": 0.4}, str(tmp_path / "m" / "sd"),
        {str(tmp_path / "a" / "ball"): 0.5}, guests, None, 2, 1, 1, (48, 32), 5, "cpu", "fp32", cuts="refuse", lossless=True,
        background=Background(True, None, 3, True))
    assert job(Form(form.clip), places) == Job(clip, None, ())
    assert job(Form(form.clip, box="0.25,0.0,0.5,1.0"), places).background.box == (0.25, 0.0, 0.5, 1.0)


@pytest.mark.parametrize("wrong", [
    dict(clip=""), dict(clip="/etc/passwd"), dict(clip="../x"), dict(mask="gone"), dict(model="/etc"), dict(model="owner/name"),
    dict(model=""), dict(adapters={"/etc/passwd": 1.0}), dict(adapters={"ball": "much"}), dict(adapters={"ball": float("nan")}),
    dict(guests="/etc"), dict(guests="tiny-t2i:pictures=/etc/passwd"), dict(guests="tiny-t2i:pictures=depth=/etc"),
    dict(guests="tiny-t2i:scale=x"), dict(method="nothing"), dict(settings={"nothing": 1}),
    dict(settings={"inversion": "nothing"}),
    dict(weights="fish"), dict(size="large"), dict(box="1,2"), dict(frames=1.5), dict(seed=None), dict(stride="x")])
def test_what_a_form_cannot_mean_is_refused(full, wrong):
    places, form = full
    with pytest.raises(BadInput) as said:
        job(replace(form, **wrong), places)
    assert "\n" not in str(said.value)


def test_a_form_and_a_record_know_all_of_a_job():
    of_form = {field.name for field in fields(Form)} - {"keep_background", "full_size", "feather", "box"} | {"background"}
    of_the_machine = {"device", "dtype", "threads", "windows"}
    assert of_form | of_the_machine | {"norms", "whole", "light"} == {*OF_JOB} == {*asdict(Job("", None, ()))}


def test_an_edit_that_newtake_wrote_for_others_is_a_clip_as_any(places, tmp_path):
    CLIP.write(tmp_path / "x.mp4", comment='{"format": 2, "job": {}}')
    assert taken(tmp_path / "x.mp4", "x", places).told is None and Video.read(tmp_path / "x.mp4").comment
