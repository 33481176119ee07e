"""What methods can be told, from strings and back; and what is asked of them, from prompts."""

import json
import warnings
from dataclasses import replace
from inspect import signature

import networks
import pytest
import torch
from networks import relative

from newtake import cli, run, words
from newtake.attention.frames import look_at
from newtake.errors import BadInput, Note
from newtake.guidance import cfg
from newtake.inversion import DDIM, INVERSIONS, Direct
from newtake.inversion.trajectory import retrace
from newtake.levels import Level
from newtake.methods import DEFAULT, METHODS, FateZero, configured
from newtake.methods.configuring import settings, values
from newtake.methods.method import Setup, about, name_of
from newtake.methods.request import request
from newtake.models.model import Model, Text
from newtake.record import Job


@pytest.mark.parametrize("name", METHODS)
def test_every_method_tells_of_itself(name):
    cls = METHODS[name]
    paper, does = about(cls)
    assert name_of(cls) == name and "arXiv" in paper and does.endswith(".")
    for setting in settings(cls):
        assert setting.help and setting.type
        assert setting.read(setting.default) == setting.default
    told = values(configured(name))
    assert list(told) == [setting.name for setting in settings(cls)]
    assert configured(name, **json.loads(json.dumps(told))) == cls()


def test_settings_from_strings():
    method = configured("fatezero", steps="20", guidance="9", frames="first, -1", mask="0.3", inversion="direct",
                        blend_latents="true", self_until="1", most="none")
    assert method == FateZero(Setup(Direct(), 20, 9.0, ("first", -1), 0.3), self_until=1.0, blend_latents=True)
    assert configured("fatezero", mask="none").setup == replace(FateZero().setup, mask=None)
    assert configured("ddim", frames="dense").setup.frames == ("dense",)


WRONG = {
    "name=1": "unknown setting 'name' of fatezero; it has ",
    "cls=1": "unknown setting 'cls' of fatezero; it has ",
    "foo=1": "unknown setting 'foo' of fatezero; it has inversion, steps, guidance, frames, mask, widen, rescale, guided_until",
    "self_until=3": "self_until must be between 0 and 1, not 3",
    "self_until=nan": "self_until must be between 0 and 1, not nan",
    "channels=-1": "channels must be at least 0, not -1",
    "steps=0": "steps must be between 1 and 1000, not 0",
    "steps=2.5": "steps is a whole number, not '2.5'",
    "steps=none": "steps is a whole number, not 'none'",
    "guidance=much": "guidance is a number, not 'much'",
    "fuse_maps=perhaps": "fuse_maps is a truth value, true or false, not 'perhaps'",
    "frames=nearest": "frames are dense, own, first, previous, middle, last or offsets such as -1, not 'nearest'",
    "inversion=guess": "unknown inversion 'guess'; known are ddim, direct",
}


@pytest.mark.parametrize("given", WRONG)
def test_wrong_settings(given):
    name, value = given.split("=")
    with pytest.raises(BadInput) as wrong:
        configured("fatezero", **{name: value})
    assert str(wrong.value).startswith(WRONG[given]) and "\n" not in str(wrong.value)


def test_wrong_settings_from_python():
    with pytest.raises(BadInput, match="guidance must be between"):
        Setup(guidance=-1)
    with pytest.raises(BadInput, match="unknown method 'fate'; known are newtake, fatezero, ddim"):
        configured("fate")


def test_the_inversions_are_listed():
    (told,) = (s.help for s in settings(FateZero) if s.name == "inversion")
    assert all(name in told for name in INVERSIONS)


def test_more_steps_than_the_checkpoint_has():
    model, ask = networks.model(), networks.asked()
    with pytest.raises(BadInput, match=r"^steps must be between 1 and 999, not 1000$"):
        configured("ddim", steps=1000).invert(model, networks.clip(), ask)


# What makes no difference is said

def notes(method, ask) -> list[str]:
    model, z0 = networks.model(), networks.clip(f=2, h=4, w=4)
    path = method.invert(model, z0, ask)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        method(model, path, ask)
    assert all(w.category is Note for w in said)
    return [str(w.message) for w in said]


