"""Where clip and guests meet: control pictures are drawn from a clip, or read, and given to networks beside the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from .errors import BadInput
from .invitation import Invitation

if TYPE_CHECKING:
    from torch import Tensor

    from .models.unet import UNet
    from .video import Video


def welcomed(model: UNet, asked: Sequence[Invitation], clip: Video, start: int = 0, stride: int = 1, download: bool = False,
             trust: bool = False) -> UNet:
    """The model with its guests, for this clip, which has every `stride`-th frame of its file from `start` on.

    Hub ids are fetched with `download` only, pickles are read with `trust` only.  Raises BadInput where a guest cannot be read
    or is for another network, and where control pictures cannot be had.
    """
    if not asked:
        return model
    import torch

    from .models.guests import load

    blank = torch.zeros(0, 3, 0, 0)
    guests = [load(one, blank, model.device, model.dtype, download, trust) for one in asked]
    model.with_guests(*guests)                          # one for another network is told before its pictures are drawn
    return model.with_guests(*(replace(guest, pictures=pictures(one, clip, start, stride, str(model.device), download, trust))
                               for guest, one in zip(guests, asked, strict=True)))


def pictures(asked: Invitation, clip: Video, start: int, stride: int, device: str, download: bool, trust: bool) -> Tensor:
    """A control picture of every frame, (f 3 h w) in [-1, 1], of the clip's size, on disk."""
    from . import drawing
    from .video.reel import mapped

    if (given := footage(asked, clip, start, stride)) is not None:
        return mapped(given.chunks())
    if asked.kind == "edges":
        return mapped(map(drawing.edges, clip.chunks()))
    draw = drawing.depth if asked.kind == "depth" else drawing.pose
    return mapped(draw(clip, str(asked.file), device, download, trust))


def footage(asked: Invitation, clip: Video, start: int = 0, stride: int = 1) -> Video | None:
    """The control pictures that are given: a clip of as many frames, or one from which they are taken by the clip's numbers.

    None where they are drawn.  Raises BadInput where there are too few.
    """
    if asked.kind != "clip":
        return None
    from .video import Video

    given = Video.read(str(asked.file), size=clip.size)         # scaled and cropped as the clip is
    if len(given) == len(clip):
        return given
    needed = start + (len(clip) - 1) * stride + 1
    if len(given) < needed:
        wanted = f"{len(clip)} frames" if needed == len(clip) else f"{len(clip)} frames, or {needed} from which they are taken"
        raise BadInput(f"the control pictures {asked.file} have {len(given)} frames; give a clip of {wanted}")
    return Video.read(str(asked.file), len(clip), start, stride, clip.size)
