"""Where the targets of an edit may change something: inside the user's mask, or where the words are that change."""

from __future__ import annotations

import warnings
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from ..attention.regions import Words, region, resized
from ..errors import BadInput, Note
from ..inversion.trajectory import Trajectory
from ..levels import noise
from ..models.model import Model, Text
from ..shapes import Latents, Numbers, Regions, WordMaps
from .change import Change
from .method import Setup
from .request import Request

USUAL = 0.3                                             # of a frame's maximum, where a method has no mask of its own
HALFWAY = 0.5                                           # share of the steps


def masked(setup: Setup, ask: Request) -> bool:
    return setup.mask is not None or ask.mask is not None


def of_words(setup: Setup, ask: Request) -> bool:
    return setup.mask is not None and ask.mask is None


def idle_words(setup: Setup, ask: Request) -> dict[str, str]:
    """What was said of a mask that is not made of words."""
    named = [name for name in ("words", "spared") if name in ask.given]
    if ask.mask is not None:
        return dict.fromkeys(named, "the mask that was given says where the edit may change something")
    if setup.mask is None:
        return dict.fromkeys(named, "there is no mask; set one, such as mask=0.3")
    unnamed = not any(change.source or change.target for change in ask.changes)
    return {f"mask={setup.mask}": "the targets only add words, so all may change; name what changes: --word"} if unnamed else {}


def noting(setup: Setup, ask: Request, rows: int, published: bool = False, most: int | None = None) -> list[Words]:
    """The control that notes the words of the last so many rows, where a mask is made of them; none elsewhere."""
    return [Words(rows, by_step=False, published=published, most=most, tokens=named(ask))] if of_words(setup, ask) else []


def named(ask: Request) -> list[int]:
    """The tokens of which masks are made."""
    return sorted({token for change in ask.changes for tokens in change.told for token in tokens})


def changed(
    setup: Setup, ask: Request, words: list[Words], size: tuple[int, int], source: WordMaps | None = None
) -> Regions:
    """Where each target may change something, by what was noted.

    words: as `noting` gave them, of the source and the targets, or of the targets.  source: the source's, where they are of the
    targets; None: it has none.
    """
    if not words:
        return changing(setup, ask, size, None)
    maps, few = words[0].mean(), named(ask)             # of these tokens alone
    among = replace(ask, changes=tuple(change.among(few) for change in ask.changes))
    if len(maps) > len(ask.changes):
        return changing(setup, among, size, maps[0], maps[1:])
    return changing(setup, among, size, torch.zeros_like(maps[0]) if source is None else only(source, few), maps)


def only(words: WordMaps, few: list[int]) -> WordMaps:
    """The maps of these tokens; of those further on than its prompt goes nothing."""
    own = words.new_zeros(len(words), len(few), *words.shape[2:])
    there = [i for i, token in enumerate(few) if token < words.shape[1]]
    own[:, there] = words[:, [few[i] for i in there]]
    return own


def changing(
    setup: Setup, ask: Request, size: tuple[int, int], source: WordMaps | None,
    targets: Float[Tensor, "r f m h w"] | None = None, frames: Numbers | None = None,
) -> Regions:
    """Inside the user's mask; without one, where the source has what changes or the target has what it became, and neither has
    what is spared.  Nothing named: everywhere.  targets None: by the source alone, and nothing named is nowhere.  frames: only
    of these; None: of all.
    """
    if ask.mask is not None:
        return resized(ask.mask if frames is None else ask.mask[frames], size).expand(len(ask.changes), -1, -1, -1)
    assert source is not None
    source = source if frames is None else source[frames]
    if targets is None:
        return torch.stack([found(change, [source], size, setup) for change in ask.changes])
    both = [[source.to(target), target] for target in targets]
    return torch.stack([found(change, maps, size, setup) for change, maps in zip(ask.changes, both, strict=True)])


def found(change: Change, maps: list[Tensor], size: tuple[int, int], setup: Setup) -> Regions:
    """In the maps of the source, and of the target where there are any."""
    above = setup.mask
    assert above is not None
    seek = lambda tokens, widen: torch.stack([
        region(words, named, size, above, widen) for words, named in zip(maps, tokens, strict=False)
    ]).any(0)
    inside = seek((change.source, change.target), setup.widen)
    if len(maps) > 1 and not (change.source or change.target):
        inside = torch.ones_like(inside)
    return inside & ~seek(change.spared, 0)


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
    setup = setup if setup.mask is not None else replace(setup, mask=USUAL)
    clean = path.z[-1][:, :, :z.shape[2]]
    words = halfway(model, setup, torch.cat([clean, z]), ask.source.then(ask.targets), ask)
    return changed(setup, ask, [words], size)


def in_source(model: Model, setup: Setup, clean: Latents, ask: Request) -> Regions:
    """Where each target may change something of a clip (1 f c h w) that nobody has edited yet, (r f h w): what `where` sees in
    it.  What a target becomes may reach further.  BadInput where the targets only add words.
    """
    if not any(change.source for change in ask.changes):
        raise BadInput("no word of the clip changes, so the words show no place; say what changes")
    setup, few = setup if setup.mask is not None else replace(setup, mask=USUAL), named(ask)
    among, size = replace(ask, changes=tuple(change.among(few) for change in ask.changes)), (clean.shape[-2], clean.shape[-1])
    return changing(setup, among, size, halfway(model, setup, clean, ask.source, ask).mean()[0])


def halfway(model: Model, setup: Setup, z: Latents, text: Text, ask: Request) -> Words:
    """Where the words that matter are in clean latents, all with one noise."""
    words, levels = Words(len(z), by_step=False, tokens=named(ask)), model.levels(setup.steps)
    at = levels[int(HALFWAY * (len(levels) - 1))]
    eps = noise(ask.seed, range(z.shape[1]), *z.shape[2:]).to(z)
    with model.control(words):
        model.predict(at.alpha * z + at.sigma * eps, at, text)
    return words
