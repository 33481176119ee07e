"""Source and targets denoised side by side, the source's attention in the targets: Prompt-to-Prompt and its kin."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch

from ..attention.call import Control, early, when
from ..attention.frames import look
from ..attention.regions import Words, blend
from ..attention.rows import keep
from ..guidance import Guidance
from ..inversion.trajectory import Trajectory
from ..levels import Level, Prediction
from ..models.model import Model, Text
from ..settings import setting
from ..shapes import Latents
from ..track import track
from .masks import changed, idle_words, masked, noting
from .method import Method
from .request import Request
from .source_row import guided, taught, teaching


@dataclass(frozen=True)
class SideBySide(Method):
    """Rows: the targets, and before them, while a control or a mask needs it, the source."""

    cross_until: float = setting(0.8, "share of the steps in which cross-attention comes from the source", 0, 1)
    self_until: float = setting(0.4, "share of the steps in which self-attention comes from the source", 0, 1)
    blend_from: float = setting(0.2, "with a mask: share of the steps before the source stays outside it", 0, 1)
    most: int | None = setting(32 ** 2, "sites of more query tokens a frame keep their self-attention; none: none do", 1)
    # The published code:
    spare: int = setting(0, "1: cross_until counts in a table of a row more than there are steps", 0, 1)
    edited_words: bool = setting(False, "the mask is made of the maps as they are edited")
    published_sites: bool = setting(False, "the mask is made at fixed sites instead of those nearest to 16x16")

    def invert(self, model, z0, ask):
        with model.control(look(*self.setup.frames)):
            return self.setup.invert(model, z0, ask)

    def path_key(self, ask):
        return self.setup.path_key(ask)

    def idle(self, path, ask):
        return idle_words(self.setup, ask)

    def __call__(self, model, path, ask):
        self.tell_idle(path, ask)
        many = len(ask.changes)
        words, edits = noting(self.setup, ask, 1 + many, self.published_sites), self._edits(ask)
        controls = [*edits, *words] if self.edited_words else [*words, *edits]
        z = path.z[0].expand(many if path.pinned else 1 + many, *[-1] * 4)         # a pinned source is on the path anyway
        with model.control(self._frames(), *controls):
            for i, (at, down) in enumerate(track(list(pairwise(path.levels)), "editing")):
                z = self.setup.inversion.down(path, i, z, partial(self._guided, model, path, ask))
                if masked(self.setup, ask) and not at.inside(self.blend_from):
                    z = self._blended(path, ask, words, z, i + 1)
                z = z if self._needed(down, path, ask) else z[-many:]
        return path.shown(z[-many:])

    # What a paper does differently

    def _frames(self) -> Control:
        return look(*self.setup.frames)

    def _edits(self, ask: Request) -> list[Control]:
        """Attention of the source in the targets."""
        return [when(early("self", self.self_until, self.most), keep), taught(ask, self.cross_until, self.spare)]

    def _null(self, path: Trajectory, ask: Request, at: Level, rows: int) -> Text:
        """The empty prompt of so many rows, or one for all."""
        return path.null_at(at, ask.null)

    def _guidance(self, path: Trajectory) -> Guidance:
        return self.setup.cfg()

    # What they have in common

    def _guided(self, model: Model, path: Trajectory, ask: Request, z: Latents, at: Level, turn: int) -> Prediction:
        source = path.source_at(at, turn) if path.pinned and self._needed(at, path, ask) else None
        null = self.setup.null(at, self._null(path, ask, at, len(z)))
        return guided(model, ask, z, at, null, self._guidance(path), source)

    def _needed(self, at: Level, path: Trajectory, ask: Request) -> bool:
        """Whether the source row is: for its maps, for its words, or for its latent where it is not on the path."""
        masking = masked(self.setup, ask) and not (ask.mask is not None and path.pinned)
        return masking or teaching(ask, at, self.self_until, self.cross_until, self.spare)

    def _blended(self, path: Trajectory, ask: Request, words: list[Words], z: Latents, i: int) -> Latents:
        """The targets of z at levels[i] are the source where they may not change anything: local editing, section 3.2 of
        Prompt-to-Prompt."""
        many = len(ask.changes)
        mask = changed(self.setup, ask, words, (z.shape[-2], z.shape[-1]))
        return torch.cat([z[:-many], blend(z[-many:], path.z[i] if path.pinned else z[:1], mask)])
