"""Reading and writing clips."""

import os
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from made_clips import container, moving, packets, pixels, psnr
from PIL import Image

import newtake.video.movie
from newtake.errors import BadInput
from newtake.video import Video, compare, sheet
from newtake.video.footage import PLAYERS, Footage
from newtake.video.movie import Log
from newtake.video.write import X264

FOUND = Path(__file__).parents[1].parent / "shared/clips"
CLIPS = Path(os.environ.get("NEWTAKE_CLIPS", FOUND))


def lasting(video):
    return video.end - video.times[0]


# Writing and reading back

@pytest.mark.parametrize("name", ["clip.mp4", "clip.mov", "clip.mkv", "clip.gif", "clip.webp"])
@pytest.mark.parametrize("rate", [Fraction(8), Fraction(30000, 1001)])
def test_count_rate_size_and_duration_are_kept(tmp_path, name, rate):
    video = Video.of(moving(9), rate)
    video.write(tmp_path / name)
    back = Video.read(tmp_path / name)
    assert (len(back), back.size) == (9, (32, 24))
    if rate != 8 and name in ("clip.gif", "clip.webp"):  # their clocks are coarse: hundredths and thousandths of a second
        assert abs(lasting(back) - lasting(video)) <= Fraction(1, 100)
    else:
        assert (back.rate, lasting(back)) == (rate, lasting(video))


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.gif", "clip.webp"])
def test_equal_frames_stay_as_many_as_they_were(tmp_path, name):
    Video.of(moving(1).repeat(5, 1, 1, 1)).write(tmp_path / name)
    assert len(Video.read(tmp_path / name)) == 5


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mov", "clip.mkv", "clip.webp", "clip"])
def test_lossless_is_exact_odd_sizes_too(tmp_path, name):
    frames = moving(4, 33, 25)
    Video.of(frames).write(tmp_path / name, lossless=True)
    assert torch.equal(Video.read(tmp_path / name)[:], frames)


def test_mp4_is_near(tmp_path):
    y, x = torch.meshgrid(torch.linspace(-1, 1, 48), torch.linspace(-1, 1, 64), indexing="ij")
    frames = torch.stack([torch.stack([x, y * x, torch.sin(3 * x + number)]) for number in range(6)]) * 0.8
    assert Video.of(frames).write(tmp_path / "clip.mp4") == ()
    assert psnr(Video.read(tmp_path / "clip.mp4")[:], frames) > 38


@pytest.mark.parametrize("name", ["clip.mp4", "clip.webp", "clip.gif", "clip.jpg"])
@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 200, 0), (20, 20, 255), (255, 255, 255), (0, 0, 0), (90, 160, 40)])
def test_colours_come_back(tmp_path, name, colour):
    frames = torch.tensor(colour).view(1, 3, 1, 1).expand(1, 3, 32, 32) / 127.5 - 1
    Video.of(frames).write(tmp_path / name)
    assert (pixels(Video.read(tmp_path / name)[:]).astype(int) - np.array(colour)).__abs__().max() <= 3


def test_mp4_says_which_colours_it_has(tmp_path):
    Video.of(moving(2)).write(tmp_path / "clip.mp4")
    with av.open(str(tmp_path / "clip.mp4")) as file:
        context = next(file.decode(video=0)) and file.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert (context.color_primaries, context.color_trc, context.colorspace, context.color_range) == (1, 1, 1, 1)


def test_full_range_is_read_as_such(tmp_path):
    def full(stream):
        stream.codec_context.color_range = 2
    white = torch.ones(2, 3, 32, 32)
    container(tmp_path / "clip.mp4", white, kind="yuvj420p", prepare=full)
    assert pixels(Video.read(tmp_path / "clip.mp4")[:]).min() >= 253


def test_the_same_frames_give_the_same_bytes(tmp_path):
    for name in ("one.mp4", "two.mp4"):
        Video.of(moving()).write(tmp_path / name)
    assert (tmp_path / "one.mp4").read_bytes() == (tmp_path / "two.mp4").read_bytes()


