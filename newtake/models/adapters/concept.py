"""The adapter that learning leaves: a word and its vectors, and LoRA of the network's attention, in a folder.

Both are in the layouts that others read too: pytorch_lora_weights.safetensors as diffusers writes LoRA, and a textual inversion
file for each text encoder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from ...aside import aside
from ...errors import BadInput
from ..parts import Parts, opened
from . import lora
from .embedding import with_word
from .tuned import FORMAT, TOLD

KIND = "concept"
LORA, WORD = lora.IN_FOLDERS[0], "learned_embeds{}.safetensors"     # the word's file is of the first encoder, _2 of the second


def write(folder: Path, weights: Mapping[str, Tensor], vectors: Sequence[Tensor], told: Mapping[str, Any]) -> None:
    """A folder that `put` reads: weights of LoRA, none where the word alone is learnt; the word's vector (1 c) of each encoder.

    told: `word`, and what else there is to know of it.  It appears whole or not at all; one that is there is replaced.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    kept = lambda own: {name: weight.detach().cpu().contiguous() for name, weight in own.items()}
    with aside(folder) as part:
        part.mkdir()
        if weights:
            save_file(kept(weights), part / LORA)
        for network, vector in zip(lora.NETWORKS[1:], vectors, strict=False):
            save_file(kept({told["word"]: vector}), part / file_of(network))
        text = json.dumps({"format": FORMAT, "kind": KIND, **told}, indent=1, ensure_ascii=False, allow_nan=False)
        (part / TOLD).write_text(text + "\n", encoding="utf-8")


def file_of(network: str) -> str:
    return WORD.format(network.removeprefix("text_encoder"))


def told_of(folder: Path) -> dict[str, Any] | None:
    """What a folder says of itself; None where it is no adapter of this kind.  BadInput where another version made it."""
    try:
        told = json.loads((folder / TOLD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(told, dict) or told.get("kind") != KIND:
        return None
    if told.get("format") != FORMAT or not isinstance(told.get("word"), str) or type(told.get("rank")) is not int:
        raise BadInput(f"{folder} is not an adapter that this version of newtake wrote; learn again")
    return told


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
    if not told["rank"]:
        return parts
    weights = opened(path / LORA, trust)
    _, left = lora.sorted_out(weights, dict(zip(lora.NETWORKS, (parts.net, *parts.encoders), strict=False)))
    if left:
        raise BadInput(f"{path} was made for another network: nothing here answers to {lora.said(left, len(weights))}")
    return lora.put(parts, path, weight, trust)
