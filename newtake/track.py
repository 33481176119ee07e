"""Progress and cancellation of long work: `for level in track(levels, "inverting")`.

Who shows the progress is set around the work (`watched`), and so is who may end it (`stoppable`), so that no loop knows of
terminals or web pages.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from .errors import Cancelled

Item = TypeVar("Item")
Watch = Callable[[str, int, int], None]                 # (what, done, of)

_watch: ContextVar[Watch | None] = ContextVar("watch", default=None)
_unwanted: ContextVar[Callable[[], bool]] = ContextVar("unwanted", default=lambda: False)


@contextmanager
def watched(watch: Watch) -> Iterator[None]:
    """Inside, every `track` tells `watch` before its first item and after each."""
    token = _watch.set(watch)
    try:
        yield
    finally:
        _watch.reset(token)


@contextmanager
def stoppable(unwanted: Callable[[], bool]) -> Iterator[None]:
    """Inside, long work ends with `Cancelled` at its next step once `unwanted` says so."""
    token = _unwanted.set(unwanted)
    try:
        yield
    finally:
        _unwanted.reset(token)


def go_on() -> None:
    """Raises `Cancelled` where the work is unwanted.  For what takes long within an item."""
    if _unwanted.get()():
        raise Cancelled


def track(items: Sequence[Item], what: str) -> Iterator[Item]:
    """The items, one by one, with their number told to who watches.  `what` is a word such as "inverting"."""
    tell = _watch.get() or (lambda what, done, of: None)
    tell(what, 0, len(items))
    for done, item in enumerate(items, 1):
        go_on()
        yield item
        tell(what, done, len(items))
