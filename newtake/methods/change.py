"""What a target's prompt changes, against the source's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ..attention.maps import Edit, Shares, refine
from ..attention.maps import replace as swapping
from ..models.model import Model
from ..words import Spans, refinement, replacement

LITTLE = {                                              # words that say nothing about where the object is
    "a", "an", "the", "in", "on", "at", "by", "of", "to", "with", "near", "under", "over", "beside", "is", "are", "that",
    "there", "and", "one",
}


@dataclass(frozen=True)
class Change:
    """What a target's prompt changes."""

    edit: Edit                                          # its map of the words from the source's and its own
    source: tuple[int, ...] = ()                        # tokens of the object that changes, in the source's prompt
    target: tuple[int, ...] = ()                        # and in the target's; both empty: nothing was named
    shares: Shares = field(default_factory=dict)        # tokens of the target with steps of their own
    spared: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())      # tokens of what is left alone, in either prompt

    @property
    def told(self) -> tuple[tuple[int, ...], ...]:
        """All tokens that say where something changes."""
        return self.source, self.target, *self.spared

    def among(self, few: Sequence[int]) -> Change:
        """The same, where only these tokens are counted."""
        place = {token: i for i, token in enumerate(few)}
        source, target, *spared = (tuple(place[token] for token in tokens) for tokens in self.told)
        return replace(self, source=source, target=target, spared=(spared[0], spared[1]))


def alignment(model: Model, source: str, target: str, published: bool = False) -> Edit:
    """A word swap between prompts of as many words, else a refinement."""
    if len(source.split()) == len(target.split()):
        return swapping(replacement(model.tokenizer, source, target, published))
    return refine(*refinement(model.tokenizer, source, target, published))


def differing(source: Spans, target: Spans) -> tuple[list[str], list[str]]:
    """The words of each prompt that the other does not have, little ones left out.

    None where the target only adds words: those of a style have no place, and the picture as a whole may change.
    """
    told = lambda these, others: [word for word in these if these[word] and word not in others and word not in LITTLE]
    was, becomes = told(source, target), told(target, source)
    return (was, becomes) if was else ([], [])
