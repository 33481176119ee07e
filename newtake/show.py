"""Progress on a terminal: what is being done, how far it is, its rate and the time left.  On stderr.  And notes."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .errors import Note
from .track import watched

OFTEN = 5.0                                             # seconds between lines where no terminal shows a bar
SHORT = 2.0                                             # seconds of work that is not worth a line


@contextmanager
def noted(tell: Callable[[str], None]) -> Iterator[None]:
    """What is noted inside is told at its end, each line once."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", Note)
        try:
            yield
        finally:
            for line in dict.fromkeys(str(w.message) for w in said if issubclass(w.category, Note)):
                tell(line)


@contextmanager
def shown() -> Iterator[None]:
    """Inside, long work shows itself: a bar on a terminal, a line now and then in a log."""
    if not sys.stderr.isatty():
        with watched(Lines()):
            yield
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task):
            return Text(f"{task.speed:.1f}/s" if task.speed else "")

    columns = TextColumn("{task.description:>28}"), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bars = {}

        def watch(what: str, done: int, of: int) -> None:
            if what not in bars:
                bars[what] = progress.add_task(what, total=of)
            elif done == 0:
                progress.reset(bars[what], total=of)
            progress.update(bars[what], completed=done)

        with watched(watch):
            yield


class Lines:
    """A line at the end of each piece of work, and every few seconds before."""

    def __init__(self):
        self.started, self.told = {}, {}

    def __call__(self, what: str, done: int, of: int) -> None:
        now = time.monotonic()
        if done == 0:
            self.started[what] = self.told[what] = now
            return
        if done < of and now - self.told[what] < OFTEN:
            return
        self.told[what] = now
        if (spent := now - self.started[what]) < SHORT:
            return
        rate = done / max(spent, 1e-9)
        left = "" if done == of else f", {(of - done) / rate:.0f} s left"
        print(f"{what}: {done}/{of}, {rate:.1f}/s{left}", file=sys.stderr)