@pytest.mark.parametrize("name, told, given, ignored", [
    ("ddim", {}, (), []),
    ("ddim", dict(mask=0.3), ("words", "weights", "shares"), ["words", "weights", "shares", "mask"]),
    ("ddim", dict(inversion="direct"), (), ["inversion=direct"]),
    ("fatezero", {}, ("weights", "shares"), []),
    ("fatezero", {}, ("words",), ["words"]),
    ("fatezero", dict(mask=0.3), ("words",), []),
    ("fatezero", dict(blend_latents=True), (), ["blend_latents"]),
    ("fatezero", dict(mask=0.3, fuse_maps=False), (), ["mask"]),
    ("fatezero", dict(inversion="direct"), (), ["inversion=direct"]),
    ("newtake", {}, (), []),
])
def test_what_is_ignored_is_said(name, told, given, ignored):
    said = notes(configured(name, steps=1, **told), replace(networks.asked(), given=given))
    assert [line.split(":")[0] for line in said] == [f"{name} ignores {what}" for what in ignored]


def test_all_faces_agree_on_the_default():
    for face, parameter in ((cli.edit, "method"), (run.edit, "method"), (Job, "method")):
        assert signature(face).parameters[parameter].default == DEFAULT
    assert configured(DEFAULT).setup.guidance == 9 and configured(DEFAULT, guidance=3).setup.guidance == 3


# Requests

class Letters:
    """A tokenizer of single letters: enough of a fast tokenizer to tell words apart."""

    model_max_length = 40

    def __call__(self, prompt, truncation=False, max_length=None, **_):
        inside = [(ord(c), (i, i + 1)) for i, c in enumerate(prompt) if c != " "]
        inside = inside[:max_length - 2] if truncation else inside
        ids, offsets = zip(*[(0, (0, 0)), *inside, (1, (0, 0))], strict=True)
        return {"input_ids": list(ids), "offset_mapping": list(offsets)}


class Reader(Model):
    """A model that only reads."""

    tokenizer = Letters()

    def levels(self, steps):
        pytest.fail("who reads prompts asks no network")

    def predict(self, z, at, text, prompted=True, frames=None):
        pytest.fail("who reads prompts asks no network")

    def text(self, *prompts):
        spans = tuple(words.spans(self.tokenizer, prompt) for prompt in prompts)
        return Text(torch.zeros(len(prompts), 40, 4), spans=spans)

    def lost(self, prompt):
        return words.lost(self.tokenizer, prompt)


AT = Level(1, 0.5, 0.8, 0, 5)
MAPS = networks.drawn(2, 1, 1, 6, 40).softmax(-1)


def test_words_that_differ_are_what_changes():
    ask = request(Reader(), "a red car", ["a big dog", "the red car, at sea"], seed=7)
    spans = ask.targets.spans
    swapped, refined = ask.changes
    assert swapped.source == words.find(ask.source.spans[0], "red car") and swapped.target == words.find(spans[0], "big dog")
    assert refined.source == () and refined.target == ()         # words that are only added have no place to speak of
    assert ask.seed == 7 and len(ask.targets.tokens) == 2
    swap = words.replacement(Reader.tokenizer, "a red car", "a big dog")
    assert relative(swapped.edit(*MAPS, AT), MAPS[0] @ swap.double()) < 1e-12
    source_of, known = words.refinement(Reader.tokenizer, "a red car", "the red car, at sea")
    expected = torch.where(known.bool(), MAPS[0][..., source_of], MAPS[1])
    assert relative(refined.edit(*MAPS, AT), expected) < 1e-12


def test_words_that_are_named():
    shares = {"car": 0.5, "blue": (0.2, 0.4)}
    ask = request(Reader(), "a red car", "a blue car", words=["car"], weights={"blue": 3.0}, shares=shares)
    (change,), (here,), (there,) = ask.changes, ask.source.spans, ask.targets.spans
    assert ask.given == ("words", "weights", "shares") and request(Reader(), "a red car", "a blue car").given == ()
    assert change.source == words.find(here, "car") and change.target == words.find(there, "car")
    assert change.shares == dict.fromkeys(there["car"], (0.0, 0.5)) | dict.fromkeys(there["blue"], (0.2, 0.4))
    plain = request(Reader(), "a red car", "a blue car").changes[0].edit(*MAPS, AT)
    weighted = change.edit(*MAPS, AT)
    blue = list(there["blue"])
    assert relative(weighted[..., blue], 3 * plain[..., blue]) < 1e-12
    plain[..., blue] = weighted[..., blue]
    assert torch.equal(weighted, plain)


