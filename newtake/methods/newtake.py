"""newtake's own: FateZero (Qi et al., ICCV 2023, arXiv 2303.09535) that looks first whether the shape changes.

A quarter of the way to the clip the network is asked what it sees by the source's and by the target's prompt.  If the answers
differ inside the words' mask alone, as for another colour, the clip's attention keeps the shape; if they differ beyond it, the
shape is let go.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import torch

from ..attention.frames import look
from ..inversion.trajectory import Trajectory
from ..models.model import Model
from ..settings import setting
from .fatezero import FateZero
from .masks import changing, masked, of_words
from .method import Method, Setup
from .request import Request

ASKED = 0.25                                            # share of the way down at which it looks


@final
@dataclass(frozen=True)
class Newtake(Method):
    """Chosen on development scenes of the world: docs/comparison.md."""

    setup: Setup = Setup(frames=("own", "middle"), guidance=9.0, guided_until=0.4, mask=0.3, widen=0)
    reach: float = setting(0.15, "share of what changes that lies outside the mask from which on the shape changes", 0, 1)

    def longest(self):
        return replace(super().longest(), reach=1.0)    # no shape changes: all targets have the source beside them

    def invert(self, model, z0, ask):
        return self._kept(ask).invert(model, z0, ask)

    def path_key(self, ask):
        return self._kept(ask).path_key(ask)

    def idle(self, path, ask):
        said = self.reach != Newtake().reach and not of_words(self.setup, ask)
        reach = dict.fromkeys(["reach"] * said, "there is no mask of words that a change could leave")
        return self._kept(ask).idle(path, ask) | reach

    def __call__(self, model, path, ask):
        self.tell_idle(path, ask)
        reach = self._reach(model, path, ask) if of_words(self.setup, ask) else [0.0] * len(ask.changes)
        edits = [self._free(ask) if share > self.reach else self._kept(ask) for share in reach]
        return torch.cat([method.edit(model, path, alone(ask, i)) for i, method in enumerate(edits)])

    def _kept(self, ask: Request) -> FateZero:
        """The shape stays."""
        blends = masked(self.setup, ask)
        return FateZero(self.setup, self_until=0.5, cross_until=0.3, blend_latents=blends, blend_from=0.5, blend_until=1.0)

    def _free(self, ask: Request) -> FateZero:
        """It is let go."""
        return replace(self._kept(ask), self_until=0.0, cross_until=0.2, blend_from=0.3)

    def _reach(self, model: Model, path: Trajectory, ask: Request) -> list[float]:
        """For each target the share of what it changes, squared, that lies outside the mask of the source's words."""
        i = int(ASKED * path.steps)
        at = path.levels[i]
        z = path.fed_at(at).expand(1 + len(ask.changes), *[-1] * 4)
        with model.control(look(*self.setup.frames)):
            x0 = model.predict(z, at, ask.source.then(ask.targets)).x0.float()
        change = (x0[1:] - x0[:1]).square().sum(2)                                  # (r f h w)
        inside = changing(self.setup, ask, (z.shape[-2], z.shape[-1]), path.words[i] if path.words else None).to(change)
        outside = (change * (1 - inside)).flatten(1).sum(1) / change.flatten(1).sum(1).clamp(min=1e-12)
        return [share if told.source else 0.0 for share, told in zip(outside.tolist(), ask.changes, strict=True)]


def alone(ask: Request, i: int) -> Request:
    """What is asked of one target."""
    extra = {name: rows[i:i + 1] for name, rows in ask.targets.extra.items()}
    target = replace(ask.targets, tokens=ask.targets.tokens[i:i + 1], extra=extra, spans=ask.targets.spans[i:i + 1])
    return replace(ask, targets=target, changes=ask.changes[i:i + 1])
