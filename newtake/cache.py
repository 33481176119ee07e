"""Inversions that are kept: each under a name made of all that decides its bits, so that it is made once.

Entries are safe under several processes (a lock an entry, which the system lets go of when a process dies) and under kill -9:
an inversion goes on from the last step that was kept whole.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, NamedTuple

import portalocker
import torch

from .errors import BadInput, Note
from .inversion.trajectory import MANIFEST, Trajectory
from .shelf import Shelf, keeping, shelf

FORMAT = 1                                              # of entries: others are not found
LIMIT = 20 << 30                                        # bytes, where nobody said otherwise
ABOUT, SAID = "about.json", "limit"                     # in an entry, in the cache
NAME = re.compile("[0-9a-f]{32}")                       # of an entry: what else lies in the folder is not ours
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


class Kept(NamedTuple):
    path: Trajectory
    evaluations: int                                    # row-passes that it took, with those who were cut short
    seconds: float
    now: int                                            # evaluations of them that were made now
    fresh: bool                                         # made now, or its end


Make = Callable[[], Trajectory]
Count = Callable[[], int]                               # evaluations so far


class Paths(ABC):
    """Where inversions are."""

    @abstractmethod
    def path(self, key: Mapping[str, Any], make: Make, count: Count, device: str) -> Any:
        """A context with the one of this key (`Kept`): as it was made once, or made now."""


@dataclass(frozen=True)
class Memory(Paths):
    """Inversions as long as this lives."""

    kept: dict[str, Kept] = field(default_factory=dict)

    @contextmanager
    def path(self, key, make, count, device):
        name = named(key)
        if name in self.kept:
            yield self.kept[name]._replace(now=0, fresh=False)
            return
        self.kept[name] = made(make, count)
        yield self.kept[name]


@dataclass(frozen=True)
class Cache(Paths):
    """Inversions in a folder."""

    folder: Path

    @contextmanager
    def path(self, key, make, count, device):
        name, now, fresh = named(key), 0, False
        entry = self.folder / name
        with self._file(name) as lock:
            waited = held(lock, portalocker.LOCK_SH)
            while not whole(entry):
                waited |= held(lock, portalocker.LOCK_EX)
                if not whole(entry):
                    now, fresh = self._fill(entry, key, make, count, device), True
                held(lock, portalocker.LOCK_SH)
            if waited and not fresh:
                warnings.warn("another newtake was inverting this clip; this one waited for it", Note, stacklevel=3)
            os.utime(entry / ABOUT)                     # used now
            about = json.loads((entry / ABOUT).read_text())
            if fresh:
                self.prune(self.limit)
            yield Kept(Trajectory.load(entry, device), about["evaluations"], about["seconds"], now, fresh)

    def _file(self, name: str) -> IO[str]:
        """What is locked: a file of its own, which stays when the entry goes."""
        with self._writing():
            self.folder.mkdir(parents=True, exist_ok=True)
            return open(self.folder / f"{name}.lock", "a")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as wrong:
            raise BadInput(f"cannot keep inversions in {self.folder}: {wrong.strerror}; make room, or name another --cache") \
                from wrong

    def _fill(self, entry: Path, key: Mapping[str, Any], make: Make, count: Count, device: str) -> int:
        """Gives the evaluations of now."""
        if (entry / MANIFEST).exists():
            shutil.rmtree(entry, ignore_errors=True)
        for torn in entry.glob(".*.part*"):
            torn.unlink()
        with keeping(Shelf(entry, device)):
            path, evaluations, seconds, now, _ = made(make, count)
        with self._writing():
            entry.mkdir(exist_ok=True)
            (entry / ABOUT).write_text(json.dumps({**key, "evaluations": evaluations, "seconds": seconds}))
            path.save(entry)
        return now

    # What there is, and room for more.

    @property
    def limit(self) -> int:
        """Bytes."""
        try:
            return int((self.folder / SAID).read_text())
        except (OSError, ValueError):                   # nobody said it, or what is there is none
            return LIMIT

    def set_limit(self, most: int) -> None:
        with self._writing():
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / SAID).write_text(str(most))

    def entries(self) -> list[dict[str, Any]]:
        """The last used first: name, bytes, when it was used (seconds since 1970), whether it is whole, and its key."""
        found = [told(entry) for entry in self.folder.glob("*/") if NAME.fullmatch(entry.name) and not entry.is_symlink()]
        return sorted(found, key=lambda one: -one["used"])

    def prune(self, most: int) -> list[dict[str, Any]]:
        """Takes away what was not used for longest until what is left takes at most so many bytes.  What is in use stays.

        Gives what was taken away.
        """
        left, gone = self.entries(), []
        size = sum(one["bytes"] for one in left)
        while size > most and left:
            one = left.pop()
            with self._file(one["name"]) as lock:
                try:
                    portalocker.lock(lock, portalocker.LOCK_EX | portalocker.LOCK_NB)
                except portalocker.LockException:
                    continue
                shutil.rmtree(self.folder / one["name"], ignore_errors=True)
            size -= one["bytes"]
            gone.append(one)
        return gone


def held(file: IO[str], kind: Any) -> bool:
    """Locks, and gives whether it had to wait for that.  The system lets go of a lock with the process."""
    try:
        portalocker.lock(file, kind | portalocker.LOCK_NB)
        return False
    except portalocker.AlreadyLocked:
        portalocker.lock(file, kind)
        return True
    except portalocker.LockException as wrong:
        raise BadInput(f"{file.name} cannot be locked, as some network drives cannot; name another --cache") from wrong


def made(make: Make, count: Count) -> Kept:
    """What is told of it is kept with every step, so that it is of all who made a part of it."""
    kept, start = shelf(), time.monotonic()
    before = kept.one("spent", 0, "spent") if kept.has("spent", 0) else torch.zeros(2, dtype=torch.float64)
    now = lambda: torch.tensor([count(), time.monotonic() - start], dtype=torch.float64)
    kept.before.append(lambda: kept.put("spent", 0, {"spent": before + now()}))
    path = make()
    evaluations, seconds = (before + now()).tolist()
    return Kept(path, int(evaluations), round(seconds, 2), count(), fresh=True)


def whole(entry: Path) -> bool:
    if not (entry / MANIFEST).exists():
        return False
    try:
        Trajectory.load(entry)
        about = json.loads((entry / ABOUT).read_text())
        if all(isinstance(about[name], int | float) for name in ("evaluations", "seconds")):
            return True
    except (BadInput, OSError, ValueError, KeyError, TypeError):
        pass
    return False                                        # somebody else's, or damaged: made anew


def told(entry: Path) -> dict[str, Any]:
    files = []
    with suppress(OSError):                             # another process moves files into place, or takes the entry away
        for file in entry.iterdir():
            with suppress(OSError):
                files.append(file.stat())
    about: Any = None
    with suppress(OSError, ValueError):
        about = json.loads((entry / ABOUT).read_text())
    about = about if isinstance(about, dict) else {}
    used = max((file.st_mtime for file in files), default=0.0)
    return {**about, "name": entry.name, "bytes": sum(file.st_size for file in files), "used": used,
            "whole": (entry / MANIFEST).exists()}


def named(key: Mapping[str, Any]) -> str:
    return sha256(json.dumps({**key, "format": FORMAT}, sort_keys=True).encode()).hexdigest()[:32]


def usual() -> Path:
    """The user's cache: NEWTAKE_CACHE, or a folder of the system's."""
    if said := os.environ.get("NEWTAKE_CACHE"):
        return Path(said).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "newtake" / "inversions"


def size(said: str, option: str) -> int:
    """Bytes, of what people type: 8G, 500M."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMGT]?)(?:i?B)?", said.strip(), re.IGNORECASE)
    if not found:
        raise BadInput(f"{option} takes a size such as 8G or 500M, not {said!r}")
    return int(float(found[1]) * UNITS[found[2].upper()])


def spoken(many: int) -> str:
    """Bytes as people read them."""
    for unit in ("T", "G", "M", "K"):
        if many >= UNITS[unit]:
            return f"{many / UNITS[unit]:.1f} {unit}B"
    return f"{many} B"
