"""Denoising Diffusion Implicit Models (Song, Meng, Ermon, ICLR 2021, arXiv 2010.02502).

The plain baseline: the clip is inverted with the source prompt and denoised with the target prompt.
"""

from dataclasses import dataclass
from typing import final

from ..attention.frames import look
from ..inversion import Direct
from ..track import track
from .method import Method


@final
@dataclass(frozen=True)
class DDIMEdit(Method):
    def invert(self, model, z0, ask):
        with model.control(look(*self.setup.frames)):
            return self.setup.invert(model, z0, ask)

    def path_key(self, ask):
        return self.setup.path_key(ask)

    def idle(self, path, ask):
        names = [*ask.given, *["mask"] * (self.setup.mask is not None)]
        why = dict.fromkeys(names, "it edits no attention; another method does, such as fatezero")
        no_row = {"inversion=direct": "it has no source row to put back on the path"}
        return why | no_row if isinstance(self.setup.inversion, Direct) else why

    def __call__(self, model, path, ask):
        self.tell_idle(path, ask)
        guidance = self.setup.cfg()
        null = lambda at: self.setup.null(at, path.null_at(at, ask.null))
        guided = lambda z, at, turn: model.guided(z, at, ask.targets, null(at), guidance)
        z = path.z[0].expand(len(ask.targets.tokens), *[-1] * 4)
        with model.control(look(*self.setup.frames)):
            for i in track(range(path.steps), "editing"):
                z = self.setup.inversion.down(path, i, z, guided)
        return path.shown(z)
