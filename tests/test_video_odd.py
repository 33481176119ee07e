"""Clips that people have and nobody expects: what is told of them, line by line."""

import errno
import re
import struct
import subprocess
import zlib
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from made_clips import container, moving, packets, pixels, psnr
from PIL import Image
from shell import newtake
from test_video_faults import refusal

from newtake.errors import BadInput
from newtake.video import Video

resource = pytest.importorskip("resource")              # POSIX has it

ENDINGS = ["clip.mp4", "clip.mov", "clip.mkv", "clip.gif", "clip.webp", "clip"]
CODECS = {"clip.mp4": "libx264", "clip.mkv": "libx264", "clip.webm": "libvpx", "clip.avi": "mpeg4"}


def noise(count=40, side=32):
    """Frames that no coding makes small."""
    values = np.random.default_rng(0).integers(0, 256, (count, 3, side, side)).astype(np.float32)
    return torch.from_numpy(values) / 127.5 - 1


# Few frames, odd times

@pytest.mark.parametrize("name", CODECS)
def test_a_clip_with_one_frame(tmp_path, name):
    video = Video.read(container(tmp_path / name, moving(1), codec=CODECS[name]))
    assert (len(video), video.times, video.rate, video.notes) == (1, (0,), 8, ())
    Video.of(video[:], like=video).write(tmp_path / "edit.mp4")
    back = Video.read(tmp_path / "edit.mp4")
    assert (len(back), back.end, psnr(back[:], video[:]) > 30) == (1, video.end, True)


def test_seven_frames_at_a_broadcast_rate_with_sound_that_goes_on(tmp_path):
    rate = Fraction(24000, 1001)
    source = container(tmp_path / "clip.mp4", moving(7), rate=rate, sound=("aac", 2))
    video = Video.read(source, whole=True)
    assert (len(video), video.rate, video.end, video.notes) == (7, rate, 7 / rate, ())
    assert Video.of(-video[:], like=video).write(tmp_path / "edit.mp4") == ()
    back = Video.read(tmp_path / "edit.mp4", whole=True)
    assert (len(back), back.rate, back.end, back.notes) == (7, rate, 7 / rate, ())
    assert [data for _, data in packets(tmp_path / "edit.mp4")] == [data for _, data in packets(source)]


@pytest.mark.parametrize("name", ["edit.mp4", "edit.mkv", "edit.gif", "edit.webp"])
def test_a_varying_rate_is_kept_as_finely_as_the_file_can(tmp_path, name):
    times = [0, 50, 120, 130, 400, 430]
    video = Video.read(container(tmp_path / "clip.mkv", moving(6), times, rate=25))
    Video.of(video[:], like=video).write(tmp_path / name)
    assert [round(time * 1000) for time in Video.read(tmp_path / name).times] == times


# Sizes and shapes

def test_a_portrait_clip_stands_upright_in_what_is_written(tmp_path):
    def on_its_side(stream):
        stream.set_display_rotation(90, False, False)
    video = Video.read(container(tmp_path / "clip.mov", moving(3, 64, 48), prepare=on_its_side))
    assert video.size == (48, 64)
    Video.of(video[:], like=video).write(tmp_path / "edit.mp4")
    with av.open(str(tmp_path / "edit.mp4")) as file:
        frame = next(file.decode(video=0))
        assert (frame.width, frame.height, frame.rotation) == (48, 64, 0)
    assert psnr(Video.read(tmp_path / "edit.mp4")[:], video[:]) > 30


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (300, 1), (33, 25)])
@pytest.mark.parametrize("name", ENDINGS)
def test_small_and_odd_sizes(tmp_path, name, size):
    frames = (moving(2, 300, 25)[..., :size[1], :size[0]] / 4).contiguous()
    notes = Video.of(frames).write(tmp_path / name)
    back = Video.read(tmp_path / name)
    even = tuple(side + side % 2 for side in size)
    if name in ("clip.mp4", "clip.mov", "clip.mkv"):
        said = f"edges repeated to make the size even: from {size[0]}x{size[1]} to {even[0]}x{even[1]}"
        assert back.size == even and (said in notes) == (even != size)
    else:
        assert back.size == size and "even" not in " ".join(notes)
    assert (back[:][..., :size[1], :size[0]] - frames).abs().mean() < 0.05


