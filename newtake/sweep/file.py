"""The file of a sweep: lists whose product are its jobs.  Plain data, read by the safe loader; docs/sweep.md has its form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from glob import glob
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import yaml

from ..errors import BadInput
from .fields import COMMON, Fields, place, text, whole

MOST = 10_000                                           # jobs, where nobody said otherwise
LARGEST = 1 << 20                                       # bytes of a file
DIGITS = 18                                             # of a whole number
AXES = {"clips": "clip", "targets": "target", "methods": "method", "settings": "", "seeds": "seed"}
NESTED = {"clips": "targets", "methods": "settings"}    # what an entry of one axis may have of another, instead of the block's
Entry = Mapping[str, Any]                               # fields of a job, as the file has them


class Loader(yaml.SafeLoader):
    """A key that is there twice would silently count once; a few lines of *names can stand for more than memory holds."""

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.YAMLError(f"*{event.anchor} in line {event.start_mark.line + 1}: write out what it stands for")
        return super().compose_node(parent, index)

    def construct_mapping(self, node, deep=False):
        names = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        if twice := next((name for name, times in names.items() if times > 1), None):
            raise yaml.YAMLError(f"the key {twice!r} is there twice, in line {node.start_mark.line + 1} and after it")
        return super().construct_mapping(node, deep)

    def whole(self, node):
        if len(node.value) > DIGITS:
            raise yaml.YAMLError(f"a number in line {node.start_mark.line + 1} has more than {DIGITS} digits")
        return self.construct_yaml_int(node)


Loader.add_constructor("tag:yaml.org,2002:int", Loader.whole)


@dataclass(frozen=True)
class Block:
    """A product.  Settings: a list of mappings, each of lists, of which each is a product again."""

    where: str                                          # for people
    common: Entry
    clips: list[Entry]
    targets: list[Entry]
    methods: list[Entry]
    settings: list[Mapping[str, list[Any]]]
    seeds: list[int]

    def parts(self) -> Iterator[tuple[Entry, Entry, list[Entry], list[Mapping[str, list[Any]]]]]:
        for clip, method in product(self.clips, self.methods):
            yield clip, method, clip.get("targets", self.targets), method.get("settings", self.settings)

    @property
    def many(self) -> int:
        """Counted, not made."""
        return sum(len(targets) * sum(prod(map(len, one.values())) for one in settings) * len(self.seeds)
                   for _, _, targets, settings in self.parts())

    def fields(self) -> Iterator[Entry]:
        """Of each job."""
        for clip, method, targets, settings in self.parts():
            chosen = [dict(zip(one, values, strict=True)) for one in settings for values in product(*one.values())]
            for target, some, seed in product(targets, chosen, self.seeds):
                yield {**self.common, **clip, **method, **target, "settings": some, "seed": seed}


def read(path: Path, most: int = MOST) -> tuple[list[Fields], Path | None]:
    """The jobs of a file, and its `out`.  BadInput where it is none, and where there are none or more than `most`."""
    told, base = loaded(path), path.resolve().parent
    several = told.pop("jobs", [{}])
    out = text(told.pop("out"), f"{path.name}: out") if "out" in told else None
    if not isinstance(several, list) or not several or not all(isinstance(one, dict) for one in several):
        raise BadInput(f"{path.name}: jobs is a list of mappings, each with what it has of its own")
    where = lambda i: path.name if several == [{}] else f"{path.name}, job {i + 1}"
    blocks = [block(told | one, base, where(i)) for i, one in enumerate(several)]
    if (many := sum(one.many for one in blocks)) > most:
        raise BadInput(f"{path.name} has {many:,} jobs, and at most {most:,} are meant; say --most {many} where they are")
    jobs = [Fields(fields, base, one.where) for one in blocks for fields in one.fields()]
    return jobs, place(base, out) if out else None


def loaded(path: Path) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            raw = file.read(LARGEST + 1)
        told = yaml.load(raw, Loader) if len(raw) <= LARGEST else None
    except OSError as wrong:
        raise BadInput(f"{path} cannot be read: {wrong.strerror}; give a YAML file with clips and targets") from wrong
    except (yaml.YAMLError, ValueError, RecursionError) as wrong:
        raise BadInput(f"{path.name} is no YAML that can be read: {' '.join(str(wrong).split())}") from wrong
    if not isinstance(told, dict):
        raise BadInput(f"{path.name} is no mapping of at most 1 MB; it has keys such as clips and targets")
    return told


def block(told: Mapping[str, Any], base: Path, where: str) -> Block:
    known(told, {*AXES, *COMMON}, where)
    clips = [found for one in entries(told, "clips", where) for found in located(one, base, where)]
    own = [one for one in clips if "targets" not in one]
    targets = entries(told, "targets", where) if own or "targets" in told else []
    methods = entries({"methods": "newtake"} | dict(told), "methods", where)
    common = {name: value for name, value in told.items() if name in COMMON}
    return Block(where, common, clips, targets, methods, settings(told.get("settings", {}), where),
                 [whole(seed, f"{where}: a seed") for seed in listed(told.get("seeds", 0), "seeds", where)])


def entries(told: Mapping[str, Any], axis: str, where: str) -> list[Entry]:
    """What an axis has, each as fields of a job."""
    if axis not in told:
        raise BadInput(f"{where}: {axis} is missing; say {axis}: [...]")
    return [entry(one, axis, where) for one in listed(told[axis], axis, where)]


def entry(given: Any, axis: str, where: str) -> Entry:
    key, nested = AXES[axis], NESTED.get(axis, "")
    if not isinstance(given, dict):
        return {key: text(given, f"{where}: one of {axis}")}
    known(given, {key, *COMMON, nested} - {""}, f"{where}, {axis}")
    if key not in given:
        raise BadInput(f"{where}: one of {axis} has no {key}")
    more = {}
    if nested in given:
        more = {nested: entries(given, nested, where) if nested == "targets" else settings(given[nested], where)}
    return {**given, key: text(given[key], f"{where}: {key}"), **more}


def located(one: Entry, base: Path, where: str) -> list[Entry]:
    """The clips that a name or a pattern means."""
    path = place(base, one["clip"])
    if path.exists() or not any(letter in one["clip"] for letter in "*?"):
        return [one]
    if not (found := sorted(glob(str(path).replace("[", "[[]"), recursive=True))):
        raise BadInput(f"{where}: no clip is like {one['clip']}, so that nothing is left to do")
    return [{**one, "clip": each} for each in found]


def settings(given: Any, where: str) -> list[Mapping[str, list[Any]]]:
    several = listed(given, "settings", where)
    if not all(isinstance(one, dict) and all(isinstance(name, str) for name in one) for one in several):
        raise BadInput(f"{where}: settings is a mapping such as {{steps: [10, 20]}}, or a list of such")
    return [{name: listed(value, f"settings, {name},", where) for name, value in one.items()} for one in several]


def listed(given: Any, what: str, where: str) -> list[Any]:
    """A list, also of one that is not in a list."""
    if given == []:
        raise BadInput(f"{where}: {what} is empty, so that nothing is left to do")
    return given if isinstance(given, list) else [given]


def known(told: Mapping[Any, Any], names: set[str], where: str) -> None:
    if unknown := [name for name in told if name not in names]:
        raise BadInput(f"{where}: unknown key {unknown[0]!r}; known are {', '.join(sorted(names))}")
