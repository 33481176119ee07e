"""Runs of a sweep: a folder each, whose name holds the hash of all that decides it; what is there is not made again."""

from __future__ import annotations

import json
import re
import shutil
import socket
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import portalocker

from ..aside import aside, free
from ..engines import Engine, Event, Task
from ..errors import BadInput, Note
from ..ready import Way, network
from ..record import Job, hash_of, said_as
from ..run import run

FORMAT = 1                                              # of hashes: others are not found
LOCK, LIST = ".sweep.lock", "sweep.json"                # in the folder of a sweep
EDITING: dict[str, Any] = dict(targets=(), method="", settings={}, seed=0, words=(), spared=(), weights={}, shares={},
                               mask=None, lossless=False)


@dataclass(frozen=True)
class Run:
    name: str                                           # of its folder
    job: Job
    group: str                                          # of those that share a clip and a network, and may share an inversion


def runs_of(jobs: Sequence[Job], device: str) -> list[Run]:
    """device: its kind, of jobs that do not say.  Ordered so that networks, then clips, then methods stand together.

    BadInput where two are the same.
    """
    runs: dict[str, Run] = {}
    hashed = cache(contents)
    for job in jobs:
        job = replace(job, device=job.device or device)
        stem = re.sub(r"[^\w.-]+", "-", Path(job.clip).stem)[:40].lstrip(".-") or "clip"
        name = f"{stem}-{job.method}-{digest(job, hashed)}"
        if name in runs:
            raise BadInput(f"two jobs are the same, and have the same out, {name}: {Path(job.clip).name}, "
                           f"{job.targets[0]!r}, {job.method}, seed {job.seed}; leave one of them out")
        runs[name] = Run(name, job, repr(replace(job, **EDITING)))
    first: dict[Any, int] = {}
    order = {name: [first.setdefault(key, len(first)) for key in (loaded_from(one.job), one.group, (one.group, one.job.method))]
             for name, one in runs.items()}
    return sorted(runs.values(), key=lambda one: order[one.name])


def digest(job: Job, hashed: Callable[[Path], str | None]) -> str:
    """Of the job's fields, by the names of files, and of what is in them; not of where they lie."""
    from ..models.load import located

    files = {"clip": Path(job.clip).name, "mask": job.mask and Path(job.mask).name, "model": said_as(job.model),
             "adapters": [[said_as(name), weight] for name, weight in job.adapters.items()],
             "guests": [asdict(one.with_files(said_as(one.where), one.file and said_as(one.file))) for one in job.guests]}
    there = [Path(job.clip), located(job.model, False), *([Path(job.mask)] if job.mask else []),
             *(Path(name).expanduser() for name in job.adapters),
             *(Path(name).expanduser() for one in job.guests for name in (one.where, one.file) if name)]
    told = {**asdict(job), **files, "contents": [hashed(path) for path in there], "format": FORMAT}
    return sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]


def contents(path: Path) -> str | None:
    """sha256 of a file, or of all that is in a folder; None where nothing is: it is known by its name."""
    if not path.is_dir():
        return hash_of(path) if path.exists() else None
    files = sorted(one for one in path.rglob("*") if one.is_file())
    return sha256("".join(f"{one.relative_to(path)} {hash_of(one)} " for one in files).encode()).hexdigest()


def loaded_from(job: Job) -> tuple[Any, ...]:
    """What decides its network, without guests."""
    return job.model, job.device, job.dtype, job.norms, tuple(job.adapters.items()), job.light


def finished(folder: Path) -> dict[str, Any] | None:
    """What is told of a run that is there.  A folder appears whole or not at all."""
    try:
        told = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        return told if all((folder / one["file"]).is_file() for one in told["edits"]) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


@contextmanager
def held(out: Path) -> Iterator[None]:
    """The folder of a sweep, for one sweep at a time.  What killed ones left half-made is taken away."""
    free(out, lambda name: True)
    if (out / LIST).exists() and recorded(out) is None:
        raise BadInput(f"{out / LIST} is there already, and is not of newtake sweep; name another --out")
    out.mkdir(parents=True, exist_ok=True)
    with open(out / LOCK, "a") as lock:
        try:
            portalocker.lock(lock, portalocker.LOCK_EX | portalocker.LOCK_NB)
        except portalocker.AlreadyLocked:
            raise BadInput(f"another newtake sweep works in {out}; wait for it, or name another --out") from None
        except portalocker.LockException:
            warnings.warn(f"{out} is on a drive that cannot lock: see that one sweep at a time works there", Note, stacklevel=3)
        for left in (*out.glob(".*.part"), *out.glob(".newtake-*")):
            shutil.rmtree(left, ignore_errors=True)
        yield


def carried_out(engine: Engine, runs: Sequence[Run], out: Path, way: Way) -> Iterator[Event]:
    """Runs that are not there yet.  What an end has for a result, see `told_of`."""
    tasks = [Task(one.name, one.group, one) for one in runs]
    threads = max(one.job.threads or 1 for one in runs)
    return engine.carried_out(partial(worker, out.resolve(), way), tasks, kind_of(runs), threads)


def kind_of(runs: Sequence[Run]) -> str:
    """Of the device that a worker needs."""
    kinds = {one.job.device for one in runs}
    return next((kind for kind in ("cuda", "mps") if kind in kinds), "cpu")


def worker(out: Path, way: Way) -> Callable[[Run], dict[str, Any]]:
    """Who carries out runs, and keeps the network of the last one."""
    kept: dict[Any, Any] = {}

    def work(given: Run) -> dict[str, Any]:
        folder, key = out / given.name, loaded_from(given.job)
        if not (out / LOCK).is_file():
            raise BadInput(f"{socket.gethostname()} does not see {out}: a sweep's folder lies where all workers see it")
        if told := finished(folder):                    # whoever made it died before it could say so
            return told_of(told)
        for left in out.glob(f".{given.name}.*"):
            shutil.rmtree(left, ignore_errors=True)
        if key not in kept:
            kept.clear()
            kept[key] = network(given.job, way)
        return told_of(run(given.job, folder, replace(way, network=kept[key])))
    return work


def told_of(told: dict[str, Any]) -> dict[str, Any]:
    return {"sha256": [one["sha256"] for one in told["edits"]], "evaluations": told["evaluations"], "notes": told["notes"],
            "inverted": told["inversion"]["made_now"], "edit_seconds": round(sum(told["seconds"].values()), 2)}


def recorded(out: Path) -> dict[str, Any] | None:
    try:
        told = json.loads((out / LIST).read_text(encoding="utf-8"))
        return told if isinstance(told["sweep"], dict) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def kept(out: Path, told: dict[str, Any]) -> None:
    """sweep.json: what became of every job, the last time that the sweep was run."""
    with aside(out / LIST) as part:
        part.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
