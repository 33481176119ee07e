"""From the words of a prompt to the tokens of its encoder, and from one prompt's tokens to another's.

A token's position counts from the start token, 0.  Prompts are as wide as the tokenizer says (`model_max_length`, 77 for
CLIP), padding included; what is further on is lost.  `published=True` gives the tables of Prompt-to-Prompt's own code
(Hertz et al., ICLR 2023, arXiv 2208.01626), its quirks included.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from .errors import BadInput

Tokenizer = Any                                         # a fast tokenizer of transformers: it knows character offsets
Spans = Mapping[str, tuple[int, ...]]                   # word -> positions of its tokens, () where the prompt is too long
Share = float | tuple[float, float]                     # until; or from, until (shares of the steps, 0..1)


def spans(tokenizer: Tokenizer, prompt: str, published: bool = False) -> dict[str, tuple[int, ...]]:
    """The words of a prompt as people mean them, in small letters and without the punctuation around them.

    A word that is there twice has the tokens of both.  `published`: what stands between two spaces, punctuation and all.
    """
    found: dict[str, tuple[int, ...]] = {}
    if published:
        pairs = zip(prompt.split(" "), by_length(tokenizer, prompt), strict=True)
    else:
        offsets = encoded(tokenizer, prompt)[1]
        pairs = ((prompt[a:b].lower(), within(offsets, a, b)) for a, b in (core(prompt, *ends) for ends in cut(prompt)))
    for word, tokens in pairs:
        found[word] = found.get(word, ()) + tokens
    return found


def find(spans: Spans, words: str | Iterable[str]) -> tuple[int, ...]:
    """Positions of the tokens of words as people type them ("silver jeep", ["Jeep,"]), in order.

    BadInput where one is not in the prompt, or was cut off.
    """
    found: set[int] = set()
    for typed in (words if isinstance(words, str) else " ".join(words)).split():
        word = typed if typed in spans else plain(typed)
        if word not in spans:
            raise BadInput(f"{typed!r} is not in the prompt; its words are {', '.join(spans) or 'none'}")
        if not spans[word]:
            raise BadInput(f"{typed!r} is further on in the prompt than its encoder reads; shorten the prompt")
        found.update(spans[word])
    return tuple(sorted(found))


def plain(typed: str) -> str:
    """A word as `spans` has it: "Jeep," is jeep."""
    a, b = core(typed, 0, len(typed))
    return typed[a:b].lower()


def lost(tokenizer: Tokenizer, prompt: str) -> list[str]:
    """The words, in order and as typed, that the encoder does not read, or reads only the beginning of."""
    end = len(encoded(tokenizer, prompt)[0]) - 1
    everything = encoded(tokenizer, prompt, whole=True)[1]
    return [prompt[a:b] for a, b in (core(prompt, *ends) for ends in cut(prompt))
            if max(within(everything, a, b), default=0) >= end]


def weights(spans: Spans, factors: Mapping[str, float], width: int) -> Tensor:
    """By how much the attention to each token of the target is multiplied.  (m*,), 1 where nothing is said."""
    table = torch.ones(width)
    for word, factor in factors.items():
        table[list(find(spans, word))] = factor
    return table


def shares(spans: Spans, words: Mapping[str, Share]) -> dict[int, tuple[float, float]]:
    """From and until which share of the steps the tokens of these words take their maps from the source."""
    since_until = {word: share if isinstance(share, tuple) else (0.0, float(share)) for word, share in words.items()}
    return {token: share for word, share in since_until.items() for token in find(spans, word)}


def replacement(tokenizer: Tokenizer, source: str, target: str, published: bool = False) -> Tensor:
    """The share of each source token in each target token, word by word.  (m, m*), its columns sum to 1.

    BadInput unless the prompts have equally many words.  `published`: a target token takes from every token of the source's
    word a share of one by the number of *target* tokens, and what follows the last changed word is not shifted.
    """
    if (here := len(source.split())) != (there := len(target.split())):
        raise BadInput(f"a swap needs prompts of as many words; {source!r} has {here}, {target!r} has {there}: refine instead")
    if published:
        return published_replacement(tokenizer, source, target)
    (sources, end), (targets, end_) = by_word(tokenizer, source), by_word(tokenizer, target)
    width = tokenizer.model_max_length
    table = after(end, end_, width).new_zeros(width, width, dtype=torch.float)
    table[after(end, end_, width), torch.arange(width)] = 1
    for here, there in zip(sources, targets, strict=True):
        here = here or (end,)                           # the source's word was cut off
        table[:, list(there)] = 0
        if len(here) == len(there):
            table[list(here), list(there)] = 1
        else:
            table[torch.tensor(here)[:, None], torch.tensor(there, dtype=torch.long)] = 1 / len(here)
    return table


def refinement(tokenizer: Tokenizer, source: str, target: str, published: bool = False) -> tuple[Tensor, Tensor]:
    """The source token that each target token is, and whether there is one.  (m*,) long, -1: none; (m*,) 1 or 0

    The padding of the target is the source's.  `published`: by position, so that a shorter target's padding takes the
    maps of words.
    """
    x, y = (encoded(tokenizer, prompt)[0] for prompt in (source, target))
    width = tokenizer.model_max_length
    source_of = torch.arange(width) if published else after(len(x), len(y), width)
    source_of[:len(y)] = torch.tensor(align(x, y))
    return source_of, (source_of >= 0).float()


def align(x: list[int], y: list[int]) -> list[int]:
    """Needleman and Wunsch (1970): for each token of y the place of the same token in x, or -1.

    A gap costs 0, a match gives 1, a mismatch -1.  Of equal ways a token more in y is taken first, then one more in x.
    """
    score = [[0] * (len(y) + 1) for _ in range(len(x) + 1)]
    for i, a in enumerate(x, 1):
        for j, b in enumerate(y, 1):
            score[i][j] = max(score[i][j - 1], score[i - 1][j], score[i - 1][j - 1] + (1 if a == b else -1))
    i, j, source_of = len(x), len(y), [-1] * len(y)
    while j > 0:
        if score[i][j] == score[i][j - 1]:
            j -= 1
        elif score[i][j] == score[i - 1][j]:
            i -= 1
        else:
            i, j = i - 1, j - 1
            source_of[j] = i
    return source_of


def after(end: int, end_: int, width: int) -> Tensor:
    """Positions of the source as the target counts them from its own end.  (m*,) long"""
    return (torch.arange(width) + end - end_).clamp(0, width - 1)


# Words of a prompt, by character

def encoded(tokenizer: Tokenizer, prompt: str, whole: bool = False) -> tuple[list[int], list[tuple[int, int]]]:
    """Token ids, start and end included, without padding; and the characters each stands for."""
    limit = {} if whole else dict(truncation=True, max_length=tokenizer.model_max_length)
    told = tokenizer(prompt, return_offsets_mapping=True, verbose=False, **limit)
    return told["input_ids"], told["offset_mapping"]


def by_word(tokenizer: Tokenizer, prompt: str) -> tuple[list[tuple[int, ...]], int]:
    """The tokens of each word with its punctuation; and the position of the end token."""
    ids, offsets = encoded(tokenizer, prompt)
    return [within(offsets, a, b) for a, b in cut(prompt)], len(ids) - 1


def cut(prompt: str) -> list[tuple[int, int]]:
    return [match.span() for match in re.finditer(r"\S+", prompt)]


def core(prompt: str, a: int, b: int) -> tuple[int, int]:
    """Without the punctuation around it, unless there is nothing else."""
    is_mark = [unicodedata.category(c).startswith("P") for c in prompt[a:b]]
    if all(is_mark):
        return a, b
    return a + is_mark.index(False), b - is_mark[::-1].index(False)


def within(offsets: list[tuple[int, int]], a: int, b: int) -> tuple[int, ...]:
    """Positions of the tokens that stand for some of the characters a:b."""
    return tuple(i for i, (start, end) in enumerate(offsets) if start < end and start < b and a < end)


# Prompt-to-Prompt's seq_aligner and ptp_utils, at commit 9c472e4

def by_length(tokenizer: Tokenizer, prompt: str) -> list[tuple[int, ...]]:
    """Tokens are handed out by the length of their text: a double space makes an empty word, which takes one."""
    typed = prompt.split(" ")
    tokens: list[tuple[int, ...]] = [() for _ in typed]
    word = length = 0
    for i, token in enumerate(encoded(tokenizer, prompt)[0][1:-1], 1):
        if word == len(typed):
            break
        length += len(tokenizer.decode([token]).strip("#"))
        tokens[word] += (i,)
        if length >= len(typed[word]):
            word, length = word + 1, 0
    return tokens


def published_replacement(tokenizer: Tokenizer, source: str, target: str) -> Tensor:
    pairs = zip(source.split(" "), target.split(" "), by_length(tokenizer, source), by_length(tokenizer, target), strict=True)
    changed = [(here, there) for a, b, here, there in pairs if a != b]
    if not all(here and there for here, there in changed):
        raise BadInput(f"the published alignment reads neither double spaces nor long prompts, as in {source!r}, {target!r}")
    width = tokenizer.model_max_length
    table = torch.zeros(width, width)
    i = j = 0
    while i < width and j < width:
        if changed and changed[0][0][0] == i:
            here, there = map(list, changed.pop(0))
            if len(here) == len(there):
                table[here, there] = 1
            else:
                table[torch.tensor(here)[:, None], torch.tensor(there, dtype=torch.long)] = 1 / len(there)
            i, j = i + len(here), j + len(there)
        else:
            table[(i if changed else j), j] = 1
            i, j = i + 1, j + 1
    return table
