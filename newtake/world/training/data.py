"""Pictures of the world with their captions and labels, rendered once and kept in a folder."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...aside import aside
from ...track import track
from .. import Scene, held_out
from ..judge import ATTRIBUTES
from ..render import frame

CHUNK = 500


@dataclass(frozen=True)
class Pictures:
    pixels: np.ndarray                                  # uint8 (many h w 3)
    labels: np.ndarray                                  # int64 (many 4), in the order of ATTRIBUTES

    def caption(self, i: int, wording: int) -> str:
        values = {name: known[k] for (name, known), k in zip(ATTRIBUTES.items(), self.labels[i], strict=True)}
        return Scene(**values).caption(wording)


def scene_of(seed: int, held: bool, size: int, frames: int = 16) -> Scene:
    """The first scene from this seed on that is (or is not) held out."""
    for k in range(1000):
        scene = Scene.sample(seed * 1000 + k, size=(size, size), frames=frames)
        if held_out(scene.object, scene.colour, scene.background) == held:
            return scene
    raise AssertionError("one scene in ten is held out")


def chunk(job: tuple[int, int, bool, int]) -> tuple[np.ndarray, np.ndarray]:
    first, many, held, size = job
    scenes = [scene_of(seed, held, size) for seed in range(first, first + many)]
    pixels = np.stack([frame(s, (first + i) * 7 % s.frames) for i, s in enumerate(scenes)])
    labels = [[known.index(getattr(s, name)) for name, known in ATTRIBUTES.items()] for s in scenes]
    return pixels, np.array(labels)


def pictures(folder: Path, many: int, size: int) -> Pictures:
    """A frame of each of `many` scenes, none of them held out."""
    kept = folder / f"pictures_{size}_{many}.npz"
    if not kept.exists():
        jobs = [(seed, min(CHUNK, many - seed), False, size) for seed in range(0, many, CHUNK)]
        with ProcessPoolExecutor() as pool:
            made = [part for part, _ in zip(pool.map(chunk, jobs), track(jobs, "rendering"), strict=True)]
        pixels, labels = (np.concatenate(z) for z in zip(*made, strict=True))
        folder.mkdir(parents=True, exist_ok=True)
        with aside(kept) as part, open(part, "wb") as file:
            np.savez(file, pixels=pixels, labels=labels)
    with np.load(kept) as z:
        return Pictures(z["pixels"], z["labels"])
