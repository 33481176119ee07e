"""Adapters: files that change a checkpoint's weights or words.  Several at once, each with a weight.

A kind is a module with two functions: `reads(path, trust)`, whether a file or folder is of its kind, and
`put(parts, path, weight, trust)`, which returns the parts with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from types import ModuleType

from ...errors import BadInput
from ..parts import Parts
from . import concept, embedding, lora, tuned

KINDS: tuple[ModuleType, ...] = (tuned, concept, lora, embedding)      # a concept holds a LoRA file


def put(parts: Parts, adapters: Mapping[str, float], trust: bool) -> Parts:
    """The parts with these adapters, each with its weight: 1 as it was trained, 0 not at all.

    They are put in order, those of `newtake tune` first: they were tuned with the checkpoint as it is.
    Networks are in their own dtype and on the processor, and may be changed in place: of those that are shared a copy is taken.
    Raises BadInput where one is no adapter, or fits another network.
    """
    chosen = []
    for name, weight in adapters.items():
        path = found(name)
        if not isfinite(weight):
            raise BadInput(f"the weight of {path.name} is a number such as 1 or 0.7, not {weight}")
        kind = next((kind for kind in KINDS if kind.reads(path, trust)), None)
        if kind is None:
            raise BadInput(f"{path} is no adapter that is known: of `newtake tune` or `newtake learn`, LoRA, textual inversion")
        chosen.append((kind, path, weight))
    for kind, path, weight in sorted(chosen, key=lambda one: one[0] is not tuned):
        parts = kind.put(parts, path, weight, trust)
    return parts


def found(name: str) -> Path:
    path = Path(name).expanduser()
    if not path.exists():
        raise BadInput(f"{name}: no such adapter; it is a folder of newtake tune or newtake learn, or a .safetensors file")
    return path
