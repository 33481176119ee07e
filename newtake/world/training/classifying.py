"""How the classifier of noisy latents is trained: on the denoiser's latents, noised as the denoiser's are."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ..classifier import Classifier
from .data import ATTRIBUTES, Pictures
from .denoiser import noised, signals
from .fit import fit

BATCH = 64


def train(classifier: Classifier, seen: Pictures, latents: Tensor, steps: int, state: Path) -> None:
    """`latents` (many c h w), scaled to a standard deviation of one."""
    labels = torch.from_numpy(seen.labels)
    signal = signals()
    device = next(classifier.parameters()).device

    def loss(generator):
        chosen, t = (torch.randint(high, (BATCH,), generator=generator) for high in (len(latents), len(signal)))
        noise = torch.randn(BATCH, *latents.shape[1:], generator=generator)
        angle = torch.atan2((1 - signal[t]).sqrt(), signal[t].sqrt())
        said = classifier(noised(latents[chosen], noise, signal[t]).to(device), angle.to(device))
        wrong = [F.nll_loss(said[name].float(), labels[chosen, k].to(device)) for k, name in enumerate(ATTRIBUTES)]
        return torch.stack(wrong).sum()

    fit(classifier, loss, steps, 2e-3, state, "training the classifier")
