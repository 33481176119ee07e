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
from .video.write import free_pictures, numbered

FILES = re.compile(r"(source|edit(-\d+)?|compare)\.(mp4|png)|sheet\.png|run\.json")
CARRYING = (".mp4", ".mov", ".mkv")                     # files that hold what is told of them
STILLS = (".png", ".jpg", ".jpeg")
ENDINGS = (*CARRYING, ".gif", ".webp", *STILLS)         # of one file instead of a run folder
LOSSY = (".gif", ".jpg", ".jpeg")
OTHERS = (".avi", ".m4v", ".webm", ".wmv", ".flv", ".mpg", ".mpeg", ".ts", ".bmp", ".tif", ".tiff")     # that we do not write


def one_file(out: Path) -> bool:
    """Whether a result's name is that of a file, or of pictures in a folder, and not of a run folder."""
    return out.suffix.lower() in ENDINGS


def place(out: Path) -> Path:
    """The file or folder of a result: of pictures in a folder, such as frames/%05d.png, the folder."""
    return out.parent if numbered(out) else out


def beside(out: Path) -> Path:
    """Where that is told of a result which holds no words."""
    return place(out).with_suffix(".json")


def free_for(out: Path, job: Job) -> None:
    """BadInput where results at `out` would replace what newtake did not make, or the clip, or cannot be written so."""
    clip, ending = Path(job.clip), out.suffix.lower()
    if ending in OTHERS:
        raise BadInput(f"{ending} is not written; use {' '.join(ENDINGS)}, pictures, such as {out.stem}/%05d.png, or a "
                       "run folder")
    if not one_file(out):
        return free_of(out, clip)
    if job.lossless and ending in LOSSY:
        raise BadInput(f"{ending} is never lossless: use .mkv, .mp4, .webp, .png, or a run folder")
    for file in files(out, len(job.targets)):
        free_file(file, clip, beside(out))
    if ending not in CARRYING and beside(out).exists() and not recorded(place(out)):
        raise BadInput(f"{beside(out).name} is there already, and is not of newtake; give another --out")


def fits(out: Path, frames: int) -> None:
    """BadInput where so many frames do not fit in a file of this ending."""
    if frames > 1 and out.suffix.lower() in STILLS and not numbered(out):
        raise BadInput(f"{frames} frames do not fit in one {out.suffix}; use .mp4 or .webp, names for pictures such as "
                       f"{out.stem}/%05d.png, or a run folder")


def files(out: Path, many: int) -> list[Path]:
    """Of so many targets, where results are one file each."""
    first, named = place(out), out.name if numbered(out) else ""
    return [file / named for file in (first, *(first.with_stem(f"{first.stem}-{i}") for i in range(2, many + 1)))]


def written(told: dict[str, Any], done: Edit, job: Job, out: Path) -> dict[str, Any]:
    """Writes the results, and gives what is told of them, which is written too."""
    return (written_file if one_file(out) else written_folder)(told, done, job, out)


def free_of(out: Path, clip: Path) -> None:
    """BadInput where a run folder at `out` would replace what is not one, or the clip."""
    free(out, lambda name: FILES.fullmatch(name) is not None)
    not_in(out, clip)


def not_in(folder: Path, clip: Path) -> None:
    if clip.resolve().is_relative_to(folder):
        raise BadInput(f"the clip lies in {folder.name}, which would be replaced; give another --out")


def free_file(out: Path, clip: Path, told: Path) -> None:
    """BadInput where an edit at `out` would replace what newtake did not make.  told: the file beside it that says so."""
    there = place(out)
    if numbered(out):
        free_pictures(out)
        not_in(there, clip)
        taken = there.is_dir() and any(there.iterdir())
    else:
        free(out.parent, lambda name: True)
        taken = out.exists()
    if taken and (out.is_dir() or clip.resolve() == out or not recorded(there, told)):
        raise BadInput(f"{there.name} is there already, and is no edit of newtake; give another --out")


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
    said, there = [], files(out, len(told["edits"]))
    for file, made in zip(there, told["edits"], strict=True):
        made["file"] = place(file).name
    carries = out.suffix.lower() in CARRYING
    for video, file in zip(done.videos, there, strict=True):
        said += video.write(file, job.lossless, embedded(told) if carries else "")
    if carries:
        return {**told, "notes": [*told["notes"], *dict.fromkeys(said)]}
    with aside(beside(out)) as part:
        return kept_record(told, said, part)


def kept_record(told: dict[str, Any], said: Sequence[str], path: Path) -> dict[str, Any]:
    told = {**told, "notes": [*told["notes"], *dict.fromkeys(said)]}
    path.write_text(json.dumps(told, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    return told


def new_folder(job: Job) -> Path:
    """A run folder's path that is not taken, named after the clip and the method."""
    name = f"{Path(job.clip).stem[:60] or 'clip'}-{job.method}"
    return next(path for n in count(1) if not (path := Path("runs") / f"{name}-{n}").exists())
