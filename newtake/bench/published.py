"""`newtake bench FOLDER --layout NAME`: methods on a published data set, each of its own metrics under its own name."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from importlib.util import find_spec
from math import isfinite
from pathlib import Path
from typing import Any

from ..captions import TINY, Captioner, captioner
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
from ..prompts import native_size, round_trip
from ..record import hash_of
from ..track import track
from ..video import Video
from .ranking import about, unranked
from .rows import Case, Rows, Scores, undone

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
    """What is compared on a data set.  methods: a name for each; networks: where those of `NETWORKS` are that there are.

    BadInput where the data set cannot be read, does not say what a clip shows, or nothing of it could be measured.
    """

    layout: str
    folder: Path
    methods: dict[str, Method]
    many: int | None = None                             # the first so many edits alone
    seeds: int = 1
    frames: int | None = None                           # at most so many of a clip; None: as the benchmark has them
    size: tuple[int, int] | None = None                 # width, height; None: the model's own area in the clip's aspect
    networks: Mapping[str, str] = field(default_factory=dict)
    trust: bool = False
    captioner: str | None = None                        # who reads what the data set does not say: see `newtake.captions`

    def __post_init__(self):
        if self.layout not in LAYOUTS:
            raise BadInput(f"unknown layout {self.layout!r}; known are {', '.join(LAYOUTS)}")
        if unknown := [name for name in self.networks if name not in NETWORKS]:
            raise BadInput(f"unknown network {unknown[0]!r} to score with; known are {', '.join(NETWORKS)}")
        if not self.measured:
            raise BadInput(f"nothing of {self.layout} can be measured: " +
                           "; ".join(f"{name} {why}" for name, why in self.missing.items()))
        if silent := [task.name for task in self.tasks if task.source is None and self.captioner is None]:
            raise BadInput(f"the data set does not say what the clip of {silent[0]} shows; say who reads it: --captioner tiny")

    @cached_property
    def tasks(self) -> list[Task]:
        return LAYOUTS[self.layout](self.folder)[:self.many]

    @property
    def measured(self) -> dict[str, str]:
        """The benchmark's metrics that can be had: its name, and ours."""
        return {name: ours for name, ours in METRICS[self.layout].items() if ours is not None and name not in self.missing}

    @cached_property
    def missing(self) -> dict[str, str]:
        """The others, with what they lack."""
        found = {}
        for name, ours in METRICS[self.layout].items():
            needs = ["a network that is not part of newtake"] if ours is None else map(self.lacking, OURS[ours].needs)
            if lacks := ", ".join(filter(None, needs)):
                found[name] = f"needs {lacks}"
        return found

    def lacking(self, need: str) -> str:
        """What would have to be given for this; "" where it is there."""
        if need in NETWORKS:
            return "" if need in self.networks else f"{NETWORKS[need][0]}: {NETWORKS[need][1]}"
        if need == "mask":
            return "" if any(task.mask is not None for task in self.tasks) else "masks, which the data set does not have"
        return "" if need != "opencv" or find_spec("cv2") else 'OpenCV: pip install "newtake[metrics]"'

    @cached_property
    def hashes(self) -> dict[Path, str]:
        """Of clips and masks."""
        return {path: hash_of(path) for task in self.tasks for path in {task.clip, task.mask} if isinstance(path, Path)}

    @cached_property
    def seers(self) -> list[str]:
        """Hashes of the networks."""
        files = [Path(part) for part in pair(self.networks["lpips"])] if "lpips" in self.networks else []
        folders = [located(path) for name, path in self.networks.items() if name != "lpips"]
        return [hash_of(path) for path in (*files, *folders)]

    @property
    def version(self) -> str:
        """Of the data set as it lies there: its clips, masks and prompts."""
        told = [(task.name, task.kind, *self.decided(task)) for task in self.tasks]
        return sha256(json.dumps(told).encode()).hexdigest()[:12]

    def decided(self, task: Task) -> tuple[Any, ...]:
        """What decides an edit, as JSON knows it."""
        mask = task.mask.runs if isinstance(task.mask, Runs) else task.mask and self.hashes[task.mask]
        return self.hashes[task.clip], mask, self.said(task), task.target, task.frames, task.every

    def clip(self, task: Task, model: UNet) -> Video:
        """As many frames as the benchmark and the plan have, in the plan's size or the model's own."""
        first, many = self.span(task)
        return Video.read(task.clip, many, first, 1, self.size or native_size(Video.read(task.clip).size, model))

    def span(self, task: Task) -> tuple[int, int]:
        """The first frame of an edit, and how many it has.  BadInput where the clip ends before it."""
        numbers = range(len(Video.read(task.clip)))[slice(*task.frames or (None,))][:self.frames]
        if not numbers:
            raise BadInput(f"{task.clip} ends before the frames of {task.name}: get it again")
        return numbers[0], len(numbers)

    def said(self, task: Task) -> str:
        """What the clip shows, as the data set says it, or the captioner reads it."""
        if task.source is not None:
            return task.source
        if task.clip not in self.read:
            first, many = self.span(task)
            self.read[task.clip] = self.reader(Video.read(task.clip, many, first))
        return self.read[task.clip]

    @cached_property
    def reader(self) -> Captioner:
        return captioner(self.captioner or TINY, trust=self.trust)

    @cached_property
    def read(self) -> dict[Path, str]:
        """What was read of clips."""
        return {}

    def names(self, model: UNet) -> list[str]:
        """Of the edits."""
        return [task.name for task in self.tasks]

    def cases(self, model: UNet) -> Callable[[int], Case]:
        """Each as methods are given it, by its number."""
        networks = {name: NETWORKS[name][2](path, self.trust) for name, path in self.networks.items()}
        return lambda number: self.case(self.tasks[number], model, networks)

    def results(self, model: UNet, out: Path) -> dict[str, Any]:
        """Carried out with a model in a folder (edits, rows, clips, results.json): what `newtake.report` reads."""
        runs, case, rows = Rows(self.methods, self.seeds, model, out), self.cases(model), []
        for number in track(range(len(self.tasks)), "edits of the benchmark"):
            rows += runs.of(case(number))
        known = {name: about(ours) for name, ours in self.measured.items()}
        first = [name for ours in FIRST for name in known if self.measured[name] == ours]
        asked = {"frames": self.frames or "as published", "size": "the model's own" if self.size is None else list(self.size)}
        called = {NETWORKS[name][0]: Path(path).name for name, path in self.networks.items()}
        told = {**unranked(rows, known, first), "missing": self.missing}
        return runs.results(self.layout, self.layout, self.version, self.many, told, **asked, **called)

    def case(self, task: Task, model: UNet, networks: Mapping[str, Any]) -> Case:
        video, scored = self.clip(task, model), slice(None, None, task.every)
        source, mask = video[:], masks(task, border=self.layout == "pie", size=video.size)
        there = Material(source[scored], source[scored], mask=None if mask is None else mask[:len(video)][scored],
                         target=task.target, caption=self.said(task), **networks)
        told = dict(benchmark=self.layout, clip=self.decided(task), frames=len(video), size=video.size)
        judged = dict(metrics=self.measured, networks=self.seers)
        undo = {"round trip of the source": round_trip(model, source), **undone(source)}
        return Case(task.name, task.kind, video, self.said(task), task.target,
                    lambda edit: measure(replace(there, edit=edit[scored]), self.measured), undo, told, judged)


def measure(material: Material, names: Mapping[str, str]) -> Scores:
    """By the benchmark's names; None where a score is undefined, has no end, or what it needs is not there."""
    found = scores(material, list(dict.fromkeys(ours for ours in names.values() if not OURS[ours].missing(material))))
    return {own: found[ours] if isfinite(found.get(ours, float("nan"))) else None for own, ours in names.items()}


def pair(both: str) -> tuple[str, str]:
    """The trunk's file and the layers' of LPIPS."""
    trunk, comma, heads = both.partition(",")
    if not (trunk and comma and heads):
        raise BadInput(f"LPIPS is two files, lpips=TRUNK,LAYERS: torchvision's squeezenet1_1 and the paper's; not {both!r}")
    return trunk, heads
