"""Video-P2P: Video Editing with Cross-attention Control (Liu et al., CVPR 2024, arXiv 2303.04761).

Source and targets are denoised side by side as in Prompt-to-Prompt; the tuned empty prompt is the source's alone, the targets
keep the plain one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any, Literal, final

import torch

from ..attention.call import Control, early, when
from ..attention.frames import look
from ..attention.regions import Words
from ..attention.rows import SOURCE, TARGETS, keep
from ..guidance import cfg
from ..inversion import NullText
from ..inversion.trajectory import Trajectory
from ..levels import Level, Prediction
from ..models.model import Model
from ..settings import setting
from ..shapes import Latents
from ..track import track
from .beside import guided, idle_words, local_blend, masking, noting, taught, teaching
from .method import Method, Request, Setup


@final
@dataclass(frozen=True)
class VideoP2P(Method):
    setup: Setup = Setup(NullText(), frames=("first",))
    cross_until: float = setting(0.2, "share of the steps in which cross-attention comes from the source", 0, 1)
    self_until: float = setting(0.5, "share of the steps in which self-attention comes from the source", 0, 1)
    blend_from: float = setting(0.2, "with a mask: share of the steps before the source stays outside it", 0, 1)
    most: int | None = setting(32 ** 2, "sites of more query tokens a frame keep their own maps; none: none do", 1)
    fast: bool = setting(False, "the source is asked without guidance, and needs no tuned prompt: take inversion=ddim")
    # The published code:
    kind: Literal["self", "temporal"] = setting("self", "whose maps self_until is about; temporal: those over the frames")
    spare: int = setting(0, "1: cross_until counts in a table of a row more than there are steps", 0, 1)
    edited_words: bool = setting(False, "the mask is made of the maps as they are edited")
    published_sites: bool = setting(False, "the mask is made at fixed sites instead of those nearest to 16x16")

    @classmethod
    def reference(cls, **paper: Any) -> VideoP2P:
        """The published code, at commit 92d2b52: its "self" control acts on temporal attention, where the network has any."""
        quirks = dict(kind="temporal", most=None, spare=1, edited_words=True, published_sites=True)
        return cls(**{"setup": Setup(NullText.reference(), frames=("first",), mask=0.3), **quirks, **paper})

    def invert(self, model, z0, ask):
        with model.control(look(*self.setup.frames)):
            return self.setup.invert(model, z0, ask)

    def idle(self, path, ask):
        idle = idle_words(self.setup, ask)
        if self.fast and path.pinned:
            idle["fast"] = "with this inversion the source is on its path, and is asked without guidance anyway"
        elif self.fast and path.null is not None:
            idle["the tuned prompts"] = "with fast the source is asked without guidance; inversion=ddim tunes none"
        return idle

    def __call__(self, model, path, ask):
        self.tell_idle(path, ask)
        many = len(ask.changes)
        words = noting(self.setup, ask, self.published_sites)
        z = path.z[0].expand(many if path.pinned else 1 + many, *[-1] * 4)
        with model.control(look(*self.setup.frames), *self._controls(words, ask)):
            for i, (at, down) in enumerate(track(list(pairwise(path.levels)), "editing")):
                z = self.setup.inversion.down(path, i, z, partial(self._guided, model, path, ask))
                z = z if at.inside(self.blend_from) else local_blend(self.setup, path, ask, words, z, i + 1)
                z = z if self._needed(down, path, ask) else z[-many:]
        return path.shown(z[-many:])

    # Decoupled guidance: the tuned prompt brings the clip back, the plain one edits.

    def _guided(self, model: Model, path: Trajectory, ask: Request, z: Latents, at: Level, turn: int) -> Prediction:
        guidance, many = cfg(self.setup.guidance), len(ask.changes)
        if len(z) == many:
            source = path.source_at(at, turn) if path.pinned and self._needed(at, path, ask) else None
            return guided(model, ask, z, at, ask.null, guidance, source)
        if not self.fast:
            return guided(model, ask, z, at, path.null_at(at, ask.null).then(ask.null.times(many)), guidance)
        prompted = model.predict(z, at, ask.source.then(ask.targets))
        null = model.predict(z[TARGETS], at, ask.null, prompted=False)
        targets = guidance(null, prompted.rows(TARGETS), at)
        return replace(prompted, out=torch.cat([prompted.out[SOURCE], targets.out]))

    def _needed(self, at: Level, path: Trajectory, ask: Request) -> bool:
        """Whether the source row is."""
        return masking(self.setup, path, ask) or teaching(ask, at, self.self_until, self.cross_until, self.spare)

    def _controls(self, words: list[Words], ask: Request) -> list[Control]:
        edits = [when(early(self.kind, self.self_until, self.most), keep), taught(ask, self.cross_until, self.spare)]
        return [*edits, *words] if self.edited_words else [*words, *edits]
