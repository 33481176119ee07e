"""A model around a model: what it does not say otherwise is the inner one's."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

from ..attention.call import Control
from ..attention.features import Features
from ..levels import Level
from ..words import Tokenizer
from .model import Model, Text


class Wrapper(Model):
    def __init__(self, inner: Model):
        self.inner = inner

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
