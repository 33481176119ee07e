"""Effective Real Image Editing with Accelerated Iterative Diffusion Inversion (Pan et al., ICCV 2023, arXiv 2309.04907).

The noisier latent of a step is the one from which the step leads back: it is asked for again and again until it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import final

from torch import Tensor

from ..levels import Level, Prediction, step
from ..settings import setting
from ..shapes import OneLatent
from ..shelf import State, walk
from .secants import combined, undoing
from .trajectory import Ask, Inversion, Trajectory, asking


@final
@dataclass(frozen=True)
class FixedPoint(Inversion):
    """The source row returns, the nearer the more rounds, where it is sampled with the inversion's own guidance.

    Denoiser evaluations of n steps: n (rounds + 1), twice that with guidance.
    """

    rounds: int = setting(3, "times that a latent is asked for again; 0 is DDIM inversion", 0, 100)
    anderson: int = setting(2, "with how many rounds before it a round is combined; 0: with none, plain iteration", 0, 20)
    guidance: float = setting(1.0, "of the inversion; 1: none", 0, 100)

    def __call__(self, model, z0, source, null, levels, w):
        ask = asking(model, source, null, self.guidance)

        def move(here: State, pair: tuple[Level, Level]) -> State:
            fed, before = self._before(ask, here["z"], *pair)
            return {"z": before, "fed": fed}

        walked = walk("inverting", [*pairwise(reversed(levels))], lambda: {"z": z0}, move)
        return Trajectory(levels, walked("z", 0)[::-1], walked("fed", 1)[::-1])

    def _before(self, ask: Ask, z: OneLatent, clean: Level, noisy: Level) -> tuple[OneLatent, OneLatent]:
        """What was asked last, and the latent from which the step leads to z."""
        fed = z
        asked: list[tuple[Tensor, Tensor]] = []                                     # what was fed, and by what it was off
        for _ in range(self.rounds + 1):
            back = step(Prediction("epsilon", ask(fed, noisy, 0).eps, z, clean), noisy)
            asked = [*asked, (fed, back - fed)][-1 - self.anderson:]
            fed = self._next(asked)
        return asked[-1][0], fed

    def _next(self, asked: list[tuple[Tensor, Tensor]]) -> Tensor:
        """Anderson's combination of what was fed; of one round alone, what it led to."""
        fed, off = asked[-1]
        moves = [b - a for (a, _), (b, _) in pairwise(asked)]
        changes = [b - a for (_, a), (_, b) in pairwise(asked)]
        factors = undoing(off, changes)
        return combined(factors, moves, fed) + combined(factors, changes, off)