@pytest.mark.parametrize(("name", "size", "widest"), [
    ("edit.mp4", (20000, 2), 16384), ("edit.mkv", (2, 20000), 16384), ("edit.webp", (20000, 2), 16383),
    ("edit.gif", (70000, 2), 65535), ("edit.jpg", (70000, 2), 65500)])
def test_sizes_that_a_file_cannot_hold(tmp_path, name, size, widest):
    with pytest.raises(BadInput) as refused:
        Video.of(torch.zeros(1, 3, size[1], size[0])).write(tmp_path / name)
    assert str(refused.value) == (f"{size[0]}x{size[1]} is too large for {name[4:]}, which holds {widest} pixels a side; "
                                  "write a folder of pictures")
    assert list(tmp_path.iterdir()) == []


def test_a_rate_that_mp4_cannot_hold(tmp_path):
    clip = Video.of(moving(3))
    rare = replace(clip, times=tuple(time * 10 ** 7 for time in clip.times), end=clip.end * 10 ** 7)    # a mutated clip was so
    with pytest.raises(BadInput, match=r"cannot write a \.mp4 of this clip: .*; try \.mkv, or a folder of pictures"):
        rare.write(tmp_path / "edit.mp4")
    assert list(tmp_path.iterdir()) == []


def huge(name, data):
    """The file, whose header says 100,000 x 100,000, or the most that it can."""
    def put(at, kind, *values):
        data[at:at + struct.calcsize(kind)] = struct.pack(kind, *values)
    match name:
        case "a.png":
            put(16, ">II", 100_000, 100_000)
            put(29, ">I", zlib.crc32(data[12:29]))
        case "a.gif":
            put(6, "<HH", 65535, 65535)
        case "a.webp":
            data[24:30] = (100_000 - 1).to_bytes(3, "little") * 2
        case "one.webp":                                # VP8L: 14 bits a side
            put(21, "<I", 0x3FFF | 0x3FFF << 14)
        case "lossy.webp":
            put(26, "<HH", 0x3FFF, 0x3FFF)
        case "a.bmp":
            put(18, "<II", 100_000, 100_000)
        case "a.jpg":
            put(data.index(b"\xff\xc0") + 5, ">HH", 65500, 65500)
        case "a.mov":
            for at in [at for at in range(len(data)) if data[at:at + 4] == b"IHDR"]:
                put(at + 4, ">II", 100_000, 100_000)
                put(at + 17, ">I", zlib.crc32(data[at:at + 17]))
    return bytes(data)


@pytest.mark.parametrize(("name", "why"), [
    ("a.png", "a.png is too large"), ("a.gif", "a.gif is 65535x65535, which is too large"),
    ("a.webp", "a.webp is 100000x100000, which is too large"), ("one.webp", "one.webp is 16384x16384, which is too large"),
    ("lossy.webp", "lossy.webp is 16383x16383, which is too large"), ("a.bmp", "a.bmp is too large"),
    ("a.jpg", "a.jpg is too large"), ("a.mov", "a.mov holds no frame that can be decoded")])
def test_headers_that_claim_too_much(tmp_path, name, why):
    picture = Image.fromarray(pixels(moving(1))[0])
    if name == "a.mov":
        container(tmp_path / name, moving(2), codec="png", kind="rgb24")
    elif name in ("a.gif", "a.webp"):
        Video.of(moving(2)).write(tmp_path / name)
    else:
        picture.save(tmp_path / name, **{"lossless": True} if name == "one.webp" else {})
    (tmp_path / name).write_bytes(huge(name, bytearray((tmp_path / name).read_bytes())))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert refusal(tmp_path / name).startswith(why)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000        # kilobytes


def test_an_mp4_is_as_large_as_its_pictures_not_as_its_header_says(tmp_path):
    data = bytearray(container(tmp_path / "a.mp4", moving(2)).read_bytes())
    at, head = data.index(b"avc1", data.index(b"stsd")) + 28, data.index(b"tkhd") + 80
    data[at:at + 4], data[head:head + 8] = b"\xff" * 4, struct.pack(">II", 0xFFFF0000, 0xFFFF0000)
    (tmp_path / "a.mp4").write_bytes(data)
    assert Video.read(tmp_path / "a.mp4")[:].shape == (2, 3, 24, 32)


