"""A pass of which every rank has some frames: what looks beyond them comes by those of others here."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import ceil
from typing import TYPE_CHECKING, final

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from ..ranks import Ranks
from ..shapes import Numbers

if TYPE_CHECKING:
    from .call import Call

Places = list[int]                                      # in the pass
Plan = tuple[list[Places], list[list[Places]]]          # by who has them: what all others look at; the rest, by who does


@final
class Share:
    """This rank's frames of a pass, as many as those of any other: where they do not divide, the last is there more than once.

    Frames that are there again answer as well, and are dropped: so all that is sent has one size.
    """

    def __init__(self, ranks: Ranks, numbers: Numbers):
        self.ranks, self.numbers = ranks, numbers       # clip-wide, of all frames of the pass
        self.each = ceil(len(numbers) / ranks.of)
        every = torch.arange(ranks.of * self.each)
        self.all = every.clamp(max=len(numbers) - 1)    # places in the pass, rank by rank
        self.places = self.all.view(ranks.of, -1)[ranks.number]
        self.own = (every < len(numbers)).view(ranks.of, -1).sum(1)             # frames of each rank that are there first
        self.spread = 0                                 # places of a frame, where a layer over time runs
        self.plan = lru_cache(1)(self._plan)

    def gathered(self, z: Tensor) -> Tensor:
        """(r f ...) of these frames -> of all frames of the pass."""
        return self.ranks.gathered(z).movedim(0, 1).flatten(1, 2)[:, :len(self.numbers)]

    def fetched(self, call: Call, index: Tensor | None) -> tuple[Numbers, Tensor, Tensor]:
        """Numbers, keys and values (r f heads m d) of the frames that are looked at, in the order of the pass, and of its own.

        index (f k): what every frame of the pass looks at, by clip-wide numbers; the nearest that is there counts.  None: all.
        """
        both, widths = torch.cat([call.k, call.v], -1), [call.k.shape[-1], call.v.shape[-1]]
        if index is None:
            there, both = torch.arange(len(self.numbers)), self.gathered(both)
        else:
            there, both = self._with_others(both, self.plan(tuple(map(tuple, index.tolist()))))
        k, v = both.split(widths, -1)
        return self.numbers[there], k, v

    def _with_others(self, z: Tensor, plan: Plan) -> tuple[Tensor, Tensor]:
        """Places in the pass, and z (r f ...) of them."""
        here, (common, rest) = self.ranks.number, plan
        there, found = [*self.places.tolist()], [z]
        for source, places in enumerate(common):
            if places:
                mine = [place - here * self.each if source == here else 0 for place in places]
                found.append(self.ranks.spread(z[:, mine], source))
                there += places
        if any(places for of in rest for places in of):
            sends, receives = rest[here], [of[here] for of in rest]
            mine = [place - here * self.each for places in sends for place in places]
            found.append(self.ranks.exchanged(z.movedim(1, 0)[mine], [*map(len, sends)], [*map(len, receives)]).movedim(0, 1))
            there += [place for places in receives for place in places]
        numbers, order = torch.tensor(there).sort(stable=True)
        return numbers, torch.cat(found, 1)[:, order.to(z.device)]

    def _plan(self, index: tuple[tuple[int, ...], ...]) -> Plan:
        """Every rank knows what all look at, so nobody has to ask."""
        looked = (torch.tensor(index)[..., None] - self.numbers).abs().argmin(-1)              # (f k), places
        mine = [set(places.tolist()) for places in self.all.view(self.ranks.of, -1)]
        wanted = [set(looked[sorted(own)].flatten().tolist()) - own for own in mine]
        by_rank = range(self.ranks.of)
        of = lambda rank, some: [place for place in sorted(some) if place // self.each == rank]
        common = [set.intersection(*(wanted[other] for other in by_rank if other != rank)) for rank in by_rank]
        return ([of(rank, common[rank]) for rank in by_rank],
                [[of(rank, some - common[rank]) for some in wanted] for rank in by_rank])

    def across(self, layer: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
        """A layer over all frames of the pass, z (r n f c): every rank runs it for some of the n places of a frame."""
        of, f, self.spread = self.ranks.of, len(self.numbers), z.shape[1]
        padded = F.pad(z, (0, 0, 0, 0, 0, -self.spread % of))
        turned = lambda parts: self.ranks.exchanged(parts, [1] * of, [1] * of)
        x = turned(rearrange(padded, "r (q n) f c -> q r n f c", q=of))
        y = layer(rearrange(x, "q r n f c -> (r n) (q f) c")[:, :f])[:, self.all.to(z.device)]
        y = turned(rearrange(y, "(r n) (q f) c -> q r n f c", q=of, r=len(z)))
        return rearrange(y, "q r n f c -> r (q n) f c")[:, :self.spread]

    def moments(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance (r g) over all frames of the pass, of z (r f g ...), each frame once."""
        seen = z[:, :max(1, int(self.own[self.ranks.number]))].movedim(2, 1).flatten(2)
        means, variances = self.ranks.gathered(torch.stack([seen.mean(-1), seen.var(-1, correction=0)])).unbind(1)
        share = self.own.to(z)[:, None, None] / len(self.numbers)
        mean = (share * means).sum(0)
        return mean, (share * (variances + (means - mean).square())).sum(0)
