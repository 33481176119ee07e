"""The adapter that learning leaves: a word and its vectors, and LoRA of the network's attention, in a folder.

Both are in the layouts that others read too: pytorch_lora_weights.safetensors as diffusers writes LoRA, and a textual inversion
file for each text encoder.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from ...errors import BadInput
from ..parts import Parts, opened
from . import folder, lora
from .embedding import with_word

KIND = "concept"
FILES = re.compile(r"adapter\.json|pytorch_lora_weights\.safetensors|learned_embeds(_2)?\.safetensors")
LORA, WORD = lora.IN_FOLDERS[0], "learned_embeds{}.safetensors"     # the word's file is of the first encoder, _2 of the second


def write(out: Path, weights: Mapping[str, Tensor], vectors: Sequence[Tensor], told: Mapping[str, Any]) -> None:
    """A folder that `put` reads: weights of LoRA, none where the word alone is learnt; the word's vector (1 c) of each encoder.

    told: `word`, `rank` and what else there is to know of it.
    """
    words = {file_of(network): {told["word"]: vector} for network, vector in zip(lora.NETWORKS[1:], vectors, strict=False)}
    folder.write(out, KIND, ({LORA: weights} if weights else {}) | words, told)


def file_of(network: str) -> str:
    return WORD.format(network.removeprefix("text_encoder"))


def told_of(path: Path) -> dict[str, Any] | None:
    """What an adapter of this kind says of itself; None where it is none.  BadInput where another version made it."""
    return folder.told_of(path, KIND, {"rank": lambda rank: type(rank) is int, "word": lambda word: isinstance(word, str)})


def reads(path: Path, trust: bool) -> bool:
    return told_of(path) is not None


def put(parts: Parts, path: Path, weight: float, trust: bool) -> Parts:
    """The parts with the word, and with its LoRA times the weight; with weight 0 nothing.

    BadInput where the word is known already, or the adapter is of another network.
    """
    told = told_of(path) or {}
    wanted = [file_of(network) for network, _ in zip(lora.NETWORKS[1:], parts.encoders, strict=False)]
    wanted += [LORA] * (told["rank"] > 0)
    if missing := [name for name in wanted if not (path / name).is_file()]:
        raise BadInput(f"{path} is not a whole adapter for this network: it has no {missing[0]}")
    if weight == 0:
        return parts
    vectors = [opened(path / name, trust).get(told["word"]) for name in wanted if name != LORA]
    if any(vector is None or vector.ndim != 2 for vector in vectors):
        raise BadInput(f"{path} is not a whole adapter: it holds no vector of {told['word']!r}")
    parts = with_word(parts, told["word"], [vector for vector in vectors if vector is not None], str(path))
    return lora.put(parts, path, weight, trust, whole=True) if told["rank"] else parts
