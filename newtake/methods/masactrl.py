"""MasaCtrl: Tuning-Free Mutual Self-Attention Control for Consistent Image Synthesis and Editing (Cao et al., ICCV 2023,
arXiv 2304.08465).

After the first steps, which settle the layout, self-attention of the targets looks at the source's keys and values: what is
shown may move or change its pose, and looks as it did.

Layers are counted as in Stable Diffusion 1, which has sixteen of self-attention (0 first); in a network with more or fewer it
is the layer as far in: of SDXL's seventy, layer 10 is number 44.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, final

from ..attention.call import Control, deep, when
from ..attention.frames import look
from ..attention.rows import look_at_source
from ..guidance import cfg
from ..inversion.trajectory import Trajectory
from ..levels import Level, Prediction
from ..models.model import Model
from ..settings import setting
from ..shapes import Latents
from ..track import track
from .beside import idle_row, inverted, outside_kept, seeking, together
from .method import Method, Request


@final
@dataclass(frozen=True)
class MasaCtrl(Method):
    since: float = setting(0.08, "share of the steps before the targets look at the source", 0, 1)
    layer: int = setting(10, "they look at it from this layer of self-attention on, of 16; other networks: as far in", 0, 15)
    maps: Literal["inversion", "reconstruction"] = setting(
        "inversion", "whose keys and values: the inversion's, or those of the clip's own latent at every level")
    prompted: bool = setting(True, "the clip is inverted, and the source row asked, with its prompt; else with the empty one")

    @classmethod
    def reference(cls, **paper: Any) -> MasaCtrl:
        """The published code, at commit 2a7861d, for real pictures and with its latents of the inversion put back."""
        return cls(**{"maps": "reconstruction", "prompted": False, **paper})

    def invert(self, model, z0, ask):
        return inverted(self.setup, model, z0, ask, self.prompted)

    def idle(self, path, ask):
        return idle_row(self.setup, ask)

    def __call__(self, model, path, ask):
        self.tell_idle(path, ask)
        words = seeking(self.setup, ask)
        z = path.z[0].expand(len(ask.changes), *[-1] * 4)
        with model.control(look(*self.setup.frames), *words, self._mutual()):
            for i in track(range(path.steps), "editing"):
                z = self.setup.inversion.down(path, i, z, partial(self._guided, model, path, ask))
                z = outside_kept(self.setup, path, ask, words, z, i + 1)
        return path.shown(z)

    def _guided(self, model: Model, path: Trajectory, ask: Request, z: Latents, at: Level, turn: int) -> Prediction:
        """The rows of the empty prompt look at the source as well, so all are asked in one pass."""
        source = None
        if not at.inside(self.since):
            fed = path.fed_at(at, turn) if self.maps == "inversion" else path.source_at(at, turn)
            source = fed, ask.source if self.prompted else ask.null
        null, prompted = together(model, z, at, [path.null_at(at, ask.null), ask.targets], source)
        return cfg(self.setup.guidance)(null, prompted, at)

    def _mutual(self) -> Control:
        late = deep(self.layer)
        return when(lambda call: late(call) and not call.level.inside(self.since), look_at_source)
