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

from .aside import aside
from .cache import Cache, Paths, named
from .errors import BadInput, Note
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
    """This rank's network, where all ranks have the same.  BadInput on all where one has another or none, or not on a device of
    its own."""
    here = ranks()
    model = here.agreed(make)
    if here.of > 1:
        here.apart(model.device)
        hashes = here.every(model.hash)
        if other := [number for number, one in enumerate(hashes) if one != hashes[0]]:
            raise BadInput(f"rank {other[0]} has another network than rank 0; put the same files on every machine")
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
        copied(shelf().folder)
        return make()

    with cache.path(key, together, count, device) as kept:
        here.told(lambda: kept._replace(path=None))
        if not kept.fresh:
            copied(cache.folder / named(key))
        yield kept


@contextmanager
def followed_path(make: Callable[[], Trajectory], device: str) -> Iterator[Any]:
    here, path = ranks(), None
    with tempfile.TemporaryDirectory(prefix="newtake-") as name:
        folder = Path(name)
        while (kept := here.told()) is None:
            copied(folder)
            with keeping(Shelf(folder, device)):
                path = make()
        if not kept.fresh:
            copied(folder)
            path = Trajectory.load(folder, device)
        yield kept._replace(path=path)


def copied(folder: Path | None) -> None:
    """The files of rank 0's folder, in those of the others.  BadInput on all where one has no room."""
    here = ranks()
    for name in here.told(lambda: sorted(file.name for file in folder.glob("*")) if folder else []):
        content = here.told(lambda name=name: (folder / name).read_bytes())
        here.agreed(lambda name=name, content=content: None if here.number == 0 else put(folder / name, content))


def put(file: Path, content: bytes) -> None:
    with aside(file) as part:
        part.write_bytes(content)
