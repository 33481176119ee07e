"""Who carries out many tasks: this process, one after the other, or processes on as many machines as there are.

A task is given to `work`, which a worker makes once (`make()`) and which keeps what it loaded from task to task.  An engine
knows nothing of what the work is.
"""

from __future__ import annotations

from ..errors import BadInput
from .cluster import Cluster
from .engine import Began, Died, Ended, Engine, Event, Said, Task
from .local import Local

ENGINES = ("local", "ray")

__all__ = ["ENGINES", "Began", "Died", "Ended", "Engine", "Event", "Said", "Task", "engine"]


def engine(name: str, address: str | None = None, workers: int | None = None, tries: int = 3) -> Engine:
    """The engine of this name, to be opened with `with`.

    address: of a Ray cluster that is there; None: one is started on this machine, and ended.  workers: None: as many as there
    is room for.  tries: how often a task is begun at most.  BadInput where the name is unknown, or options do not go together.
    """
    if name not in ENGINES:
        raise BadInput(f"the engines are {' and '.join(ENGINES)}, not {name!r}")
    if name == "ray":
        return Cluster(tries, address, workers)
    if given := [option for option, value in {"--address": address, "--workers": workers}.items() if value is not None]:
        raise BadInput(f"the engine local is this process alone; {' and '.join(given)} needs --engine ray")
    return Local(tries)
