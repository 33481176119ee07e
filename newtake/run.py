"""From a job to a run folder: what the command line, and everything else with a face, calls."""

from __future__ import annotations

import json
import os
import platform
import resource
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from functools import partial
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import BadInput, Note

if TYPE_CHECKING:
    from torch import Tensor

    from .methods.method import Method
    from .models.model import Model
    from .video import Video

FORMAT = 1                                              # of run.json
UNLIKE = 20.0                                           # dB of the round trip below which a clip is unlike the world


@dataclass(frozen=True)
class Job:
    """All that decides the bits of an edit.  Plain data: run.json holds it, `rerun` reads it."""

    clip: str
    source: str                                         # what the clip shows
    target: str                                         # what it should become
    method: str = "fatezero"
    settings: Mapping[str, Any] = field(default_factory=dict)   # of the method, by name; the rest are its defaults
    words: tuple[str, ...] = ()                         # what changes, in either prompt; (): the words that differ
    weights: Mapping[str, float] = field(default_factory=dict)  # by how much the attention to a word is multiplied
    shares: Mapping[str, float] = field(default_factory=dict)   # share of the steps a word takes its map from the source
    model: str = "tiny"
    frames: int | None = None                           # None: all that there are
    start: int = 0
    stride: int = 1
    size: tuple[int, int] | None = None                 # width, height; None: the network's own area, the clip's aspect
    seed: int = 0
    device: str | None = None                           # None: the best there is
    dtype: str | None = None                            # None: what the device is best at
    threads: int | None = None                          # of the processor; None: as torch finds them


@dataclass(frozen=True)
class Edit:
    """What an edit leaves."""

    video: Video
    source: Video                                       # the clip as the network was given it
    evaluations: int                                    # row-passes of the denoiser
    seconds: dict[str, float]                           # by part of the work


def edit(video: Video, source: str, target: str, method: Method | str = "fatezero", model: Model | str = "tiny",
         seed: int = 0, words: Sequence[str] = (), weights: Mapping[str, float] | None = None,
         shares: Mapping[str, float] | None = None) -> Video:
    """The clip as the target says, with its timing, and its sound where it covers the clip.

    `video` has the size it is edited in (`fitted`).  The rest as in `Job`.  Raises BadInput for what cannot be done.
    """
    from .methods import configured
    from .models.load import load

    model = load(model) if isinstance(model, str) else model
    method = configured(method) if isinstance(method, str) else method
    return edited(video, source, target, method, model, seed, words, weights, shares).video


def edited(video: Video, source: str, target: str, method: Method, model: Model, seed: int = 0, words: Sequence[str] = (),
           weights: Mapping[str, float] | None = None, shares: Mapping[str, float] | None = None) -> Edit:
    """`edit`, with what it cost."""
    import torch

    from .methods.method import request
    from .models.counted import Counted
    from .video import Video

    if not source.strip():
        raise BadInput("the source prompt is empty; say what the clip shows")
    counted, seconds = Counted(model), {}
    with torch.no_grad():
        ask = request(model, source, target, words=words, weights=weights, shares=shares, seed=seed)
        with timed(seconds, "encoding"):
            z0 = model.encode(video[:])
        with timed(seconds, "inverting"):
            path = method.invert(counted, z0, ask)
        with timed(seconds, "editing"):
            z = method(counted, path, ask)
        with timed(seconds, "decoding"):
            frames = model.decode(z[0]).cpu()
    return Edit(Video.of(frames, like=video), video, counted.evaluations, seconds)


