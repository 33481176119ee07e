"""Where long work keeps what each of its steps leaves: in memory, or in a folder, from which it goes on after it was cut short.

Which shelf it is, is set around the work (`keeping`), so that no loop knows of files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from .aside import aside
from .errors import BadInput
from .ranks import ranks
from .track import track

Thing = TypeVar("Thing")
Item = TypeVar("Item")
State = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Series(Sequence[Thing], Generic[Thing]):
    """Things that are fetched when they are asked for; a slice of them is as lazy."""

    fetch: Callable[[int], Thing]
    numbers: Sequence[int]                              # of each thing, as `fetch` knows it
    origin: tuple[str, str] | None = None               # work and name on a shelf; None: made of others

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, which: int) -> Thing: ...
    @overload
    def __getitem__(self, which: slice) -> Series[Thing]: ...
    def __getitem__(self, which):
        if isinstance(which, slice):
            return Series(self.fetch, self.numbers[which], self.origin)
        return self.fetch(self.numbers[which])


class Shelf:
    """Tensors by work, step and name.  In a folder: a safetensors a step, memory-mapped when it is read, there whole or not."""

    def __init__(self, folder: Path | None = None, device: str | None = None):
        self.folder, self.device = folder, device or "cpu"
        self.memory: dict[tuple[str, int], State] = {}
        self.last: dict[tuple[str, str], tuple[int, Tensor]] = {}   # of every series what was read last
        self.before: list[Callable[[], object]] = []      # called before a step is put: whoever has something of it to put too

    def put(self, work: str, step: int, state: State) -> State:
        """Gives the state as it will be found again.  Raises BadInput where the disk does not take it."""
        state = {name: z.detach().contiguous() for name, z in state.items()}
        if self.folder is None:
            self.memory[work, step] = state
            return state
        kept = {name: z.cpu().clone() for name, z in state.items()}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with aside(self._file(work, step)) as part:
                save_file(kept, part)
        except (OSError, SafetensorError, BadInput) as wrong:
            raise BadInput(f"cannot keep the inversion in {self.folder}: {wrong}; make room, or name another "
                           "--cache") from wrong
        return state

    def has(self, work: str, step: int) -> bool:
        """Whether it is there and whole."""
        if self.folder is None:
            return (work, step) in self.memory
        try:
            with safe_open(self._file(work, step), "pt"):
                return True
        except (OSError, SafetensorError):
            return False

    def done(self, work: str) -> int:
        """How many steps of this work are there, from the first on."""
        step = 0
        while self.has(work, step):
            step += 1
        return step

    def state(self, work: str, step: int) -> dict[str, Tensor]:
        if self.folder is None:
            return dict(self.memory[work, step])
        with self._opened(work, step) as file:
            return {name: placed(file.get_tensor(name)) for name in file.keys()}    # noqa: SIM118  it is no dictionary

    def one(self, work: str, step: int, name: str) -> Tensor:
        if self.folder is None:
            return self.memory[work, step][name]
        if self.last.get((work, name), (-1,))[0] != step:
            with self._opened(work, step) as file:
                self.last[work, name] = step, placed(file.get_tensor(name))
        return self.last[work, name][1]

    def series(self, work: str, name: str, numbers: Sequence[int]) -> Series[Tensor]:
        return Series(lambda step: self.one(work, step, name), numbers, (work, name))

    def _opened(self, work: str, step: int) -> Any:
        return safe_open(self._file(work, step), "pt", device=self.device)

    def _file(self, work: str, step: int) -> Path:
        assert self.folder is not None
        return self.folder / f"{work}-{step:04d}.safetensors"


def placed(mapped: Tensor) -> Tensor:
    """In memory as torch lays it out: the last bits of sums depend on where a tensor begins."""
    return mapped.clone()


_shelf: ContextVar[Shelf | None] = ContextVar("shelf", default=None)


@contextmanager
def keeping(shelf: Shelf) -> Iterator[None]:
    """Inside, work is kept there."""
    token = _shelf.set(shelf)
    try:
        yield
    finally:
        _shelf.reset(token)


def shelf() -> Shelf:
    """The one that is set; else a new one, in memory."""
    return _shelf.get() or Shelf()


def walk(
    work: str, items: Sequence[Item], start: Callable[[], State], move: Callable[[State, Item], State]
) -> Callable[[str, int], Series[Tensor]]:
    """A state, and after every item the next, made of it and the item: all are kept, and what is kept is not made again.

    Gives the series of each name that states have, from the step on that is said (0: the start).
    """
    kept = shelf()

    def keep(step: int, state: State) -> State:
        def put() -> State:
            for one in kept.before:
                one()
            return kept.put(work, step, state)
        return ranks().agreed(put)                      # where one rank has no room, none goes on

    if not kept.has(work, 0):
        keep(0, start())
    there = kept.done(work) - 1
    state = kept.state(work, there)
    for step, item in enumerate(track(items, work), 1):
        if step > there:
            state = keep(step, move(state, item))
    return lambda name, first: kept.series(work, name, range(first, len(items) + 1))
