"""The command line.  Results on stdout, progress and notes on stderr.

Exit codes: 0 done, 2 bad input (one line), 130 cancelled, 1 our own fault.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from .commands import caches, foreign, learn, measure, restore, studio, sweep, tune
from .commands.ending import ended
from .commands.said import say, tell
from .errors import BadInput
from .options import (
    Adapters,
    Box,
    CacheFolder,
    Captioner,
    Clip,
    Cuts,
    Decoder,
    Device,
    Download,
    DryRun,
    Dtype,
    Feather,
    Frames,
    FullSize,
    Guests,
    Json,
    KeepBackground,
    Light,
    Lossless,
    Mask,
    MemorySize,
    Method,
    Model,
    Norms,
    Option,
    Out,
    Preview,
    Seed,
    Settings,
    Shares,
    Size,
    Source,
    Spared,
    Start,
    Stride,
    Targets,
    TargetsFile,
    Trust,
    Weights,
    Whole,
    Window,
    Words,
    listed,
    numbers,
    pairs,
    pixels,
    sides,
    weighted,
)
from .ranks import Ranks, opened
from .settings import typed

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False,
                  help="Edit a real video with words.")
world = typer.Typer(rich_markup_mode=None, help="The miniature world: clips whose edits have true answers.")
app.add_typer(world, name="world")
app.add_typer(foreign.app)
app.add_typer(measure.app)
app.add_typer(caches.app)
app.command()(tune.tune)
app.command()(learn.learn)
app.command()(restore.restore)
app.command()(sweep.sweep)
app.command()(studio.studio)

SHARED = ("edit", "demo", "rerun", "invert", "tune")     # what several ranks do together


@app.command()
def edit(clip: Clip,
         target: Annotated[list[str] | None, typer.Argument(help="what it should become; several share an inversion")] = None,
         more: Targets = [], targets: TargetsFile = None, source: Source = None, captioner: Captioner = None,
         method: Method = "newtake", set: Settings = [], model: Model = "tiny", adapter: Adapters = [], guest: Guests = [],
         norms: Norms = None, frames: Frames = None, start: Start = 0, stride: Stride = 1, size: Size = None, seed: Seed = 0,
         device: Device = None, dtype: Dtype = None, word: Words = [], spare: Spared = [], mask: Mask = None, box: Box = None,
         keep_background: KeepBackground = False, full_size: FullSize = False, feather: Feather = None,
         weight: Weights = [], share: Shares = [], window: Window = None, memory: MemorySize = None, cache: CacheFolder = None,
         cuts: Cuts = "edit", whole: Whole = False, lossless: Lossless = False, light: Light = [],
         preview: Preview = None, preview_decoder: Decoder = None, out: Out = None, dry_run: DryRun = False,
         download: Download = False, trust: Trust = False, as_json: Json = False):
    """Edit a clip: what it shows becomes what the target says."""
    from .cache import size as bytes_of
    from .invitation import spelled
    from .record import Background, Job
    from .run import Way

    if source is not None and not source.strip():
        raise BadInput('say what the clip shows: --source "a red car on the grass"')
    every = (*(target or []), *more, *listed(targets))
    background = Background(keep_background, sides(box) if box else None, feather, full_size)
    job = Job(clip, source, every, method, pairs(set, "--set"), tuple(word), tuple(spare), mask,
              numbers(weight, "--weight"), numbers(share, "--share"), model, weighted(adapter, "--adapter"),
              tuple(map(spelled, guest)), norms, frames, start, stride, pixels(size), seed, device, dtype,
              windows=(window, window) if window else None,
              cuts=cuts, whole=whole, lossless=lossless, background=background, light=tuple(light))
    way = Way(download, trust, captioner, cache, bytes_of(memory, "--memory") if memory else None,
              preview, preview_decoder)
    if dry_run:
        forecast(job, way, as_json)
    else:
        carry_out(job, out, as_json, way)


def forecast(job: Any, way: Any, as_json: bool) -> None:
    from .run import prepared
    from .show import noted

    with noted(tell):
        ready = prepared(job, way)
    assert ready.estimate is not None
    for note in ready.notes:
        tell(note)
    say(ready.estimate.told, as_json, "\n".join(ready.lines()))


@app.command()
def demo(out: Annotated[Path, Option("--out", help="where the clip and the edit go")] = Path("runs/demo")):
    """The main job on a built-in clip with the built-in checkpoint."""
    from .outputs import free_of
    from .record import Job
    from .run import Way
    from .world.clips import video
    from .world.demo import METHOD, SCENE, SETTINGS, TARGET

    out = out.resolve()
    clip = out.parent / f"{out.name}-clip.mp4"
    free_of(out, clip)
    if clip.exists() and not (out / "run.json").exists():
        raise BadInput(f"{clip.name} is there already, and no former demo is; name another --out")
    out.parent.mkdir(parents=True, exist_ok=True)
    video(SCENE).write(clip)
    carry_out(Job(str(clip), SCENE.caption(), (TARGET,), METHOD, SETTINGS), out, False, Way())


@app.command()
def rerun(run: Annotated[Path, typer.Argument(help="a run folder, or the edit in it")],
          clip: Annotated[str | None, Option("--clip", help="the clip, where it is not beside the run folder")] = None,
          mask: Annotated[str | None, Option("--mask", help="the mask, where it is not beside the run folder")] = None,
          model: Annotated[str | None, Option("--model", help="the checkpoint, where it was a folder or a file")] = None,
          adapter: Annotated[list[str], Option("--adapter", help="where an adapter is; may be repeated")] = [],
          guest: Annotated[list[str], Option("--guest", help="where a guest or its pictures are; may be repeated")] = [],
          device: Device = None, dtype: Dtype = None, cache: CacheFolder = None, out: Out = None, download: Download = False,
          trust: Trust = False, as_json: Json = False):
    """Do a run again, from its run.json or from an edit that carries it, and say whether the same bits came out."""
    from .former import former, job_of
    from .run import Way

    folder, told = former(run)
    job = job_of(told, folder, clip, mask, adapter, guest, model=model, device=device, dtype=dtype)
    alone = run.is_file() and not (folder / "run.json").exists()
    beside = folder / f"{run.stem}-again" if alone else folder.with_name(f"{folder.name}-again")
    again = carry_out(job, out or beside, as_json, Way(download, trust, cache=cache))
    if again["model"]["sha256"] != told["model"]["sha256"]:
        tell("not the same checkpoint as before: say where that is with --model")
    elif all(here["sha256"] == there["sha256"] for here, there in zip(again["edits"], told["edits"], strict=True)):
        tell("the same bits as before")
    else:
        tell("not the same bits as before: compare versions, machine and dtype in both run.json")


@app.command()
def caption(clip: Clip, captioner: Captioner = "tiny", frames: Frames = None, start: Start = 0, stride: Stride = 1,
            device: Device = None, download: Download = False, trust: Trust = False, as_json: Json = False):
    """Say what a clip shows, in a sentence."""
    from .captions import TINY
    from .captions import captioner as load
    from .video import Video
    from .world.grammar import read

    who = captioner or TINY
    said = load(who, device, download, trust)(Video.read(clip, frames, start, stride))
    say({"caption": said} | ({"style": "plain"} | read(said) if who == TINY else {}), as_json, said)


@app.command()
def methods(name: Annotated[str | None, typer.Argument(help="one of them, with its settings")] = None, as_json: Json = False):
    """The editing methods and the inversions; with a name its settings, their defaults and its paper."""
    from .inversion import INVERSIONS
    from .methods import METHODS, configured
    from .methods.configuring import INVERSION, settings, shown
    from .methods.method import about
    from .settings import settings_of

    if name is None:
        listed: dict[str, Any]
        listed = {what: {n: dict(zip(("paper", "what"), about(cls), strict=True)) for n, cls in registry.items()}
                  for what, registry in (("methods", METHODS), ("inversions", INVERSIONS))}
        lines = [f"{n:16} {text['what']}" for n, text in listed["methods"].items()]
        lines += ["", "inversions, with --set inversion=NAME:"]
        lines += [f"{n:16} {text['what']}" for n, text in listed["inversions"].items()]
        say(listed, as_json, "\n".join(lines))
        return
    inverts = name in INVERSIONS and name not in METHODS
    chosen = INVERSIONS[name]() if inverts else configured(name)
    known = settings_of(chosen, INVERSION) if inverts else settings(chosen)
    paper, what = about(type(chosen))
    rows = [{"name": s.name, "default": shown(s.default), "type": s.type, "help": s.help, "least": s.least, "most": s.most}
            for s in known]
    lines = "\n".join(f"  {r['name']:22} {typed(r['default']):12} {r['help']}" for r in rows)
    text = f"{what}\n\n{paper}\n\nsettings, with --set:\n{lines}"
    say({"name": name, "paper": paper, "what": what, "settings": rows}, as_json, text)


@world.command("clip")
def world_clip(caption: Annotated[str, typer.Argument(help='such as "a red car on the grass"')],
               out: Annotated[Path, Option("--out", help="a folder for the clip, its masks and its truth")],
               seed: Seed = 0,
               becomes: Annotated[str | None, Option("--becomes", help="the edit whose true answer is wanted")] = None,
               motion: Annotated[str | None, Option("--motion")] = None, size: Size = None,
               frames: Annotated[int, Option("--frames")] = 16, rate: Annotated[float, Option("--rate")] = 8.0):
    """Render a clip of the world, with its masks, its flow, and the true answer of an edit."""
    from .world import Scene
    from .world.clips import write
    from .world.grammar import read

    given = {"style": "plain"} | read(caption) | ({"motion": motion} if motion else {})
    scene = Scene.sample(seed, **given, size=pixels(size) or (128, 128), frames=frames, rate=rate)
    for path in write(scene, out, scene.becomes(**read(becomes)) if becomes else None):
        print(path)


# What commands share

def carry_out(job: Any, out: Path | None, as_json: bool, way: Any) -> dict[str, Any]:
    from .outputs import new_folder, one_file, place
    from .run import run
    from .show import shown

    out = out or new_folder(job)
    out = out.resolve() if out.is_symlink() else out    # where it leads is told
    with shown():
        record = run(job, out, way)
    for note in record["notes"]:
        tell(note)
    folder = place(out).parent if one_file(out) else out
    files = [folder / edit["file"] for edit in record["edits"]]
    beside = "" if folder != out else f"; source and edit side by side: {files[0].with_stem('compare')}"
    tell(f"{record['clip']['frames']} frames in {sum(record['seconds'].values()):.0f} s{beside}")
    say(record | {"folder": str(folder)}, as_json, "\n".join(map(str, files)))
    return record


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point: every mistake of the user is one line."""
    arguments = sys.argv[1:] if arguments is None else arguments
    with opened() as here:
        code = ended(here.follow if here.number else partial(obeyed, arguments, here), here)
        here.end(code)
    sys.exit(code)


def obeyed(arguments: Sequence[str], here: Ranks) -> int:
    if here.of > 1 and not {*arguments[:1]} <= {*SHARED}:
        raise BadInput(f"several ranks share the work of {', '.join(SHARED)} alone; start what else there is without torchrun")
    return app(arguments or ["--help"], standalone_mode=False) or 0
