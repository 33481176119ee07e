"""`newtake bench world`: methods on edits that have true answers, scored.  One JSON, of which tables and page are made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..datasets import LAYOUTS
from ..errors import BadInput
from ..methods.method import Method
from ..metrics import METRICS, Material, scores
from ..metrics.perceptual import LayerDistance
from ..models.unet import UNet
from ..prompts import round_trip
from ..record import hash_of
from ..track import track
from ..world import judge as judges
from ..world import weights
from ..world.benchmark import EACH, VERSION, Split, WorldEdit, edits
from ..world.clips import video
from ..world.judge import ATTRIBUTES
from ..world.render import flow, masks
from .ranking import MEASURED, found
from .rows import Case, Rows, Scores, undone
from .sets import Eyes, together


class Extent(NamedTuple):
    """How much is done where nothing else is said."""

    many: int | None                                    # the first so many edits; None: all
    frames: int
    steps: int


WHOLE, SMALL = Extent(None, 8, 15), Extent(12, 2, 5)    # the small one has two edits of each kind


@dataclass(frozen=True)
class Plan:
    """What is compared.  methods: a name for each."""

    methods: dict[str, Method]
    split: Split = "test"
    many: int | None = None                             # the first so many edits alone
    seeds: int = 1
    frames: int = WHOLE.frames

    def edits(self, size: int) -> list[WorldEdit]:
        return edits(self.split, size, self.frames)[:self.many]

    def names(self, model: UNet) -> list[str]:
        """Of the edits."""
        return [task.name for task in self.edits(model.native)]

    def cases(self, model: UNet) -> Callable[[int], Case]:
        """Each as methods are given it, by its number."""
        eyes, tasks = Eyes.open(), self.edits(model.native)
        return lambda number: self.case(tasks[number], model, eyes)

    def results(self, model: UNet, out: Path) -> dict[str, Any]:
        """Carried out with a model in a folder (edits, rows, clips, results.json): what `newtake.report` reads."""
        eyes, rows, seen = Eyes.open(), [], {}
        runs = Rows(self.methods, self.seeds, model, out)
        for task in track(self.edits(model.native), "edits of the benchmark"):
            case = self.case(task, model, eyes)
            rows += (made := runs.of(case))
            for one in made:
                edit = case.controls[one["method"]] if one["control"] else runs.edit(one)
                seen.setdefault(one["method"], []).append(eyes.see(edit))
        told = {**found(rows), "sets": together(seen, "truth")}
        return runs.results("world", f"The world, {self.split} edits", str(VERSION), self.many, told, frames=self.frames)

    def case(self, task: WorldEdit, model: UNet, eyes: Eyes) -> Case:
        looks = LayerDistance(eyes.judge.body, side=judges.SIDE)
        there = Material(video(task.truth)[:], **measured_on(task), perceptual=looks, clip=eyes.clip)
        told = dict(version=VERSION, split=self.split, frames=self.frames)
        judged = dict(metrics=MEASURED, judge=hash_of(weights.file("judge")),
                      clip=None if eyes.clip is None else hash_of(weights.clip()))
        return Case(task.name, task.kind, video(task.scene), task.source, task.target,
                    lambda edit: scored(task, edit, there, eyes.judge), controls(there, model), told, judged,
                    task.difficulty, (video(task.truth),))


def plan(
    what: str, methods: dict[str, Method], split: str, many: int | None, seeds: int, frames: int,
    foreign: Sequence[str] = ()
) -> Plan:
    """What the command line asks for.  foreign: options that were given, of what the world has of its own.  Raises BadInput."""
    layouts = ", ".join(LAYOUTS)
    if what != "world":
        raise BadInput(f"say how {what} is laid out: --layout {layouts}" if Path(what).is_dir() else
                       f"there is the benchmark world, or the folder of a data set with --layout {layouts}; {what} is neither")
    if split not in EACH:
        raise BadInput(f"the splits are {' and '.join(EACH)}, not {split!r}")
    if foreign:
        raise BadInput(f"the world has captions and networks of its own, and the model's size: {' and '.join(foreign)} "
                       f"{'are' if len(foreign) > 1 else 'is'} for the folder of a data set")
    if frames == 1:
        raise BadInput("the world's clips have at least 2 frames, not 1")
    return Plan(methods, split, many, seeds, frames)


def measured_on(task: WorldEdit) -> dict[str, Any]:
    """What the world knows of an edit."""
    there = torch.from_numpy(np.array([flow(task.scene, i) for i in range(task.scene.frames - 1)]))
    changes = masks(task.scene) | masks(task.truth) if task.kind not in ("background", "style") else None
    return dict(source=video(task.scene)[:], truth=video(task.truth)[:], flow=there, target=task.target, caption=task.source,
                mask=None if changes is None else torch.from_numpy(changes))


def controls(there: Material, model: UNet) -> dict[str, Tensor]:
    """The true answer, what is left of it by the autoencoder, and clips that are no edits."""
    assert there.source is not None and there.truth is not None
    return {"truth": there.truth, "round trip of the truth": round_trip(model, there.truth), **undone(there.source)}


def scored(task: WorldEdit, edit: Tensor, there: Material, judge: judges.Judge) -> Scores:
    """None where a score is undefined or has no end."""
    material = replace(there, edit=edit)
    wanted = [metric for metric in MEASURED if not METRICS[metric].missing(material)]
    right = [all(said[what] == getattr(task.truth, what) for what in ATTRIBUTES) for said in judge.says(edit)]
    said = {"success": 100 * float(np.mean(right)), **dict.fromkeys(MEASURED), **scores(material, wanted)}
    return {name: value if value is not None and isfinite(value) else None for name, value in said.items()}
