"""Backgrounds with texture, and the styles: colours of places.  Colours are RGB in [0, 1].

A texture is a function of world coordinates (in picture heights), so that it pans with the camera and has the same bits at
every run: the noise is a hash of integer lattice points (value noise; Perlin, SIGGRAPH 1985).
"""

from __future__ import annotations

import numpy as np

from .shapes import Array

COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.86, 0.11, 0.13), "orange": (0.98, 0.52, 0.07), "yellow": (0.98, 0.88, 0.16), "green": (0.10, 0.62, 0.22),
    "blue": (0.12, 0.32, 0.90), "purple": (0.52, 0.16, 0.72), "pink": (0.98, 0.52, 0.76), "white": (0.96, 0.96, 0.96),
}


def lattice(i: Array, j: Array, seed: int) -> Array:
    """A number in [0, 1) for each lattice point."""
    n = (i.astype(np.int64) * 374761393 + j.astype(np.int64) * 668265263 + seed * 974711 + 1013904223) & 0xFFFFFFFF
    n = ((n ^ (n >> 13)) * 1274126177) & 0xFFFFFFFF
    return ((n ^ (n >> 16)) & 0xFFFF) / 65536.0


def noise(x: Array, y: Array, seed: int) -> Array:
    """Smooth value noise in [0, 1], one cell a unit."""
    i, j = np.floor(x), np.floor(y)
    u, v = x - i, y - j
    u, v = u * u * (3 - 2 * u), v * v * (3 - 2 * v)
    a, b, c, d = (lattice(i + p, j + q, seed) for p, q in ((0, 0), (1, 0), (0, 1), (1, 1)))
    return (a * (1 - u) + b * u) * (1 - v) + (c * (1 - u) + d * u) * v


def mix(a, b, share: Array) -> Array:                   # (3,) or (h w 3), (h w) -> (h w 3)
    share = share[..., None]
    return np.asarray(a) * (1 - share) + np.asarray(b) * share


def grass(x, y, seed):
    blades = noise(x * 16, y * 6, seed) * 0.6 + noise(x * 9, y * 4, seed + 1) * 0.4
    return mix((0.30, 0.56, 0.20), (0.58, 0.80, 0.34), blades)


def sand(x, y, seed):
    ripple = 0.5 + 0.5 * np.sin(2 * np.pi * (y * 3.5 + 0.9 * noise(x * 2, y * 2, seed)))
    return mix((0.83, 0.70, 0.48), (0.95, 0.85, 0.64), 0.8 * ripple + 0.2 * noise(x * 12, y * 12, seed + 1))


def sea(x, y, seed):
    wave = 0.5 + 0.5 * np.sin(2 * np.pi * (y * 4 + 0.3 * np.sin(2 * np.pi * x * 1.5) + noise(x * 2, y * 2, seed)))
    return mix((0.06, 0.38, 0.57), (0.32, 0.66, 0.78), wave**2)


def snow(x, y, seed):
    drift = noise(x * 3, y * 5, seed) * 0.7 + noise(x * 9, y * 9, seed + 1) * 0.3
    return mix((0.74, 0.81, 0.90), (0.97, 0.98, 1.0), drift)


def wall(x, y, seed):
    row = np.floor(y * 5)
    u, v = x * 2.5 + 0.5 * (row % 2), y * 5
    edge = np.minimum(np.minimum(u % 1, 1 - u % 1) * 2, np.minimum(v % 1, 1 - v % 1))
    brick = mix((0.50, 0.31, 0.26), (0.66, 0.44, 0.36), lattice(np.floor(u), row, seed))
    return mix((0.80, 0.76, 0.70), brick, np.clip((edge - 0.04) / 0.16, 0, 1))


def night(x, y, seed):
    i, j = np.floor(x * 4), np.floor(y * 4)
    sx, sy = (0.25 + 0.5 * lattice(i, j, seed + k) for k in (1, 2))
    star = np.clip(1.6 - np.hypot(x * 4 - i - sx, y * 4 - j - sy) * 10, 0, 1) * (lattice(i, j, seed + 3) > 0.35)
    sky = mix((0.05, 0.05, 0.16), (0.16, 0.13, 0.34), noise(x * 2, y * 2, seed))
    return mix(sky, (1.0, 0.97, 0.80), star)


BACKGROUNDS = {"grass": grass, "sand": sand, "sea": sea, "snow": snow, "wall": wall, "night": night}

PAPER = np.array([0.97, 0.96, 0.93])


def plain(colour: Array, x: Array, y: Array, seed: int) -> Array:
    return colour


def pencil(colour: Array, x: Array, y: Array, seed: int) -> Array:
    """Strokes along a diagonal, paper between them."""
    along, across = (x + y) * 0.7071, (x - y) * 0.7071
    stroke = noise(across * 22, along * 3.5, seed + 11)
    return mix(colour, PAPER, 0.15 + 0.5 * np.clip(1.5 * stroke - 0.35, 0, 1))


def watercolour(colour: Array, x: Array, y: Array, seed: int) -> Array:
    """A thin wash: light, with pools of pigment."""
    pool = noise(x * 4, y * 4, seed + 21) * 0.7 + noise(x * 10, y * 10, seed + 22) * 0.3
    return mix(colour, PAPER, 0.22 + 0.46 * pool)


CELLS, SHADES = 32, 8                                   # of pixel art: cells a picture's height, values a channel


def pixel_art(picture: Array) -> Array:                 # (h w 3)
    """Flat cells of few colours."""
    h, w, _ = picture.shape
    starts = [np.ceil(np.arange(n) * side / n).astype(int) for side, n in ((h, CELLS), (w, round(CELLS * w / h)))]
    sizes = [np.diff([*start, side]) for start, side in zip(starts, (h, w), strict=True)]
    flat = np.add.reduceat(np.add.reduceat(picture, starts[0], 0), starts[1], 1) / np.outer(*sizes)[..., None]
    flat = np.round(flat * (SHADES - 1)) / (SHADES - 1)
    return flat.repeat(sizes[0], 0).repeat(sizes[1], 1)


LAYER_STYLES = {"plain": plain, "pencil": pencil, "watercolour": watercolour, "pixel art": plain}
