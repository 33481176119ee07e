"""Scenes on disk: the clip, the true answer of an edit, masks and flow."""

from __future__ import annotations

import json
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

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


def write(scene: Scene, out: Path, becomes: Scene | None = None) -> list[Path]:
    """clip.mp4, scene.json, masks.npz (mask, flow), and with `becomes` truth.mp4 and its mask.  The paths."""
    from ..video import sheet

    out.mkdir(parents=True, exist_ok=True)
    made = [out / "clip.mp4", out / "scene.json", out / "masks.npz", out / "sheet.png"]
    clips = [video(scene)]
    clips[0].write(made[0])
    told = {"caption": scene.caption(), "scene": asdict(scene)}
    arrays = {"mask": masks(scene), "flow": np.stack([flow(scene, i) for i in range(scene.frames - 1)])}
    if becomes is not None:
        clips.append(video(becomes))
        made.append(out / "truth.mp4")
        clips[1].write(made[-1])
        told |= {"becomes": becomes.caption(), "truth": asdict(becomes)}
        arrays["truth_mask"] = masks(becomes)
    made[1].write_text(json.dumps(told, indent=2) + "\n")
    np.savez_compressed(made[2], **arrays)
    sheet(clips, made[3])
    return made
