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
        numbers, k, v = call.passed(None)
        self.kept[call.site] = k, v
        return nearest(call, numbers, k, v, index)

    def bring(self, call: Call, index: Int[Tensor, "f k"] | None) -> tuple[Tensor, Tensor]:
        """The Fetch of a window."""
        if call.site not in self.kept:
            return nearest(call, *call.passed(index), index)
        window = call.frames.passed.numbers
        absent = ~torch.isin(self.numbers, window)
        carried = self.numbers[absent]
        # what is carried nobody has to send: in its place each frame itself
        sought = None if index is None else torch.where(torch.isin(index, carried), window[:, None], index)
        numbers, *inside = call.passed(sought)
        k, v = (torch.cat([here, there[:, absent.to(there.device)]], 1)
                for here, there in zip(inside, self.kept[call.site], strict=True))
        return nearest(call, torch.cat([numbers, carried]), k, v, index)


def nearest(call: Call, numbers: Numbers, k: Keys, v: Keys, index: Tensor | None) -> tuple[Tensor, Tensor]:
    if index is None:
        return k, v
    places = (call.frames.own(index)[..., None] - numbers).abs().argmin(-1).to(k.device)
    return k[:, places], v[:, places]
