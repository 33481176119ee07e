"""What an engine is: tasks go in, events come out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from ..errors import BadInput

Work = Callable[[Any], Any]
Answer = tuple[Literal["done", "refused", "failed", "lost"], Any]   # and the result, or one line that says why not


class Task(NamedTuple):
    name: str
    group: str                                          # of one what is slow to make is shared: one worker has them, if it can
    given: Any                                          # for the work; it can be pickled


@dataclass(frozen=True)
class Began:
    task: Task
    worker: str


@dataclass(frozen=True)
class Ended:
    """For good: with a result, or, where there is a reason, given up."""

    task: Task
    worker: str
    tries: int
    seconds: float                                      # of the last try
    result: Any = None
    reason: str | None = None


@dataclass(frozen=True)
class Died:
    """It will be tried again."""

    task: Task
    worker: str
    reason: str


@dataclass(frozen=True)
class Said:
    """For people."""

    line: str


Event = Began | Ended | Died | Said


class Engine(ABC):
    """Open it with `with` before it is asked anything."""

    name: str

    def __init__(self, tries: int):
        if tries < 1:
            raise BadInput(f"a task is tried at least once, not {tries} times")
        self.tries = tries

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *wrong: object) -> None:
        return

    @abstractmethod
    def best(self) -> str:
        """The kind of device that work is best given to: cuda, mps or cpu."""

    @abstractmethod
    def ready(self, device: str) -> None:
        """BadInput where it cannot be reached, or has surely no such device.  It takes what time reaching it takes."""

    @abstractmethod
    def carried_out(self, make: Callable[[], Work], tasks: Sequence[Task], device: str, threads: int) -> Iterator[Event]:
        """Every task, in an order of the engine's, until each has ended.  device: its kind; threads: of the processor, that the
        work takes in each worker.

        What a task raises does not stop the others: BadInput gives it up, since it would be refused again; anything else, and
        the death of a worker, is tried again.
        """


def answered(work: Work, given: Any) -> Answer:
    try:
        return "done", work(given)
    except BadInput as wrong:
        return "refused", line(str(wrong))
    except Exception as wrong:                          # whatever a task does, the others are carried out
        return "failed", line(f"{type(wrong).__name__}: {wrong}")


def judged(task: Task, worker: str, tries: int, of: int, seconds: float, answer: Answer) -> Ended | Died:
    """What an answer to a try means, where there are so many tries."""
    how, said = answer
    if how == "done":
        return Ended(task, worker, tries, seconds, said)
    if how == "refused":
        return Ended(task, worker, tries, seconds, reason=said)
    if tries < of:
        return Died(task, worker, said)
    return Ended(task, worker, tries, seconds, reason=f"{said} (tried {tries} time{'s' * (tries != 1)})")


def line(text: str) -> str:
    return " ".join(text.split())[:500]
