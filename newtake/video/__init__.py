"""Clips on disk: reading, writing, laying side by side.

    video = Video.read("clip.mp4", frames=16, size=(512, 512))
    video[0:8]                                          # (8 3 512 512) in [-1, 1]
    Video.of(edited, like=video).write("edit.mp4")

Files come from strangers.  FFmpeg (through PyAV) may open four containers and local files only, Pillow a handful of formats,
and neither a picture of more than `MOST_PIXELS`; everything they cannot read is BadInput.
"""

from .clip import Video
from .footage import MOST_PIXELS, as_pixels
from .show import compare, sheet

__all__ = ["MOST_PIXELS", "Video", "as_pixels", "compare", "sheet"]
