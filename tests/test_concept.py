"""A thing is learnt from a few pictures: the loss, the adapter that it leaves, the command, and what is refused."""

import json
import signal
from copy import deepcopy
from dataclasses import replace
from functools import cache

import children
import pytest
import torch
from checkpoints import folder
from PIL import Image
from safetensors.torch import load_file
from shell import newtake as command

import newtake
from newtake.concepts import Pictures, configured
from newtake.errors import BadInput
from newtake.levels import generator, trained, wanted
from newtake.methods.request import request
from newtake.models.adapters.concept import write
from newtake.prompts import strange_to
from newtake.tuning import Training, loop
from newtake.tuning.concept import ConceptLearning, Shown, begun, drawn_loss, learn
from newtake.world import Scene
from newtake.world.clips import video

WORD, KIND, SAID = "blub", "car", ("a red blub on the grass", "a blue blub is driving")
QUICK = ConceptLearning(Training(steps=4, rate=1e-2), rank=2, batch=2, prior=0.5)
CHANNELS = 4


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("learning")


@pytest.fixture(scope="module")
def sd1(place):
    return folder(place / "sd1", "sd1")


@pytest.fixture(scope="module")
def sdxl(place):
    return folder(place / "sdxl", "sdxl")


@cache
def plain(path):
    return newtake.load(path, device="cpu")


def load(path, **shares):
    return newtake.load(path, device="cpu", adapters={str(path.parent / name): share for name, share in shares.items()})


def beginner(path, learning=QUICK, word=WORD):
    return begun(deepcopy(plain(path)), word, KIND, learning)


def thing(word=WORD):
    return Shown(latents(2), tuple(caption.replace(WORD, word) for caption in SAID))


def kind():
    return Shown(latents(3, seed=1), ("a red car on the grass", "a blue car", "a car"))


def latents(rows, seed=0):
    return torch.randn(rows, 1, CHANNELS, 8, 8, generator=torch.Generator().manual_seed(seed))


def out(model, prompt):
    return model.predict(latents(1, seed=2), model.levels(5)[2], model.text(prompt)).out


@cache
def learnt(path, name, learning=QUICK, word=WORD):
    """The model that has learnt; its adapter lies beside the checkpoint."""
    concept, state = beginner(path, learning, word), path.with_name(f"{name}.state.safetensors")
    for _ in learn(concept, thing(word), kind() if learning.prior else None, learning, state, {}):
        pass
    write(path.with_name(name), *concept.adapter(), {"word": word, "rank": learning.rank})
    return concept.model


def test_at_birth_the_word_is_the_kind_and_nothing_else_has_changed(sd1):
    model = beginner(sd1, replace(QUICK, text=True)).model
    for here, there in (("a red blub", "a red car"), ("a red car", "a red car"), ("", "")):
        assert torch.equal(out(model, here), out(plain(sd1), there)), here
    assert not torch.equal(out(model, "a red blub"), out(model, "a blue blub"))


def test_the_loss_is_that_of_the_thing_and_its_share_of_the_kinds(sd1):
    model = beginner(sd1).model
    draw, levels = generator("a draw"), trained(model.scheduler)
    at = levels[int(torch.randint(len(levels), (), generator=draw))]
    rows = [(thing(), i, 1.0) for i in torch.randint(2, (2,), generator=draw)]
    rows += [(kind(), i, 0.5) for i in torch.randint(3, (2,), generator=draw)]
    eps, expected = torch.randn(4, 1, CHANNELS, 8, 8, generator=draw), 0.0
    for (shown, i, share), noise in zip(rows, eps, strict=True):
        said = model.predict(at.alpha * shown.z[i, None] + at.sigma * noise[None], at, model.text(shown.prompts[i]))
        target = wanted(said.kind, shown.z[i, None], noise[None], at)
        expected += share * float((said.out - target).square().mean()) / 2
    found = drawn_loss(model, thing(), kind(), QUICK)(generator("a draw"))
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_the_word_and_low_rank_learn_and_nothing_else(sd1, tmp_path):
    learning = replace(QUICK, text=True)
    concept = beginner(sd1, learning)
    start = {name: weight.clone() for name, weight in concept.weights.items()}
    *_, last = learn(concept, thing(), kind(), learning, tmp_path / "state.safetensors", {})
    assert last.done == 4 and last.looks[-1][1] < last.looks[0][1]
    assert {name.partition(".")[0] for name in start} == {"unet", "text_encoder", "word"}
    assert all(not torch.equal(start[name], weight) for name, weight in concept.weights.items())
    now = {name.replace("base_layer.", ""): weight for name, weight in concept.model.net.state_dict().items()}
    assert all(torch.equal(weight, now[name]) for name, weight in plain(sd1).net.state_dict().items())
    here, before = (model.encoders.encoders[0].get_input_embeddings().weight for model in (concept.model, plain(sd1)))
    assert torch.equal(here[:-1], before)


