"""A scene: what is seen, how it moves, and its true answers.  The same scene gives the same bits."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import BadInput
from . import paint
from .shapes import SHAPES, THINGS, Array

OBJECTS, COLOURS, BACKGROUNDS = tuple(THINGS), tuple(paint.COLOURS), tuple(paint.BACKGROUNDS)
STYLES = tuple(paint.LAYER_STYLES)
MOTIONS = ("crossing", "arc", "bounce", "turning", "growing", "in place")
PLACES = {"grass": "on the grass", "sand": "on the sand", "sea": "on the sea", "snow": "in the snow",
          "wall": "by the wall", "night": "in the night"}
WORDINGS = ("a {c} {o} {p}", "the {c} {o} {p}", "{p} there is a {c} {o}", "a {o} that is {c} {p}", "one {c} {o} {p}")
STYLE_WORDINGS = ("{s} in {style}", "a {style} picture of {s}", "{style} of {s}")
STYLE_NAMES = {"plain": None, "pencil": "coloured pencil", "watercolour": "watercolour", "pixel art": "pixel art"}


def held_out(object: str, colour: str, background: str) -> bool:
    """Whether a combination is kept from every training: one in ten, by a hash."""
    return hashlib.sha256(f"{object} {colour} {background}".encode()).digest()[0] % 10 == 0


@dataclass(frozen=True)
class Scene:
    """One thing that moves over one background, seen by a panning camera.  Lengths in picture heights, times in seconds."""

    object: str = "ball"
    colour: str = "red"
    background: str = "grass"
    style: str = "plain"
    motion: str = "crossing"
    radius: float = 0.28                                # half the thing's extent
    at: tuple[float, float] = (0.0, 0.0)                # x y of the middle of its way, from the picture's middle
    heading: float = 1.0                                # -1 to the left, 1 to the right
    tilt: float = 0.0                                   # radians
    pan: tuple[float, float] = (0.0, 0.0)               # of the camera, picture heights a second
    seed: int = 0                                       # of the textures
    frames: int = 16
    rate: float = 8.0                                   # frames a second
    size: tuple[int, int] = (128, 128)                  # width, height, pixels

    def __post_init__(self):
        for name, known in (("object", tuple(SHAPES)), ("colour", COLOURS), ("background", BACKGROUNDS),
                            ("style", STYLES), ("motion", MOTIONS)):
            if getattr(self, name) not in known:
                raise BadInput(f"no {name} {getattr(self, name)!r} in the world; it has {', '.join(known)}")
        if min(self.size) < paint.CELLS or self.frames < 1 or not 0.1 <= self.rate <= 1000:
            raise BadInput(f"a scene has at least {paint.CELLS}x{paint.CELLS} pixels, a frame, and 0.1 to 1000 frames a second")

    @classmethod
    def sample(cls, seed: int, **fixed) -> Scene:
        """A scene at random; what is fixed stays as it is.  BadInput where the seed is below 0."""
        if seed < 0:
            raise BadInput(f"a seed is 0 or more, not {seed}")
        rng = np.random.default_rng(seed)
        pick = lambda names: names[rng.integers(len(names))]
        drawn: dict[str, Any] = dict(
            object=pick(OBJECTS), colour=pick(COLOURS), background=pick(BACKGROUNDS), style=pick(STYLES), motion=pick(MOTIONS),
            radius=round(rng.uniform(0.24, 0.34), 3), at=tuple(rng.uniform(-0.07, 0.07, 2).round(3).tolist()),
            heading=float(rng.choice((-1, 1))), tilt=round(rng.uniform(-0.25, 0.25), 3),
            pan=tuple(rng.uniform(-0.12, 0.12, 2).round(3).tolist()), seed=int(rng.integers(1 << 30)),
        )
        return cls(**drawn | fixed)

    def becomes(self, **change: str) -> Scene:
        """The true answer of an edit: the same motion and camera, with another object, colour, background or style."""
        if wrong := set(change) - {"object", "colour", "background", "style"}:
            raise BadInput(f"an edit changes object, colour, background or style, not {', '.join(sorted(wrong))}")
        return replace(self, **change)

    def caption(self, wording: int = 0) -> str:
        """The scene in words.  Wordings differ, their meaning does not; 0 is the plainest."""
        many = len(WORDINGS)
        said = WORDINGS[wording % many].format(c=self.colour, o=self.object, p=PLACES[self.background])
        name = STYLE_NAMES[self.style]
        if name is not None:
            said = STYLE_WORDINGS[wording // many % len(STYLE_WORDINGS)].format(s=said, style=name)
        return re.sub(r"\ba (?=[aeiou])", "an ", said)

    @property
    def seconds(self) -> float:
        return self.frames / self.rate

    # Where things are

    def place(self, i: int) -> tuple[float, float, float, float]:
        """x, y from the picture's middle, extent and angle of the thing in frame i."""
        u = (i + 0.5) / self.frames                                                 # 0..1 along the way
        s = 2 * u - 1                                                               # -1..1
        x, y, radius, angle = *self.at, self.radius, self.tilt
        match self.motion:
            case "crossing":
                x += 0.24 * s * self.heading
            case "arc":
                x, y = x + 0.22 * s * self.heading, y + 0.2 * (s * s - 0.4)
            case "bounce":
                y += 0.14 - 0.28 * abs(np.sin(2 * np.pi * u))
            case "turning":
                angle += 2 * np.pi * self.heading * u
            case "growing":
                radius *= 0.75 + 0.5 * (u if self.heading > 0 else 1 - u)
            case "in place":
                angle += 0.18 * np.sin(2 * np.pi * u)
        return float(x), float(y), float(radius), float(angle)

    def grid(self) -> tuple[Array, Array]:
        """x, y of the pixels' middles, from the picture's middle.  (h w)"""
        w, h = self.size
        y, x = np.mgrid[0:h, 0:w]
        return (x + 0.5 - w / 2) / h, (y + 0.5 - h / 2) / h

    def local(self, i: int, x: Array, y: Array) -> tuple[Array, Array]:
        """The same points in the thing's own coordinates."""
        px, py, radius, angle = self.place(i)
        cos, sin, u, v = np.cos(angle), np.sin(angle), x - px, y - py
        return (cos * u + sin * v) / radius, (cos * v - sin * u) / radius

    def camera(self, i: int) -> tuple[float, float]:
        """x, y of the picture's middle on the background."""
        return self.pan[0] * i / self.rate, self.pan[1] * i / self.rate
