"""Outside of the mask an edit is its source: in pixels, in files, and by `newtake restore`."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from made_clips import container, moving, packets
from PIL import Image

from newtake import cli
from newtake.background import feathered, grown, inverted, kept, of_box, of_clip, of_tensor
from newtake.errors import BadInput
from newtake.metrics.pixels import psnr
from newtake.video import Video, as_pixels


def noise(count=3, width=24, height=20, seed=0):
    draws = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, height, width), generator=draws) / 127.5 - 1


def blobs(count=3, width=24, height=20, seed=1):
    """A mask (f h w): some boxes and some single pixels."""
    draws = np.random.default_rng(seed)
    mask = np.zeros((count, height, width), np.float32)
    for frame in mask:
        x, y = draws.integers(0, width - 9), draws.integers(0, height - 9)
        frame[y:y + 9, x:x + 9] = 1
        frame[draws.integers(0, height, 5), draws.integers(0, width, 5)] = 1
    return torch.from_numpy(mask)


def lossy(frames):
    """As an autoencoder that keeps half of the contrast."""
    return frames * 0.5 + 0.1


# In pixels

def depths(mask):
    """How deep each pixel lies in a mask (h w), 1 beside its border: steps of a king to the nearest pixel outside of it."""
    outside = np.argwhere(mask == 0)
    steps = lambda y, x: np.abs(outside - (y, x)).max(1).min() if len(outside) else 10 ** 6
    return np.array([[steps(y, x) if mask[y, x] else 0 for x in range(mask.shape[1])] for y in range(mask.shape[0])])


@pytest.mark.parametrize("feather", [0, 1, 4])
def test_as_written_naively(feather):
    s, e, mask = noise(), noise(seed=2), blobs()
    w = np.stack([np.minimum(depths(frame.numpy()), feather + 1) / (feather + 1) for frame in mask])[:, None]
    made = kept(Video.of(e), Video.of(s), of_tensor(mask), feather, lossy)[:]
    corrected = (e.numpy() + (1 - w) * (s - lossy(s)).numpy()).clip(-1, 1)
    want = s.numpy() + w * (corrected - s.numpy())
    assert np.abs(made.numpy() - want).max() < 1e-5 and 0 < (w > 0).mean() < 1


@pytest.mark.parametrize("feather", [None, 0, 3, 50])
@pytest.mark.parametrize("roundtrip", [None, lossy])
def test_outside_it_is_the_source_whatever_the_edit_is(feather, roundtrip):
    s, e, mask = noise(), torch.full_like(noise(), float("nan")), blobs()
    made = kept(Video.of(e), Video.of(s), of_tensor(mask), feather, roundtrip)[:]
    assert all(torch.equal(made[:, c][mask == 0], s[:, c][mask == 0]) for c in range(3))
    assert made[:, 0][mask == 1].isnan().any()


def test_inside_it_is_the_edit_and_edges_of_the_picture_are_no_border():
    s, e = noise(), noise(seed=2)
    assert torch.equal(kept(Video.of(e), Video.of(s), of_tensor(torch.ones(1, 20, 24)), 7, lossy)[:], e)
    corner = feathered(torch.nn.functional.pad(torch.ones(1, 6, 6), (0, 4, 0, 4)), 2)
    assert (corner[0, :4, :4] == 1).all() and corner[0, 0, 5].item() == pytest.approx(1 / 3)


def test_a_redrawn_background_begins_flat():
    """Where the edit is the round trip of the source, what is left of its error is w squared."""
    s, mask = noise() * 0.5, blobs()
    w = feathered(mask, 3)[:, None]
    left = kept(Video.of(lossy(s)), Video.of(s), of_tensor(mask), 3, lossy)[:] - s
    assert torch.allclose(left, w ** 2 * (lossy(s) - s), atol=1e-6)
    same = kept(Video.of(lossy(s)), Video.of(s), of_tensor(mask), 3, Video.of(lossy(s)))[:] - s
    assert torch.equal(left, same)


def test_a_few_frames_at_a_time_in_order_and_nobodys_frames_are_changed(monkeypatch):
    monkeypatch.setattr("newtake.background.AT_ONCE", 2 * 24 * 20)
    s, e, mask = noise(7), noise(7, seed=2), blobs(7)
    asked = []
    watched = replace(Video.of(s), take=lambda some: asked.append(some) or s[some.start:some.stop:some.step])
    video, before = kept(Video.of(e), watched, of_tensor(mask), 2), s.clone()
    whole = video[:]
    assert [list(some) for some in asked] == [[0, 1], [2, 3], [4, 5], [6]] and torch.equal(s, before)
    assert torch.equal(video[1:6:2], whole[1:6:2]) and (len(video), video.size, video.rate) == (7, (24, 20), 8)


# Another size

@pytest.mark.parametrize("source", [(96, 54), (54, 96), (97, 55), (64, 64), (16, 40)])
@pytest.mark.parametrize("size", [(32, 32), (40, 24), (31, 33)])
def test_an_edit_of_another_size_lies_where_it_was_cut_out(tmp_path, source, size):
    """A smooth clip, read at the edit's size and laid back, is itself; a pixel beside, it is not."""
    y, x = torch.meshgrid(torch.arange(source[1]) / 16, torch.arange(source[0]) / 16, indexing="ij")
    frames = torch.stack([torch.sin(x + k) * torch.cos(y) for k in range(3)])[None].repeat(2, 1, 1, 1) * 0.9
    Video.of(frames).write(tmp_path / "clip", lossless=True)
    clip, small = Video.read(tmp_path / "clip"), Video.read(tmp_path / "clip", size=size)
    everywhere = of_box((0, 0, *source), source)
    laid = kept(small, clip, everywhere, 0)[:]
    beside = kept(Video.of(small[:].roll(1, -1)), clip, everywhere, 0)[:]
    assert psnr(laid, clip[:]) > 27 and psnr(laid, clip[:]) > psnr(beside, clip[:]) + 4
    scale = min(source[0] / size[0], source[1] / size[1])
    bars = [round((s - e * scale) / 2 - 0.5) for s, e in zip(source, size, strict=True)]
    rim = torch.ones(source[1], source[0], dtype=torch.bool)
    rim[max(0, bars[1]):source[1] - max(0, bars[1]), max(0, bars[0]):source[0] - max(0, bars[0])] = False
    assert torch.equal(laid[..., rim], clip[:][..., rim])