def test_a_moving_picture_with_holes_is_laid_on_white(tmp_path):
    with av.open(str(tmp_path / "clip.mov"), "w") as out:
        stream = out.add_stream("png", rate=8)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "rgba"
        for picture in pixels(moving(3)):
            holes = np.full((24, 32, 1), 255, np.uint8)
            holes[:, :16] = 0
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.concatenate([picture, holes], -1), format="rgba")))
        out.mux(stream.encode())
    video = Video.read(tmp_path / "clip.mov")
    assert video.notes == ("transparent parts are laid on white",)
    assert (video[:][..., :16] == 1).all() and torch.equal(video[:][..., 16:], moving(3)[..., 16:])
    Video.of(video[:], like=video).write(tmp_path / "edit.mp4")
    assert Video.read(tmp_path / "edit.mp4")[:][..., :12].min() > 0.95


@pytest.mark.parametrize("matrix", [8, 10, 14])         # YCgCo, BT.2020 constant luminance, ICtCp
def test_colours_that_cannot_be_read(tmp_path, matrix):
    def strange(stream):
        stream.codec_context.colorspace = matrix
    assert refusal(container(tmp_path / "clip.mp4", moving(2), prepare=strange)) == (
        "clip.mp4 says its colours in a way that cannot be read; convert it to h264 in yuv420p")


# Files that end early

@pytest.mark.parametrize(("name", "why"), [
    ("clip.mp4", r"ends early: \d+ of 40 frames are missing"), ("clip.avi", r"ends early: \d+ of 40 frames are missing"),
    ("clip.mkv", r"ends early: \d\.\d seconds are missing"), ("clip.webm", r"ends early: \d\.\d seconds are missing"),
    ("clip.gif", "ends early: frames are missing, and a gif does not say how many")])
