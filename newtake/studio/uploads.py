"""Clips and pictures that people bring: looked at, refused with the reason, kept in the runs' own folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from ..places import Places
from ..video.footage import Footage, Size

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 192                                              # pixels of a thumbnail, at most


@dataclass(frozen=True)
class Limits:
    """What is taken of one upload, at most."""

    bytes: int = 512 << 20
    seconds: float = 120.0
    frames: int = 3600
    pixels: int = 3840 * 2160                           # of a frame


@final
@dataclass(frozen=True, eq=False)
class Upload:
    """A clip that was taken; a picture is one of one frame."""

    path: Path                                          # in the folder of uploads
    found: Footage
    told: dict[str, Any] | None                         # the record of the run that made it; None: not made by newtake

    @property
    def name(self) -> str:
        """By which a form knows it: see `opened`."""
        return "/".join(self.path.parts[-2:])

    @property
    def count(self) -> int:
        return len(self.found.times)

    @property
    def seconds(self) -> float:
        return float(self.found.end - self.found.times[0])

    @property
    def rate(self) -> float:
        """Frames a second; the mean, where the timing varies."""
        return self.count / self.seconds

    @property
    def size(self) -> Size:
        """Width, height."""
        return self.found.size

    @property
    def sound(self) -> bool:
        return self.found.audio is not None

    @property
    def notes(self) -> tuple[str, ...]:
        return self.found.notes

    @property
    def line(self) -> str:
        """For people: "16 frames, 8 a second, 2.0 s, 128x128, no sound"."""
        raise NotImplementedError

    def frames(self, start: int = 0, count: int = 8, stride: int = 1) -> list[Image]:
        """Thumbnails of as many of these frames as there are."""
        raise NotImplementedError


def taken(path: Path, told_name: str, places: Places, limits: Limits = Limits()) -> Upload:
    """The file at `path`, copied to the uploads under a name of ours.  BadInput, with the reason, where it is not wanted.

    What it is, is read from what is in it, never from its name.  The same file is kept once.
    """
    raise NotImplementedError


def opened(name: str, places: Places) -> Upload:
    """One that was taken before.  BadInput where there is none."""
    raise NotImplementedError


def recipe(path: Path, places: Places, limits: Limits = Limits()) -> dict[str, Any]:
    """The record in a run.json, which may be a stranger's.  BadInput where it is none.  `form.filled` makes a form of it."""
    raise NotImplementedError
