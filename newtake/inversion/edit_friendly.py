"""An Edit Friendly DDPM Noise Space (Huberman-Spiegelglas et al., CVPR 2024, arXiv 2304.06140).

Each level's latent is drawn by itself; the noise of a step is what it takes to come from one to the next.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import final

import torch
from einops import rearrange
from torch import Tensor

from ..levels import Level, Prediction, later, noise, step
from ..settings import setting
from ..shapes import Latents
from ..track import track
from .trajectory import Inversion, Trajectory, asking


@final
@dataclass(frozen=True)
class EditFriendly(Inversion):
    """The source row returns, up to rounding, where it is sampled with the source prompt and the inversion's own guidance.

    Every row of an edit is given the same noise.
    """

    guidance: float = setting(3.5, "of the inversion; 1: none", 0, 100)
    skip: float = setting(0.36, "share of the steps, from pure noise on, that are left out", 0, 0.99)
    seed: int | None = setting(None, "of the latents that are drawn; none: the edit's")
    last: bool = setting(True, "noise after the last step too, so that the clip returns; the published code has none there")

    def seeded(self, seed):
        return replace(self, seed=seed) if self.seed is None else self

    def __call__(self, model, z0, source, null, levels, w):
        ask = asking(model, source, null, self.guidance)
        levels = later(levels, self.skip)
        z = drawn(z0, levels, self.seed or 0)
        added = []
        for i, (at, to) in enumerate(track([*pairwise(levels)], "inverting")):
            bare = mean(ask(z[i], at, 0), to)
            ends = to is levels[-1]
            added.append(z[i + 1] - bare if self.last or not ends else torch.zeros_like(bare))
            if not ends:
                z[i + 1] = bare + added[i]                                          # so that rounding is not carried on
        return Trajectory(levels, z, fed=z[:-1], noise=added, pinned=True)

    def down(self, path, i, state, ask):
        assert path.noise is not None
        return mean(ask(state, path.levels[i], 0), path.levels[i + 1]) + path.noise[i]


def drawn(z0: Tensor, levels: list[Level], seed: int) -> list[Tensor]:
    """The clip at every level, (1 f c h w), each with noise of its own."""
    _, f, *shape = z0.shape
    eps = rearrange(noise(seed, range(f), len(levels) - 1, *shape).to(z0), "f n ... -> n 1 f ...")
    return [at.alpha * z0 + at.sigma * e for at, e in zip(levels, eps, strict=False)] + [z0]


def mean(said: Prediction, to: Level) -> Latents:
    """Of what a step of DDPM draws (Ho et al., NeurIPS 2020, arXiv 2006.11239): DDIM's with eta = 1, its noise left out."""
    kept = said.at.alpha * to.sigma / (to.alpha * said.at.sigma)                    # share of the noise that stays
    return step(said, replace(to, sigma=to.sigma * kept))
