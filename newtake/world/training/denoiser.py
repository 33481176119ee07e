"""The text encoder and the denoiser of the built-in checkpoint, trained together on latents encoded once.

Ho et al., NeurIPS 2020, arXiv 2006.11239; captions dropped for classifier-free guidance (Ho & Salimans 2022, arXiv 2207.12598);
loss weighted by min-SNR (Hang et al., ICCV 2023, arXiv 2303.09556, section 3.4).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from tokenizers import models
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from ..scene import STYLE_NAMES, STYLE_WORDINGS, WORDINGS, Scene
from .data import ATTRIBUTES, Pictures
from .fit import fit
from .grounding import astray, watched

BATCH, DROPPED, GAMMA, LONGEST = 32, 0.1, 5.0, 32
GROUNDED = 0.05                                         # how much words that look elsewhere count
SAID = ("object", "colour", "background")               # the words that have a place
SCHEDULE: dict[str, Any] = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000,
                set_alpha_to_one=False, steps_offset=1, clip_sample=False, prediction_type="epsilon")
END = "<|endoftext|>"


def tokenizer(folder: Path) -> CLIPTokenizer:
    """CLIP's kind of byte pairs, of which every word of the world's captions is one token.  The same on every machine."""
    words = sorted({word for wording in range(len(WORDINGS) * len(STYLE_WORDINGS)) for style in STYLE_NAMES
                    for name, known in {**ATTRIBUTES, "style": (style,)}.items() for value in known
                    for word in Scene(**{"style": style, name: value}).caption(wording).split()})
    letters = [chr(c) for c in range(33, 127)]
    vocab, merges = [*letters, *(c + "</w>" for c in letters)], []
    for word in words:
        pairs = models.BPE({token: i for i, token in enumerate(vocab)}, merges, end_of_word_suffix="</w>")
        first, *rest = (token.value for token in pairs.tokenize(word))
        for part in rest:                               # a merge that is learned later never comes in an earlier word's way
            merges.append((first, part))
            vocab.append(first := first + part)
    tokens = [*vocab, "<|startoftext|>", END]
    made = CLIPTokenizer(vocab={token: i for i, token in enumerate(tokens)}, merges=merges, model_max_length=LONGEST)
    made.save_pretrained(folder)
    return read_tokenizer(folder)


def read_tokenizer(folder: Path) -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(folder)


class Denoiser(nn.Module):
    """Text encoder and U-Net as one thing to train."""

    def __init__(self, vocabulary: int, end: int, channels: int):
        super().__init__()
        torch.manual_seed(0)
        self.text = CLIPTextModel(CLIPTextConfig(
            vocab_size=vocabulary, hidden_size=128, intermediate_size=384, num_hidden_layers=3, num_attention_heads=4,
            max_position_embeddings=LONGEST, projection_dim=128, eos_token_id=end, bos_token_id=end - 1, pad_token_id=end))
        self.unet = UNet2DConditionModel(
            sample_size=16, in_channels=channels, out_channels=channels, block_out_channels=(64, 128, 160), layers_per_block=1,
            down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
            cross_attention_dim=128, attention_head_dim=(2, 4, 5), norm_num_groups=16,
        ).to(memory_format=torch.channels_last)

    def read(self, folder: Path) -> None:
        """The weights of a checkpoint that is there."""
        for net, name in ((self.unet, "unet"), (self.text, "text_encoder")):
            net.load_state_dict(type(net).from_pretrained(folder / name).state_dict())

    def forward(self, z: Tensor, t: Tensor, tokens: Tensor) -> Tensor:
        return self.unet(z, t, self.text(tokens).last_hidden_state).sample


def signals() -> Tensor:
    """The share of the signal in a latent's variance, at each level of the schedule.  (t,)"""
    return DDIMScheduler(**SCHEDULE).alphas_cumprod


def noised(z: Tensor, noise: Tensor, signal: Tensor) -> Tensor:
    """Latents (b c h w) with noise, at a level each; signal (b,)."""
    a = signal[:, None, None, None]
    return a.sqrt() * z + (1 - a).sqrt() * noise


def wrong(said: Tensor, noise: Tensor, signal: Tensor) -> Tensor:
    """Mean squared error of what is said of the noise (b c h w), weighted by min-SNR.  (b,)"""
    snr = signal / (1 - signal)
    weight = (snr.clamp(max=GAMMA) / snr).to(said)
    return weight * (said - noise.to(said)).square().mean((1, 2, 3))


def train(net: Denoiser, clip: CLIPTokenizer, seen: Pictures, latents: Tensor, steps: int, state: Path) -> None:
    """`latents` (many c h w), scaled to a standard deviation of one."""
    device = next(net.parameters()).device
    signal = signals()
    captions = [[seen.caption(i, w) for w in range(len(WORDINGS) * len(STYLE_WORDINGS))] for i in range(len(seen.pixels))]
    tokens = {said: None for row in captions for said in row} | {"": None}
    read = clip(list(tokens), padding="max_length", truncation=True, return_tensors="pt").input_ids
    tokens = dict(zip(tokens, read, strict=True))
    words = torch.tensor([[clip(seen.value(i, name)).input_ids[1] for name in SAID] for i in range(len(seen.pixels))])
    covers = torch.from_numpy(seen.covers)[:, None]

    def loss(generator):
        draw = lambda high, many=BATCH: torch.randint(high, (many,), generator=generator)
        chosen, wording, t = draw(len(latents)), draw(len(captions[0])), draw(len(signal))
        dropped = torch.rand(BATCH, generator=generator) < DROPPED
        said = torch.stack([tokens["" if no else captions[i][w]] for i, w, no in zip(chosen, wording, dropped, strict=True)])
        noise = torch.randn(BATCH, *latents.shape[1:], generator=generator)
        z = noised(latents[chosen], noise, signal[t]).contiguous(memory_format=torch.channels_last)
        with watched(net.unet) as maps:
            out = net(z.to(device), t.to(device), said.to(device)).float()
        where = (said[:, None] == words[chosen][..., None]).int().argmax(-1).to(device)
        elsewhere = astray(maps, where, (covers[chosen] / 255).to(device))
        return (wrong(out, noise, signal[t]) + GROUNDED * (signal[t] * ~dropped).to(device) * elsewhere).mean()

    fit(net, loss, steps, 8e-4, state, "training the denoiser", every=100)
