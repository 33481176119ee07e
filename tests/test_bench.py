"""The world's benchmark: its list, its ranking, and the command, run for real on two edits."""

import json
import pickle
from dataclasses import replace

import pytest
from shell import newtake

from newtake import load
from newtake.bench import ranking, rows, sets, world
from newtake.bench.rows import Rows
from newtake.bench.spread import Asked, spread
from newtake.bench.world import Plan
from newtake.edits import edited
from newtake.engines import Ended, engine
from newtake.errors import BadInput
from newtake.methods import spelled
from newtake.metrics import SET_METRICS
from newtake.report import html, markdown
from newtake.video.footage import as_pixels
from newtake.world import held_out
from newtake.world import judge as judges
from newtake.world.benchmark import KINDS, edits
from newtake.world.clips import video
from newtake.world.grammar import read
from newtake.world.viewer import Viewer


def test_the_list_is_fixed_and_held_out():
    test, development = edits("test"), edits("development")
    assert len(test) == 60 and len(development) == 30 and len({edit.name for edit in test}) == 60
    assert [edit.kind for edit in test[:6]] == list(KINDS) and {edit.difficulty for edit in test} == {"easy", "medium", "hard"}
    assert not {edit.scene for edit in test} & {edit.scene for edit in development}
    for edit in test:
        scene, truth = edit.scene, edit.truth
        assert held_out(scene.object, scene.colour, scene.background)
        changed = {name for name in ("object", "colour", "background", "style") if getattr(scene, name) != getattr(truth, name)}
        assert changed == set(KINDS[edit.kind]) and edit.source != edit.target
        assert read(edit.target) == {n: getattr(truth, n) for n in read(edit.target)}
    assert (test[0].source, test[0].target) == ("a blue heart in the night", "an orange heart in the night")


def row(method, control, success, ssim, psnr, motion=2.0, edit="a"):
    scores = dict.fromkeys(ranking.MEASURED, 0.0) | {
        "success": success, "ssim_to_truth": ssim, "psnr_to_truth": psnr, "motion_error_true": motion}
    return {"edit": edit, "task": "object", "difficulty": "easy", "method": method, "control": control, "scores": scores}


def test_who_does_nothing_and_who_destroys_rank_below_who_edits():
    rows = [row("truth", True, 100, 1, None), row("identity", True, 0, 0.9, 30), row("black", True, 0, 0, 5, 4.0),
            row("careful", False, 60, 0.8, 20), row("careless", False, 100, 0.3, 12, 3.0)]
    results = ranking.found([*rows, *(replace_edit(r) for r in rows)])
    assert [r["method"] for r in results["ranking"]] == ["truth", "careful", "careless", "identity", "black"]
    scores = {r["method"]: r["score"] for r in results["ranking"]}
    assert scores["truth"] == 100 and scores["identity"] == scores["black"] == 0
    assert scores["careful"] == pytest.approx(100 * (0.6 * 0.8) ** (1 / 3), abs=1e-3)
    assert scores["careless"] == pytest.approx(100 * (0.3 / 2) ** (1 / 3), abs=1e-3)
    by_psnr = {r["method"]: r["ranks"]["PSNR to the truth alone"] for r in results["ranking"]}
    assert by_psnr["identity"] == 2                     # a formula that a ranking must not be made of
    assert {"metric": "ssim_to_truth", "control": "identity", "beats": ["careful", "careless"]} in results["flags"]


def replace_edit(given):
    return given | {"edit": "b"}


def test_the_benchmark_goes_on_and_says_the_same(tmp_path):
    model = load("tiny")
    methods = lambda *names: {name: spelled(name, steps=2) for name in names}
    plan = Plan(methods("ddim", "sdedit:strength=0.5"), many=2, frames=3)
    first = plan.results(model, tmp_path)
    kept = sorted((tmp_path / "rows").iterdir())
    assert len(kept) == 4 and json.loads((tmp_path / "results.json").read_text()) == first
    of = first["sets"]["of"]
    assert of["truth"]["fid"] == 0 < of["round trip of the truth"]["fid"] < of["ddim"]["fid"] and len(of) == 8
    assert "FID and FVD are biased" in html(first, tmp_path) and "| fid ↓ |" in markdown(first)
    before = [path.read_bytes() for path in kept]
    kept[0].unlink()                                    # killed before it was scored; and in the middle of an edit
    sorted((tmp_path / "edits").glob("*.json"))[1].unlink()
    again = plan.results(model, tmp_path)
    costs = ("seconds", "peak_memory_mb")
    plain = lambda results: [{n: v for n, v in r.items() if n not in costs} for r in results["rows"]]
    assert again["sets"] == first["sets"]
    assert plain(again) == plain(first) and [path.read_bytes() for path in kept[1:]] == before[1:]
    assert first["ranking"][0]["method"] == "truth" and first["methods"] == ["ddim", "sdedit:strength=0.5"]
    more = replace(plan, methods=plan.methods | methods("ddim:guidance=2")).results(model, tmp_path)
    assert len(more["methods"]) == 3 and len([*(tmp_path / "rows").iterdir()]) == 6
    (tmp_path / next(row["sheet"] for row in more["rows"] if row["sheet"])).unlink()
    plan.results(model, tmp_path)                       # what is missing to look at is made again
    page = html(more, tmp_path)
    assert "recolour-0" in page and page.count("data:image/webp") == 12 and "identity" in markdown(more)


