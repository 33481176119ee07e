"""What methods with a source row share: who is asked, what the source teaches the targets, what stays as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import torch
from jaxtyping import Float
from torch import Tensor

from ..attention.call import Control, early, when
from ..attention.frames import look
from ..attention.maps import during, until
from ..attention.regions import Words, blend, region, resized
from ..attention.rows import TARGETS, from_source
from ..guidance import Guidance
from ..inversion import Direct
from ..inversion.trajectory import Trajectory
from ..levels import Level, Prediction
from ..models.model import Model, Text
from ..shapes import Latents, OneLatent, Regions, WordMaps
from .method import Change, Request, Setup

# Rows: the targets, and before them, while a control or a mask needs it, the source

def guided(
    model: Model, ask: Request, z: Latents, at: Level, null: Text, guidance: Guidance, source: OneLatent | None = None
) -> Prediction:
    """The rows z, guided: the targets, or the source and the targets.

    source: what a source row is fed that others only look at; it is asked with its prompt alone.  None: there is none.
    """
    if source is not None:
        return model.guided(torch.cat([source, z]), at, ask.source.then(ask.targets), null, guidance, free=TARGETS)
    text = ask.targets if len(z) == len(ask.changes) else ask.source.then(ask.targets)
    return model.guided(z, at, text, null, guidance)


def together(
    model: Model, z: Latents, at: Level, texts: Sequence[Text], source: tuple[OneLatent, Text] | None = None
) -> list[Prediction]:
    """The rows z with each of the texts, of a row each or one for all, in one pass: a source row teaches the null rows too.

    source: what it is fed, and its prompt.  None: there is none.
    """
    many = len(z)
    told = [text.times(many) for text in texts]
    fed, said = ([source[0]], [source[1]]) if source else ([], [])
    text = reduce(Text.then, [*said, *told])
    answers = model.predict(torch.cat([*fed, *[z] * len(texts)]), at, text)
    return [answers.rows(slice(len(fed) + i * many, len(fed) + (i + 1) * many)) for i in range(len(texts))]


def inverted(setup: Setup, model: Model, z0: OneLatent, ask: Request, prompted: bool) -> Trajectory:
    """The path of the clip under the setup's frame attention, and where on it the words of the source's prompt are.

    prompted: False inverts with the empty prompt, which has no words.
    """
    words = Words(rows=1, by_step=True)
    with model.control(look(*setup.frames), words):
        path = setup.invert(model, z0, ask if prompted else replace(ask, source=ask.null))
    return replace(path, words=[words.mean(i)[0] for i in range(path.steps)]) if prompted and words.sums else path


def idle_row(setup: Setup, ask: Request) -> dict[str, str]:
    """What makes no difference to methods that edit no map of words, and whose source row is fed from the path."""
    unused = [name for name in ("weights", "shares") if name in ask.given]
    idle = dict.fromkeys(unused, "it edits no map of words; another method does, such as fatezero")
    if isinstance(setup.inversion, Direct):
        idle["inversion=direct"] = "its source row is fed from the path with any; it is ddim, to the bit"
    return idle_words(setup, ask) | idle


def taught(ask: Request, tau: float, spare: int = 0, most: int | None = None) -> Control:
    """Cross-attention from the source in the first tau of the steps; of words with steps of their own, in these."""
    edits = [during(tau, change.shares, change.edit, spare) for change in ask.changes]
    return when(early("cross", taught_until(ask, tau), most, spare), from_source(edits))


def taught_until(ask: Request, tau: float) -> float:
    return max(until(tau, change.shares) for change in ask.changes)


def teaching(ask: Request, at: Level, self_until: float, cross_until: float, spare: int = 0) -> bool:
    """Whether the source row's maps go into the targets there."""
    return at.inside(self_until) or at.inside(taught_until(ask, cross_until), spare)


# Masks: a user's, or where the words are that change

def masked(setup: Setup, ask: Request) -> bool:
    return setup.mask is not None or ask.mask is not None


