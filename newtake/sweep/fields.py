"""What a file says of a job, by the words of the command line, and how it is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import BadInput
from ..invitation import spelled as guest
from ..record import Background, Job


def text(given: Any, what: str) -> str:
    return given.strip() if isinstance(given, str) and given.strip() else no(what, "text", given)


def whole(given: Any, what: str) -> int:
    return given if type(given) is int else no(what, "a whole number", given)


def from_zero(given: Any, what: str) -> int:
    return given if type(given) is int and given >= 0 else no(what, "a whole number, at least 0", given)


def above_zero(given: Any, what: str) -> int:
    return given if type(given) is int and given > 0 else no(what, "a whole number above 0", given)


def number(given: Any, what: str) -> float:
    return float(given) if type(given) in (int, float) and isfinite(given) else no(what, "a number", given)


def truth(given: Any, what: str) -> bool:
    return given if type(given) is bool else no(what, "true or false", given)


def texts(given: Any, what: str) -> tuple[str, ...]:
    return tuple(text(one, what) for one in (given if isinstance(given, list) else [given]))


def numbers(given: Any, what: str) -> dict[str, float]:
    if not isinstance(given, dict):
        return no(what, "a mapping such as {blue: 2}", given)
    return {text(name, what): number(value, what) for name, value in given.items()}


def weighted(given: Any, what: str) -> dict[str, float]:
    """Names alone have weight 1."""
    return numbers(given, what) if isinstance(given, dict) else dict.fromkeys(texts(given, what), 1.0)


def size(given: Any, what: str) -> tuple[int, int]:
    found = re.fullmatch(r"([1-9]\d{0,4})[xX]([1-9]\d{0,4})", str(given))
    return (int(found[1]), int(found[2])) if found else no(what, "WIDTHxHEIGHT in pixels, such as 512x320", given)


def box(given: Any, what: str) -> tuple[float, ...]:
    if not isinstance(given, list) or len(given) != 4:
        return no(what, "a list of x, y, width, height", given)
    return tuple(one if type(one) is int else number(one, what) for one in given)


def one_of(*names: str) -> Callable[[Any, str], str]:
    return lambda given, what: given if given in names else no(what, f"{', '.join(names[:-1])} or {names[-1]}", given)


def no(what: str, wanted: str, given: Any) -> Any:
    raise BadInput(f"{what} is {wanted}, not {given!r:.80}")


def place(base: Path, name: str) -> Path:
    """Of a file, or of one to be, from a folder on.  BadInput where the name can be none."""
    try:
        path = base / Path(name).expanduser()
        path.exists()
    except (OSError, RuntimeError) as wrong:            # the name is too long, or of nobody's home
        said = getattr(wrong, "strerror", None) or wrong
        raise BadInput(f"{name!r:.80} is no path: {said}; name a file or a folder") from wrong
    if "\0" in name:
        raise BadInput(f"{name!r:.80} is no path: it has a zero in it; name a file or a folder")
    return path


# What a job has beside its clip, target, method, settings and seed: of all, or of an entry alone.
COMMON: dict[str, Callable[[Any, str], Any]] = {
    "source": text, "model": text, "adapters": weighted, "guests": texts, "norms": one_of("frame", "clip"),
    "frames": above_zero, "start": from_zero, "stride": above_zero, "size": size, "device": one_of("cpu", "cuda", "mps"),
    "dtype": one_of("fp32", "bf16", "fp16"), "threads": above_zero, "window": above_zero, "words": texts, "spared": texts,
    "mask": text, "weights": numbers, "shares": numbers, "cuts": one_of("edit", "refuse", "ignore"), "whole": truth,
    "lossless": truth, "keep_background": truth, "box": box, "feather": from_zero, "full_size": truth, "light": texts,
}
BACKGROUND = {"keep_background": "keep", "box": "box", "feather": "feather", "full_size": "full_size"}
FIXED = {"dtype": "fp32", "threads": 1, "window": 16}   # nothing that decides bits is left to the machine that computes them


class Fields(NamedTuple):
    """Of one job, as the file has them."""

    told: Mapping[str, Any]
    base: Path                                          # the file's folder, where paths start
    where: str                                          # for people

    def job(self) -> Job:
        """Raises BadInput, of anything but the method's settings and what is in files."""
        told = FIXED | {name: value for name, value in self.told.items() if value is not None}
        read = {name: COMMON[name](told[name], f"{self.where}: {name}") for name in COMMON if name in told}
        background = {field: read.pop(name) for name, field in BACKGROUND.items() if name in read}
        read |= {"windows": (read.pop("window"),) * 2, "background": Background(**background)}
        if "mask" in read:
            read["mask"] = str(place(self.base, read["mask"]))
        read["adapters"] = {self.found(name): weight for name, weight in read.get("adapters", {}).items()}
        read["guests"] = tuple(map(self.guest, read.get("guests", ())))
        read["model"] = self.found(read.get("model", "tiny"))
        return Job(str(place(self.base, told["clip"])), read.pop("source", None), (told["target"],),
                   told["method"], told["settings"], seed=told["seed"], **read)

    def guest(self, said: str) -> Any:
        one = guest(said)
        return one.with_files(self.found(one.where), one.file and self.found(one.file))

    def found(self, name: str) -> str:
        """A path from the file's folder on, where there is one; else the name as it stands, of a hub or built in."""
        path = place(self.base, name)
        return str(path) if name != "tiny" and path.exists() else name
