"""What ranks send each other on the way, and gradients on the way back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, final

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd import Function

if TYPE_CHECKING:
    from .group import Ranks


@final
class Exchange(Function):
    """See `Ranks.exchanged`."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, sends: Sequence[int], receives: Sequence[int], ranks: Ranks) -> Tensor:
        ctx.sends, ctx.receives, ctx.ranks = sends, receives, ranks
        return exchange(z, sends, receives, ranks)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        return exchange(gradients[0], ctx.receives, ctx.sends, ctx.ranks), None, None, None


@final
class Spread(Function):
    """See `Ranks.spread`."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, source: int, ranks: Ranks) -> Tensor:
        ctx.source, ctx.ranks = source, ranks
        out = z.clone(memory_format=torch.contiguous_format)
        dist.broadcast(out, source)
        ranks.sent += out.nbytes * ranks.passes_on(source)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.reduce(total, ctx.source)
        ctx.ranks.sent += total.nbytes * (ctx.ranks.number != ctx.source)
        return total if ctx.ranks.number == ctx.source else torch.zeros_like(total), None, None


@final
class Alike(Function):
    """See `Ranks.alike`."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, ranks: Ranks) -> Tensor:
        ctx.ranks = ranks
        return z.view_as(z)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        mean = gradients[0].clone(memory_format=torch.contiguous_format)
        ctx.ranks.average(mean)
        return mean, None


def exchange(z: Tensor, sends: Sequence[int], receives: Sequence[int], ranks: Ranks) -> Tensor:
    out = z.new_empty(sum(receives), *z.shape[1:])
    dist.all_to_all_single(out, z.contiguous(), list(receives), list(sends))
    ranks.sent += (sum(sends) - sends[ranks.number]) * z[:1].nbytes
    return out