def test_the_transition_stands_at_the_edge_of_a_smaller_edit():
    source, edit = Video.of(noise(1, 60, 20)), Video.of(torch.ones(1, 3, 10, 10))
    made = kept(edit, source, of_box((0, 0, 60, 20), source.size), 3)[:]
    change = (made - source[:]).abs().sum((0, 1, 2))
    assert not change[:20].any() and not change[40:].any() and (made[..., 23:37] == 1).all()
    assert (made[..., 20:23] != 1).any()


def test_scaling_is_corrected_as_well():
    source = Video.of(noise(1, 64, 64))
    small = Video.of(torch.nn.functional.avg_pool2d(source[:], 2))
    inside, w = of_box((16, 16, 32, 32), source.size), feathered(of_box((16, 16, 32, 32), source.size)(range(1)), 8)
    plain, better = (kept(small, source, inside, 8, way)[:] for way in (None, lambda frames: frames))
    soft = (w > 0) & (w < 0.5)
    assert psnr(better, source[:], soft) > psnr(plain, source[:], soft) + 3


def test_masks():
    size, three = (24, 20), range(3)
    assert of_box((2, 3, 4, 5), size)(three)[2].nonzero().tolist() == [[y, x] for y in range(3, 8) for x in range(2, 6)]
    assert torch.equal(of_box((0.25, 0.0, 0.5, 1), size)(three), of_box((6, 0, 12, 20), size)(three))
    mask = blobs()
    for by in (0, 2):
        near = torch.stack([mask[i, max(0, y - by):y + by + 1, max(0, x - by):x + by + 1].max()
                            for i in three for y in range(20) for x in range(24)])
        assert torch.equal(grown(of_tensor(mask), by)(three).flatten(), near)
    video = Video.of((mask * 2 - 1)[:, None].repeat(1, 3, 1, 1) * 0.2)
    assert torch.equal(of_clip(video, 3)(three), mask) and torch.equal(inverted(of_tensor(mask))(three), 1 - mask)
    still = Video.of(video[:1])
    assert torch.equal(of_clip(still, 3)(range(1, 3)), mask[:1].expand(2, -1, -1))
    latents = torch.zeros(3, 5, 6, dtype=torch.bool)
    latents[1, 2, 3] = True
    s, e = noise(), noise(seed=2)
    made = kept(Video.of(e), Video.of(s), of_tensor(latents), 0)[:]
    changed = (made != s).any(1).nonzero()
    assert changed.min(0).values.tolist() == [1, 8, 12] and changed.max(0).values.tolist() == [1, 11, 15]


