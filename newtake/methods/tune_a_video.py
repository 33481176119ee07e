"""Tune-A-Video: One-Shot Tuning of Image Diffusion Models for Text-to-Video Generation (Wu et al., ICCV 2023,
arXiv 2212.11565).

On a network tuned to the clip (`newtake tune`): the clip is inverted without words and denoised with the target prompt, every
frame looking at the first and the previous one.  No attention is edited.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, final

from ..attention.frames import look
from ..inversion import DDIM, Direct
from ..inversion.trajectory import Trajectory
from ..levels import noise, step
from ..settings import setting
from ..track import track
from .method import Method, Setup, name_of


@final
@dataclass(frozen=True)
class TuneAVideo(Method):
    tuned = True
    setup: Setup = Setup(guidance=12.5, frames=("first", "previous"))
    inverted: bool = setting(True, "it starts from the clip's own noise; false: from any, the paper's ablation")
    prompted: bool = setting(False, "the clip is inverted with its prompt; else with the empty one")

    @classmethod
    def reference(cls, **paper: Any) -> TuneAVideo:
        """The published code, at commit 7d4a89a; its quirks are those of tuning, see `ClipTuning.reference`."""
        return cls(**paper)

    def invert(self, model, z0, ask):
        """Without inversion the clip alone."""
        if not self.inverted:
            ask.suits(z0)
            return Trajectory(model.levels(self.setup.steps)[-1:], [z0], fed=[])
        with model.control(look(*self.setup.frames)):
            return self.setup.invert(model, z0, ask if self.prompted else replace(ask, source=ask.null))

    def path_key(self, ask):
        mask = None if ask.mask is None else len(ask.mask)
        return (self.setup.path_key(ask), self.prompted) if self.inverted else ("the clip", self.setup.steps, mask)

    def idle(self, path, ask):
        names = [*ask.given, *["mask"] * (self.setup.mask is not None)]
        why, kind = dict.fromkeys(names, "it edits no attention; another method does, such as fatezero"), self.setup.inversion
        if not self.inverted:
            unused = ["prompted"] * self.prompted + [f"inversion={name_of(type(kind))}"] * (kind != DDIM())
            return why | dict.fromkeys(unused, "nothing is inverted")
        no_row = {"inversion=direct": "it has no source row to put back on the path"}
        return why | no_row if isinstance(kind, Direct) else why

    def __call__(self, model, path, ask):
        self.tell_idle(path, ask)
        guidance, many = self.setup.cfg(), len(ask.targets.tokens)
        null = lambda at: self.setup.null(at, path.null_at(at, ask.null))
        guided = lambda z, at, turn=0: model.guided(z, at, ask.targets, null(at), guidance)
        with model.control(look(*self.setup.frames)):
            if not self.inverted:
                _, f, *shape = path.z[0].shape
                z = noise(ask.seed, range(f), *shape).to(path.z[0]).expand(many, *[-1] * 4)
                for at, to in track([*pairwise(model.levels(self.setup.steps))], "editing"):
                    z = step(guided(z, at), to)
                return z
            z = path.z[0].expand(many, *[-1] * 4)
            for i in track(range(path.steps), "editing"):
                z = self.setup.inversion.down(path, i, z, guided)
        return path.shown(z)
