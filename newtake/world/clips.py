"""Scenes on disk: the clip, the true answer of an edit, masks and flow."""

from __future__ import annotations

import json
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..aside import aside, free
from .render import flow, frames, masks
from .scene import Scene

if TYPE_CHECKING:
    from ..video import Video


def video(scene: Scene) -> Video:
    """The scene as a clip in memory."""
    import torch

    from ..video import Video

    pixels = torch.from_numpy(frames(scene)).permute(0, 3, 1, 2).float() / 127.5 - 1
    return Video.of(pixels, rate=Fraction(scene.rate).limit_denominator(1001))


FILES = ("clip.mp4", "scene.json", "masks.npz", "sheet.png", "truth.mp4")


def write(scene: Scene, out: Path, becomes: Scene | None = None) -> list[Path]:
    """A folder with clip.mp4, scene.json, masks.npz (mask, flow) and a sheet, and with `becomes` truth.mp4 and its mask.

    It appears whole or not at all; one that was there is replaced.  Returns the paths.  Raises BadInput where `out` is
    something else.
    """
    from ..video import sheet

    free(out, FILES.__contains__)
    out.parent.mkdir(parents=True, exist_ok=True)
    h, w = scene.size[::-1]
    told = {"caption": scene.caption(), "scene": asdict(scene)}
    arrays = {"mask": masks(scene), "flow": np.array([flow(scene, i) for i in range(scene.frames - 1)]).reshape(-1, h, w, 2)}
    clips = {"clip.mp4": video(scene)}
    if becomes is not None:
        told |= {"becomes": becomes.caption(), "truth": asdict(becomes)}
        arrays["truth_mask"] = masks(becomes)
        clips["truth.mp4"] = video(becomes)
    with aside(out) as folder:
        folder.mkdir()
        for name, clip in clips.items():
            clip.write(folder / name)
        (folder / "scene.json").write_text(json.dumps(told, indent=2) + "\n")
        np.savez_compressed(folder / "masks.npz", **arrays)
        sheet(list(clips.values()), folder / "sheet.png")
    return [out / name for name in FILES if (out / name).exists()]
