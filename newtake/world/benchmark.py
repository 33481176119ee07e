"""The world's benchmark: a fixed, versioned list of edits with true answers: 60 to test on, 30 to choose settings on.

Every scene is of a combination that no training has seen.  The same version gives the same list on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from .scene import BACKGROUNDS, COLOURS, MOTIONS, OBJECTS, PLACES, STYLES, Scene, held_out

VERSION = 1
Split = Literal["test", "development"]
KINDS = {                                               # what changes, by kind of edit
    "recolour": ("colour",), "object": ("object",), "background": ("background",), "style": ("style",),
    "two things": ("object", "colour"), "add a word": ("colour",),
}
VALUES = {"colour": COLOURS, "object": OBJECTS, "background": BACKGROUNDS, "style": STYLES}
DIFFICULTIES = {"easy": ("in place",), "medium": ("crossing", "growing"), "hard": ("arc", "bounce", "turning")}   # by motion
EACH: dict[Split, int] = {"test": 10, "development": 5}     # edits of a kind
FIRST: dict[Split, int] = {"test": 70_000_000, "development": 80_000_000}
assert {motion for motions in DIFFICULTIES.values() for motion in motions} == set(MOTIONS)


@dataclass(frozen=True)
class WorldEdit:
    """One edit: the scene, its true answer, and what is said of both."""

    name: str                                           # "recolour-3"
    kind: str
    difficulty: str
    scene: Scene
    truth: Scene
    source: str
    target: str


def edits(split: Split = "test", size: int = 64, frames: int = 8) -> list[WorldEdit]:
    """All of them, kinds and difficulties in turn, so that the first dozen has two of each kind.

    size: pixels of a side.  Easy: the camera and the thing stay in their places; medium: both move; hard: the thing leaves its
    way or turns, and the camera moves.
    """
    return [edit(split, kind, i, size, frames) for i in range(EACH[split]) for kind in KINDS]


def edit(split: Split, kind: str, i: int, size: int, frames: int) -> WorldEdit:
    difficulty = list(DIFFICULTIES)[i % len(DIFFICULTIES)]
    scene = next(scenes(FIRST[split] + 1000 * list(KINDS).index(kind) + i, difficulty, size, frames))
    change = {}
    for k, name in enumerate(KINDS[kind]):
        others = [value for value in VALUES[name] if value != getattr(scene, name)]
        change[name] = others[(scene.seed + k) % len(others)]
    truth = scene.becomes(**change)
    source = scene.caption() if kind != "add a word" else f"a {scene.object} {PLACES[scene.background]}"
    return WorldEdit(f"{kind.replace(' ', '-')}-{i}", kind, difficulty, scene, truth, source, truth.caption())


def scenes(seed: int, difficulty: str, size: int, frames: int) -> Iterator[Scene]:
    """Held-out scenes from this seed on.  Plain ones: another style is an edit of its own."""
    motions = DIFFICULTIES[difficulty]
    fixed = dict(size=(size, size), frames=frames, style="plain", motion=motions[seed % len(motions)])
    fixed |= {"pan": (0.0, 0.0)} if difficulty == "easy" else {}
    for k in range(1000):
        scene = Scene.sample(1000 * seed + k, **fixed)
        if held_out(scene.object, scene.colour, scene.background):
            yield scene
