"""A former run, read back from run.json or from the edit itself, which may be a stranger's: data, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .errors import BadInput
from .invitation import Invitation
from .record import BITS, FORMAT, Background, Job, hash_of

OF_JOB: dict[str, Any] = {
    "clip": str, "source": str, "targets": list, "method": str, "settings": dict, "words": list, "spared": list,
    "mask": str | None, "weights": dict, "shares": dict, "model": str, "adapters": list, "guests": list,
    "norms": str | None, "frames": int | None, "start": int, "stride": int, "size": list | None, "seed": int,
    "device": str | None, "dtype": str | None, "threads": int | None, "windows": list | None, "cuts": str, "whole": bool,
    "lossless": bool, "background": dict, "light": list,
}
OF_BACKGROUND: dict[str, Any] = {"keep": bool, "box": list | None, "feather": int | None, "full_size": bool}
NEEDED: dict[str, dict[str, Any]] = {
    "job": OF_JOB, "clip": {"sha256": str}, "model": {"sha256": str, "device": str, "dtype": str}, "machine": {"threads": int},
}


def embedded(told: Mapping[str, Any]) -> str:
    """What of a record a container carries: all that `rerun` needs, and nothing that another run would have otherwise."""
    return json.dumps({name: told[name] for name in BITS}, ensure_ascii=False)


def recorded(path: Path, beside: Path | None = None) -> Any:
    """What is told of an edit in its file, or beside it; None where nothing is.  It may be a stranger's."""
    from .video import Video

    beside = beside or path.with_suffix(".json")
    try:
        told = json.loads(beside.read_text("utf-8")) if beside.is_file() else None
        if told is None or path.name not in [one["file"] for one in told["edits"]]:
            told = json.loads(Video.read(path, 1).comment)
        return told if {*told} >= {*BITS} else None
    except (BadInput, OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def former(run: Path) -> tuple[Path, dict[str, Any]]:
    """The folder and the record of a run, from the folder, or from a file that was edited.  BadInput where there is none."""
    inside = run if run.is_dir() else run.parent
    carried = run.name != "run.json" and not (run / "run.json").exists() and recorded(run)
    folder = (run.parent if carried else inside).resolve()
    try:
        told = carried or json.loads((inside / "run.json").read_text(encoding="utf-8"))
        known = told["format"] == FORMAT and set(told["job"]) == set(OF_JOB)
        known &= all(isinstance(told[part][name], kind) for part, kinds in NEEDED.items() for name, kind in kinds.items())
        job = told["job"]
        known &= set(job["background"]) == set(OF_BACKGROUND)
        known &= all(isinstance(job["background"][name], kind) for name, kind in OF_BACKGROUND.items())
        known &= all(isinstance(side, int | float) for side in job["background"]["box"] or ())
        known &= isinstance(told["mask"], str | None) and (told["mask"] is None) == (job["mask"] is None)
        known &= all(isinstance(one["sha256"], str) for one in told["edits"]) and len(told["edits"]) == len(job["targets"])
        known &= all(isinstance(word, str) for name in ("targets", "words", "spared", "light") for word in job[name])
        known &= all(isinstance(n, int | float) for name in ("weights", "shares") for n in job[name].values())
        known &= all(isinstance(one["where"], str) and isinstance(one["weight"], int | float) for one in job["adapters"])
        known &= all(isinstance(one, str) for one in told["adapters"]) and len(told["adapters"]) == len(job["adapters"])
        known &= all(isinstance(one[name], str) for one in job["guests"] for name in ("where", "pictures"))
        known = known and len([Invitation(**one) for one in job["guests"]]) == len(told["guests"])
        known &= all(isinstance(one[name], str | None) for one in told["guests"] for name in ("network", "pictures"))
        known &= 1 <= told["machine"]["threads"] <= 4096
        known &= all([type(one) for one in told["job"][name] or (1, 1)] == [int, int] for name in ("size", "windows"))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        known = False
    if not known:
        raise BadInput(f"{run} is no run folder, nor an edit that says how it was made, of this version of newtake")
    return folder, told


def job_of(told: dict[str, Any], folder: Path, clip: str | None, mask: str | None = None, adapters: Sequence[str] = (),
           guests: Sequence[str] = (), **instead: str | None) -> Job:
    """The job of a record, on the same device and in the same numbers unless said otherwise; files are found by their hash.

    BadInput where one is not found or is another.
    """
    job = told["job"]
    files: dict[str, Any] = {"clip": located("clip", job["clip"], told["clip"]["sha256"], folder, clip and [clip])}
    files |= {"mask": located("mask", job["mask"], told["mask"], folder, mask and [mask])} if job["mask"] else {}
    adapter = lambda name, wanted: located("adapter", name, wanted, folder, besides(adapters, name, folder))
    files |= {"adapters": {adapter(one["where"], wanted): one["weight"]
                           for one, wanted in zip(job["adapters"], told["adapters"], strict=True)}}
    files |= {"guests": tuple(guest_of(Invitation(**one), hashes, folder, guests)
                              for one, hashes in zip(job["guests"], told["guests"], strict=True))}
    same = {"device": told["model"]["device"], "dtype": told["model"]["dtype"], "threads": told["machine"]["threads"]}
    here = {name: tuple(job[name]) for name in ("targets", "words", "spared", "light")}
    here |= {name: tuple(job[name]) if job[name] else None for name in ("size", "windows")}
    kept = job["background"]
    here |= {"background": Background(**kept | {"box": kept["box"] and tuple(kept["box"])})}
    return Job(**job | same | here | files | {name: value for name, value in instead.items() if value is not None})


def guest_of(one: Invitation, hashes: Mapping[str, str | None], folder: Path, given: Sequence[str]) -> Invitation:
    """The guest with its files found: those given are folders of networks and clips of control pictures alike."""
    def found(name: str, wanted: str | None) -> str:
        return name if wanted is None else located("guest", name, wanted, folder, besides(given, name, folder))
    return one.with_files(found(one.where, hashes["network"]), one.file and found(one.file, hashes["pictures"]))


def beside(name: str, folder: Path) -> list[Path]:
    """Where a file of this name may be: here, in the run folder or beside it."""
    return [place / Path(name).name for place in (Path(), folder, folder.parent)]


def besides(given: Sequence[str], name: str, folder: Path) -> Sequence[str | Path]:
    """Where one of several may be: each of those given is only one of them."""
    return [*given, *beside(name, folder)] if given else ()


def located(what: str, name: str, wanted: str, folder: Path, given: Sequence[str | Path] | None) -> str:
    """The file or folder of this name and hash: one of those given, or here, in the run folder or beside it."""
    places = [Path(one) for one in given] if given else beside(name, folder)
    found = [place for place in places if place.exists() and hash_of(place) == wanted]
    if not found:
        said = f"{given[0]} is not the {what} of that run" if given else f"the {what} {name} is not beside {folder.name}"
        raise BadInput(f"{said} (sha256 {wanted[:12]}...); say where it is: --{what}")
    return str(found[0])
