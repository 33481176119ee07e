"""Frames on disk, exactly as they were made, for clips that are longer than memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import BadInput
from .clip import Video

if TYPE_CHECKING:
    from torch import Tensor


def mapped(chunks: Iterable[Tensor]) -> Tensor:
    """Chunks one after the other as one tensor that lies on disk."""
    reel = Reel()
    for some in chunks:
        reel.add(some)
    return reel.tensor()


class Reel:
    """Frames (f 3 h w), or others of one shape, float32 or wider, added one chunk after the other.

    The file has no name, and goes with whoever reads it.
    """

    def __init__(self, folder: Path | None = None):     # None: the system's for temporary files
        self.folder = folder or Path(tempfile.gettempdir())
        with self._writing():
            self.file, self.count = tempfile.TemporaryFile(dir=folder), 0   # noqa: SIM115  open as long as this lives
        self.shape: tuple[int, ...] = ()                # of a frame
        self.kind = np.dtype(np.float32)

    def add(self, frames: Tensor) -> None:
        """Raises BadInput where the disk is full."""
        wide = frames.detach() if frames.element_size() > 4 else frames.detach().float()
        pixels = wide.cpu().contiguous().numpy()
        self.shape, self.kind, self.count = pixels.shape[1:], pixels.dtype, self.count + len(pixels)
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

        many = self.kind.itemsize * prod(self.shape)
        found = np.empty((len(numbers), *self.shape), self.kind)
        for place, number in enumerate(numbers):
            self.file.seek(many * number)
            found[place] = np.frombuffer(self.file.read(many), self.kind).reshape(self.shape)
        return torch.from_numpy(found)

    def tensor(self) -> Tensor:                         # (f 3 h w)
        """All frames, mapped: of them what is looked at is in memory, as long as there is room."""
        import torch

        return torch.from_numpy(np.memmap(self.file, self.kind, "c", shape=(self.count, *self.shape)))

    def video(self, like: Video) -> Video:
        """The frames as a clip, with the timing and the sound of another of as many."""
        _, height, width = self.shape
        return like.with_pictures(self.take, self.count, (width, height))
