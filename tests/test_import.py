"""`newtake import`: published configs become newtake's commands, and what they cannot say is named."""

import json
import shlex
import subprocess

import pytest
from made_configs import (
    FATEZERO,
    FATEZERO_OLDER,
    FATEZERO_TUNING,
    LOVEU,
    TUNE_A_VIDEO,
    VID2VID_ZERO,
    VIDEO_P2P,
)
from shell import newtake

from newtake import cli
from newtake.dialects import imported
from newtake.methods import METHODS, configured
from newtake.world import Scene
from newtake.world.clips import video

ALL = {"Tune-A-Video": TUNE_A_VIDEO, "FateZero": FATEZERO, "vid2vid-zero": VID2VID_ZERO, "Video-P2P": VIDEO_P2P}
PROMPTS = ["spider man is skiing on the beach, cartoon style", "a man's skiing at sunset"]


def read(tmp_path, text, **options):
    (tmp_path / "x.yaml").write_text(text)
    return imported(tmp_path / "x.yaml", **options)


def options(command):
    """What comes before options, the options, and the settings."""
    given, sets, plain, words = {}, {}, [], iter(command[2:])
    for word in words:
        if word == "--set":
            name, value = next(words).split("=", 1)
            sets[name] = value
        elif word.startswith("--"):
            given.setdefault(word[2:], []).append(next(words))
        else:
            plain.append(word)
    return plain, {name: value if len(value) > 1 else value[0] for name, value in given.items()}, sets


@pytest.mark.parametrize("name", ALL)
def test_every_key_of_the_published_configs_is_known(tmp_path, name):
    found = read(tmp_path, ALL[name])
    assert found.dialect == name and found.unknown == []


def test_tune_a_video(tmp_path):
    tune, edit = read(tmp_path, TUNE_A_VIDEO).commands
    plain, given, sets = options(tune)
    assert tune[:2] == ["newtake", "tune"] and plain == ["data/man-skiing.mp4"]
    assert given == {
        "out": "runs/man-skiing", "source": "a man is skiing", "model": "./checkpoints/stable-diffusion-v1-4", "frames": "24",
        "start": "0", "stride": "2", "size": "512x512", "seed": "33", "dtype": "fp16", "steps": "500", "rate": "3e-05",
        "every": "1000", "samples": "100", "prompt": PROMPTS}
    assert sets == {"checkpointing": "true", "norms": "clip", "random_bias": "true"}
    plain, given, sets = options(edit)
    assert plain == ["data/man-skiing.mp4", *PROMPTS]
    assert (given["adapter"], given["method"], given["source"]) == ("runs/man-skiing", "tune_a_video", "a man is skiing")
    assert sets == {"steps": "50", "guidance": "12.5"}
    assert options(read(tmp_path, TUNE_A_VIDEO, corrected=True).commands[0])[2] == {"checkpointing": "true"}


def test_loveu_is_its_variant(tmp_path):
    found = read(tmp_path, LOVEU)
    (_, given, _), (plain, _, sets) = map(options, found.commands)
    assert given["frames"] == "32" and given["size"] == "480x480" and given["out"] == "runs/gold-fish"
    assert plain[1:] == ["Several goldfish swim in a tank, impressionist style.", "Several sharks swim in a tank.",
                         "Several goldfish swim in a pond.", "Several koi fish swim in a pond, rainbow color scheme."]
    assert sets["inverted"] == "false" and not found.unknown


def test_fatezero(tmp_path):
    found = read(tmp_path, FATEZERO)
    (plain, given, sets), (_, style, style_sets) = map(options, found.commands)
    assert plain == ["data/teaser_car-turn", "a Porsche car driving down a curvy road in the countryside"]
    assert given == {
        "source": "a silver jeep driving down a curvy road in the countryside,", "model": "./ckpt/jeep_tuned_200",
        "frames": "8", "stride": "1", "size": "512x512", "norms": "clip", "seed": "0", "method": "fatezero",
        "word": ["silver", "jeep", "Porsche", "car"], "share": "road=0.3"}
    assert sets == {
        "frames": "own,middle", "channels": "640", "most": "1024", "spare": "1", "stale": "true", "published_sites": "true",
        "steps": "50", "guidance": "7.5", "mask": "0.3", "fuse_maps": "true", "blend_latents": "true", "self_until": "0.4",
        "cross_until": "0.5", "maps": "inversion"}
    assert style["weight"] == "watercolor=10" and "word" not in style and "mask" not in style_sets
    assert style_sets["self_until"] == style_sets["cross_until"] == "0.8"
    assert found.idle["test_pipeline_config.target"] == "names code, which is never imported"
    plain = options(read(tmp_path, FATEZERO, corrected=True).commands[0])
    assert set(sets) - set(plain[2]) == {"most", "spare", "stale", "published_sites"} and "norms" not in plain[1]


