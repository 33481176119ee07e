"""The folder that newtake's own adapters are: weights, and adapter.json, which says what they were made of."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from ...aside import aside
from ...errors import BadInput

FORMAT = 1
TOLD = "adapter.json"


def write(folder: Path, kind: str, files: Mapping[str, Mapping[str, Tensor]], told: Mapping[str, Any]) -> None:
    """files: weights by the file's name.  It appears whole or not at all; one that is there is replaced."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with aside(folder) as part:
        part.mkdir()
        for name, weights in files.items():
            save_file({key: weight.detach().cpu().contiguous() for key, weight in weights.items()}, part / name)
        text = json.dumps({"format": FORMAT, "kind": kind, **told}, indent=1, ensure_ascii=False, allow_nan=False)
        (part / TOLD).write_text(text + "\n", encoding="utf-8")


def told_of(folder: Path, kind: str, needed: Mapping[str, Callable[[Any], bool]]) -> dict[str, Any] | None:
    """What a folder says of itself; None where it is no adapter of this kind.

    needed: of what has to be said, whether a value is right.  BadInput where it is not, as another version would leave it.
    """
    try:
        told = json.loads((folder / TOLD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(told, dict) or told.get("kind") != kind:
        return None
    if told.get("format") != FORMAT or not all(right(told.get(name)) for name, right in needed.items()):
        raise BadInput(f"{folder} is not an adapter that this version of newtake wrote; make it again")
    return told
