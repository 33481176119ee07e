"""`newtake sweep`: many jobs from one file."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..options import (
    Address,
    CacheFolder,
    ClipModel,
    Download,
    Engine,
    Json,
    Option,
    Tries,
    Trust,
    Workers,
)
from .measure import write_report
from .said import say, tell

if TYPE_CHECKING:
    from ..engines import Event
    from ..sweep import Run

MOST = 10_000


def sweep(jobs: Annotated[Path, typer.Argument(help="a YAML file: see docs/sweep.md")],
          engine: Engine = "local", address: Address = None, workers: Workers = None, tries: Tries = 3,
          most: Annotated[int, Option("--most", min=1, help="jobs that are meant at most")] = MOST,
          out: Annotated[Path | None, Option("--out", help="a folder; by default as the file says, or in runs/")] = None,
          dry_run: Annotated[bool, Option("--dry-run", help="count the jobs, and do nothing")] = False,
          report: Annotated[bool, Option(help="measure all runs at the end, and make one page of them")] = True,
          clip_model: ClipModel = None, cache: CacheFolder = None, download: Download = False, trust: Trust = False,
          as_json: Json = False):
    """Carry out clips x targets x methods x settings x seeds.  What is done is not done again: the same command goes on."""
    from ..engines import engine as opened
    from ..run import Way
    from ..show import noted
    from ..sweep import checked, finished, held, kind_of, read, runs_of

    given, said = read(jobs, most)
    out = (out or said or Path("runs") / jobs.stem).resolve()
    kept = cache if cache in (None, "none") else str(Path(cache).expanduser().resolve())
    way = Way(download, trust, cache=kept)
    with noted(tell), opened(engine, address, workers, tries) as who:
        asked = checked(given, way)
        device = who.best() if any(job.device is None for job in asked) else "cpu"
        runs = runs_of(asked, device)
        todo = [one for one in runs if finished(out / one.name) is None]
        if dry_run:
            return forecast(runs, len(runs) - len(todo), out, as_json)
        if todo:
            who.ready(kind_of(todo))
        with held(out):
            told = carry_out(who, runs, todo, out, way)
            if report and len(told["given_up"]) < len(runs) and (todo or not (out / "report.html").exists()):
                one_report(out, [one for one in runs if finished(out / one.name)], clip_model, trust)
    say(told | {"folder": str(out)}, as_json, str(out))
    if told["given_up"]:
        tell(f"{len(told['given_up'])} of {len(runs)} were given up: see {out / 'sweep.json'}; the same command tries again")
        raise typer.Exit(1)


def forecast(runs: Sequence[Run], there: int, out: Path, as_json: bool) -> None:
    clips, groups = {one.job.clip for one in runs}, {one.group for one in runs}
    told = {"jobs": len(runs), "there": there, "clips": len(clips), "groups": len(groups), "folder": str(out)}
    jobs, of = f"{len(runs)} job{'s' * (len(runs) > 1)}", f"{len(clips)} clip{'s' * (len(clips) > 1)}"
    say(told, as_json, f"{jobs} of {of}; {there} of them are done already")


def carry_out(who: Any, runs: Sequence[Run], todo: Sequence[Run], out: Path, way: Any) -> dict[str, Any]:
    """What became of all, which is in sweep.json too, also where it is stopped."""
    from ..engines.table import followed
    from ..sweep import carried_out, kept

    there, start, ended = len(runs) - len(todo), time.monotonic(), []
    if there:
        tell(f"{there} of {len(runs)} are done already" + ("" if todo else ": there is nothing to do"))
    told: dict[str, Any] = {}
    try:
        for event in followed(carried_out(who, todo, out, way), len(todo), tell) if todo else ():
            ended.append(event)
    finally:
        told = became(runs, todo, ended) | {"engine": who.name, "seconds": round(time.monotonic() - start, 1)}
        if ended:
            kept(out, {"sweep": told, "jobs": listed(runs, todo, ended)})
    for note, names in noted_by(ended).items():
        tell(note if len(names) == len(todo) else f"{names[0]}{f' and {len(names) - 1} more' * (len(names) > 1)}: {note}")
    return told


def became(runs: Sequence[Run], todo: Sequence[Run], events: Iterable[Event]) -> dict[str, Any]:
    from ..engines import Died, Ended

    ended = [one for one in events if isinstance(one, Ended)]
    given_up = {one.task.name: one.reason for one in ended if one.reason is not None}
    return {"jobs": len(runs), "there": len(runs) - len(todo), "done": len(ended) - len(given_up), "given_up": given_up,
            "tried_again": sum(isinstance(one, Died) for one in events)}


def listed(runs: Sequence[Run], todo: Sequence[Run], events: Iterable[Event]) -> list[dict[str, Any]]:
    """Every job, and what became of it."""
    from ..engines import Ended

    ended, waiting = {one.task.name: one for one in events if isinstance(one, Ended)}, {one.name for one in todo}

    def state(name: str) -> dict[str, Any]:
        if name not in ended:
            return {"state": "not begun" if name in waiting else "there"}
        one = ended[name]
        how = {"state": "done", **one.result} if one.reason is None else {"state": "given up", "reason": one.reason}
        return how | {"tries": one.tries, "worker": one.worker, "seconds": round(one.seconds, 2)}
    fields = ("targets", "method", "settings", "seed")
    return [{"run": one.name, "clip": Path(one.job.clip).name, **{name: asdict(one.job)[name] for name in fields},
             **state(one.name)} for one in runs]


def noted_by(events: Iterable[Event]) -> dict[str, list[str]]:
    """What was noted of runs, and of which."""
    from ..engines import Ended

    found: dict[str, list[str]] = {}
    for one in events:
        if isinstance(one, Ended) and one.result:
            for note in one.result["notes"]:
                found.setdefault(note, []).append(one.task.name)
    return found


def one_report(out: Path, runs: Sequence[Run], clip_model: str | None, trust: bool) -> None:
    from ..bench.runs import together
    from ..show import shown

    with shown():
        results, base = together([out / one.name for one in runs], clip_model, trust)
    write_report(results, base, out / "report.html")
