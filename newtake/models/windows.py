"""Clips of any length: the network sees a window of frames at a time, and its answers are blended at every step.

Windows that overlap agree because each step starts from the same latents everywhere, as in MultiDiffusion (Bar-Tal et al., ICML
2023, arXiv 2302.08113), there of places, here of frames.
"""

from collections.abc import Callable
from dataclasses import replace
from math import ceil
from typing import final

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ..attention.call import Frames
from ..attention.carry import Carried
from ..attention.frames import Look, index
from ..errors import BadInput
from ..levels import Level, Prediction
from ..shapes import Numbers
from ..track import go_on
from .model import Model, Text
from .wrapper import Wrapper

FIXED = ("first", "middle", "last")                     # frames that are the same ones for all
SHARE = 4                                               # windows overlap by one part in so many, and so many anchors see all


@final
class Windowed(Wrapper):
    """The same model, whose network sees at most `size` frames at once.

    look: which frames a frame looks at.  Fixed ones are anchors: their keys and values are carried to every window.  Where a
    frame looks at nothing but itself and them, windows need no overlap, and the answer is that of the whole clip.  Where frames
    also look at neighbours, or are mixed (by norms over the clip, or layers over time), a window's answer counts less towards
    its ends.  Dense attention sees the window and anchors from all over the clip.
    """

    def __init__(self, inner: Model, size: int, look: Look = ("own",), mixed: bool = False):
        super().__init__(inner)
        if size < 1:
            raise BadInput(f"a window has at least 1 frame, not {size}")
        self.size, self.look = size, look
        self.overlap = size // SHARE if mixed or not {*look} <= {"own", *FIXED} else 0

    def predict(
        self, z: Tensor, at: Level, text: Text, prompted: bool = True, frames: Frames | None = None
    ) -> Prediction:
        frames = frames or Frames.all(z.shape[1])
        go_on()
        if len(frames.numbers) <= self.size:
            return finite(self.inner.predict(z, at, text, prompted, frames))

        def ask(which: Tensor, carried: Callable) -> Prediction:
            here = replace(frames, numbers=frames.numbers[which], fetch=carried)
            return finite(self.inner.predict(z[:, which], at, text, prompted, here))

        anchors = Carried(self.anchors(frames.of))
        if len(anchors.numbers):
            ask(frames.places(anchors.numbers), anchors.note)
        total, weights = torch.zeros_like(z), z.new_zeros(z.shape[1], 1, 1, 1)
        for window in self.windows(z.shape[1]):
            go_on()
            said = freed(ask, torch.tensor(window), anchors.bring)
            weight = self._weight(len(window)).to(z)
            total[:, window.start:window.stop] += weight * said.out
            weights[window.start:window.stop] += weight
        return replace(said, out=total / weights, z=z)

    def windows(self, f: int) -> list[range]:
        """Of a clip of f frames: as few as there can be, the last one shorter where they do not overlap."""
        if f <= self.size:
            return [range(f)]
        if not self.overlap:
            return [range(a, min(a + self.size, f)) for a in range(0, f, self.size)]
        many = ceil((f - self.overlap) / (self.size - self.overlap))
        starts = [round(i * (f - self.size) / (many - 1)) for i in range(many)]
        return [range(a, a + self.size) for a in starts]

    def anchors(self, of: int) -> Numbers:
        """Clip-wide numbers of the frames that every window looks at."""
        if self.look == ("dense",):
            return torch.linspace(0, of - 1, max(2, self.size // SHARE)).round().long().unique()
        fixed = [name for name in self.look if name in FIXED]
        return index(Frames(torch.arange(1), of), *fixed).unique() if fixed else torch.arange(0)

    def asked(self, f: int) -> int:
        """Frames that the network sees in one pass over a clip of f frames."""
        return f if f <= self.size else sum(map(len, self.windows(f))) + len(self.anchors(f))

    def _weight(self, many: int) -> Tensor:             # (f 1 1 1)
        """Rising over the overlap, falling again."""
        i = torch.arange(many)
        return torch.minimum(i, many - 1 - i).clamp(max=self.overlap).add(1)[:, None, None, None]


def finite(said: Prediction) -> Prediction:
    """BadInput where the network's answer is no number."""
    if not said.out.isfinite().all():
        raise BadInput(f"the network's answer in step {said.at.step + 1} of {said.at.of} is not a number: try --dtype fp32, or "
                       "bf16")
    return said


def freed(ask: Callable[..., Prediction], which: Tensor, carried: Callable) -> Prediction:
    """The answer; where a gradient is wanted, what it needs of the network is made again on the way back, window by window."""
    if not torch.is_grad_enabled():
        return ask(which, carried)
    kept: list[Prediction] = []
    out = checkpoint(lambda: (kept.append(ask(which, carried)), kept[-1].out)[1], use_reentrant=False)
    assert isinstance(out, Tensor)
    return replace(kept[0], out=out)
