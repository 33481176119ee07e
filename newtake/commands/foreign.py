"""`newtake export` and `newtake import`: for people who come from published code, or go there."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from ..options import Adapters, Download, Json, Model, Option, Trust, weighted
from .said import tell

app = typer.Typer(rich_markup_mode=None)


@app.command()
def export(folder: Annotated[Path, typer.Argument(help="where it goes")],
           model: Model = "tiny", adapter: Adapters = [],
           pickles: Annotated[bool, Option("--pickles", help="weights as .bin too, which the published code needs")] = False,
           download: Download = False, trust: Trust = False):
    """Write a tuned model as a folder in Tune-A-Video's layout."""
    from ..models.export import export
    from ..models.load import load
    from ..show import noted

    with noted(tell):
        net = load(model, "cpu", "fp32", download=download, trust=trust, adapters=weighted(adapter, "--adapter"))
        export(net, folder.resolve(), pickles)
    if net.norms != "clip":
        tell("the published code takes group norms over the clip, this model over a frame: load the folder with --norms frame")
    print(folder)


@app.command("import")
def import_(config: Annotated[Path, typer.Argument(help="YAML of Tune-A-Video, FateZero, vid2vid-zero or Video-P2P")],
            corrected: Annotated[bool, Option("--corrected", help="without the oddities of the published code")] = False,
            model: Annotated[str | None, Option("--model", help="instead of the checkpoint that the config names")] = None,
            adapter: Adapters = [],
            run: Annotated[bool, Option("--run", help="carry the commands out")] = False,
            download: Download = False, trust: Trust = False, as_json: Json = False):
    """The newtake commands that do what a published config does."""
    from ..dialects import imported

    found = imported(config, corrected)
    own = [*(["--model", model] if model else []), *["--download"] * download, *["--trust"] * trust]
    adapters = [word for one in adapter for word in ("--adapter", one)]
    commands = [with_options(command, own + adapters * (command[1] == "edit")) for command in found.commands]
    if found.unknown:
        tell(f"keys that {found.dialect} does not have: {', '.join(found.unknown)}")
    for why in dict.fromkeys(found.idle.values()):
        tell(f"{', '.join(key for key, one in found.idle.items() if one == why)}: {why}")
    if as_json:
        print(json.dumps({"dialect": found.dialect, "commands": commands, "unknown": found.unknown, "idle": found.idle},
                         ensure_ascii=False))
    else:
        print("\n".join(map(shlex.join, commands)))
    for command in commands if run else []:
        tell(f"$ {shlex.join(command)}")
        done = subprocess.run([sys.executable, "-m", *command])
        if done.returncode:                             # it has said what is wrong
            raise typer.Exit(done.returncode)


def with_options(command: list[str], own: list[str]) -> list[str]:
    """A command of `newtake.dialects` with the user's options, which count before the config's."""
    if "--model" in own and "--model" in command:
        at = command.index("--model")
        command = command[:at] + command[at + 2:]
    return [*command[:2], *own, *command[2:]] if "--" in command else [*command, *own]
