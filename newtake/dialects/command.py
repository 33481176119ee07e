"""newtake's commands as lists of words, and the settings that say what a published config says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from ..methods import configured, named
from ..methods.configuring import INVERSION, values
from ..words import plain
from .config import Config

Command = list[str]
PRECISION = {"no": "fp32", "False": "fp32", "fp32": "fp32", "fp16": "fp16", "bf16": "bf16"}


def command(name: str, *positional: str, sets: Mapping[str, Any] | None = None, **options: Any) -> Command:
    """`newtake NAME ...`; options of None are left out, of several values repeated."""
    words = []
    for option, value in options.items():
        for one in value if isinstance(value, list | tuple) else (value,):
            words += [] if one is None else [f"--{option}", said(one)]
    for setting, value in (sets or {}).items():
        words += ["--set", f"{setting}={said(value)}"]
    if any(one.startswith("-") for one in positional):
        return ["newtake", name, *words, "--", *positional]
    return ["newtake", name, *positional, *words]


def given(**values: Any) -> dict[str, Any]:
    """What a config says: those that are not None."""
    return {name: value for name, value in values.items() if value is not None}


def said(value: Any) -> str:
    """As the command line takes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else "none" if value is None else str(value)


def settings(name: str, corrected: bool, **own: Any) -> dict[str, Any]:
    """The settings of a method that make it the published code's with these; corrected: these alone, those of None left out.

    BadInput where one is out of its range.
    """
    own = {key.replace("__", "."): value for key, value in given(**own).items()}
    cls: Any = named(name)
    plain, quirks = values(cls()), {}
    if not corrected:
        quirks = {key: value for key, value in values(cls.reference()).items() if plain.get(key) != value}
        if own.get("inversion", plain["inversion"]) != plain["inversion"]:
            quirks = {key: value for key, value in quirks.items() if not key.startswith(INVERSION)}
    configured(name, **quirks | own)
    return quirks | own


def weights(config: Config, target: str, words: Sequence[str], values: Sequence[str]) -> list[str]:
    """By how much words of the target count, as --weight takes it; the keys of the words and of their numbers."""
    factors = dict(zip(config.texts(*words), config.numbers(*values), strict=False))
    return [f"{word}={factor:g}" for word, factor in factors.items() if spoken(config, word, [target], *words)]


def as_published(corrected: bool) -> dict[str, Any]:
    """The settings of `newtake tune` that make it the published code's; corrected: none."""
    return {} if corrected else dict(norms="clip", random_bias=True)


def folder_of(path: str | None, otherwise: str) -> str:
    """Where what a config writes goes: its folder's name in runs/.  A stranger's file says no more of our disk."""
    name = PurePath(path or otherwise).name
    return f"runs/{otherwise if name in ('', '..') else name}"


def precision(config: Config, *keys: str) -> str | None:
    value = config.value(*keys)
    return None if value is None else PRECISION.get(str(value))


def size(wide: int | None, high: int | None) -> str | None:
    return f"{wide}x{high}" if wide and high else None


def words(prompt: str) -> Sequence[str]:
    return prompt.strip(" ,.").split()


def spoken(config: Config, word: str, prompts: Sequence[str], *keys: str) -> bool:
    """Whether one of these prompts has the word; where none has, the published code does nothing with it, and that is told."""
    said = [{plain(one) for one in prompt.split()} for prompt in prompts]
    found = any(all(plain(one) in those for one in word.split()) for those in said)
    if not found:
        config.leave("names a word that the prompt does not have, which the published code passes over", *keys)
    return found