def test_odd_sizes_get_their_edge_repeated_and_it_is_said(tmp_path):
    frames = moving(3, 33, 25)
    notes = Video.of(frames).write(tmp_path / "clip.mp4")
    assert notes == ("edges repeated to make the size even: from 33x25 to 34x26",)
    back = Video.read(tmp_path / "clip.mp4")
    assert back.size == (34, 26)
    assert psnr(back[:][..., -1], torch.nn.functional.pad(frames[..., -1], (0, 1), mode="replicate")) > 25


def test_a_folder_counts_its_frames_and_is_replaced_only_by_frames(tmp_path):
    Video.of(moving(12)).write(tmp_path / "clip")
    assert sorted(file.name for file in (tmp_path / "clip").iterdir())[9:] == [f"frame_{n:05d}.png" for n in (9, 10, 11)]
    Video.of(moving(3)).write(tmp_path / "clip")
    assert len(Video.read(tmp_path / "clip")) == 3
    (tmp_path / "clip" / "letter.txt").write_text("dear")
    with pytest.raises(BadInput, match="holds other things"):
        Video.of(moving(3)).write(tmp_path / "clip")
    assert [file.name for file in tmp_path.iterdir()] == ["clip"]


def test_a_photo_is_a_clip_of_one_frame(tmp_path):
    Image.fromarray(pixels(moving(1))[0]).save(tmp_path / "photo.png")
    video = Video.read(tmp_path / "photo.png")
    assert len(video) == 1 and torch.equal(video[:], moving(1))
    Video.of(video[:], like=video).write(tmp_path / "edit.png")
    assert torch.equal(Video.read(tmp_path / "edit.png")[:], moving(1))
    video.write(tmp_path / "edit.mp4")
    assert len(Video.read(tmp_path / "edit.mp4")) == 1


# Timing

def test_uneven_times_are_kept(tmp_path):
    times = [0, 40, 120, 130, 400, 433]
    source = Video.read(container(tmp_path / "clip.mp4", moving(6), times, rate=30))
    assert [round(time * 1000) for time in source.times] == times
    notes = Video.of(source[:], like=source).write(tmp_path / "edit.mp4")
    back = Video.read(tmp_path / "edit.mp4")
    assert notes == () and back.times == source.times and back.end == source.end and back.rate == source.rate


@pytest.mark.parametrize("rate", [24, 25, 30, Fraction(24000, 1001), Fraction(30000, 1001), Fraction(25, 2)])
def test_the_coarse_clock_of_mkv_does_not_change_a_steady_rate(tmp_path, rate):
    video = Video.read(container(tmp_path / "clip.mkv", moving(24), rate=rate))
    assert video.rate == rate and set(np.diff(video.times)) == {1 / Fraction(rate)}


def test_a_frame_that_was_left_out_is_not_smoothed_over(tmp_path):
    times = [0, 100, 200, 400, 500, 600]
    assert [t * 1000 for t in Video.read(container(tmp_path / "clip.mkv", moving(6), times, rate=10)).times] == times


def test_some_frames(tmp_path):
    frames = moving(20)
    Video.of(frames, 10).write(tmp_path / "clip.mkv", lossless=True)
    video = Video.read(tmp_path / "clip.mkv", frames=4, start=3, stride=5)
    assert torch.equal(video[:], frames[3:19:5])
    assert video.times == (Fraction(3, 10), Fraction(8, 10), Fraction(13, 10), Fraction(18, 10))
    assert video.rate == 2 and not video.covers_clip
    assert torch.equal(video[1:4:2], frames[[8, 18]])
    assert Video.read(tmp_path / "clip.mkv", frames=20).covers_clip
    assert not Video.read(tmp_path / "clip.mkv", frames=19).covers_clip
    assert not Video.read(tmp_path / "clip.mkv", stride=2).covers_clip
    assert len(Video.read(tmp_path / "clip.mkv", stride=3)) == 7


# Laziness

