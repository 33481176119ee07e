"""Progress and cancellation of long work: `for level in track(levels, "inverting")`.

Who shows the progress is set around the work (`watched`), so that no loop knows of terminals or web pages.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

Item = TypeVar("Item")
Watch = Callable[[str, int, int], None]                 # (what, done, of)

_watch: ContextVar[Watch | None] = ContextVar("watch", default=None)


@contextmanager
def watched(watch: Watch) -> Iterator[None]:
    """Inside, every `track` tells `watch` before its first item and after each."""
    token = _watch.set(watch)
    try:
        yield
    finally:
        _watch.reset(token)


def track(items: Sequence[Item], what: str) -> Iterator[Item]:
    """The items, one by one, with their number told to who watches.  `what` is a word such as "inverting"."""
    tell = _watch.get() or (lambda what, done, of: None)
    tell(what, 0, len(items))
    for done, item in enumerate(items, 1):
        yield item
        tell(what, done, len(items))
