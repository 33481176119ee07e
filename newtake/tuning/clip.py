"""Tuning to one clip: Tune-A-Video (Wu et al., ICCV 2023, arXiv 2212.11565).

Attention over the frames is inserted, and learnt on one clip together with the queries of self- and cross-attention.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..attention.frames import Look, look, read
from ..errors import BadInput
from ..levels import Level, trained, wanted
from ..models.adapters.tuned import OF_LAYER, TUNED
from ..models.model import Model, Text
from ..models.ranks import shared_out
from ..models.temporal import TemporalAttention, blocks, fresh, of_block
from ..models.unet import UNet
from ..settings import check, setting
from .loop import Loss, Step, Training, train
from .low_rank import inject


@dataclass(frozen=True)
class ClipTuning:
    """How a network is tuned to a clip."""

    training: Training = Training()
    rank: int | None = setting(None, "of LoRA: what is tuned is in low rank; none: whole", 1, 1024)
    frames: Look = setting(("first", "previous"), "which frames a frame looks at: own, first, previous, middle, last, offsets; "
                           "or dense", reader=("list of frames", read))
    norms: Literal["frame", "clip"] | None = setting(None, "group norms over a frame or the clip; none: as the checkpoint is")
    # The published code:
    random_bias: bool = setting(False, "what new layers add at first is a random bias, not nothing")

    def __post_init__(self):
        check(self)

    @classmethod
    def reference(cls, **paper: Any) -> ClipTuning:
        """The published code, showlab/Tune-A-Video at commit 7d4a89a."""
        return cls(**{"norms": "clip", "random_bias": True, **paper})


@dataclass(frozen=True)
class Tuned:
    """A network that is tuned: the model, and the weights that are learnt, in the names of their adapter."""

    model: UNet
    weights: Mapping[str, nn.Parameter]

    def adapter(self) -> Mapping[str, Tensor]:
        """All that an adapter keeps: what is learnt, and the norms of temporal layers, which stay as they were."""
        norms = {f"{module}.{name}": weight for module, layer in self.model.temporal.items()
                 for name, weight in layer.state_dict().items() if name.startswith("norm_temp.")}
        return self.weights if any(".lora_" in name for name in self.weights) else {**norms, **self.weights}


def prepared(model: UNet, tuning: ClipTuning) -> Tuned:
    """The model with temporal layers, new ones where it has none, and the weights that are to be tuned.

    Its network is the same, changed in place: it is the tuned one afterwards.  Raises BadInput where it cannot be tuned.
    """
    net, temporal = model.net, dict(model.temporal)
    if any(".lora_" in name for name, _ in net.named_parameters()):
        raise BadInput("the network carries LoRA layers; fuse them into its weights first")
    new = fresh(net, tuning.training.seed, tuning.random_bias) if tuning.rank is None else {
        name: of_block(block) for name, block in blocks(net).items()}
    temporal = {**new, **temporal}
    for one in (net, *temporal.values()):
        one.float().requires_grad_(False)
    if tuning.rank is not None:
        make_low_rank(net, temporal, tuning.rank, tuning.training.seed)
    named = dict(net.named_parameters())
    named |= {f"{module}.{name}": weight for module, layer in temporal.items() for name, weight in layer.named_parameters()}
    chosen = {name: weight for name, weight in named.items() if TUNED.fullmatch(name)}
    if tuning.rank is not None:
        chosen = {name.replace(".default.", "."): weight for name, weight in chosen.items() if ".lora_" in name}
    if not chosen:
        raise BadInput("this network has no transformer blocks, and nothing to tune")
    for weight in chosen.values():
        weight.requires_grad_(True)
    if tuning.training.checkpointing:
        net.enable_gradient_checkpointing()
    return Tuned(UNet(net, model.scheduler, tuning.norms or model.norms, temporal, model.vae, model.encoders), chosen)


def make_low_rank(net: nn.Module, temporal: Mapping[str, nn.Module], rank: int, seed: int) -> None:
    """What is tuned, in low rank."""
    own = [name for name, _ in net.named_modules() if re.fullmatch(r".+\.attn[12]\.to_q", name)]
    attention = (layer for layer in temporal.values() if isinstance(layer, TemporalAttention))
    inject([(net, own), *((layer, list(OF_LAYER)) for layer in attention)], rank, seed)


def tune(tuned: Tuned, z0: Tensor, text: Text, tuning: ClipTuning, state: Path,
         told: Mapping[str, Any]) -> Generator[Step, None, None]:
    """Tunes to the latents of a clip, (1 f c h w), and what it shows; see `train` for `state` and `told`."""
    told = {name: value for name, value in asdict(tuning).items() if name != "training"} | dict(told)
    return train(tuned.weights, drawn_loss(tuned.model, z0, text, tuning.frames), tuning.training, state, told)


def drawn_loss(model: UNet, z0: Tensor, text: Text, look_at: Look) -> Loss:
    """Of a level, one for the clip, and noise, another for every frame."""
    levels, asked = trained(model.scheduler), shared_out(model)

    def loss(draw: torch.Generator) -> Tensor:
        at = levels[int(torch.randint(len(levels), (), generator=draw))]
        eps = torch.randn(z0.shape, generator=draw).to(z0)
        with model.control(look(*look_at)):
            return denoising(asked, z0, eps, at, text)
    return loss


def denoising(model: Model, z0: Tensor, eps: Tensor, at: Level, text: Text) -> Tensor:
    """Mean squared error of what the network says of z0 (r f c h w) and noise at a level."""
    said = model.predict(at.alpha * z0 + at.sigma * eps, at, text)
    return F.mse_loss(said.out, wanted(said.kind, z0, eps, at))
