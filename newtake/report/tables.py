"""The tables of a benchmark's results, as data: what the page and the Markdown both print."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import floor, inf, isfinite, isnan, log10, nan
from typing import Any

from ..errors import BadInput
from ..metrics.statistics import NONE, Mean, means

Results = Mapping[str, Any]
Row = Mapping[str, Any]

NEEDED = {"title": str, "version": str, "environment": dict, "formula": str, "metrics": dict, "methods": list, "controls": list,
          "ranking": list, "tasks": list, "rows": list, "flags": list}
COSTS = {"evaluations": "row-passes of the denoiser, the inversion's included", "seconds": "of one edit",
         "peak_memory_mb": "the greatest so far, of the process or the device"}
FLAG, NOTHING = "⚑", "–"


@dataclass(frozen=True)
class Column:
    """A heading: a metric with its unit and direction, or a word."""

    name: str
    unit: str = ""
    arrow: str = ""                                     # ↑: higher is better, ↓: lower is better
    about: str = ""
    flags: tuple[str, ...] = ()                         # what beats what under this metric though it is no edit


@dataclass(frozen=True)
class Cell:
    text: str
    interval: str = ""
    value: float | None = None                          # what a column is sorted by; None: its text
    best: bool = False                                  # of all methods


@dataclass(frozen=True)
class Table:
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    controls: frozenset[int]                            # which rows are controls
    about: str = ""

    @property
    def flags(self) -> tuple[str, ...]:
        """A line for each flag of a metric that stands here."""
        return tuple(f"{column.name}: {line}" for column in self.columns for line in column.flags)


def checked(results: Results) -> Results:
    """The results, if they are a benchmark's.  BadInput names the first thing that is missing."""
    for name, kind in NEEDED.items():
        if not isinstance(results.get(name), kind):
            raise BadInput(f"these are no results of a benchmark: {name!r} must be a {kind.__name__}")
    if not results["metrics"]:
        raise BadInput("these are no results of a benchmark: 'metrics' is empty")
    for metric in (worst(results), *results.get("scatter", {}).values()):
        if metric not in results["metrics"]:
            raise BadInput(f"the report asks for {metric!r}, which is none of the metrics {', '.join(results['metrics'])}")
    return results


def tables(results: Results) -> list[Table]:
    """The ranking, the table of all edits, that of sets where there is one, and one a task."""
    made = [ranking(results), scores(results, "All edits", results["rows"]), *over_sets(results)]
    return made + [scores(results, f"Task: {task}", [row for row in results["rows"] if row["task"] == task])
                   for task in results["tasks"]]


def ranking(results: Results) -> Table:
    """Methods by the score of the formula, with their ranks under the others."""
    listed = results["ranking"]
    others = list(dict.fromkeys(name for one in listed for name in one.get("ranks", {})))
    columns = (Column("rank"), Column("method"), Column("score", arrow="↑"), *(Column(name, about="rank") for name in others))
    shown = written([figure for one in listed for figure in (one["score"], one.get("low"), one.get("high"))])
    rows = []
    for number, one in enumerate(listed, 1):
        ranks = [one.get("ranks", {}).get(name) for name in others]
        score = Cell(shown(one["score"]), interval(shown, one.get("low"), one.get("high")), one["score"])
        rows.append((Cell(str(number), value=number), Cell(one["method"]), score,
                     *(Cell(NOTHING if rank is None else str(rank), value=rank) for rank in ranks)))
    controls = frozenset(i for i, one in enumerate(listed) if one["method"] in results["controls"])
    return Table("Ranking", columns, tuple(rows), controls, results["formula"])


def scores(results: Results, title: str, rows: Sequence[Row]) -> Table:
    """Means of every metric and cost, with 95 % intervals over edits, a row a method."""
    there = {row["method"] for row in rows}
    names = [name for name in order(results) if name in there]
    made = [(column(results, metric), means(rows, metric)) for metric in results["metrics"]]
    spent = [{**row, "scores": row} for row in rows]
    for name, about in COSTS.items():
        bare = {method: replace(m, low=nan, high=nan) for method, m in means(spent, name).items()}
        made.append((Column(name.replace("_", " "), about=about), bare))
    made = [(head, found) for head, found in made if found]
    cells = [filled(results, head, found, names) for head, found in made]
    edits = len({row["edit"] for row in rows})
    controls = frozenset(i for i, name in enumerate(names) if name in results["controls"])
    heads = (Column("method"), *(head for head, _ in made))
    about = f"Means over {edits} edit{'s' * (edits != 1)}, with 95 % intervals (bootstrap over edits)"
    return Table(title, heads, tuple(zip((Cell(name) for name in names), *cells, strict=True)), controls, about)


