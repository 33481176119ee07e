"""Options of the command line that several commands have, and how what people type is read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from .errors import BadInput

Option = typer.Option
Clip = Annotated[str, typer.Argument(help="a video, a gif or webp, a folder of pictures, or one picture")]
Source = Annotated[str | None, Option("--source", help="what the clip shows; with tiny it can be read out of it")]
Captioner = Annotated[str | None, Option("--captioner", help="who reads it: tiny, or a folder or hub id of BLIP or BLIP-2")]
Out = Annotated[Path | None, Option("--out", help="a run folder, by default a new one in runs/; or a file: .mp4 .mov .mkv .gif "
                                    ".webp .png .jpg; or names for pictures: frames/%05d.png")]
Targets = Annotated[list[str], Option("--target", help="one more; may be repeated")]
TargetsFile = Annotated[Path | None, Option("--targets", metavar="FILE", help="of a text file with one on each line")]
Method = Annotated[str, Option("--method", help="see `newtake methods`")]
Settings = Annotated[list[str], Option("--set", metavar="NAME=VALUE", help="a setting of the method; may be repeated")]
Model = Annotated[str, Option("--model", help="tiny, a diffusers folder, a .safetensors file, or a cached hub id")]
Adapters = Annotated[list[str], Option("--adapter", metavar="WHERE[=WEIGHT]", help="of newtake tune or learn; LoRA, "
                                       "textual inversion; may be repeated")]
Guests = Annotated[list[str], Option("--guest", metavar="WHERE[:SETTING=VALUE;...]", help="a ControlNet or a T2I-Adapter: "
                                     "pictures=edges|depth=FOLDER|pose=FOLDER|CLIP, scale, start, end; may be repeated")]
Frames = Annotated[int | None, Option("--frames", help="how many frames; by default all")]
Start = Annotated[int, Option("--start", help="the first frame")]
Stride = Annotated[int, Option("--stride", help="every so many frames")]
Size = Annotated[str | None, Option("--size", metavar="WxH", help="by default the network's own area in the clip's aspect")]
Seed = Annotated[int, Option("--seed")]
Device = Annotated[str | None, Option("--device", help="cpu, cuda, mps; by default the best there is")]
Dtype = Annotated[str | None, Option("--dtype", help="fp32, bf16 or fp16; by default what the device is best at")]
Norms = Annotated[str | None, Option("--norms", help="group norms over a frame or the clip; by default as the checkpoint is")]
Mask = Annotated[str | None, Option("--mask", help="what may change, white in a picture or clip like the clip; default: words")]
Spared = Annotated[list[str], Option("--spare", metavar="WORD", help="that is left alone where the edit is masked")]
Words = Annotated[list[str], Option("--word", metavar="WORD", help="that changes, in either prompt; by default what differs")]
Weights = Annotated[list[str], Option("--weight", metavar="WORD=FACTOR", help="how much a word of the target counts")]
Shares = Annotated[list[str], Option("--share", metavar="WORD=SHARE", help="of the steps, with the source's map of a word")]
Window = Annotated[int | None, Option("--window", min=1, help="frames at once; by default as memory allows")]
MemorySize = Annotated[str | None, Option("--memory", metavar="8G", help="that it may take; by default most of what is free")]
CacheFolder = Annotated[str | None, Option("--cache", metavar="DIR", help="where inversions are kept; none: nowhere")]
Cuts = Annotated[str, Option("--cuts", help="of a clip with cuts: edit each shot by itself, refuse it, or ignore them")]
Whole = Annotated[bool, Option("--whole", help="refuse a clip that ends early or is damaged, instead of editing what is there")]
KeepBackground = Annotated[bool, Option("--keep-background", help="outside of mask, box or words the clip, pixel for pixel")]
FullSize = Annotated[bool, Option("--full-size", help="with --keep-background: into the clip's own pixels")]
Feather = Annotated[int | None, Option("--feather", min=0, metavar="PX", help="pixels over which clip and edit go over into "
                                       "each other; by default 1/64 of the shorter side")]
Box = Annotated[str | None, Option("--box", metavar="X,Y,W,H", help="what may change: in pixels of the edit, or with points in "
                                   "shares of it, such as 0.25,0.0,0.5,1.0")]
Lossless = Annotated[bool, Option("--lossless", help="pixels are kept to 8 bits; not every player shows it")]
Light = Annotated[list[str], Option("--light", metavar="NAME", help="tiling, channels_last, fp8, compile, offload; may be "
                                    "repeated")]
Preview = Annotated[Path | None, Option("--preview", metavar="PNG", help="a picture that shows the edit while it is made")]
Decoder = Annotated[Path | None, Option("--preview-decoder", metavar="DIR", help="an AutoencoderTiny, which is faster")]
DryRun = Annotated[bool, Option("--dry-run", help="say what it would take, and do nothing")]
Download = Annotated[bool, Option("--download", help="a hub id may be fetched")]
Trust = Annotated[bool, Option("--trust", help="pickles may be read, as tensors alone")]
ClipModel = Annotated[str | None, Option("--clip-model", help="a CLIP to score with: a folder or a cached hub id")]
Engine = Annotated[str, Option("--engine", help="who works: local, this process; or ray, processes here or on a cluster")]
Address = Annotated[str | None, Option("--address", help="of a Ray cluster that is there, such as auto or host:6379; without "
                                       "it one is started on this machine")]
Workers = Annotated[int | None, Option("--workers", help="processes of the engine ray; by default as many as have room")]
Tries = Annotated[int, Option("--tries", min=1, help="how often a job is begun at most, whose worker dies or that fails")]
Json = Annotated[bool, Option("--json", help="print one JSON object")]


def pairs(given: Sequence[str], option: str) -> dict[str, str]:
    """NAME=VALUE, each."""
    if wrong := [one for one in given if "=" not in one.strip("=")]:
        raise BadInput(f"{option} takes NAME=VALUE, not {wrong[0]!r}")
    return dict(one.split("=", 1) for one in given)


def numbers(given: Sequence[str], option: str) -> dict[str, float]:
    try:
        return {name: float(value) for name, value in pairs(given, option).items()}
    except ValueError:
        raise BadInput(f"{option} takes NAME=NUMBER, not {', '.join(given)}") from None


def weighted(given: Sequence[str], option: str) -> dict[str, float]:
    """WHERE=WEIGHT, each, WHERE with any more = in it; the weight is 1 where it is not said."""
    split = [one.rpartition("=") if "=" in one.strip("=") else (one, "", "1") for one in given]
    try:
        return {where: float(weight) for where, _, weight in split}
    except ValueError:
        raise BadInput(f"{option} takes WHERE=NUMBER, not {', '.join(given)}") from None


def pixels(size: str | None) -> tuple[int, int] | None:
    if size is None:
        return None
    found = re.fullmatch(r"(\d{1,5})[xX](\d{1,5})", size)
    both = (int(found[1]), int(found[2])) if found else (0, 0)
    if 0 in both:
        raise BadInput(f"a size is WIDTHxHEIGHT in pixels, such as 512x320, not {size!r}")
    return both


def sides(box: str) -> tuple[float, float, float, float]:
    try:
        x, y, w, h = (float(side) if "." in side else int(side) for side in box.split(","))
    except ValueError:
        raise BadInput(f"a box is X,Y,WIDTH,HEIGHT, such as 40,20,128,96 or 0.25,0.0,0.5,1.0, not {box!r}") from None
    return x, y, w, h


def listed(path: Path | None) -> list[str]:
    """The lines of a text file that say something."""
    if path is None:
        return []
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as wrong:
        raise BadInput(f"{path} cannot be read as a text file in UTF-8; give one with a target on each line") from wrong
    return [line for line in lines if line]