@pytest.mark.parametrize("family, learning", [
    ("sd1", QUICK), ("sd1", replace(QUICK, text=True, prior=0.0)), ("sd1", replace(QUICK, rank=0)),
    ("sdxl", replace(QUICK, text=True))])
def test_the_adapter_is_what_was_learnt(request, family, learning):
    path, name = request.getfixturevalue(family), f"{family}-{learning.rank}-{learning.text}"
    model, again = learnt(path, name, learning), load(path, **{name: 1.0})
    for prompt in ("a red blub on the grass", "a red car"):
        here, there = out(again, prompt), out(model, prompt)
        assert float((here - there).abs().max() / there.abs().max()) < 1e-4, prompt
    assert not torch.equal(out(again, "a red blub"), out(plain(path), "a red car"))


def test_a_weight_is_a_share_of_what_was_added(sd1):
    learnt(sd1, "shares")
    name = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_v"
    weight = lambda model: model.net.get_submodule(name).weight
    weights = load_file(sd1.with_name("shares") / "pytorch_lora_weights.safetensors")
    added = weights[f"unet.{name}.lora_B.weight"] @ weights[f"unet.{name}.lora_A.weight"]
    for share in (0.5, -1.0):
        assert torch.allclose(weight(load(sd1, shares=share)), weight(plain(sd1)) + share * added, atol=1e-6)
    nothing = load(sd1, shares=0.0)
    assert nothing.hash == plain(sd1).hash and "blub" not in nothing.tokenizer.get_vocab()


def test_the_word_is_one_word_and_one_token_in_targets(sd1):
    learnt(sd1, "shares")
    model = load(sd1, shares=1.0)
    ask = request(model, "a red car on the grass", "A red Blub, on the grass", words=["blub"], weights={"blub": 2})
    assert ask.targets.spans[0]["blub"] == (3,) and ask.changes[0].target == (3,) and ask.changes[0].source == ()
    assert model.lost("a red blub") == []
    swapped = request(model, "a red car on the grass", "a red blub on the grass").changes[0]
    assert (swapped.source, swapped.target) == ((3,), (3,))


def test_two_concepts_at_once(sd1):
    learnt(sd1, "first"), learnt(sd1, "second", replace(QUICK, training=replace(QUICK.training, seed=1)), "zorb")
    both, one = load(sd1, first=1.0, second=0.5), load(sd1, first=1.0)
    spans = both.text("a blub on the zorb").spans[0]
    assert spans["blub"] == (2,) and spans["zorb"] == (5,)
    row = lambda model, word: model.encoders.encoders[0].get_input_embeddings().weight[model.tokenizer(word).input_ids[1]]
    assert torch.equal(row(both, "blub"), row(one, "blub")) and not torch.equal(row(both, "blub"), row(both, "zorb"))
    learnt(sd1, "shares")
    assert "vocabulary" in refused(lambda: load(sd1, first=1.0, shares=1.0))


def refused(do) -> str:
    with pytest.raises(BadInput) as error:
        do()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_an_adapter_of_another_network_or_in_pieces(sd1, sdxl):
    learnt(sd1, "torn"), learnt(sdxl, "sdxl-2-True", replace(QUICK, text=True))
    assert "learned_embeds_2" in refused(lambda: load(sdxl, torn=1.0))
    assert "another network" in refused(lambda: load(sd1, **{"sdxl-2-True": 1.0}))
    adapter = sd1.with_name("torn")
    (adapter / "learned_embeds.safetensors").unlink()
    assert "not a whole adapter" in refused(lambda: load(sd1, torn=1.0))
    (adapter / "adapter.json").write_text(json.dumps({"format": 9, "kind": "concept"}))
    assert "make it again" in refused(lambda: load(sd1, torn=1.0))


@pytest.mark.parametrize("word, line", [("car", "in the vocabulary already"), ("Car", "in the vocabulary already"),
                                        ("my blub", "punctuation")])
def test_a_word_that_is_known_or_none(sd1, word, line):
    assert line in refused(lambda: beginner(sd1, word=word))


# Pictures and what they show

@pytest.fixture
def pictures(tmp_path):
    there = tmp_path / "pictures"
    there.mkdir()
    for i in range(3):
        Image.effect_noise((32, 32), 40 + 20 * i).convert("RGB").save(there / f"{i}.png")
    return there


