"""What an edit will take, before it is made: evaluations, memory, disk and time.

Evaluations are counted, not reckoned: the method itself runs on a model without a network (`models.shadow`).  Memory comes
from the shapes of the network, time from one evaluation of it.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from math import ceil, prod
from typing import TYPE_CHECKING, Any

from .cache import spoken
from .errors import BadInput, Note
from .free_memory import taken
from .ranks import Ranks, among, ranks
from .track import watched

if TYPE_CHECKING:
    from .methods.method import Method
    from .methods.request import Request
    from .models.unet import UNet
    from .video import Video

MARGIN = 1.2                                            # what kernels take beside the tensors that are seen
FIXED = 160 << 20                                       # bytes, whatever the size
STATES = 8                                              # latents of the whole clip that are alive at once, a row
SHARE = 0.7                                             # of the memory that is free, where nobody said how much
SEEN, SIDE = 2, 4                                       # of the shadow's clip: frames, and latents along a side
TIMED = 4                                               # frames of the evaluation that is timed, at most


@dataclass(frozen=True)
class Estimate:
    """Of all shots of a clip together.  Evaluations are at most so many: some methods and inversions look what is needed."""

    evaluations: int                                    # row-passes of the denoiser over the clip
    inverting: int                                      # of them by the inversion
    rows: int                                           # at once, at most
    windows: tuple[int, int] | None                     # frames at once, inverting and editing; None: all
    frames: tuple[int, int]                             # that the network sees in one pass over the clip
    seconds: float
    memory: int                                         # bytes, at the most
    disk: int                                           # bytes, of the inversion, frames on their way, control pictures

    @property
    def told(self) -> dict[str, Any]:
        """As run.json has it."""
        rounded = {"seconds": round(self.seconds, 1), "memory_mb": self.memory >> 20, "disk_mb": self.disk >> 20}
        return {name: value for name, value in asdict(self).items() if name not in ("seconds", "memory", "disk")} | rounded

    def lines(self) -> list[str]:
        window = "all frames at once" if self.windows is None else f"{self.windows[1]} frames at once"
        return [f"{self.evaluations} evaluations of the denoiser, at most, {self.inverting} of them by the inversion; "
                f"{self.rows} rows of {window}",
                f"about {self.seconds:.0f} s, {spoken(self.memory)} of memory, {spoken(self.disk)} of disk"]


@dataclass(frozen=True)
class Counts:
    """Row-passes, the most rows at once, and whether gradients are taken."""

    evaluations: int
    rows: int
    graph: bool


def counts(method: Method, model: UNet, ask: Request, located: bool) -> tuple[Counts, Counts]:
    """Of the inversion and of the edit, whatever the clip's length.  located: with the pass that says where it differs."""
    import torch

    from .methods.where import where
    from .models.counted import Counted
    from .models.shadow import Shadow

    there, longest = Shadow(model.scheduler), method.longest()
    inverting, editing = Counted(there), Counted(there)
    small = replace(ask, mask=None if ask.mask is None else ask.mask[:SEEN])
    frames = SEEN if small.mask is None else len(small.mask)
    z0 = torch.randn(1, frames, model.net.config.in_channels, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), quiet(), among(Ranks()):
        path = longest.invert(inverting, z0, small)
        z = longest(editing, path, small)
        if located:
            where(editing, longest.setup, path, z, small)
    one, other = (Counts(counted.evaluations, max(1, counted.rows), counted.graph) for counted in (inverting, editing))
    return one, other


@contextmanager
def quiet() -> Iterator[None]:
    """Inside, nothing is noted or shown."""
    with warnings.catch_warnings(), watched(lambda what, done, of: None):
        warnings.simplefilter("ignore", Note)
        yield


def estimate(method: Method, model: UNet, ask: Request, shots: Sequence[Video], memory: int | None = None,
             windows: tuple[int, int] | None = None, located: bool = False) -> Estimate:
    """Of an edit of these shots of a clip, all of one size, each by itself.

    memory: bytes that newtake may take in all; None: most of what is free.  windows: frames at once, in the inversion and in
    the edit; None: as many as memory allows.  located: as `edits.edited` has it.  Raises BadInput where memory is too little
    for one frame.
    """
    from .models.footprint import activations
    from .models.windows import Windowed

    many, (w, h) = [len(shot) for shot in shots], shots[0].size
    both, size = counts(method, model, ask, located), (h // model.factor, w // model.factor)
    a_frame = [int(MARGIN * there.rows * activations(model, size, there.graph)) for there in both]
    latents = 4 * model.net.config.in_channels * prod(size)                         # bytes of a frame's
    now, unused = taken(model.device)
    base = [now + FIXED + STATES * there.rows * latents * max(many) for there in both]
    most = int(SHARE * (now + unused)) if memory is None else memory
    least = max(map(sum, zip(base, a_frame, strict=True)))
    if windows is None and least > most:
        raise BadInput(f"{spoken(most)} of memory is too little: one frame takes {spoken(least)}; give more with --memory, "
                       "or a smaller --size")
    devices = ranks().of if model.device.type == "cuda" else 1      # each with memory of its own
    chosen = windows or (steady((most - base[0]) // a_frame[0]) * devices, steady((most - base[1]) // a_frame[1]) * devices)
    frames = [sum(map(Windowed(model, window, method.setup.frames, model.mixed).asked, many)) for window in chosen]
    steps, words = len(model.levels(method.setup.steps)), 256 * len(ask.source.told or range(77))
    seconds = pass_seconds(model, ask, method.setup.steps, size, min(*chosen, TIMED, max(many)))
    seconds *= sum(there.evaluations * seen for there, seen in zip(both, frames, strict=True)) / ranks().of
    seconds += sum(many) * picture_seconds(model, shots[0], 1 + len(ask.changes))
    return Estimate(
        len(shots) * sum(there.evaluations for there in both), len(shots) * both[0].evaluations, both[1].rows,
        chosen if min(chosen) < max(many) else None, (frames[0], frames[1]), seconds,
        max(held + one * ceil(min(window, max(many)) / devices)
            for held, one, window in zip(base, a_frame, chosen, strict=True)),
        sum(many) * (steps * (2 * latents + 4 * words) + 12 * w * h * (len(ask.changes) + len(model.guests))))


def steady(window: int) -> int:
    """1, 2, 3, 4, 6, 8, 12...: at most so many.  What is free always changes a little, and what is kept is of one window."""
    return window & (3 << max(0, window.bit_length() - 2))


def pass_seconds(model: UNet, ask: Request, steps: int, size: tuple[int, int], frames: int) -> float:
    """Of one frame in one row, by the second of two passes over so many."""
    import torch

    z, at = torch.zeros(1, frames, model.net.config.in_channels, *size), model.levels(steps)[0]
    with torch.no_grad():
        return timed(lambda: model.predict(z, at, ask.source).out.sum().item()) / frames


def picture_seconds(model: UNet, shot: Video, often: int) -> float:
    """Of a frame that is encoded or decoded so often."""
    import torch

    with torch.no_grad(), quiet():
        return timed(lambda: model.decode(model.encode(shot[:1])[0]).sum().item()) * often / 2


def timed(work: Callable[[], object]) -> float:
    """Seconds of the second time."""
    work()
    start = time.monotonic()
    work()
    return time.monotonic() - start
