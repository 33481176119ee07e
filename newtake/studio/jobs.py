"""Who is next: one piece of work at a time, so that a network is asked by one alone, and turns go round those who wait."""

from __future__ import annotations

import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Condition, Event, Thread
from typing import Any, Literal, final

from ..errors import BadInput, Cancelled, limit
from ..outputs import new_folder
from ..places import Places
from ..ready import Way, prepared
from ..record import Job
from ..run import run
from ..show import noted
from ..track import stoppable, watched
from .history import Past, scored
from .pictures import of_words

MOST = 8                                                # that one owner may have waiting
ENDED = 100                                             # that ended and are remembered

Kind = Literal["waiting", "running", "done", "refused", "cancelled", "failed"]


@dataclass(frozen=True)
class State:
    """How far a ticket is."""

    kind: Kind
    place: int = 0                                      # waiting: how many go before it, with the one that runs
    what: str = ""                                      # running: "preparing", "inverting", "editing", ...
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


Work = Callable[[Path], State]                          # where previews may be shown -> how it ended


@final
class Ticket:
    """Work that was handed in.  It goes on whether anybody looks or not."""

    def __init__(self, queue: Queue, number: int, owner: str, turn: int, title: str, work: Work):
        self.queue, self.number, self.owner, self.turn, self.title, self.work = queue, number, owner, turn, title, work
        self.unwanted, self.over = Event(), Event()     # it is asked to end; it ended
        self.state, self.began = State("waiting"), 0.0

    def cancel(self) -> None:
        """At once where it waits, at its next step where it runs; nothing half-made is left.  Harmless where it ended."""
        self.unwanted.set()
        with self.queue.changed:
            if self.state.kind == "waiting":
                self.end(State("cancelled"))

    def end(self, state: State) -> None:
        self.state = state
        self.over.set()
        self.queue.renumber()

    def carry_out(self, preview: Path) -> State:
        """How it ended."""
        def watch(what: str, done: int, of: int) -> None:
            now = time.monotonic()
            self.began = self.began if done else now
            left = (now - self.began) / done * (of - done) if done else None
            self.state = State("running", 0, what, done, of, left, preview if preview.exists() else None)

        try:
            with stoppable(self.unwanted.is_set), watched(watch):
                return self.work(preview)
        except Cancelled:
            return State("cancelled")
        except BadInput as wrong:
            return State("refused", line=" ".join(str(wrong).split()))
        except Exception as wrong:                      # whatever one job does, the others are carried out
            if (line := limit(wrong)) is None:
                traceback.print_exc()
                return State("failed", line=f"a fault of newtake: {type(wrong).__name__}: {' '.join(str(wrong).split())}")
            return State("refused", line=line)


@final
class Queue:
    """One worker, who keeps the network of the last job.  As a context it works inside, and cancels what is left at the end.

    Results: of `submit` the name of the run folder, of `forecast` lines for people, of `locate` a `pictures.Strip`, of `score`
    what `history.scored` says.
    """

    def __init__(self, places: Places, way: Way = Way()):
        self.places, self.way = places, replace(way, cache=str(places.inversions), kept={})
        self.changed, self.closed = Condition(), False
        self.tickets: list[Ticket] = []                 # all that are remembered, the newest last
        self.count, self.turn = 0, 0                    # handed in so far; the turn that is served

    def __enter__(self) -> Queue:
        self.worker = Thread(target=self.serve, name="studio", daemon=True)
        self.worker.start()
        return self

    def __exit__(self, *raised: object) -> None:
        with self.changed:
            self.closed = True
            self.changed.notify_all()
        for ticket in [*self.tickets]:
            ticket.cancel()
        self.worker.join()

    def submit(self, owner: str, job: Job) -> Ticket:
        """An edit, with all its targets.  BadInput where this owner has too many waiting."""
        def work(preview: Path) -> State:
            out = new_folder(job, self.places.runs)
            told = run(job, out, replace(self.way, preview=preview))
            return State("done", result=out.name, notes=tuple(told["notes"]))

        return self.hand_in(owner, f"{'; '.join(job.targets)} ({job.method})", work)

    def forecast(self, owner: str, job: Job) -> Ticket:
        """What the edit would take, in lines: the dry run.  It waits its turn as well, for it asks the network."""
        def lines() -> list[str]:
            ready = prepared(job, self.way)
            return [*ready.lines(), *ready.notes]

        return self.look(owner, "an estimate", lines)

    def locate(self, owner: str, job: Job) -> Ticket:
        """Where the words that change are in all frames of a job."""
        return self.look(owner, "where the words are", lambda: of_words(job, self.way))

    def score(self, owner: str, past: Past) -> Ticket:
        """Scores of a former run."""
        return self.look(owner, f"scores of {past.name}", lambda: scored(past))

    def look(self, owner: str, title: str, looked: Callable[[], Any]) -> Ticket:
        def work(preview: Path) -> State:
            notes: list[str] = []
            with noted(notes.append):
                found = looked()
            return State("done", result=found, notes=tuple(notes))

        return self.hand_in(owner, title, work)

    def of(self, owner: str) -> list[Ticket]:
        """This owner's, the newest last: so a browser that comes back finds them."""
        return [ticket for ticket in [*self.tickets] if ticket.owner == owner]

    def hand_in(self, owner: str, title: str, work: Work) -> Ticket:
        """It gets the turn after this owner's last one, but none that is over: so turns go round, and nobody waits for ever."""
        with self.changed:
            own = [ticket for ticket in self.of(owner) if ticket.state.kind != "cancelled"]
            if sum(ticket.state.kind == "waiting" for ticket in own) >= MOST:
                raise BadInput(f"{MOST} of yours are waiting already; wait for one, or cancel one")
            turn = max([self.turn, *(ticket.turn + 1 for ticket in own)])
            ticket = Ticket(self, self.count, owner, turn, title, work)
            self.count += 1
            self.tickets.append(ticket)
            self.renumber()
            self.changed.notify_all()
            return ticket

    def line(self) -> list[Ticket]:
        """Those who wait, the next one first."""
        waiting = [ticket for ticket in self.tickets if ticket.state.kind == "waiting"]
        return sorted(waiting, key=lambda ticket: (ticket.turn, ticket.number))

    def renumber(self) -> None:
        running = sum(ticket.state.kind == "running" for ticket in self.tickets)
        for before, ticket in enumerate(self.line(), running):
            ticket.state = State("waiting", before)
        ended = [ticket for ticket in self.tickets if ticket.state.ended]
        for ticket in ended[:-ENDED]:
            self.tickets.remove(ticket)

    def begun(self) -> Ticket | None:
        """The one that is to be carried out now, once there is one; None: the day is over."""
        with self.changed:
            self.changed.wait_for(lambda: self.closed or self.line())
            if self.closed:
                return None
            ticket = self.line()[0]
            self.turn, ticket.state = ticket.turn, State("running", what="preparing")
            self.renumber()
            return ticket

    def serve(self) -> None:
        self.places.runs.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".studio-", dir=self.places.runs) as scratch:
            while ticket := self.begun():
                preview = Path(scratch) / f"{ticket.number}.png"
                state = ticket.carry_out(preview)
                preview.unlink(missing_ok=True)
                with self.changed:
                    ticket.end(state)
