"""Fidelity against editability: a dot a method, drawn as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import ceil, floor, isfinite, log10

from ..metrics.statistics import Mean, means
from .tables import FLAG, Results, column, order, written

WIDTH, HEIGHT = 720, 440
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 20, 52
LETTER, LINE = 6.6, 14                                  # of the labels, about: width and height
Box = tuple[float, float, float, float]                 # left, top, right, bottom


class Axis:
    """From a metric's figures to places on the picture."""

    def __init__(self, figures: Sequence[float], start: float, end: float):
        low, high = min(figures), max(figures)
        spare = 0.08 * (high - low) or 0.1 * abs(high) or 1
        self.low, self.high, self.start, self.end = low - spare, high + spare, start, end

    def __call__(self, figure: float) -> float:
        return self.start + (figure - self.low) / (self.high - self.low) * (self.end - self.start)

    def marks(self) -> list[float]:
        """Four to ten round figures along it."""
        about = (self.high - self.low) / 8
        step = next(round_ for round_ in (n * 10 ** floor(log10(about)) for n in (1, 2, 5, 10)) if round_ >= about * 0.999)
        return [step * n for n in range(ceil(self.low / step), floor(self.high / step) + 1)]


def scatter(results: Results) -> str:
    """The picture, or "" where no method has both figures; what cannot be drawn is said below it."""
    x, y = results["scatter"]["x"], results["scatter"]["y"]
    across, up = means(results["rows"], x), means(results["rows"], y)
    both = {name: (across[name], up[name]) for name in order(results) if name in across and name in up}
    drawn = {name: pair for name, pair in both.items() if all(isfinite(m.value) for m in pair)}
    if not drawn:
        return ""
    ends = [[end for m in ms for end in (m.value, m.low, m.high) if isfinite(end)] for ms in zip(*drawn.values(), strict=True)]
    axes = Axis(ends[0], LEFT, WIDTH - RIGHT), Axis(ends[1], HEIGHT - BOTTOM, TOP)
    dots = [(axes[0](a.value), axes[1](b.value)) for a, b in drawn.values()]
    boxes: list[Box] = [(x - 6, y - 6, x + 6, y + 6) for x, y in dots]
    made = "".join(dot(name, pair, axes, name in results["controls"], boxes) for name, pair in drawn.items())
    said = escape(f"{y} against {x}, a dot a method with its 95 % intervals")
    figures = lambda pair: ", ".join(written([m.value])(m.value) for m in pair)
    left_out = [f"{name} ({figures(pair)})" for name, pair in both.items() if name not in drawn]
    note = f'<p class="quiet">Not on the picture: {escape(", ".join(left_out))}.</p>' if left_out else ""
    return (f'<div class="plot"><svg class="scatter" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{said}">'
            f"{frame(axes, heading(results, x), heading(results, y))}{made}</svg></div>{note}")


def heading(results: Results, metric: str) -> str:
    head = column(results, metric)
    better = {"↑": "higher is better", "↓": "lower is better"}.get(head.arrow, "")
    return ", ".join(filter(None, (f"{metric} {FLAG}" if head.flags else metric, head.unit, better)))


def frame(axes: tuple[Axis, Axis], x: str, y: str) -> str:
    """Grid, figures along the axes, and the axes' names."""
    parts = []
    shown = lambda mark: f"{mark:.6g}".replace("-", "−")
    for mark in axes[0].marks():
        at = axes[0](mark)
        parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
                     f'<text class="tick" x="{at:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{shown(mark)}</text>')
    for mark in axes[1].marks():
        at = axes[1](mark)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
                     f'<text class="tick" x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{shown(mark)}</text>')
    middle = (TOP + HEIGHT - BOTTOM) / 2
    centre = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text class="axis" x="{centre}" y="{HEIGHT - 12}" text-anchor="middle">{escape(x)}</text>'
                 f'<text class="axis" transform="translate(14 {middle}) rotate(-90)" text-anchor="middle">{escape(y)}</text>')
    return "".join(parts)


def dot(name: str, pair: tuple[Mean, Mean], axes: tuple[Axis, Axis], control: bool, boxes: list[Box]) -> str:
    """A method: its intervals, its dot, and its name where there is room."""
    (a, b), (across, up) = pair, axes
    x, y = across(a.value), up(b.value)
    lines = ""
    if isfinite(a.low) and isfinite(a.high):
        lines += f'<line class="whisker" x1="{across(a.low):.1f}" x2="{across(a.high):.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
    if isfinite(b.low) and isfinite(b.high):
        lines += f'<line class="whisker" x1="{x:.1f}" x2="{x:.1f}" y1="{up(b.low):.1f}" y2="{up(b.high):.1f}"/>'
    left, top, right, bottom = room(x, y, len(name) * LETTER, boxes)
    boxes.append((left, top, right, bottom))
    near = min(max(x, left), right), min(max(y, top), bottom)
    lines += f'<line class="leader" x1="{x:.1f}" x2="{near[0]:.1f}" y1="{y:.1f}" y2="{near[1]:.1f}"/>'
    kind = "control" if control else "method"
    tip = escape(f"{name}: {written([a.value])(a.value)}, {written([b.value])(b.value)}")
    return (f'<g class="{kind}">{lines}<circle cx="{x:.1f}" cy="{y:.1f}" r="5"><title>{tip}</title></circle>'
            f'<text x="{left:.1f}" y="{bottom - 3:.1f}">{escape(name)}</text></g>')


def room(x: float, y: float, width: float, boxes: Sequence[Box]) -> Box:
    """A place for a label beside a dot: the first that covers nothing, else the one that covers least."""
    places = [(x + side, y + down) for down in (-7, -22, 8, -36, 22, 36) for side in (10, -10 - width, -width / 2)]
    made = [(left, top, left + width, top + LINE) for left, top in places]
    inside = [box for box in made if box[0] >= LEFT and box[2] <= WIDTH and box[1] >= 0 and box[3] <= HEIGHT - BOTTOM]
    return min(inside or made, key=lambda box: sum(covered(box, other) for other in boxes))


def covered(a: Box, b: Box) -> float:
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
