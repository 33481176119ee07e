"""One clip on several devices: each rank asks the network about some of the frames of a pass.

Methods see the whole clip on every rank, and do the same everywhere: docs/decisions/0014.
"""

from dataclasses import replace
from typing import final

import torch
from torch import Tensor

from ..attention.call import Frames
from ..attention.share import Share
from ..levels import Level, Prediction
from ..ranks import Ranks, ranks
from .model import Model, Text
from .wrapper import Wrapper


def shared_out(model: Model) -> Model:
    """The same model, over the ranks that there are."""
    return Ranked(model, here) if (here := ranks()).of > 1 else model


@final
class Ranked(Wrapper):
    """Has the same answers, on every rank, of one network on each.  All ranks ask it the same at the same time."""

    def __init__(self, inner: Model, ranks: Ranks):
        super().__init__(inner)
        self.ranks = ranks

    def predict(
        self, z: Tensor, at: Level, text: Text, prompted: bool = True, frames: Frames | None = None
    ) -> Prediction:
        frames = frames or Frames.all(z.shape[1])
        share = Share(self.ranks, frames.numbers)
        here = replace(frames, numbers=frames.numbers[share.places], share=share)
        text = replace(text, tokens=self.ranks.alike(text.tokens))
        said = self.inner.predict(z[:, share.places], at, text, prompted, here)
        return replace(said, out=share.gathered(said.out), z=z)

    def encode(self, frames: Tensor) -> Tensor:
        """Of rank 0's frames; those of others only have to be as many, and as large."""
        frames, share = self.ranks.spread(frames), self._share(len(frames))
        return share.gathered(self.inner.encode(frames[share.places]))

    def decode(self, z: Tensor) -> Tensor:
        flat = z.flatten(0, -4)
        share = self._share(len(flat))
        return share.gathered(self.inner.decode(flat[share.places])[None])[0].unflatten(0, z.shape[:-3])

    def _share(self, f: int) -> Share:
        return Share(self.ranks, torch.arange(f))
