"""What a source row is asked, and what it teaches the targets beside it."""

from __future__ import annotations

import torch

from ..attention.call import Control, early, when
from ..attention.maps import during, until
from ..attention.rows import TARGETS, from_source
from ..guidance import Guidance
from ..levels import Level, Prediction
from ..models.model import Model, Text
from ..shapes import Latents, OneLatent
from .request import Request


def guided(
    model: Model, ask: Request, z: Latents, at: Level, null: Text | None, guidance: Guidance, source: OneLatent | None = None
) -> Prediction:
    """The rows z, guided: the targets, or the source and the targets.

    source: what a source row is fed that others only look at; it is asked with its prompt alone.  None: there is none.
    """
    if source is not None:
        return model.guided(torch.cat([source, z]), at, ask.source.then(ask.targets), null, guidance, free=TARGETS)
    text = ask.targets if len(z) == len(ask.changes) else ask.source.then(ask.targets)
    return model.guided(z, at, text, null, guidance)


def taught(ask: Request, tau: float, spare: int = 0, most: int | None = None) -> Control:
    """Cross-attention from the source in the first tau of the steps; of words with steps of their own, in these."""
    edits = [during(tau, change.shares, change.edit, spare) for change in ask.changes]
    return when(early("cross", taught_until(ask, tau), most, spare), from_source(edits))


def taught_until(ask: Request, tau: float) -> float:
    return max(until(tau, change.shares) for change in ask.changes)


def teaching(ask: Request, at: Level, self_until: float, cross_until: float, spare: int = 0) -> bool:
    """Whether the source row's maps go into the targets there."""
    return at.inside(self_until) or at.inside(taught_until(ask, cross_until), spare)
