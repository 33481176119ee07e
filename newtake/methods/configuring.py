"""What a method can be told: its settings, from strings and back."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, TypeVar

from ..errors import BadInput
from ..inversion.trajectory import Inversion
from ..settings import Setting, settings_of
from .method import Method, Setup, inversion, name_of

AnyMethod = TypeVar("AnyMethod", bound=Method)

INVERSION = "inversion."                                # before the names of an inversion's settings


def settings(of: Method | type[Method]) -> list[Setting]:
    """All settings of a method: those that every method shares, those of its inversion, its own."""
    method = of() if isinstance(of, type) else of
    return [*settings_of(method.setup), *settings_of(method.setup.inversion, INVERSION), *settings_of(method)]


def configured(cls: type[AnyMethod], /, **given: Any) -> AnyMethod:
    """The method with these settings, each a string as people type it or a value.  Raises BadInput, in one line.

    The settings of an inversion are called as in "inversion.inner".
    """
    method = cls()
    if "inversion" in given:
        method = replace(method, setup=replace(method.setup, inversion=inversion(given.pop("inversion"))))
    known = {s.name: s for s in settings(method)}
    for name in given:
        if name not in known:
            raise BadInput(f"unknown setting {name!r} of {name_of(cls)}; it has {', '.join(known)}")
    read = {name: known[name].read(value) for name, value in given.items()}
    of_inversion = {name.removeprefix(INVERSION): read.pop(name) for name in [*read] if name.startswith(INVERSION)}
    shared = {f.name: read.pop(f.name) for f in fields(Setup) if f.name in read}
    setup = replace(method.setup, inversion=replace(method.setup.inversion, **of_inversion), **shared)
    return replace(method, setup=setup, **read)


def values(method: Method) -> dict[str, Any]:
    """All settings of a method as JSON knows them; `configured` takes them back."""
    return {s.name: shown(s.default) for s in settings(method)}


def shown(value: Any) -> Any:
    """A setting's value as JSON knows it."""
    if isinstance(value, Inversion):
        return name_of(type(value))
    return list(value) if isinstance(value, tuple) else value