def test_fatezeros_older_spelling(tmp_path):
    """The source's own prompt is no edit; a threshold of 2 masks nothing; words that no prompt has are passed over."""
    found = read(tmp_path, FATEZERO_OLDER)
    [(plain, given, sets)] = map(options, found.commands)
    assert plain == ["data/attribute/swan_swarov", "a Swarovski swan swimming in a river"]
    assert given["weight"] == "Swarovski=5" and given["stride"] == "2" and "word" not in given and "mask" not in sets
    assert sets["steps"] == "20" and sets["guidance"] == "7" and sets["maps"] == "reconstruction"
    assert sets["frames"] == "previous,first" and sets["channels"] == "0" and found.unknown == []
    key = "validation_sample_logger_config.p2p_config.1"
    assert f"{key}.eq_params.words" in found.idle and f"{key}.is_replace_controller" in found.idle


def test_fatezeros_tuning(tmp_path):
    found = read(tmp_path, FATEZERO_TUNING)
    (plain, given, _), (edited, edit, sets) = map(options, found.commands)
    assert plain == ["data/shape/teaser_car-turn"]
    assert (given["steps"], given["rate"], given["seed"]) == ("1000", "1e-05", "74831")
    assert edited[1:] == ["a Porsche car driving down a curvy road"] and edit["adapter"] == given["out"]
    assert edit["method"] == "ddim" and edit["seed"] == "12734" and sets["frames"] == "previous,first"
    assert {"train_dataset.class_data_root", "train_temporal_conv", "trainer_pipeline_config.target"} <= set(found.idle)
    assert found.unknown == []


def test_vid2vid_zero(tmp_path):
    found = read(tmp_path, VID2VID_ZERO)
    (swap, given, sets), (refine, _, refined) = map(options, found.commands)
    assert swap == ["data/car-moving.mp4", "a car is moving on the snow"] and refine[1] == "a jeep car is moving on the road"
    assert given["dtype"] == "fp32" and given["norms"] == "clip" and given["out"] == "runs/car-moving-swap"
    assert refined.pop("cross_until") == "0.4" and refined == sets         # swapped arguments of the published code
    reference = METHODS["vid2vid_zero"].reference()                       # type: ignore[attr-defined]
    assert configured("vid2vid_zero", **sets) == reference
    [(both, _, sets)] = map(options, read(tmp_path, VID2VID_ZERO, corrected=True).commands)
    assert len(both) == 3 and sets["tuned_from"] == "0.5" and sets["inversion.inner"] == "1" and "cross_until" not in sets
    [_, (_, _, sets)] = map(options, read(tmp_path, VID2VID_ZERO.replace("use_null_inv: True", "use_null_inv: False")).commands)
    assert sets["inversion.guidance"] == "1" and sets["inversion.prompted"] == "false"


def test_video_p2p(tmp_path):
    [command] = read(tmp_path, VIDEO_P2P).commands
    plain, given, sets = options(command)
    assert plain == ["./data/motorbike", "a Spider-Man is driving a motorbike in the forest"]
    assert given["word"] == ["man", "Spider-Man"] and given["weight"] == "Spider-Man=4" and given["frames"] == "8"
    assert configured("video_p2p", **sets) == METHODS["video_p2p"].reference(cross_until=0.3, self_until=0.6)  # type: ignore
    fast = options(read(tmp_path, VIDEO_P2P + "fast: true\n").commands[0])[2]
    assert fast["fast"] == "true" and fast["inversion"] == "ddim" and "inversion.inner" not in fast


# What strangers write

def test_unknown_keys_are_named_and_the_rest_is_done(capsys, tmp_path):
    (tmp_path / "x.yaml").write_text(TUNE_A_VIDEO + "magic: 1\nuse_ema: true\n")
    code, said, told = newtake(capsys, "import", tmp_path / "x.yaml")
    assert code == 0 and told.splitlines() == ["keys that Tune-A-Video does not have: magic, use_ema"]
    assert [shlex.split(line)[1] for line in said.splitlines()] == ["tune", "edit"]
    assert shlex.split(said.splitlines()[1])[3:5] == PROMPTS


def test_json_and_the_users_own_options(capsys, tmp_path):
    (tmp_path / "x.yaml").write_text(VIDEO_P2P)
    code, said, _ = newtake(capsys, "import", tmp_path / "x.yaml", "--json", "--model", "mine", "--trust")
    [command] = json.loads(said)["commands"]
    assert code == 0 and options(command[:-1])[1]["model"] == "mine" and command[-1] == "--trust"


def test_nothing_of_a_strangers_is_an_option_or_a_path_to_write(tmp_path):
    text = VIDEO_P2P.replace("a Spider-Man is driving a motorbike in the forest", "--out=/etc/passwd $(id)").replace(
        '"spider"', '"../../.ssh/keys"')
    [command] = read(tmp_path, text).commands
    assert command[command.index("--"):] == ["--", "./data/motorbike", "--out=/etc/passwd $(id)"]
    assert command[command.index("--out") + 1] == "runs/keys"


