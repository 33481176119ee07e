"""`Video`: a clip, read lazily, with its timing and its sound."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BadInput
from ..track import go_on
from .footage import RATE, UNTOLD, Colours, Footage, Size, by, fitted, small_enough

if TYPE_CHECKING:
    from torch import Tensor

CHUNK = 16                                              # frames in memory, of work that does not mind how many

@dataclass(frozen=True, eq=False)
class Video:
    """A clip of at least one frame: `len(video)`, and `video[a:b]` gives frames (f 3 h w), float32 in [-1, 1].

    Only the frames asked for are decoded, and none is kept.  Taking them in ascending order decodes the clip once.
    """

    take: Callable[[range], Tensor]                     # frames by number, ascending -> (f 3 h w)
    size: Size                                          # width, height
    times: tuple[Fraction, ...]                         # when each frame is shown, seconds
    end: Fraction                                       # when the last frame is taken away
    path: Path | None = None                            # None: made in memory
    audio: Path | None = None                           # the file its sound is in; None: silent
    covers_clip: bool = True                            # all frames of its file, so the sound belongs to it
    notes: tuple[str, ...] = ()                         # what was scaled, cropped, left out on reading: a line each
    comment: str = ""                                   # the container's comment
    colours: Colours = UNTOLD                           # what its file says of them; pixels are never changed by it

    @classmethod
    def read(
        cls, path: str | Path, frames: int | None = None, start: int = 0, stride: int = 1, size: Size | None = None,
        whole: bool = False,
    ) -> Video:
        """A clip from a video file, an animation, a folder of pictures, or one picture (a clip of one frame).

        `frames` (None: as many as there are) from number `start`, every `stride`-th; scaled to cover `size` (width, height;
        None: its own) and cropped in the middle.  What is missing or damaged among them is said in the notes; with `whole` it
        is BadInput.  Raises BadInput for what cannot be read and for frames that are not there.
        """
        countable(frames, start, stride)
        if size is not None and min(size) < 1:
            raise BadInput(f"size must be at least 1x1, not {by(size)}")
        path = Path(path)
        found = footage(path, None if frames is None else start + (frames - 1) * stride + 1)
        if whole and found.faults:
            raise BadInput(f"{found.name} is not whole: {', '.join(found.faults)}; get it again, or edit what is there "
                           "by reading it without `whole`")
        size = size or found.size
        small_enough("the size asked for", size)
        numbers = chosen(found, frames, start, stride)
        times, end = timing((*found.times, found.end), numbers)
        return cls(
            lambda some: found.frames(numbers[some.start:some.stop:some.step], size), size, times, end, path, found.audio,
            covers_clip=found.whole and len(numbers) == len(found.times),
            notes=found.notes + fitted(found.size, size), comment=found.comment, colours=found.colours)

    @classmethod
    def of(cls, frames: Tensor, rate: Fraction | float = RATE, like: Video | None = None) -> Video:
        """A clip of frames (f 3 h w) in [-1, 1] in memory; `like`: whose timing, sound and colour tags it takes, not a rate."""
        take = partial(picked, frames)
        count, _, height, width = frames.shape
        if like is None:
            rate = Fraction(rate).limit_denominator(100_000) if isfinite(rate) else Fraction()
            if rate <= 0:
                raise BadInput("a rate is a number of frames a second, of at least 0.00001")
            return cls(take, (width, height), tuple(number / rate for number in range(count)), count / rate)
        return like.with_pictures(take, count, (width, height))

    @staticmethod
    def joined(parts: Sequence[Video], like: Video) -> Video:
        """The frames of some clips one after the other, lazily, with the timing, sound and colour tags of `like`.

        Raises BadInput where their sizes differ, or they have not as many frames as `like`.
        """
        for part in parts:
            if part.size != parts[0].size:
                raise BadInput(f"parts of {by(part.size)} and {by(parts[0].size)} cannot be joined: they need one size")
        return like.with_pictures(partial(one_after_another, parts), sum(map(len, parts)), parts[0].size)

    def with_pictures(self, take: Callable[[range], Tensor], count: int, size: Size) -> Video:
        """Another clip's pictures in this one's timing, with its sound.  BadInput where they are not as many."""
        if count != len(self):
            raise BadInput(f"{count} frames cannot take over the timing of {len(self)}; give them a rate")
        return Video(take, size, self.times, self.end, None, self.audio, self.covers_clip, colours=self.colours)

    def part(self, numbers: range) -> Video:
        """Some of its frames, by number and ascending, as a clip; without sound where it is not all of them."""
        if not numbers or numbers.step < 0 or not 0 <= numbers[0] <= numbers[-1] < len(self):
            raise IndexError(f"a part of a Video has at least one of its {len(self)} frames and goes forwards: {numbers}")
        times, end = timing((*self.times, self.end), numbers)
        return replace(
            self, take=lambda some: self.take(numbers[some.start:some.stop:some.step]), times=times, end=end,
            covers_clip=self.covers_clip and len(numbers) == len(self))

    def __len__(self) -> int:
        return len(self.times)

    def __getitem__(self, which: slice) -> Tensor:      # (f 3 h w)
        if not isinstance(which, slice):
            raise TypeError("a Video gives frames by slice: video[3:4]")
        numbers = range(len(self))[which]
        if not numbers or numbers.step < 0:
            raise IndexError(f"a slice of a Video has at least one frame and goes forwards: {which} of {len(self)} frames")
        return self.take(numbers)

    def chunks(self, many: int = CHUNK) -> Iterator[Tensor]:        # (f 3 h w) each
        """All frames, so many at a time."""
        for first in range(0, len(self), many):
            go_on()
            yield self[first:first + many]

    @property
    def rate(self) -> Fraction:
        """Frames a second; the mean, where the timing varies."""
        return len(self) / (self.end - self.times[0])

    def write(self, path: str | Path, lossless: bool = False, comment: str = "") -> tuple[str, ...]:
        """Writes what the path's ending says: .mp4 .mov .mkv (h264), .gif, .webp, a folder of PNG (no ending, or names as
        frames/%05d.png), or, for a clip of one frame, .png or .jpg.  Returns what was changed or left out, a line each.

        Count, times, colour tags and sound are kept; the sound's packets are copied where the clip covers its file.
        `lossless`: .mp4 and .mov in h264 RGB, .mkv in FFV1, and .webp; pixels are then kept to 8 bits.  `comment` goes into the
        container.
        Nothing is left half-written.  Raises BadInput for an ending it does not know and a place that cannot be written.
        """
        from .write import write
        return write(self, Path(path), lossless, comment)


def footage(path: Path, enough: int | None) -> Footage:
    from .movie import movie
    from .pictures import SUFFIXES, folder, picture

    try:
        path.stat()
    except OSError as wrong:
        missing = isinstance(wrong, FileNotFoundError | NotADirectoryError)
        raise BadInput(f"no such file: {path}" if missing else f"cannot read {path}: {wrong.strerror}") from wrong
    if path.is_dir():
        return folder(path)
    if not path.is_file():
        raise BadInput(f"{path} is neither a file nor a folder")
    return picture(path, enough) if path.suffix.lower() in SUFFIXES else movie(path, enough)


def countable(frames: int | None, start: int, stride: int) -> None:
    """BadInput where no clip has such frames."""
    for name, value, least in (("frames", frames, 1), ("start", start, 0), ("stride", stride, 1)):
        if value is not None and value < least:
            raise BadInput(f"{name} must be at least {least}, not {value}")


def chosen(found: Footage, frames: int | None, start: int, stride: int) -> range:
    """The numbers of the frames asked for, or BadInput that says how many there are."""
    there = len(found.times)
    if start >= there:
        raise BadInput(f"{found.name} has {there} frames, numbered from 0: it cannot start at {start}")
    numbers = range(start, there, stride)
    if frames is not None and frames > len(numbers):
        raise BadInput(f"{found.name} has {there} frames: {len(numbers)} from {start} in steps of {stride}, not {frames}")
    return numbers[:frames]


def timing(steps: Sequence[Fraction], numbers: range) -> tuple[tuple[Fraction, ...], Fraction]:
    """The times of some frames, and when the last of them is taken away.  steps: the times of all, and their end."""
    times, after = tuple(steps[number] for number in numbers), numbers[-1] + numbers.step
    if after < len(steps):
        return times, steps[after]
    count = len(steps) - 1
    return times, steps[-1] + (after - count) * (steps[-1] - steps[0]) / count


def one_after_another(parts: Sequence[Video], numbers: range) -> Tensor:                # (f 3 h w)
    import torch

    found, first = [], 0
    for part in parts:
        inside = [number - first for number in numbers if 0 <= number - first < len(part)]
        if inside:
            found.append(part[inside[0]:inside[-1] + 1:numbers.step])
        first += len(part)
    return torch.cat(found)


def picked(frames: Tensor, numbers: range) -> Tensor:   # (f 3 h w)
    return frames[numbers.start:numbers.stop:numbers.step]
