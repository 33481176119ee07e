"""Clips laid side by side, to look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ..aside import aside
from ..errors import BadInput
from .clip import Video
from .footage import Size, as_frames, as_pixels

GAP = 4                                                 # white pixels between clips
COMPARED = 256                                          # pixels up to which tiny clips are enlarged beside each other
QUALITY = 80                                            # of a sheet that is a WebP
TILE = (128, 512)                                       # smaller frames are enlarged on a sheet, larger ones made smaller


def compare(source: Video, edits: Video | Sequence[Video], path: str | Path, least: int = COMPARED) -> tuple[str, ...]:
    """Writes the source beside its edits, all at the first edit's height, in the source's timing and with its sound.

    least: pixels up to which tiny clips are enlarged, by a whole factor and without smoothing.  Returns notes as `Video.write`
    does.
    Raises BadInput if they differ in their number of frames.
    """
    edits = [edits] if isinstance(edits, Video) else edits
    for edit in edits:
        if len(source) != len(edit):
            raise BadInput(f"the source has {len(source)} frames and the edit {len(edit)}: compare clips of one length")
    clips, first = [source, *edits], edits[0].size
    height = first[1] * max(1, least // max(first))
    sizes = [(round(clip.size[0] * height / clip.size[1]), height) for clip in clips]

    def take(numbers: range):                           # (f 3 h w)
        which = slice(numbers.start, numbers.stop, numbers.step)
        together = zip(*(as_pixels(clip[which]) for clip in clips), strict=True)
        return as_frames([beside([sized(*one) for one in zip(frames, sizes, strict=True)]) for frames in together])

    wide = sum(width for width, _ in sizes) + GAP * (len(clips) - 1)
    return source.with_pictures(take, len(source), (wide, height)).write(path)


def sheet(videos: Video | Sequence[Video], path: str | Path, columns: int = 8, least: int = TILE[0]) -> None:
    """A picture, by its name a PNG or a WebP, with a row a clip: at most `columns` of its frames, spread evenly from the first
    to the last.

    least: pixels up to which tiny frames are enlarged, by a whole factor and without smoothing; large ones are made smaller.
    """
    rows = []
    for video in [videos] if isinstance(videos, Video) else videos:
        numbers = np.linspace(0, len(video) - 1, min(columns, len(video))).round().astype(int)
        rows.append(beside([tile(as_pixels(video[number:number + 1])[0], least) for number in numbers.tolist()]))
    with aside(Path(path)) as part:
        Image.fromarray(beside([row.transpose(1, 0, 2) for row in rows]).transpose(1, 0, 2)).save(part, quality=QUALITY)


def tile(pixels: np.ndarray, least: int) -> np.ndarray: # (h w 3) -> (h w 3)
    longest = max(pixels.shape)
    if longest <= TILE[1]:
        factor = max(1, least // longest)
        return sized(pixels, (pixels.shape[1] * factor, pixels.shape[0] * factor))
    image = Image.fromarray(pixels)
    image.thumbnail((TILE[1], TILE[1]), Image.Resampling.LANCZOS)
    return np.asarray(image)


def sized(pixels: np.ndarray, size: Size) -> np.ndarray:    # (h w 3) -> (h w 3)
    """Smoothed, unless pixels become whole blocks."""
    height, width, _ = pixels.shape
    blocks = size[0] % width == 0 and size[1] % height == 0
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST if blocks else Image.Resampling.LANCZOS))


def beside(tiles: Sequence[np.ndarray]) -> np.ndarray:  # (h w 3) each -> (h w 3)
    """Tiles from left to right with white between and below."""
    height = max(tile.shape[0] for tile in tiles)
    gap = np.full((height, GAP, 3), 255, np.uint8)
    parts = []
    for tile in tiles:
        below = ((0, height - tile.shape[0]), (0, 0), (0, 0))
        parts += [gap, np.pad(tile, below, constant_values=255)]
    return np.concatenate(parts[1:], 1)
