"""The world's benchmark: its list, its ranking, and the command, run for real on two edits."""

import json
from dataclasses import replace

import pytest

from newtake import load
from newtake.bench import ranking
from newtake.bench.world import Plan, World
from newtake.errors import BadInput
from newtake.methods import spelled
from newtake.report import html, markdown
from newtake.world import held_out
from newtake.world.benchmark import KINDS, edits
from newtake.world.grammar import read


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
    first = World(plan, model, tmp_path).results()
    rows = sorted((tmp_path / "rows").iterdir())
    assert len(rows) == 4 and json.loads((tmp_path / "results.json").read_text()) == first
    before = [path.read_bytes() for path in rows]
    rows[0].unlink()
    again = World(plan, model, tmp_path).results()
    costs = ("seconds", "peak_memory_mb")
    plain = lambda results: [{n: v for n, v in r.items() if n not in costs} for r in results["rows"]]
    assert plain(again) == plain(first) and [path.read_bytes() for path in rows[1:]] == before[1:]
    assert first["ranking"][0]["method"] == "truth" and first["methods"] == ["ddim", "sdedit:strength=0.5"]
    more = World(replace(plan, methods=plan.methods | methods("ddim:guidance=2")), model, tmp_path).results()
    assert len(more["methods"]) == 3 and len([*(tmp_path / "rows").iterdir()]) == 6
    page = html(more, tmp_path)
    assert "recolour-0" in page and page.count("data:image/webp") == 6 and "identity" in markdown(more)


def test_methods_in_one_word():
    said = spelled("fatezero:mask=0.4;inversion=null_text;inversion.inner=3", steps=7, mask=0.9)
    assert (said.setup.mask, said.setup.steps, said.setup.inversion.inner) == (0.4, 7, 3)
    for wrong, line in (("ddim:x=1", "unknown setting 'x'"), ("ddim:steps", "not ...steps"), ("magic", "unknown method")):
        with pytest.raises(BadInput, match=line):
            spelled(wrong)


def test_one_edit_is_scored(capsys, tmp_path):
    from newtake.cli import main

    with pytest.raises(SystemExit):
        main(["world", "clip", "a red ball on the grass", "--becomes", "a blue ball on the grass", "--size", "64x64",
              "--frames", "3", "--out", str(tmp_path / "w")])
    capsys.readouterr()

    def said(*more):
        with pytest.raises(SystemExit) as end:
            main(["score", str(tmp_path / "w" / "truth.mp4"), "--clip", str(tmp_path / "w" / "clip.mp4"), *more])
        out, err = capsys.readouterr()
        return end.value.code, out, err

    code, out, _ = said("--truth", str(tmp_path / "w" / "truth.mp4"), "--json")
    found = json.loads(out)
    assert code == 0 and found["ssim_to_truth"] == pytest.approx(1) and found["psnr_to_truth"] is None
    assert 10 < found["psnr_to_source"] < 40 and "text_alignment" not in found
    assert "higher" in said()[1]
    with pytest.raises(SystemExit):
        main(["world", "clip", "a red ball on the grass", "--size", "64x64", "--frames", "2", "--out", str(tmp_path / "two")])
    capsys.readouterr()
    code, _, err = said("--truth", str(tmp_path / "two" / "clip.mp4"))
    assert code == 2 and "the truth has 2 frames and the edit 3" in err