def played(monkeypatch):
    """The frames that were decoded since: a growing list."""
    seen, shots = [], newtake.video.movie.shots

    def counted(*said):
        for shot in shots(*said):
            seen.append(1)
            yield shot
    monkeypatch.setattr(newtake.video.movie, "shots", counted)
    return seen


def test_chunks_decode_once_and_give_the_same_frames(tmp_path, monkeypatch):
    container(tmp_path / "clip.mp4", moving(20))
    whole = Video.read(tmp_path / "clip.mp4")[:]
    seen = played(monkeypatch)
    video = Video.read(tmp_path / "clip.mp4")
    assert torch.equal(torch.cat([video[first:first + 6] for first in range(0, 20, 6)]), whole) and len(seen) == 20
    assert torch.equal(video[2:5], whole[2:5]) and torch.equal(video[17:], whole[17:]) and len(seen) == 40


def test_two_who_read_a_clip_in_turn_decode_it_once_each(tmp_path, monkeypatch):
    container(tmp_path / "clip.mp4", moving(20))
    whole = Video.read(tmp_path / "clip.mp4")[:]
    seen = played(monkeypatch)
    video, got = Video.read(tmp_path / "clip.mp4"), []
    late = video.part(range(8, 20))                     # one of them behind the other, of one file
    for first in range(0, 12, 4):
        got += [video[first:first + 4], late[first:first + 4]]
    assert torch.equal(torch.cat(got[::2]), whole[:12]) and torch.equal(torch.cat(got[1::2]), whole[8:])
    assert len(seen) <= 12 + 20


def test_players_that_nobody_goes_on_with_are_let_go(tmp_path):
    video = Video.read(container(tmp_path / "clip.mp4", moving(20)))
    footage = next(cell.cell_contents for cell in video.take.__closure__ if isinstance(cell.cell_contents, Footage))
    for number in range(19, 0, -1):
        video[number - 1:number]
    assert len(footage.idle) == PLAYERS
    video[3:]
    assert len(footage.idle) == PLAYERS - 1             # one was used up


# Parts

def test_a_part_has_its_frames_and_times(tmp_path):
    times = [0, 40, 120, 130, 400, 433]
    video = Video.read(container(tmp_path / "clip.mp4", moving(6), times, rate=30, sound=("aac", 0.5)))
    part = video.part(range(1, 4))
    assert torch.equal(part[:], video[1:4]) and torch.equal(part[1:3], video[2:4]) and part.size == video.size
    assert (part.times, part.end) == (video.times[1:4], video.times[4])
    assert video.part(range(3, 6)).end == video.end and video.part(range(1, 6, 2)).times == video.times[1::2]
    assert torch.equal(video.part(range(0, 6, 2)).part(range(1, 3))[:], video[2::2])
    assert video.part(range(6)).covers_clip and not part.covers_clip
    assert "only a part of its clip" in part.write(tmp_path / "part.mp4")[0] and len(Video.read(tmp_path / "part.mp4")) == 3
    for numbers in (range(0), range(7), range(5, 2, -1), range(-1, 2)):
        with pytest.raises(IndexError, match="has at least one of its 6 frames"):
            video.part(numbers)


def test_parts_are_joined_lazily(tmp_path):
    source = Video.read(container(tmp_path / "clip.mp4", moving(9), rate=30, sound=("aac", 0.5)))
    asked = []

    def take(numbers):
        asked.append(numbers)
        return source[numbers.start:numbers.stop:numbers.step]
    parts = [replace(source, take=take).part(range(0, 4)), Video.of(-source[4:5]), source.part(range(5, 9))]
    joined = Video.joined(parts, like=source)
    assert asked == []
    there = torch.cat([source[:4], -source[4:5], source[5:]])
    for which in (slice(None), slice(3, 6), slice(1, 9, 3), slice(0, 9, 5), slice(4, 5), slice(6, 8)):
        assert torch.equal(joined[which], there[which]), which
    assert (joined.times, joined.end, joined.audio, joined.covers_clip) == (source.times, source.end, source.audio, True)
    assert joined.write(tmp_path / "edit.mp4") == () and packets(tmp_path / "edit.mp4")
    with pytest.raises(BadInput, match="8 frames cannot take over the timing of 9"):
        Video.joined(parts[::2], like=source)
    with pytest.raises(BadInput, match="16x16 and 32x24 cannot be joined"):
        Video.joined([*parts[:2], Video.of(moving(4, 16, 16))], like=source)