@pytest.mark.parametrize("box", [(20, 0, 5, 5), (-1, 0, 5, 5), (3, 3, 0, 5), (0.5, 0.0, 0.6, 1.0), (0.0, 0.0, 1e-9, 1.0),
                                 (float("inf"), 0.0, 1.0, 1.0), (float("nan"), 0, 1, 1), (30, 30, 2, 2)])
def test_a_box_that_is_not_in_the_picture(box):
    with pytest.raises(BadInput, match="is empty or not inside"):
        of_box(box, (24, 20))


def test_counts_that_differ():
    three, two = Video.of(noise()), Video.of(noise(2))
    for wrong in (lambda: kept(two, three, of_tensor(blobs())), lambda: of_clip(two, 3),
                  lambda: kept(three, three, of_tensor(blobs()), 0, two)):
        with pytest.raises(BadInput, match="2 frames"):
            wrong()


# In files, by the command

def newtake(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return ended.value.code, out, err


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A clip with sound of 33x25 pixels at 29.97, an edit of it, and a mask of as many frames."""
    place = tmp_path_factory.mktemp("restored")
    frames = moving(6, 33, 25)
    container(place / "clip.mkv", frames, rate="30000/1001", codec="ffv1", kind="bgr0", sound=("aac", 0.3))
    Video.of(-frames).write(place / "edit.mkv", lossless=True)
    mask = blobs(6, 33, 25)
    Video.of((mask * 2 - 1)[:, None].repeat(1, 3, 1, 1)).write(place / "mask.webp", lossless=True)
    return place, frames, mask


@pytest.mark.parametrize("name", ["out.mkv", "out.mp4", "out"])
@pytest.mark.parametrize("feather", [0, 2])
def test_lossless_is_the_source_outside(capsys, made, tmp_path, name, feather):
    place, frames, mask = made
    code, said, told = newtake(capsys, "restore", place / "edit.mkv", "--clip", place / "clip.mkv", "--lossless", "--feather",
                               feather, "--mask", place / "mask.webp", "--out", tmp_path / name)
    back = Video.read(tmp_path / name)
    there, want = as_pixels(back[:]), as_pixels(frames)
    assert code == 0 and said.strip() == str(tmp_path / name), told
    assert np.array_equal(there[mask.numpy() == 0], want[mask.numpy() == 0])
    deep = feathered(mask, feather).numpy() == 1
    assert deep.any() and np.array_equal(there[deep], as_pixels(-frames)[deep])
    if name != "out":
        assert back.rate == Video.read(place / "clip.mkv").rate and back.audio
        assert packets(tmp_path / name) == packets(place / "clip.mkv")


def test_mp4_is_as_near_as_its_codec(capsys, tmp_path):
    y, x = np.mgrid[:96, :128]
    grain = np.random.default_rng(0).normal(0, 6, (8, 96, 128, 1))
    shades = np.stack([128 + 90 * np.sin((x + 2 * k) / 9) * np.cos(y / 13) for k in range(8)])[..., None] + grain
    frames = torch.from_numpy(shades.clip(0, 255).round()).float().permute(0, 3, 1, 2).repeat(1, 3, 1, 1) / 127.5 - 1
    frames[:, 1] *= 0.6
    Video.of(frames).write(tmp_path / "clip", lossless=True)
    edit = frames.clone()
    edit[:, :, 30:60, 40:80] = -edit[:, :, 30:60, 40:80].flip(1)
    Video.of(edit * 0.6).write(tmp_path / "edit", lossless=True)
    Video.of(frames).write(tmp_path / "alone.mp4")
    code, _, told = newtake(capsys, "restore", tmp_path / "edit", "--clip", tmp_path / "clip", "--box", "40,30,40,30",
                            "--out", tmp_path / "out.mp4")
    outside = torch.ones(8, 96, 128, dtype=torch.bool)
    outside[:, 30:60, 40:80] = False
    alone, restored = (psnr(Video.read(tmp_path / name)[:], frames, outside) for name in ("alone.mp4", "out.mp4"))
    assert code == 0 and abs(alone - restored) < 0.5 and alone < 50, (alone, restored, told)
    assert psnr(edit * 0.6, frames, outside) < restored - 10


def test_an_edit_of_another_size_by_the_command(capsys, tmp_path):
    frames = moving(3, 64, 36)
    Video.of(frames).write(tmp_path / "clip", lossless=True)
    Video.of(-Video.read(tmp_path / "clip", size=(24, 24))[:]).write(tmp_path / "edit.mp4", lossless=True)
    Image.new("L", (24, 24), 255).save(tmp_path / "mask.png")
    code, _, told = newtake(capsys, "restore", tmp_path / "edit.mp4", "--clip", tmp_path / "clip", "--lossless", "--feather", 0,
                            "--mask", tmp_path / "mask.png", "--sheet", tmp_path / "sheet.png")
    back = Video.read(tmp_path / "edit-restored.mp4")[:]
    assert code == 0 and "laid over the middle 36x36 of the clip's 64x36" in told and "nothing of the clip" not in told
    assert torch.equal(back[..., :14], frames[..., :14]) and torch.equal(back[..., 50:], frames[..., 50:])
    assert psnr(back[..., 14:50], -frames[..., 14:50]) > 15 and Image.open(tmp_path / "sheet.png").height > 3 * 36


def test_part_of_a_clip_with_a_mask_of_all_of_it(capsys, made, tmp_path):
    place, frames, mask = made
    Video.of(-frames[1:6:2]).write(tmp_path / "edit", lossless=True)
    ask = ["restore", tmp_path / "edit", "--clip", place / "clip.mkv", "--mask", place / "mask.webp", "--feather", 0]
    code, _, told = newtake(capsys, *ask)
    assert code == 2 and "3 frames and clip.mkv 6" in told and "--stride" in told
    code, _, told = newtake(capsys, *ask, "--start", 1, "--stride", 2, "--invert", "--lossless", "--out", tmp_path / "out")
    back, some = as_pixels(Video.read(tmp_path / "out")[:]), mask[1:6:2, ..., None].numpy()
    assert code == 0 and np.array_equal(back, np.where(some > 0, as_pixels(frames[1:6:2]), as_pixels(-frames[1:6:2])))


def test_one_frame_an_empty_mask_and_a_full_one(capsys, tmp_path):
    Video.of(noise(1)).write(tmp_path / "clip.png")
    Video.of(noise(1, seed=2)).write(tmp_path / "edit.png")
    Image.new("L", (24, 20)).save(tmp_path / "black.png")
    ask = ["restore", tmp_path / "edit.png", "--clip", tmp_path / "clip.png", "--mask", tmp_path / "black.png"]
    code, said, told = newtake(capsys, *ask)
    assert code == 0 and "nothing would change" in told and said.strip() == str(tmp_path / "edit-restored.png")
    assert torch.equal(Video.read(tmp_path / "edit-restored.png")[:], noise(1))
    Image.new("L", (24, 20), 255).save(tmp_path / "black.png")
    code, _, told = newtake(capsys, *ask, "--invert", "--grow", 3)
    assert code == 0 and "nothing would change" in told
    Image.new("L", (24, 20), 0).save(tmp_path / "black.png")
    code, _, told = newtake(capsys, *ask, "--invert", "--feather", 9)
    assert code == 0 and "nothing of the clip is kept" in told
    assert torch.equal(Video.read(tmp_path / "edit-restored.png")[:], noise(1, seed=2))


def test_mistakes_are_one_line_and_nothing_is_replaced(capsys, made, tmp_path):
    place, *_ = made
    edit, clip, other = place / "edit.mkv", place / "clip.mkv", place / "mask.webp"
    box = ["--box", "0,0,4,4"]
    for given, line in (([], "--mask PICTURE|CLIP, or --box"), ([*box, "--mask", clip], "not both"),
                        (["--box", "30,0,9,9"], "the picture is 33x25"), (["--box", "1,2,3"], "a box is X,Y,WIDTH,HEIGHT"),
                        (["--box", "0,0,0.5,1.5"], "shares of the picture"), ([*box, "--out", clip], "would replace the clip"),
                        ([*box, "--out", place], "would replace the edit"), ([*box, "--feather", -1], "feather"),
                        ([*box, "--out", tmp_path / "x.gif", "--lossless"], "never lossless"),
                        ([*box, "--sheet", edit], "would replace the edit"), ([*box, "--out", other], "is there already"),
                        ([*box, "--out", tmp_path / "%05d.png"], "is there already"),
                        ([*box, "--out", place / "%05d.png"], "would replace the edit"),
                        ([*box, "--sheet", tmp_path / "o.mp4"], "have one name"),
                        ([*box, "--frames", 7], "6 frames")):
        before = {path: path.read_bytes() for path in place.iterdir()}
        code, out, told = newtake(capsys, "restore", edit, "--clip", clip, "--out", tmp_path / "o.mp4", *given)
        assert code == 2 and line in told and told.count("\n") == 1 and not out, (given, told)
        assert {path: path.read_bytes() for path in place.iterdir()} == before and not list(tmp_path.iterdir())
