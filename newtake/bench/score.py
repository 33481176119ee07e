"""`newtake score`: what the metrics say of one edit."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from ..background import mask_of
from ..captions.world import load as load_worlds
from ..errors import BadInput, Note
from ..metrics import METRICS, Material, scores
from ..metrics.clip import CLIP
from ..metrics.clip import load as load_clip
from ..metrics.perceptual import LayerDistance
from ..video import Video
from ..world import judge
from ..world.grammar import unknown
from ..world.weights import if_trained


def score(edit: Path, clip: Path | None = None, truth: Path | None = None, mask: Path | None = None, target: str | None = None,
          source: str | None = None, clip_model: str | None = None, trust: bool = False) -> dict[str, float]:
    """All metrics that can be measured of an edit and what is given beside it, by name; not a number where undefined.

    The clip and the true answer are brought to the edit's size, and mean its frames by number.  Perceptual distance is that of
    the world's judge.  Without `clip_model` CLIP is the world's, and a Note says so, where it is trained and the target is in
    the words that it knows; else there is none.  Raises BadInput where they have fewer frames than the edit.
    """
    made = Video.read(edit)
    beside: dict[str, Any] = {name: read(name, path, made) for name, path in (("source", clip), ("truth", truth)) if path}
    beside |= {"mask": mask_of(mask, made)} if mask else {}
    beside["clip"] = load_clip(clip_model, trust) if clip_model else worlds(target, source)
    distance = LayerDistance(judge.load().body, side=judge.SIDE)
    return scores(Material(made[:], target=target, caption=source, perceptual=distance, **beside))


def worlds(target: str | None, source: str | None) -> CLIP | None:
    """The world's CLIP, where it can say anything of these prompts."""
    known = target is not None and not unknown(f"{target} {source or ''}")
    clip = if_trained(load_worlds) if known else None
    if clip is not None:
        warnings.warn("CLIP is the world's own, whose numbers compare with no other's; --clip-model names another", Note,
                      stacklevel=3)
    return clip


def read(name: str, path: Path, made: Video) -> Any:
    """As many frames as the edit has, at its size."""
    video = Video.read(path, size=made.size)
    if len(video) < len(made):
        raise BadInput(f"the {name} has {len(video)} frames and the edit {len(made)}; give the clip that was edited")
    return video[:len(made)]


def table(found: dict[str, float]) -> str:
    """A line a metric: value, unit, direction, what it is."""
    lines = []
    for name, value in found.items():
        about = METRICS[name]
        better = "higher" if about.higher_is_better else "lower"
        lines.append(f"{name:32} {value:10.3f} {about.unit:16} {better:7} {about.what}")
    return "\n".join(lines)
