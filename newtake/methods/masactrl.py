"""MasaCtrl: Tuning-Free Mutual Self-Attention Control for Consistent Image Synthesis and Editing (Cao et al., ICCV 2023,
arXiv 2304.08465).

After the first steps, which settle the layout, self-attention of the targets looks at the source's keys and values: what is
shown may move or change its pose, and looks as it did.

Layers are counted as in Stable Diffusion 1, which has sixteen of self-attention (0 first); in a network with more or fewer it
is the layer as far in: of SDXL's seventy, layer 10 is number 44.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

from ..attention.call import deep, when
from ..attention.rows import look_at_source
from ..settings import setting
from .from_path import FromPath, together


@final
@dataclass(frozen=True)
class MasaCtrl(FromPath):
    since: float = setting(0.08, "share of the steps before the targets look at the source", 0, 1)
    layer: int = setting(10, "they look at it from this layer of self-attention on, of 16; other networks: as far in", 0, 15)

    @classmethod
    def reference(cls, **paper: Any) -> MasaCtrl:
        """The published code, at commit 2a7861d, for real pictures and with its latents of the inversion put back."""
        return cls(**{"maps": "reconstruction", "prompted": False, **paper})

    def _controls(self):
        late = deep(self.layer)
        return [when(lambda call: late(call) and not call.level.inside(self.since), look_at_source)]

    def _guided(self, model, path, ask, z, at, turn):
        source = None if at.inside(self.since) else self._source(path, ask, at, turn)
        *null, prompted = together(model, z, at, [*self._null(path, ask, at), ask.targets], source)
        return self.setup.cfg()(null[0] if null else None, prompted, at)
