"""What a clip shows, in words: for `newtake caption`, and where an edit is not told its source.

Above the metrics, whose CLIP looks at the world's scenes, and above the world, whose grammar says them; below run, which asks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..video import Video

Captioner = Callable[["Video"], str]
TINY = "tiny"                                           # who reads where the built-in checkpoint edits
WHO = {TINY: "the world's CLIP"}


def captioner(what: str = TINY, device: str | None = None, download: bool = False, trust: bool = False) -> Captioner:
    """Who says what a clip shows: the world's CLIP (tiny), or BLIP or BLIP-2 from a folder or a cached hub id.

    A hub id is fetched with `download` only, pickles are read with `trust` only.  `device`: of BLIP; the world's CLIP is small,
    and stays on the processor.  Raises BadInput.
    """
    if what == TINY:
        from .world import Reader, load
        return Reader(load())
    from .blip import load as blip
    return blip(what, device, download, trust)
