"""How the classifier of noisy latents is trained: on the denoiser's latents, noised as the denoiser's are."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler
from torch import Tensor

from ..classifier import Classifier
from .data import ATTRIBUTES, Pictures
from .denoiser import SCHEDULE
from .fit import fit

BATCH = 64


def train(classifier: Classifier, seen: Pictures, latents: Tensor, steps: int, state: Path) -> None:
    """`latents` (many c h w), scaled to a standard deviation of one."""
    labels = torch.from_numpy(seen.labels)
    signal = DDIMScheduler(**SCHEDULE).alphas_cumprod
    device = next(classifier.parameters()).device

    def loss(generator):
        chosen, t = (torch.randint(high, (BATCH,), generator=generator) for high in (len(latents), len(signal)))
        alpha, sigma = signal[t].sqrt(), (1 - signal[t]).sqrt()
        noise = torch.randn(BATCH, *latents.shape[1:], generator=generator)
        z = alpha[:, None, None, None] * latents[chosen] + sigma[:, None, None, None] * noise
        said = classifier(z.to(device), torch.atan2(sigma, alpha).to(device))
        wrong = [F.nll_loss(said[name].float(), labels[chosen, k].to(device)) for k, name in enumerate(ATTRIBUTES)]
        return torch.stack(wrong).sum()

    fit(classifier, loss, steps, 2e-3, state, "training the classifier")