@contextmanager
def timed(seconds: dict[str, float], what: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    seconds[what] = round(time.monotonic() - start, 2)


def fitted(size: tuple[int, int], model: Model) -> tuple[int, int]:
    """Width and height in the network's native area: the clip's aspect, in units of the network's coarsest level."""
    w, h = size
    scale = model.native / (w * h) ** 0.5
    return max(1, round(w * scale / model.unit)) * model.unit, max(1, round(h * scale / model.unit)) * model.unit


def run(job: Job, out: Path) -> dict[str, Any]:
    """The job's run folder at `out`: source, edit and both side by side, a sheet, and run.json, which is returned.

    The folder appears whole or not at all.  A former run folder is replaced.  BadInput, before anything heavy is done, where
    the job cannot be done or `out` is something else.
    """
    import torch

    from .methods import configured
    from .models.load import load
    from .video import Video

    method = configured(job.method, **job.settings)
    if out.exists() and not (out / "run.json").is_file() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput(f"{out} is there already and is no run folder; give another --out")
    read = partial(Video.read, job.clip, job.frames, job.start, job.stride)
    clip = read(job.size)
    with made_aside(out) as folder, warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", Note)
        if job.threads is not None:
            torch.set_num_threads(job.threads)
        model = load(job.model, job.device, job.dtype)
        if job.size is None:
            clip = read(fitted(clip.size, model))
        done = edited(clip, job.source, job.target, method, model, job.seed, job.words, job.weights, job.shares)
        notes = [*clip.notes, *(str(w.message) for w in said if issubclass(w.category, Note))]
        notes += stranger_to_the_world(job, model, clip) if job.model == "tiny" else []
        notes += files(done, folder)
        record = recorded(job, done, method, model, notes)
        (folder / "run.json").write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    return record


def stranger_to_the_world(job: Job, model: Model, clip: Video) -> list[str]:
    """What the built-in checkpoint does not know of a job, in words."""
    from .metrics.pixels import psnr
    from .world.grammar import SPOKEN, unknown

    knows = "; ".join(f"{name}s {', '.join(values)}" for name, values in SPOKEN.items())
    notes = []
    if strange := dict.fromkeys(unknown(f"{job.source} {job.target}")):
        notes.append(f"the built-in checkpoint does not know {', '.join(strange)}; it knows {knows}; give another --model")
    first = clip[:1]
    if psnr(model.decode(model.encode(first)[0]).cpu(), first) < UNLIKE:
        notes.append("the clip is unlike the world that the built-in checkpoint was trained on; give another --model")
    return notes


def files(done: Edit, folder: Path) -> list[str]:
    """The pictures and clips of a run folder; what there is to say of them."""
    from .video import compare, sheet

    ending = ending_of(done.video)
    done.source.write(folder / f"source{ending}")
    notes = done.video.write(folder / f"edit{ending}")
    compare(done.source, done.video, folder / f"compare{ending}")
    sheet([done.source, done.video], folder / "sheet.png")
    return list(notes)


def ending_of(video: Video) -> str:
    return ".png" if len(video) == 1 else ".mp4"


def recorded(job: Job, done: Edit, method: Method, model: Model, notes: list[str]) -> dict[str, Any]:
    """run.json: all that decides the bits, and what it cost.  Names and hashes, no paths of this machine."""
    import torch

    from .methods.method import values
    from .metrics.pixels import psnr

    frames = done.video[:]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "format": FORMAT,
        "job": asdict(job) | {"clip": Path(job.clip).name, "settings": values(method), "model": said_as(job.model)},
        "clip": {"sha256": hash_of(Path(job.clip)), "frames": len(done.source), "size": list(done.source.size)},
        "model": {"sha256": model.hash, "device": str(model.device), "dtype": str(model.dtype).removeprefix("torch.")},
        "edit": {"file": f"edit{ending_of(done.video)}", "sha256": sha256(eight_bit(frames).tobytes()).hexdigest()},
        "versions": versions(),
        "machine": {"kind": platform.machine(), "threads": torch.get_num_threads()},
        "seconds": done.seconds,
        "evaluations": done.evaluations,
        "peak_memory_mb": peak // (1024 if sys.platform == "linux" else 1024**2),
        "scores": {"psnr_to_source": round(psnr(frames, done.source[:]), 2)},
        "notes": notes,
    }


def said_as(model: str) -> str:
    """A model's name: of a path its last part."""
    return Path(model).name if Path(model).exists() else model


def eight_bit(frames: Tensor) -> Any:
    """Frames (f 3 h w) in [-1, 1] as uint8, as they are written."""
    return ((frames.clamp(-1, 1) + 1) * 127.5).round().byte().cpu().numpy()


def versions() -> dict[str, str]:
    from importlib.metadata import version

    ours = ("newtake", "torch", "diffusers", "transformers", "av")
    return {"python": platform.python_version()} | {package: version(package) for package in ours}


def hash_of(path: Path) -> str:
    """sha256 of a file, or of a folder's files in order of their names."""
    digest = sha256()
    for file in sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]:
        with open(file, "rb") as stream:
            while part := stream.read(1 << 20):
                digest.update(part)
    return digest.hexdigest()


def former(folder: Path) -> dict[str, Any]:
    """The record of a run folder.  BadInput where it is none."""
    try:
        record = json.loads((folder / "run.json").read_text())
        known = record["format"] == FORMAT and {f.name for f in fields(Job)} >= set(record["job"])
    except (OSError, ValueError, KeyError, TypeError):
        known = False
    if not known:
        raise BadInput(f"{folder} is no run folder: it has no run.json that this version of newtake wrote")
    return record


def job_of(record: dict[str, Any], folder: Path, clip: str | None, model: str | None) -> Job:
    """The job of a record, on the same device and in the same numbers, its clip looked for by its hash.

    BadInput where the clip is not found or is another.
    """
    job, wanted = record["job"], record["clip"]["sha256"]
    places = [Path(clip)] if clip else [place / Path(job["clip"]).name for place in (Path(), folder, folder.parent)]
    found = [place for place in places if place.exists() and hash_of(place) == wanted]
    if not found:
        what = f"{clip} is not the clip of that run" if clip else f"the clip {job['clip']} is not beside {folder}"
        raise BadInput(f"{what} (sha256 {wanted[:12]}...); say where it is: --clip")
    size = tuple(job["size"]) if job["size"] else None
    same = {"device": record["model"]["device"], "dtype": record["model"]["dtype"], "threads": record["machine"]["threads"]}
    here = {"clip": str(found[0]), "size": size, "words": tuple(job["words"]), "model": model or job["model"]}
    return Job(**job | same | here)


def new_folder(job: Job) -> Path:
    """A run folder's path that is not taken, named after the clip and the method."""
    name = f"{Path(job.clip).stem or 'clip'}-{job.method}"
    return next(path for n in count(1) if not (path := Path("runs") / f"{name}-{n}").exists())


@contextmanager
def made_aside(out: Path) -> Iterator[Path]:
    """A folder to fill, beside `out`, that takes its place at the end; gone after an exception."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as e:
        raise BadInput(f"cannot write to {out.parent}: {e.strerror or e}; give another --out") from None
    try:
        aside.chmod(0o755)
        yield aside
        if out.exists():
            former = aside.with_name(aside.name + ".former")
            os.replace(out, former)
            shutil.rmtree(former)
        os.replace(aside, out)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