# Colours

@pytest.mark.parametrize(("tags", "kept"), [
    ((9, 16), (9, 16)), ((9, 18), (9, 18)), ((12, 13), (12, 13)), ((6, 6), (6, 6)), ((5, 4), (5, 4)), ((1, 13), (1, 13)),
    ((2, 2), (1, 1)), ((2, 13), (1, 13))])
def test_colour_tags_are_kept_and_change_no_pixel(tmp_path, tags, kept):
    def tagged(stream):
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace, context.color_range = *tags, 1, 1
    video = Video.read(container(tmp_path / "clip.mp4", moving(3, 64, 48), prepare=tagged))
    assert video.colours == tags
    edit = Video.of(video[:], like=video)
    for name in ("edit.mp4", "edit.mov", "edit.mkv"):
        assert edit.write(tmp_path / name) == ()
        Video.of(video[:]).write(tmp_path / f"plain-{name}")
        back = Video.read(tmp_path / name)
        assert back.colours == kept and torch.equal(back[:], Video.read(tmp_path / f"plain-{name}")[:])
        with av.open(str(tmp_path / name)) as file:
            frame = next(file.decode(video=0))
            assert (frame.colorspace, frame.color_range) == (1, 1)
        edit.write(tmp_path / name, lossless=True)
        back = Video.read(tmp_path / name)
        assert back.colours == tags and torch.equal(back[:], video[:])


def test_counting_stops_after_what_was_asked_for(tmp_path, monkeypatch):
    container(tmp_path / "clip.mp4", moving(40), options={"bf": "0", "tune": "zerolatency"})
    seen, note = [], Log.note
    monkeypatch.setattr(Log, "note", lambda self, frame: seen.append(1) or note(self, frame))
    Video.read(tmp_path / "clip.mp4", frames=4)
    assert len(seen) == 5


def test_slices_only():
    video = Video.of(moving())
    with pytest.raises(TypeError, match="by slice"):
        video[0]
    with pytest.raises(IndexError, match="at least one frame"):
        video[4:4]


def test_importing_needs_no_torch():
    subprocess.run([sys.executable, "-c", "import newtake.video, sys; assert 'torch' not in sys.modules"], check=True)


# What is shown

def test_size_covers_and_crops_and_says_so(tmp_path):
    container(tmp_path / "clip.mp4", moving(2, 64, 32))
    video = Video.read(tmp_path / "clip.mp4", size=(16, 16))
    assert video.size == (16, 16) and video[:].shape == (2, 3, 16, 16)
    assert video.notes == ("scaled from 64x32 to 32x16", "cropped in the middle from 32x16 to 16x16")
    middle = Video.read(tmp_path / "clip.mp4")[:][..., 16:48]
    assert psnr(video[:], torch.nn.functional.avg_pool2d(middle, 2)) > 25


@pytest.mark.parametrize(("turn", "numpy"), [
    ((90, False, False), lambda p: np.rot90(p, 1, (1, 2))), ((180, False, False), lambda p: np.rot90(p, 2, (1, 2))),
    ((270, False, False), lambda p: np.rot90(p, 3, (1, 2))), ((0, True, False), lambda p: p[:, :, ::-1])])
def test_turned_clips_stand_upright(tmp_path, turn, numpy):
    container(tmp_path / "plain.mp4", moving(3))
    container(tmp_path / "turned.mp4", moving(3), prepare=lambda stream: stream.set_display_rotation(*turn))
    plain, turned = Video.read(tmp_path / "plain.mp4"), Video.read(tmp_path / "turned.mp4")
    assert turned.size == ((24, 32) if turn[0] in (90, 270) else (32, 24))
    assert np.array_equal(pixels(turned[:]), numpy(pixels(plain[:])))


