"""Folders that the owner of a studio allowed: nothing is read elsewhere, and nothing written outside of the runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

from .aside import free
from .errors import BadInput
from .invitation import BUILT_IN
from .record import said_as

RECORD = "run.json"                                     # in every run folder
WEIGHTS = ".safetensors"
LONGEST = 60                                            # letters of a name that is made of another
NAME = 255                                              # of one that is asked for


@dataclass(frozen=True)
class Listed:
    """What may be chosen: by the name that people see what a job takes for it."""

    models: Mapping[str, str]
    adapters: Mapping[str, str]
    guests: Mapping[str, str]
    runs: tuple[str, ...]                               # newest first


@final
@dataclass(frozen=True)
class Places:
    """Folders, each of which holds what it is named after or is one itself.  Raises BadInput where one is no folder."""

    runs: Path                                          # made once something is put there
    models: tuple[Path, ...] = ()
    adapters: tuple[Path, ...] = ()
    guests: tuple[Path, ...] = ()
    model: str = "tiny"                                 # may be chosen wherever it is

    def __post_init__(self):
        for name in ("models", "adapters", "guests"):
            for folder in getattr(self, name):
                if not folder.is_dir():
                    raise BadInput(f"{folder}: no such folder; --{name} names one in which {name} lie")
        free(self.runs, lambda name: True)

    @property
    def uploads(self) -> Path:
        return self.runs.resolve() / "uploads"

    @property
    def inversions(self) -> Path:
        return self.runs.resolve() / "inversions"

    def listed(self) -> Listed:
        own = {"tiny": "tiny", said_as(self.model): self.model}
        runs = [folder for folder in inside(self.runs) if (folder / RECORD).is_file()]
        runs.sort(key=lambda folder: (folder / RECORD).stat().st_mtime, reverse=True)
        return Listed(own | those(self.models, "model_index.json"),
                      those(self.adapters, "adapter.json", "pytorch_lora_weights.safetensors", "adapter_model.safetensors"),
                      {name: name for name in BUILT_IN} | those(self.guests, "config.json", files=False),
                      tuple(folder.name for folder in runs))


def those(folders: tuple[Path, ...], *marks: str, files: bool = True) -> dict[str, str]:
    """Folders in which one of these files lies, and safetensors files, by name; of two of one name the first."""
    found: dict[str, str] = {}
    for folder in folders:
        for one in (folder.resolve(), *inside(folder)):
            if any((one / mark).is_file() for mark in marks) or (files and one.suffix == WEIGHTS):
                found.setdefault(one.name, str(one))
    return found


def inside(folder: Path) -> list[Path]:
    """What lies in a folder, by name, and does not lead out of it."""
    home = folder.resolve()
    found = sorted(home.glob("[!.]*"))
    return [path for path in found if path.resolve().is_relative_to(home)]


def within(folder: Path, name: str) -> Path:
    """What has this name in the folder, and really lies there.  BadInput for all else: ways and links out, what is gone."""
    home = folder.resolve()
    try:
        plain = 0 < len(name) <= NAME and not Path(name).is_absolute() and ".." not in Path(name).parts
        path = (home / name).resolve(strict=True) if plain else home
    except (OSError, ValueError, RuntimeError):         # a name that is too long, a NUL, links in a ring
        path = home
    if path == home or not path.is_relative_to(home):
        raise BadInput(f"there is no {name!r:.80} in {folder.name}; choose one that is listed")
    return path


def clean(told: str) -> str:
    """A name for a file, without its ending, made of one that a stranger told: letters, digits, - and _."""
    stem = re.sub(r"[^\w-]+", "-", Path(told.replace("\\", "/")).stem)[:LONGEST].strip("-_")
    return stem or "clip"
