"""`newtake bench world`: methods on edits that have true answers, scored.  One JSON, of which tables and page are made.

A row is kept as soon as it is there, under a name made of all that decides it; so a run that was killed goes on, and a method
that is added later costs only itself.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..aside import aside
from ..methods import configured
from ..methods.method import Method, values
from ..metrics import METRICS, Material, scores
from ..metrics.perceptual import LayerDistance
from ..models.unet import UNet
from ..record import peak_memory, versions
from ..run import edited
from ..track import track
from ..video import Video, compare
from ..world import judge as judges
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


def world(plan: Plan, model: UNet, out: Path) -> dict[str, Any]:
    """The results, as `newtake.report` reads them, which are also in `out`: results.json, rows and clips."""
    tasks, judge, rows = plan.edits(model.native), judges.load(), []
    looks = LayerDistance(judge.body, side=judges.SIDE)
    for task in track(tasks, "edits of the benchmark"):
        there = Material(video(task.truth)[:], **measured_on(task), perceptual=looks)
        for name, made in controls(there, model):
            rows.append(row(task, name, True, made, there, judge))
        for name, method in plan.methods.items():
            for seed in range(plan.seeds):
                told = dict(version=VERSION, edit=task.name, split=plan.split, frames=plan.frames, seed=seed,
                            method=type(method).__name__, settings=values(method), model=model.hash, dtype=str(model.dtype))
                key = sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
                rows.append({"method": name, **kept(out / "rows" / f"{key}.json", lambda task=task, method=method, seed=seed,
                             key=key, there=there: done(task, method, seed, model, there, judge, out, key))})
    results = {
        "title": f"The world, {plan.split} edits" + f", the first {plan.many}" * (plan.many is not None),
        "version": str(VERSION), "environment": environment(plan, model), "tasks": list(dict.fromkeys(t.kind for t in tasks)),
        **found(rows),
    }
    write(out / "results.json", json.dumps(results, indent=1, allow_nan=False))
    return results


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


def controls(there: Material, model: UNet) -> Iterable[tuple[str, Tensor]]:
    """Clips that are no edits: what a metric says of them says what the metric is worth."""
    source, truth = there.source, there.truth
    assert source is not None and truth is not None
    with torch.no_grad():
        again = model.decode(model.encode(truth)[0]).clamp(-1, 1).cpu()
    order = torch.randperm(len(source), generator=torch.Generator().manual_seed(0))
    return {"truth": truth, "round trip of the truth": again, "identity": source, "frozen": source[:1].expand_as(source),
            "shuffled": source[order], "black": torch.full_like(source, -1)}.items()


def done(task: WorldEdit, method: Method, seed: int, model: UNet, there: Material, judge: judges.Judge, out: Path,
         key: str) -> dict[str, Any]:
    """An edit, its row, and a clip of it beside the source and the true answer."""
    source = video(task.scene)
    edit = edited(source, task.source, [task.target], method, model, seed)
    clip = out / "clips" / f"{key}.webp"
    clip.parent.mkdir(parents=True, exist_ok=True)
    compare(source, [edit.videos[0], Video.of(video(task.truth)[:], like=source)], clip)
    told = row(task, "", False, edit.videos[0][:].clamp(-1, 1), there, judge)
    return {name: value for name, value in told.items() if name != "method"} | {
        "seed": seed, "evaluations": edit.evaluations, "seconds": round(sum(edit.seconds.values()), 2),
        "peak_memory_mb": peak_memory(model.device.type) >> 20, "clip": str(clip.relative_to(out))}


def row(task: WorldEdit, name: str, control: bool, edit: Tensor, there: Material, judge: judges.Judge) -> dict[str, Any]:
    material = replace(there, edit=edit)
    wanted = [metric for metric in MEASURED if not METRICS[metric].missing(material)]
    right = [all(said[what] == getattr(task.truth, what) for what in ATTRIBUTES) for said in judge.says(edit)]
    said = {"success": 100 * float(np.mean(right)), **dict.fromkeys(MEASURED), **scores(material, wanted)}
    return {"edit": task.name, "task": task.kind, "difficulty": task.difficulty, "method": name, "control": control,
            "seed": None, "evaluations": None, "seconds": None, "peak_memory_mb": None, "clip": None, "sheet": None,
            "scores": {n: value if value is not None and isfinite(value) else None for n, value in said.items()}}


def kept(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What the file says; made and written where there is none."""
    if not path.exists():
        write(path, json.dumps(make(), allow_nan=False))
    return json.loads(path.read_text())


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with aside(path) as part:
        part.write_text(text)


def methods_named(names: Sequence[str], **given: Any) -> dict[str, Method]:
    """Methods by what people call them: NAME, or NAME:SETTING=VALUE;..."""
    told = {name: name.partition(":") for name in names}
    settings = {name: dict(pair.split("=", 1) for pair in rest.split(";") if pair) for name, (_, _, rest) in told.items()}
    return {name: configured(method, **{**given, **settings[name]}) for name, (method, _, _) in told.items()}
