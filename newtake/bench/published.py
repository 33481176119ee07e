"""`newtake bench FOLDER --layout NAME`: methods on a published data set, each of its own metrics under its own name."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from importlib.util import find_spec
from math import isfinite
from pathlib import Path
from typing import Any

from ..datasets import LAYOUTS, METRICS, Runs, Task, masks
from ..errors import BadInput
from ..methods.method import Method
from ..metrics import METRICS as OURS
from ..metrics import Material, scores
from ..metrics.clip import load as clip
from ..metrics.networks import located
from ..metrics.perceptual import lpips
from ..metrics.structure import dino_keys, dinov2_objects
from ..models.unet import UNet
from ..record import hash_of
from ..run import native_size, round_trip
from ..track import track
from ..video import Video
from .ranking import about, unranked
from .rows import Case, Rows, Scores, undone, write

FIRST = ("text_alignment", "frame_accuracy")            # by which cases are ordered, where they are measured
NETWORKS: dict[str, tuple[str, str, Callable[..., Any]]] = {    # of `Material`: what it is, its option, what reads it
    "clip": ("a CLIP", "--clip-model", clip),
    "pick": ("PickScore's CLIP", "--network pick=WHERE", clip),
    "keys": ("DINO", "--network keys=WHERE", dino_keys),
    "objects": ("DINOv2", "--network objects=WHERE", dinov2_objects),
    "lpips": ("LPIPS' weights", "--network lpips=TRUNK,LAYERS", lambda both, trust: lpips(*pair(both), "squeeze", trust)),
}


@dataclass(frozen=True)
class Plan:
    """What is compared.  methods: a name for each; networks: where those of `NETWORKS` are that there are."""

    layout: str
    folder: Path
    methods: dict[str, Method]
    many: int | None = None                             # the first so many edits alone
    seeds: int = 1
    frames: int | None = None                           # at most so many of a clip; None: as the benchmark has them
    size: tuple[int, int] | None = None                 # width, height; None: the model's own area in the clip's aspect
    networks: Mapping[str, str] | None = None
    trust: bool = False

    def carried_out(self, model: UNet, out: Path) -> Published:
        return Published(self, model, out)


@dataclass(frozen=True)
class Published:
    """A plan, carried out with a model in a folder: rows, clips, results.json.  BadInput where nothing could be measured."""

    plan: Plan
    model: UNet
    out: Path

    def results(self) -> dict[str, Any]:
        """What `newtake.report` reads."""
        plan, tasks, runs = self.plan, self.tasks, Rows(self.plan.methods, self.plan.seeds, self.model, self.out)
        sources, (names, missing) = [said(task) for task in tasks], self.measured()
        rows = []
        for task, source in track(list(zip(tasks, sources, strict=True)), "edits of the benchmark"):
            rows += runs.of(self.case(task, source, names))
        many = "" if plan.many is None else f", the first {plan.many}"
        called = {NETWORKS[name][0]: Path(path).name for name, path in self.given.items()}
        known = {own: about(ours) for own, ours in names.items()}
        first = [own for ours in FIRST for own, name in names.items() if name == ours]
        told = {"benchmark": plan.layout, "title": f"{plan.layout}{many}", "version": self.version,
                "tasks": [*dict.fromkeys(task.kind for task in tasks)], "missing": missing,
                "environment": runs.environment(**self.asked(), **called),
                **unranked(rows, known, first)}
        write(self.out / "results.json", json.dumps(told, indent=1, allow_nan=False))
        return told

    @cached_property
    def tasks(self) -> list[Task]:
        if self.plan.layout not in LAYOUTS:
            raise BadInput(f"unknown layout {self.plan.layout!r}; known are {', '.join(LAYOUTS)}")
        return LAYOUTS[self.plan.layout](self.plan.folder)[:self.plan.many]

    @cached_property
    def given(self) -> dict[str, str]:
        if unknown := [name for name in self.plan.networks or {} if name not in NETWORKS]:
            raise BadInput(f"unknown network {unknown[0]!r} to score with; known are {', '.join(NETWORKS)}")
        return dict(self.plan.networks or {})

    @cached_property
    def read(self) -> dict[str, Any]:
        """The networks."""
        return {name: NETWORKS[name][2](path, self.plan.trust) for name, path in self.given.items()}

    @cached_property
    def hashes(self) -> dict[Path, str]:
        """Of clips and masks."""
        return {path: hash_of(path) for task in self.tasks for path in {task.clip, task.mask} if isinstance(path, Path)}

    @cached_property
    def seers(self) -> list[str]:
        """Hashes of the networks."""
        files = [Path(part) for part in pair(self.given["lpips"])] if "lpips" in self.given else []
        return [hash_of(path) for path in (*files, *(located(path) for name, path in self.given.items() if name != "lpips"))]

    @property
    def version(self) -> str:
        """Of the data set as it lies there: its clips, masks and prompts."""
        told = [(task.name, task.kind, *self.decided(task, task.source)) for task in self.tasks]
        return sha256(json.dumps(told).encode()).hexdigest()[:12]

    def decided(self, task: Task, source: str | None) -> tuple[Any, ...]:
        mask = task.mask.runs if isinstance(task.mask, Runs) else task.mask and self.hashes[task.mask]
        return self.hashes[task.clip], mask, source, task.target, task.frames, task.every

    def asked(self) -> dict[str, Any]:
        frames, size = self.plan.frames, self.plan.size
        return {"frames": frames or "as published", "size": "the model's own" if size is None else list(size)}

    def measured(self) -> tuple[dict[str, str], dict[str, str]]:
        """The benchmark's metrics that can be had, with our names; and the others, with what they lack.  BadInput: none can."""
        names, missing = {}, {}
        for own, ours in METRICS[self.plan.layout].items():
            needs = ["a network that is not part of newtake"] if ours is None else map(self.lacking, OURS[ours].needs)
            if lacks := ", ".join(filter(None, needs)):
                missing[own] = f"needs {lacks}"
            elif ours is not None:
                names[own] = ours
        if not names:
            raise BadInput(f"nothing of {self.plan.layout} can be measured: " +
                           "; ".join(f"{own} {why}" for own, why in missing.items()))
        return names, missing

    def lacking(self, need: str) -> str:
        """What would have to be given for this; "" where it is there."""
        if need in NETWORKS:
            return "" if need in self.given else f"{NETWORKS[need][0]}: {NETWORKS[need][1]}"
        if need == "mask":
            return "" if any(task.mask is not None for task in self.tasks) else "masks, which the data set does not have"
        return "" if need != "opencv" or find_spec("cv2") else 'OpenCV: pip install "newtake[metrics]"'

    def case(self, task: Task, source: str, names: Mapping[str, str]) -> Case:
        video = self.clip(task)
        mask = masks(task, border=self.plan.layout == "pie", size=video.size)
        scored = slice(None, None, task.every)
        there = Material(video[:][scored], video[:][scored], mask=None if mask is None else mask[:len(video)][scored],
                         target=task.target, caption=source, **self.read)
        told = dict(benchmark=self.plan.layout, clip=self.decided(task, source), frames=len(video), size=video.size,
                    metrics=names, networks=self.seers)
        undo = {"round trip of the source": round_trip(self.model, video[:]), **undone(video[:])}
        return Case(task.name, task.kind, video, source, task.target,
                    lambda edit: measure(replace(there, edit=edit[scored]), names), undo, told)

    def clip(self, task: Task) -> Video:
        """As many frames as the benchmark and the plan have, in the plan's size or the model's own."""
        whole = Video.read(task.clip)
        numbers = range(len(whole))[slice(*task.frames or (None,))][:self.plan.frames]
        size = self.plan.size or native_size(whole.size, self.model)
        return Video.read(task.clip, len(numbers), numbers[0], 1, size)


def measure(material: Material, names: Mapping[str, str]) -> Scores:
    """By the benchmark's names; None where a score is undefined, has no end, or what it needs is not there."""
    found = scores(material, list(dict.fromkeys(ours for ours in names.values() if not OURS[ours].missing(material))))
    return {own: found[ours] if isfinite(found.get(ours, float("nan"))) else None for own, ours in names.items()}


def said(task: Task) -> str:
    """What the clip shows.  BadInput where the data set does not say."""
    if task.source is None:
        raise BadInput(f"the data set does not say what the clip of {task.name} shows; give every edit a source prompt")
    return task.source


def pair(both: str) -> tuple[str, str]:
    """The trunk's file and the layers' of LPIPS."""
    trunk, comma, heads = both.partition(",")
    if not (trunk and comma and heads):
        raise BadInput(f"LPIPS is two files, lpips=TRUNK,LAYERS: torchvision's squeezenet1_1 and the paper's; not {both!r}")
    return trunk, heads
