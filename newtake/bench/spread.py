"""Edits of a benchmark, made by an engine's workers: what they keep in the benchmark's folder is found there afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ..engines import Engine, Event, Task
from ..errors import BadInput
from ..models.load import load
from ..models.unet import UNet
from . import published, world
from .rows import Rows

Plan = world.Plan | published.Plan


class Asked(NamedTuple):
    """The model, as `load` is told it."""

    model: str
    device: str | None
    dtype: str | None


def spread(engine: Engine, plan: Plan, asked: Asked, model: UNet, out: Path) -> Iterator[Event]:
    """Each edit with all methods and seeds, which share inversions, is a task.  model: as `asked` is loaded.

    Workers have as many threads as this process, so that their bits are the same.
    """
    tasks = [Task(f"{number}-{name}", name, number) for number, name in enumerate(plan.names(model))]
    make = partial(worker, replace(plan), asked, out.resolve(), torch.get_num_threads())    # what it looked up stays here
    return engine.carried_out(make, tasks, model.device.type, torch.get_num_threads())


def worker(plan: Plan, asked: Asked, out: Path, threads: int) -> Callable[[int], dict[str, Any]]:
    if not out.is_dir():
        raise BadInput(f"a worker does not see {out}: the folder of a benchmark lies where all workers see it")
    torch.set_num_threads(threads)
    model = load(*asked)
    rows, case = Rows(plan.methods, plan.seeds, model, out), plan.cases(model)
    return lambda number: {"rows": len(rows.edited(case(number)))}
