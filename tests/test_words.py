"""Words of prompts, and how two prompts stand to each other."""

import pytest
import torch
from checkpoints import tokenizer as written
from hypothesis import given, settings
from hypothesis import strategies as st

from newtake import words
from newtake.errors import BadInput
from newtake.models.families import clip_tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return clip_tokenizer("<|endoftext|>")


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """Eight tokens wide, start and end included; a letter a token but for a few words."""
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("words") / "tokenizer"
    written(folder, "<|endoftext|>", width=8)
    return AutoTokenizer.from_pretrained(folder)


# Words

@pytest.mark.parametrize("prompt, expected", [
    ("a road in the countryside, at night", {"a": (1,), "road": (2,), "in": (3,), "the": (4,), "countryside": (5,), "at": (7,),
                                             "night": (8,)}),
    ("A  cat\n and a Skateboarder.", {"a": (1, 4), "cat": (2,), "and": (3,), "skateboarder": (5, 6)}),
    ("the cat's (red) “toy” …", {"the": (1,), "cat's": (2, 3), "red": (5,), "toy": (9,), "…": (12,)}),
    ("photo of a café", {"photo": (1,), "of": (2,), "a": (3,), "café": (4,)}),
    ("", {}),
])
def test_spans(tokenizer, prompt, expected):
    assert words.spans(tokenizer, prompt) == expected


def test_find(tokenizer):
    spans = words.spans(tokenizer, "A silver jeep, on a road in the countryside")
    assert words.find(spans, "Jeep") == words.find(spans, ["jeep,"]) == (3,)
    assert words.find(spans, "silver jeep") == words.find(spans, ["jeep", "silver"]) == (2, 3)
    assert words.find(spans, "a") == (1, 6)
    assert words.find(spans, []) == ()


def test_absent_words_are_told(tokenizer):
    spans = words.spans(tokenizer, "a red car")
    for ask in (lambda: words.find(spans, "boat"), lambda: words.weights(spans, {"boat": 2.0}, 77),
                lambda: words.shares(spans, {"boat": 0.5})):
        with pytest.raises(BadInput, match=r"^'boat' is not in the prompt; its words are a, red, car$"):
            ask()


def test_lost(short, tokenizer):
    assert words.lost(tokenizer, "a cat") == []
    assert words.lost(short, "a red car on the grass") == []             # six words, six tokens
    assert words.lost(short, "a red car on the grass, Jeep!") == ["Jeep"]
    assert words.lost(short, "a red car on the zebra") == ["zebra"]      # of its five tokens one is read
    spans = words.spans(short, "a red car on the grass, Jeep!")
    assert spans["jeep"] == ()
    with pytest.raises(BadInput, match="further on"):
        words.find(spans, "jeep")


def test_weights_and_shares(tokenizer):
    spans = words.spans(tokenizer, "a silver jeep and a cat")
    factors = words.weights(spans, {"jeep": 2.0, "a": -1.0}, 77)
    assert factors.shape == (77,) and factors[3] == 2 and factors[[1, 5]].tolist() == [-1, -1]
    assert factors.sum() == 77 + 1 - 4
    assert words.shares(spans, {"jeep": 0.4, "a": (0.2, 1.0)}) == {3: (0.0, 0.4), 1: (0.2, 1.0), 5: (0.2, 1.0)}


# Two prompts

def test_replacement(tokenizer):
    """A word of one token for one of two, and back: what follows is shifted."""
    longer = words.replacement(tokenizer, "a man is surfing", "a skateboarder is surfing")
    assert longer[2, 2:4].tolist() == [1, 1] and longer[3, 4] == longer[4, 5] == longer[5, 6] == longer[75, 76] == 1
    shorter = words.replacement(tokenizer, "a skateboarder is surfing", "a man is surfing")
    assert shorter[2:4, 2].tolist() == [0.5, 0.5] and shorter[4, 3] == shorter[5, 4] == shorter[6, 5] == shorter[76, 75] == 1
    assert words.replacement(tokenizer, "a  cat", "a dog,")[2, 2] == 1          # double spaces are one


def test_replacement_needs_as_many_words(tokenizer):
    with pytest.raises(BadInput, match=r"has 2.* has 3"):
        words.replacement(tokenizer, "a cat", "a black cat")


def test_replacement_of_words_cut_off(short):
    table = words.replacement(short, "zebra cat", "cat zebra")          # the source's cat is beyond what is read
    assert table.shape == (8, 8) and torch.allclose(table.sum(0), torch.ones(8))


def test_refinement(tokenizer):
    source_of, known = words.refinement(tokenizer, "a cat on a mat", "a black cat lying on a mat")
    assert source_of[:9].tolist() == [0, 1, -1, 2, -1, 3, 4, 5, 6]
    assert known[:9].tolist() == [1, 1, 0, 1, 0, 1, 1, 1, 1]
    assert known[9:].all() and source_of[9:].tolist() == [*range(7, 75)]        # its padding is the source's
    source_of, _ = words.refinement(tokenizer, "a black cat lying on a mat", "a cat")
    assert source_of[3:].tolist() == [*range(8, 77), *[76] * 5]
    source_of, _ = words.refinement(tokenizer, "a black cat lying on a mat", "a cat", published=True)
    assert source_of[4:].tolist() == [*range(4, 77)]                            # which are words of the source


prompts = st.lists(st.sampled_from(["a", "cat", "skateboarder", "countryside,", "well-known", "12"]), min_size=1, max_size=9)


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_columns_of_a_replacement_sum_to_one(tokenizer, data):
    source = data.draw(prompts)
    target = data.draw(st.permutations(source) | prompts.filter(lambda other: len(other) == len(source)))
    table = words.replacement(tokenizer, " ".join(source), " ".join(target))
    assert torch.allclose(table.sum(0), torch.ones(77)) and table.min() >= 0


@settings(deadline=None, max_examples=40)
@given(prompts, prompts)
def test_a_refinement_keeps_tokens_and_their_order(tokenizer, source, target):
    source, target = " ".join(source), " ".join(target)
    source_of, known = words.refinement(tokenizer, source, target)
    ids = [tokenizer(prompt, padding="max_length", max_length=77).input_ids for prompt in (source, target)]
    pairs = [(i, j) for j, i in enumerate(source_of.tolist()) if i >= 0]
    assert all(ids[0][i] == ids[1][j] for i, j in pairs)
    assert [i for i, _ in pairs] == sorted(i for i, _ in pairs)
    assert torch.equal(known, (source_of >= 0).float())
    same, _ = words.refinement(tokenizer, source, source)
    assert torch.equal(same, torch.arange(77))
