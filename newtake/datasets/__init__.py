"""The published data sets of editing, as their users have them on disk.

    tasks = LAYOUTS["tgve"](Path("data/loveu-tgve-2023"))

A reader takes the folder and gives its edits; what is missing, does not fit or cannot be read is BadInput that names it.
`METRICS` says what each benchmark scores: its own name, and ours (None: it needs a network that is not part of newtake).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from . import davis, editboard, five, pie, tgve, v2vbench
from .task import Runs, Task, masks

LAYOUTS: dict[str, Callable[[Path], list[Task]]] = {
    "davis": davis.read, "tgve": tgve.read, "v2vbench": v2vbench.read, "five": five.read, "pie": pie.read,
    "editboard": editboard.read,
}
METRICS: dict[str, Mapping[str, str | None]] = {
    "davis": davis.METRICS, "tgve": tgve.METRICS, "v2vbench": v2vbench.METRICS, "five": five.METRICS, "pie": pie.METRICS,
    "editboard": editboard.METRICS,
}

__all__ = ["LAYOUTS", "METRICS", "Runs", "Task", "masks"]
