"""A model that counts what it is asked."""

from typing import final

from torch import Tensor

from ..attention.call import Frames
from ..levels import Level, Prediction
from .model import Model, Text
from .wrapper import Wrapper


@final
class Counted(Wrapper):
    """The same model; `evaluations` are the rows that its network was asked so far, the way back of a gradient as two more."""

    def __init__(self, inner: Model):
        super().__init__(inner)
        self.evaluations = 0
        self.rows = 0                                   # the most at once
        self.graph = False                              # whether gradients were taken

    def predict(
        self, z: Tensor, at: Level, text: Text, prompted: bool = True, frames: Frames | None = None
    ) -> Prediction:
        said = self.inner.predict(z, at, text, prompted, frames)
        self.evaluations += len(z)
        self.rows = max(self.rows, len(z))
        if said.out.requires_grad:
            self.graph = True
            said.out.register_hook(self._back)
        return said

    def _back(self, gradient: Tensor) -> None:
        self.evaluations += 2 * len(gradient)
