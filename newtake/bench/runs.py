"""`newtake report RUNS...`: results of benchmarks, or run folders of edits, as one benchmark's results."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from ..errors import BadInput, Note
from ..former import former
from ..metrics import METRICS, Material, scores
from ..metrics.clip import load as load_clip
from ..metrics.perceptual import LayerDistance
from ..report.cases import inside
from ..report.tables import checked
from ..settings import typed
from ..track import track
from ..video import Video
from ..world import judge
from .ranking import MEASURED, about, found, unranked

Results = dict[str, Any]
SCORES = ("text_alignment", "frame_accuracy", "frame_consistency_adjacent", "psnr_to_source", "ssim_to_source",
          "perceptual_to_source", "flicker_beyond_source", "warp_error", "motion_error")
SAME = ("benchmark", "title", "version", "metrics", "tasks")    # of results whose rows may stand in one table
SAME_MADE = ("frames", "size")                          # of their environments


def together(runs: Sequence[Path], clip_model: str | None = None, trust: bool = False) -> tuple[Results, Path]:
    """What `newtake.report` takes, and the folder that paths in it start at.

    BadInput where a folder is no run, kinds of runs are mixed, or benchmarks are not the same.
    """
    runs = list(dict.fromkeys(run.resolve() for run in runs))
    for run in runs:
        if not run.is_dir():
            raise BadInput(f"no such folder: {run.name}; give folders of newtake bench or newtake edit")
    base = Path(os.path.commonpath(runs))
    results = [(run / "results.json").is_file() for run in runs]
    if any(results) and not all(results):
        benchmark, other = (runs[results.index(so)].name for so in (True, False))
        raise BadInput(f"{benchmark} is a benchmark's and {other} is not; compare them apart")
    named = names(runs)
    if all(results):
        return merged({name: read(run) for name, run in named.items()}, named, base), base
    return edits(named, base, load_clip(clip_model, trust) if clip_model else None), base


def names(runs: Sequence[Path]) -> dict[str, Path]:
    """A name for each folder: its own, or with those around it where two are called the same."""
    for parts in range(1, max(len(run.parts) for run in runs) + 1):
        named = {"/".join(run.parts[-parts:]): run for run in runs}
        if len(named) == len(runs):
            return named
    raise AssertionError("no two of the folders are the same")


# Benchmarks

def read(run: Path) -> Results:
    try:
        told = json.loads((run / "results.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as wrong:
        raise BadInput(f"{run.name}/results.json cannot be read as JSON: {wrong}") from wrong
    if not isinstance(told, dict) or not isinstance(told.get("benchmark"), str):
        raise BadInput(f"{run.name}/results.json is of no newtake bench of this version; run that again, it goes on")
    if not all(sound(row, told["benchmark"]) for row in checked(told)["rows"]):
        raise BadInput(f"{run.name}/results.json has rows that are none of newtake bench")
    return told


def sound(row: Any, benchmark: str) -> bool:
    """Whether it is a row of a benchmark, with all that a ranking is made of."""
    known = isinstance(row, dict) and isinstance(row.get("scores"), dict) and isinstance(row.get("control"), bool)
    known = known and all(isinstance(row.get(name), str) for name in ("edit", "task", "method"))
    known = known and all(isinstance(row.get(name), str | None) for name in ("clip", "sheet"))
    known = known and all(isinstance(score, int | float | None) for score in row["scores"].values())
    return known and (benchmark != "world" or row["scores"].keys() >= {"success", *MEASURED})


def merged(results: Mapping[str, Results], folders: Mapping[str, Path], base: Path) -> Results:
    """One of all.  What is called the same in two and has other rows is called after its folder too."""
    (name, first), *others = results.items()
    for other, told in others:
        if differs := next((part for part in SAME if told.get(part) != first.get(part)), None) or next(
                (part for part in SAME_MADE if told["environment"].get(part) != first["environment"].get(part)), None):
            raise BadInput(f"{name} and {other} are not of one benchmark: they differ in {differs}; compare them apart")
    rows, called = [], {}
    for run, told in results.items():
        of = {who: [row for row in told["rows"] if row["method"] == who] for who in (*told["methods"], *told["controls"])}
        for who, ones in of.items():
            if len(results) > 1 and any(bare(ones) != bare(theirs) for theirs in [
                    [row for row in other["rows"] if row["method"] == who] for other in results.values()] if theirs):
                called[run, who] = f"{who}, {run}"
            name = called.setdefault((run, who), who)
            if not any(row["method"] == name for row in rows):
                rows += [moved(row, folders[run], base) | {"method": name} for row in ones]
    told = found(rows) if first["benchmark"] == "world" else unranked(rows, first["metrics"], [first.get("worst", "")])
    return {**first, "environment": environment(results), **told, "sets": sets(results, called)}


def bare(rows: Sequence[Mapping[str, Any]]) -> list[Any]:
    """What must be the same for two to be one."""
    return [[row["edit"], row.get("seed"), row["scores"]] for row in rows]


def moved(row: Mapping[str, Any], run: Path, base: Path) -> dict[str, Any]:
    """The row with its pictures' paths from `base` on.  BadInput where they lead out of the run."""
    return {**row, **{kind: row.get(kind) and found_in(run, row[kind], base) for kind in ("clip", "sheet")}}