@pytest.mark.parametrize(("orientation", "numpy"), [(6, lambda p: np.rot90(p, -1)), (3, lambda p: np.rot90(p, 2))])
def test_turned_photos_stand_upright(tmp_path, orientation, numpy):
    picture, exif = pixels(moving(1))[0], Image.Exif()
    exif[0x0112] = orientation
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "photo.png", tmp_path / "folder" / "photo.png"):
        Image.fromarray(picture).save(path, exif=exif)
    for path in (tmp_path / "photo.png", tmp_path / "folder"):
        video = Video.read(path)
        assert np.array_equal(pixels(video[:])[0], numpy(picture))
        assert video.size == (picture.shape[:2] if orientation == 6 else picture.shape[1::-1])


def test_oblong_pixels_are_made_square_and_it_is_said(tmp_path):
    def oblong(stream):
        stream.codec_context.sample_aspect_ratio = Fraction(3, 2)
    video = Video.read(container(tmp_path / "clip.mp4", moving(2), prepare=oblong))
    assert video.size == (48, 24) and video[:].shape[-2:] == (24, 48)
    assert video.notes == ("pixels made square: scaled from 32x24 to 48x24",)


def test_transparency_is_laid_on_white_and_it_is_said(tmp_path):
    clear = np.zeros((8, 8, 4), np.uint8)
    clear[:, 4:] = (255, 0, 0, 255)
    Image.fromarray(clear).save(tmp_path / "a.png")
    Image.fromarray(clear).save(tmp_path / "a.gif")
    with av.open(str(tmp_path / "a.webp"), "w") as out:
        stream = out.add_stream("libwebp", rate=8, options={"lossless": "1"})
        stream.width, stream.height, stream.pix_fmt = 8, 8, "bgra"
        for number in range(2):
            frame = av.VideoFrame.from_ndarray(clear, format="rgba").reformat(format="bgra")
            frame.pts, frame.time_base = number, Fraction(1, 8)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    for name in ("a.png", "a.gif", "a.webp"):
        video = Video.read(tmp_path / name)
        assert "transparent parts are laid on white" in video.notes
        assert video[:1][0, :, 0, 0].tolist() == [1, 1, 1] and video[:1][0, :, 0, 7].tolist() == [1, -1, -1]


def test_sixteen_bits_keep_their_brightness(tmp_path):
    Image.fromarray(np.full((8, 8), 32768, np.uint16)).save(tmp_path / "deep.png")
    assert pixels(Video.read(tmp_path / "deep.png")[:]).mean() == 128


def test_folders_are_in_the_order_people_count(tmp_path):
    for number in (10, 9, 2, 1):
        Image.new("RGB", (4, 4), (number, 0, 0)).save(tmp_path / f"Shot {number}.PNG")
    (tmp_path / "notes.txt").write_text("none of the pictures")
    (tmp_path / ".hidden.png").write_text("nor this")
    video = Video.read(tmp_path)
    assert pixels(video[:])[:, 0, 0, 0].tolist() == [1, 2, 9, 10]
    assert "1 files in the folder are no pictures and are left out" in video.notes


# Sound

@pytest.mark.parametrize(("name", "sound"), [
    ("clip.mp4", ("aac", 1.5)), ("clip.mkv", ("aac", 0.4)), ("clip.avi", ("pcm_s16le", 1.5)), ("clip.webm", ("libopus", 1.5))])
def test_sound_is_copied_bit_for_bit(tmp_path, name, sound):
    source = container(tmp_path / name, moving(6), codec="libvpx" if name.endswith("webm") else "libx264", sound=sound)
    video = Video.read(source)
    assert video.audio == source and video.covers_clip
    notes = Video.of(-video[:], like=video).write(tmp_path / "edit.mp4")
    assert notes == ()
    before, after = packets(source), packets(tmp_path / "edit.mp4")
    assert [data for _, data in after] == [data for _, data in before] and len(before) > 3
    assert all(abs(one - other) <= Fraction(1, 500) for (one, _), (other, _) in zip(before, after, strict=True))
    back = Video.read(tmp_path / "edit.mp4")
    assert (len(back), back.rate, back.times) == (6, video.rate, video.times)