@pytest.mark.parametrize("value", ["${oc.env:HOME}", "${env:HOME}", "${nowhere.to}", "${prompt}", "${......prompt}"])
def test_references_are_within_the_file(monkeypatch, tmp_path, value):
    monkeypatch.setenv("HOME", "secret")
    text = VIDEO_P2P.replace('prompt: "a man is driving a motorbike in the forest"', f'prompt: "{value}"', 1)
    with pytest.raises(ValueError, match="no other key of the file") as wrong:
        read(tmp_path, text)
    assert "secret" not in str(wrong.value)


def test_references_are_followed(tmp_path):
    said = 'prompt: "a man is driving a motorbike in the forest"'
    text = VIDEO_P2P.replace(said, 'prompt: "${.words.of} a ${words.what}"', 1)
    [command] = read(tmp_path, text + "words: {of: '${..video_len}', what: cat}\n").commands
    assert options(command)[1]["source"] == "8 a cat"


@pytest.mark.parametrize("text, line", [
    ("a: [1", "not YAML"), ("- 1\n- 2", "no keys"), ("", "no keys"), ("hello", "no keys"),
    ("a: !!python/object/apply:os.system ['true']", "not YAML"), ("a: &x [1]\nb: [*x, *x]", "aliases"),
    ("[" * 1500, "not YAML"),
    ("model: 1", "known dialect"), ("a: \x07", "not YAML"),
    (VIDEO_P2P.replace("image_path", "image_paths"), "known dialect"),
    (VIDEO_P2P.replace('  - "a man is driving a motorbike in the forest"\n', ""), "prompts are two"),
    (VIDEO_P2P.replace("cross_replace_steps: 0.3", "cross_replace_steps: much"), "cross_replace_steps is a number, not 'much'"),
    (VIDEO_P2P.replace("cross_replace_steps: 0.3", "cross_replace_steps: 3"), "between 0 and 1"),
    (TUNE_A_VIDEO.replace("width: 512", "width: wide"), "train_data.width is a whole number"),
    (FATEZERO.replace("        1:\n", "        7:\n"), "no p2p_config.1"),
    (FATEZERO.replace("[['silver', 'jeep'], [\"Porsche\", 'car']]", "3"), "blend_words is a list of texts"),
    (FATEZERO.replace("default_: 0.5", "default_: [0.1, 0.5]"), "a share of the steps"),
])
def test_a_config_that_is_none_is_one_line(capsys, tmp_path, text, line):
    (tmp_path / "x.yaml").write_text(text)
    code, said, told = newtake(capsys, "import", tmp_path / "x.yaml")
    assert code == 2 and said == "" and line in told and len(told.splitlines()) == 1
    assert "cannot be read" in newtake(capsys, "import", tmp_path / "none.yaml")[2]


def test_run_carries_the_commands_out_and_stops_at_a_mistake(capsys, monkeypatch, tmp_path):
    run = []
    monkeypatch.setattr(subprocess, "run", lambda command: run.append(command) or subprocess.CompletedProcess(command, 2))
    (tmp_path / "x.yaml").write_text(TUNE_A_VIDEO)
    code, _, told = newtake(capsys, "import", tmp_path / "x.yaml", "--run")
    assert code == 2 and len(run) == 1 and run[0][1:4] == ["-m", "newtake", "tune"] and "$ newtake tune" in told


def test_an_imported_edit_is_done(capfd, monkeypatch, tmp_path):
    def here(command):                                  # not in a process of its own, which would import everything again
        with pytest.raises(SystemExit) as ended:
            cli.main(command[3:])
        return subprocess.CompletedProcess(command, ended.value.code)

    monkeypatch.setattr(subprocess, "run", here)
    monkeypatch.chdir(tmp_path)
    video(Scene(frames=2, size=(64, 64))).write(tmp_path / "ball.mp4")
    (tmp_path / "x.yaml").write_text("""
pretrained_model_path: sd
dataset_config: {path: ball.mp4, prompt: a red ball on the grass, n_sample_frame: 2, image_size: 64}
editing_config:
  editing_prompts: [a blue ball on the grass]
  p2p_config: {0: {cross_replace_steps: {default_: 0.5}, self_replace_steps: 0.5, blend_words: [[ball], [ball]],
                   blend_self_attention: true, blend_th: [0.3, 0.3]}}
  num_inference_steps: 2
  prompt2prompt_edit: true
""")
    code, _, told = newtake(capfd, "import", "x.yaml", "--run", "--corrected", "--model", "tiny")
    assert code == 0 and (tmp_path / "runs" / "ball-fatezero-1" / "edit.mp4").exists(), told
