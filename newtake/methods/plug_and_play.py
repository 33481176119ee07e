"""Plug-and-Play Diffusion Features for Text-Driven Image-to-Image Translation (Tumanyan et al., CVPR 2023, arXiv 2211.12572).

Features of one residual block of the decoder, and the queries and keys of self-attention from there on, are the source's: the
layout of the clip stays, what it shows is the prompt's.

Sites are said as Stable Diffusion 1 counts them: features come from layer 4 of its decoder's twelve residual blocks (0 first),
queries and keys from the same place on, which is layer 8 of its sixteen attention layers.  In a network with more or fewer it
is the block, and the attention layer, as far in: of six residual blocks number 2, of SDXL's seventy attention layers number 35.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, final

from ..attention.call import Control, deep, when
from ..attention.features import Feature, Features, from_source
from ..attention.frames import look
from ..attention.rows import keep
from ..guidance import cfg
from ..inversion.trajectory import Trajectory
from ..levels import Level, Prediction
from ..models.model import Model
from ..settings import setting
from ..shapes import Latents
from ..track import track
from .beside import idle_row, inverted, outside_kept, seeking, together
from .method import Method, Request

DECODER = 12                                            # residual blocks of Stable Diffusion 1's


@final
@dataclass(frozen=True)
class PlugAndPlay(Method):
    features_until: float = setting(0.8, "share of the steps in which features come from the source", 0, 1)
    attention_until: float = setting(0.5, "share of the steps in which queries and keys come from the source", 0, 1)
    features_layer: int = setting(4, "the residual block of the features, of a decoder of 12; others: as far in", 0, 11)
    attention_layer: int = setting(8, "queries and keys from this attention layer on, of 16; others: as far in", 0, 15)
    negative: float | None = setting(
        None, "guidance leads away from the source's prompt too: share of the empty one in it at first, 0 at the end", 0, 1)
    maps: Literal["inversion", "reconstruction"] = setting(
        "inversion", "whose features and attention: the inversion's, or those of the clip's own latent at every level")
    prompted: bool = setting(True, "the clip is inverted, and the source row asked, with its prompt; else with the empty one")

    @classmethod
    def reference(cls, **paper: Any) -> PlugAndPlay:
        """The published code for diffusers, at commit 3296664."""
        return cls(**{"maps": "reconstruction", "prompted": False, **paper})

    def invert(self, model, z0, ask):
        return inverted(self.setup, model, z0, ask, self.prompted)

    def idle(self, path, ask):
        return idle_row(self.setup, ask)

    def __call__(self, model, path, ask):
        self.tell_idle(path, ask)
        words = seeking(self.setup, ask)
        z = path.z[0].expand(len(ask.changes), *[-1] * 4)
        with model.control(look(*self.setup.frames), *words, self._attention(), Features(self._features)):
            for i in track(range(path.steps), "editing"):
                z = self.setup.inversion.down(path, i, z, partial(self._guided, model, path, ask))
                z = outside_kept(self.setup, path, ask, words, z, i + 1)
        return path.shown(z)

    def _guided(self, model: Model, path: Trajectory, ask: Request, z: Latents, at: Level, turn: int) -> Prediction:
        """The source teaches the rows of the empty prompt as well, so all are asked in one pass."""
        texts = [path.null_at(at, ask.null), *[ask.source] * (self.negative is not None), ask.targets]
        source = None
        if at.inside(max(self.features_until, self.attention_until)):
            fed = path.fed_at(at, turn) if self.maps == "inversion" else path.source_at(at, turn)
            source = fed, ask.source if self.prompted else ask.null
        null, *negative, prompted = together(model, z, at, texts, source)
        for said in negative:                           # negative prompting, with the linear schedule of the published code
            share = (self.negative or 0.0) * (1 - at.step / max(1, at.of - 1))
            null = replace(null, out=share * null.out + (1 - share) * said.out)
        return cfg(self.setup.guidance)(null, prompted, at)

    def _attention(self) -> Control:
        late = deep(self.attention_layer)
        return when(lambda call: late(call) and call.level.inside(self.attention_until), keep)

    def _features(self, feature: Feature) -> Latents:
        block = feature.block
        here = block.stage == "up" and block.index == self.features_layer * block.of // DECODER
        return from_source(feature) if here and feature.level.inside(self.features_until) else feature.z
