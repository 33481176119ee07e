"""A model that counts what it is asked."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

from torch import Tensor

from ..attention.call import Control, Frames
from ..levels import Level, Prediction
from ..words import Tokenizer
from .model import Model, Text


@final
class Counted(Model):
    """The same model; `evaluations` are the rows that its network was asked so far."""

    def __init__(self, inner: Model):
        self.inner, self.evaluations = inner, 0

    def predict(
        self, z: Tensor, at: Level, text: Text, prompted: bool = True, frames: Frames | None = None
    ) -> Prediction:
        self.evaluations += len(z)
        return self.inner.predict(z, at, text, prompted, frames)

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
    def control(self, *controls: Control) -> Iterator[None]:
        with self.inner.control(*controls):
            yield
