"""Who is next: one piece of work at a time, so that a network is asked by one alone, and turns go round those who wait."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, Literal, final

from ..places import Places
from ..ready import Way
from ..record import Job

if TYPE_CHECKING:
    from .history import Past

MOST = 8                                                # that one owner may have waiting
ENDED = 100                                             # that ended and are remembered

Kind = Literal["waiting", "running", "done", "refused", "cancelled", "failed"]


@dataclass(frozen=True)
class State:
    """How far a ticket is."""

    kind: Kind
    place: int = 0                                      # waiting: how many go before it, with the one that runs
    what: str = ""                                      # running: "loading", "inverting", "editing", ...
    done: int = 0                                       # steps of that
    of: int = 0                                         # 0: not known
    left: float | None = None                           # seconds of that; None: not known yet
    preview: Path | None = None                         # the newest picture of what is being made
    line: str = ""                                      # refused, failed: why, in one line
    result: Any = None                                  # done: see `Queue`
    notes: tuple[str, ...] = ()                         # done: what should be told

    @property
    def share(self) -> float:
        """Of the piece of work that is told, 0 to 1."""
        return self.done / self.of if self.of else 0.0

    @property
    def ended(self) -> bool:
        return self.kind not in ("waiting", "running")


@final
class Ticket:
    """Work that was handed in.  It goes on whether anybody looks or not."""

    def __init__(self, number: int, owner: str, title: str, work: Callable[[Ticket], Any], job: Job | None = None):
        self.number, self.owner, self.title, self.work, self.job = number, owner, title, work, job
        self.stop, self.over = Event(), Event()         # it is asked to end; it ended
        self.state = State("waiting")

    def cancel(self) -> None:
        """At once where it waits, at its next step where it runs; nothing half-made is left.  Harmless where it ended."""
        raise NotImplementedError


@final
class Queue:
    """One worker, who keeps the network of the last job.  As a context it works inside, and cancels what is left at the end.

    Results: of `submit` the name of the run folder, of `forecast` lines for people, of `score` see `history.scored`.
    """

    def __init__(self, places: Places, way: Way = Way()):
        self.places, self.way = places, way

    def __enter__(self) -> Queue:
        raise NotImplementedError

    def __exit__(self, *raised: object) -> None:
        raise NotImplementedError

    def submit(self, owner: str, job: Job) -> Ticket:
        """An edit, with all its targets.  BadInput where this owner has too many waiting."""
        raise NotImplementedError

    def forecast(self, owner: str, job: Job) -> Ticket:
        """What the edit would take, in lines: the dry run.  It waits its turn as well, for it asks the network."""
        raise NotImplementedError

    def score(self, owner: str, past: Past) -> Ticket:
        """Scores of a former run."""
        raise NotImplementedError

    def of(self, owner: str) -> list[Ticket]:
        """This owner's, the newest last: so a browser that comes back finds them."""
        raise NotImplementedError
