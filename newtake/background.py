"""The background stays: an edit is laid into its source in pixels, and outside a mask nothing of the source is touched.

    inside = of_clip(Video.read("mask.mp4", size=source.size), len(source))
    kept(edit, source, inside).write("edit.mkv", lossless=True)

All of it is lazy: a few frames at a time are in memory, however long the clip.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, floor
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor

from .errors import BadInput
from .video import Video, as_pixels
from .video.footage import Size, as_frames, by

Inside = Callable[[range], Tensor]                      # a mask: numbers of frames, ascending -> (f h w), 0 source to 1 edit
RoundTrip = Callable[[Tensor], Tensor]                  # frames (f 3 h w) -> as the autoencoder gives them back

AT_ONCE = 2_000_000                                     # pixels of the source
FEATHER = Fraction(1, 64)                               # of the source's shorter side: docs/background.md


# Masks

def mask_clip(path: str | Path, clip: Video, frames: int | None = None, start: int = 0, stride: int = 1) -> Video:
    """A mask's file, as a clip of one frame or of as many as the clip."""
    mask = Video.read(path, size=clip.size)             # scaled and cropped as the clip is
    if len(mask) not in (1, len(clip)):
        mask = Video.read(path, frames, start, stride, clip.size)
    if len(mask) not in (1, len(clip)):
        raise BadInput(f"the mask has {len(mask)} frames and the clip {len(clip)}; give one picture or as many frames")
    return mask


def mask_of(path: str | Path, clip: Video, frames: int | None = None, start: int = 0, stride: int = 1) -> Tensor:
    """A mask from a file, (f h w), True where it is lighter than grey, for a clip of these frames of its own."""
    mask = mask_clip(path, clip, frames, start, stride)
    inside = of_clip(mask, len(mask))
    return torch.cat([inside(some) > 0 for _, some in chunks(range(len(mask)), clip.size)]).expand(len(clip), -1, -1)


def of_clip(mask: Video, frames: int) -> Inside:
    """White is inside, from grey on.  A picture counts for all frames.  BadInput where it has another number of them."""
    if len(mask) not in (1, frames):
        raise BadInput(f"the mask has {len(mask)} frames and the clip {frames}; give one picture or as many frames")
    light = lambda frames: (frames.mean(1) > 0).float()
    if len(mask) == 1:
        return of_tensor(light(mask[:]))
    return lambda numbers: light(mask[numbers.start:numbers.stop:numbers.step])


def of_box(box: tuple[float, float, float, float], size: Size) -> Inside:
    """x, y, width, height: in whole pixels, or, where any of them is no int, in shares of the picture.

    Raises BadInput where the box is empty or does not lie in the picture.
    """
    shares = any(isinstance(side, float) for side in box)
    scale = size if shares else (1, 1)
    ends = [(at * most, (at + wide) * most) for at, wide, most in zip(box[:2], box[2:], scale, strict=True)]
    inside = all(0 <= first < last <= most for (first, last), most in zip(ends, size, strict=True))
    (left, right), (top, low) = ((round(first), round(last)) for first, last in ends) if inside else ((0, 0), (0, 0))
    if left == right or top == low:
        said = ",".join(f"{side:g}" for side in box)
        within = "shares of the picture lie between 0 and 1" if shares else f"the picture is {by(size)}"
        raise BadInput(f"the box {said} (x, y, width, height) is empty or not inside of the picture: {within}")
    mask = torch.zeros(size[1], size[0])
    mask[top:low, left:right] = 1
    return lambda numbers: mask.expand(len(numbers), -1, -1)


def of_tensor(mask: Tensor) -> Inside:
    """A mask (f h w) or, for all frames, (1 h w): bools or 0..1, of any size, such as the latents'."""
    mask = mask.detach().float().cpu()
    return lambda numbers: mask[numbers.start:numbers.stop:numbers.step] if len(mask) > 1 else mask.expand(len(numbers), -1, -1)


def inverted(inside: Inside) -> Inside:
    return lambda numbers: 1 - inside(numbers)


def grown(inside: Inside, by: int) -> Inside:
    """Wider by so many of the mask's own pixels on all sides."""
    return lambda numbers: eroded(inside(numbers).neg(), by).neg()


def within(inside: Inside, edit: Size, source: Size) -> Inside:
    """The mask at the source's size, and 0 where an edit of this size does not reach."""
    place = Place.of(source, edit)
    return lambda numbers: place.mask(inside(numbers))


# The edit in its source

