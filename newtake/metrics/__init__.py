"""How good an edit is, in numbers.

`scores(Material(edit, source=..., mask=...))` gives all that can be measured; `METRICS["psnr_to_source"]` says what a number
means and measures it alone.  `SET_METRICS` are those of many edits together, on `Sets`.  docs/metrics.md has the traps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import BadInput
from . import clip, editboard, frechet, motion, perceptual, pixels, structure
from .frechet import Sets
from .metric import Material, Metric

FAMILIES = (pixels, perceptual, clip, structure, motion, editboard)
METRICS: dict[str, Metric[Material]] = {metric.name: metric for family in FAMILIES for metric in family.METRICS}
SET_METRICS: dict[str, Metric[Sets]] = {metric.name: metric for metric in frechet.METRICS}

__all__ = ["METRICS", "SET_METRICS", "Material", "Metric", "Sets", "scores"]


def scores(material: Material | Sets, names: Sequence[str] | None = None) -> dict[str, float]:
    """What the metrics find, by their names; None: all whose needs are there.  Not a number where one is undefined.

    Raises BadInput for a name that is unknown, and for one whose needs are not there.
    """
    known: dict[str, Metric[Any]] = {**(METRICS if isinstance(material, Material) else SET_METRICS)}
    if unknown := [name for name in names or () if name not in known]:
        raise BadInput(f"unknown metric {unknown[0]!r}; known are {', '.join(known)}")
    if names is None:
        names = [name for name, metric in known.items() if not metric.missing(material)]
    return {name: known[name](material) for name in names}
