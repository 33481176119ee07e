"""One clip, one method, one network: latents in chunks, an inversion that may be there already, frames that wait on disk."""

from __future__ import annotations

import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from .cache import Kept, Memory, Paths
from .errors import BadInput, Note
from .methods.request import Request, request
from .methods.where import in_source, where
from .models.counted import Counted
from .models.ranks import shared_out
from .models.vae import at_once
from .models.windows import Windowed
from .prompts import size_noted, stated
from .ranks import ranks
from .record import Edit, hash_of_frames, versions
from .track import track
from .video.reel import Reel

if TYPE_CHECKING:
    from torch import Tensor

    from .inversion.trajectory import Trajectory
    from .methods.method import Method
    from .models.model import Model
    from .models.unet import UNet
    from .video import Video


@dataclass(frozen=True)
class Means:
    """What an edit is made with.  Of it only windows show in the edit: see `models.windows`."""

    paths: Paths = field(default_factory=Memory)        # where inversions are
    windows: tuple[int, int] | None = None              # frames that the network sees at once: of the inversion, of the edit
    scratch: Path | None = None                         # where frames wait until they are written; None: the system's place
    watch: Callable[[Model], Model] = lambda model: model   # what is put around the model while it edits

    def windowed(self, model: UNet, method: Method, video: Video, editing: bool) -> Windowed:
        """windows None: all frames at once."""
        size = self.windows[editing] if self.windows else len(video)
        return Windowed(shared_out(model), size, method.setup.frames, model.mixed)


def edited(video: Video, source: str, targets: Sequence[str], method: Method, model: UNet, seed: int = 0,
           means: Means | None = None, located: bool = False, **said: Any) -> Edit:
    """The clip as each of the targets says; they share one inversion.

    located: whether it is wanted where the targets may differ from the clip.  said: what `methods.request.request` takes.
    """
    means = means or Means()
    stated(source, targets, said.get("weights") or {}, said.get("shares") or {})
    size_noted(video, model)
    if method.tuned and not model.temporal:
        warnings.warn("this method is for a network that was tuned to the clip: newtake tune CLIP --out ADAPTER, and then "
                      "--adapter ADAPTER", Note, stacklevel=2)
    ask, seconds = request(model, source, targets, seed=seed, **said), {}
    counted = Counted(means.windowed(model, method, video, editing=True))
    if ask.mask is not None and len(ask.mask) != len(video):
        raise BadInput(f"the mask is of {len(ask.mask)} frames, the clip of {len(video)}")
    with torch.no_grad(), inverted(video, source, method, model, ask, means, seconds) as kept:
        with timed(seconds, "editing"):
            z = method(means.watch(counted), kept.path, ask)
            inside = where(counted, method.setup, kept.path, z, ask) if located else None
        with timed(seconds, "decoding"):
            videos = tuple(decoded(counted, row, video, means.scratch) for row in z)
    return Edit(videos, video, model, method, counted.evaluations + kept.now, seconds, inside, asked_of(kept))


def located(video: Video, source: str, targets: Sequence[str], method: Method, model: UNet, seed: int = 0,
            means: Means | None = None, **said: Any) -> Tensor:
    """Where the words that change are in the clip, (r f h w) bools in latents: see `methods.where.in_source`."""
    windowed = (means or Means()).windowed(model, method, video, editing=False)
    with torch.no_grad():
        return in_source(windowed, method.setup, encoded(windowed, video), request(model, source, targets, seed=seed, **said))


@contextmanager
def inverted(video: Video, source: str, method: Method, model: UNet, ask: Request, means: Means,
             seconds: dict[str, float]) -> Iterator[Kept]:
    """The path of the clip, which may be there already."""
    windowed = means.windowed(model, method, video, editing=False)
    counted = Counted(windowed)

    def make() -> Trajectory:
        with timed(seconds, "encoding"):
            z0 = encoded(counted, video)
        with timed(seconds, "inverting"):
            return method.invert(counted, z0, ask)

    key = key_of(video, source, method, model, ask, windowed)
    with means.paths.path(key, make, lambda: counted.evaluations, str(model.device)) as kept:
        yield kept


def joined(shots: Sequence[Edit], clip: Video) -> Edit:
    """The edits of a clip's shots as one of the clip."""
    from .video import Video

    first, *others = shots
    if not others:
        return replace(first, source=clip)
    seconds = {what: round(sum(one.seconds.get(what, 0.0) for one in shots), 2) for one in shots for what in one.seconds}
    inside = [one.inside for one in shots if one.inside is not None]
    inversion = {name: sum(one.inversion[name] for one in shots) for name in ("evaluations", "evaluations_now", "seconds")}
    return replace(first, videos=tuple(Video.joined(parts, clip) for parts in zip(*(one.videos for one in shots), strict=True)),
                   source=clip, inside=torch.cat(inside, 1) if inside else None,
                   evaluations=sum(one.evaluations for one in shots), seconds=seconds,
                   inversion=inversion | {"made_now": all(one.inversion["made_now"] for one in shots)})


def asked_of(kept: Kept) -> dict[str, Any]:
    """What the inversion took when it was made, what of it now, and whether it ended now."""
    return {"evaluations": kept.evaluations, "evaluations_now": kept.now, "seconds": kept.seconds, "made_now": kept.fresh}


def key_of(video: Video, source: str, method: Method, model: UNet, ask: Request, windowed: Windowed) -> Mapping[str, Any]:
    """All that decides the bits of an inversion."""
    window = None if len(video) <= windowed.size else [windowed.size, windowed.overlap, list(windowed.look)]
    return {"pixels": hash_of_frames(video), "frames": len(video), "size": list(video.size), "model": model.hash,
            "source": source, "path": repr(method.path_key(ask)), "window": window, "dtype": str(model.dtype),
            "device": model.device.type, "threads": torch.get_num_threads(), "ranks": ranks().of, **versions()}


def encoded(model: Model, video: Video) -> Tensor:      # (1 f c h w)
    many = at_once(*video.size) * ranks().of
    parts = [numbers(model.encode(video[i:i + many])) for i in track(range(0, len(video), many), "encoding")]
    return torch.cat(parts, 1)


def decoded(model: Model, z: Tensor, like: Video, scratch: Path | None) -> Video:
    """Latents (f c h w) as a clip, its frames on disk; rank 0 alone keeps them."""
    many = at_once(*like.size) * ranks().of
    pictures = (numbers(model.decode(some)) for some in track(z.split(many), "decoding"))
    if ranks().number:
        deque(pictures, 0)
        return like
    return on_disk(pictures, like, scratch)


def on_disk(pictures: Iterable[Tensor], like: Video, scratch: Path | None) -> Video:
    """Frames as a clip, put on disk as they come."""
    reel = Reel(scratch)
    for some in pictures:
        reel.add(some)
    return reel.video(like)


def numbers(given: Tensor) -> Tensor:
    """What the autoencoder gave.  BadInput where it is none."""
    if not given.isfinite().all():
        raise BadInput("the autoencoder's answer is not a number: try --dtype fp32, or bf16")
    return given


@contextmanager
def timed(seconds: dict[str, float], what: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    seconds[what] = round(time.monotonic() - start, 2)
