"""FateZero and Prompt-to-Prompt with stored maps, written naively: every map is kept and edited as a map, a target at a time.

They share nothing with the package but a network, its levels and what is asked.  Frames look at themselves and the middle.
"""

from dataclasses import dataclass, field
from math import log

import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from torch import Tensor

from newtake.levels import Level
from newtake.methods.change import Change
from newtake.methods.request import Request

Maps = dict[tuple[str, bool], Tensor]                   # (layer, whether cross) -> (f heads n m)


@dataclass
class SideBySide:
    """Prompt-to-Prompt: the source is asked first, alone, and its maps are stored for one target."""

    maps: "StoredMaps"                                  # the network, what is asked of it, and how maps are edited
    path: list[Tensor]                                  # noise first
    nulls: list[tuple[Tensor, Tensor]]                  # the empty prompt of every step, the source's and the target's
    pinned: bool = False                                # the source is put back on the path
    source_guidance: float = 7.5
    edited_words: bool = False                          # the mask is made of maps after their edit
    inside: Tensor | None = None                        # (f h w); None: from words

    def edit(self, target: int) -> Tensor:
        maps, z, source, seen, own = self.maps, self.path[0], self.path[0], [], []
        change, tokens = maps.ask.changes[target], maps.ask.targets.tokens[target:target + 1]
        for i, null in enumerate(self.nulls):
            theirs, mine, edited = {}, {}, {}
            keep = lambda p, name, cross, theirs=theirs: theirs.setdefault((name, cross), p)
            edit = lambda p, name, cross, i=i, mine=mine, edited=edited: edited.setdefault(
                (name, cross), maps.edited(p, (name, cross), i, mine, change))
            source = self.down(source, i, maps.ask.source.tokens, null[0], keep, self.source_guidance)
            maps.store[i] = theirs
            z = self.down(z, i, tokens, null[1], edit, maps.guidance)
            source = self.path[i + 1] if self.pinned else source
            seen += maps.near(theirs)
            own += maps.near(edited if self.edited_words else mine)
            if (maps.mask is not None or self.inside is not None) and i + 1 > 0.2 * len(self.nulls) + 1e-9:
                inside = self.words(change, seen, own, *z.shape[-2:]) if self.inside is None else self.inside
                z = torch.where(inside[None, :, None], z, source)
        return z

    def down(self, z: Tensor, i: int, tokens: Tensor, null: Tensor, hook, guidance: float) -> Tensor:
        at, to = self.maps.levels[i], self.maps.levels[i + 1]
        self.maps.hook = lambda p, name, cross: p
        eps = self.maps.eps(z, at, null)
        self.maps.hook = hook
        eps = eps + guidance * (self.maps.eps(z, at, tokens) - eps)
        return to.alpha * (z - at.sigma * eps) / at.alpha + to.sigma * eps

    def words(self, change: Change, seen: list[Tensor], own: list[Tensor], h: int, w: int) -> Tensor:
        blob = self.maps.blob
        changes = blob(seen, change.source, h, w) | blob(own, change.target, h, w)
        spared = blob(seen, change.spared[0], h, w, False) | blob(own, change.spared[1], h, w, False)
        return changes & ~spared


