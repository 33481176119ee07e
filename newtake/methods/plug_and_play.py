"""Plug-and-Play Diffusion Features for Text-Driven Image-to-Image Translation (Tumanyan et al., CVPR 2023, arXiv 2211.12572).

Features of one residual block of the decoder, and the queries and keys of self-attention from there on, are the source's: the
layout of the clip stays, what it shows is the prompt's.

Sites are said as Stable Diffusion 1 counts them: features come from layer 4 of its decoder's twelve residual blocks (0 first),
queries and keys from the same place on, which is layer 8 of its sixteen attention layers.  In a network with more or fewer it
is the block, and the attention layer, as far in: of six residual blocks number 2, of SDXL's seventy attention layers number 35.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, final

from ..attention.call import deep, when
from ..attention.features import Feature, Features, from_source
from ..attention.rows import keep
from ..settings import setting
from ..shapes import Latents
from .from_path import FromPath, together

DECODER = 12                                            # residual blocks of Stable Diffusion 1's


@final
@dataclass(frozen=True)
class PlugAndPlay(FromPath):
    features_until: float = setting(0.8, "share of the steps in which features come from the source", 0, 1)
    attention_until: float = setting(0.5, "share of the steps in which queries and keys come from the source", 0, 1)
    features_layer: int = setting(4, "the residual block of the features, of a decoder of 12; others: as far in", 0, 11)
    attention_layer: int = setting(8, "queries and keys from this attention layer on, of 16; others: as far in", 0, 15)
    negative: float | None = setting(
        None, "guidance leads away from the source's prompt too: share of the empty one in it at first, 0 at the end", 0, 1)

    @classmethod
    def reference(cls, **paper: Any) -> PlugAndPlay:
        """The published code for diffusers, at commit 3296664."""
        return cls(**{"maps": "reconstruction", "prompted": False, **paper})

    def _controls(self):
        late = deep(self.attention_layer)
        attention = when(lambda call: late(call) and call.level.inside(self.attention_until), keep)
        return [attention, Features(self._features)]

    def _features(self, feature: Feature) -> Latents:
        block = feature.block
        here = block.stage == "up" and block.index == self.features_layer * block.of // DECODER
        return from_source(feature) if here and feature.level.inside(self.features_until) else feature.z

    def _guided(self, model, path, ask, z, at, turn):
        teaches = at.inside(max(self.features_until, self.attention_until))
        source = self._source(path, ask, at, turn) if teaches else None
        null = self._null(path, ask, at)
        away = [*null, ask.source] if null and self.negative is not None else null
        *away, prompted = together(model, z, at, [*away, ask.targets], source)
        if len(away) > 1:                               # negative prompting, with the linear schedule of the published code
            share = (self.negative or 0.0) * (1 - at.step / max(1, at.of - 1))
            away[0] = replace(away[0], out=share * away[0].out + (1 - share) * away[1].out)
        return self.setup.cfg()(away[0] if away else None, prompted, at)
