"""Pictures of the world with their captions and labels, rendered once and kept in a folder."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from einops import reduce

from ...aside import aside
from ...track import track
from .. import Scene, held_out
from ..judge import ATTRIBUTES
from ..render import frame, mask

CHUNK = 500


@dataclass(frozen=True)
class Pictures:
    pixels: np.ndarray                                  # uint8 (many h w 3)
    labels: np.ndarray                                  # int64 (many 4), in the order of ATTRIBUTES
    covers: np.ndarray                                  # uint8 (many h/4 w/4), the object's share of each latent, of 255

    def first(self, many: int) -> Pictures:
        return Pictures(self.pixels[:many], self.labels[:many], self.covers[:many])

    def value(self, i: int, name: str) -> str:
        return ATTRIBUTES[name][self.labels[i][list(ATTRIBUTES).index(name)]]

    def caption(self, i: int, wording: int) -> str:
        return Scene(**{name: self.value(i, name) for name in ATTRIBUTES}).caption(wording)


def scene_of(seed: int, held: bool, size: int, frames: int = 16) -> Scene:
    """The first scene from this seed on that is (or is not) held out."""
    for k in range(1000):
        scene = Scene.sample(seed * 1000 + k, size=(size, size), frames=frames)
        if held_out(scene.object, scene.colour, scene.background) == held:
            return scene
    raise AssertionError("one scene in ten is held out")


def chunk(job: tuple[int, int, bool, int]) -> tuple[np.ndarray, ...]:
    first, many, held, size = job
    shown = [(scene_of(first + i, held, size), (first + i) * 7) for i in range(many)]
    scenes, moments = zip(*((s, moment % s.frames) for s, moment in shown), strict=True)
    pixels = np.stack([frame(s, i) for s, i in zip(scenes, moments, strict=True)])
    covers = np.stack([mask(s, i) for s, i in zip(scenes, moments, strict=True)])
    covers = reduce(covers * 255.0, "b (h 4) (w 4) -> b h w", "mean").astype(np.uint8)
    labels = [[known.index(getattr(s, name)) for name, known in ATTRIBUTES.items()] for s in scenes]
    return pixels, np.array(labels), covers


def pictures(folder: Path, many: int, size: int) -> Pictures:
    """A frame of each of `many` scenes, none of them held out."""
    kept = folder / f"covered_pictures_{size}_{many}.npz"
    if not kept.exists():
        jobs = [(seed, min(CHUNK, many - seed), False, size) for seed in range(0, many, CHUNK)]
        with ProcessPoolExecutor() as pool:
            made = [part for part, _ in zip(pool.map(chunk, jobs), track(jobs, "rendering"), strict=True)]
        pixels, labels, covers = (np.concatenate(z) for z in zip(*made, strict=True))
        folder.mkdir(parents=True, exist_ok=True)
        with aside(kept) as part, open(part, "wb") as file:
            np.savez(file, pixels=pixels, labels=labels, covers=covers)
    with np.load(kept) as z:
        return Pictures(z["pixels"], z["labels"], z["covers"])
