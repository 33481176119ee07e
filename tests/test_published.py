"""Published data sets, in miniature, carried out with the built-in checkpoint; and what the command says of mistakes."""

import json
import re

import made_datasets
import materials
import pytest
from shell import newtake

from newtake import load
from newtake.bench import rows
from newtake.bench.published import NETWORKS, Plan
from newtake.bench.ranking import flags
from newtake.datasets import LAYOUTS, METRICS
from newtake.errors import BadInput
from newtake.methods import spelled
from newtake.report import html, markdown

CONTROLS = {"identity", "frozen", "shuffled", "black", "round trip of the source"}
TOYS = {"clip": materials.Toy(), "pick": materials.Toy(), "keys": lambda frames: frames.flatten(2).mT,
        "objects": materials.Toy().pooled, "lpips": materials.distance()}


@pytest.fixture
def networks(monkeypatch, tmp_path):
    """Toys in the place of real networks, and where they would lie."""
    places = {}
    for name, toy in TOYS.items():
        (tmp_path / "nets" / name).mkdir(parents=True)
        monkeypatch.setitem(NETWORKS, name, (*NETWORKS[name][:2], lambda path, trust, toy=toy: toy))
        places[name] = str(tmp_path / "nets" / name)
    trunk = tmp_path / "nets" / "trunk"
    trunk.touch()
    return places | {"lpips": f"{trunk},{trunk}"}


def plan(layout, folder, **more):
    return Plan(layout, folder, {"sdedit": spelled("sdedit", steps=2)}, **dict(many=1, frames=2, size=(32, 32)) | more)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_benchmark_has_its_own_metrics_and_goes_on(layout, made, networks, tmp_path, monkeypatch):
    pytest.importorskip("cv2", reason="motion is measured with OpenCV")
    asked, out, model = plan(layout, made(layout), networks=networks), tmp_path / "out", load("tiny")
    found = asked.results(model, out)
    assert set(found["metrics"]) == {name for name, ours in METRICS[layout].items() if ours}
    assert set(found["missing"]) == {name for name, ours in METRICS[layout].items() if ours is None}
    assert set(found["controls"]) == CONTROLS and found["methods"] == ["sdedit"] and len(found["rows"]) == 6
    row = next(row for row in found["rows"] if row["method"] == "sdedit")
    moves = {"frame consistency", "warp error"} if layout == "pie" else set()
    assert {name for name, score in row["scores"].items() if score is None} <= moves and row["evaluations"] == 4
    monkeypatch.setattr(rows, "edited", lambda *_: pytest.fail("it is there already"))
    assert asked.results(model, out) == json.loads((out / "results.json").read_text()) == found
    page, text = html(found, out), markdown(found)
    for name in METRICS[layout]:
        assert name in page and name in text
    assert "No ranking" in page and "No ranking" in text and page.count("data:image/webp") == 2


def test_what_lacks_a_network_is_named(made):
    with pytest.raises(BadInput, match=r"nothing of tgve can be measured: clip_score_text needs a CLIP: --clip-model; .*pick="):
        plan("tgve", made("tgve"))


def test_what_is_missing_does_not_keep_the_rest(made):
    asked = plan("pie", made("pie"))
    assert set(asked.measured) == {"psnr_unedit_part", "mse_unedit_part", "ssim_unedit_part"}
    assert asked.missing["lpips_unedit_part"] == "needs LPIPS' weights: --network lpips=TRUNK,LAYERS"


def test_a_clip_that_nobody_describes_is_named(made):
    folder = made("davis")
    assert plan("davis", folder).tasks[0].source == "a bear walks"
    with pytest.raises(BadInput, match="does not say what the clip of bear-1 shows"):
        plan("davis", folder, many=2)


def test_five_scores_every_eighth_frame(made, tmp_path):
    folder = made("five")
    for part, make in (("images", made_datasets.pictures), ("bmasks", made_datasets.annotations)):
        more = {"ending": "jpg"} if part == "bmasks" else {}
        make(folder / part / "long", count=10, first=1, **more)
    entry = {"video_name": "long", "source_prompt": "a bus", "target_prompt": "a truck"}
    (folder / "edit_prompt" / "edit1_FiVE.json").write_text(json.dumps([entry]))
    asked = plan("five", folder, frames=None)
    case = asked.case(asked.tasks[0], load("tiny"), {})
    assert len(case.video) == 10 and case.scored(case.video[:])["mse_unedit_part"] == 0

    def spoilt(number):
        frames = case.video[:]
        frames[number] = -frames[number]
        return case.scored(frames)["mse_unedit_part"]

    assert spoilt(0) > 0 and spoilt(8) > 0 and spoilt(7) == spoilt(9) == 0


def test_the_version_is_that_of_what_lies_there(made):
    folder = made("davis")
    before = plan("davis", folder).version
    assert plan("davis", folder, frames=1, size=None).version == before
    made_datasets.pictures(folder / "other", count=1)
    (folder / "other" / "00000.jpg").replace(folder / "JPEGImages/480p/bear/00001.jpg")
    assert plan("davis", folder).version != before


def test_a_score_without_end_beats_methods():
    """Nothing changed has no error, so its PSNR has no end; JSON knows no such number."""
    row = lambda method, edit, psnr: {"method": method, "edit": edit, "control": method != "m", "scores": {"psnr": psnr}}
    about = {"psnr": {"higher_is_better": True}}
    assert flags([row("m", "a", 20.0), row("identity", "a", None)], ["m"], about) == [
        {"metric": "psnr", "control": "identity", "beats": ["m"]}]
    assert flags([row("m", "a", None), row("identity", "a", None)], ["m"], about) == []


def test_the_command_says_what_is_wrong(capsys, made, tmp_path, monkeypatch):
    monkeypatch.setattr("newtake.models.load.load", lambda *_, **__: pytest.fail("nothing heavy before the mistake"))
    folder = made("editboard")
    for arguments, line in (
            ((folder,), "say how .* is laid out: --layout davis, tgve"),
            (("wrold",), "there is the benchmark world, or the folder .* neither"),
            ((folder, "--layout", "coco"), "unknown layout 'coco'; known are davis, tgve"),
            ((folder, "--layout", "davis"), "has no prompts.csv"), ((tmp_path / "none", "--layout", "davis"), "no such folder"),
            ((folder, "--layout", "editboard", "--method", "magic"), "unknown method"),
            ((folder, "--layout", "editboard", "--size", "big"), "a size is WIDTHxHEIGHT"),
            ((folder, "--layout", "editboard", "--network", "eyes=x"), "unknown network 'eyes'"),
            ((folder, "--layout", "editboard", "--network", "pick"), "--network takes NAME=VALUE"),
            (("world", "--size", "64x64"), "for the folder of a data set"), (("world", "--clip-model", "x"), "for the folder"),
            (("world", "--frames", "1"), "at least 2 frames"), (("world", "--split", "exam"), "not 'exam'"),
            (("world", "--layout", "davis"), "no such folder: world")):
        code, _, err = newtake(capsys, "bench", *arguments)
        assert code == 2 and err.strip().count("\n") == 0, (arguments, err)
        assert re.search(line, err), err


@pytest.mark.filterwarnings("ignore")
def test_the_command_makes_a_page(capsys, made, tmp_path):
    code, _, err = newtake(capsys, "bench", made("editboard"), "--layout", "editboard", "--method", "sdedit",
                           "--set", "steps=2", "--small", "--frames", 2, "--size", "32x32", "--out", tmp_path / "out")
    assert code == 0 and "the report: " in err and (tmp_path / "out" / "report.html").read_text().count("<figure") == 2