def test_an_edit_is_kept_to_the_bit_and_scored_again_without_being_made_again(tmp_path, monkeypatch):
    model = load("tiny")
    asked = Plan({"sdedit": spelled("sdedit", steps=2)}, many=1, frames=2)
    row = next(row for row in asked.results(model, tmp_path)["rows"] if not row["control"])
    task = edits("test", model.native, 2)[0]
    made = edited(video(task.scene), task.source, [task.target], asked.methods["sdedit"], model).videos[0][:]
    assert (as_pixels(Rows(asked.methods, 1, model, tmp_path).edit(row)) == as_pixels(made)).all()
    monkeypatch.setattr(world, "hash_of", lambda path: "another judge")
    monkeypatch.setattr(rows, "edited", None)           # nobody edits
    assert next(row for row in asked.results(model, tmp_path)["rows"] if not row["control"]) == row
    assert len([*(tmp_path / "rows").iterdir()]) == 2 and len([*(tmp_path / "edits").iterdir()]) == 2


def test_what_an_engines_workers_fill_is_found(tmp_path, monkeypatch):
    model, asked = load("tiny", "cpu", "fp32"), Asked("tiny", "cpu", "fp32")
    plan = Plan({"sdedit": spelled("sdedit", steps=2)}, many=2, seeds=2, frames=2)
    with engine("local") as here:
        events = [*spread(here, pickle.loads(pickle.dumps(plan)), asked, model, tmp_path)]
    assert [(one.result, one.reason) for one in events if isinstance(one, Ended)] == [({"rows": 2}, None)] * 2
    monkeypatch.setattr(rows, "edited", None)           # nobody edits
    assert sum(not row["control"] for row in plan.results(model, tmp_path)["rows"]) == 4


def test_sets_are_seen_by_judge_and_viewer():
    """The set itself is 0 away, a frozen one is not; clips are seen where a viewer is there."""
    clips = [video(edit.scene)[:].clone() for edit in edits("test", 64, 4)[:5]]
    eyes = sets.Eyes(judges.load(), Viewer().eval())
    seen = {"truth": [eyes.see(clip) for clip in clips], "black": [eyes.see(clip * 0 - 1) for clip in clips]}
    found = sets.together(seen, "truth")
    assert found["of"].keys() == {"truth", "black"} and found["metrics"].keys() == SET_METRICS.keys()
    assert [found["of"]["truth"][name] for name in ("fid", "fvd")] == pytest.approx([0, 0], abs=1e-3)
    assert found["of"]["black"]["fid"] > 1 and found["of"]["black"]["inception_score"] == pytest.approx(1, abs=1e-3)
    assert sets.Eyes(eyes.judge, None).see(clips[0]).keys() == {"pictures", "chances"}


def test_methods_in_one_word():
    said = spelled("fatezero:mask=0.4;inversion=null_text;inversion.inner=3", steps=7, mask=0.9)
    assert (said.setup.mask, said.setup.steps, said.setup.inversion.inner) == (0.4, 7, 3)
    for wrong, line in (("ddim:x=1", "unknown setting 'x'"), ("ddim:steps", "not ...steps"), ("magic", "unknown method")):
        with pytest.raises(BadInput, match=line):
            spelled(wrong)


def test_one_edit_is_scored(capsys, tmp_path):
    made = ("world", "clip", "a red ball on the grass", "--size", "64x64")
    newtake(capsys, *made, "--becomes", "a blue ball on the grass", "--frames", 3, "--out", tmp_path / "w")
    score = ("score", tmp_path / "w" / "truth.mp4", "--clip", tmp_path / "w" / "clip.mp4")
    code, out, _ = newtake(capsys, *score, "--truth", tmp_path / "w" / "truth.mp4", "--json")
    found = json.loads(out)
    assert code == 0 and found["ssim_to_truth"] == pytest.approx(1) and found["psnr_to_truth"] is None
    assert 10 < found["psnr_to_source"] < 40 and "text_alignment" not in found
    assert "higher" in newtake(capsys, *score)[1]
    newtake(capsys, *made, "--frames", 2, "--out", tmp_path / "two")
    code, _, err = newtake(capsys, *score, "--truth", tmp_path / "two" / "clip.mp4")
    assert code == 2 and "the truth has 2 frames and the edit 3" in err
