"""`newtake bench world`: methods on edits that have true answers, scored.  One JSON, of which tables and page are made.

A row is kept as soon as it is there, under a name made of all that decides it; so a run that was killed goes on, and a method
that is added later costs only itself.
"""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass, replace
from hashlib import sha256
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..aside import aside
from ..captions.world import load_if_trained
from ..methods.configuring import values
from ..methods.method import Method, name_of
from ..metrics import METRICS, Material, scores
from ..metrics.perceptual import LayerDistance
from ..models.unet import UNet
from ..record import hash_of, peak_memory, versions
from ..run import edited, round_trip
from ..track import track
from ..video import compare
from ..world import judge as judges
from ..world import weights
from ..world.benchmark import VERSION, Split, WorldEdit, edits
from ..world.clips import video
from ..world.judge import ATTRIBUTES
from ..world.render import flow, masks
from .ranking import MEASURED, found

SMALL = 12                                              # edits, two of each kind


@dataclass(frozen=True)
class Plan:
    """What is compared.  methods: a name for each."""

    methods: dict[str, Method]
    split: Split = "test"
    many: int | None = None                             # the first so many edits alone
    seeds: int = 1
    frames: int = 8

    def edits(self, size: int) -> list[WorldEdit]:
        return edits(self.split, size, self.frames)[:self.many]


@dataclass(frozen=True)
class World:
    """A plan, carried out with a model in a folder: rows, clips, results.json."""

    plan: Plan
    model: UNet
    out: Path

    def results(self) -> dict[str, Any]:
        """What `newtake.report` reads."""
        plan, judge, rows = self.plan, judges.load(), []
        tasks, looks, clip = plan.edits(self.model.native), LayerDistance(judge.body, side=judges.SIDE), load_if_trained()
        for task in track(tasks, "edits of the benchmark"):
            there = Material(video(task.truth)[:], **measured_on(task), perceptual=looks, clip=clip)
            for name, made in controls(there, self.model).items():
                rows.append(row(task, name, scored(task, made, there, judge), control=True))
            for name, method in plan.methods.items():
                rows += [row(task, name, **self.kept(task, method, seed, there, judge)) for seed in range(plan.seeds)]
        many = "" if plan.many is None else f", the first {plan.many}"
        told = {"title": f"The world, {plan.split} edits{many}", "version": str(VERSION),
                "tasks": [*dict.fromkeys(task.kind for task in tasks)], "environment": environment(plan, self.model),
                **found(rows)}
        write(self.out / "results.json", json.dumps(told, indent=1, allow_nan=False))
        return told

    def kept(self, task: WorldEdit, method: Method, seed: int, there: Material, judge: judges.Judge) -> dict[str, Any]:
        """Scores and costs of an edit; where it was not made before it is, with a clip of it beside source and truth."""
        told = dict(version=VERSION, edit=task.name, split=self.plan.split, frames=self.plan.frames, seed=seed,
                    method=name_of(type(method)), settings=values(method), model=self.model.hash, dtype=str(self.model.dtype))
        told |= {"clip": hash_of(weights.clip())} if there.clip is not None else {}
        key = sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
        path, clip = self.out / "rows" / f"{key}.json", Path("clips") / f"{key}.webp"
        if not path.exists():
            source = video(task.scene)
            done = edited(source, task.source, [task.target], method, self.model, seed)
            (self.out / clip).parent.mkdir(parents=True, exist_ok=True)
            compare(source, [done.videos[0], video(task.truth)], self.out / clip)
            write(path, json.dumps({
                "scores": scored(task, done.videos[0][:].clamp(-1, 1), there, judge), "seed": seed, "clip": str(clip),
                "evaluations": done.evaluations, "seconds": round(sum(done.seconds.values()), 2),
                "peak_memory_mb": peak_memory(self.model.device.type) >> 20}, allow_nan=False))
        return json.loads(path.read_text())


def environment(plan: Plan, model: UNet) -> dict[str, Any]:
    settings = {f"settings of {name}": json.dumps(values(method)) for name, method in plan.methods.items()}
    return {**versions(), "machine": platform.machine(), "threads": torch.get_num_threads(),
            "device": str(model.device), "dtype": str(model.dtype).removeprefix("torch."), "model": model.hash[:12],
            "frames": plan.frames, **settings}


def measured_on(task: WorldEdit) -> dict[str, Any]:
    """What the world knows of an edit."""
    there = torch.from_numpy(np.array([flow(task.scene, i) for i in range(task.scene.frames - 1)]))
    changes = masks(task.scene) | masks(task.truth) if task.kind not in ("background", "style") else None
    return dict(source=video(task.scene)[:], truth=video(task.truth)[:], flow=there, target=task.target, caption=task.source,
                mask=None if changes is None else torch.from_numpy(changes))


def controls(there: Material, model: UNet) -> dict[str, Tensor]:
    """Clips that are no edits: what a metric says of them says what the metric is worth."""
    source, truth = there.source, there.truth
    assert source is not None and truth is not None
    order = torch.randperm(len(source), generator=torch.Generator().manual_seed(0))
    return {"truth": truth, "round trip of the truth": round_trip(model, truth), "identity": source,
            "frozen": source[:1].expand_as(source), "shuffled": source[order], "black": torch.full_like(source, -1)}


def scored(task: WorldEdit, edit: Tensor, there: Material, judge: judges.Judge) -> dict[str, float | None]:
    """None where a score is undefined or has no end."""
    material = replace(there, edit=edit)
    wanted = [metric for metric in MEASURED if not METRICS[metric].missing(material)]
    right = [all(said[what] == getattr(task.truth, what) for what in ATTRIBUTES) for said in judge.says(edit)]
    said = {"success": 100 * float(np.mean(right)), **dict.fromkeys(MEASURED), **scores(material, wanted)}
    return {name: value if value is not None and isfinite(value) else None for name, value in said.items()}


def row(task: WorldEdit, method: str, scores: dict[str, float | None], control: bool = False, **costs: Any) -> dict[str, Any]:
    nothing = dict.fromkeys(("seed", "evaluations", "seconds", "peak_memory_mb", "clip", "sheet"))
    return {"edit": task.name, "task": task.kind, "difficulty": task.difficulty, "method": method, "control": control,
            "scores": scores, **nothing, **costs}


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with aside(path) as part:
        part.write_text(text)
