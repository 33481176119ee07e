"""The one loop that trains every network of the world: AdamW, warm-up, a falling rate, EMA, saved and resumed."""

from __future__ import annotations

from collections.abc import Callable
from math import cos, pi
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from ...aside import aside
from ...track import track

Loss = Callable[[torch.Generator], Tensor]              # one batch, drawn with this generator


def fit(net: nn.Module, loss: Loss, steps: int, rate: float, state: Path, what: str,
        ema: float = 0.999, warmup: int = 200, every: int = 200) -> None:
    """Trains, and leaves the moving average of the weights in `net`.  Killed, the same call goes on from `state`.

    Every step draws with its own seed, so that a resumed run sees the batches of an uninterrupted one.
    """
    weights: list[Tensor] = [p for p in net.parameters() if p.requires_grad]
    adam = torch.optim.AdamW(weights, lr=rate, betas=(0.9, 0.99), weight_decay=0.01, foreach=True)
    mean, done = [p.detach().clone() for p in weights], 0
    if state.exists():
        saved = torch.load(state, map_location=weights[0].device, weights_only=True)
        done, mean = saved["done"], saved["mean"]
        adam.load_state_dict(saved["adam"])
        put(weights, saved["weights"])
    device = weights[0].device.type
    running = None
    for step in track(range(done, steps), what):
        for group in adam.param_groups:
            group["lr"] = rate * min(1, (step + 1) / warmup) * (0.02 + 0.98 * (1 + cos(pi * step / steps)) / 2)
        with torch.autocast(device, torch.bfloat16), sdpa_kernel([SDPBackend.MATH] if device == "cpu" else
                                                                [SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]):
            now = loss(torch.Generator().manual_seed(step))
        now.backward()
        nn.utils.clip_grad_norm_(weights, 1.0, foreach=True)
        adam.step()
        adam.zero_grad()
        for kept, weight in zip(mean, weights, strict=True):
            kept.lerp_(weight.detach(), 1 - min(ema, (1 + step) / (10 + step)))
        running = now.item() if running is None else running + 0.02 * (now.item() - running)
        if (step + 1) % every == 0 or step + 1 == steps:
            keep(state, dict(done=step + 1, mean=mean, adam=adam.state_dict(), weights=[p.detach() for p in weights]))
            with open(state.with_suffix(".log"), "a") as log:
                log.write(f"{step + 1} {running:.5f}\n")
    put(weights, mean)


@torch.no_grad()
def put(weights: list[Tensor], values: list[Tensor]) -> None:
    for weight, value in zip(weights, values, strict=True):
        weight.copy_(value)


def keep(path: Path, state: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with aside(path) as part:
        torch.save(state, part)