def over_sets(results: Results) -> list[Table]:
    """Metrics of all edits of a method together: a table, or none."""
    found: Mapping[str, Any] = results.get("sets") or {"of": {}}
    names = [name for name in order(results) if name in found["of"]]
    if not names:
        return []
    heads = [heading(metric, told) for metric, told in found["metrics"].items()]
    values = [{name: Mean(found["of"][name][head.name], nan, nan, 1) for name in names
               if found["of"][name].get(head.name) is not None} for head in heads]
    cells = [filled(results, *column, names) for column in zip(heads, values, strict=True)]
    controls = frozenset(i for i, name in enumerate(names) if name in results["controls"])
    rows = tuple(zip((Cell(name) for name in names), *cells, strict=True))
    return [Table("Sets of edits", (Column("method"), *heads), rows, controls, found["about"])]


def filled(results: Results, head: Column, found: Mapping[str, Mean], names: Iterable[str]) -> list[Cell]:
    """A column of cells, the best method's marked."""
    shown, sign = written([end for m in found.values() for end in (m.value, m.low, m.high)]), -1 if head.arrow == "↓" else 1
    real = [sign * m.value for name, m in found.items() if name not in results["controls"] and not isnan(m.value)]
    cells = []
    for name in names:
        m = found.get(name, NONE)
        best = bool(head.arrow) and name not in results["controls"] and sign * m.value == max(real, default=None)
        cells.append(Cell(shown(m.value), interval(shown, m.low, m.high), None if isnan(m.value) else m.value, best))
    return cells


def order(results: Results) -> list[str]:
    """Methods and controls: as they are ranked, then those that are not."""
    ranked = [one["method"] for one in results["ranking"]]
    named = [name for name in (*ranked, *results["methods"], *results["controls"])]
    return [name for wanted in (False, True) for name in dict.fromkeys(named) if (name in results["controls"]) == wanted]


def column(results: Results, metric: str) -> Column:
    """A metric's heading, with what is to be said against it."""
    return heading(metric, results["metrics"][metric], flags(results, metric))


def heading(metric: str, told: Mapping[str, Any], flags: tuple[str, ...] = ()) -> Column:
    higher = told.get("higher_is_better")
    arrow = "" if higher is None else "↑" if higher else "↓"
    return Column(metric, told.get("unit") or "", arrow, told.get("what") or "", flags)


def unmeasured(results: Results) -> list[str]:
    """A line for each metric of the benchmark that there is no number of, and why."""
    return [f"{metric}: {why}" for metric, why in results.get("missing", {}).items()]


def flags(results: Results, metric: str) -> tuple[str, ...]:
    """A line for each control that beats methods under a metric."""
    lines = []
    for flag in results["flags"]:
        if flag["metric"] == metric:
            everyone = set(flag["beats"]) >= set(results["methods"])
            lines.append(f"{flag['control']} beats {'every method' if everyone else ', '.join(flag['beats'])}")
    return tuple(lines)


def worst(results: Results) -> str:
    """The metric that orders the cases: the results' own `worst`, else the scatter's y, else the first."""
    return results.get("worst") or results.get("scatter", {}).get("y") or next(iter(results["metrics"]))


# Numbers

def written(figures: Iterable[float | None]) -> Callable[[float | None], str]:
    """How a column of numbers is written: with as many decimals as give its largest three figures."""
    largest = max((abs(n) for n in figures if n is not None and isfinite(n)), default=0)
    decimals = min(6, max(0, 2 - floor(log10(largest)))) if largest else 0

    def shown(number: float | None) -> str:
        if number is None or isnan(number):
            return NOTHING
        return {inf: "∞", -inf: "−∞"}.get(number) or f"{number:,.{decimals}f}".replace("-", "−")
    return shown


def interval(shown: Callable[[float | None], str], low: float | None, high: float | None) -> str:
    if low is None or high is None or isnan(low) or isnan(high):
        return ""
    return f"{shown(low)} to {shown(high)}"
