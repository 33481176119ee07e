"""An Edit Friendly DDPM Noise Space (Huberman-Spiegelglas et al., CVPR 2024, arXiv 2304.06140).

Each level's latent is drawn by itself; the noise of a step is what it takes to come from one to the next.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import final

import torch
from torch import Tensor

from ..levels import Level, Prediction, later, noise, step
from ..settings import setting
from ..shapes import Latents
from ..shelf import State, walk
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
        at_level = partial(drawn, z0, levels, self.seed or 0)

        def move(here: State, i: int) -> State:
            wanted = at_level(i + 1)
            bare = mean(ask(here["z"], levels[i], 0), levels[i + 1])
            ends = i + 2 == len(levels)
            noise = wanted - bare if self.last or not ends else torch.zeros_like(bare)
            return {"z": wanted if ends else bare + noise, "noise": noise}          # so that rounding is not carried on

        walked = walk("inverting", range(len(levels) - 1), lambda: {"z": at_level(0)}, move)
        z = walked("z", 0)
        return Trajectory(levels, z, fed=z[:-1], noise=walked("noise", 1), pinned=True)

    def down(self, path, i, state, ask):
        assert path.noise is not None
        return mean(ask(state, path.levels[i], 0), path.levels[i + 1]) + path.noise[i]


def drawn(z0: Tensor, levels: list[Level], seed: int, i: int) -> Tensor:
    """The clip at levels[i], (1 f c h w), with noise of that level's own; at the clean end the clip."""
    _, f, *shape = z0.shape
    steps = len(levels) - 1
    if i == steps:
        return z0
    eps = torch.cat([noise(seed, [frame], steps, *shape)[:, i] for frame in range(f)])  # each frame draws for all levels
    return levels[i].alpha * z0 + levels[i].sigma * eps[None].to(z0)


def mean(said: Prediction, to: Level) -> Latents:
    """Of what a step of DDPM draws (Ho et al., NeurIPS 2020, arXiv 2006.11239): DDIM's with eta = 1, its noise left out."""
    kept = said.at.alpha * to.sigma / (to.alpha * said.at.sigma)                    # share of the noise that stays
    return step(said, replace(to, sigma=to.sigma * kept))
