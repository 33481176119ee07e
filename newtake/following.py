"""A job on several ranks: rank 0 has the clip, the inversions and the results; the others do the same work with it.

They load the network themselves.  What they need of the clip comes by the passes, and of inversions by files.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from .cache import Cache, Paths, named
from .errors import Note
from .inversion.trajectory import Trajectory
from .ranks import ranks
from .ready import Ready, Way, network
from .shelf import Shelf, keeping, shelf

if TYPE_CHECKING:
    from torch import Tensor

    from .models.unet import UNet
    from .record import Job

Work = Callable[[Ready, Way], object]                   # that pickle knows by its name


@contextmanager
def leading(work: Work, ready: Ready, way: Way) -> Iterator[None]:
    """Inside, rank 0 does this work, and the others with it."""
    clip, here = ready.clip, ranks()
    pictures = [guest.pictures for guest in ready.model.guests]
    with here.leading(followed, work, ready.job, Way(way.download, way.trust), len(clip), clip.size, ready.shots, ready.mask,
                      pictures):
        joined(lambda: ready.model)
        yield


def joined(make: Callable[[], UNet]) -> UNet:
    """This rank's network, where all ranks have theirs.  BadInput on all where one has none, or not on a device of its own."""
    model = ranks().agreed(make)
    if ranks().of > 1:
        ranks().apart(model.device)
    return model


def followed(work: Work, job: Job, way: Way, frames: int, size: tuple[int, int], shots: list[range], mask: Tensor | None,
             pictures: list[Tensor]) -> None:
    """On a rank that follows: the same work, with a clip that has no pictures."""
    from .methods import configured
    from .video import Video

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Note)           # rank 0 tells of it
        if job.threads is not None:
            torch.set_num_threads(job.threads)
        model = joined(lambda: invited(network(job, way), job, way, pictures))
        clip = Video.of(torch.zeros(1, 3, size[1], size[0]).expand(frames, -1, -1, -1))
        work(Ready(job, clip, shots, mask, configured(job.method, **job.settings), model, None, {}, None, []), way)


def invited(model: UNet, job: Job, way: Way, pictures: list[Tensor]) -> UNet:
    """With the job's guests, whose control pictures rank 0 has read or drawn."""
    from .models.guests import load

    guests = [load(one, shown, model.device, model.dtype, way.download, way.trust)
              for one, shown in zip(job.guests, pictures, strict=True)]
    return model.with_guests(*guests) if guests else model


# Inversions

@dataclass(frozen=True)
class Told(Paths):
    """Those of rank 0.  The others have a copy of what lies there, and go on with it, as long as they need it."""

    cache: Cache | None                                 # None: on a rank that follows

    def path(self, key, make, count, device):
        return followed_path(make, device) if self.cache is None else led_path(self.cache, key, make, count, device)


@contextmanager
def led_path(cache: Cache, key: Any, make: Callable[[], Trajectory], count: Any, device: str) -> Iterator[Any]:
    here = ranks()

    def together() -> Trajectory:
        here.told(lambda: None)                         # there is one to be made
        send(shelf().folder or Path())
        return make()

    with cache.path(key, together, count, device) as kept:
        here.told(lambda: kept._replace(path=None))
        if not kept.fresh:
            send(cache.folder / named(key))
        yield kept


@contextmanager
def followed_path(make: Callable[[], Trajectory], device: str) -> Iterator[Any]:
    here, path = ranks(), None
    with tempfile.TemporaryDirectory(prefix="newtake-") as name:
        folder = Path(name)
        while (kept := here.told()) is None:
            receive(folder)
            with keeping(Shelf(folder, device)):
                path = make()
        if not kept.fresh:
            receive(folder)
            path = Trajectory.load(folder, device)
        yield kept._replace(path=path)


def send(folder: Path) -> None:
    for file in sorted(folder.glob("*")):
        ranks().told(lambda file=file: (file.name, file.read_bytes()))
    ranks().told(lambda: None)


def receive(folder: Path) -> None:
    while (one := ranks().told()) is not None:
        name, content = one
        (folder / name).write_bytes(content)
