"""An inversion that several edits have in common is made once, and gives each the bits and the costs of its own."""

from dataclasses import replace

import networks
import pytest
import torch
from networks import drawn

from newtake import load
from newtake.cache import Memory
from newtake.edits import Means, edited
from newtake.inversion import INVERSIONS
from newtake.inversion.trajectory import Trajectory
from newtake.methods import configured, spelled
from newtake.models.model import Text
from newtake.models.unet import UNet
from newtake.world import Scene
from newtake.world.clips import video

ALIKE = [                                               # which might share, and with null-text's guidance, or seeds, might not
    ("ddim", 2, 0), ("prompt_to_prompt:mask=0.5;cross_until=0.1", 7.5, 1), ("ddim:frames=middle", 2, 0),
    ("masactrl", 2, 0), ("plug_and_play:mask=0.5", 7.5, 1), ("masactrl:prompted=false", 2, 0),
    ("fatezero:frames=own", 2, 0), ("fatezero:frames=own;mask=0.5", 7.5, 1), ("fatezero:frames=own;channels=9", 2, 0),
]


def same(a: Trajectory, b: Trajectory) -> bool:
    """To the bit, and the same things known."""
    null = lambda path: None if path.null is None else [text.tokens for text in path.null]
    series = lambda path: [path.z, path.fed, path.noise, path.words, null(path)]
    pairs = zip(series(a), series(b), strict=True)
    return a.levels == b.levels and a.pinned == b.pinned and all(
        (x is None) == (y is None) and (x is None or all(map(torch.equal, x, y))) for x, y in pairs)


@pytest.mark.parametrize("inversion", INVERSIONS)
def test_where_the_keys_are_equal_the_paths_are(inversion):
    model, z0, found = UNet(networks.unet(torch.float32), networks.SCHEDULER), drawn(1, 2, 4, 4, 4).float(), {}
    given = networks.asked()
    single = {name: Text(getattr(given, name).tokens.float()) for name in ("source", "targets", "null")}
    for said, guidance, seed in ALIKE:
        ask, method = replace(given, **single, seed=seed), spelled(said, steps=2, inversion=inversion, guidance=guidance)
        found.setdefault(method.path_key(ask), []).append(method.invert(model, z0, ask))
    assert len(found) == {"null_text": 9, "edit_friendly": 9}.get(inversion, 6)
    assert all(same(first, other) for first, *others in found.values() for other in others)


def test_what_was_inverted_is_taken_again_bit_for_bit():
    clip, model, paths = video(Scene(frames=2, size=(64, 64))), load("tiny"), Memory()
    said = ("ddim", 0), ("prompt_to_prompt", 1), ("fatezero", 0), ("newtake", 1)
    given = [(spelled(name, steps=2), seed) for name, seed in said]
    for method, seed in given:
        asked = clip, "a red ball on the grass", ["a blue ball on the grass"], method, model, seed
        alone, shared = edited(*asked), edited(*asked, Means(paths))
        assert torch.equal(alone.videos[0][:], shared.videos[0][:]) and alone.charged[0] == shared.charged[0]
    assert len(paths.kept) == 3                              # a frame sees itself, pinned or not; itself and the middle one
    edited(clip, "a red ball", ["a blue ball on the grass"], given[0][0], model, means=Means(paths))
    assert len(paths.kept) == 4


def test_a_mask_of_words_is_refused_whatever_was_kept():
    """FateZero's inversion without the source's prompt is fine without a mask; that one must not pass for this one."""
    ask = networks.asked()
    keys = {configured("fatezero", inversion="null_text", **{"inversion.prompted": "false"}, mask=mask).path_key(ask)
            for mask in (None, 0.5)}
    assert len(keys) == 2
