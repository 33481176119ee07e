"""LoRA: Low-Rank Adaptation of Large Language Models (Hu et al., ICLR 2022, arXiv 2106.09685), through peft."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn


def inject(layers: Iterable[tuple[nn.Module, list[str]]], rank: int, seed: int) -> None:
    """Layers of networks, by name, as themselves and a product of two small matrices, which is nought at first; in place."""
    from peft import LoraConfig, inject_adapter_in_model

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for net, names in layers:
            inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=rank, target_modules=names), net)
