"""Denoising Diffusion Implicit Models (Song, Meng, Ermon, ICLR 2021, arXiv 2010.02502).

The plain baseline: the clip is inverted with the source prompt and denoised with the target prompt.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import final

from ..attention.frames import look
from ..guidance import cfg
from ..levels import step
from ..track import track
from .method import Method


@final
@dataclass(frozen=True)
class DDIMEdit(Method):
    def invert(self, model, z0, ask):
        with model.control(look(*self.setup.frames)):
            return self.setup.inversion(model, z0, ask.source, ask.null, model.levels(self.setup.steps))

    def idle(self, path, ask):
        names = [*ask.given, *["mask"] * (self.setup.mask is not None)]
        why = dict.fromkeys(names, "it edits no attention; another method does, such as fatezero")
        return why | {"inversion=direct": "it has no source row to put back on the path"} if path.pinned else why

    def __call__(self, model, path, ask):
        self.tell_idle(path, ask)
        guidance = cfg(self.setup.guidance)
        z = path.z[0].expand(len(ask.targets.tokens), *[-1] * 4)
        with model.control(look(*self.setup.frames)):
            for at, down in track(list(pairwise(path.levels)), "editing"):
                z = step(model.guided(z, at, ask.targets, path.null_at(at, ask.null), guidance), down)
        return z
