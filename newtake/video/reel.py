"""Frames on disk, exactly as they were made, for clips that are longer than memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import BadInput
from .clip import Video

if TYPE_CHECKING:
    from torch import Tensor


class Reel:
    """Frames (f 3 h w), float32, added one chunk after the other.  The file has no name, and goes with whoever reads it."""

    def __init__(self, folder: Path | None = None):     # None: the system's for temporary files
        self.folder = folder or Path(tempfile.gettempdir())
        with self._writing():
            self.file, self.count = tempfile.TemporaryFile(dir=folder), 0   # noqa: SIM115  open as long as this lives
        self.shape: tuple[int, ...] = ()                # of a frame

    def add(self, frames: Tensor) -> None:
        """Raises BadInput where the disk is full."""
        pixels = frames.detach().float().cpu().contiguous().numpy()
        self.shape, self.count = pixels.shape[1:], self.count + len(pixels)
        with self._writing():
            self.file.seek(0, 2)
            self.file.write(pixels.tobytes())
            self.file.flush()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as wrong:
            raise BadInput(f"frames cannot wait in {self.folder} to be written: {wrong.strerror}; make room") from wrong

    def take(self, numbers: range) -> Tensor:           # (f 3 h w)
        import torch

        many = prod(self.shape)
        found = np.empty((len(numbers), *self.shape), np.float32)
        for place, number in enumerate(numbers):
            self.file.seek(4 * many * number)
            found[place] = np.frombuffer(self.file.read(4 * many), np.float32).reshape(self.shape)
        return torch.from_numpy(found)

    def video(self, like: Video) -> Video:
        """The frames as a clip, with the timing and the sound of another of as many."""
        _, height, width = self.shape
        return like.with_pictures(self.take, self.count, (width, height))
