"""Cuts, and clips in which nothing moves."""

from itertools import accumulate

import numpy as np
import pytest
import torch
from made_clips import moving

from newtake.video import Video
from newtake.video.cuts import shots, still
from newtake.world import Scene
from newtake.world.clips import video

PLACES = (("car", "red", "grass"), ("fish", "blue", "sea"), ("ball", "yellow", "night"), ("tree", "green", "snow"))


def scenes(*lengths, **fixed):
    """Frames of unlike scenes, one after the other."""
    same = {"size": (64, 48), "style": "plain"} | fixed
    made = (Scene.sample(seed, object=thing, colour=colour, background=ground, frames=count, **same)
            for seed, (count, (thing, colour, ground)) in enumerate(zip(lengths, PLACES, strict=False)))
    return [video(scene)[:] for scene in made]


def cuts(frames):
    found = shots(Video.of(frames))
    assert [number for shot in found for number in shot] == list(range(len(frames)))
    return [shot.start for shot in found[1:]]


@pytest.mark.parametrize("lengths", [(6, 7), (5, 4, 9, 3), (1, 6), (6, 1), (2, 2, 2)])
def test_cuts_are_found(lengths):
    assert cuts(torch.cat(scenes(*lengths))) == list(accumulate(lengths))[:-1]


@pytest.mark.parametrize("motion", ["crossing", "arc", "bounce", "turning", "growing", "in place"])
def test_motion_is_no_cut(motion):
    for frames in scenes(12, 12, 12, 12, motion=motion):
        assert cuts(frames) == []
        assert cuts(frames[::3]) == []


def test_a_fast_pan_is_no_cut():
    wide = video(Scene(size=(512, 64), frames=1, background="grass"))[:]
    assert cuts(torch.cat([wide[..., 24 * number:24 * number + 96] for number in range(16)])) == []


@pytest.mark.parametrize("length", [1, 2])
def test_a_flash_is_no_cut(length):
    frames = scenes(12)[0].clone()
    frames[5:5 + length] = (frames[5:5 + length] + 1.5).clamp(-1, 1)
    assert cuts(frames) == []


def test_gradual_changes_are_no_cuts():
    one, other = scenes(20, 20)
    share = torch.linspace(0, 1, 20).view(-1, 1, 1, 1)
    assert cuts(one * (1 - share) + other * share) == []                                # from one to the other
    assert cuts(torch.cat([(one + 1) * (1 - share) - 1, (other + 1) * share - 1])) == []    # through black


def test_a_shot_that_comes_back_is_found():
    one, other = scenes(12, 5)
    assert cuts(torch.cat([one[:6], other, one[6:]])) == [6, 11]


def test_frames_are_taken_a_few_at_a_time():
    clip, asked = Video.of(torch.cat(scenes(6, 7))), []
    large = torch.nn.functional.interpolate(clip[:], (900, 1200))

    def take(numbers):
        asked.append(len(numbers))
        return large[numbers.start:numbers.stop]
    found = shots(Video(take, (1200, 900), clip.times, clip.end))
    assert [shot.start for shot in found] == [0, 6] and max(asked) <= 3


def test_still(tmp_path):
    one = moving(1, 64, 48)
    assert still(Video.of(one)) and still(Video.of(one.repeat(9, 1, 1, 1)))
    Video.of(one.repeat(9, 1, 1, 1)).write(tmp_path / "clip.mp4")
    assert still(Video.read(tmp_path / "clip.mp4"))
    noise = torch.from_numpy(np.random.default_rng(0).normal(0, 2 / 255, (9, 3, 48, 64)).astype(np.float32))
    assert still(Video.of(one + noise))
    assert not still(Video.of(moving(2, 64, 48))) and not still(Video.of(torch.cat(scenes(2, 2))))
    slow = one.repeat(9, 1, 1, 1)
    slow[8, :, 20:26, 30:36] = 1                        # one small thing that appears at the end
    assert not still(Video.of(slow))


def test_one_frame_is_one_shot():
    assert shots(Video.of(moving(1))) == [range(1)] and shots(Video.of(moving(1, 1, 1).repeat(3, 1, 1, 1))) == [range(3)]


def test_of_a_few_frames_nothing_is_said():
    assert cuts(torch.cat(scenes(1, 1))) == cuts(torch.cat(scenes(2, 3))) == []
