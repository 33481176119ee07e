"""Clips that are none, are broken, or mean harm: one line each, and nothing half-written."""

import ctypes
import os
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_clips import container, moving, pixels
from PIL import Image

import newtake.video.footage
from newtake.errors import BadInput
from newtake.video import Video


def refusal(path, **choice):
    """What reading all of a clip is refused with: one line."""
    with pytest.raises(BadInput) as refused:
        Video.read(path, **choice)[:]
    assert len(str(refused.value).splitlines()) == 1
    return str(refused.value)


# Files that are no clips

def test_no_such_file(tmp_path):
    assert refusal(tmp_path / "gone.mp4") == f"no such file: {tmp_path / 'gone.mp4'}"
    assert "neither a file nor a folder" in refusal(os.devnull)


@pytest.mark.parametrize("text", ["", "Dear diary,\n" * 200])
def test_text_named_mp4(tmp_path, text):
    (tmp_path / "clip.mp4").write_text(text)
    assert "clip.mp4 is not a video that can be read" in refusal(tmp_path / "clip.mp4")


@pytest.mark.parametrize("name", ["clip.mp4", "clip.png", "clip.webp", "clip.gif", "clip"])
@pytest.mark.parametrize("script", [
    "ffconcat version 1.0\nfile '{named}'\n",
    "ffconcat version 1.0\nfile {path}\n",
    "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{named}\n#EXT-X-ENDLIST\n",
    "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:{path}\n#EXT-X-ENDLIST\n"])
def test_scripts_never_open_what_they_name(tmp_path, name, script):
    named = container(tmp_path / "secret.mp4", moving())
    (tmp_path / name).write_text(script.format(named=named.name, path=named))
    opened = watch(named)
    Video.read(named)
    assert opened()                                     # or the watch would prove nothing
    assert "other files" in refusal(tmp_path / name) or name in ("clip.png", "clip.webp")
    assert not opened()


def watch(path):
    """A function that says whether the file was opened since it was last asked (inotify)."""
    if not sys.platform.startswith("linux"):
        pytest.skip("watching a file needs Linux")
    libc = ctypes.CDLL(None, use_errno=True)
    inbox = libc.inotify_init1(os.O_NONBLOCK)
    assert libc.inotify_add_watch(inbox, os.fsencode(path), 0x20) >= 0              # IN_OPEN

    def opened():
        try:
            return len(os.read(inbox, 4096)) > 0
        except BlockingIOError:
            return False
    return opened


