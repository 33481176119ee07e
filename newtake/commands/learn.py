"""`newtake learn`: pictures of a thing into an adapter that knows a word for it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..options import Device, Download, Json, Model, Option, Seed, Size, Trust, pixels
from .adapting import Every, Out, Precision, say_made, settings, stoppable
from .said import tell

Rest = Annotated[list[str], Option("--set", metavar="NAME=VALUE", help="text, batch, prior, kinds, accumulate, decay, "
                                   "clip, checkpointing, ema, patience; may be repeated")]


def learn(pictures: Annotated[Path, typer.Argument(help="a folder of pictures of one thing, of one size")],
          word: Annotated[str, Option("--word", help="what it is to be called; one that the checkpoint does not know")],
          kind: Annotated[str, Option("--kind", help="what kind of thing it is, in words that the checkpoint knows")],
          out: Out,
          caption: Annotated[str, Option("--caption", help="what a picture shows that has no caption of its own (NAME.txt, "
                                         "captions.json)")] = "a {word} {kind}",
          model: Model = "tiny", size: Size = None,
          steps: Annotated[int | None, Option("--steps", help="by default 400, with tiny 800")] = None,
          rate: Annotated[float | None, Option("--rate", help="by default 2e-4, with tiny more")] = None,
          lora: Annotated[int | None, Option("--lora", metavar="RANK", help="by default 16; 0: none, the word alone")] = None,
          every: Every = None, set: Rest = [], seed: Seed = 0, device: Device = None, dtype: Precision = None,
          download: Download = False, trust: Trust = False, as_json: Json = False):
    """Learn a word for a thing (DreamBooth): an adapter for `newtake edit --adapter`.  Killed, the same command goes on."""
    from ..concepts import Pictures, configured
    from ..concepts import learn as learnt
    from ..models.load import load
    from ..prompts import native_size, strange_to
    from ..show import noted, shown

    given = settings(set, device, seed, steps=steps, rate=rate, rank=lora, every=every, precision=dtype)
    learning = configured(model, **given)
    read = lambda size: Pictures.read(pictures, word, kind, caption, size)
    seen = read(pixels(size))
    with shown(), noted(tell):
        net = load(model, device, "fp32", download=download, trust=trust)
        seen = seen if size else read(native_size(seen.video.size, net))
        for note in strange_to(model, seen.of_kind(), net, seen.video):
            tell(note)
        with stoppable(out):
            told = learnt(seen, out.resolve(), learning, net)
    say_made(told, as_json, out, f"; now say {told['word']}")
