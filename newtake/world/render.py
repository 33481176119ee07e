"""A scene as pictures, masks and motion."""

from __future__ import annotations

import numpy as np

from . import paint
from .scene import Scene
from .shapes import SHAPES, Array, outline

BORDER = 0.075                                          # width of the drawn edge, in the thing's own units


def frame(scene: Scene, i: int) -> Array:
    """Frame i, uint8 (h w 3)."""
    x, y = scene.grid()
    u, v = scene.local(i, x, y)
    pixel = 1 / (scene.size[1] * scene.place(i)[2])                                 # a pixel in the thing's own units
    style = paint.LAYER_STYLES[scene.style]
    cx, cy = scene.camera(i)
    picture = style(paint.BACKGROUNDS[scene.background](x + cx, y + cy, scene.seed), x + cx, y + cy, scene.seed)
    thing, cover = drawn(scene, u, v, pixel)
    picture = paint.mix(picture, style(thing, u * scene.radius, v * scene.radius, scene.seed + 7), cover)
    if scene.style == "pixel art":
        picture = paint.pixel_art(picture)
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)


def drawn(scene: Scene, u: Array, v: Array, pixel: float) -> tuple[Array, Array]:
    """Colours of the thing (h w 3), and how much of each pixel it covers (h w)."""
    colour, parts = np.array(paint.COLOURS[scene.colour]), SHAPES[scene.object]
    out = np.broadcast_to(colour, (*u.shape, 3))
    for part in parts:
        tone = np.zeros(3) if part.tone < 0 else np.ones(3)
        out = paint.mix(out, colour + (tone - colour) * abs(part.tone), covered(part.distance(u, v), pixel))
    whole = outline(parts)(u, v)
    edge = covered(-whole - BORDER, pixel)
    return paint.mix(out, colour * 0.25, edge), covered(whole, pixel)


def covered(distance: Array, pixel: float) -> Array:
    """Share of a pixel inside an edge: a ramp one pixel wide."""
    return np.clip(0.5 - distance / pixel, 0, 1)


def frames(scene: Scene) -> Array:
    """uint8 (f h w 3)"""
    return np.stack([frame(scene, i) for i in range(scene.frames)])


def mask(scene: Scene, i: int) -> Array:
    """Where the thing is seen in frame i: True where it covers half a pixel or more.  bool (h w)"""
    return outline(SHAPES[scene.object])(*scene.local(i, *scene.grid())) <= 0


def masks(scene: Scene) -> Array:
    """bool (f h w)"""
    return np.stack([mask(scene, i) for i in range(scene.frames)])


def flow(scene: Scene, i: int, j: int | None = None) -> Array:
    """Exact motion of what is seen in frame i, until frame j (i + 1).  float32 (h w 2), x and y in pixels."""
    j = i + 1 if j is None else j
    x, y = scene.grid()
    (ax, ay), (bx, by) = scene.camera(i), scene.camera(j)
    ground = np.stack([np.full_like(x, ax - bx), np.full_like(y, ay - by)], -1)
    u, v = scene.local(i, x, y)
    px, py, radius, angle = scene.place(j)
    cos, sin = np.cos(angle), np.sin(angle)
    moved = np.stack([px + radius * (cos * u - sin * v) - x, py + radius * (sin * u + cos * v) - y], -1)
    return (np.where(mask(scene, i)[..., None], moved, ground) * scene.size[1]).astype(np.float32)
