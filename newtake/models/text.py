"""Prompts to what the network reads, encoded here and not by a pipeline: CLIP's text models of Stable Diffusion."""

from collections.abc import Sequence
from copy import copy
from typing import Any, final

import torch
from torch import Tensor

from ..words import Tokenizer, lost, spans
from .model import Text


@final
class TextEncoders:
    """One encoder's last hidden states (SD 1.x, 2.x); or SDXL's: the last but one, side by side, and a pooled vector."""

    def __init__(
        self,
        tokenizers: Sequence[Tokenizer],
        encoders: Sequence[Any],                        # transformers' text models, one a tokenizer
        pooled: bool = False,                           # SDXL's way
        empty_is_zero: bool = False,                    # the empty prompt is all zeros (SDXL was trained so)
    ):
        self.encoders, self.pooled, self.empty_is_zero = tuple(encoders), pooled, empty_is_zero
        self.tokenizers = tuple(as_wide(*both) for both in zip(tokenizers, encoders, strict=True))

    def __call__(self, *prompts: str) -> Text:
        """A row a prompt; with gradients, where they are on and an encoder learns."""
        told = [self._ask(*both, prompts) for both in zip(self.tokenizers, self.encoders, strict=True)]
        tokens = torch.cat([hidden for hidden, _ in told], -1)
        extra = {"text_embeds": told[-1][1]} if self.pooled else {}
        if self.empty_is_zero:
            said = torch.tensor([bool(prompt.strip()) for prompt in prompts]).to(tokens)
            tokens = tokens * said[:, None, None]
            extra = {name: rows * said[:, None] for name, rows in extra.items()}
        return Text(tokens, extra, tuple(spans(self.tokenizers[0], prompt) for prompt in prompts))

    def _ask(self, tokenizer: Tokenizer, encoder: Any, prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Hidden states (r m c) and, of an encoder that projects it, the pooled vector (r c), in float32."""
        ids = tokenizer(list(prompts), padding="max_length", truncation=True, max_length=tokenizer.model_max_length,
                        return_tensors="pt").input_ids
        out = encoder(ids.to(encoder.device), output_hidden_states=self.pooled)
        hidden = out.hidden_states[-2] if self.pooled else out.last_hidden_state
        return hidden.float(), out[0].float()

    def lost(self, prompt: str) -> list[str]:
        """The words that the encoder does not read."""
        return lost(self.tokenizers[0], prompt)


def as_wide(tokenizer: Tokenizer, encoder: Any) -> Tokenizer:
    """The tokenizer, no wider than its encoder reads; a copy where it was."""
    width = encoder.config.max_position_embeddings
    if tokenizer.model_max_length <= width:
        return tokenizer
    own = copy(tokenizer)
    own.model_max_length = width
    return own
