"""Prompt-to-Prompt's own tables (google/prompt-to-prompt, seq_aligner and ptp_utils), of every case with pairs of prompts."""

from itertools import product

import pytest
import torch
from cases import MORE, Case, found

from newtake import words
from newtake.errors import BadInput
from newtake.levels import Level
from newtake.models.families import clip_tokenizer

PAIRS = [(case, pair) for case in found(lambda case: "pairs" in case.told) for pair in case.told["pairs"]]

pytestmark = pytest.mark.skipif(not PAIRS, reason=f"no alignment fixtures in {MORE}; NEWTAKE_FIXTURES names the folder")
each = pytest.mark.parametrize("case, pair", PAIRS, ids=[f"{case.folder.name}-{pair['id']}" for case, pair in PAIRS])


@pytest.fixture(scope="module")
def tokenizer():
    return clip_tokenizer("<|endoftext|>")


def tensors(case: Case, prefix: str) -> dict[str, torch.Tensor]:
    return {name: z for name, z in case.tensors.items() if name.startswith(prefix)}


def level(step: int, of: int) -> Level:
    return Level(1.0, 1.0, 0.0, step, of)


@each
def test_token_ids(tokenizer, case, pair):
    for prompt, ids in zip(pair["prompts"], pair["token_ids"], strict=True):
        assert words.encoded(tokenizer, prompt)[0] == ids


@each
def test_words(tokenizer, case, pair):
    for prompt, by_word, by_place in zip(
        pair["prompts"], pair["word_indices"], pair["word_indices_by_position"], strict=True
    ):
        assert words.spans(tokenizer, prompt, published=True) == {word: tuple(at) for word, at in by_word.items()}
        assert words.by_length(tokenizer, prompt) == [tuple(at) for at in by_place]
        ours = words.spans(tokenizer, prompt)
        for word, at in by_word.items():
            if word.isalpha() and at:              # neither punctuation nor double spaces
                assert set(at) <= set(ours[word.lower()])


@each
def test_refinement(tokenizer, case, pair):
    stored = tensors(case, f"pair{pair['id']}.refine")
    source, *targets = pair["prompts"]
    for i, target in enumerate(targets):
        source_of, known = words.refinement(tokenizer, source, target, published=True)
        assert torch.equal(source_of, stored[f"pair{pair['id']}.refine_mapper"][i].long())
        assert torch.equal(known, stored[f"pair{pair['id']}.refine_alphas"][i].float())


@each
def test_replacement(tokenizer, case, pair):
    source, *targets = pair["prompts"]
    if "replace_error" in pair:
        for target in targets:
            with pytest.raises(BadInput):
                words.replacement(tokenizer, source, target, published=True)
        return
    for i, target in enumerate(targets):
        table = words.replacement(tokenizer, source, target, published=True)
        stored = torch.zeros_like(table)
        for number, here, there, share in pair["replace_nonzero"]:
            if number == i:
                stored[here, there] = share
        assert torch.equal(table, stored)
        ours = words.replacement(tokenizer, source, target)
        assert torch.allclose(ours.sum(0), torch.ones(len(ours)))
        if not pair["replace_column_sums_not_one"][i]:          # the quirk did not show: then both agree
            assert torch.equal(ours, table)


@each
def test_equalizer(tokenizer, case, pair):
    asked = pair["equalizer"]
    spans = words.spans(tokenizer, pair["prompts"][asked["on_prompt"]], published=True)
    stored = tensors(case, asked["tensor"])[asked["tensor"]].reshape(-1)
    factors = dict(zip(asked["words"], asked["values"], strict=True))
    exact = torch.ones_like(stored)
    for word, factor in factors.items():
        exact[list(spans.get(word, ()))] = factor
    assert torch.equal(exact, stored)
    absent = [word for word in factors if word not in spans]
    for word in absent:
        with pytest.raises(BadInput, match="its words are"):
            words.weights(spans, {word: factors[word]}, len(stored))
    plain = {word: factor for word, factor in factors.items() if spans.get(word) and words.plain(word) == word}
    if plain and len(plain) + len(absent) == len(factors):      # no punctuation, no capitals: ours is the same
        assert torch.equal(words.weights(spans, plain, len(stored)), stored)


@each
def test_time_tables(tokenizer, case, pair):
    tables = pair.get("alpha_tables", [])
    stored = tensors(case, f"pair{pair['id']}.alpha")
    for (i, target), asked in product(enumerate(pair["prompts"][1:]), tables):
        spans = words.spans(tokenizer, target, published=True)
        share = asked["cross_replace_steps"]
        per_word = dict(share) if isinstance(share, dict) else {"default_": share}
        default = per_word.pop("default_", 1.0)
        known = {word: s if isinstance(s, float) else tuple(s) for word, s in per_word.items() if spans.get(word)}
        everywhere = tuple(default) if isinstance(default, list) else (0.0, float(default))
        table = dict.fromkeys(range(tokenizer.model_max_length), everywhere) | words.shares(spans, known)
        if "error" in asked:                            # a whole number of steps: 1 is read as 1.0
            assert set(table.values()) == {(0.0, float(share))}
            continue
        exact = torch.tensor([
            [level(k, asked["steps"]).inside(b, 1) and not level(k, asked["steps"]).inside(a, 1)
             for a, b in table.values()]
            for k in range(asked["steps"] + 1)
        ])
        assert torch.equal(exact.float(), stored[asked["tensor"]][:, i])