class Processor:
    """Attention in three lines; every map goes through `oracle.hook`."""

    def __init__(self, oracle: "StoredMaps", name: str):
        self.oracle, self.name = oracle, name

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, **_):
        cross = encoder_hidden_states is not None
        heads = lambda z: z.unflatten(-1, (attn.heads, -1)).transpose(1, 2)
        context = encoder_hidden_states if cross else hidden_states
        q, k, v = heads(attn.to_q(hidden_states)), heads(attn.to_k(context)), heads(attn.to_v(context))
        if not cross:
            middle = (len(k) - 1) // 2
            k, v = (torch.stack([torch.cat([frame, z[middle]], 1) for frame in z]) for z in (k, v))
        if self.oracle.most is not None and q.shape[2] > self.oracle.most:
            return attn.to_out[0](F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        p = self.oracle.hook((q @ k.mT * attn.scale).softmax(-1), self.name, cross)
        return attn.to_out[0]((p @ v).transpose(1, 2).flatten(2))


@dataclass
class StoredMaps:
    """One edit of one target; `at_step[i]` are its latents after step i."""

    net: UNet2DConditionModel
    levels: list[Level]
    ask: Request
    self_until: float
    cross_until: float
    mask: float | None
    blend: bool
    guidance: float = 7.5
    fuse: bool = True                                   # the mask is for self-attention as well
    most: int | None = None                             # sites of more query tokens are left alone; None: none are
    z: list[Tensor] = field(default_factory=list)       # the path, noise first
    store: list[Maps] = field(default_factory=list)

    def __post_init__(self):
        self.hook = lambda p, name, cross: p
        self.net.set_attn_processor({name: Processor(self, name) for name in self.net.attn_processors})

    def eps(self, z: Tensor, at: Level, tokens: Tensor) -> Tensor:
        return self.net(z[0].to(self.net.dtype), at.t, tokens.expand(z.shape[1], -1, -1).to(self.net.dtype)).sample[None]

    def invert(self, z0: Tensor) -> None:
        self.z, self.store = [z0], [{} for _ in self.levels[1:]]
        for i in reversed(range(len(self.levels) - 1)):
            self.hook = lambda p, name, cross, i=i: self.store[i].setdefault((name, cross), p)
            eps = self.eps(self.z[0], self.levels[i], self.ask.source.tokens)
            clean, noisy = self.levels[i + 1], self.levels[i]
            self.z.insert(0, noisy.alpha * (self.z[0] - clean.sigma * eps) / clean.alpha + noisy.sigma * eps)

    def edit(self, target: int) -> list[Tensor]:
        change, tokens = self.ask.changes[target], self.ask.targets.tokens[target:target + 1]
        steps, z, own, at_step = len(self.levels) - 1, self.z[0], [], []
        for i in range(steps):
            at, down = self.levels[i], self.levels[i + 1]
            self.hook = lambda p, name, cross: p
            null = self.eps(z, at, self.ask.null.tokens)
            mine: Maps = {}
            self.hook = lambda p, name, cross, i=i, mine=mine: self.edited(p, (name, cross), i, mine, change)
            eps = null + self.guidance * (self.eps(z, at, tokens) - null)
            z = down.alpha * (z - at.sigma * eps) / at.alpha + down.sigma * eps
            own += self.near(mine)
            if self.blend and i + 1 > 0.2 * steps + 1e-9 and i + 2 <= 0.8 * steps + 1e-9:
                h, w = z.shape[-2:]
                inside = self.blob(self.near(self.store[i]), change.source, h, w) | self.blob(own, change.target, h, w)
                z = torch.where(inside[None, :, None], z, self.z[i + 1])
            at_step.append(z)
        return at_step

    def edited(self, p: Tensor, layer: tuple[str, bool], i: int, mine: Maps, change: Change) -> Tensor:
        mine[layer] = p
        source, share = self.store[i][layer], (i + 1) / (len(self.levels) - 1)
        if layer[1]:
            taught = change.edit(source, p, self.levels[i])
            until = torch.full(p.shape[-1:], self.cross_until, device=p.device)
            since = torch.zeros_like(until)
            for token, (first, last) in change.shares.items():
                since[token], until[token] = first, last
            return torch.where((share > since + 1e-9) & (share <= until + 1e-9), taught, p)
        if share > self.self_until + 1e-9:
            return p
        if self.mask is None or not self.fuse:
            return source
        h, w = self.z[0].shape[-2:]
        half = round((h * w / p.shape[2]) ** 0.5)
        inside = self.blob(self.near(self.store[i]), change.source, h // half, w // half).to(p).flatten(1)[:, None, :, None]
        return inside * p + (1 - inside) * source

    def near(self, maps: Maps) -> list[Tensor]:
        """Of the cross-attention those with the most query tokens, which are nearest to 16x16 in networks this small."""
        crosses = [p for (_, cross), p in maps.items() if cross]
        return [p for p in crosses if p.shape[2] == max(other.shape[2] for other in crosses)]

    def blob(self, maps: list[Tensor], tokens: tuple[int, ...], h: int, w: int, pooled: bool = True) -> Tensor:
        heat = sum(p.mean(1)[..., list(tokens)].sum(-1) for p in maps) / len(maps)  # (f n)
        high, wide = self.z[0].shape[-2:]
        heat = heat.reshape(-1, 1, high, wide)
        heat = F.max_pool2d(heat, 3, 1, 1) if pooled else heat
        heat = F.interpolate(heat, (h, w))[:, 0]
        return heat / heat.amax((1, 2), True) > self.mask


class OfAnySize(StoredMaps):
    """For networks with cross-attention of more query tokens than 16x16, too."""

    def near(self, maps: Maps) -> list[Tensor]:
        crosses = [p for (_, cross), p in maps.items() if cross]
        far = lambda p: (abs(log(p.shape[2] / 256)), p.shape[2])
        return [p for p in crosses if far(p) == min(map(far, crosses))]

    def blob(self, maps: list[Tensor], tokens: tuple[int, ...], h: int, w: int, pooled: bool = True) -> Tensor:
        heat = sum(p.mean(1)[..., list(tokens)].sum(-1) for p in maps) / len(maps)  # (f n)
        high, wide = self.z[0].shape[-2:]
        half = round((high * wide / heat.shape[1]) ** 0.5)
        heat = heat.reshape(-1, 1, high // half, wide // half)
        heat = F.max_pool2d(heat, 3, 1, 1) if pooled else heat
        heat = F.interpolate(heat, (h, w))[:, 0]
        return heat / heat.amax((1, 2), True) > self.mask