def test_what_is_spared():
    mask = torch.ones(2, 4, 4, dtype=torch.bool)
    ask = request(Reader(), "a red car", ["a blue car", "a red dog"], spared=["car", "dog"], mask=mask)
    here, there = ask.source.spans[0], ask.targets.spans
    assert [change.spared for change in ask.changes] == [(here["car"], there[0]["car"]), (here["car"], there[1]["dog"])]
    assert ask.given == ("spared", "mask") and ask.mask is mask
    with pytest.raises(BadInput, match=r"a mask is of truth values, .* not torch.float32 of 3 axes"):
        request(Reader(), "a red car", "a blue car", mask=mask.float())


def test_a_target_without_the_words_that_are_named():
    """It changes where the prompts differ, not everywhere."""
    ask = request(Reader(), "a red car", ["a blue car", "a red dog"], words=["dog"])
    here, there = ask.source.spans[0], ask.targets.spans
    assert [change.source for change in ask.changes] == [here["red"], ()]
    assert [change.target for change in ask.changes] == [there[0]["blue"], there[1]["dog"]]


@pytest.mark.parametrize("named", [dict(words=[""]), dict(spared=[" "]), dict(weights={"": 2.0})])
def test_words_that_are_none(named):
    with pytest.raises(BadInput, match="a word is empty"):
        request(Reader(), "a red car", "a blue car", **named)


@pytest.mark.parametrize("named", [
    dict(words=["dog"]), dict(spared=["dog"]), dict(weights={"dog": 2.0}), dict(shares={"dog": 0.5}),
])
def test_words_that_are_not_there(named):
    with pytest.raises(BadInput, match="'dog' is not in the prompt; its words are a, blue, car"):
        request(Reader(), "a red car", "a blue car", **named)


def test_prompts_that_cannot_be_read():
    with pytest.raises(BadInput, match="the target prompt is empty; say what the clip should become"):
        request(Reader(), "a red car", ["a blue car", " "])
    with pytest.raises(BadInput, match="this would be lost: there"):
        request(Reader(), "a red car", "a blue car on a long road of many stones, up there")


# The plain baseline, and the way back

def test_ddim_is_inversion_and_sampling():
    """Without guidance and with the same prompt it is `retrace`; frames are as they are set."""
    model, ask, z0 = networks.model(), networks.asked(), networks.clip()
    ask = replace(ask, targets=ask.source, changes=ask.changes[:1])
    method = configured("ddim", steps=4, guidance=1, frames="first,previous")
    path = method.invert(model, z0, ask)
    with model.control(look_at("first", "previous")):
        again = retrace(model, DDIM(), path, ask.source, ask.null, cfg(1))
        same = DDIM()(model, z0, ask.source, ask.null, model.levels(4), 1)
    assert relative(path.z[0], same.z[0]) < 1e-12
    assert relative(method(model, path, ask), again) < 1e-12


@pytest.mark.parametrize("name", METHODS)
def test_every_method_takes_back_contrast(name):
    """The more is taken back, the less of the spread that w gives is left."""
    model, z0 = networks.model(), networks.clip()
    ask = replace(networks.asked(), changes=networks.asked().changes[:1], targets=Text(networks.asked().targets.tokens[:1]))
    spreads = []
    for rescale in (0, 0.5, 1):
        method = configured(name, steps=2, guidance=30, rescale=rescale, inversion="ddim", guided_until=1)
        spreads.append(float(method(model, method.invert(model, z0, ask), ask).std()))
    assert spreads[0] > spreads[1] > spreads[2]


def test_a_pinned_path_is_retraced_exactly():
    model, ask, z0 = networks.model(), networks.asked(), networks.clip()
    path = Direct()(model, z0, ask.source, ask.null, model.levels(4), 1)
    assert torch.equal(retrace(model, Direct(), path, ask.source, ask.null, cfg(7.5)), z0)
