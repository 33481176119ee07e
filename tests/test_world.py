"""Laws of the miniature world: same scene same bits, true answers, masks, exact motion."""

import json
from dataclasses import replace

import numpy as np
import pytest

from newtake.errors import BadInput
from newtake.world import BACKGROUNDS, COLOURS, MOTIONS, OBJECTS, STYLES, Scene, held_out
from newtake.world.grammar import read, unknown, vocabulary
from newtake.world.render import flow, frame, frames, mask
from newtake.world.scene import STYLE_WORDINGS, WORDINGS
from newtake.world.shapes import SHAPES, UNSEEN

SMALL = dict(size=(64, 48), frames=5)


def test_the_world_is_as_large_as_promised():
    assert len(OBJECTS) >= 10 and len(COLOURS) == 8 and len(BACKGROUNDS) == 6 and len(STYLES) == 4 and len(MOTIONS) == 6
    share = np.mean([held_out(o, c, b) for o in OBJECTS for c in COLOURS for b in BACKGROUNDS])
    assert 0.07 < share < 0.13


@pytest.mark.parametrize("seed", range(4))
def test_same_scene_same_bits(seed):
    scene = Scene.sample(seed, **SMALL)
    assert scene == Scene.sample(seed, **SMALL)
    assert np.array_equal(frames(scene), frames(scene)) and frames(scene).shape == (5, 48, 64, 3)


@pytest.mark.parametrize("name", SHAPES)
def test_every_object_has_a_shape_of_its_own(name):
    scene = Scene(object=name, size=(64, 64))
    for other in set(SHAPES) - {name}:
        a, b = mask(scene, 3), mask(scene.becomes(object=other), 3)
        assert (a & b).sum() / (a | b).sum() < 0.93


@pytest.mark.parametrize("name", UNSEEN)
def test_what_is_there_to_be_learned_is_in_no_scene_and_no_word(name):
    assert name not in OBJECTS and name not in vocabulary()
    with pytest.raises(BadInput, match="the world knows no"):
        read(f"a red {name} on the grass")


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("colour", COLOURS)
def test_the_colour_stays_visible_in_every_style(colour, style):
    """The thing's mean colour is nearer to a plain thing's of its own colour than of any other."""
    inside = mask(Scene(size=(64, 64), motion="in place"), 0)
    seen = lambda c, s: frame(Scene(size=(64, 64), motion="in place", colour=c, style=s), 0)[inside].mean(0)
    here = seen(colour, style)
    nearest = min(COLOURS, key=lambda c: np.abs(seen(c, style) - here).sum())
    assert nearest == colour
    hue = lambda v: v - v.mean()
    if colour != "white":
        assert np.dot(hue(here), hue(seen(colour, "plain"))) > 0


@pytest.mark.parametrize("change", [dict(colour="blue"), dict(object="fish"), dict(background="sea")])
def test_an_edit_changes_what_it_says_and_nothing_else(change):
    scene = Scene.sample(3, object="ball", colour="red", background="grass", style="plain", **SMALL)
    truth = scene.becomes(**change)
    a, b = frame(scene, 2), frame(truth, 2)
    away = ~(mask(scene, 2) | mask(truth, 2))
    grown = np.array([[away[max(0, y - 2):y + 3, max(0, x - 2):x + 3].all() for x in range(64)] for y in range(48)])
    same = (a == b).all(-1)
    if "background" in change:
        assert not same[grown].any() or same[grown].mean() < 0.2
    else:
        assert same[grown].all() and not same[~away].all()


def test_flow_says_where_pixels_go():
    """The next frame, read where the flow points, is this frame inside the thing and inside the ground."""
    scene = replace(Scene.sample(5, size=(96, 96), frames=16, motion="arc"), style="plain", background="snow", object="house")
    a, b, way = frame(scene, 4).astype(float), frame(scene, 5).astype(float), flow(scene, 4)
    y, x = np.mgrid[0:96, 0:96]
    u, v = x + way[..., 0], y + way[..., 1]
    inside = (u > 1) & (u < 93) & (v > 1) & (v < 93)
    i, j = np.clip(np.floor(v).astype(int), 0, 94), np.clip(np.floor(u).astype(int), 0, 94)
    p, q = (v - i)[..., None], (u - j)[..., None]
    there = (b[i, j] * (1 - p) + b[i + 1, j] * p) * (1 - q) + (b[i, j + 1] * (1 - p) + b[i + 1, j + 1] * p) * q
    to = np.round(v).clip(0, 95).astype(int), np.round(u).clip(0, 95).astype(int)
    visible = inside & (mask(scene, 4) == mask(scene, 5)[to])
    followed, stayed = np.abs(there - a)[visible].mean(), np.abs(b - a)[visible].mean()
    assert followed < 2.5 and followed < stayed / 2


def test_captions_are_read_back():
    for seed in range(20):
        scene = Scene.sample(seed)
        meant = {name: getattr(scene, name) for name in ("object", "colour", "background", "style")}
        for wording in range(len(WORDINGS) * len(STYLE_WORDINGS)):
            assert {"style": "plain"} | read(scene.caption(wording)) == meant


def test_strange_words_are_named():
    assert unknown("a red dragon on the grass") == ["dragon"]
    with pytest.raises(BadInput, match=r"no 'dragon'.*ball"):
        read("a red dragon on the grass")
    with pytest.raises(BadInput, match="colour"):
        Scene(colour="mauve")
    with pytest.raises(BadInput, match="motion"):
        Scene().becomes(motion="arc")


def test_a_clip_on_disk(tmp_path):
    from newtake.video import Video
    from newtake.world.clips import write

    scene = Scene(size=(64, 64), frames=4)
    write(scene, tmp_path, scene.becomes(colour="blue"))
    assert len(Video.read(tmp_path / "clip.mp4")) == len(Video.read(tmp_path / "truth.mp4")) == 4
    assert json.loads((tmp_path / "scene.json").read_text())["becomes"] == "a blue ball on the grass"
    with np.load(tmp_path / "masks.npz") as kept:
        assert kept["mask"].shape == (4, 64, 64) and kept["flow"].shape == (3, 64, 64, 2)
