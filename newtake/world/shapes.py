"""The things of the world, as signed distances: negative inside.  Local coordinates, x right, y down, within [-1, 1].

Distances of circles, boxes and polygons are exact (Quilez, "2D distance functions"), those of ellipses to first order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Array = np.ndarray
Distance = Callable[[Array, Array], Array]              # x, y (h w) -> (h w)


@dataclass(frozen=True)
class Part:
    """A piece of a thing.  Later parts lie over earlier ones."""

    distance: Distance
    tone: float = 0.0                                   # -1 black, 0 the thing's own colour, 1 white


def circle(cx: float, cy: float, radius: float) -> Distance:
    return lambda x, y: np.hypot(x - cx, y - cy) - radius


def ellipse(cx: float, cy: float, rx: float, ry: float, turn: float = 0.0) -> Distance:
    """First-order distance: value over gradient of the implicit function."""
    cos, sin = np.cos(turn), np.sin(turn)

    def distance(x, y):
        u, v = cos * (x - cx) + sin * (y - cy), cos * (y - cy) - sin * (x - cx)
        k, g = np.hypot(u / rx, v / ry), np.hypot(u / rx**2, v / ry**2)
        return k * (k - 1) / np.maximum(g, 1e-6)
    return distance


def box(cx: float, cy: float, half_w: float, half_h: float, rounding: float = 0.0) -> Distance:
    def distance(x, y):
        u, v = np.abs(x - cx) - half_w + rounding, np.abs(y - cy) - half_h + rounding
        return np.hypot(np.maximum(u, 0), np.maximum(v, 0)) + np.minimum(np.maximum(u, v), 0) - rounding
    return distance


def polygon(*corners: tuple[float, float]) -> Distance:
    def distance(x, y):
        nearest, inside = np.full(x.shape, np.inf), np.zeros(x.shape, bool)
        for (ax, ay), (bx, by) in zip(corners, (*corners[1:], corners[0]), strict=True):
            ex, ey, px, py = bx - ax, by - ay, x - ax, y - ay
            along = np.clip((px * ex + py * ey) / (ex * ex + ey * ey), 0, 1)
            nearest = np.minimum(nearest, np.hypot(px - along * ex, py - along * ey))
            if ey != 0:
                inside ^= ((ay <= y) != (by <= y)) & (px < ex * py / ey)
        return np.where(inside, -nearest, nearest)
    return distance


def join(*distances: Distance) -> Distance:
    return lambda x, y: np.minimum.reduce([d(x, y) for d in distances])


def without(whole: Distance, hole: Distance) -> Distance:
    return lambda x, y: np.maximum(whole(x, y), -hole(x, y))


def around(points: int, outer: float, inner: float) -> list[tuple[float, float]]:
    """Corners of a star, the first one up."""
    angles = np.arange(2 * points) * np.pi / points - np.pi / 2
    return [(r * np.cos(a), r * np.sin(a)) for a, r in zip(angles, [outer, inner] * points, strict=True)]


def petals(count: int, reach: float, radius: float, cy: float) -> Distance:
    turns = 2 * np.pi * np.arange(count) / count
    return join(*(circle(reach * np.sin(a), cy - reach * np.cos(a), radius) for a in turns))


DARK, SHADE, TINT, LIGHT = -0.8, -0.35, 0.45, 0.9

THINGS: dict[str, tuple[Part, ...]] = {
    "ball": (
        Part(circle(0, 0, 0.85)),
        Part(without(circle(0, 0, 0.85), circle(-0.16, -0.18, 0.86)), SHADE),
        Part(ellipse(-0.33, -0.38, 0.2, 0.13, -0.7), LIGHT),
    ),
    "star": (Part(polygon(*around(5, 1.0, 0.44))), Part(polygon(*around(5, 0.5, 0.22)), TINT)),
    "heart": (
        Part(join(circle(-0.43, -0.33, 0.48), circle(0.43, -0.33, 0.48),
                  polygon((-0.84, -0.08), (-0.3, -0.4), (0.3, -0.4), (0.84, -0.08), (0, 0.92)))),
        Part(ellipse(-0.48, -0.42, 0.16, 0.12, -0.6), LIGHT),
    ),
    "fish": (
        Part(join(ellipse(-0.15, 0, 0.75, 0.5), polygon((0.4, 0), (0.98, -0.55), (0.85, 0), (0.98, 0.55)))),
        Part(polygon((-0.2, 0.02), (0.2, -0.22), (0.2, 0.3)), SHADE),
        Part(circle(-0.55, -0.12, 0.15), LIGHT), Part(circle(-0.57, -0.12, 0.075), -1),
    ),
    "cat": (
        Part(join(ellipse(0, 0.15, 0.82, 0.7), polygon((-0.8, 0.1), (-0.78, -0.92), (-0.15, -0.45)),
                  polygon((0.8, 0.1), (0.78, -0.92), (0.15, -0.45)))),
        Part(join(polygon((-0.62, -0.25), (-0.66, -0.66), (-0.36, -0.42)),
                  polygon((0.62, -0.25), (0.66, -0.66), (0.36, -0.42))), TINT),
        Part(join(ellipse(-0.33, 0.02, 0.15, 0.19), ellipse(0.33, 0.02, 0.15, 0.19)), LIGHT),
        Part(join(ellipse(-0.33, 0.04, 0.07, 0.16), ellipse(0.33, 0.04, 0.07, 0.16), ellipse(0, 0.34, 0.11, 0.08)), -1),
    ),
    "butterfly": (
        Part(join(ellipse(-0.5, -0.34, 0.5, 0.42, 0.6), ellipse(0.5, -0.34, 0.5, 0.42, -0.6))),
        Part(join(ellipse(-0.42, 0.42, 0.4, 0.32, -0.6), ellipse(0.42, 0.42, 0.4, 0.32, 0.6)), SHADE),
        Part(join(circle(-0.55, -0.36, 0.17), circle(0.55, -0.36, 0.17)), LIGHT),
        Part(ellipse(0, 0.05, 0.12, 0.72), DARK),
    ),
    "car": (
        Part(join(box(0, 0.15, 0.97, 0.3, 0.14), polygon((-0.62, -0.1), (-0.4, -0.58), (0.32, -0.58), (0.62, -0.1)))),
        Part(join(polygon((-0.45, -0.1), (-0.3, -0.43), (-0.06, -0.43), (-0.06, -0.1)),
                  polygon((0.08, -0.1), (0.08, -0.43), (0.25, -0.43), (0.44, -0.1))), 0.8),
        Part(join(circle(-0.52, 0.46, 0.25), circle(0.52, 0.46, 0.25)), -0.9),
        Part(join(circle(-0.52, 0.46, 0.1), circle(0.52, 0.46, 0.1)), 0.7),
    ),
    "boat": (
        Part(polygon((-0.98, 0.35), (0.98, 0.35), (0.62, 0.85), (-0.62, 0.85))),
        Part(box(0, -0.25, 0.05, 0.65), DARK),
        Part(join(polygon((0.1, -0.95), (0.85, 0.2), (0.1, 0.2)), polygon((-0.1, -0.7), (-0.1, 0.2), (-0.65, 0.2))), TINT),
    ),
    "rocket": (
        Part(join(polygon((-0.3, 0.1), (-0.72, 0.72), (-0.2, 0.6)), polygon((0.3, 0.1), (0.72, 0.72), (0.2, 0.6))), SHADE),
        Part(join(ellipse(0, -0.25, 0.38, 0.75), box(0, 0.2, 0.36, 0.42, 0.1))),
        Part(circle(0, -0.3, 0.2), 0.9), Part(circle(0, -0.3, 0.12), -0.6),
        Part(polygon((-0.2, 0.66), (0.2, 0.66), (0, 1.0)), TINT),
    ),
    "house": (
        Part(box(0, 0.32, 0.68, 0.55)),
        Part(polygon((-0.95, -0.15), (0, -0.95), (0.95, -0.15)), SHADE),
        Part(box(-0.3, 0.2, 0.18, 0.18), LIGHT), Part(box(0.28, 0.5, 0.19, 0.37), DARK),
    ),
    "tree": (
        Part(box(0, 0.7, 0.14, 0.3), -0.75),
        Part(join(circle(0, -0.42, 0.52), circle(-0.42, 0.02, 0.44), circle(0.42, 0.02, 0.44), circle(0, 0.05, 0.45))),
        Part(join(circle(-0.2, -0.5, 0.16), circle(0.35, -0.08, 0.13)), TINT),
    ),
    "flower": (
        Part(box(0, 0.7, 0.07, 0.28), -0.6), Part(ellipse(0.28, 0.72, 0.26, 0.11, -0.5), -0.45),
        Part(petals(6, 0.46, 0.3, -0.24)), Part(circle(0, -0.24, 0.24), LIGHT),
    ),
}

UNSEEN: dict[str, tuple[Part, ...]] = {                 # kept from every training, and from the words: there to be learned
    "mushroom": (
        Part(box(0, 0.45, 0.26, 0.5, 0.16), 0.75),
        Part(without(ellipse(0, 0, 0.95, 0.85), box(0, 0.6, 1, 0.5))),
        Part(join(circle(-0.45, -0.22, 0.17), circle(0.12, -0.5, 0.19), circle(0.52, -0.14, 0.14)), LIGHT),
    ),
}
SHAPES = THINGS | UNSEEN


def outline(parts: tuple[Part, ...]) -> Distance:
    """The thing as a whole."""
    return join(*(part.distance for part in parts))
