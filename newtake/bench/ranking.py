"""From scores to a ranking, and which metrics rank editors at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, isfinite
from typing import Any

from ..metrics import METRICS
from ..metrics.statistics import means

Rows = Sequence[dict[str, Any]]
Formula = Callable[[float, float, float, float], float] # success and SSIM, shares; motion beyond the truth's; PSNR to the truth

MEASURED = ("psnr_to_truth", "psnr_to_source_outside", "ssim_to_truth", "perceptual_to_truth", "motion_error_true",
            "flicker_beyond_source", "text_alignment", "frame_accuracy")
SUCCESS = {"unit": "%", "higher_is_better": True,
           "what": "frames in which the judge finds object, colour, background and style of the true answer"}
SCORE = {"unit": "", "higher_is_better": True, "what": "what the ranking is made of"}
SAID = ("score: 100 times the geometric mean of success (share of frames), SSIM to the true answer, and 1 / (1 + m), where m "
        "is by how much the motion error is above the true answer's, in percent of the height; the mean over edits.  Who does "
        "nothing has no success, who destroys has no likeness.")
SCORED = "score"
UNRANKED = ("No ranking: there is no true answer here, and a mean of these metrics would reward who does nothing.  Methods "
            "stand in the order in which they were named; a flag says under which metric a control beats them.")

FORMULAS: dict[str, Formula] = {
    SCORED: lambda s, likeness, motion, psnr: 100 * (s * likeness / (1 + motion)) ** (1 / 3),
    "harmonic mean of success and likeness": lambda s, likeness, motion, psnr: 2 * s * likeness / max(s + likeness, 1e-9),
    "success alone": lambda s, likeness, motion, psnr: s,
    "PSNR to the truth alone": lambda s, likeness, motion, psnr: psnr,
}
ENDS = {"score": "value", "low": "low", "high": "high"}
PERFECT = 60.0                                          # dB that stand for a PSNR without end


def ranked_by(rows: Rows) -> list[dict[str, Any]]:
    """The rows with what each formula makes of them among their scores."""
    best = {r["edit"]: r["scores"]["motion_error_true"] or 0.0 for r in rows if r["method"] == "truth"}

    def made(r: dict[str, Any]) -> dict[str, float]:
        s = r["scores"]
        beyond = max(0.0, (s["motion_error_true"] or 0.0) - best[r["edit"]])
        psnr = PERFECT if s["psnr_to_truth"] is None else s["psnr_to_truth"]
        given = s["success"] / 100, max(0.0, s["ssim_to_truth"]), beyond, psnr
        return {name: formula(*given) for name, formula in FORMULAS.items()}
    return [r | {"scores": r["scores"] | made(r)} for r in rows]


def found(rows: Rows) -> dict[str, Any]:
    """What a report needs to know of these rows (see `newtake.report`): ranking, metrics, flags."""
    rows = ranked_by(rows)
    controls = list(dict.fromkeys(r["method"] for r in rows if r["control"]))
    methods = list(dict.fromkeys(r["method"] for r in rows if not r["control"]))
    said = {name: means(rows, name) for name in FORMULAS}
    orders = {name: sorted(given, key=lambda who, given=given: -given[who].value) for name, given in said.items()}
    others = [name for name in FORMULAS if name != SCORED]
    known = {name: about(name) for name in MEASURED if any(r["scores"].get(name) is not None for r in rows)}
    number = lambda value: round(value, 3) if isfinite(value) else None
    ranking = [{"method": who, **{end: number(getattr(said[SCORED][who], of)) for end, of in ENDS.items()},
                "ranks": {name: orders[name].index(who) + 1 for name in others}} for who in orders[SCORED]]
    bare = [r | {"scores": {n: value for n, value in r["scores"].items() if n not in others}} for r in rows]
    return {"formula": SAID, "metrics": {SCORED: SCORE, "success": SUCCESS, **known}, "methods": methods, "controls": controls,
            "ranking": ranking, "rows": bare, "flags": flags(rows, methods, known),
            "scatter": {"x": "success", "y": "ssim_to_truth"}, "worst": SCORED}


def unranked(rows: Rows, known: dict[str, Any], order: Sequence[str] = ()) -> dict[str, Any]:
    """The same of a benchmark that publishes no ranking; known: its metrics.  `order`: by which cases are ordered, the first
    that there is."""
    controls = list(dict.fromkeys(r["method"] for r in rows if r["control"]))
    methods = list(dict.fromkeys(r["method"] for r in rows if not r["control"]))
    worst = next((name for name in order if name in known), next(iter(known)))
    return {"formula": UNRANKED, "metrics": known, "methods": methods, "controls": controls, "ranking": [], "rows": list(rows),
            "flags": flags(rows, methods, known), "worst": worst}


def about(metric: str) -> dict[str, Any]:
    known = METRICS[metric]
    return {"unit": known.unit, "higher_is_better": known.higher_is_better, "what": known.what}


def flags(rows: Rows, methods: Sequence[str], known: dict[str, Any]) -> list[dict[str, Any]]:
    """Metrics under which doing nothing, or nearly, beats methods."""
    out = []
    for metric, told in known.items():
        said, sign = means(rows, metric), 1 if told["higher_is_better"] else -1
        for control in ("identity", "frozen"):
            best = sign * said[control].value if control in said else -inf
            best = inf if sign > 0 and endless(rows, metric, control) else best
            beaten = [m for m in methods if m in said and best > sign * said[m].value]
            out += [{"metric": metric, "control": control, "beats": beaten}] if beaten else []
    return out


def endless(rows: Rows, metric: str, who: str) -> bool:
    """Whether somebody's score has no end somewhere: it is no number where a method's is one."""
    defined = {r["edit"] for r in rows if not r["control"] and r["scores"].get(metric) is not None}
    return any(r["method"] == who and r["edit"] in defined and r["scores"].get(metric) is None for r in rows)
