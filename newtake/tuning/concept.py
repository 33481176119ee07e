"""DreamBooth: Fine Tuning Text-to-Image Diffusion Models for Subject-Driven Generation (Ruiz et al., CVPR 2023,
arXiv 2208.12242).

A few pictures of a thing are learnt with a word for it; beside them pictures of its kind, which the network made before, so
that the kind stays what it was.

What is learnt is in low rank (LoRA, Hu et al., ICLR 2022, arXiv 2106.09685), and together with it the vector of the word, which
begins as the kind's (Textual Inversion, Gal et al., ICLR 2023, arXiv 2208.01618; both at once as in Custom Diffusion, Kumari et
al., CVPR 2023, arXiv 2212.04488).
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import BadInput
from ..levels import trained, wanted
from ..models.adapters.embedding import taken, with_word
from ..models.adapters.lora import NETWORKS
from ..models.parts import Parts
from ..models.text import TextEncoders
from ..models.unet import UNet
from ..settings import check, setting
from .loop import Loss, Step, Training, train
from .low_rank import inject

ATTENTION = {"unet": re.compile(r".+\.attn[12]\.to_(q|k|v|out\.0)"),
             "text_encoder": re.compile(r".+\.self_attn\.(q|k|v|out)_proj")}


@dataclass(frozen=True)
class ConceptLearning:
    """How a thing is learnt."""

    training: Training = Training(steps=400, rate=2e-4)
    rank: int = setting(16, "of LoRA on the network's attention; 0: the word alone is learnt (textual inversion)", 0, 1024)
    text: bool = setting(False, "LoRA on the text encoders' attention too")
    batch: int = setting(2, "pictures of the thing in a draw, and as many of its kind, at one level of noise", 1, 64)
    prior: float = setting(1.0, "how much pictures of the kind count beside those of the thing; 0: there are none", 0, 100)
    kinds: int = setting(64, "pictures of the kind, made by the checkpoint before it learns", 1, 10_000)

    def __post_init__(self):
        check(self)
        if self.text and not self.rank:
            raise BadInput("text=true is LoRA on the text encoders, which needs a rank above 0")


@dataclass(frozen=True)
class Shown:
    """Pictures and what is said of them."""

    z: Tensor                                           # (r 1 c h w)
    prompts: tuple[str, ...]                            # one a picture


@dataclass(frozen=True)
class Concept:
    """A network that learns a word: the model, and the weights that are learnt, in the names of its adapter."""

    model: UNet
    weights: Mapping[str, nn.Parameter]                 # of LoRA: NETWORK.MODULE.lora_A.weight; the word's: word.NETWORK

    def adapter(self) -> tuple[dict[str, Tensor], list[Tensor]]:
        """LoRA's weights; and the word's vector (1 c), of each encoder."""
        lora = {name: weight for name, weight in self.weights.items() if not name.startswith("word.")}
        return dict(lora), [weight[None] for name, weight in self.weights.items() if name.startswith("word.")]


def begun(model: UNet, word: str, kind: str, learning: ConceptLearning) -> Concept:
    """The model with the word, and the weights that are to be learnt.  Its network is the same, changed in place.

    BadInput where the word is known already, or is no word.
    """
    if model.encoders is None:
        raise BadInput("this model has no text encoder, which could learn a word; load one from a whole checkpoint")
    parts = Parts(model.net, {}, tokenizers=model.encoders.tokenizers, encoders=model.encoders.encoders)
    if any(taken(word, tokenizer) for tokenizer in parts.tokenizers):
        raise BadInput(f"the word {word!r} is in the vocabulary already; take one that is not, such as {word}7x")
    parts = with_word(parts, word, [row[None] for row in meant(parts, kind)], "this")
    nets = dict(zip(NETWORKS, (parts.net, *parts.encoders), strict=False))
    for net in nets.values():
        net.float().requires_grad_(False)
    weights = {}
    if learning.rank:
        for network in nets if learning.text else ("unet",):
            weights |= low_rank(nets[network], network, learning.rank, learning.training.seed)
    for network, encoder, tokenizer in zip(NETWORKS[1:], parts.encoders, parts.tokenizers, strict=False):
        weights[f"word.{network}"] = own_row(encoder, tokenizer.convert_tokens_to_ids(word))
    if learning.training.checkpointing:
        parts.net.enable_gradient_checkpointing()
    encoders = TextEncoders(parts.tokenizers, parts.encoders, model.encoders.pooled, model.encoders.empty_is_zero)
    return Concept(UNet(parts.net, model.scheduler, model.norms, model.temporal, model.vae, encoders), weights)


def meant(parts: Parts, kind: str) -> list[Tensor]:
    """What each encoder reads for the kind, (c,): the mean of its tokens."""
    rows = []
    for tokenizer, encoder in zip(parts.tokenizers, parts.encoders, strict=True):
        ids = tokenizer(kind, add_special_tokens=False).input_ids
        if not ids:
            raise BadInput("the kind is empty; say what kind of thing it is, such as toy")
        rows.append(encoder.get_input_embeddings().weight[ids].detach().float().mean(0))
    return rows


def low_rank(net: nn.Module, network: str, rank: int, seed: int) -> dict[str, nn.Parameter]:
    """A network's attention in low rank; the matrices that are learnt."""
    pattern = ATTENTION[network.removesuffix("_2")]
    targets = [name for name, _ in net.named_modules() if pattern.fullmatch(name)]
    if not targets:
        raise BadInput(f"the {network} has no attention that LoRA could go to; set rank=0")
    inject([(net, targets)], rank, seed)
    made = {f"{network}.{name.replace('.default.', '.')}": weight for name, weight in net.named_parameters()
            if ".lora_" in name}
    for weight in made.values():
        weight.requires_grad_(True)
    return made


