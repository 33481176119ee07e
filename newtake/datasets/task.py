"""One edit of a published data set, and what the readers of data sets share."""

from __future__ import annotations

import csv
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import BadInput
from ..video import Video
from ..video.footage import Size, by

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Runs:
    """A mask of one picture as run lengths: start, length, start, length, ... in reading order.  BadInput where it is none."""

    runs: tuple[int, ...]
    size: Size                                          # width, height

    def __post_init__(self) -> None:
        whole = all(isinstance(n, int) and n >= 0 for n in self.runs) and len(self.runs) % 2 == 0
        if not whole or any(start >= self.size[0] * self.size[1] for start in self.runs[::2]):
            raise BadInput(f"run lengths are pairs of start and length inside {by(self.size)} pixels, not {self.runs[:4]}...")

    def decoded(self, border: bool = False) -> np.ndarray:                              # (h w) bool
        """True inside.  `border`: the published decoder's habit, the outermost pixels are all inside."""
        width, height = self.size
        flat = np.zeros(width * height, bool)
        for start, length in zip(self.runs[::2], self.runs[1::2], strict=True):
            flat[start:start + length] = True           # some published runs end beyond the picture: they are cut there
        mask = flat.reshape(height, width)
        if border:
            mask[[0, -1]] = mask[:, [0, -1]] = True
        return mask


@dataclass(frozen=True)
class Task:
    """One edit: a clip, what it shows, what it should become."""

    name: str                                           # of the edit, one of its kind in the data set
    clip: Path                                          # a video, a folder of pictures, or a picture
    source: str | None                                  # what the clip shows; None: the data set does not say
    target: str
    mask: Path | Runs | None = None                     # what may change; None: the data set does not say
    kind: str = "edit"                                  # of change, in the data set's own words
    frames: tuple[int, int] | None = None               # the first and the one after the last, as a slice; None: all
    every: int = 1                                      # of these, every so many is scored


def masks(task: Task, border: bool = False, size: Size | None = None) -> Tensor | None:
    """Where the edit may change something, (f h w), True there; None where the data set does not say.

    All that is not black is inside, as the published scripts have it.  `border`: see `Runs.decoded`.  size (width, height;
    None: its own): scaled and cropped as a clip is; a pixel is inside where a part of it is.
    """
    import torch

    if task.mask is None:
        return None
    if isinstance(task.mask, Runs):
        mask = torch.from_numpy(task.mask.decoded(border))[None]
    else:
        start, stop = task.frames or (0, None)
        mask = (Video.read(task.mask)[start:stop] > -1).any(1)
    if size is None or size == mask.shape[:0:-1]:
        return mask
    from PIL import Image, ImageOps

    fit = lambda one: np.asarray(ImageOps.fit(Image.fromarray(one), size, Image.Resampling.BOX))
    return torch.from_numpy(np.stack([fit(one) > 0 for one in mask.numpy().astype(np.uint8) * 255]))


# What readers share

def file(folder: Path, name: str, holds: str) -> Path:
    """A file of the data set.  BadInput where it is missing; `holds` says what it is for."""
    if not folder.is_dir():
        raise BadInput(f"no such folder: {folder}")
    if not (path := folder / name).is_file():
        raise BadInput(f"{folder} has no {name}, which holds {holds}")
    return path


def found(folder: Path, who: str, name: str, *places: str, what: str = "clip") -> Path:
    """The first of the places (with {} for the name) that is there.  BadInput where none is, or one leads out of the folder."""
    if not name:
        raise BadInput(f"{who} names no {what}")
    for place in places:
        path = folder / place.format(name)
        if not Path(os.path.abspath(path)).is_relative_to(os.path.abspath(folder)):      # links inside may lead anywhere
            raise BadInput(f"{who} names {name}, which leads out of {folder}")
        if path.exists():
            return path
    raise BadInput(f"{who} has no {what}: there is no {' and no '.join(place.format(name) for place in places)} in {folder}")


def table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a .csv file that has these columns.  BadInput where it has not."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, restval="")
            rows = [{name: (value or "").strip() for name, value in row.items() if isinstance(name, str)} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as wrong:
        raise BadInput(f"{path} cannot be read as comma-separated values in UTF-8: {wrong}") from wrong
    if missing := [name for name in columns if name not in (reader.fieldnames or ())]:
        raise BadInput(f"{path} has no column {missing[0]!r}; its first line names {', '.join(columns)}")
    return rows


def tree(path: Path, kind: type) -> Any:
    """What a .json file holds.  BadInput where it cannot be read or is not of this kind, list or dict."""
    try:
        told = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as wrong:
        raise BadInput(f"{path} cannot be read as JSON: {wrong}") from wrong
    if not isinstance(told, kind):
        raise BadInput(f"{path} holds a {kind.__name__}, not a {type(told).__name__}")
    return told


def text(entry: Any, key: str, who: str, needed: bool = True) -> str:
    """A text of an entry of a .json or .yaml file.  BadInput where it has none."""
    value = entry.get(key) if isinstance(entry, dict) else None
    if value is None and not needed:
        return ""
    if not isinstance(value, str | int):
        raise BadInput(f"{who} has no {key!r}, which is a text")
    return str(value).strip()


def plain(prompt: str) -> str:
    """A prompt without the brackets that mark what differs."""
    return " ".join(prompt.replace("[", "").replace("]", "").split())


def checked(tasks: Iterable[Task]) -> list[Task]:
    """The tasks, if each says what its clip becomes, has a name of its own, and a mask of its clip's size and length."""
    tasks = [replace(task, source=task.source or None) for task in tasks]
    if not tasks:
        raise BadInput("the data set has no edits: its table of prompts is empty")
    if twice := [name for name, count in Counter(task.name for task in tasks).items() if count > 1]:
        raise BadInput(f"{twice[0]} names two edits; their names must differ")
    measured: dict[Path, tuple[Size, int]] = {}
    for task in tasks:
        if not re.fullmatch(r"[^./\\][^/\\]*", task.name):
            raise BadInput(f"{task.name!r} is no name of an edit: it becomes the name of a folder")
        if not task.target:
            raise BadInput(f"{task.name} has a clip and no prompt: say what {task.clip.name} becomes")
        for path in (task.clip, task.mask):
            if isinstance(path, Path) and path not in measured:
                clip = Video.read(path)
                measured[path] = clip.size, len(clip)
        if task.mask is not None:
            fits(task, measured[task.clip], measured[task.mask] if isinstance(task.mask, Path) else (task.mask.size, 1))
    return tasks


def fits(task: Task, clip: tuple[Size, int], mask: tuple[Size, int]) -> None:
    """BadInput where a mask has another size (width, height) than its clip, or another number of frames."""
    if clip[0] != mask[0]:
        raise BadInput(f"the mask of {task.name} is {by(mask[0])} and its clip {by(clip[0])}: make them one size")
    if clip[1] != mask[1]:
        raise BadInput(f"the mask of {task.name} has {mask[1]} frames and its clip {clip[1]}: give one a frame, or none")