def found_in(run: Path, path: str, base: Path) -> str | None:
    """The path from `base` on; None, and a Note, where there is no such file."""
    file = inside(run, path)
    if file.exists():
        return str(file.relative_to(base))
    warnings.warn(f"{run.name} has not all the pictures that it names; the page leaves them out", Note, stacklevel=2)
    return None


def environment(results: Mapping[str, Results]) -> dict[str, Any]:
    """What all have in common, then what each has of its own."""
    every = [told["environment"] for told in results.values()]
    common = {name: value for name, value in every[0].items() if all(one.get(name) == value for one in every)}
    own = {f"{name}, {run}": value for run, told in results.items() for name, value in told["environment"].items()
           if name not in common}
    return common | own


def sets(results: Mapping[str, Results], called: Mapping[tuple[str, str], str]) -> dict[str, Any]:
    """Metrics over sets, where all have the same of as many edits."""
    every = [told.get("sets") or {"of": {}} for told in results.values()]
    if any(one.get("about") != every[0].get("about") or one.get("metrics") != every[0].get("metrics") for one in every):
        return {"of": {}}
    return every[0] | {"of": {called[run, who]: found for run, one in zip(results, every, strict=True)
                              for who, found in one["of"].items()}}


# Edits

def edits(runs: Mapping[str, Path], base: Path, clip: Any) -> Results:
    """A row an edit, of all that can be measured by its source and its prompts."""
    told = {name: former(run)[1] for name, run in runs.items()}
    who, distance, rows = called(told), LayerDistance(judge.load().body, side=judge.SIDE), []
    for name, one in track(list(told.items()), "measuring"):
        try:
            rows += [moved(row(who[name], runs[name], one, made, clip, distance), runs[name], base) for made in one["edits"]]
        except (KeyError, TypeError, AttributeError) as wrong:
            raise BadInput(f"{name}/run.json is not as newtake edit writes it") from wrong
    names = [name for name in SCORES if any(name in row["scores"] for row in rows)]
    facts = {f"settings of {who[name]}": json.dumps(one["job"]["settings"]) for name, one in told.items()}
    return {"benchmark": "edits", "title": f"{len(rows)} edit{'s' * (len(rows) != 1)}", "version": "of no benchmark",
            "tasks": [*dict.fromkeys(row["task"] for row in rows)], "environment": facts,
            **unranked(rows, {name: about(name) for name in names}, names)}


def called(told: Mapping[str, Results]) -> dict[str, str]:
    """For each run the name of its method, with the settings and the checkpoint that others of that method do not have."""
    jobs = {name: one["job"] for name, one in told.items()}
    of = {method: [name for name in jobs if jobs[name]["method"] == method] for method in {j["method"] for j in jobs.values()}}
    names = {}
    for method, runs in of.items():
        every = [jobs[name]["settings"] for name in runs]
        differ = [setting for setting in every[0] if any(one.get(setting) != every[0][setting] for one in every)]
        several = len({told[name]["model"]["sha256"] for name in runs}) > 1
        for name in runs:
            said = ";".join(f"{setting}={typed(jobs[name]['settings'].get(setting))}" for setting in differ)
            names[name] = f"{method}{f':{said}' * bool(differ)}{f', {model_of(told[name])}' * several}"
    return names


def model_of(told: Results) -> str:
    adapters = ", ".join(str(one.get("where")) for one in told["job"]["adapters"])
    return f"{told['job']['model']}{f' with {adapters}' * bool(adapters)} {told['model']['sha256'][:6]}"


def row(who: str, run: Path, told: Results, made: Results, clip: Any, distance: LayerDistance) -> dict[str, Any]:
    source, edit = (Video.read(inside(run, name)) for name in (Path(made["file"]).with_stem("source").name, made["file"]))
    if len(source) != len(edit) or source.size != edit.size:
        raise BadInput(f"the source and {made['file']} in {run.name} differ in frames or size; they are of no one run")
    job = told["job"]
    there = Material(edit[:], source[:], target=made["target"], caption=job["source"], clip=clip, perceptual=distance)
    measured = scores(there, [name for name in SCORES if not METRICS[name].missing(there)])
    return {"edit": f"{job['clip']}: {made['target']}", "task": job["clip"], "difficulty": None, "method": who,
            "control": False, "prompts": [job["source"], made["target"]], "seed": job["seed"], "clip": "sheet.png",
            "sheet": None, "evaluations": told["evaluations"], "seconds": sum(told["seconds"].values()),
            "peak_memory_mb": told["peak_memory_mb"],
            "scores": {name: value if isfinite(value) else None for name, value in measured.items()}}
