"""The world's CLIP and video network: what they read and say, and that a few steps of training make them better."""

from importlib.resources import files

import pytest
import torch
from transformers import CLIPModel, CLIPTokenizer

import newtake.world.viewer as viewers
from newtake.errors import BadInput
from newtake.world.grammar import vocabulary
from newtake.world.training import contrastive, denoiser, viewing
from newtake.world.training.data import Pictures, chunk
from newtake.world.viewer import FEATURES, LEARNED, Viewer
from newtake.world.weights import read


def test_the_video_network_learns(tmp_path):
    torch.manual_seed(0)
    pixels = torch.randint(0, 256, (4, viewers.FRAMES, viewers.SIDE, viewers.SIDE, 3), dtype=torch.uint8)
    labels = torch.stack([torch.arange(4) % len(known) for known in LEARNED.values()], 1)
    last = {}
    for steps in (1, 8):
        torch.manual_seed(0)
        viewer = Viewer()
        with torch.enable_grad():
            viewing.train(viewer, pixels, labels, steps, tmp_path / f"{steps}.pt")
        last[steps] = float((tmp_path / f"{steps}.log").read_text().split()[-1])
    assert last[8] < last[1] - 0.01
    clips = torch.rand(2, 5, 3, 48, 40) * 2 - 1
    assert viewer.eval().features(clips).shape == (2, FEATURES)
    assert {name: said.shape[-1] for name, said in viewer(clips).items()} == {n: len(k) + 1 for n, k in LEARNED.items()}


def test_clips_that_do_not_move_as_things_do():
    x = torch.rand(9, 8, 3, 4, 4) * 2 - 1
    frozen, shuffled, flickering = viewing.unmoved(x, torch.Generator().manual_seed(0)).split(3)
    assert torch.equal(frozen, x[:3, :1].expand_as(frozen))
    assert torch.equal(shuffled.sort(1).values, x[3:6].sort(1).values) and not torch.equal(shuffled, x[3:6])
    assert flickering.shape == x[6:].shape and flickering.abs().max() <= 1


def test_the_worlds_clip_is_a_clip(tmp_path):
    """Trained for two steps, written and read as anybody's: it says the same, to half precision."""
    words = CLIPTokenizer.from_pretrained(str(files("newtake.models") / "tiny" / "tokenizer"))
    pixels, labels, covers = chunk((0, 8, False, 64))
    pair = contrastive.Pair(words)
    before = pair.clip.visual_projection.weight.clone()
    with torch.enable_grad():
        contrastive.train(pair, words, Pictures(pixels, labels, covers), 2, tmp_path / "clip.pt")
    assert not torch.equal(before, pair.clip.visual_projection.weight)
    x, ids = torch.rand(2, 3, 64, 64) * 2 - 1, words(["a red ball", "a blue boat"], padding=True, return_tensors="pt").input_ids
    said = pair.eval()(x, ids)
    contrastive.write(pair, words, tmp_path / "clip")
    again = CLIPModel.from_pretrained(tmp_path / "clip").float()
    assert torch.allclose(again(input_ids=ids, pixel_values=x).logits_per_image, said, atol=0.05)
    assert sum(p.numel() for p in pair.parameters()) < 1_500_000


def test_the_tokenizer_is_made_the_same_each_time(tmp_path):
    """A training that goes on, and one that is done again, number the words alike."""
    first, second = (denoiser.tokenizer(tmp_path / name) for name in ("first", "second"))
    assert first.get_vocab() == second.get_vocab() == denoiser.read_tokenizer(tmp_path / "first").get_vocab()
    for word in vocabulary():
        assert len(first(word).input_ids) == 3, word
    assert first.decode(first("a zebra").input_ids, skip_special_tokens=True).strip() == "a zebra"


def test_what_is_not_trained_is_one_line():
    with pytest.raises(BadInput, match="there is no nothing beside the built-in checkpoint; train it with"):
        read(Viewer(), "nothing")
