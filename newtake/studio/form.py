"""All that a page's form says of an edit, as it is typed and chosen; a job is made of it, and it of a former run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..places import Places
from ..record import Job


@dataclass(frozen=True)
class Form:
    """Names are those of `Places.listed` and of uploads, never paths."""

    clip: str = ""                                      # `Upload.name`
    source: str = ""                                    # what the clip shows; "": as a captioner reads it
    targets: str = ""                                   # one on each line
    method: str = "newtake"
    settings: Mapping[str, Any] = field(default_factory=dict)   # see `fields.read`
    words: str = ""                                     # what changes, with commas
    spared: str = ""                                    # what is left alone, with commas
    weights: str = ""                                   # "blue=2, red=0.5"
    shares: str = ""                                    # "ball=0.4"
    mask: str = ""                                      # `Upload.name` of a picture or clip, white where something may change
    box: str = ""                                       # "x,y,width,height", in pixels or, with points, in shares
    keep_background: bool = False
    full_size: bool = False
    feather: int | None = None                          # pixels
    model: str = "tiny"
    adapters: Mapping[str, float] = field(default_factory=dict)     # weight by name
    guests: str = ""                                    # one on each line: NAME:pictures=edges;scale=0.8
    frames: int | None = None                           # None: all that there are
    start: int = 0
    stride: int = 1
    size: str = ""                                      # "512x320"; "": the network's own area
    seed: int = 0
    cuts: str = "edit"
    lossless: bool = False


def job(form: Form, places: Places, device: str | None = None, dtype: str | None = None) -> Job:
    """What the form asks for.  BadInput where something cannot be read, or is not listed; what `run` refuses is left to it."""
    raise NotImplementedError


def filled(told: Mapping[str, Any], places: Places) -> tuple[Form, list[str]]:
    """The form of a record (of `uploads.recipe`, `Upload.told`, `history.Past.told`), and what could not be filled in, in words.

    Its clip and its mask are found among the uploads by their hashes.
    """
    raise NotImplementedError
