"""A published config: YAML that is asked key by key, so that what nobody asked for can be named.

It is data of strangers.  The loader makes numbers, texts, lists and mappings, nothing else; what refers to another key of the
file (`${train_data.prompt}`, `${..dataset_config.n_sample_frame}`) is looked up there when it is asked for; the environment is
never looked at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar

import yaml

from ..errors import BadInput

T = TypeVar("T")
LARGEST = 1 << 20                                       # bytes; published ones have a few thousand
REFERENCE = re.compile(r"\$\{([^${}]*)\}")
DEEPEST = 20                                            # references of references


class Plain(yaml.SafeLoader):
    """Without aliases, by which a few lines become endless."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it has aliases (*name)")
        return super().compose_node(parent, index)


@dataclass
class Config:
    """Keys are dotted paths, such as "train_data.prompt"; of several the first that the file has counts."""

    told: Mapping[str, Any]
    where: str
    asked: set[str] = field(default_factory=set)
    idle: dict[str, str] = field(default_factory=dict)  # keys that newtake has no counterpart for, and why

    def has(self, key: str) -> bool:
        return self._at(key) is not None

    def keys(self, key: str) -> list[str]:
        inside = self._at(key)
        return [*inside] if isinstance(inside, Mapping) else []

    def value(self, *keys: str) -> Any:
        """None where it has none of them, or says null."""
        self.asked.update(keys)
        key = next((key for key in keys if self.has(key)), None)
        return None if key is None else self._resolved(self._at(key), key.split("."))

    def text(self, *keys: str) -> str | None:
        return self._read(keys, "text", lambda value: str(value) if isinstance(value, str | int | float) else self._no())

    def number(self, *keys: str) -> float | None:
        return self._read(keys, "number", real)

    def whole(self, *keys: str) -> int | None:
        return self._read(keys, "whole number", lambda value: int(real(value)) if real(value) % 1 == 0 else self._no())

    def truth(self, *keys: str) -> bool | None:
        return self._read(keys, "truth value", lambda value: value if isinstance(value, bool) else self._no())

    def texts(self, *keys: str) -> list[str]:
        """Of a list, or of lists in it, or of a mapping its values; of one text that; [] where there are none."""
        def read(value: Any) -> list[str]:
            if isinstance(value, str):
                return [value]
            inside = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else self._no()
            return [text for one in inside for text in read(one)]

        return self._read(keys, "list of texts", read) or []

    def numbers(self, *keys: str) -> list[float]:
        def read(value: Any) -> list[float]:
            return [real(one) for one in (value if isinstance(value, list) else [value])]

        return self._read(keys, "list of numbers", read) or []

    def needed(self, *keys: str) -> str:
        found = self.text(*keys)
        if not found:
            raise BadInput(f"{self.where} has no {keys[0]}")
        return found

    def leave(self, why: str, *keys: str, but: tuple[Any, ...] = ()) -> None:
        """Keys that newtake has no counterpart for, unless they say something in which it makes no difference."""
        self.asked.update(keys)
        self.idle |= {key: why for key in keys if self.has(key) and self._at(key) not in but}

    def unknown(self) -> list[str]:
        """What nobody asked for."""
        known = lambda key: any(key == one or key.startswith(f"{one}.") for one in self.asked)
        return [key for key in leaves(self.told) if not known(key)]

    def _no(self) -> Any:
        raise ValueError

    def _read(self, keys: tuple[str, ...], kind: str, read: Callable[[Any], T]) -> T | None:
        value = self.value(*keys)
        if value is None:
            return None
        try:
            return read(value)
        except (ValueError, TypeError, OverflowError):
            key = next(key for key in keys if self.has(key))
            raise BadInput(f"{self.where}: {key} is a {kind}, not {value!r}") from None

    def _at(self, key: str) -> Any:
        found: Any = self.told
        for part in key.split(".") if key else ():
            found = found.get(part) if isinstance(found, Mapping) else None
        return found

    def _resolved(self, value: Any, at: list[str], deep: int = 0) -> Any:
        if isinstance(value, Mapping):
            return {key: self._resolved(one, [*at, key], deep) for key, one in value.items()}
        if isinstance(value, list):
            return [self._resolved(one, [*at, str(i)], deep) for i, one in enumerate(value)]
        if not isinstance(value, str) or not (found := REFERENCE.search(value)):
            return value
        key = absolute(found[1], at)
        if key is None or deep > DEEPEST or not self.has(key):
            raise BadInput(f"{self.where}: {'.'.join(at)} is {value!r}, which is no other key of the file; write its value")
        other = self._resolved(self._at(key), key.split("."), deep + 1)
        if found[0] == value:
            return other
        return self._resolved(value[:found.start()] + str(other) + value[found.end():], at, deep + 1)


def real(value: Any) -> float:
    """A finite number; YAML's own reader takes 3e-5 for text."""
    found = float(value)
    if isinstance(value, bool) or not isfinite(found):
        raise ValueError
    return found


def absolute(reference: str, at: list[str]) -> str | None:
    """The key that OmegaConf's reference means: each dot before it is a level up.  None: it is something else."""
    match = re.fullmatch(r"(\.*)([\w-]+(?:\.[\w-]+)*)", reference.strip())
    if not match or len(match[1]) > len(at):
        return None
    return ".".join([*(at[:-len(match[1])] if match[1] else []), match[2]])


def leaves(told: Any, key: str = "") -> Iterator[str]:
    if isinstance(told, Mapping) and told:
        for name, value in told.items():
            yield from leaves(value, f"{key}.{name}" if key else name)
    elif key:
        yield key


def read(path: Path) -> Config:
    """BadInput where it is no YAML, or no mapping."""
    try:
        if path.stat().st_size > LARGEST:
            raise BadInput(f"{path} is too long for a config")
        told = yaml.load(path.read_text("utf-8"), Plain)
    except OSError as wrong:
        raise BadInput(f"{path} cannot be read: {wrong.strerror or wrong}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as wrong:
        raise BadInput(f"{path} is not YAML: {' '.join(str(wrong).split())[:200]}") from None
    if not isinstance(told, dict):
        raise BadInput(f"{path} is not a config: it holds no keys with values")
    return Config(named(told), str(path))


def named(told: Any) -> Any:
    """Keys as texts: FateZero numbers its edits."""
    if isinstance(told, dict):
        return {str(key): named(value) for key, value in told.items()}
    return [named(value) for value in told] if isinstance(told, list) else told
