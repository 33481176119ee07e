"""Keys and values of anchor frames, carried from one window of a clip to the next."""

import torch
from jaxtyping import Int
from torch import Tensor

from ..shapes import Keys, Numbers
from .call import Call, Site


class Carried:
    """What a first pass over the anchors left, at every site where a frame looks at others.

    Of a frame that is neither in a window nor carried the nearest that is stands in.
    """

    def __init__(self, numbers: Numbers):
        self.numbers = numbers                          # clip-wide, of the anchors
        self.kept: dict[Site, tuple[Keys, Keys]] = {}

    def note(self, call: Call, index: Int[Tensor, "f k"] | None) -> tuple[Tensor, Tensor]:
        """The Fetch of the anchors' own pass: they look at each other."""
        self.kept[call.site] = call.k, call.v
        return nearest(call.frames.numbers, call.k, call.v, index)

    def bring(self, call: Call, index: Int[Tensor, "f k"] | None) -> tuple[Tensor, Tensor]:
        """The Fetch of a window."""
        if call.site not in self.kept:
            return nearest(call.frames.numbers, call.k, call.v, index)
        absent = ~torch.isin(self.numbers, call.frames.numbers)
        k, v = (torch.cat([here, there[:, absent.to(there.device)]], 1)
                for here, there in zip((call.k, call.v), self.kept[call.site], strict=True))
        return nearest(torch.cat([call.frames.numbers, self.numbers[absent]]), k, v, index)


def nearest(numbers: Numbers, k: Keys, v: Keys, index: Int[Tensor, "wanted many"] | None) -> tuple[Tensor, Tensor]:
    if index is None:
        return k, v
    places = (index[..., None] - numbers).abs().argmin(-1).to(k.device)
    return k[:, places], v[:, places]
