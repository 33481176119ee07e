"""SDEdit: Guided Image Synthesis and Editing with Stochastic Differential Equations (Meng et al., ICLR 2022, arXiv 2108.01073).

Noise is added to the clip, and it is denoised with the target prompt; with a mask of the user's, the clip stays outside it.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import final

from ..attention.frames import look
from ..attention.regions import blend, resized
from ..inversion import DDIM
from ..inversion.trajectory import Trajectory
from ..levels import later, noise, step
from ..settings import setting
from ..track import track
from .method import Method, name_of


@final
@dataclass(frozen=True)
class SDEdit(Method):
    """Sampled as DDIM samples, all rows from the same noise."""

    strength: float = setting(0.6, "share of the steps that are taken, from clip (0) to the noisiest level (1)", 0, 1)

    def invert(self, model, z0, ask):
        """The clip alone: nothing is inverted."""
        ask.suits(z0)
        return Trajectory(model.levels(self.setup.steps)[-1:], [z0], fed=[])

    def path_key(self, ask):
        return "the clip", self.setup.steps, None if ask.mask is None else len(ask.mask)

    def idle(self, path, ask):
        names = [name for name in ask.given if name != "mask"] + [f"mask={self.setup.mask}"] * (self.setup.mask is not None)
        why = dict.fromkeys(names, "it edits no attention; another method does, such as fatezero")
        kind = self.setup.inversion
        return why if kind == DDIM() else why | {f"inversion={name_of(type(kind))}": "it inverts nothing; leave it at ddim"}

    def __call__(self, model, path, ask):
        self.tell_idle(path, ask)
        clip, guidance = path.z[0], self.setup.cfg()
        levels = later(model.levels(self.setup.steps), 1 - self.strength)
        many, (_, f, *shape) = len(ask.targets.tokens), clip.shape
        eps = noise(ask.seed, range(f), *shape).to(clip)
        noised = lambda at: clip if at is levels[-1] else at.alpha * clip + at.sigma * eps
        z = noised(levels[0]).expand(many, *[-1] * 4)
        with model.control(look(*self.setup.frames)):
            for at, to in track([*pairwise(levels)], "editing"):
                z = step(model.guided(z, at, ask.targets, self.setup.null(at, ask.null), guidance), to)
                if ask.mask is not None:
                    z = blend(z, noised(to), resized(ask.mask, (shape[1], shape[2])).expand(many, -1, -1, -1))
        return z
