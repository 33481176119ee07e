"""What an engine does, on a terminal: who works at what, how many are done, the time left.  In a log, a line a task."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, final

from .engine import Began, Died, Ended, Event, Said

if TYPE_CHECKING:
    from rich.table import Table


@final
class Board:
    """All that has happened so far, of so many tasks."""

    def __init__(self, many: int):
        self.many, self.start = many, time.monotonic()
        self.at: dict[str, tuple[str, float]] = {}      # by worker: its task, and since when
        self.done: dict[str, int] = {}                  # by worker
        self.ended: list[Ended] = []

    def note(self, event: Event) -> str | None:
        """Takes it in, and gives the line that people should see of it for good."""
        if isinstance(event, Said):
            return event.line
        self.done.setdefault(event.worker, 0)
        self.at.pop(event.worker, None)
        if isinstance(event, Began):
            self.at[event.worker] = event.task.name, time.monotonic()
            return None
        if isinstance(event, Died):
            return f"{event.task.name} will be tried again: {event.reason}"
        self.ended.append(event)
        self.done[event.worker] += event.reason is None
        return event.reason and f"{event.task.name} is given up: {event.reason}"

    def total(self) -> str:
        given_up = sum(one.reason is not None for one in self.ended)
        spent, ended = time.monotonic() - self.start, len(self.ended)
        left = f", about {spent / ended * (self.many - ended):.0f} s left" if 0 < ended < self.many else ""
        return f"{ended - given_up} of {self.many} done{f', {given_up} given up' * bool(given_up)}, {spent:.0f} s{left}"

    def __rich__(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        table, now = Table(title=Text(self.total()), title_justify="left", box=None), time.monotonic()
        for name in ("worker", "done", "works at", "seconds"):
            table.add_column(name, justify="right" if name in ("done", "seconds") else "left", no_wrap=True)
        for worker, done in self.done.items():
            what, since = self.at.get(worker, ("", now))
            table.add_row(Text(worker), str(done), Text(what), f"{now - since:.0f}" if what else "")
        return table


def followed(events: Iterable[Event], many: int, tell: Callable[[str], None]) -> Iterator[Event]:
    """The events, shown as they come.  tell: for lines that stay."""
    board = Board(many)
    with live(board) as terminal:
        for event in events:
            said = board.note(event)
            if said is None and not terminal and isinstance(event, Ended):
                said = f"{event.task.name}, {event.seconds:.1f} s; {board.total()}"
            if said:
                tell(said)
            yield event
    if many:
        tell(board.total())


@contextmanager
def live(board: Any) -> Iterator[bool]:
    """Whether there is a terminal, on which the board is shown."""
    if not sys.stderr.isatty():
        yield False
        return
    from rich.console import Console
    from rich.live import Live

    with Live(board, console=Console(stderr=True), refresh_per_second=2, transient=True):
        yield True
