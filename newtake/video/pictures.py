"""Clips made of pictures: a folder of them, one alone, an animated WebP.  Read by Pillow."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ..errors import BadInput
from .footage import RATE, Footage, Shot, Size, by, small_claim, small_enough, too_large

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")        # what Pillow may try; others start programs (EPS) or open other files
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
TRANSPARENT = "transparent parts are laid on white"


def picture(path: Path, enough: int | None = None) -> Footage:
    """A picture, which is a clip of one frame, or an animated WebP, of which no more than `enough` frames are looked at."""
    notes = []
    with opened(path) as image:
        count = getattr(image, "n_frames", 1)
        if image.format == "WEBP" and count > 1:
            return animation(path, enough)
        if count > 1:
            notes.append(f"only the first of its {count} pictures is read")
        if see_through(image):
            notes.append(TRANSPARENT)
        size = upright(image).size
    return Footage(path.name, partial(shots, [path]), (Fraction(0),), 1 / RATE, size, notes=tuple(notes))


def folder(path: Path) -> Footage:
    """The pictures of a folder, which have one size."""
    chosen, others = listed(path)
    notes = [f"pictures have no rate of their own: shown at {RATE} a second"]
    sizes = [measured(file, notes) for file in chosen]
    for file, size in zip(chosen, sizes, strict=True):
        if size != sizes[0]:
            raise BadInput(f"{file.name} is {by(size)} and {chosen[0].name} {by(sizes[0])}: "
                           "pictures of a folder have one size; crop or scale them")
    if others:
        notes.append(f"{others} files in the folder are no pictures and are left out")
    times = tuple(number / RATE for number in range(len(chosen)))
    return Footage(path.name, partial(shots, chosen), times, len(chosen) / RATE, sizes[0], notes=tuple(notes))


def listed(path: Path) -> tuple[list[Path], int]:
    """The pictures of a folder in the order people count, 2 before 10; and how many other files there are.  BadInput: none."""
    files = [file for file in path.iterdir() if file.is_file() and not file.name.startswith(".")]
    chosen = sorted((file for file in files if file.suffix.lower() in SUFFIXES), key=counted)
    if not chosen:
        raise BadInput(f"there are no pictures in the folder {path}: it needs files that end in {' '.join(SUFFIXES)}")
    return chosen, len(files) - len(chosen)


def animation(path: Path, enough: int | None) -> Footage:
    """An animated WebP, which tells the time of a frame once the frame is decoded."""
    times, notes, faults = [], [], []
    end, size, clear = Fraction(0), (0, 0), False
    with opened(path) as image:
        size, told = image.size, getattr(image, "n_frames", 1)
        for number in range(told)[:enough]:
            try:
                image.seek(number)
                image.load()
            except Exception:                           # Pillow's readers raise whatever comes
                faults.append(f"ends early: {number} of {told} frames can be read")
                break
            times.append(Fraction(image.info["timestamp"], 1000))
            end = times[-1] + Fraction(max(image.info["duration"], 1), 1000)
            clear = clear or see_through(image)
    if not times:
        raise BadInput(f"{path.name} holds no frame that can be read")
    if any(later <= sooner for sooner, later in pairwise(times)):
        notes.append(f"its times do not increase: shown at {RATE} a second")
        times, end = [number / RATE for number in range(len(times))], len(times) / RATE
    notes += [TRANSPARENT] * clear + faults
    whole = enough is None or told <= enough or bool(faults)
    return Footage(path.name, partial(turning, path), tuple(times), end, size, whole, tuple(notes), faults=tuple(faults))


def shots(files: list[Path]) -> Iterator[Shot]:
    for file in files:
        yield partial(load, file)


def load(file: Path) -> Image.Image:
    with opened(file) as image:
        return flat(upright(image))


def turning(path: Path) -> Iterator[Shot]:
    with opened(path) as image:
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            image.load()
            yield partial(flat, image.copy())


def measured(file: Path, notes: list[str]) -> Size:
    """Width and height of a picture, without decoding it where it need not be turned."""
    with opened(file) as image:
        if image.has_transparency_data and TRANSPARENT not in notes:
            notes.append(TRANSPARENT)
        turned = image.getexif().get(0x0112, 1) >= 5    # EXIF's Orientation: 5 to 8 lie on their side
        return (image.height, image.width) if turned else image.size


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """A picture whose reading, inside, fails with BadInput."""
    try:
        small_claim(path)
        with Image.open(path, formats=FORMATS) as image:
            small_enough(path.name, image.size)
            yield image
    except BadInput:
        raise
    except Image.DecompressionBombError as error:
        raise BadInput(too_large(path.name)) from error
    except Exception as error:                          # Pillow's readers raise whatever comes
        raise BadInput(f"{path.name} cannot be read as a picture: it is damaged, or not {', '.join(FORMATS)}") from error


def upright(image: Image.Image) -> Image.Image:
    image.load()
    return ImageOps.exif_transpose(image)


def flat(image: Image.Image) -> Image.Image:
    """RGB of 8 bits, transparent parts laid on white."""
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def see_through(image: Image.Image) -> bool:
    return image.has_transparency_data and bool((np.asarray(image.convert("RGBA"))[..., 3] < 255).any())


def counted(file: Path) -> list[tuple[int, str]]:
    """Sorts frame_2 before frame_10."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", file.name.lower())]
