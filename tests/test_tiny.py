"""The built-in checkpoint and the judge: what is in the repository, and that it does its work."""

import json
from hashlib import sha256
from itertools import pairwise
from math import atan2, sqrt
from pathlib import Path

import numpy as np
import pytest
import torch

import newtake
from newtake import drawing, world
from newtake.edits import edited
from newtake.guidance import cfg
from newtake.invitation import Invitation
from newtake.levels import noise, step
from newtake.methods import configured
from newtake.metrics.pixels import psnr
from newtake.models.guests import BUILT_IN
from newtake.models.vae import FRAMES
from newtake.welcome import welcomed
from newtake.world import Scene, classifier
from newtake.world import judge as judges
from newtake.world.clips import video
from newtake.world.grammar import vocabulary
from newtake.world.render import frame, masks
from newtake.world.training.data import scene_of

PACKAGE = Path(newtake.__file__).parent
CHECKPOINT = PACKAGE / "models" / "tiny"
GUESTS = tuple(BUILT_IN.values())
JUDGING = ("judge.safetensors", "viewer.safetensors", "clip")


@pytest.fixture(scope="module")
def tiny():
    return newtake.load("tiny")


def test_the_weights_are_those_of_the_card_and_small():
    weights = {str(p.relative_to(CHECKPOINT)): p for p in CHECKPOINT.rglob("*.safetensors")}
    told = json.loads((CHECKPOINT / "training.json").read_text())["sha256"]
    assert {name: sha256(path.read_bytes()).hexdigest() for name, path in weights.items()} == told
    guests = sum(path.stat().st_size for name, path in weights.items() if name.split("/")[0] in GUESTS)
    judging = sum(path.stat().st_size for name, path in weights.items() if name.split("/")[0] in JUDGING)
    assert judging < 5e6 and guests < 8e6 and sum(path.stat().st_size for path in weights.values()) - guests < 25e6


def test_every_word_of_the_world_is_one_token(tiny):
    for word in vocabulary():
        assert len(tiny.tokenizer(word).input_ids) == 3, word


def test_the_judge_knows_renders_and_refuses_noise():
    judge, scenes = judges.load(), [Scene.sample(s, size=(64, 64), frames=1) for s in range(900_000_000, 900_000_060)]
    pictures = torch.cat([video(s)[:] for s in scenes])
    meant = [{name: getattr(s, name) for name in judges.ATTRIBUTES} for s in scenes]
    assert np.mean([said == meaning for said, meaning in zip(judge.says(pictures), meant, strict=True)]) > 0.95
    noise = torch.randn(20, 3, 64, 64, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    assert np.mean([said["object"] == judges.NONE for said in judge.says(noise)]) > 0.9


def test_the_autoencoder_keeps_a_picture(tiny):
    clip = video(Scene(size=(64, 64), frames=2))
    with torch.no_grad():
        assert psnr(tiny.decode(tiny.encode(clip[:])[0]), clip[:]) > 28


def test_the_autoencoder_is_given_a_few_frames_at_a_time(tiny):
    """However many and small they are: memory does not grow with them."""
    given, frames = [], torch.zeros(2 * FRAMES + 1, 3, 16, 16)
    hooks = [part.register_forward_pre_hook(lambda _, args: given.append(len(args[0])))
             for part in (tiny.vae.net.encoder, tiny.vae.net.decoder)]
    try:
        assert tiny.decode(tiny.encode(frames)[0]).shape == frames.shape
    finally:
        for hook in hooks:
            hook.remove()
    assert given == 2 * [FRAMES, FRAMES, 1]


def test_the_main_job_turns_the_ball_blue_and_leaves_the_grass(tiny):
    scene = Scene(size=(64, 64), frames=2, motion="crossing", seed=11)
    edits = [edited(video(scene), scene.caption(), ["a blue ball on the grass"], configured(name, steps=10), tiny)
             for name in ("fatezero", "ddim")]
    outside = ~torch.from_numpy(masks(scene))
    fatezero, ddim = (psnr(done.videos[0][:], done.source[:], outside) for done in edits)
    assert [said["colour"] for said in judges.load().says(edits[0].videos[0][:])] == ["blue"] * 2
    assert fatezero > 25 and fatezero > ddim + 3


def test_the_world_is_not_trained_on_what_is_held_out():
    from newtake.world.training.data import chunk

    _, labels, _ = chunk((0, 60, False, 32))
    names = list(judges.ATTRIBUTES.values())
    shown = [[known[k] for known, k in zip(names, row, strict=True)][:3] for row in labels]
    assert not any(world.held_out(*three) for three in shown) and len({tuple(three) for three in shown}) > 40


def test_the_classifier_sees_through_noise(tiny):
    """Held-out renders at two levels of noise; the less, the more it sees."""
    scenes = [scene_of(90_000_000 + i, True, 64, 1) for i in range(32)]
    pictures = torch.stack([torch.from_numpy(frame(scene, 0)) for scene in scenes]).permute(0, 3, 1, 2).float() / 127.5 - 1
    z, net = tiny.encode(pictures)[0], classifier.load()
    noise = torch.randn(z.shape, generator=torch.Generator().manual_seed(0))

    def right(alpha: float) -> dict[str, float]:
        sigma = sqrt(1 - alpha ** 2)
        said = net(alpha * z + sigma * noise, torch.full((len(z),), atan2(sigma, alpha)))
        names = {name: [known.index(getattr(scene, name)) for scene in scenes] for name, known in judges.ATTRIBUTES.items()}
        return {name: float((logs.argmax(-1) == torch.tensor(names[name])).float().mean()) for name, logs in said.items()}
    clear, noisy = right(0.95), right(0.3)
    assert clear["object"] > 0.5 and clear["colour"] > 0.75 and clear["background"] > 0.9 and clear["style"] > 0.7
    assert noisy["background"] > 0.8 and sum(noisy.values()) < sum(clear.values())


@pytest.mark.parametrize("guest", BUILT_IN)
def test_with_a_guest_what_is_drawn_lies_where_its_edges_are(tiny, guest):
    pytest.importorskip("cv2", reason="edges are drawn with OpenCV")
    scene = scene_of(115_000_000, True, 64, 2)
    clip, text, null = video(scene), tiny.text(scene.caption()), tiny.text("")
    edges = drawing.edges(clip[:]).mean(1).flatten()

    @torch.no_grad()
    def likeness(model) -> float:
        z, levels = noise(0, range(2), 6, 16, 16)[None], model.levels(8)
        for at, to in pairwise(levels):
            z = step(model.guided(z, at, text, null, cfg(3.0)), to)
        return float(torch.corrcoef(torch.stack([edges, drawing.edges(model.decode(z)[0]).mean(1).flatten()]))[0, 1])

    assert likeness(welcomed(tiny, [Invitation(guest)], clip)) > likeness(tiny) + 0.05
