"""The processes that torchrun starts, a rank each, and what they tell each other.

Rank 0 is newtake as ever.  The others follow: what rank 0 leads they do as well, in the same order, and they read, write and
say nothing themselves.  Which ranks there are is set around the work (`ranks`), so that no loop knows of processes.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar, final

from ..errors import BadInput

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Made = TypeVar("Made")

PATIENCE = timedelta(hours=2)                           # how long one waits for another that lives
NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")       # of the environment, as torchrun sets it


@final
class Ranks:
    """This process among its equals; by itself where nobody started others."""

    def __init__(self, number: int = 0, of: int = 1):
        self.number, self.of = number, of
        self.sent = 0                                   # bytes of tensors that this rank sent to others
        self.waiting = True                             # whether who follows waits for work

    # Tensors: the same calls, in the same order, on every rank

    def exchanged(self, z: Tensor, sends: Sequence[int], receives: Sequence[int]) -> Tensor:
        """z (a ...): the first so many to rank 0, the next to rank 1.  What came, in the order of who sent it.

        The gradient goes back the way it came.
        """
        from .exchange import Exchange

        return Exchange.apply(z, sends, receives, self)         # pyright: ignore[reportReturnType]

    def gathered(self, z: Tensor) -> Tensor:
        """z (a ...), of one shape on all ranks -> (ranks a ...).  Its gradient is the sum of what they all make of it."""
        return self.exchanged(z.expand(self.of, *z.shape), [1] * self.of, [1] * self.of)

    def alike(self, z: Tensor) -> Tensor:
        """What is the same on all ranks, each of which makes a part of one answer of it: its gradient is their mean.

        The mean, since every rank goes back from the whole answer, so that what it gathered gets a gradient as often.
        """
        from .exchange import Alike

        return Alike.apply(z, self) if z.requires_grad else z   # pyright: ignore[reportReturnType]

    def average(self, z: Tensor) -> None:
        """In place, over the ranks."""
        import torch.distributed as dist

        if self.of > 1:
            dist.all_reduce(z)
            z /= self.of
            self.sent += 2 * (self.of - 1) * z.nbytes // self.of    # as a ring sends it

    def spread(self, z: Tensor, source: int = 0) -> Tensor:
        """That of the rank `source`, on all ranks; others hand in one of its shape.  Its gradient is the sum of theirs."""
        from .exchange import Spread

        return Spread.apply(z, source, self)                    # pyright: ignore[reportReturnType]

    def passes_on(self, source: int) -> bool:
        """Whether this rank sends something when what `source` has goes round, as in a ring."""
        return (self.number + 1) % self.of != source

    # Anything else

    def told(self, make: Callable[[], Any] | None = None) -> Any:
        """What rank 0 makes, which pickle has to know.  Where rank 0 cannot, its BadInput is everybody's.

        make: what rank 0 calls; the others need none.
        """
        import torch

        if make and self.of == 1:
            return make()
        box: list[Any] = [None]
        if make and self.number == 0:
            box[0] = tried(make)
        torch.distributed.broadcast_object_list(box, 0, device=torch.device("cpu"))
        made, wrong = box[0]
        if wrong is not None:
            raise BadInput(wrong)
        return made

    def agreed(self, make: Callable[[], Made]) -> Made:
        """What this rank makes.  BadInput on all where one of them cannot."""
        if self.of == 1:
            return make()
        made, wrong = tried(make)
        for number, one in enumerate(self.every(wrong)):
            if one is not None:
                raise BadInput(f"rank {number}: {one}" if number else one)
        return made                                     # pyright: ignore[reportReturnType]

    def every(self, one: Any) -> list[Any]:
        """What each rank has in the place of this one, rank 0's first."""
        import torch.distributed as dist

        found: list[Any] = [None] * self.of
        dist.all_gather_object(found, one)
        return found

    def apart(self, device: torch.device) -> None:
        """BadInput unless the ranks can work on devices such as this one, on a GPU one alone."""
        every = self.every((socket.gethostname(), str(device)))
        if device.type not in ("cpu", "cuda"):
            raise BadInput(f"several ranks work on GPUs of NVIDIA or on processors, not on {device}; give --device cpu")
        if device.type == "cuda" and len({*every}) < self.of:
            raise BadInput(f"{self.of} ranks need a GPU each, and some have the same; give --nproc-per-node as many as there "
                           "are, and --device cuda without a number")

    # Who leads and who follows

    @contextmanager
    def leading(self, work: Callable[..., object], *given: Any) -> Iterator[None]:
        """Inside, rank 0 does its part of what the others do: this work, which pickle knows by its name, with what is given."""
        if self.of > 1:
            self.told(lambda: (work, given))
            self.waiting = False
        yield
        self.waiting = True

    def follow(self) -> int:
        """Does what rank 0 leads, until it ends; its exit code."""
        while not isinstance(order := self.told(), int):
            self.waiting, (work, given) = False, order
            work(*given)
            self.waiting = True
        return order

    def end(self, code: int) -> None:
        """Rank 0 lets those go who wait for work.  Who is amidst of it ends by the same mistake, or for want of the others."""
        if self.of > 1 and self.number == 0 and self.waiting:
            self.told(lambda: code)


def tried(make: Callable[[], Made]) -> tuple[Made | None, str | None]:
    """What was made, and what was wrong."""
    try:
        return make(), None
    except BadInput as wrong:
        return None, str(wrong)


_ranks: ContextVar[Ranks | None] = ContextVar("ranks", default=None)


def ranks() -> Ranks:
    """Those that are set; else one, by itself."""
    return _ranks.get() or Ranks()


@contextmanager
def among(these: Ranks) -> Iterator[Ranks]:
    """Inside, work is shared out over these; `among(Ranks())`: over nobody."""
    token = _ranks.set(these)
    try:
        yield these
    finally:
        _ranks.reset(token)


@contextmanager
def opened() -> Iterator[Ranks]:
    """Among the ranks that torchrun started, each with the GPU of its number, where there is one; else among nobody."""
    if not {*NEEDED} <= {*os.environ} or int(os.environ["WORLD_SIZE"]) == 1:
        with among(Ranks()) as alone:
            yield alone
        return
    import torch
    import torch.distributed as dist
    import torch.distributed.nn.functional  # made later, its functions would hold the group for ever

    if (place := int(os.environ.get("LOCAL_RANK", 0))) < torch.cuda.device_count():
        torch.cuda.set_device(place)
    signal.signal(signal.SIGTERM, signal.default_int_handler)       # by which torchrun ends us: as ctrl-C, which clears up
    there = dist.is_initialized()
    if not there:
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=PATIENCE)
    here = Ranks(dist.get_rank(), dist.get_world_size())
    try:
        with among(here):
            yield here
    finally:                                            # gloo's threads must not outlive Python; nccl would wait
        if not there and (here.waiting or not torch.cuda.is_available()):
            dist.destroy_process_group()