def kept(edit: Video, source: Video, inside: Inside, feather: int | None = None,
         roundtrip: RoundTrip | Video | None = None) -> Video:
    """The edit inside the mask, the source outside of it, bit for bit: in its size and timing, with its sound.

    With the source's pixel s, the edit's e, and the weight w that rises from 0 outside the mask to 1 `feather` pixels inside it
    (None: `FEATHER`; 0: no transition):

        result = s                                                          where w = 0
               = s + w (e + (1 - w) (s - roundtrip(s)) - s)                 elsewhere

    An autoencoder gives its pictures back a little blurred and tinted, by roundtrip(s) - s, and where an edit redraws the
    background it is e = roundtrip(s).  Without the correction the transition goes from s to that, result - s = w (e - s): a
    step in sharpness.  With it that is w² (e - s), which begins flat.  Deep inside (w = 1) nothing is added, since detail of
    the source has no place on what is now something else.  None: no correction.  A Video: the source, as the autoencoder gives
    it back, in the edit's size.

    Where the sizes differ, the edit is taken to show what `Video.read(path, size=edit.size)` shows, the middle of the source:
    it is scaled (Lanczos) into these pixels, and the source stays around them.  The round trip then goes through both scalings,
    so what they take of sharpness is corrected too.  A mask of the source's size is the source's; one of any other lies over
    the edit, scaled without smoothing.  Raises BadInput where the numbers of frames differ.
    """
    if len(edit) != len(source):
        raise BadInput(f"the edit has {len(edit)} frames and the clip {len(source)}")
    if isinstance(roundtrip, Video) and (len(roundtrip), roundtrip.size) != (len(edit), edit.size):
        raise BadInput(f"the clip's round trip is {len(roundtrip)} frames of {by(roundtrip.size)}, not the edit's {len(edit)} "
                       f"of {by(edit.size)}")
    place = Place.of(source.size, edit.size)
    depth = round(FEATHER * min(source.size)) if feather is None else feather

    def fill(made: Tensor, numbers: range) -> None:
        which = slice(numbers.start, numbers.stop, numbers.step)
        frames = source[which]
        made[:] = frames
        weights = place.cut(feathered(place.mask(inside(numbers)), depth)).unsqueeze(1)     # (f 1 h w)
        if not weights.any():
            return
        was, new = place.cut(frames), place.laid(edit[which])
        if roundtrip is not None and ((weights > 0) & (weights < 1)).any():
            back = roundtrip[which] if isinstance(roundtrip, Video) else roundtrip(place.seen(frames))
            new = new + (1 - weights) * (was - place.laid(back))
        place.cut(made)[:] = torch.where(weights > 0, torch.lerp(was, new.clamp(-1, 1), weights), was)

    def take(numbers: range) -> Tensor:                 # (f 3 h w)
        made = torch.empty(len(numbers), 3, *source.size[::-1])
        for at, some in chunks(numbers, source.size):
            fill(made[at:at + len(some)], some)
        return made

    return replace(source, take=take, path=None, notes=())


def laid_over(edit: Video, source: Video) -> tuple[str, ...]:
    """What of the source an edit of another size is laid over, in words."""
    if edit.size == source.size:
        return ()
    part = Place.of(source.size, edit.size).size
    middle = "" if part == source.size else f"the middle {by(part)} of "
    return (f"the edit is {by(edit.size)}: scaled and laid over {middle}the clip's {by(source.size)}",)


def feathered(mask: Tensor, depth: int) -> Tensor:      # (f h w)
    """Weights that rise inwards from the mask's border, in equal steps, and are the mask's own `depth` pixels from it.

    0 stays 0 and, deep enough, 1 stays 1, exactly.  The picture's edge is no border.
    """
    total = shrunk = mask
    for _ in range(depth):
        shrunk = eroded(shrunk, 1)
        total = total + shrunk
    return total / (depth + 1)


def eroded(mask: Tensor, by: int) -> Tensor:            # (f h w)
    """The least of each pixel's neighbours, so many times: the steps of a pool of 3x3, in a third of its time."""
    for _ in range(by):
        for side in (-1, -2):
            least, all_but_one = mask.clone(), mask.shape[side] - 1
            for here, beside in ((0, 1), (1, 0)):
                part = least.narrow(side, here, all_but_one)
                torch.minimum(part, mask.narrow(side, beside, all_but_one), out=part)
            mask = least
    return mask


@dataclass(frozen=True)
class Place:
    """Where an edit lies in its source."""

    source: Size
    edit: Size
    part: tuple[slice, slice]                           # rows and columns of the source that lie wholly under the edit
    box: tuple[float, float, float, float]              # and what of the edit lies over them: left, top, right, low

    @classmethod
    def of(cls, source: Size, edit: Size) -> Place:
        scale = min(Fraction(s, e) for s, e in zip(source, edit, strict=True))      # the source's pixels a pixel of the edit
        parts, box = [], []
        for s, e in zip(source, edit, strict=True):
            start = (s - e * scale) / 2                                             # as ImageOps.fit crops
            first, last = ceil(start), floor(start + e * scale)
            if first >= last:
                raise BadInput(f"an edit of {by(edit)} covers no whole pixel of a clip of {by(source)}")
            parts.append(slice(first, last))
            box.append((float((first - start) / scale), float((last - start) / scale)))
        (left, right), (top, low) = box
        return cls(source, edit, (parts[1], parts[0]), (left, top, right, low))

    @property
    def size(self) -> Size:
        """Of the part."""
        rows, columns = self.part
        return columns.stop - columns.start, rows.stop - rows.start

    def cut(self, frames: Tensor) -> Tensor:            # (... h w) of the source -> of the part
        return frames[(..., *self.part)]

    def laid(self, frames: Tensor) -> Tensor:           # (f 3 h w) of the edit -> of the part
        if self.source == self.edit:
            return frames
        images = map(Image.fromarray, as_pixels(frames))
        return as_frames([image.resize(self.size, Image.Resampling.LANCZOS, self.box) for image in images])

    def seen(self, frames: Tensor) -> Tensor:           # (f 3 h w) of the source -> of the edit
        if self.source == self.edit:
            return frames
        images = map(Image.fromarray, as_pixels(frames))
        return as_frames([ImageOps.fit(image, self.edit, Image.Resampling.LANCZOS) for image in images])

    def mask(self, mask: Tensor) -> Tensor:             # (f h w) -> of the source
        """0 where the edit does not reach."""
        if tuple(mask.shape[1:]) == self.source[::-1]:
            under = self.cut(mask)
        else:
            under = F.interpolate(mask.unsqueeze(1), self.size[::-1], mode="nearest-exact")[:, 0]
        over = mask.new_zeros(len(mask), *self.source[::-1])
        self.cut(over)[:] = under
        return over


def chunks(numbers: range, size: Size) -> Iterator[tuple[int, range]]:
    """So many frames as are worked on at once, and the place of the first of them."""
    many = max(1, AT_ONCE // (size[0] * size[1]))
    yield from ((at, numbers[at:at + many]) for at in range(0, len(numbers), many))
