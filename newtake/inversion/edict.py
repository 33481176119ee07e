"""EDICT: Exact Diffusion Inversion via Coupled Transformations (Wallace et al., CVPR 2023, arXiv 2211.12446).

Two latents take turns: each is moved by what the network says of the other, so that every step can be undone exactly.
"""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ..levels import Level, Prediction, step
from ..settings import setting
from ..shapes import Latents
from ..shelf import State, walk
from .trajectory import Inversion, Trajectory, asking, joined, parted


@final
@dataclass(frozen=True)
class EDICT(Inversion):
    """The source row returns, up to rounding, where it is sampled with the source prompt and the inversion's own guidance.

    Costs two evaluations a step and row, in the inversion and in the edit.
    """

    mix: float = setting(0.93, "how much of itself a latent keeps where the two are mixed", 0.9, 1)
    guidance: float = setting(1.0, "of the inversion; 1: none", 0, 100)

    def __call__(self, model, z0, source, null, levels, w):
        ask = asking(model, source, null, self.guidance)

        def move(here: State, pair: tuple[Level, Level]) -> State:
            at, to = pair
            x, y = turned(here["z"], at)
            y = torch.lerp(x, y, 1 / self.mix)
            x = torch.lerp(y, x, 1 / self.mix)
            second = x
            y = moved(y, ask(x, at, 1), to, at)
            x = moved(x, ask(y, at, 0), to, at)
            return {"z": turned_back(x, y, at), "fed": torch.cat([y, second])}

        pairs = [*zip(levels[-2::-1], levels[:0:-1], strict=True)]
        walked = walk("inverting", pairs, lambda: {"z": joined(z0, z0)}, move)
        return Trajectory(levels, walked("z", 0)[::-1], walked("fed", 1)[::-1], pinned=True)

    # Coupled steps, then mixing.

    def down(self, path, i, state, ask):
        at, to = path.levels[i], path.levels[i + 1]
        x, y = turned(state, at)
        x = moved(x, ask(y, at, 0), at, to)
        y = moved(y, ask(x, at, 1), at, to)
        x = torch.lerp(y, x, self.mix)
        y = torch.lerp(x, y, self.mix)
        return turned_back(x, y, at)


def moved(z: Latents, said: Prediction, at: Level, to: Level) -> Latents:
    """z, of level `at`, at level `to`, with the noise that was found in another latent."""
    return step(Prediction("epsilon", said.eps, z, at), to)


# Which of the two is first changes with every step.

def turned(state: Tensor, at: Level) -> tuple[Latents, Latents]:
    x, y = parted(state)
    return (y, x) if at.step % 2 else (x, y)


def turned_back(x: Latents, y: Latents, at: Level) -> Tensor:
    return joined(y, x) if at.step % 2 else joined(x, y)
