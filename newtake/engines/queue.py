"""Which task a worker is given next."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from typing import final

from .engine import Task


@final
class Queue:
    """Tasks that wait, by group.  Law: what is put in is taken out once, whoever asks."""

    def __init__(self, tasks: Sequence[Task]):
        self.groups: dict[str, deque[Task]] = defaultdict(deque)
        self.seen: dict[str, dict[str, None]] = defaultdict(dict)       # groups of a worker, the last one last
        for task in tasks:
            self.groups[task.group].append(task)

    def __len__(self) -> int:
        return sum(map(len, self.groups.values()))

    def take(self, worker: str) -> Task | None:
        """Of the group that it had last, else of one that it had before, else of one that nobody had; else from the end of the
        longest, which another is at.  None: there is none."""
        waiting = [group for group, tasks in self.groups.items() if tasks]
        if not waiting:
            return None
        own = [group for group in reversed(self.seen[worker]) if group in waiting]
        had = {group for groups in self.seen.values() for group in groups}
        new = [group for group in waiting if group not in had]
        group = next(iter(own + new), None) or max(waiting, key=lambda group: len(self.groups[group]))
        self.seen[worker].pop(group, None)
        self.seen[worker][group] = None
        return self.groups[group].popleft() if own or new else self.groups[group].pop()

    def back(self, task: Task) -> None:
        """To be tried again."""
        self.groups[task.group].append(task)

    def forget(self, worker: str) -> None:
        """It died."""
        self.seen.pop(worker, None)
