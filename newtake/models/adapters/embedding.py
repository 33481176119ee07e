"""Textual inversion files: vectors that text encoders read for a new word.

Textual Inversion (Gal et al., ICLR 2023, arXiv 2208.01618), as diffusers writes it ({word: vectors}), as A1111's web UI does
(string_to_param; emb_params), and of SDXL's two encoders (clip_l, clip_g).  A file that does not say its word is called by its
name.  A word of several vectors is several tokens and one span: the tokenizer writes it out before it cuts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ...errors import BadInput
from ...words import Tokenizer, plain
from ..folder import names
from ..parts import Parts, branch, opened

SUFFIXES = (".safetensors", ".bin", ".pt", ".pth")
SDXL = ("clip_l", "clip_g")                             # by encoder
MARKS = ("string_to_param", "emb_params", *SDXL)


def reads(path: Path, trust: bool) -> bool:
    if path.suffix not in SUFFIXES or not path.is_file():
        return False
    found = names([path], trust)
    return any(mark in found for mark in MARKS) or (found != [] and not any("." in name for name in found))


def put(parts: Parts, path: Path, weight: float, trust: bool) -> Parts:
    """The parts with the file's words.  BadInput where one is there already, or its vectors are of another encoder."""
    if weight not in (0, 1):
        raise BadInput(f"{path.name} adds words, which are there or not: its weight is 1 or 0, not {weight:g}")
    for word, vectors in words_of(opened(path, trust), path).items():
        with_it = with_word(parts, word, vectors, str(path))
        parts = with_it if weight else parts
    return parts


def words_of(weights: Mapping[str, Any], path: Path) -> dict[str, list[Tensor]]:
    """Each word's vectors (n c), of each encoder."""
    if "string_to_param" in weights:
        inside = weights["string_to_param"]
        if not isinstance(inside, Mapping) or not inside:
            raise BadInput(f"{path} holds no vectors of a word")
        told = {str(weights.get("name") or path.stem): [next(iter(inside.values()))]}
    elif any(name in weights for name in SDXL):
        if missing := [name for name in SDXL if name not in weights]:
            raise BadInput(f"{path} lacks {missing[0]}, one of the vectors of SDXL's two encoders")
        told = {path.stem: [weights[name] for name in SDXL]}
    elif "emb_params" in weights:
        told = {path.stem: [weights["emb_params"]]}
    else:
        told = {word: [vectors] for word, vectors in weights.items()}
    if wrong := [word for word, own in told.items() for one in own if not isinstance(one, Tensor) or one.ndim not in (1, 2)]:
        raise BadInput(f"{path} is no textual inversion: {wrong[0]} is no row of vectors")
    return {word: [one.reshape(-1, one.shape[-1]) for one in own] for word, own in told.items()}


def with_word(parts: Parts, word: str, vectors: Sequence[Tensor], where: str = "it") -> Parts:
    """The parts with one word more, of n tokens: its vectors (n c) of each encoder.  BadInput where they do not fit.

    where: who brings it, for what is said of mistakes.
    """
    if not word or word.split() != [word] or plain(word) != word.lower():
        raise BadInput(f"{where} brings {word!r}, which is no one word without punctuation around it; rename the file")
    here, there = [net.get_input_embeddings().embedding_dim for net in parts.encoders], [own.shape[1] for own in vectors]
    if here != there:
        said = lambda widths: " and ".join(map(str, widths)) or "none"
        raise BadInput(f"{where} is for other text encoders: vectors of {said(there)} numbers, here of {said(here)}")
    many = {len(own) for own in vectors}
    if len(many) > 1 or 0 in many:
        raise BadInput(f"{where} brings {word!r} with {' and '.join(map(str, sorted(many)))} vectors; encoders need as many")
    if taken(word, parts.tokenizers[0]):
        raise BadInput(f"{where} brings {word!r}, which is in the vocabulary already; give it a name that is not")
    tokenizers = [named(tokenizer, word, *many) for tokenizer in parts.tokenizers]
    encoders = [grown(net, tokenizer, tokens_of(word, *many), own)
                for net, tokenizer, own in zip(parts.encoders, tokenizers, vectors, strict=True)]
    return replace(parts, tokenizers=tokenizers, encoders=encoders)


# In the vocabulary

def tokens_of(word: str, many: int) -> list[str]:
    return [word] if many == 1 else [f"{word}_{i}" for i in range(many)]


def taken(word: str, tokenizer: Tokenizer) -> bool:
    ids = tokenizer(word, add_special_tokens=False).input_ids
    return (len(ids) == 1 and ids[0] != tokenizer.unk_token_id) or f"{word}_0" in tokenizer.get_vocab()


def named(tokenizer: Tokenizer, word: str, many: int) -> Tokenizer:
    """A tokenizer that knows the word too.  Of several tokens each stands for the word's last character in a prompt."""
    from tokenizers import AddedToken, Regex, normalizers

    own = deepcopy(tokenizer)
    own.add_tokens([AddedToken(token, single_word=True, normalized=True) for token in tokens_of(word, many)])
    if many > 1:
        backend = own.backend_tokenizer
        write_out = normalizers.Replace(Regex(rf"(?i)(?<!\w){re.escape(word)}(?!\w)"), " ".join(tokens_of(word, many)))
        backend.normalizer = normalizers.Sequence([write_out, *[backend.normalizer] * (backend.normalizer is not None)])
    return own


# In the encoder

def grown(encoder: Any, tokenizer: Tokenizer, tokens: Sequence[str], vectors: Tensor) -> Any:
    """An encoder with a row more for each of these tokens."""
    own = branch(encoder)
    table = own.get_input_embeddings().weight.detach()
    ids = tokenizer.convert_tokens_to_ids(list(tokens))
    rows = table.new_zeros(max(len(table), *(i + 1 for i in ids)), table.shape[1])
    rows[:len(table)] = table
    rows[ids] = vectors.to(rows)
    own.set_input_embeddings(nn.Embedding.from_pretrained(rows))
    own.config.vocab_size = len(rows)
    for module in own.modules():                        # with 2, transformers takes the token of the highest number for the end
        if vars(module).get("eos_token_id") == 2:
            module.eos_token_id = tokenizer.eos_token_id
    return own
