"""What a frozen dataclass can be told: its fields, each made with `setting`, from strings and back.

The command line, the web form and the run record are read from them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import Field, dataclass, field, fields
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from .errors import BadInput

Reader = tuple[str, Callable[[Any], Any]]               # for people: "number", "list of frames"; and how it is read


@dataclass(frozen=True)
class Setting:
    """One setting, by the name that people type."""

    name: str
    default: Any
    type: str                                           # for people: "number", "whole number or none", ...
    help: str
    least: float | None                                 # None: no end
    most: float | None
    read: Callable[[Any], Any]                          # from a string, or from what a record holds


def setting(
    default: Any, help: str, least: float | None = None, most: float | None = None, reader: Reader | None = None
) -> Any:
    """A field: its default, a sentence about it, its range, ends included (None: no end), its reader (None: its type's)."""
    return field(default=default, metadata=dict(help=help, least=least, most=most, reader=reader))


def check(given: Any) -> None:
    """Raises BadInput where a field is out of its range."""
    for f in fields(given):
        value, least, most = getattr(given, f.name), f.metadata.get("least"), f.metadata.get("most")
        low = least is not None and value is not None and not value >= least
        if low or (most is not None and value is not None and not value <= most):
            wanted = f"at least {least}" if most is None else f"between {least} and {most}"
            raise BadInput(f"{f.name} must be {wanted}, not {value}")


def settings_of(given: Any, prefix: str = "") -> list[Setting]:
    """The settings of a dataclass, its values as their defaults."""
    return [setting_of(given, f, prefix) for f in fields(given) if "help" in f.metadata]


def setting_of(given: Any, f: Field, prefix: str) -> Setting:
    hint, known = get_type_hints(type(given))[f.name], f.metadata
    optional = get_origin(hint) in (UnionType, Union)     # the second where one side is a Literal
    kind, parse = known["reader"] or reader(next(t for t in get_args(hint) if t is not type(None)) if optional else hint)
    name = prefix + f.name

    def read(typed: Any) -> Any:
        if optional and typed in (None, "none"):
            return None
        try:
            return parse(typed)
        except BadInput:
            raise
        except (ValueError, TypeError, KeyError, OverflowError):
            raise BadInput(f"{name} is a {kind}, not {typed!r}") from None

    type_ = kind + " or none" * optional
    return Setting(name, getattr(given, f.name), type_, known["help"], known["least"], known["most"], read)


def typed(value: Any) -> str:
    """A value, as JSON knows it, as `--set` takes it."""
    return ",".join(map(str, value)) if isinstance(value, list) else "none" if value is None else str(value).lower()


def reader(hint: Any) -> Reader:
    if get_origin(hint) is Literal:
        names = get_args(hint)
        return f"name, one of {', '.join(names)}", {name: name for name in names}.__getitem__
    return READERS[hint]


def whole(given: Any) -> int:
    if isinstance(given, bool) or int(given) != (given if isinstance(given, float) else int(given)):
        raise ValueError
    return int(given)


def truth(given: Any) -> bool:
    return {"true": True, "yes": True, "false": False, "no": False}[str(given).lower()]


READERS: dict[Any, Reader] = {
    int: ("whole number", whole),
    float: ("number", float),
    bool: ("truth value, true or false", truth),
}
