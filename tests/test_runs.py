"""Runs compared: benchmarks' results merged, and run folders of edits made into one."""

import json
import shutil

import pytest
from made_results import files
from shell import newtake

from newtake.bench.ranking import MEASURED, found
from newtake.bench.runs import together
from newtake.errors import BadInput
from newtake.report import html, markdown
from newtake.world import Scene
from newtake.world.clips import video

SCORES = dict.fromkeys(MEASURED, 0.5) | {"psnr_to_truth": 20.0}


def bench(folder, methods, **more):
    """Results as `newtake bench world` leaves them: success by method, a clip each."""
    folder.mkdir(parents=True)
    (folder / "clips").mkdir()
    clip, _ = files(folder / "clips")
    row = lambda name, success, control: {
        "edit": "a", "task": "object", "difficulty": "easy", "method": name, "control": control, "seed": None if control else 0,
        "clip": None if control else f"clips/{clip}", "sheet": None, "scores": SCORES | {"success": success}}
    rows = [row("truth", 100.0, True), row("identity", 0.0, True)]
    rows += [row(name, success, False) for name, success in methods.items()]
    sets = {"metrics": {"fid": {"unit": "", "higher_is_better": False, "what": "distance"}}, "about": "Few.",
            "of": {name: {"fid": 1.0} for name in ("truth", *methods)}}
    told = {"benchmark": "world", "title": "The world", "version": "1", "tasks": ["object"],
            "environment": {"frames": 8, "model": "m"}, **found(rows), "sets": sets, **more}
    (folder / "results.json").write_text(json.dumps(told))
    return folder


def test_rows_of_one_benchmark_come_together(tmp_path):
    runs = [bench(tmp_path / name, {"ddim": ddim, "sdedit": 20.0}) for name, ddim in (("x/one", 50.0), ("two", 70.0))]
    results, folder = together(runs)
    assert folder == tmp_path and results["controls"] == ["truth", "identity"]
    assert results["methods"] == ["ddim, one", "sdedit", "ddim, two"]
    assert [one["method"] for one in results["ranking"]] == ["truth", "ddim, two", "ddim, one", "sdedit", "identity"]
    assert results["sets"]["of"].keys() == {"truth", "sdedit", "ddim, one", "ddim, two"} and len(results["rows"]) == 5
    page = html(results, folder)
    assert page.count("data:image/webp") == 3 and "Sets of edits" in page and "| ddim, two |" in markdown(results)
    alone, _ = together([runs[0], runs[0]])
    assert alone["methods"] == ["ddim", "sdedit"] and alone["environment"] == {"frames": 8, "model": "m"}


def test_what_is_not_one_benchmark_is_not_merged(tmp_path):
    one = bench(tmp_path / "one", {"ddim": 50.0})
    for name, more, line in (
            ("v", {"version": "2"}, "differ in version"), ("t", {"title": "The world, small"}, "differ in title"),
            ("f", {"environment": {"frames": 3}}, "differ in frames"), ("b", {"benchmark": None}, "run that again"),
            ("r", {"rows": [{}]}, "rows that are none"), ("n", {"rows": None}, "'rows' must be a list")):
        with pytest.raises(BadInput, match=line):
            together([one, bench(tmp_path / name, {"ddim": 1.0}, **more)])
    (one / "results.json").write_text("{")
    with pytest.raises(BadInput, match="cannot be read as JSON"):
        together([one])
    with pytest.raises(BadInput, match="no such folder: none"):
        together([tmp_path / "none"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="no run folder"):
        together([tmp_path / "empty"])
    with pytest.raises(BadInput, match="a benchmark's and empty is not"):
        together([one, tmp_path / "empty"])


def test_results_name_no_pictures_of_others(tmp_path):
    """Two runs share a folder above them; neither may show what lies there."""
    one, two = bench(tmp_path / "one", {"ddim": 50.0}), bench(tmp_path / "two", {"sdedit": 50.0})
    told = json.loads((one / "results.json").read_text())
    told["rows"][2]["clip"] = "../two/clips/clip.webp"
    (one / "results.json").write_text(json.dumps(told))
    with pytest.raises(BadInput, match="leads out of"):
        together([one, two])


def test_results_alone_are_compared_without_their_pictures(tmp_path, capsys):
    run = bench(tmp_path / "run", {"ddim": 50.0})
    shutil.rmtree(run / "clips")
    code, out, told = newtake(capsys, "report", run, "--out", tmp_path / "page.html")
    assert code == 0 and "| ddim |" in out and "has not all the pictures" in told and "No clips were kept" in (
        tmp_path / "page.html").read_text()


def test_edits_are_measured_by_what_is_there(capsys, tmp_path):
    video(Scene(frames=2, size=(64, 64))).write(clip := tmp_path / "ball.mp4")
    code, *_ = newtake(capsys, "edit", clip, "a blue ball on the grass", "--source", "a red ball on the grass",
                       "--method", "ddim", "--set", "steps=2", "--out", tmp_path / "one")
    assert code == 0
    other = shutil.copytree(tmp_path / "one", tmp_path / "two")
    told = json.loads((other / "run.json").read_text())
    told["job"]["settings"]["guidance"] = 3.0
    (other / "run.json").write_text(json.dumps(told))
    code, out, err = newtake(capsys, "report", tmp_path / "one", other, "--out", tmp_path / "page.html", "--json")
    results = json.loads(out)
    assert code == 0 and "the report: " in err and results["methods"] == ["ddim:guidance=7.5", "ddim:guidance=3.0"]
    assert results["rows"][0]["scores"] == results["rows"][1]["scores"] and "text_alignment" not in results["metrics"]
    assert 5 < results["rows"][0]["scores"]["psnr_to_source"] < 60 and results["rows"][0]["evaluations"] == 6
    page = (tmp_path / "page.html").read_text()
    assert page.count("data:image/png") == 2 and "a red ball on the grass → a blue ball on the grass" in page
    told["seconds"] = None
    (other / "run.json").write_text(json.dumps(told))
    code, out, err = newtake(capsys, "report", other, "--out", tmp_path / "page.html")
    assert code == 2 and "two/run.json is not as newtake edit writes it" in err
