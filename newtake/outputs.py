"""What a run leaves: a run folder, or one file a target.  Each is made aside, and is there whole or not at all."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

from .aside import aside, free
from .errors import BadInput
from .former import embedded, recorded
from .record import Edit, Job

FILES = re.compile(r"(source|edit(-\d+)?|compare)\.(mp4|png)|sheet\.png|run\.json")
CARRYING = (".mp4", ".mov", ".mkv")                     # files that hold what is told of them
STILLS = (".png", ".jpg", ".jpeg")
ENDINGS = (*CARRYING, ".gif", ".webp", *STILLS)         # of one file instead of a run folder
LOSSY = (".gif", ".jpg", ".jpeg")


def one_file(out: Path) -> bool:
    """Whether a result's name is that of a file, not of a run folder."""
    return out.suffix.lower() in ENDINGS


def free_for(out: Path, job: Job) -> None:
    """BadInput where results at `out` would replace what newtake did not make, or the clip, or cannot be written so."""
    clip, ending = Path(job.clip), out.suffix.lower()
    if not one_file(out):
        return free_of(out, clip)
    if job.lossless and ending in LOSSY:
        raise BadInput(f"{ending} is never lossless: use .mkv, .mp4, .webp, .png, or a run folder")
    for file in files(out, len(job.targets)):
        free_file(file, clip)
    beside = out.with_suffix(".json")
    if ending not in CARRYING and beside.exists() and not recorded(out):
        raise BadInput(f"{beside.name} is there already, and is not of newtake; give another --out")


def fits(out: Path, frames: int) -> None:
    """BadInput where so many frames do not fit in a file of this ending."""
    if frames > 1 and out.suffix.lower() in STILLS:
        raise BadInput(f"{frames} frames do not fit in one {out.suffix}; use .mp4 or .webp, or a run folder")


def files(out: Path, many: int) -> list[Path]:
    """Of so many targets, where results are one file each."""
    return [out, *(out.with_stem(f"{out.stem}-{i}") for i in range(2, many + 1))]


def written(told: dict[str, Any], done: Edit, job: Job, out: Path) -> dict[str, Any]:
    """Writes the results, and gives what is told of them, which is written too."""
    return (written_file if one_file(out) else written_folder)(told, done, job, out)


def free_of(out: Path, clip: Path) -> None:
    """BadInput where a run folder at `out` would replace what is not one, or the clip."""
    free(out, lambda name: FILES.fullmatch(name) is not None)
    if clip.resolve().is_relative_to(out):
        raise BadInput(f"the clip lies in {out.name}, which would be replaced; give another --out")


def free_file(out: Path, clip: Path) -> None:
    """BadInput where an edit at `out` would replace what newtake did not make."""
    free(out.parent, lambda name: True)
    if out.exists() and (out.is_dir() or clip.resolve() == out or not recorded(out)):
        raise BadInput(f"{out.name} is there already, and is no edit of newtake; give another --out")


def written_folder(told: dict[str, Any], done: Edit, job: Job, out: Path) -> dict[str, Any]:
    """Makes the pictures and clips of a run folder, and run.json, which is given."""
    from .video import compare, sheet

    with aside(out) as folder:
        folder.mkdir()
        ending, said = Path(told["edits"][0]["file"]).suffix, []
        done.source.write(folder / f"source{ending}", job.lossless)
        for video, made in zip(done.videos, told["edits"], strict=True):
            said += video.write(folder / made["file"], job.lossless, embedded(told))
        compare(done.source, done.videos, folder / f"compare{ending}")
        sheet([done.source, *done.videos], folder / "sheet.png")
        return kept_record(told, said, folder / "run.json")


def written_file(told: dict[str, Any], done: Edit, job: Job, out: Path) -> dict[str, Any]:
    """Writes the edits alone; what is told of them is in each, or, where it holds no words, beside."""
    said = []
    for file, made in zip(files(out, len(told["edits"])), told["edits"], strict=True):
        made["file"] = file.name
    for video, made in zip(done.videos, told["edits"], strict=True):
        said += video.write(out.with_name(made["file"]), job.lossless, embedded(told))
    if out.suffix.lower() in CARRYING:
        return {**told, "notes": [*told["notes"], *dict.fromkeys(said)]}
    with aside(out.with_suffix(".json")) as part:
        return kept_record(told, said, part)


def kept_record(told: dict[str, Any], said: Sequence[str], path: Path) -> dict[str, Any]:
    told = {**told, "notes": [*told["notes"], *dict.fromkeys(said)]}
    path.write_text(json.dumps(told, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    return told


def new_folder(job: Job) -> Path:
    """A run folder's path that is not taken, named after the clip and the method."""
    name = f"{Path(job.clip).stem[:60] or 'clip'}-{job.method}"
    return next(path for n in count(1) if not (path := Path("runs") / f"{name}-{n}").exists())
