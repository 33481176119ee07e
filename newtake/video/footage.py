"""Frames that are played in order and stay on disk until somebody asks for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from einops import rearrange
from PIL import Image, ImageOps

from ..errors import BadInput

if TYPE_CHECKING:
    from torch import Tensor

Size = tuple[int, int]                                  # width, height
Colours = tuple[int, int]                               # primaries and transfer curve, numbered as in ITU-T H.273
Shot = Callable[[], Image.Image]                        # a frame that becomes a picture once it is called

MOST_PIXELS = 80_000_000                                # of one picture; beyond it lie decompression bombs
UNTOLD: Colours = (2, 2)
PLAYERS = 4                                             # kept at most; each holds a file and a decoder's frames
RATE = Fraction(8)                                      # frames a second, where a clip does not say


@dataclass(frozen=True, eq=False)
class Footage:
    """What reading found.  Times are in seconds, as the file has them.

    Frames are always played from the first one on: seeking is exact in some codecs only.  A player that has stopped stays
    where it is for whoever asks next, so a clip read in chunks is decoded once by each who reads it.
    """

    name: str
    play: Callable[[], Iterator[Shot]]
    times: tuple[Fraction, ...]
    end: Fraction                                       # when the last frame is taken away
    size: Size                                          # upright, with square pixels
    whole: bool = True                                  # False: there is more, which nobody asked for
    notes: tuple[str, ...] = ()
    audio: Path | None = None                           # the file the sound is in; None: silent
    faults: tuple[str, ...] = ()                        # those of the notes that say what is missing or damaged
    comment: str = ""
    colours: Colours = UNTOLD
    idle: list[tuple[int, Iterator[Shot]]] = field(default_factory=list, repr=False)    # players, and the frame each is at

    def frames(self, numbers: range, size: Size) -> Tensor:                             # (f 3 h w)
        """Frames by number (ascending), scaled to cover `size` and cropped in the middle."""
        return as_frames([ImageOps.fit(shot(), size, Image.Resampling.LANCZOS) for shot in self._shots(numbers)])

    def _shots(self, numbers: range) -> Iterator[Shot]:
        at, player = self._player(numbers[0])
        for number in range(at, numbers[-1] + 1):
            shot = next(player, None)
            if shot is None:
                raise BadInput(f"{self.name} has changed since it was opened: frame {number} is gone; read it again")
            if number in numbers:
                yield shot
        if numbers[-1] + 1 < len(self.times):           # or nobody has a use for it
            self.idle.append((numbers[-1] + 1, player))
        del self.idle[:-PLAYERS]

    def _player(self, first: int) -> tuple[int, Iterator[Shot]]:
        """The player nearest before a frame, which is then nobody else's; or a new one."""
        while ready := [one for one in self.idle if one[0] <= first]:
            nearest = max(ready, key=lambda one: one[0])
            try:
                self.idle.remove(nearest)
            except ValueError:                          # another thread was faster
                continue
            return nearest
        return 0, self.play()


def as_frames(images: Sequence[Image.Image | np.ndarray]) -> Tensor:                    # (f 3 h w) in [-1, 1]
    import torch

    pixels = torch.from_numpy(np.stack([np.asarray(image) for image in images]))
    frames = torch.empty((len(images), 3, *pixels.shape[1:3]))
    return frames.copy_(rearrange(pixels, "f h w c -> f c h w")).div_(127.5).sub_(1)


def as_pixels(frames: Tensor) -> np.ndarray:                                            # (f h w 3) bytes
    scaled = frames.detach().float().add(1).mul_(127.5).round_().clamp_(0, 255).byte()
    return rearrange(scaled.cpu(), "f c h w -> f h w c").contiguous().numpy()


def fitted(found: Size, wanted: Size) -> tuple[str, ...]:
    """What `Footage.frames` does to the pictures, in words."""
    factor = max(Fraction(wanted[0], found[0]), Fraction(wanted[1], found[1]))
    scaled = (round(found[0] * factor), round(found[1] * factor))
    return (*said("scaled", found, scaled), *said("cropped in the middle", scaled, wanted))


def said(what: str, before: Size, after: Size) -> tuple[str, ...]:
    return () if before == after else (f"{what} from {by(before)} to {by(after)}",)


def by(size: Size) -> str:
    return f"{size[0]}x{size[1]}"


def small_enough(name: str, size: Size) -> None:
    if size[0] * size[1] > MOST_PIXELS:
        raise BadInput(too_large(f"{name} is {by(size)}, which"))


def too_large(what: str) -> str:
    return f"{what} is too large: at most {MOST_PIXELS // 1_000_000} million pixels a picture"


def claimed(head: bytes) -> Size | None:
    """The size that a GIF or a WebP claims in its first 30 bytes; None for others.

    Their readers make room for it, or give up, before they say it.  RFC 9649, sections 2.5 to 2.7.
    """
    if head.startswith((b"GIF87a", b"GIF89a")):
        return int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little")
    if head[8:16] == b"WEBPVP8X":
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    if head[8:16] == b"WEBPVP8L":
        both = int.from_bytes(head[21:25], "little")
        return (both & 0x3FFF) + 1, (both >> 14 & 0x3FFF) + 1
    if head[8:16] == b"WEBPVP8 ":
        return int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF
    return None


def small_claim(path: Path) -> None:
    """BadInput where a GIF or a WebP claims to be too large."""
    with path.open("rb") as file:
        small_enough(path.name, claimed(file.read(30)) or (0, 0))
