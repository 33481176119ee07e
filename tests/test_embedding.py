"""Textual inversion files bring words: they end in the prompt's tokens and vectors, and are found as one span."""

import pytest
import torch
from checkpoints import folder, said
from safetensors.torch import save_file
from torch import nn

import newtake
from newtake.errors import BadInput
from newtake.methods.request import request
from newtake.models.adapters.embedding import put, with_word
from newtake.models.folder import read
from newtake.words import align, encoded, find, replacement

PROMPT = "A red <Zorb>, on the grass"


@pytest.fixture(scope="module")
def sd1(tmp_path_factory):
    return folder(tmp_path_factory.mktemp("words") / "sd1", "sd1")


@pytest.fixture(scope="module")
def sdxl(tmp_path_factory):
    return folder(tmp_path_factory.mktemp("words") / "sdxl", "sdxl")


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def load(path, file, **options):
    return newtake.load(path, device="cpu", adapters={str(file): 1}, **options)


def embedded(model, prompt, i=0):
    """What an encoder's first layer makes of the tokens of a prompt."""
    ids = model.encoders.tokenizers[i](prompt, return_tensors="pt").input_ids
    return model.encoders.encoders[i].get_input_embeddings()(ids)[0]


FORMS = {
    "diffusers": lambda vectors: ("x.safetensors", {"<zorb>": vectors}),
    "A1111's safetensors": lambda vectors: ("<zorb>.safetensors", {"emb_params": vectors}),
    "A1111's": lambda vectors: ("x.pt", {"string_to_token": {"*": 265}, "string_to_param": {"*": vectors}, "name": "<zorb>",
                                         "step": 100, "sd_checkpoint": None, "sd_checkpoint_name": None}),
    "Gal's": lambda vectors: ("<zorb>.pt", {"string_to_token": {"*": torch.tensor(265)}, "string_to_param": {"*": vectors}}),
    "diffusers' pickle": lambda vectors: ("learned_embeds.bin", {"<zorb>": vectors}),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("many", [1, 3])
def test_a_word_of_every_form(sd1, tmp_path, form, many):
    vectors = drawn(many, 64)
    name, told = FORMS[form](vectors[0] if form == "diffusers" and many == 1 else vectors)
    (save_file if name.endswith(".safetensors") else torch.save)(told, tmp_path / name)
    plain, model = newtake.load(sd1, device="cpu"), load(sd1, tmp_path / name, trust=True)
    assert torch.equal(embedded(model, PROMPT)[3:3 + many], vectors)
    for rest in (slice(None, 3), slice(3 + many, None)):        # the other words are what they were
        before = embedded(plain, "A red, on the grass")
        assert torch.equal(embedded(model, PROMPT)[rest], before[rest if rest.stop else slice(3, None)])
    spans = model.text(PROMPT).spans[0]
    assert spans["<zorb>"] == tuple(range(3, 3 + many)) == find(spans, "<zorb>,") and spans["on"] == (4 + many,)
    assert torch.equal(model.text("a car on the grass").tokens, plain.text("a car on the grass").tokens)
    assert not torch.equal(model.text(PROMPT).tokens, plain.text(PROMPT).tokens)


def test_where_a_word_is_one(sd1, tmp_path):
    save_file({"emb_params": drawn(2, 64)}, tmp_path / "zorb.safetensors")
    tokenizer = load(sd1, tmp_path / "zorb.safetensors").tokenizer
    tokens = lambda prompt: tokenizer.convert_ids_to_tokens(encoded(tokenizer, prompt)[0])[1:-1]
    assert tokens("zorb ZORB (zorb)")[:4] == ["zorb_0", "zorb_1"] * 2 and tokens("(zorb)")[1:3] == ["zorb_0", "zorb_1"]
    assert not any("_" in token for token in tokens("zorbs azorb zorb2"))


def test_words_side_by_side(sd1, tmp_path):
    save_file({"<one>": drawn(2, 64), "<two>": drawn(64, seed=1)}, tmp_path / "x.safetensors")
    save_file({"<three>": drawn(1, 64, seed=2)}, tmp_path / "y.safetensors")
    model = newtake.load(sd1, device="cpu", adapters={str(tmp_path / f"{name}.safetensors"): 1 for name in "xy"})
    prompt = "<three> a <one> <two>"
    assert model.text(prompt).spans[0] == {"<three>": (1,), "a": (2,), "<one>": (3, 4), "<two>": (5,)}
    assert torch.equal(embedded(model, prompt)[[3, 4, 5, 1]], torch.cat([drawn(2, 64), drawn(1, 64, seed=1),
                                                                         drawn(1, 64, seed=2)]))


def test_methods_know_where_the_word_is(sd1, tmp_path):
    save_file({"emb_params": drawn(3, 64)}, tmp_path / "<zorb>.safetensors")
    model = load(sd1, tmp_path / "<zorb>.safetensors")
    ask = request(model, "a red car on the grass", "a red <zorb> on the grass", weights={"<zorb>": 2})
    assert ask.changes[0].source == (3,) and ask.changes[0].target == (3, 4, 5)
    table = replacement(model.tokenizer, "a red car on the grass", "a red <zorb> on the grass")
    assert table[3, 3:6].tolist() == [1, 1, 1] and table[4, 6] == 1
    there = [encoded(model.tokenizer, prompt)[0] for prompt in ("a red car", "a red <zorb>")]
    assert align(*there) == [0, 1, 2, -1, -1, -1, 4]
    assert model.lost("a " * 74 + "<zorb>") == ["<zorb>"]


def test_both_encoders_of_sdxl(sdxl, tmp_path):
    """The pooled vector is that of the end, though the new words' numbers are higher (the published configs say eos 2)."""
    from transformers import CLIPTextModelWithProjection

    published = CLIPTextModelWithProjection.from_pretrained(sdxl / "text_encoder_2")
    published.config.eos_token_id = 2
    published.save_pretrained(sdxl / "text_encoder_2")
    told = {"clip_l": drawn(2, 64), "clip_g": drawn(2, 64, seed=1)}
    save_file(told, tmp_path / "<zorb>.safetensors")
    plain, model = newtake.load(sdxl, device="cpu"), load(sdxl, tmp_path / "<zorb>.safetensors")
    assert torch.equal(model.text("a red car").extra["text_embeds"], plain.text("a red car").extra["text_embeds"])
    for i, vectors in enumerate(told.values()):
        assert torch.equal(embedded(model, PROMPT, i)[3:5], vectors)
    tokenizer, encoder = model.encoders.tokenizers[1], model.encoders.encoders[1]
    ids = tokenizer([PROMPT], padding="max_length", max_length=77, return_tensors="pt").input_ids
    end = ids[0].tolist().index(tokenizer.eos_token_id)
    pooled = encoder.text_projection(encoder(ids).last_hidden_state[0, end])
    assert torch.allclose(model.text(PROMPT).extra["text_embeds"][0], pooled, atol=1e-5)


def test_weight_nought_and_others_networks(sd1, tmp_path):
    save_file({"<zorb>": drawn(2, 64)}, tmp_path / "x.safetensors")
    parts = read(sd1, torch.float32)
    rows, words = parts.encoders[0].get_input_embeddings().weight.clone(), parts.tokenizers[0].get_vocab()
    after = put(parts, tmp_path / "x.safetensors", 1, False)
    assert parts.tokenizers[0].get_vocab() == words != after.tokenizers[0].get_vocab()
    assert torch.equal(parts.encoders[0].get_input_embeddings().weight, rows)
    assert torch.equal(after.encoders[0].get_input_embeddings().weight[:len(rows)], rows)
    assert parts.encoders[0].config.vocab_size + 2 == after.encoders[0].config.vocab_size
    plain, nought = (newtake.load(sd1, device="cpu", adapters=given) for given in ({}, {str(tmp_path / "x.safetensors"): 0}))
    assert nought.hash == plain.hash != load(sd1, tmp_path / "x.safetensors").hash
    assert "1 or 0" in said(sd1, adapters={str(tmp_path / "x.safetensors"): 0.5})


def test_half_precision(sd1, tmp_path):
    save_file({"<zorb>": drawn(1, 64)}, tmp_path / "x.safetensors")
    model = load(sd1, tmp_path / "x.safetensors", dtype="bf16")
    assert torch.equal(embedded(model, PROMPT)[3], drawn(1, 64)[0].bfloat16())


# What cannot be

@pytest.mark.parametrize("name, told, line", [
    ("x", {"car": (1, 64)}, "'car', which is in the vocabulary already"),
    ("Grass", {"emb_params": (2, 64)}, "'Grass', which is in the vocabulary already"),
    ("my cat", {"emb_params": (2, 64)}, "'my cat', which is no one word"),
    ("x", {"[v]": (1, 64)}, "'[v]', which is no one word"),
    ("x", {"<zorb>": (2, 768)}, "vectors of 768 numbers, here of 64"),
    ("x", {"clip_l": (2, 64), "clip_g": (2, 64)}, "vectors of 64 and 64 numbers, here of 64"),
    ("x", {"clip_l": (2, 64)}, "lacks clip_g"),
    ("x", {"<zorb>": (2, 2, 64)}, "no row of vectors"),
    ("x", {"<zorb>": (0, 64)}, "0 vectors"),
    ("x", {}, "no adapter that is known"),
])
def test_a_word_that_cannot_be_is_one_line(sd1, tmp_path, name, told, line):
    file = tmp_path / f"{name}.safetensors"
    save_file({word: torch.zeros(shape) for word, shape in told.items()}, file)
    assert line in said(sd1, adapters={str(file): 1})


def test_the_same_word_twice(sd1, tmp_path):
    for many in (1, 2):
        for name in "xy":
            save_file({"<zorb>": drawn(many, 64)}, tmp_path / f"{name}.safetensors")
        files = {str(tmp_path / f"{name}.safetensors"): 1 for name in "xy"}
        assert "'<zorb>', which is in the vocabulary already" in said(sd1, adapters=files)


def test_pickles(sd1, tmp_path):
    torch.save({"<zorb>": drawn(1, 64)}, tmp_path / "x.bin")
    assert "--trust" in said(sd1, adapters={str(tmp_path / "x.bin"): 1})
    torch.save({"string_to_param": {"*": nn.Linear(1, 1)}}, tmp_path / "x.pt")
    assert "as weights alone" in said(sd1, trust=True, adapters={str(tmp_path / "x.pt"): 1})
    torch.save({"string_to_param": {}}, tmp_path / "x.pt")
    assert "no vectors" in said(sd1, trust=True, adapters={str(tmp_path / "x.pt"): 1})


def test_a_checkpoint_without_text_encoders(sd1):
    parts = read(sd1, torch.float32)
    parts.encoders, parts.tokenizers = (), ()
    with pytest.raises(BadInput, match="here of none"):
        with_word(parts, "<zorb>", [drawn(1, 64)])
