"""Video-P2P: Video Editing with Cross-attention Control (Liu et al., CVPR 2024, arXiv 2303.04761).

Source and targets are denoised side by side as in Prompt-to-Prompt; the tuned empty prompt is the source's alone, the targets
keep the plain one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, final

import torch

from ..attention.call import early, when
from ..attention.rows import SOURCE, TARGETS, keep
from ..inversion import NullText
from ..settings import setting
from .method import Setup
from .side_by_side import SideBySide
from .source_row import taught


@final
@dataclass(frozen=True)
class VideoP2P(SideBySide):
    setup: Setup = Setup(NullText(), frames=("first",))
    cross_until: float = setting(0.2, "share of the steps in which cross-attention comes from the source", 0, 1)
    self_until: float = setting(0.5, "share of the steps in which the attention of `kind` comes from the source", 0, 1)
    fast: bool = setting(False, "the source is asked without guidance, and needs no tuned prompt: take inversion=ddim")
    # The published code:
    kind: Literal["self", "temporal"] = setting("self", "whose maps self_until is about; temporal: those over the frames")

    @classmethod
    def reference(cls, **paper: Any) -> VideoP2P:
        """The published code, at commit 92d2b52: its "self" control acts on temporal attention, where the network has any."""
        quirks = dict(kind="temporal", most=None, spare=1, edited_words=True, published_sites=True)
        return cls(**{"setup": Setup(NullText.reference(), frames=("first",), mask=0.3), **quirks, **paper})

    def idle(self, path, ask):
        idle = {}
        if self.fast and path.pinned:
            idle["fast"] = "with this inversion the source is on its path, and is asked without guidance anyway"
        elif self.fast and path.null is not None:
            idle["the tuned prompts"] = "with fast the source is asked without guidance; inversion=ddim tunes none"
        return super().idle(path, ask) | idle

    def _edits(self, ask):
        return [when(early(self.kind, self.self_until, self.most), keep), taught(ask, self.cross_until, self.spare)]

    # Decoupled guidance: the tuned prompt brings the clip back, the plain one edits.

    def _null(self, path, ask, at, rows):
        many = len(ask.changes)
        return ask.null if rows == many else path.null_at(at, ask.null).then(ask.null.times(many))

    def _guided(self, model, path, ask, z, at, turn):
        if len(z) == len(ask.changes) or not self.fast:
            return super()._guided(model, path, ask, z, at, turn)
        prompted = model.predict(z, at, ask.source.then(ask.targets))
        empty = self.setup.null(at, ask.null)
        null = empty and model.predict(z[TARGETS], at, empty, prompted=False)
        targets = self._guidance(path)(null, prompted.rows(TARGETS), at)
        return replace(prompted, out=torch.cat([prompted.out[SOURCE], targets.out]))
