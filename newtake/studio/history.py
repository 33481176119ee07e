"""Runs on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..places import Places


@dataclass(frozen=True)
class Past:
    """A run folder."""

    name: str
    folder: Path
    when: float                                         # seconds since 1970
    told: dict[str, Any]                                # run.json: names and hashes, no paths

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
    def edits(self) -> tuple[Path, ...]:
        """One a target, .mp4 or .png."""
        raise NotImplementedError

    @property
    def clip(self) -> Path:
        """The source, as the network was given it, frame by frame beside the edits."""
        raise NotImplementedError

    @property
    def compare(self) -> Path:
        raise NotImplementedError

    @property
    def sheet(self) -> Path:
        """A picture with a row a clip, the source first."""
        raise NotImplementedError

    @property
    def recipe(self) -> Path:
        """run.json."""
        raise NotImplementedError

    @property
    def scores(self) -> dict[str, dict[str, float | None]] | None:
        """By edit's file name, then by metric; None: not made yet."""
        raise NotImplementedError


def runs(places: Places, most: int = 100) -> list[Past]:
    """Newest first; what is no run of this version is left out."""
    raise NotImplementedError


def opened(name: str, places: Places) -> Past:
    """BadInput where there is no such run.  `form.filled(past.told, places)` is its form."""
    raise NotImplementedError


def scored(past: Past) -> dict[str, dict[str, float | None]]:
    """What the metrics that need no true answer say of each edit, written beside it; None where one is not defined."""
    raise NotImplementedError