def test_a_truncated_mp4(tmp_path):
    container(tmp_path / "clip.mp4", moving(20))        # its index is at the end
    (tmp_path / "half.mp4").write_bytes((tmp_path / "clip.mp4").read_bytes()[:2000])
    assert "half.mp4 is damaged or cut off" in refusal(tmp_path / "half.mp4")


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv"])
def test_a_clip_that_ends_early_is_read_so_far_and_it_is_said(tmp_path, name):
    Video.of(moving(40, 64, 48)).write(tmp_path / name)         # its index is at the front
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[:len(whole) // 2])
    video = Video.read(tmp_path / name)
    assert 0 < len(video) < 40 and any("ends early" in note for note in video.notes)
    assert video[:].shape[0] == len(video)


def test_sound_alone(tmp_path):
    import av
    from made_clips import heard
    with av.open(str(tmp_path / "song.mp4"), "w") as out:
        for packet in heard(out.add_stream("aac", rate=16000, layout="mono"), 0.5):
            out.mux(packet)
    assert refusal(tmp_path / "song.mp4") == "song.mp4 has no pictures, only sound"


# Pictures

def test_a_folder_without_pictures(tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    assert "there are no pictures in the folder" in refusal(tmp_path)


def test_a_folder_of_mixed_sizes(tmp_path):
    for number, width in enumerate((8, 8, 9)):
        Image.new("RGB", (width, 6)).save(tmp_path / f"{number}.png")
    assert "2.png is 9x6 and 0.png 8x6" in refusal(tmp_path)


def test_unreadable_pictures(tmp_path):
    Image.fromarray(pixels(moving(1))[0]).save(tmp_path / "1.png")
    whole = (tmp_path / "1.png").read_bytes()
    (tmp_path / "2.png").write_bytes(whole[:len(whole) // 2])
    assert "2.png cannot be read as a picture" in refusal(tmp_path / "2.png")
    assert "2.png cannot be read as a picture" in refusal(tmp_path)
    (tmp_path / "2.png").write_text("a picture of a horse")
    assert "2.png cannot be read as a picture" in refusal(tmp_path)


def test_pictures_that_start_programs_are_not_tried(tmp_path):
    Image.fromarray(pixels(moving(1))[0]).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / "a.png")
    assert "cannot be read as a picture" in refusal(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["bomb.png", "bomb.mp4"])
def test_pictures_that_are_too_large(tmp_path, monkeypatch, name):
    Video.of(moving(1, 64, 64)).write(tmp_path / name)
    monkeypatch.setattr(newtake.video.footage, "MOST_PIXELS", 1000)
    assert f"{name} is 64x64, which is too large" in refusal(tmp_path / name)


# Frames that are not there

@pytest.mark.parametrize(("choice", "why"), [
    ({"start": 6}, "has 6 frames, numbered from 0: it cannot start at 6"),
    ({"frames": 7}, "has 6 frames: 6 from 0 in steps of 1, not 7"),
    ({"frames": 3, "start": 1, "stride": 3}, "has 6 frames: 2 from 1 in steps of 3, not 3"),
    ({"frames": 0}, "frames must be at least 1, not 0"), ({"start": -1}, "start must be at least 0"),
    ({"stride": 0}, "stride must be at least 1"), ({"size": (0, 9)}, "size must be at least 1x1, not 0x9"),
    ({"size": (90000, 90000)}, "too large")])
def test_frames_that_are_not_there(tmp_path, choice, why):
    assert why in refusal(container(tmp_path / "clip.mp4", moving(6)), **choice)


def test_a_clip_that_changed_since(tmp_path):
    video = Video.read(container(tmp_path / "clip.mp4", moving(9)))
    container(tmp_path / "clip.mp4", moving(3))
    with pytest.raises(BadInput, match="has changed since it was opened"):
        video[:]
    (tmp_path / "clip.mp4").unlink()
    with pytest.raises(BadInput, match="cannot read"):
        video[:]


# Writing

@pytest.mark.parametrize(("name", "why"), [
    ("edit.doc", "cannot be written as .doc: use .mp4"), ("edit.png", "6 frames do not fit in one .png"),
    ("none/edit.mp4", "No such file or directory"), ("file/edit.mp4", "Not a directory"), ("folder.mp4", "is a folder"),
    ("none/edit.gif", "No such file"), ("none/edit.webp", "No such file"), ("none/edit", "No such file")])
def test_places_that_cannot_be_written(tmp_path, name, why):
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder.mp4").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(BadInput, match=why):
        Video.of(moving(6)).write(tmp_path / name)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_that_may_not_be_written(tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(BadInput, match="Permission denied"):
        Video.of(moving(6)).write(tmp_path / "locked" / "edit.mp4")


@pytest.mark.parametrize("name", ["edit.mp4", "edit.gif", "edit.webp", "edit", "edit.mkv"])
@pytest.mark.parametrize("trouble", [KeyboardInterrupt, ZeroDivisionError, OSError("disk full")])
def test_nothing_half_written_stays_and_the_old_file_does(tmp_path, name, trouble):
    Video.of(moving(2)).write(tmp_path / name)
    before = {file: file.is_file() and file.read_bytes() for file in tmp_path.rglob("*")}

    def take(numbers):
        if numbers[0] >= 8:
            raise trouble
        return moving(20)[numbers.start:numbers.stop]
    clip = Video.of(moving(20))
    with pytest.raises((BadInput, KeyboardInterrupt, ZeroDivisionError)):
        Video(take, clip.size, clip.times, clip.end).write(tmp_path / name)
    assert {file: file.is_file() and file.read_bytes() for file in tmp_path.rglob("*")} == before


def test_never_lossless(tmp_path):
    with pytest.raises(BadInput, match=r"\.gif is never lossless"):
        Video.of(moving(2)).write(tmp_path / "clip.gif", lossless=True)


# Bytes that went wrong

@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    for name in ("a.mp4", "a.mkv", "a.gif", "a.webp"):
        Video.of(moving(4)).write(folder / name)
    container(folder / "a.avi", moving(4), codec="mpeg4", sound=("pcm_s16le", 0.2))
    Image.fromarray(pixels(moving(1))[0]).save(folder / "a.png")
    return folder


@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(data=st.data())
def test_mutated_files_are_read_or_refused(clips, data):
    name = data.draw(st.sampled_from(["a.mp4", "a.mkv", "a.gif", "a.webp", "a.avi", "a.png"]))
    spoilt = np.frombuffer((clips / name).read_bytes(), np.uint8).copy()
    for place, value in data.draw(st.lists(st.tuples(st.integers(0, len(spoilt) - 1), st.integers(0, 255)), max_size=12)):
        spoilt[place] = value
    path = clips / f"spoilt{name[1:]}"
    path.write_bytes(spoilt[:data.draw(st.integers(1, len(spoilt)))].tobytes())
    try:
        video = Video.read(path)
        assert video[:].shape == (len(video), 3, *video.size[::-1])
        assert video.end > video.times[-1] and sorted(set(video.times)) == list(video.times)
    except BadInput as refused:
        assert len(str(refused).splitlines()) == 1
