"""Where an edit may differ from its clip, beside the edit itself: the network is asked once more, halfway."""

from __future__ import annotations

import warnings
from dataclasses import replace

import torch

from ..attention.regions import Words
from ..errors import BadInput, Note
from ..inversion.trajectory import Trajectory
from ..levels import noise
from ..models.model import Model, Text
from ..shapes import Latents, Regions
from .masks import changed, changing, named, of_named
from .method import Setup
from .request import Request

USUAL = 0.3                                             # of a frame's maximum, where a method has no mask of its own
HALFWAY = 0.5                                           # share of the steps


def where(model: Model, setup: Setup, path: Trajectory, z: Latents, ask: Request) -> Regions:
    """Where finished targets z (r f c h w) may differ from the clip, (r f h w): inside the user's mask, or where the words are
    that change, in the clip or in what became of it.

    The network is asked once more for that: for the words of the clip and of the targets, all with one noise, halfway.
    """
    size = z.shape[-2], z.shape[-1]
    if ask.mask is not None:
        return changing(setup, ask, size, None)
    if not any(change.source or change.target for change in ask.changes):
        warnings.warn("the targets only add words, so all may change and nothing of the background is kept; say what changes: "
                      "--word, --mask or --box", Note, stacklevel=2)
    clean = path.z[-1][:, :, :z.shape[2]]
    words = halfway(model, setup, torch.cat([clean, z]), ask.source.then(ask.targets), ask)
    return changed(usual(setup), ask, [words], size)


def in_source(model: Model, setup: Setup, clean: Latents, ask: Request) -> Regions:
    """Where each target may change something of a clip (1 f c h w) that nobody has edited yet, (r f h w): what `where` sees in
    it.  What a target becomes may reach further.  BadInput where the targets only add words.
    """
    if not any(change.source for change in ask.changes):
        raise BadInput("no word of the clip changes, so the words show no place; say what changes")
    words, size = halfway(model, setup, clean, ask.source, ask), (clean.shape[-2], clean.shape[-1])
    return changing(usual(setup), of_named(ask), size, words.mean()[0])


def usual(setup: Setup) -> Setup:
    """With a mask, also where the method has none of its own."""
    return setup if setup.mask is not None else replace(setup, mask=USUAL)


def halfway(model: Model, setup: Setup, z: Latents, text: Text, ask: Request) -> Words:
    """Where the words that matter are in clean latents, all with one noise."""
    words, levels = Words(len(z), by_step=False, tokens=named(ask)), model.levels(setup.steps)
    at = levels[int(HALFWAY * (len(levels) - 1))]
    eps = noise(ask.seed, range(z.shape[1]), *z.shape[2:]).to(z)
    with model.control(words):
        model.predict(at.alpha * z + at.sigma * eps, at, text)
    return words
