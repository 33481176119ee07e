"""A model that counts what it is asked."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

from torch import Tensor

from ..attention.call import Control, Frames
from ..attention.features import Features
from ..levels import Level, Prediction
from ..words import Tokenizer
from .model import Model, Text


@final
class Counted(Model):
    """The same model; `evaluations` are the rows that its network was asked so far, the way back of a gradient as two more."""

    def __init__(self, inner: Model):
        self.inner, self.evaluations = inner, 0

    def predict(
        self, z: Tensor, at: Level, text: Text, prompted: bool = True, frames: Frames | None = None
    ) -> Prediction:
        said = self.inner.predict(z, at, text, prompted, frames)
        self.evaluations += len(z)
        if said.out.requires_grad:
            said.out.register_hook(self._back)
        return said

    def _back(self, gradient: Tensor) -> None:
        self.evaluations += 2 * len(gradient)

    def levels(self, steps: int) -> list[Level]:
        return self.inner.levels(steps)

    @property
    def tokenizer(self) -> Tokenizer:
        return self.inner.tokenizer

    def text(self, *prompts: str) -> Text:
        return self.inner.text(*prompts)

    def lost(self, prompt: str) -> list[str]:
        return self.inner.lost(prompt)

    def encode(self, frames: Tensor) -> Tensor:
        return self.inner.encode(frames)

    def decode(self, z: Tensor) -> Tensor:
        return self.inner.decode(z)

    @contextmanager
    def control(self, *controls: Control | Features) -> Iterator[None]:
        with self.inner.control(*controls):
            yield
