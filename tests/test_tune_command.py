"""`newtake tune`, run as a person runs it: killed, interrupted, done twice, and what it leaves used by `newtake edit`."""

import json
import signal

import checkpoints
import children
import pytest
import torch
from safetensors.torch import load_file
from shell import newtake

from newtake import cli
from newtake.errors import BadInput
from newtake.models.adapters import tuned
from newtake.one_clip import configured
from newtake.options import weighted
from newtake.tuning import clip as tuning
from newtake.world import Scene
from newtake.world.clips import video

SOURCE, TARGET = "a red car on the grass", "a blue car on the grass"
FOURTH = 8 + 2 + 8 + 2                                  # the draw of the fourth step: looks, steps, looks


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A clip and a small checkpoint."""
    folder = tmp_path_factory.mktemp("made")
    video(Scene(object="car", frames=4, size=(32, 32))).write(folder / "clip.mp4")
    checkpoints.folder(folder / "model", "sd1")
    return folder


def command(made, out, *more) -> list[str]:
    return list(map(str, ["tune", made / "clip.mp4", "--source", SOURCE, "--model", made / "model", "--frames", 2, "--steps", 5,
                          "--every", 2, "--rate", 0.01, "--device", "cpu", "--out", out, *more]))


def stopped(stop):
    """`denoising` that is stopped in the fourth step."""
    asked, denoising = [], tuning.denoising

    def stops(*given):
        asked.append(given)
        if len(asked) == FOURTH:
            stop()
        return denoising(*given)
    return stops


def dying(*arguments) -> None:
    tuning.denoising = stopped(lambda: signal.raise_signal(signal.SIGKILL))
    children.command(*arguments)


def edit(made, out) -> list[str]:
    return list(map(str, ["edit", made / "clip.mp4", TARGET, "--source", SOURCE, "--model", made / "model", "--frames", 2,
                          "--set", "steps=2", "--device", "cpu", "--out", out]))


def test_defaults_are_as_suits_the_checkpoint():
    told = lambda *model, **given: (configured(*model, **given).training.steps, configured(*model, **given).training.rate)
    assert told() == (500, 3e-5) and told("tiny") == (200, 3e-4) and told("tiny", rank="3") == (200, pytest.approx(3e-3))
    assert told("tiny", rank=3, rate="0.5", steps="7") == (7, 0.5)
    assert configured(frames="dense", patience="2", ema="none").frames == ("dense",)


def test_killed_the_same_command_ends_with_the_same_weights(capsys, made, tmp_path):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    assert children.ended(children.started(dying, *command(made, killed))) == -signal.SIGKILL
    assert {p.name for p in tmp_path.iterdir()} == {"killed.unfinished"}
    code, said, told = newtake(capsys, *command(made, killed))
    assert code == 0 and "went on from step 2" in told and "5 steps; loss" in told and said.strip() == str(killed)
    code, _, told = newtake(capsys, *command(made, whole))
    assert code == 0 and "went on" not in told and {p.name for p in tmp_path.iterdir()} == {"killed", "whole"}
    one, other = (load_file(out / "adapter.safetensors") for out in (killed, whole))
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_interrupted_it_keeps_what_it_has_and_says_how_to_go_on(capsys, made, tmp_path, monkeypatch):
    monkeypatch.setattr(tuning, "denoising", stopped(lambda: signal.default_int_handler(signal.SIGINT, None)))
    code, _, told = newtake(capsys, *command(made, tmp_path / "out", "--lora", 2))
    assert code == 130 and "the same command goes on" in told and not (tmp_path / "out").exists()
    code, _, told = newtake(capsys, *command(made, tmp_path / "out", "--lora", 2))
    assert code == 0 and "went on from step 3" in told


def test_killed_while_it_wrote_the_adapter(capsys, made, tmp_path, monkeypatch):
    def full(*given):
        raise BadInput("cannot write: no space left")

    with monkeypatch.context() as patch:
        patch.setattr(tuned, "write", full)
        assert newtake(capsys, *command(made, tmp_path / "out"))[0] == 2
    code, _, told = newtake(capsys, *command(made, tmp_path / "out", "--steps", 4))
    assert code == 2 and "holds 5 steps already" in told
    code, _, told = newtake(capsys, *command(made, tmp_path / "out"))
    assert code == 0 and "went on from step 5" in told and "5 steps; loss" in told
    assert [at for at, _ in json.loads((tmp_path / "out" / "adapter.json").read_text())["looks"]] == [0, 2, 4, 5]


def test_a_folder_of_the_users_own_is_left_alone(capsys, made, tmp_path):
    (tmp_path / "out.unfinished").mkdir()
    (tmp_path / "out.unfinished" / "novel.txt").write_text("chapter one")
    code, _, told = newtake(capsys, *command(made, tmp_path / "out"))
    assert code == 2 and "holds other things, such as novel.txt" in told
    assert (tmp_path / "out.unfinished" / "novel.txt").exists()


def test_a_rate_that_is_too_high_keeps_nothing(capsys, made, tmp_path):
    code, _, told = newtake(capsys, *command(made, tmp_path / "out", "--rate", 1, "--set", "decay=1e38"))
    assert code == 2 and "take a lower rate than 1" in told and not [*tmp_path.iterdir()]


@pytest.fixture(scope="module")
def adapter(made):
    with pytest.raises(SystemExit):
        cli.main([*command(made, made / "adapter"), "--samples", "5", "--prompt", TARGET])
    return made / "adapter"


def test_a_finished_one_is_not_done_again(capsys, made, adapter):
    before = (adapter / "adapter.safetensors").stat().st_mtime_ns
    code, said, told = newtake(capsys, *command(made, adapter, "--json"))
    assert code == 0 and "is there already" in told and json.loads(said)["steps"] == 5
    assert (adapter / "adapter.safetensors").stat().st_mtime_ns == before
    assert [p.name for p in (made / "adapter.samples").iterdir()] == ["000005.png"]
    code, _, told = newtake(capsys, *command(made, adapter, "--seed", 1))
    assert code == 2 and "an adapter already, with another tuning" in told


def test_what_an_adapter_says_of_itself(adapter):
    told = json.loads((adapter / "adapter.json").read_text())
    assert (told["kind"], told["rank"], told["norms"], told["source"], told["frames"]) == ("tuned", None, "frame", SOURCE, 2)
    assert [at for at, _ in told["looks"]] == [0, 2, 4, 5] and told["network"]["block_out_channels"] == [32, 64]
    assert str(adapter.parent) not in (adapter / "adapter.json").read_text()


@pytest.mark.parametrize("method", ["tune_a_video", "fatezero"])
def test_edits_with_it(capsys, made, adapter, tmp_path, method):
    more = ["--method", method, "--json"]
    _, without, _ = newtake(capsys, *edit(made, tmp_path / "without"), *more)
    code, with_it, _ = newtake(capsys, *edit(made, tmp_path / "with"), *more, "--adapter", adapter)
    assert code == 0 and json.loads(with_it)["job"]["adapters"] == [{"where": "adapter", "weight": 1.0}]
    assert json.loads(with_it)["model"]["sha256"] != json.loads(without)["model"]["sha256"]
    assert json.loads(with_it)["edits"][0]["sha256"] != json.loads(without)["edits"][0]["sha256"]


@pytest.mark.parametrize("wrong, line", [
    (["--lora", 0], "rank must be between 1 and 1024"),
    (["--rate", -1], "rate must be between 0 and 1"),
    (["--steps", 0], "steps must be between 1 and"),
    (["--dtype", "int3"], "precision is a name, one of fp32, bf16, fp16"),
    (["--set", "magic=1"], "unknown setting 'magic'; there are steps"),
    (["--set", "norms=all"], "one of frame, clip"),
    (["--set", "frames=nearest"], "frames are dense, own, first"),
    (["--prompt", TARGET], "--samples 50"),
    (["--samples", 2, "--prompt", " "], "the target prompt is empty"),
    (["--source", " "], "the source prompt is empty"),
    (["--source", SOURCE + " on the grass" * 40], "longer than its encoder reads"),
    (["--out", "MADE"], "holds other things"),
    (["--model", "MADE"], "model_index.json"),
    (["--frames", 9], "4 frames"),
])
def test_a_mistake_is_one_line_and_leaves_nothing(capsys, made, tmp_path, wrong, line):
    more = [str(a).replace("MADE", str(made)) for a in wrong]
    code, said, told = newtake(capsys, *command(made, tmp_path / "out"), *more)
    told = [row for row in told.splitlines() if row]
    assert code == 2 and said == "" and line in told[-1] and len(told) == 1 and not [*tmp_path.iterdir()]


def test_adapters_of_one_name_are_two(capsys, made, adapter, tmp_path):
    other = tmp_path / "other" / adapter.name
    newtake(capsys, *command(made, other, "--seed", 1))
    code, said, _ = newtake(capsys, *edit(made, tmp_path / "run"), "--json", "--adapter", f"{adapter}=0.5", "--adapter", other)
    told = json.loads(said)
    assert code == 0 and [one["weight"] for one in told["job"]["adapters"]] == [0.5, 1]
    assert len(set(told["adapters"])) == 2
    again = ["rerun", tmp_path / "run", "--clip", made / "clip.mp4", "--model", made / "model", "--out", tmp_path / "again"]
    code, _, line = newtake(capsys, *again, "--adapter", adapter, "--adapter", other)
    assert code == 0 and "the same bits as before" in line


def test_tune_a_video_without_a_tuned_network_is_told(capsys, made, tmp_path):
    code, _, told = newtake(capsys, *edit(made, tmp_path / "run"), "--method", "tune_a_video")
    assert code == 0 and "is for a network that was tuned to the clip" in told


def test_a_weight_is_after_the_last_equals_sign():
    assert weighted(["a", "b=0.5", "runs/lr=3e-5=1"], "--adapter") == {"a": 1, "b": 0.5, "runs/lr=3e-5": 1}
    with pytest.raises(BadInput, match="WHERE=NUMBER"):
        weighted(["a=much"], "--adapter")


def test_an_adapter_of_another_network_is_one_line(capsys, made, adapter, tmp_path):
    code, _, told = newtake(capsys, "edit", made / "clip.mp4", TARGET, "--source", SOURCE, "--adapter", adapter,
                            "--set", "steps=2", "--out", tmp_path / "run")
    assert code == 2 and "was made for another network" in told and ", here " in told and told.count("\n") == 1
