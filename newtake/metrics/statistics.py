"""Means over clips and how sure they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import nan
from typing import Any

import numpy as np

DRAWS = 10_000
LEVEL = 0.95


@dataclass(frozen=True)
class Mean:
    """A mean and its 95 % interval; the interval is not a number where there are fewer than two clips."""

    value: float
    low: float
    high: float
    clips: int


NONE = Mean(nan, nan, nan, 0)


def means(rows: Sequence[Mapping[str, Any]], metric: str, over: str = "method") -> dict[str, Mean]:
    """The mean of a metric for each value of `over` ("method", "task", ...), in the order of the rows.

    Rows have "edit", "scores" and what `over` names.  Seeds are averaged first, so that an edit that ran more often counts
    once, and intervals are over edits.  A score of None is left out; a value of `over` without any score is not in the result.
    """
    found: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        if (score := row["scores"].get(metric)) is not None:
            found.setdefault(row[over], {}).setdefault(row["edit"], []).append(score)
    return {name: mean([sum(seeds) / len(seeds) for seeds in edits.values()]) for name, edits in found.items()}


def mean(values: Sequence[float]) -> Mean:
    """The mean of one value a clip, and its interval by the percentile bootstrap (Efron, Annals of Statistics 1979), seeded."""
    given, count = np.asarray(values, float), len(values)
    if count < 2:
        return Mean(float(given.mean()), nan, nan, count) if count else NONE
    outside = round(DRAWS * (1 - LEVEL) / 2)            # no interpolation: scores may be infinite
    drawn = np.partition(given.take(picks(count)).mean(0), (outside, DRAWS - 1 - outside))
    return Mean(float(given.mean()), float(drawn[outside]), float(drawn[-1 - outside]), count)


@lru_cache(8)
def picks(count: int) -> np.ndarray:                    # (clips draws) numbers of clips
    return np.random.default_rng(0).integers(count, size=(count, DRAWS))