def masking(setup: Setup, path: Trajectory, ask: Request) -> bool:
    """Whether a mask needs the source row: its words, or, where it is not on the path, its latent outside."""
    return masked(setup, ask) and not (ask.mask is not None and path.pinned)


def idle_words(setup: Setup, ask: Request) -> dict[str, str]:
    """What was said of a mask that is not made of words."""
    named = [name for name in ("words", "spared") if name in ask.given]
    if ask.mask is not None:
        named += [f"mask={setup.mask}"] * (setup.mask is not None)
        return dict.fromkeys(named, "the mask that was given says where the edit may change something")
    return dict.fromkeys(named, "there is no mask; set one, such as mask=0.3") if setup.mask is None else {}


def changing(
    setup: Setup, ask: Request, size: tuple[int, int], source: WordMaps | None,
    targets: Float[Tensor, "r f m h w"] | None = None,
) -> Regions:
    """Where each target may change something.

    That is inside the user's mask; without one, where the source has what changes or the target has what it became, and neither
    has what is spared.  Nothing named: everywhere.  targets None: by the source alone, and nothing named is nowhere.
    """
    if ask.mask is not None:
        return resized(ask.mask, size).expand(len(ask.changes), -1, -1, -1)
    assert setup.mask is not None and source is not None
    if targets is None:
        return torch.stack([found(change, [source], size, setup.mask) for change in ask.changes])
    both = [[source.to(target), target] for target in targets]
    return torch.stack([found(change, maps, size, setup.mask) for change, maps in zip(ask.changes, both, strict=True)])


def found(change: Change, maps: list[Tensor], size: tuple[int, int], above: float) -> Regions:
    """In the maps of the source, and of the target where there are any."""
    seek = lambda tokens, pooled: torch.stack([
        region(words, named, size, above, pooled) for words, named in zip(maps, tokens, strict=False)
    ]).any(0)
    inside = seek((change.source, change.target), True)
    if len(maps) > 1 and not (change.source or change.target):
        inside = torch.ones_like(inside)
    return inside & ~seek(change.spared, False)


def noting(setup: Setup, ask: Request, published: bool = False) -> list[Words]:
    """The control that notes the words of all rows, where a mask is made of them; none elsewhere."""
    rows = 1 + len(ask.changes)
    return [Words(rows, by_step=False, published=published)] if setup.mask is not None and ask.mask is None else []


def local_blend(setup: Setup, path: Trajectory, ask: Request, words: list[Words], z: Latents, i: int) -> Latents:
    """The targets of z at levels[i] are the source where they may not change anything.  words: as `noting` gave them.

    Local editing of Prompt-to-Prompt (Hertz et al., ICLR 2023, arXiv 2208.01626).
    """
    if not masked(setup, ask):
        return z
    many = len(ask.changes)
    maps = words[0].mean() if words else None
    here, there = (None, None) if maps is None else (maps[0], maps[1:])
    mask = changing(setup, ask, (z.shape[-2], z.shape[-1]), here, there)
    return torch.cat([z[:-many], blend(z[-many:], path.z[i] if path.pinned else z[:1], mask)])


def seeking(setup: Setup, ask: Request) -> list[Words]:
    """The control that notes the targets' words, where a mask is made of them; none elsewhere."""
    return [Words(rows=len(ask.changes), by_step=False)] if setup.mask is not None and ask.mask is None else []


def outside_kept(setup: Setup, path: Trajectory, ask: Request, words: list[Words], z: Latents, i: int) -> Latents:
    """The targets z at levels[i], and the clip's path where they may not change anything.  words: as `seeking` gave them."""
    if not masked(setup, ask):
        return z
    targets = words[0].mean() if words else None
    source = None if targets is None else path.words[i - 1] if path.words else torch.zeros_like(targets[0])
    return blend(z, path.z[i], changing(setup, ask, (z.shape[-2], z.shape[-1]), source, targets))
