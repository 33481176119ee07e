"""A small edit of the world, with everything that a metric may need; the networks are random."""

from dataclasses import replace
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn

from newtake.metrics import Material, Sets
from newtake.metrics.perceptual import LayerDistance
from newtake.world import Scene
from newtake.world.clips import video
from newtake.world.render import flow, masks


class Toy:
    """A `ScaledEmbedder`: pictures by their mean colours on a grid, words by their letters, both through random matrices."""

    scale = 20.0

    def pooled(self, frames: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(frames, 4).flatten(1) @ drawn(48, 24, seed=1)

    def pictures(self, frames: Tensor) -> Tensor:
        return self.pooled(frames) @ drawn(24, 16, seed=2)

    def texts(self, prompts) -> Tensor:
        letters = torch.tensor([[prompt.count(chr(97 + i)) for i in range(26)] for prompt in prompts]).float()
        return letters @ drawn(26, 16, seed=3)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def distance(side: int | None = None, weighted: bool = True) -> LayerDistance:
    torch.manual_seed(0)
    layers = [nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU()), nn.Sequential(nn.Conv2d(6, 8, 3, 2, 1), nn.ReLU())]
    weights = [drawn(6, seed=1).abs(), drawn(8, seed=2).abs()] if weighted else None
    return LayerDistance(layers, weights, side).requires_grad_(False)


def flows(scene: Scene) -> tuple[Tensor, Tensor]:
    """The true motion, forwards and back: (f-1 h w 2) each."""
    numbers = range(scene.frames - 1)
    return (torch.from_numpy(np.stack([flow(scene, i) for i in numbers])),
            torch.from_numpy(np.stack([flow(scene, i + 1, i) for i in numbers])))


@cache
def material() -> Material:
    """The true answer of an edit, everything given."""
    source = Scene.sample(5, size=(64, 64), frames=5)
    truth = source.becomes(object="fish", colour="blue")
    there, back = flows(source)
    mask = torch.from_numpy(masks(source) | masks(truth))
    keys = lambda frames: nn.functional.adaptive_avg_pool2d(frames, 4).flatten(2).mT @ drawn(3, 8, seed=4)
    return Material(video(truth)[:], video(source)[:], video(truth)[:], mask, there, back, truth.caption(), source.caption(),
                    Toy(), Toy(), distance(), distance(32, False), keys, Toy().pooled)


def others() -> dict[str, Material]:
    """Edits that nobody wants, and the two that measure the rest."""
    m = material()
    wanted = {"truth": m.truth, "identity": m.source, "frozen": m.source[:1].expand_as(m.source),
              "shuffled": m.source[[3, 0, 4, 1, 2]], "black": torch.full_like(m.source, -1.0),
              "noise": drawn(*m.source.shape).clamp(-1, 1)}
    return {name: replace(m, edit=edit) for name, edit in wanted.items()}


def sets(n: int = 40) -> Sets:
    chances = drawn(n, 3, seed=5).softmax(1)
    return Sets(drawn(n, 4), drawn(n + 3, 4, seed=1), drawn(n, 5, seed=2), drawn(n, 5, seed=3), chances)
