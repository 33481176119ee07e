"""BDIA: Exact Diffusion Inversion via Bi-directional Integration Approximation (Zhang et al., ECCV 2024, arXiv 2307.10829).

A step leaps from the latent before over the present one, of which alone the network is asked; so it can be undone exactly, at
one evaluation.
"""

from dataclasses import dataclass
from typing import final

from ..levels import Level, Prediction, step
from ..settings import setting
from ..shelf import State, walk
from .trajectory import Inversion, Trajectory, asking, joined, parted


@final
@dataclass(frozen=True)
class BDIA(Inversion):
    """The source row returns, up to rounding, where it is sampled with the source prompt and the inversion's own guidance.

    What a step is off swings on with changing sign.  In the inversion it grows by 1 / gamma a step, in 50 steps 4.6 times at
    0.97, and with what guidance adds to the network's slope: the noise stays bounded with gamma near 1 only.

    A state is the latent at its level and the one a level noisier.
    """

    gamma: float = setting(1.0, "how much of what the step before was off is made good; less spreads the noise", 0.97, 1)
    guidance: float = setting(1.0, "of the inversion; 1: none", 0, 100)

    def __call__(self, model, z0, source, null, levels, w):
        ask = asking(model, source, null, self.guidance)

        def start() -> State:
            eps = ask(z0, levels[-2], 0).eps                                        # the clean end is never asked
            return {"z": joined(z0, step(Prediction("epsilon", eps, z0, levels[-1]), levels[-2]))}

        def move(here: State, at: Level) -> State:
            after, z = parted(here["z"])
            said = ask(z, at, 0)
            rest = after - step(said, levels[at.step + 1])
            before = step(said, levels[at.step - 1]) + rest / self.gamma if at.step else rest
            return {"z": joined(z, before), "fed": z}

        walked = walk("inverting", levels[-2::-1], start, move)
        return Trajectory(levels, walked("z", 0)[::-1], walked("fed", 1)[::-1], pinned=True)

    def down(self, path, i, state, ask):
        z, before = parted(state)
        said = ask(z, path.levels[i], 0)
        # A step of DDIM, and what the latent before is off one backwards.  Before the first latent there is none: in its place
        # the state has what the first step itself is off.
        rest = self.gamma * (before - step(said, path.levels[i - 1])) if i else before
        return joined(step(said, path.levels[i + 1]) + rest, z)
