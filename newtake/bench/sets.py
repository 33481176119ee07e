"""All edits of a method against all true answers: FID, KID, the Inception score by the judge, FVD by the viewer of clips."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from ..captions.world import load as load_clip
from ..errors import Note
from ..metrics import SET_METRICS, Sets, scores
from ..metrics.clip import CLIP
from ..world import judge as judges
from ..world import viewer as viewers
from ..world.weights import if_trained

Seen = Mapping[str, Tensor]                             # of one edit, fields of `Sets`
FEW = ("FID and FVD are biased upwards and the Inception score downwards, by more the fewer there are: compare them with as "
       "many of the same world only.  KID has no bias where sets are drawn by themselves; here an edit belongs to a true "
       "answer, and the more it is like it the further KID is below 0.")


@dataclass(frozen=True)
class Eyes:
    """The world's networks that look at edits.  viewer, clip: None where they have not been trained."""

    judge: judges.Judge
    viewer: viewers.Viewer | None = None
    clip: CLIP | None = None

    @classmethod
    def open(cls) -> Eyes:
        return cls(judges.load(), if_trained(viewers.load), if_trained(load_clip))

    @torch.no_grad()
    def see(self, edit: Tensor) -> Seen:
        """Of frames (f 3 h w) in [-1, 1]: pictures (f d), chances of the objects (f k), and clips (1 d')."""
        features = self.judge.features(edit.float())
        seen = {"pictures": features, "chances": self.judge.heads["object"](features).softmax(-1)}
        return seen if self.viewer is None else seen | {"clips": self.viewer.features(edit[None].float())}


def together(seen: Mapping[str, Sequence[Seen]], real: str) -> dict[str, Any]:
    """The results' `sets`: metrics of all that was seen of each method against what was seen of `real`."""
    truth = joined(seen[real])
    of = {who: measured(joined(ones), truth) for who, ones in seen.items()}
    names = [name for name in SET_METRICS if any(name in found for found in of.values())]
    about = {name: {"unit": SET_METRICS[name].unit, "higher_is_better": SET_METRICS[name].higher_is_better,
                    "what": SET_METRICS[name].what} for name in names}
    return {"metrics": about, "of": of,
            "about": f"All edits of a method against the {len(seen[real])} true answers, in the world's own networks.  {FEW}"}


def joined(seen: Sequence[Seen]) -> dict[str, Tensor]:
    return {name: torch.cat([one[name] for one in seen]) for name in seen[0]}


def measured(edits: Mapping[str, Tensor], truth: Mapping[str, Tensor]) -> dict[str, float | None]:
    """None where a metric is undefined."""
    real = {f"real_{name}": z for name, z in truth.items() if name != "chances"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Note)           # of few samples: it is said beside the table
        return {name: round(value, 4) if isfinite(value) else None for name, value in scores(Sets(**edits, **real)).items()}
