"""A method's settings as a form has them, and presets by what is to be changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ..errors import BadInput
from ..inversion import INVERSIONS
from ..methods import configured
from ..methods.configuring import settings, shown
from ..settings import Setting, typed

Kind = Literal["number", "whole number", "switch", "choice", "text"]
KINDS: dict[str, Kind] = {"number": "number", "whole number": "whole number", "truth value, true or false": "switch",
                          "inversion": "choice"}        # by what settings call their types


@dataclass(frozen=True)
class Field:
    """One setting of a method."""

    name: str                                           # as --set has it
    kind: Kind
    default: Any                                        # as JSON knows it; of a text as it is typed
    help: str
    least: float | None                                 # None: no end
    most: float | None
    optional: bool                                      # whether None, or nothing typed, is a value
    choices: tuple[str, ...]                            # of a choice
    setting: Setting

    def read(self, value: Any) -> Any:
        """As JSON knows it.  BadInput."""
        return shown(self.setting.read(None if self.optional and value == "" else value))


@dataclass(frozen=True)
class Preset:
    """What suits a kind of edit."""

    name: str
    example: str                                        # source -> target
    why: str
    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)


# Figures are of docs/comparison.md, the first, and of docs/bench, the others.
PRESETS = (
    Preset("colour or attribute", "a red ball on the grass -> a blue ball on the grass",
           "the shape stays, the mask is exact: nearest to the true answer of a recolouring", "prompt_to_prompt",
           {"self_until": 0.5, "cross_until": 0.3, "mask": 0.3, "widen": 0, "guidance": 9.0, "guided_until": 0.4,
            "blend_from": 0.5, "frames": "own,middle"}),
    Preset("object", "a red ball on the grass -> a red fish on the grass",
           "it looks whether the shape changes, and lets it go: nearest to the true answer of another object", "newtake"),
    Preset("background", "a red ball on the grass -> a red ball in the snow",
           "finds another background most often, and is nearest to its true answer", "newtake"),
    Preset("style", "a red ball on the grass -> a sketch of a red ball on the grass",
           "finds another style most often: the whole picture may change", "fatezero"),
    Preset("several words", "a red ball on the grass -> a blue fish on the grass",
           "nearest to the true answer where two things change", "newtake"),
)


def fields(method: str, inversion: str | None = None) -> list[Field]:
    """The settings of a method with this inversion (None: its own).  BadInput where one is not known."""
    there = settings(configured(method))
    usual = next(shown(setting.default) for setting in there if setting.name == "inversion")
    if inversion not in (None, usual):                  # which else may be set as the method likes it
        there = settings(configured(method, inversion=inversion))
    return [field_of(setting, usual if setting.name == "inversion" else shown(setting.default)) for setting in there]


def field_of(setting: Setting, value: Any) -> Field:
    kind, optional = setting.type.removesuffix(" or none"), setting.type.endswith(" or none")
    names = tuple(kind.removeprefix("name, one of ").split(", ")) if kind.startswith("name, one of ") else ()
    choices = tuple(INVERSIONS) if kind == "inversion" else names
    how: Kind = KINDS.get(kind, "choice" if choices else "text")
    return Field(setting.name, how, typed(value) if how == "text" else value, setting.help, setting.least, setting.most,
                 optional, choices, setting)


def read(there: Sequence[Field], values: Mapping[str, Any]) -> dict[str, Any]:
    """What of a form's values differs from the defaults, for `Job.settings`.  BadInput where one cannot be."""
    known = {one.name: one for one in there}
    if unknown := [name for name in values if name not in known]:
        raise BadInput(f"unknown setting {unknown[0]!r:.80}; there are {', '.join(known)}")
    found = {name: known[name].read(value) for name, value in values.items()}
    return {name: value for name, value in found.items() if value != known[name].read(known[name].default)}