def test_captions(pictures):
    (pictures / "0.txt").write_text("a red {word} on the grass\n")
    (pictures / "captions.json").write_text('{"1.png": "the Blub, a car"}')
    found = Pictures.read(pictures, "Blub", "car")
    assert found.word == "blub" and found.captions == ("a red blub on the grass", "the Blub, a car", "a blub car")
    assert found.of_kind() == ("a red car on the grass", "the , a car", "a car")
    assert Pictures.read(pictures, "blub", "car", "one {word}").captions[2] == "one blub"


@pytest.mark.parametrize("made, line", [
    (lambda there: [file.unlink() for file in there.iterdir()], "there are no pictures"),
    (lambda there: Image.new("RGB", (32, 48)).save(there / "3.png"), "3.png is 32x48 and 0.png 32x32"),
    (lambda there: (there / "1.txt").write_text("a car"), "1.png does not say blub"),
    (lambda there: (there / "captions.json").write_text("[]"), "no table of captions"),
    (lambda there: (there / "captions.json").write_text('{"9.png": "a blub"}'), "9.png"),
    (lambda there: (there / "1.png").write_text("hello"), "1.png cannot be read"),
])
def test_pictures_that_are_none(pictures, made, line):
    made(pictures)
    assert line in refused(lambda: Pictures.read(pictures, "blub", "car"))


# The command

def asks(pictures, model, out, *more):
    return ["learn", pictures, "--word", "blub", "--kind", "car", "--model", model, "--out", out, "--device", "cpu",
            "--steps", "6", "--rate", "1e-2", "--lora", "2", "--every", "2", "--set", "kinds=2", "--size", "32x32", *more]


def dying(*arguments):
    """The command, which is killed in its sixth step."""
    step = loop.Run.step

    def fatal(self, loss):
        if self.done == 5:
            signal.raise_signal(signal.SIGKILL)
        return step(self, loss)

    loop.Run.step = fatal
    children.command(*arguments)


def test_killed_the_same_command_goes_on_to_the_same_weights(capsys, sd1, pictures, tmp_path):
    whole, killed = asks(pictures, sd1, tmp_path / "whole"), asks(pictures, sd1, tmp_path / "killed")
    code, said, told = command(capsys, *whole)
    assert code == 0 and said.strip() == str(tmp_path / "whole") and "6 steps" in told
    assert children.ended(children.started(dying, *killed)) == -signal.SIGKILL
    assert not (tmp_path / "killed").exists() and (tmp_path / "killed.unfinished" / "state.safetensors").exists()
    code, _, told = command(capsys, *killed, "--set", "batch=1")
    assert code == 2 and "unfinished work with another batch" in told
    code, _, told = command(capsys, *killed)
    assert code == 0 and "went on from step 4" in told and not (tmp_path / "killed.unfinished").exists()
    names = {"adapter.json", "pytorch_lora_weights.safetensors", "learned_embeds.safetensors"}
    assert {file.name for file in (tmp_path / "killed").iterdir()} == names
    for name in names - {"adapter.json"}:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes(), name
    before = (tmp_path / "killed" / "adapter.json").stat().st_mtime_ns
    code, _, told = command(capsys, *killed)
    assert code == 0 and "finished" in told and (tmp_path / "killed" / "adapter.json").stat().st_mtime_ns == before
    code, _, told = command(capsys, *killed, "--steps", "7")
    assert code == 2 and "an adapter already" in told


@pytest.mark.parametrize("wrong, line", [
    (["--word", "car"], "in the vocabulary already"), (["--word", " "], "--word"), (["--set", "magic=1"], "unknown setting"),
    (["--caption", "a red car"], "does not say blub"), (["--out", "PICTURES"], "other things"),
])
def test_what_cannot_be_learnt_is_one_line(capsys, sd1, pictures, tmp_path, wrong, line):
    wrong = [str(pictures) if one == "PICTURES" else one for one in wrong]
    code, said, told = command(capsys, *asks(pictures, sd1, tmp_path / "out"), *wrong)
    assert code == 2 and said == "" and line in told and len(told.splitlines()) == 1
    assert [file.name for file in tmp_path.iterdir() if file.name != "pictures"] == []


def test_with_tiny_the_word_alone_can_be_learnt():
    assert configured("tiny").text and not configured("tiny", rank="0").text


def test_a_word_that_was_learnt_is_not_strange_to_tiny():
    model, clip = newtake.load("tiny", device="cpu"), video(Scene(frames=1, size=(64, 64)))
    assert "blub" in strange_to("tiny", ["a red blub on the grass"], model, clip)[0]
    taught = begun(model, "blub", "flower", replace(QUICK, rank=0)).model
    assert strange_to("tiny", ["a red blub on the grass"], taught, clip) == []
