"""What is asked of a method: a `Request`, which `request` makes of the words of people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..attention.maps import reweight
from ..errors import BadInput
from ..models.model import Model, Text
from ..shapes import Mask
from ..words import Share, Spans, find
from ..words import shares as shares_of
from ..words import weights as factors_of
from .change import Change, alignment, differing


@dataclass(frozen=True)
class Request:
    """What is asked of a method: what the clip shows, and what it should become."""

    source: Text
    targets: Text                                       # a row each
    null: Text
    changes: tuple[Change, ...]                         # one a target
    seed: int = 0                                       # of a generator per frame number, where a method draws noise
    given: tuple[str, ...] = ()                         # which of words, spared, weights, shares, mask were said
    mask: Mask | None = None                            # of any size, True where a target may change; None: from words

    def suits(self, z0: Tensor) -> None:
        """Raises BadInput where the mask is of another clip."""
        if self.mask is not None and len(self.mask) != z0.shape[1]:
            raise BadInput(f"the mask is of {len(self.mask)} frames, the clip of {z0.shape[1]}")


def request(
    model: Model,
    source: str,
    targets: str | Sequence[str],
    *,
    words: Sequence[str] = (),
    spared: Sequence[str] = (),
    weights: Mapping[str, float] | None = None,
    shares: Mapping[str, Share] | None = None,
    mask: Mask | None = None,
    null: str = "",
    seed: int = 0,
    published: bool = False,
) -> Request:
    """What a method is asked, from the words of people.

    A target of as many words as the source swaps words, another refines the prompt.  `words`: what changes, as it is called in
    either prompt; (), and for a target that has none of them: the words in which the two differ.  `spared`: what is left alone
    where an edit is masked, in the same way; (): nothing.  `mask`: where something may change, instead of where the words are.
    `weights` and `shares`: words of the targets with a factor on their attention, and with steps of their own in which it
    comes from the source (a share until, or from and until).  `published`: the alignment of Prompt-to-Prompt's code.  Raises
    BadInput where a target is empty, a prompt is longer than its encoder reads, a word is in no prompt, or the mask is none.
    """
    targets = [targets] if isinstance(targets, str) else list(targets)
    if not targets or not all(target.strip() for target in targets):
        raise BadInput("the target prompt is empty; say what the clip should become")
    for prompt in (source, *targets):
        if lost := model.lost(prompt):
            raise BadInput(f"a prompt is longer than its encoder reads; shorten it, this would be lost: {' '.join(lost)}")
    if mask is not None and (mask.dtype != torch.bool or mask.ndim != 3):
        raise BadInput(f"a mask is of truth values, (frames height width), not {mask.dtype} of {mask.ndim} axes")
    here, there = model.text(source), model.text(*targets)
    named, alone = (present_in([here.spans[0], *there.spans], dict.fromkeys(table)) for table in (words, spared))
    weight, own = (present_in(there.spans, table or {}) for table in (weights, shares))
    changes = []
    for i, (target, spans) in enumerate(zip(targets, there.spans, strict=True)):
        was, becomes = named[0], named[i + 1]
        if not (was or becomes):                        # nothing was named, or nothing that this target or the source has
            was, becomes = differing(here.spans[0], spans)
        edit = alignment(model, source, target, published)
        if weight[i]:
            edit = reweight(factors_of(spans, weight[i], there.tokens.shape[-2]), edit)
        kept = find(here.spans[0], alone[0]), find(spans, alone[i + 1])
        changes.append(Change(edit, find(here.spans[0], was), find(spans, becomes), shares_of(spans, own[i]), kept))
    said = dict(words=words, spared=spared, weights=weights, shares=shares, mask=mask is not None)
    return Request(here, there, model.text(null), tuple(changes), seed, tuple(n for n, given in said.items() if given), mask)


def present_in(prompts: Sequence[Spans], table: Mapping[str, Any]) -> list[dict[str, Any]]:
    """For each prompt the words of the table that it has.  Raises BadInput for a word that none has."""
    for word in table:
        if not word.strip():
            raise BadInput("a word is empty; name one of a prompt's")
        if not any(has(spans, word) for spans in prompts):
            find(prompts[-1], word)
    return [{word: value for word, value in table.items() if has(spans, word)} for spans in prompts]


def has(spans: Spans, word: str) -> bool:
    try:
        return bool(find(spans, word))
    except BadInput:
        return False
