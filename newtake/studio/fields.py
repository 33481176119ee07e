"""A method's settings as a form has them, and presets by what is to be changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["number", "whole number", "switch", "choice", "text"]


@dataclass(frozen=True)
class Field:
    """One setting of a method."""

    name: str                                           # as --set has it
    kind: Kind
    default: Any                                        # as JSON knows it; of a text as it is typed
    help: str
    least: float | None                                 # None: no end
    most: float | None
    optional: bool                                      # whether None, or nothing typed, is a value: "none"
    choices: tuple[str, ...]                            # of a choice


@dataclass(frozen=True)
class Preset:
    """What suits a kind of edit."""

    name: str
    example: str                                        # source -> target
    why: str
    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)


PRESETS: tuple[Preset, ...] = ()


def fields(method: str, inversion: str | None = None) -> list[Field]:
    """The settings of a method with this inversion (None: its own).  BadInput where one is not known."""
    raise NotImplementedError


def read(fields: Sequence[Field], values: Mapping[str, Any]) -> dict[str, Any]:
    """What of a form's values differs from the defaults, for `Job.settings`.  BadInput where one cannot be."""
    raise NotImplementedError
