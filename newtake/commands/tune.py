"""`newtake tune`: a clip into an adapter."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from ..errors import BadInput
from ..options import (
    Captioner,
    Clip,
    Device,
    Download,
    Frames,
    Json,
    Model,
    Option,
    Seed,
    Size,
    Source,
    Start,
    Stride,
    Trust,
    pairs,
    pixels,
)
from .said import say, tell

Rest = Annotated[list[str] | None, Option("--set", metavar="NAME=VALUE", help="accumulate, decay, clip, checkpointing, ema, "
                                          "patience, frames, norms, random_bias; may be repeated")]


def tune(clip: Clip,
         out: Annotated[Path, Option("--out", help="the adapter, a folder")],
         source: Source = None, captioner: Captioner = None, model: Model = "tiny",
         frames: Frames = None, start: Start = 0, stride: Stride = 1, size: Size = None,
         steps: Annotated[int | None, Option("--steps", help="by default 500, with tiny 200")] = None,
         rate: Annotated[float | None, Option("--rate", help="by default 3e-5, with tiny and LoRA more")] = None,
         lora: Annotated[int | None, Option("--lora", metavar="RANK", help="tune in low rank: fewer weights")] = None,
         every: Annotated[int | None, Option("--every", help="steps between states that are kept; by default 50")] = None,
         set: Rest = None,
         samples: Annotated[int | None, Option("--samples", min=1, help="steps between sheets of edits, to look at")] = None,
         prompt: Annotated[list[str] | None, Option("--prompt", help="of the samples; by default the source's")] = None,
         seed: Seed = 0, device: Device = None,
         dtype: Annotated[str | None, Option("--dtype", help="fp32, or mixed bf16 or fp16; by default by the device")] = None,
         download: Download = False, trust: Trust = False, as_json: Json = False):
    """Tune a checkpoint to a clip, into an adapter for `newtake edit --adapter`.  Killed, the same command goes on."""
    from ..learning import Samples, configured, precision, unfinished
    from ..learning import tune as tuned
    from ..models.load import load
    from ..run import native_size, sourced, strange_to_tiny
    from ..show import noted, shown
    from ..video import Video

    given: dict[str, Any] = {"precision": precision(device), "seed": seed} | pairs(set or [], "--set")
    given |= {name: value for name, value in dict(steps=steps, rate=rate, rank=lora, every=every, precision=dtype).items()
              if value is not None}
    if prompt and not samples:
        raise BadInput("--prompt is for samples; say how many steps apart they are, --samples 50")
    tuning = configured(model, **given)
    read = lambda size: Video.read(clip, frames, start, stride, size)
    seen = read(pixels(size))
    with shown(), noted(tell):
        source, _, notes = sourced(source, seen, captioner, model, device, download, trust)
        for note in notes:
            tell(note)
        net = load(model, device, "fp32", download=download, trust=trust)
        seen = seen if size else read(native_size(seen.size, net))
        for note in strange_to_tiny([source, *(prompt or [])], net, seen) if model == "tiny" else []:
            tell(note)
        try:
            said = tuned(seen, source, out.resolve(), tuning, net, Samples(samples, prompt or [source]) if samples else None)
        except KeyboardInterrupt:
            if unfinished(out).exists():
                tell("stopped; the same command goes on from where it was")
            raise
    first, last = said["looks"][0][1], said["looks"][-1][1]
    tell(f"{said['steps']} steps; loss {first:.4f} before, {last:.4f} after")
    say(said, as_json, str(out))
