"""The world's CLIP, and what it reads out of a scene: object, colour, background and style, in words of the grammar.

As zero-shot classification of Radford et al., ICML 2021, arXiv 2103.00020: of all captions that scenes have, the one that is
likest to the clip.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..metrics.clip import CLIP, unit
from ..metrics.clip import load as read
from ..metrics.metric import Embedder
from ..world import BACKGROUNDS, COLOURS, OBJECTS, STYLES, Scene, weights

if TYPE_CHECKING:
    from ..video import Video

FRAMES, AT_ONCE = 8, 256                                # that are looked at, spread over the clip; captions
CAPTIONS = [Scene(*kind).caption() for kind in product(OBJECTS, COLOURS, BACKGROUNDS, STYLES)]      # in the plainest words


def load() -> CLIP:
    """The world's CLIP, as any other.  Raises BadInput where it has not been trained."""
    return read(weights.clip())


@dataclass(frozen=True)
class Reader:
    """A captioner of clips of the world."""

    clip: Embedder

    def __call__(self, video: Video) -> str:
        numbers = torch.linspace(0, len(video) - 1, min(FRAMES, len(video))).round().int().tolist()
        return self.caption(torch.cat([video[i:i + 1] for i in numbers]))

    def caption(self, frames: Tensor) -> str:
        """The caption that is likest to frames (f 3 h w) in [-1, 1]: the greatest mean cosine."""
        likeness = self.words @ unit(self.clip.pictures(frames)).mean(0)
        return CAPTIONS[int(likeness.argmax())]

    @cached_property
    def words(self) -> Tensor:                          # (n d)
        return unit(torch.cat([self.clip.texts(CAPTIONS[i:i + AT_ONCE]) for i in range(0, len(CAPTIONS), AT_ONCE)]))