def own_row(encoder: Any, token: int) -> nn.Parameter:
    """The vector of one token, apart from the table, in whose place it is read."""
    table = encoder.get_input_embeddings()
    row = nn.Parameter(table.weight[token].detach().clone())
    table.register_forward_hook(lambda module, given, out: torch.where((given[0] == token)[..., None], row.to(out), out))
    return row


def learn(concept: Concept, thing: Shown, kind: Shown | None, learning: ConceptLearning, state: Path,
          told: Mapping[str, Any]) -> Generator[Step, None, None]:
    """Learns the thing from its pictures, beside pictures of its kind; see `train` for `state` and `told`."""
    of_learning = {name: value for name, value in asdict(learning).items() if name != "training"}
    loss = drawn_loss(concept.model, thing, kind, learning)
    return train(concept.weights, loss, learning.training, state, of_learning | dict(told), "learning")


def drawn_loss(model: UNet, thing: Shown, kind: Shown | None, learning: ConceptLearning) -> Loss:
    """Of a level, pictures of the thing, as many of its kind, and noise, another for each."""
    levels, many = trained(model.scheduler), learning.batch
    parts = [(thing, 1.0)] + ([(kind, learning.prior)] if kind else [])
    counts = torch.tensor([count for _, count in parts]).repeat_interleave(many)

    def loss(draw: torch.Generator) -> Tensor:
        at = levels[int(torch.randint(len(levels), (), generator=draw))]
        chosen = [(shown, torch.randint(len(shown.z), (many,), generator=draw)) for shown, _ in parts]
        z0 = torch.cat([shown.z[which] for shown, which in chosen])
        eps = torch.randn(z0.shape, generator=draw).to(z0)
        assert model.encoders is not None
        text = model.encoders(*(shown.prompts[i] for shown, which in chosen for i in which.tolist()))
        said = model.predict(at.alpha * z0 + at.sigma * eps, at, text)
        wrong = (said.out - wanted(said.kind, z0, eps, at)).square().flatten(1).mean(1)
        return (wrong * counts.to(wrong)).sum() / many
    return loss
