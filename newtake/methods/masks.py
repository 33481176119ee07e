"""Where the targets of an edit may change something: inside the user's mask, or where the words are that change."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from ..attention.regions import Words, region, resized
from ..shapes import Numbers, Regions, WordMaps
from .change import Change
from .method import Setup
from .request import Request


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


def of_named(ask: Request) -> Request:
    """The request in maps of these tokens alone."""
    few = named(ask)
    return replace(ask, changes=tuple(change.among(few) for change in ask.changes))


def changed(
    setup: Setup, ask: Request, words: list[Words], size: tuple[int, int], source: WordMaps | None = None
) -> Regions:
    """Where each target may change something, by what was noted.

    words: as `noting` gave them, of the source and the targets, or of the targets.  source: the source's, where they are of the
    targets; None: it has none.
    """
    if not words:
        return changing(setup, ask, size, None)
    maps, few, among = words[0].mean(), named(ask), of_named(ask)
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
