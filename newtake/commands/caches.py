"""Inversions that are kept: made before they are needed, listed, taken away."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import BadInput
from ..options import (
    Adapters,
    Box,
    CacheFolder,
    Captioner,
    Clip,
    Cuts,
    Device,
    Download,
    Dtype,
    Frames,
    Guests,
    Json,
    Light,
    Mask,
    MemorySize,
    Method,
    Model,
    Norms,
    Option,
    Seed,
    Settings,
    Size,
    Source,
    Start,
    Stride,
    Trust,
    Whole,
    Window,
    pairs,
    pixels,
    sides,
    weighted,
)
from .said import say, tell

app = typer.Typer()


@app.command()
def invert(clip: Clip, source: Source = None, captioner: Captioner = None, method: Method = "newtake", set: Settings = [],
           model: Model = "tiny", adapter: Adapters = [], guest: Guests = [], norms: Norms = None, frames: Frames = None,
           start: Start = 0, stride: Stride = 1, size: Size = None, seed: Seed = 0, device: Device = None, dtype: Dtype = None,
           mask: Mask = None, box: Box = None, cuts: Cuts = "edit", whole: Whole = False, light: Light = [],
           window: Window = None, memory: MemorySize = None, cache: CacheFolder = None, download: Download = False,
           trust: Trust = False, as_json: Json = False):
    """Fill the cache: edits of this clip by this method then begin at once."""
    from ..cache import size as bytes_of
    from ..invitation import spelled
    from ..record import Background, Job
    from ..run import Way, fill
    from ..show import noted, shown

    if cache == "none":
        raise BadInput("an inversion that is not kept is of no use; leave --cache none out, or name a folder")
    job = Job(clip, source, (), method, pairs(set, "--set"), model=model, adapters=weighted(adapter, "--adapter"),
              guests=tuple(map(spelled, guest)), norms=norms, frames=frames, start=start, stride=stride, size=pixels(size),
              seed=seed, device=device, dtype=dtype, mask=mask, background=Background(box=sides(box) if box else None),
              cuts=cuts, whole=whole, light=tuple(light), windows=(window, window) if window else None)
    way = Way(download, trust, captioner, cache, bytes_of(memory, "--memory") if memory else None)
    with noted(tell), shown():
        told = fill(job, way)
    for note in told["notes"]:
        tell(note)
    there = "" if told["made_now"] else "; it was there"
    say(told, as_json, f"{told['evaluations']} evaluations, {told['seconds']:.0f} s{there}")


@app.command()
def cache(prune: Annotated[bool, Option("--prune", help="take away what was not used for longest, down to the limit")] = False,
          clear: Annotated[bool, Option("--clear", help="take away all that is not in use")] = False,
          limit: Annotated[str | None, Option("--limit", metavar="20G", help="what it may take, from now on")] = None,
          folder: CacheFolder = None, as_json: Json = False):
    """List the inversions that are kept, the last used first; or take some away."""
    from ..cache import Cache, spoken, usual
    from ..cache import size as bytes_of

    kept = Cache(Path(folder).expanduser() if folder else usual())
    if limit is not None:
        kept.set_limit(bytes_of(limit, "--limit"))
    gone = kept.prune(0 if clear else kept.limit) if prune or clear or limit is not None else []
    left = kept.entries()
    for one in gone:
        tell(f"taken away: {line(one)}")
    total = sum(one["bytes"] for one in left)
    told = {"folder": str(kept.folder), "limit": kept.limit, "bytes": total, "entries": left, "taken_away": len(gone)}
    say(told, as_json, "\n".join([*map(line, left), f"{spoken(total)} of {spoken(kept.limit)} in {kept.folder}"]))


def line(one: dict[str, Any]) -> str:
    from ..cache import spoken

    used = time.strftime("%Y-%m-%d %H:%M", time.localtime(one["used"]))
    width, height = one.get("size", ("?", "?"))
    state = "" if one["whole"] else "  (not finished)"
    return f"{one['name'][:12]}  {spoken(one['bytes']):>9}  {used}  {one.get('frames', '?')} x {width}x{height}  " \
           f"{one.get('source', '')!r}{state}"
