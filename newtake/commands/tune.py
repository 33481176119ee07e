"""`newtake tune`: a clip into an adapter."""

from __future__ import annotations

from functools import partial
from typing import Annotated

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
    pixels,
)
from .adapting import Every, Out, Precision, say_made, settings, stoppable
from .said import tell

Rest = Annotated[list[str], Option("--set", metavar="NAME=VALUE", help="accumulate, decay, clip, checkpointing, ema, "
                                   "patience, frames, norms, random_bias; may be repeated")]


def tune(clip: Clip, out: Out, source: Source = None, captioner: Captioner = None, model: Model = "tiny",
         frames: Frames = None, start: Start = 0, stride: Stride = 1, size: Size = None,
         steps: Annotated[int | None, Option("--steps", help="by default 500, with tiny 200")] = None,
         rate: Annotated[float | None, Option("--rate", help="by default 3e-5, with tiny and LoRA more")] = None,
         lora: Annotated[int | None, Option("--lora", metavar="RANK", help="tune in low rank: fewer weights")] = None,
         every: Every = None, set: Rest = [],
         samples: Annotated[int | None, Option("--samples", min=1, help="steps between sheets of edits, to look at")] = None,
         prompt: Annotated[list[str], Option("--prompt", help="of the samples; by default the source's")] = [],
         seed: Seed = 0, device: Device = None, dtype: Precision = None,
         download: Download = False, trust: Trust = False, as_json: Json = False):
    """Tune a checkpoint to a clip, into an adapter for `newtake edit --adapter`.  Killed, the same command goes on."""
    from ..models.load import load
    from ..one_clip import Samples, configured
    from ..one_clip import tune as tuned
    from ..prompts import native_size, sourced, strange_to
    from ..show import noted, shown
    from ..video import Video

    given = settings(set, device, seed, steps=steps, rate=rate, rank=lora, every=every, precision=dtype)
    if prompt and not samples:
        raise BadInput("--prompt is for samples; say how many steps apart they are, --samples 50")
    tuning = configured(model, **given)
    read = lambda size: Video.read(clip, frames, start, stride, size)
    seen = read(pixels(size))
    with shown(), noted(tell):
        source, _, notes = sourced(source, seen, captioner, model, device, download, trust)
        for note in notes:
            tell(note)
        again = partial(load, model, device, "fp32", download=download, trust=trust)
        net = again()
        seen = seen if size else read(native_size(seen.size, net))
        for note in strange_to(model, [source, *prompt], net, seen):
            tell(note)
        with stoppable(out):
            sheets = Samples(samples, prompt or [source]) if samples else None
            told = tuned(seen, source, out.resolve(), tuning, net, sheets, again)
    say_made(told, as_json, out)
