"""The source fed from its path, teaching every row beside it, those of the empty prompt too: Plug-and-Play, MasaCtrl."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from typing import Literal

import torch

from ..attention.call import Control
from ..attention.features import Features
from ..attention.frames import look
from ..attention.regions import Words, blend
from ..inversion import Direct
from ..inversion.trajectory import Trajectory
from ..levels import Level, Prediction
from ..models.model import Model, Text
from ..settings import setting
from ..shapes import Latents, OneLatent
from ..track import track
from .masks import changed, idle_words, masked, noting
from .method import Method
from .request import Request


@dataclass(frozen=True)
class FromPath(Method):
    """Rows: the targets.  The source is in a pass while it teaches."""

    maps: Literal["inversion", "reconstruction"] = setting(
        "inversion", "what the source teaches: what it had in the inversion, or has on the clip's own latent at every level")
    prompted: bool = setting(True, "the clip is inverted, and the source row asked, with its prompt; else with the empty one")

    def invert(self, model, z0, ask):
        words = Words(rows=1, by_step=True, tokens=ask.source.told)
        with model.control(look(*self.setup.frames), words):
            path = self.setup.invert(model, z0, ask if self.prompted else replace(ask, source=ask.null))
        return replace(path, words=words.source(path.steps)) if self.prompted and words.found else path

    def path_key(self, ask):
        return self.setup.path_key(ask), self.prompted

    def idle(self, path, ask):
        unused = [name for name in ("weights", "shares") if name in ask.given]
        idle = dict.fromkeys(unused, "it edits no map of words; another method does, such as fatezero")
        if isinstance(self.setup.inversion, Direct):
            idle["inversion=direct"] = "its source row is fed from the path with any; it is ddim, to the bit"
        return idle_words(self.setup, ask) | idle

    def __call__(self, model, path, ask):
        self.tell_idle(path, ask)
        many = len(ask.changes)
        words = noting(self.setup, ask, many)
        z = path.z[0].expand(many, *[-1] * 4)
        with model.control(look(*self.setup.frames), *words, *self._controls()):
            for i in track(range(path.steps), "editing"):
                z = self.setup.inversion.down(path, i, z, partial(self._guided, model, path, ask))
                if masked(self.setup, ask):
                    here = path.words[i] if path.words else None
                    z = blend(z, path.z[i + 1], changed(self.setup, ask, words, (z.shape[-2], z.shape[-1]), here))
        return path.shown(z)

    @abstractmethod
    def _controls(self) -> list[Control | Features]:
        """What the source teaches."""

    def _null(self, path: Trajectory, ask: Request, at: Level) -> list[Text]:
        """The empty prompt, where guidance counts."""
        null = self.setup.null(at, path.null_at(at, ask.null))
        return [] if null is None else [null]

    @abstractmethod
    def _guided(self, model: Model, path: Trajectory, ask: Request, z: Latents, at: Level, turn: int) -> Prediction:
        """The rows of the empty prompt are taught as well, so all are asked in one pass (`together`)."""

    def _source(self, path: Trajectory, ask: Request, at: Level, turn: int) -> tuple[OneLatent, Text]:
        """What the source row is fed, and its prompt."""
        fed = path.fed_at(at, turn) if self.maps == "inversion" else path.source_at(at, turn)
        return fed, ask.source if self.prompted else ask.null


def together(
    model: Model, z: Latents, at: Level, texts: Sequence[Text], source: tuple[OneLatent, Text] | None
) -> list[Prediction]:
    """The rows z with each of the texts, of a row each or one for all, in one pass, behind the source, where there is one."""
    many = len(z)
    told = [text.times(many) for text in texts]
    fed, said = ([source[0]], [source[1]]) if source else ([], [])
    answers = model.predict(torch.cat([*fed, *[z] * len(texts)]), at, reduce(Text.then, [*said, *told]))
    return [answers.rows(slice(len(fed) + i * many, len(fed) + (i + 1) * many)) for i in range(len(texts))]