@pytest.mark.parametrize("sound", [None, 5.2])
def test_what_is_there_is_read_and_it_is_said_or_all_of_it_is_refused(tmp_path, name, why, sound):
    if name in ("clip.mp4", "clip.gif"):                # with the index in front
        source = container(tmp_path / "source.mp4", noise(), sound=sound and ("aac", sound))
        Video.read(source).write(tmp_path / name)
    else:
        heard = {"clip.webm": "libopus", "clip.avi": "pcm_s16le"}.get(name, "aac")
        container(tmp_path / name, noise(), codec=CODECS[name], sound=sound and (heard, sound))
    assert len(Video.read(tmp_path / name, whole=True)) == 40
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[:len(data) * 6 // 10])
    video = Video.read(tmp_path / name)
    assert 0 < len(video) < 40 and len(video[:]) == len(video)
    assert re.fullmatch(why, video.notes[-1])
    said = refusal(tmp_path / name, whole=True)
    assert said.startswith(f"{name} is not whole: ") and video.notes[-1] in said
    assert said.endswith("; get it again, or edit what is there by reading it without `whole`")
    few = Video.read(tmp_path / name, frames=4, whole=True)             # these are whole
    assert len(few) == 4 and not few.covers_clip


def test_lost_frames_in_the_middle(tmp_path):
    data = bytearray(container(tmp_path / "clip.avi", noise(12), codec="mpeg4").read_bytes())
    at = [at for at in range(len(data)) if data[at:at + 4] == b"00dc"][5] + 8
    data[at:at + 200] = bytes(200)
    (tmp_path / "clip.avi").write_bytes(data)
    assert any("damaged" in note or "cannot be decoded" in note for note in Video.read(tmp_path / "clip.avi").notes)
    assert "is not whole" in refusal(tmp_path / "clip.avi", whole=True)


# Names

NAMES = ["with space", "quo\"te's", "new\nline", "日本 語 عربي", "%03d", "-dash", "a:b", "tab\t", "#?&", "\udcff\udcfe",
         "x" * 240]


@pytest.mark.parametrize("name", NAMES)
def test_names(tmp_path, name):
    for ending in (".mp4", ".gif", ""):
        path = tmp_path / f"{name}{ending}"
        Video.of(moving(2)).write(path)
        assert len(Video.read(path)[:]) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(name + ending for ending in (".mp4", ".gif", ""))


@pytest.mark.parametrize("name", ["with space.mp4", "quo\"te's.mp4", "new\nline.mp4", "日本 語.mp4"])
def test_one_line_on_the_terminal(capsys, tmp_path, name):
    (tmp_path / name).write_bytes(b"\0\0\0\x18ftypisom")
    for command in (["edit", tmp_path / name, "a red car", "--source", "a car", "--out", tmp_path / "run"],
                    ["edit", tmp_path / f"no {name}", "a red car", "--source", "a car", "--out", tmp_path / "run"]):
        code, said, told = newtake(capsys, *command)
        assert (code, said, len(told.splitlines())) == (2, "", 1) and told.startswith("newtake: ")
        assert "is damaged or cut off" in told or "no such file" in told
    assert not (tmp_path / "run").exists()


def test_a_cut_off_clip_is_edited_so_far_and_the_terminal_says_so(capsys, tmp_path):
    name = "a \"clip\"\nof 日本.mkv"
    data = container(tmp_path / name, noise(), sound=("aac", 5)).read_bytes()
    (tmp_path / name).write_bytes(data[:len(data) * 3 // 10])
    code, said, told = newtake(capsys, "edit", tmp_path / name, "a red car on the grass", "--source", "a car",
                               "--set", "steps=1", "--method", "ddim", "--out", tmp_path / "run")
    assert code == 0 and "ends early: 3." in told and 0 < len(Video.read(said.strip())) < 40


# Where to write

def test_a_folder_that_is_there(tmp_path):
    (tmp_path / "edit.mp4").mkdir()
    with pytest.raises(BadInput, match=r"edit\.mp4 is a folder; name a file, such as .*edit\.mp4/edit\.mp4"):
        Video.of(moving(2)).write(tmp_path / "edit.mp4")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"mine")
    with pytest.raises(BadInput, match=r"photos is there already and holds other things, such as a\.png; name a new folder"):
        Video.of(moving(2)).write(tmp_path / "photos")
    assert (tmp_path / "photos" / "a.png").read_bytes() == b"mine"


FULL = [("edit.mp4", False), ("edit.mkv", True), ("edit.gif", False), ("edit.webp", False), ("edit", False)]


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 100 kB."""
    (tmp_path / "disk").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=100k", "none", str(tmp_path / "disk")]
    try:
        done = subprocess.run(mount, capture_output=True, text=True)
    except FileNotFoundError as wrong:
        pytest.skip(f"no disk can be mounted here: {wrong}")
    if done.returncode:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
    yield tmp_path / "disk"
    subprocess.run(["umount", str(tmp_path / "disk")], check=True)


def test_a_full_disk(small_disk):
    for name, lossless in FULL:
        with pytest.raises(BadInput) as refused:
            Video.of(noise(side=64)).write(small_disk / name, lossless)
        assert str(refused.value) == f"cannot write {small_disk / name}: No space left on device"
        assert list(small_disk.iterdir()) == []


@pytest.mark.parametrize("sound", [None, ("aac", 5)])
@pytest.mark.parametrize("name", ["edit.mp4", "edit.mkv", "edit.gif", "edit.webp"])
def test_writing_that_the_system_stops(tmp_path, name, sound):
    """As a full disk does; with sound the source is open meanwhile, which is not to blame."""
    source = Video.read(container(tmp_path / "source.mp4", noise(), sound=sound))
    (tmp_path / "out").mkdir()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))      # Python ignores the signal
    try:
        with pytest.raises(BadInput) as refused:
            source.write(tmp_path / "out" / name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert str(refused.value) == f"cannot write {tmp_path / 'out' / name}: File too large"
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("name", ["edit.png", "edit.jpg", "edit"])
def test_pictures_on_a_full_disk(tmp_path, monkeypatch, name):
    def full(image, path, *said, **more):
        Path(path).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(BadInput, match=r"edit.*: No space left on device"):
        Video.of(moving(1)).write(tmp_path / name)
    assert list(tmp_path.iterdir()) == []
