"""Plug-and-Play and MasaCtrl written naively: a first pass of the source keeps what a second pass of a target takes.

They share nothing with the package but a network, its levels and what is asked.  A frame looks at itself.
"""

from collections.abc import Callable
from contextlib import contextmanager
from itertools import pairwise

from diffusers import UNet2DConditionModel
from torch import Tensor

from newtake.levels import Level
from newtake.methods.request import Request

Taken = Callable[[str, tuple[Tensor, ...], tuple[Tensor, ...]], tuple[Tensor, ...]]    # layer, own q k v, the source's


class Stored:
    """The network with attention in three lines; what the source had lies in `store`."""

    def __init__(self, net: UNet2DConditionModel, feature: str | None = None):
        self.net, self.feature, self.store = net, feature, {}
        self.mode, self.taken = "plain", None
        net.set_attn_processor({name: Processor(self, name) for name in net.attn_processors})

    def source(self, z: Tensor, at: Level, tokens: Tensor) -> None:
        self.mode, self.store = "keep", {}
        self.eps(z, at, tokens)
        self.mode = "plain"

    def target(self, z: Tensor, at: Level, tokens: Tensor, taken: Taken | None, features: bool) -> Tensor:
        self.mode, self.taken = "take" if taken else "plain", taken
        with self.hooked(lambda out: self.store["feature"] if features else out):
            eps = self.eps(z, at, tokens)
        self.mode = "plain"
        return eps

    def eps(self, z: Tensor, at: Level, tokens: Tensor) -> Tensor:
        keep = lambda out: self.store.setdefault("feature", out) if self.mode == "keep" else out
        with self.hooked(keep):
            return self.net(z[0].to(self.net.dtype), at.t, tokens.expand(z.shape[1], -1, -1)).sample[None]

    @contextmanager
    def hooked(self, f):
        if self.feature is None:
            yield
            return
        hook = self.net.get_submodule(self.feature).register_forward_hook(lambda layer, args, out: f(out))
        yield
        hook.remove()

    def path(self, z0: Tensor, levels: list[Level], tokens: Tensor) -> list[Tensor]:
        """DDIM inversion, noise first."""
        z = [z0]
        for i in reversed(range(len(levels) - 1)):
            clean, noisy = levels[i + 1], levels[i]
            eps = self.eps(z[0], noisy, tokens)
            z.insert(0, noisy.alpha * (z[0] - clean.sigma * eps) / clean.alpha + noisy.sigma * eps)
        return z

    def edit(self, z0: Tensor, levels: list[Level], ask: Request, target: int, w: float, plan, alpha=None) -> Tensor:
        """plan(step): what is taken of attention, and whether the features are.  alpha: of negative prompting."""
        said, tokens = ask.source.tokens, ask.targets.tokens[target:target + 1]
        path = self.path(z0, levels, said)
        z = path[0]
        for i, (at, down) in enumerate(pairwise(levels)):
            self.source(path[i + 1], at, said)
            null, prompted, negative = (self.target(z, at, text, *plan(i)) for text in (ask.null.tokens, tokens, said))
            if alpha is not None:
                share = alpha * (1 - i / (len(levels) - 2))
                null = share * null + (1 - share) * negative
            eps = null + w * (prompted - null)
            z = down.alpha * (z - at.sigma * eps) / at.alpha + down.sigma * eps
        return z


class Processor:
    def __init__(self, of: Stored, name: str):
        self.of, self.name = of, name.removesuffix(".processor")

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, **_):
        heads = lambda z: z.unflatten(-1, (attn.heads, -1)).transpose(1, 2)
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        q, k, v = heads(attn.to_q(hidden_states)), heads(attn.to_k(context)), heads(attn.to_v(context))
        if encoder_hidden_states is None and self.of.mode == "keep":
            self.of.store[self.name] = q, k, v
        if encoder_hidden_states is None and self.of.mode == "take":
            q, k, v = self.of.taken(self.name, (q, k, v), self.of.store[self.name])
        p = (q @ k.mT * attn.scale).softmax(-1)
        return attn.to_out[0]((p @ v).transpose(1, 2).flatten(2))
