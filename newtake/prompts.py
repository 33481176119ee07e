"""What is said of a clip, what of it cannot be, and what a model does not know."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING

from .errors import BadInput, Note
from .record import said_as

if TYPE_CHECKING:
    from torch import Tensor

    from .models.unet import UNet
    from .video import Video

UNLIKE = 20.0                                           # dB of the round trip below which a clip is unlike the world


def sourced(source: str | None, clip: Video, captioner: str | None, model: UNet | str, device: str | None = None,
            download: bool = False, trust: bool = False) -> tuple[str, str | None, list[str]]:
    """What the clip shows, who read it (None: it was said), and notes.  BadInput where nobody says it, or two do."""
    from .captions import TINY, WHO
    from .captions import captioner as load

    example = '--source "a red car on the grass"'
    if source is not None and captioner is not None:
        raise BadInput("what the clip shows is said and is to be read; give --source or --captioner")
    if source is not None:
        return source, None, []
    reader = captioner or (TINY if model == TINY else None)
    if reader is None:
        raise BadInput(f"say what the clip shows, {example}; or who reads it, --captioner FOLDER")
    try:
        read = load(reader, device, download, trust)(clip)
    except BadInput as wrong:
        raise BadInput(f"say what the clip shows, {example}; it cannot be read: {wrong}") from wrong
    if not read:
        raise BadInput(f"say what the clip shows, {example}; {reader} sees nothing that it has words for")
    return read, reader, [f"the clip shows {read!r}, as {WHO.get(reader, said_as(reader))} reads it"]


def stated(source: str | None, targets: Sequence[str], weights: Mapping[str, float], shares: Mapping[str, float]) -> None:
    """BadInput where a prompt says nothing, or a word has a number out of range.  source: None where it is not known yet."""
    sources = [] if source is None else [("source", [source], "shows")]
    for name, prompts, does in (*sources, ("target", targets, "should become")):
        if not prompts or not all(prompt.strip() for prompt in prompts):
            raise BadInput(f"the {name} prompt is empty; say what the clip {does}")
        if any(strange(prompt) for prompt in prompts):
            raise BadInput(f"the {name} prompt is not UTF-8; type it in a terminal that is")
    for word, factor in weights.items():
        if not isfinite(factor):
            raise BadInput(f"the weight of {word!r} is a number such as 2 or 0.5, not {factor}")
    for word, share in shares.items():
        if not 0 <= share <= 1:
            raise BadInput(f"the share of {word!r} must be between 0 and 1, not {share}")


def strange(text: str) -> bool:
    """Whether it holds bytes that are not UTF-8, as the system hands them over."""
    return any("\ud800" <= letter <= "\udfff" for letter in text)


def size_noted(video: Video, model: UNet) -> None:
    """A note where the clip's area is far from what the network was trained on."""
    w, h = video.size
    better = native_size(video.size, model)
    if not 0.5 <= (w * h) ** 0.5 / model.native <= 2:
        warnings.warn(f"the clip is {w}x{h}; the network was trained on about {better[0]}x{better[1]}", Note, stacklevel=2)


def native_size(size: tuple[int, int], model: UNet) -> tuple[int, int]:
    """Width and height in the network's native area: the clip's aspect, in units of the network's coarsest level."""
    w, h = size
    scale = model.native / (w * h) ** 0.5
    return max(1, round(w * scale / model.unit)) * model.unit, max(1, round(h * scale / model.unit)) * model.unit


def strange_to(name: str, prompts: Sequence[str], model: UNet, clip: Video) -> list[str]:
    """What a checkpoint of this name does not know of prompts and a clip, in words: of the built-in one alone it is known."""
    if name != "tiny":
        return []
    from .metrics.pixels import psnr
    from .world.grammar import SPOKEN, unknown

    knows = "; ".join(f"{name}s {', '.join(values)}" for name, values in SPOKEN.items())
    notes = []
    learnt = {part for token in model.tokenizer.get_added_vocab() for part in re.findall(r"[^\W_]+", token.lower())}
    if strange := [word for word in dict.fromkeys(unknown(" ".join(prompts))) if word not in learnt]:
        notes.append(f"the built-in checkpoint does not know {', '.join(strange)}; it knows {knows}; give another --model")
    if psnr(round_trip(model, clip[:1]), clip[:1]) < UNLIKE:
        notes.append("the clip is unlike the world that the built-in checkpoint was trained on; give another --model")
    return notes


def round_trip(model: UNet, frames: Tensor) -> Tensor:
    """Frames (f 3 h w) as the autoencoder gives them back, in [-1, 1], on the processor."""
    import torch

    with torch.no_grad():
        return model.decode(model.encode(frames)[0]).clamp(-1, 1).cpu()
