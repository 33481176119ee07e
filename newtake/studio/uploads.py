"""Clips and pictures that people bring: looked at, refused with the reason, kept in the runs' own folder."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, final

from ..cache import spoken
from ..errors import BadInput
from ..former import sound
from ..places import Places, clean, within
from ..record import hash_of
from ..video.clip import footage
from ..video.footage import Footage, Size, as_pixels, by, claimed

if TYPE_CHECKING:
    from PIL.Image import Image

ARRIVING = ".arriving-"                                 # begins the name of the folder, in that of uploads, where files come
SIDE = 192                                              # pixels of a thumbnail, at most
LONGEST_RECIPE = 1 << 20                                # bytes
NAME = re.compile(r"[0-9a-f]{16}/[^./][^/]*")            # of an upload: the hash of what is in it, and what it is called
STARTS = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"BM": ".bmp", b"II*\x00": ".tif", b"MM\x00*": ".tif", b"GIF8": ".gif",
          b"\x1aE\xdf\xa3": ".mkv"}                     # of files, and endings by which they are read
INSIDE = {b"WEBP": ".webp", b"AVI ": ".avi"}            # of RIFF
BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")      # with which an mp4 or mov begins


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
        if self.count == 1:
            return f"a picture, {by(self.size)}"
        return f"{self.count} frames, {self.rate:.4g} a second, {self.seconds:.1f} s, {by(self.size)}, " + \
            ("sound" if self.sound else "no sound")

    def frames(self, start: int = 0, count: int = 8, stride: int = 1) -> list[Image]:
        """Thumbnails of as many of these frames as there are."""
        from PIL import Image

        numbers = range(self.count)[start:start + count * stride:stride]
        scale = min(1.0, SIDE / max(self.size))
        small = max(1, round(self.size[0] * scale)), max(1, round(self.size[1] * scale))
        return [Image.fromarray(pixels) for pixels in as_pixels(self.found.frames(numbers, small))] if numbers else []


@contextmanager
def brought(told: str, places: Places) -> Iterator[Path]:
    """A file that came, which is taken away afterwards.  BadInput where it lies elsewhere: a browser may say any name."""
    path, home = Path(told).resolve(), places.uploads
    if not path.is_relative_to(home) or not path.relative_to(home).as_posix().startswith(ARRIVING) or not path.is_file():
        raise BadInput("that file did not come, or is gone; bring it again")
    try:
        yield path
    except FileNotFoundError:                           # others brought the same, and theirs was read first
        raise BadInput("that file is gone; bring it again") from None
    finally:
        path.unlink(missing_ok=True)


def taken(path: Path, told_name: str, places: Places, limits: Limits = Limits()) -> Upload:
    """The file at `path`, copied to the uploads under a name of ours.  BadInput, with the reason, where it is not wanted.

    What it is, is read from what is in it, never from its name.  The same file is kept once.
    """
    name = clean(told_name)
    if (size := path.stat().st_size) > limits.bytes:
        raise BadInput(f"{name} is {spoken(size)}, and {spoken(limits.bytes)} are taken at most; cut it first")
    with path.open("rb") as file:
        ending = ending_of(file.read(64))
    if ending is None:
        raise BadInput(f"{name} is no video and no picture that can be read, whatever its name says; take mp4, mov, avi, webm, "
                       "mkv, gif, webp, png or jpg")
    folder = places.uploads / hash_of(path)[:16]
    if found := kept(folder):
        return looked_at(found, limits)
    with apart(places) as here:                         # of this one alone: others may bring the same file now
        part = here / (name + ending)
        shutil.copyfile(path, part)
        looked_at(part, limits)
        folder.mkdir(exist_ok=True)
        part.replace(folder / part.name)
    return looked_at(folder / part.name, limits)


@contextmanager
def apart(places: Places) -> Iterator[Path]:
    """A folder in that of uploads, for a while.  BadInput where nothing can be written."""
    try:
        places.uploads.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=ARRIVING, dir=places.uploads) as folder:
            yield Path(folder)
    except OSError as wrong:
        raise BadInput(f"it cannot be kept: {wrong.strerror or wrong}") from wrong


def ending_of(head: bytes) -> str | None:
    """By which a file that begins so is read; None where it is of no kind that is."""
    if head[4:8] in BOXES:
        return ".mp4"
    if head.startswith(b"RIFF"):
        return INSIDE.get(head[8:12])
    return next((ending for start, ending in STARTS.items() if head.startswith(start)), None)


def kept(folder: Path) -> Path | None:
    """The upload in its folder."""
    return next((file for file in folder.glob("*") if not file.name.startswith(".")), None)


def looked_at(path: Path, limits: Limits) -> Upload:
    with path.open("rb") as file:                       # before all its frames are decoded
        size = claimed(file.read(64)) or read(path, 1).size
    if size[0] * size[1] > limits.pixels:
        raise BadInput(f"{path.name} is {by(size)}, and {limits.pixels / 1e6:.1f} million pixels are taken at most; "
                       "scale it first")
    upload = read(path, limits.frames)
    if not upload.found.whole:
        raise BadInput(f"{path.name} has more than {limits.frames} frames; cut it first")
    if upload.count > 1 and upload.seconds > limits.seconds:
        raise BadInput(f"{path.name} is {upload.seconds:.1f} s long, and {limits.seconds:g} s are taken at most; cut it first")
    return upload


@lru_cache(64)                                          # of one name and hash there is one clip
def read(path: Path, frames: int | None) -> Upload:
    """frames: beyond which nothing is looked at; None: there is no such end."""
    found = footage(path, frames)
    return Upload(path, found, carried(found.comment))


def carried(comment: str) -> dict[str, Any] | None:
    """The record that an edit of newtake carries."""
    try:
        told = json.loads(comment)
    except (ValueError, RecursionError):
        return None
    return told if sound(told) else None


def file_of(name: str, places: Places) -> Path:
    """An upload's file.  BadInput where there is none."""
    if not NAME.fullmatch(name) or not (path := within(places.uploads, name)).is_file():
        raise BadInput(f"there is no upload {name!r:.80}; bring the clip again")
    return path


def opened(name: str, places: Places) -> Upload:
    """One that was taken before.  BadInput where there is none."""
    return read(file_of(name, places), None)


def of_hash(sha256: str, places: Places) -> str:
    """The name of the upload with this hash; "" where there is none."""
    file = kept(places.uploads / sha256[:16]) if sha256.isalnum() else None
    return f"{file.parent.name}/{file.name}" if file else ""


def recipe(path: Path, limits: Limits = Limits()) -> dict[str, Any]:
    """The record in a run.json, which may be a stranger's.  BadInput where it is none.  `form.filled` makes a form of it."""
    told = carried(path.read_text("utf-8", "replace")) if path.stat().st_size <= min(LONGEST_RECIPE, limits.bytes) else None
    if told is None:
        raise BadInput("this is no run.json of this version of newtake; take one of a run folder, or an edit.mp4")
    return told
