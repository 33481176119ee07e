"""Runs on disk."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from math import isfinite
from pathlib import Path
from typing import Any

from ..aside import aside
from ..errors import BadInput
from ..former import former
from ..places import RECORD, Places, within

TOLD = {"notes": list, "evaluations": int, "seconds": dict}    # beside what `former.sound` looks at
Scores = dict[str, dict[str, float | None]]             # by edit's file, then by metric; None: not defined


@dataclass(frozen=True)
class Past:
    """A run folder, all of whose files are there."""

    folder: Path
    when: float                                         # seconds since 1970
    told: dict[str, Any]                                # run.json: names and hashes, no paths

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def source(self) -> str:
        return self.told["job"]["source"]

    @property
    def targets(self) -> tuple[str, ...]:
        return tuple(self.told["job"]["targets"])

    @property
    def method(self) -> str:
        return self.told["job"]["method"]

    @property
    def seconds(self) -> float:
        """That it took."""
        return sum(self.told["seconds"].values())

    @property
    def edits(self) -> tuple[Path, ...]:
        """One a target, .mp4 or .png."""
        return tuple(self.folder / one["file"] for one in self.told["edits"])

    @property
    def clip(self) -> Path:
        """The source as the network was given it, frame by frame beside the edits."""
        return self.edits[0].with_stem("source")

    @property
    def compare(self) -> Path:
        """Source and edits side by side."""
        return self.edits[0].with_stem("compare")

    @property
    def sheet(self) -> Path:
        """A picture with a row a clip, the source first."""
        return self.folder / "sheet.png"

    @property
    def recipe(self) -> Path:
        return self.folder / RECORD

    @property
    def files(self) -> tuple[Path, ...]:
        return *self.edits, self.clip, self.compare, self.sheet, self.recipe

    @property
    def scores(self) -> Scores | None:
        """None: not made yet."""
        try:
            return json.loads((self.folder / "scores.json").read_text("utf-8"))
        except (OSError, ValueError):
            return None


def runs(places: Places, most: int = 100) -> list[Past]:
    """Newest first; what is no run of this version is left out."""
    def those() -> Iterator[Past]:
        for name in places.listed().runs:
            try:
                yield opened(name, places)
            except BadInput:
                continue
    return list(islice(those(), most))


def opened(name: str, places: Places) -> Past:
    """BadInput where there is no such run.  `form.filled(past.told, places)` is its form."""
    folder = within(places.runs, name)
    record = within(folder, RECORD)
    told = former(record)[1]
    past = Past(folder, record.stat().st_mtime, told)
    try:
        known = all(isinstance(told[what], kind) for what, kind in TOLD.items()) and {*told["clip"]} >= {"frames", "size"}
        known = known and past.seconds >= 0 and all(within(folder, file.name) == file for file in past.files)
    except (KeyError, TypeError, ValueError):           # BadInput is one
        known = False
    if not known:
        raise BadInput(f"{name} is no run folder of this version of newtake")
    return past


def scored(past: Past) -> Scores:
    """What the metrics that need no true answer say of each edit, written beside it."""
    from ..bench.score import score

    if (there := past.scores) is not None:
        return there
    found: Scores = {}
    for edit, target in zip(past.edits, past.targets, strict=True):
        of = score(edit, past.clip, target=target, source=past.source)
        found[edit.name] = {name: value if isfinite(value) else None for name, value in of.items()}
    with aside(past.folder / "scores.json") as part:
        part.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return found
