"""Rows of a benchmark: what an edit scored and cost, and a clip and a sheet to look at it.

Edits and their scores are kept as soon as they are there, each under a name made of all that decides it; so a run that was
killed goes on, a method that is added later costs only itself, and a metric that is added later edits nothing again.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..aside import aside
from ..cache import Memory, Paths
from ..edits import Means, edited
from ..methods.configuring import values
from ..methods.method import Method, name_of
from ..models.unet import UNet
from ..record import peak_memory, versions
from ..video import Video, compare, sheet

FORMAT = 1                                              # of edits and scores: another one begins anew
Scores = dict[str, float | None]                        # None: undefined, or without end


@dataclass(frozen=True, eq=False)
class Case:
    """One edit of a benchmark, as methods are given it."""

    name: str
    task: str                                           # the kind of edit
    video: Video
    source: str
    target: str
    scored: Callable[[Tensor], Scores]                  # frames (f 3 h w) in [-1, 1] -> their scores
    controls: Mapping[str, Tensor]                      # clips that are no edits, (f 3 h w)
    told: Mapping[str, Any]                             # what decides its edits, beside the method, the seed and the model
    judged: Mapping[str, Any]                           # what decides their scores, beside the edits
    difficulty: str | None = None
    beside: tuple[Video, ...] = ()                      # shown to the right of an edit: the true answer


@dataclass(frozen=True)
class Rows:
    """Methods, by a name for each, carried out with a model in a folder."""

    methods: Mapping[str, Method]
    seeds: int
    model: UNet
    out: Path

    def of(self, case: Case) -> list[dict[str, Any]]:
        """Controls, then methods, each with every seed."""
        return [row(case, name, case.scored(made), control=True) for name, made in case.controls.items()] + self.edited(case)

    def edited(self, case: Case) -> list[dict[str, Any]]:
        """The rows of methods alone.  Inversions that they have in common are made once."""
        paths = Memory()
        return [row(case, name, **self.kept(case, method, seed, paths))
                for name, method in self.methods.items() for seed in range(self.seeds)]

    def kept(self, case: Case, method: Method, seed: int, paths: Paths) -> dict[str, Any]:
        """Scores and costs of an edit, which are made where they were not before."""
        name = key(edit=case.name, seed=seed, method=name_of(type(method)), settings=values(method), model=self.model.hash,
                   dtype=str(self.model.dtype), device=self.model.device.type, format=FORMAT, **case.told)
        made, costs = self.out / "edits" / f"{name}.webp", self.out / "edits" / f"{name}.json"
        if not (made.exists() and costs.exists()):
            done = edited(case.video, case.source, [case.target], method, self.model, seed, Means(paths))
            evaluations, seconds = done.charged
            made.parent.mkdir(parents=True, exist_ok=True)
            done.videos[0].write(made, lossless=True)
            write(costs, json.dumps({"evaluations": evaluations, "seconds": round(seconds, 2),
                                     "peak_memory_mb": peak_memory(self.model.device.type) >> 20}))
        scores = self.out / "rows" / f"{key(edit=name, format=FORMAT, **case.judged)}.json"
        if not scores.exists():
            write(scores, json.dumps(case.scored(Video.read(made)[:]), allow_nan=False))
        looks = {"clip": f"clips/{made.name}", "sheet": f"sheets/{made.name}"}
        if not all((self.out / look).exists() for look in looks.values()):
            for look in looks.values():
                (self.out / look).parent.mkdir(parents=True, exist_ok=True)
            clips = [case.video, Video.read(made), *case.beside]
            compare(clips[0], clips[1:], self.out / looks["clip"], least=0)
            sheet(clips, self.out / looks["sheet"], least=0)
        return {"scores": json.loads(scores.read_text()), "seed": seed, **looks, **json.loads(costs.read_text())}

    def edit(self, row: Mapping[str, Any]) -> Tensor:
        """The edit of a row, (f 3 h w), to 8 bits, as it was scored."""
        return Video.read(self.out / "edits" / Path(row["clip"]).name)[:]

    def results(self, benchmark: str, title: str, version: str, many: int | None, found: Mapping[str, Any],
                **asked: Any) -> dict[str, Any]:
        """What `newtake.report` reads, which is in results.json too.

        many: of how many edits, None: of all.  found: what `ranking` makes of the rows.  asked: what the page says of the plan.
        """
        told = {"benchmark": benchmark, "title": title + ("" if many is None else f", the first {many}"), "version": version,
                "tasks": [*dict.fromkeys(row["task"] for row in found["rows"])], "environment": self.environment(**asked),
                **found}
        write(self.out / "results.json", json.dumps(told, indent=1, allow_nan=False))
        return told

    def environment(self, **more: Any) -> dict[str, Any]:
        """What a report says of the machine and the settings."""
        settings = {f"settings of {name}": json.dumps(values(method)) for name, method in self.methods.items()}
        model = self.model
        return {**versions(), "machine": platform.machine(), "threads": torch.get_num_threads(), "device": str(model.device),
                "dtype": str(model.dtype).removeprefix("torch."), "model": model.hash[:12], **more, **settings}


def undone(source: Tensor) -> dict[str, Tensor]:
    """Clips (f 3 h w) that are no edits of the source: what a metric says of them says what the metric is worth."""
    order = torch.randperm(len(source), generator=torch.Generator().manual_seed(0))
    return {"identity": source, "frozen": source[:1].expand_as(source), "shuffled": source[order],
            "black": torch.full_like(source, -1)}


def row(case: Case, method: str, scores: Scores, control: bool = False, **costs: Any) -> dict[str, Any]:
    nothing = dict.fromkeys(("seed", "evaluations", "seconds", "peak_memory_mb", "clip", "sheet"))
    return {"edit": case.name, "task": case.task, "difficulty": case.difficulty, "method": method, "control": control,
            "prompts": [case.source, case.target], "scores": scores, **nothing, **costs}


def key(**told: Any) -> str:
    return sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with aside(path) as part:
        part.write_text(text, encoding="utf-8")