def test_sound_keeps_its_place_beside_pictures_that_start_late(tmp_path):
    source = container(tmp_path / "clip.mkv", moving(6), sound=("aac", 1), delay=500)
    video = Video.read(source)
    assert video.times[0] == Fraction(1, 2)
    Video.of(video[:], like=video).write(tmp_path / "edit.mp4")
    assert Video.read(tmp_path / "edit.mp4").times == video.times
    Video.read(source, start=1).write(tmp_path / "part.mp4")
    assert Video.read(tmp_path / "part.mp4").times[0] == 0


def test_sound_of_a_part_is_left_out_and_it_is_said(tmp_path):
    source = container(tmp_path / "clip.mp4", moving(6), sound=("aac", 1))
    notes = Video.read(source, frames=3).write(tmp_path / "edit.mp4")
    assert notes == ("the sound is left out: the frames are only a part of its clip",)
    assert Video.read(tmp_path / "edit.mp4").audio is None
    assert "sound" in Video.read(source).write(tmp_path / "edit.gif")[-1]


def test_the_comment_is_kept(tmp_path):
    Video.of(moving(2)).write(tmp_path / "clip.mp4", comment='{"prompt": "ä"}')
    assert Video.read(tmp_path / "clip.mp4").comment == '{"prompt": "ä"}'


# Side by side

def test_compare_lays_the_source_on_the_left_with_its_sound_and_times(tmp_path):
    source = Video.read(container(tmp_path / "clip.mp4", moving(6, 64, 48), sound=("aac", 1)))
    compare(source, Video.of(-moving(6)), tmp_path / "compare.mp4")
    both = Video.read(tmp_path / "compare.mp4")
    assert both.size == (256 + 4 + 256, 192) and both.times == source.times and both.audio
    larger = moving(6).repeat_interleave(8, -2).repeat_interleave(8, -1)
    left, right = both[:][..., :256], both[:][..., 260:]
    assert psnr(right, -larger) > 20 and psnr(left, larger) > psnr(left, -larger)
    with pytest.raises(BadInput, match="6 frames and the edit 5"):
        compare(source, Video.of(moving(5)), tmp_path / "no.mp4")


def test_a_sheet_enlarges_tiny_frames_without_smoothing(tmp_path):
    videos = [Video.of(moving(20)), Video.of(-moving(3))]
    sheet(videos, tmp_path / "sheet.png", columns=5)
    picture = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert picture.shape == (2 * 96 + 4, 5 * 128 + 4 * 4, 3)
    assert np.array_equal(picture[:96:4, -128::4], pixels(moving(20))[-1])
    assert np.array_equal(picture[100::4, :128:4], pixels(-moving(3))[0]) and (picture[100:, 400:] == 255).all()


# Clips of the world outside

@pytest.mark.skipif(not CLIPS.is_dir(), reason="no real clips: set NEWTAKE_CLIPS to a folder of them")
@pytest.mark.parametrize(("name", "count", "rate", "size"), [
    ("child-riding.mp4", 8, 8, (512, 512)), ("man-skiing.mp4", 91, Fraction(30000, 1001), (718, 718)),
    ("skateboard-dog.avi", 70, 10, (480, 360))])
def test_real_clips_keep_count_rate_and_size(tmp_path, monkeypatch, name, count, rate, size):
    monkeypatch.setitem(X264, "preset", "ultrafast")
    source = Video.read(CLIPS / name)
    assert (len(source), source.rate, source.size, source.notes) == (count, rate, size, ())
    source.write(tmp_path / "edit.mp4")
    back = Video.read(tmp_path / "edit.mp4")
    assert (len(back), back.rate, back.size, lasting(back)) == (count, rate, size, lasting(source))
    assert psnr(back[-2:], source[-2:]) > 38
    if source.audio:
        assert [data for _, data in packets(source.audio)] == [data for _, data in packets(tmp_path / "edit.mp4")]
