"""A stand-in for a model without a network: on it is counted what would be asked of the model."""

from collections.abc import Mapping
from typing import Any, final

from torch import Tensor

from ..attention.call import Call, Frames, Kind, Site, Stage, attend, compose
from ..attention.features import Features
from ..levels import Level, Prediction, diffusion, prediction_kind
from .model import Model, Text

STAGES: tuple[tuple[Stage, int], ...] = (("down", 4), ("up", 3))        # as many sites as published code counts
SITES = [Site(f"{stage}.{i}", stage, i) for stage, many in STAGES for i in range(many)]


@final
class Shadow(Model):
    """Has the same levels.  Controls are called at a few sites; features are not taught."""

    def __init__(self, scheduler: Mapping[str, Any]):
        self.scheduler = scheduler

    def levels(self, steps: int) -> list[Level]:
        return diffusion(self.scheduler, steps)

    def predict(
        self, z: Tensor, at: Level, text: Text, prompted: bool = True, frames: Frames | None = None
    ) -> Prediction:
        r, f, _, h, w = z.shape
        control = compose(*(one for one in self._control if not isinstance(one, Features)))
        kinds: tuple[tuple[Kind, int], ...] = (("self", h * w), ("cross", text.tokens.shape[-2]))
        for site in SITES if self._control else ():
            for kind, m in kinds:
                q, k = z.new_zeros(r, f, 2, h * w, 1), z.new_zeros(r, f, 2, m, 1)
                control(Call(site, kind, at, prompted, frames or Frames.all(f), (h, w), q, k, k, q[:, :, 0]), attend)
        out = 0.1 * z + text.tokens.mean().to(z)        # of which a gradient to the prompt can be taken
        return Prediction(prediction_kind(self.scheduler), out, z, at)
