"""`newtake bench`, `newtake report` and `newtake score`: what edits are worth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..aside import aside
from ..errors import BadInput
from ..options import (
    Address,
    Captioner,
    ClipModel,
    Device,
    Dtype,
    Engine,
    Json,
    Model,
    Option,
    Settings,
    Size,
    Tries,
    Trust,
    Workers,
    pairs,
    pixels,
)
from .said import say, tell

app = typer.Typer(rich_markup_mode=None)


@app.command()
def bench(what: Annotated[str, typer.Argument(help="world, whose edits have true answers; or the folder of a data set")],
          layout: Annotated[str | None, Option("--layout", help="davis, tgve, v2vbench, five, pie or editboard")] = None,
          method: Annotated[list[str], Option("--method", metavar="NAME[:SETTING=VALUE;...]",
                                              help="by default all that need no tuning")] = [],
          set: Settings = [], model: Model = "tiny",
          split: Annotated[str, Option("--split", help="of the world: test or development")] = "test",
          small: Annotated[bool, Option("--small", help="the first dozen edits alone; of the world 2 frames, 5 steps")] = False,
          seeds: Annotated[int, Option("--seeds", min=1)] = 1,
          frames: Annotated[int | None, Option("--frames", min=1, help="of the world 8; else as published")] = None,
          size: Size = None, device: Device = None, dtype: Dtype = None, clip_model: ClipModel = None,
          network: Annotated[list[str], Option("--network", metavar="NAME=WHERE", help="pick, keys, objects or lpips")] = [],
          captioner: Captioner = None, trust: Trust = False, engine: Engine = "local", address: Address = None,
          workers: Workers = None, tries: Tries = 3,
          out: Annotated[Path, Option("--out", help="a folder: results.json, report.html, and what is gone on from")]
          = Path("runs/bench"), as_json: Json = False):
    """Score methods on the world's edits, or on a published data set.  Killed, the same command goes on."""
    from ..bench import published, world
    from ..bench.spread import Asked
    from ..engines import engine as opened
    from ..methods import METHODS, spelled
    from ..models.load import load
    from ..show import noted, shown

    networks = ({"clip": clip_model} if clip_model else {}) | pairs(network, "--network")
    extent = world.SMALL if small else world.WHOLE
    given = ({} if layout else {"steps": extent.steps}) | pairs(set, "--set")
    methods = {name: spelled(name, **given) for name in method or [name for name, cls in METHODS.items() if not cls.tuned]}
    foreign = [name for name, given in {"--size": size, "--clip-model": clip_model, "--network": network,
                                        "--captioner": captioner}.items() if given]
    if layout is None:
        plan = world.plan(what, methods, split, extent.many, seeds, frames or extent.frames, foreign)
    else:
        plan = published.Plan(layout, Path(what), methods, extent.many, seeds, frames, pixels(size), networks, trust,
                              captioner)
    with noted(tell), opened(engine, address, workers, tries) as who:
        asked = Asked(model, device, dtype)
        loaded = load(*asked)
        if engine != "local":
            fill(who, plan, asked, loaded, out)
        with shown():
            results = plan.results(loaded, out)
    print_report(results, out, out / "report.html", as_json)


def fill(engine: Any, plan: Any, asked: Any, model: Any, out: Path) -> None:
    """The benchmark's edits, by workers; what it makes of them is then found."""
    from ..bench.spread import spread
    from ..engines import Ended
    from ..engines.table import followed

    out.mkdir(parents=True, exist_ok=True)
    events = followed(spread(engine, plan, asked, model, out), len(plan.names(model)), tell)
    given_up = [one for one in events if isinstance(one, Ended) and one.reason is not None]
    if given_up:
        raise BadInput(f"{len(given_up)} edits were given up, such as {given_up[0].task.name}: {given_up[0].reason}")


@app.command()
def report(runs: Annotated[list[Path], typer.Argument(help="folders of newtake bench, or of newtake edit")],
           clip_model: ClipModel = None, trust: Trust = False,
           out: Annotated[Path, Option("--out", help="the page")] = Path("report.html"), as_json: Json = False):
    """Compare runs: benchmarks of one version with each other, or edits."""
    from ..bench.runs import together
    from ..show import noted, shown

    with noted(tell), shown():
        results, folder = together(runs, clip_model, trust)
    print_report(results, folder, out, as_json)


@app.command()
def score(edit: Annotated[Path, typer.Argument(help="the edited clip")],
          clip: Annotated[Path | None, Option("--clip", help="the clip that was edited")] = None,
          truth: Annotated[Path | None, Option("--truth", help="the true answer, where there is one")] = None,
          target: Annotated[str | None, Option("--target", help="what it should show")] = None,
          source: Annotated[str | None, Option("--source", help="what the clip shows")] = None,
          mask: Annotated[Path | None, Option("--mask", help="what might change, white in a picture or clip")] = None,
          clip_model: ClipModel = None, trust: Trust = False, as_json: Json = False):
    """What the metrics say of one edit: all that what is given allows."""
    from math import isfinite

    from ..bench.score import score, table
    from ..show import noted

    with noted(tell):
        found = score(edit, clip, truth, mask, target, source, clip_model, trust)
    say({name: value if isfinite(value) else None for name, value in found.items()}, as_json, table(found))


def print_report(results: dict[str, Any], folder: Path, page: Path, as_json: bool) -> None:
    from ..report import markdown

    write_report(results, folder, page)
    say(results, as_json, markdown(results))


def write_report(results: dict[str, Any], folder: Path, page: Path) -> None:
    from ..report import html

    made = html(results, folder)
    page.parent.mkdir(parents=True, exist_ok=True)
    with aside(page) as part:
        part.write_text(made, encoding="utf-8")
    tell(f"the report: {page}")
