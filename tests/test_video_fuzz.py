"""Mutated clips and pictures: read or refused, never a crash, a hang, a great deal of memory or a file elsewhere.

`NEWTAKE_FUZZ=5000 pytest tests/test_video_fuzz.py` tries so many, others each time.
"""

import os
import selectors
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_clips import container, moving, pixels
from PIL import Image

from newtake.video import Video

EXAMPLES = int(os.environ.get("NEWTAKE_FUZZ", 0))
PATIENCE = 60                                           # seconds for one clip of a few small frames: beyond lies a hang
STARTING = 600                                          # seconds, of a machine that is busy
NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 100_000, 0x7FFFFFFF, 0xFFFFFFFF)

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of memory are Linux's")


class Reader:
    """A process that reads clips, and is started anew where one has killed it."""

    def __init__(self, folder: Path):
        self.folder, self.process = folder, None

    def __call__(self, path: Path) -> str:
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, Path(__file__).with_name("video_fuzzed.py"), self.folder], cwd=self.folder, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])})
            assert self.answer(STARTING) == "ready\n"
        self.process.stdin.write(f"{path}\n")
        self.process.stdin.flush()
        return self.answer()

    def answer(self, patience: float = PATIENCE) -> str:
        with selectors.DefaultSelector() as waiting:
            waiting.register(self.process.stdout, selectors.EVENT_READ)
            said = self.process.stdout.readline() if waiting.select(patience) else "WRONG: it hangs"
        if not said or "hangs" in said:
            self.process.kill()
            said, self.process = said or f"WRONG: it died with {self.process.wait()}", None
        return said


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    """A folder of a few clips."""
    folder = tmp_path_factory.mktemp("seeds")
    for name in ("a.mp4", "a.mkv", "a.gif", "a.webp"):
        Video.of(moving(4)).write(folder / name)
    Video.of(moving(3)).write(folder / "lossless.mkv", lossless=True)
    container(folder / "sound.mp4", moving(4), sound=("aac", 0.6))
    container(folder / "a.webm", moving(4), codec="libvpx", sound=("libopus", 0.3))
    container(folder / "a.avi", moving(4), codec="mpeg4", sound=("pcm_s16le", 0.2))
    container(folder / "jpeg.avi", moving(3), codec="mjpeg", kind="yuvj420p")
    container(folder / "turned.mov", moving(3), prepare=lambda stream: stream.set_display_rotation(90, False, False))
    picture = Image.fromarray(pixels(moving(1))[0])
    for name in ("a.png", "a.jpg", "a.bmp", "a.tif", "one.webp"):
        picture.save(folder / name)
    picture.convert("P").save(folder / "few.png", transparency=3)
    picture.save(folder / "packed.tif", compression="tiff_lzw")
    return folder


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    reader = Reader(tmp_path_factory.mktemp("fuzz"))
    yield reader
    if reader.process is not None:
        reader.process.kill()
        reader.process.wait()


@st.composite
def mutated(draw, seeds: Path):
    """(name, bytes) of one of the clips with a few bytes flipped, cut out, put in, repeated, or read as another number."""
    name = draw(st.sampled_from(sorted(path.name for path in seeds.iterdir())))
    data = bytearray((seeds / name).read_bytes())
    for _ in range(draw(st.integers(1, 6))):
        near = draw(st.sampled_from((64, 1024, len(data))))     # headers are where readers go wrong
        at = draw(st.integers(0, max(0, min(near, len(data)) - 1)))
        length = draw(st.integers(1, 64))
        match draw(st.sampled_from(("flip", "cut", "insert", "repeat", "number", "end"))):
            case "flip":
                data[at:at + 1] = bytes([draw(st.integers(0, 255))])
            case "cut":
                del data[at:at + length]
            case "insert":
                data[at:at] = draw(st.binary(min_size=1, max_size=32))
            case "repeat":
                data[at:at] = data[at:at + length] * draw(st.integers(1, 20))
            case "number":
                kind = draw(st.sampled_from(("<H", ">H", "<I", ">I")))
                number = struct.pack(kind, draw(st.sampled_from(NUMBERS)) & (256 ** struct.calcsize(kind) - 1))
                data[at:at + len(number)] = number
            case "end":
                del data[max(at, 8):]
    return name, bytes(checked(data) if name.endswith(".png") and draw(st.booleans()) else data)


def checked(data: bytearray) -> bytearray:
    """A PNG with the right sums, or its reader would see little of what was changed."""
    at = 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at:at + 4], "big")
        if at + 12 + length > len(data):
            break
        data[at + 8 + length:at + 12 + length] = zlib.crc32(data[at + 4:at + 8 + length]).to_bytes(4, "big")
        at += 12 + length
    return data


@settings(max_examples=EXAMPLES or 60, deadline=None, derandomize=not EXAMPLES, database=None,
          suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_mutated_clips_are_read_or_refused(seeds, reader, data):
    name, spoilt = data.draw(mutated(seeds))
    path = reader.folder / name
    path.write_bytes(spoilt)
    said = reader(path)
    if said.startswith("WRONG") and (kept := os.environ.get("NEWTAKE_FUZZ_KEPT")):
        (Path(kept) / f"{zlib.crc32(spoilt):08x}-{name}").write_bytes(spoilt)
        with (Path(kept) / "said.txt").open("a") as file:
            file.write(f"{zlib.crc32(spoilt):08x}-{name} {said}")
        return
    assert said.startswith(("read", "refused")), said
    assert {file.name for file in reader.folder.iterdir()} <= {name, "first.mp4", "edit.mp4"}
    path.unlink()


def test_whole_clips_are_read(seeds, reader):
    for path in seeds.iterdir():
        (reader.folder / path.name).write_bytes(path.read_bytes())
        assert reader(reader.folder / path.name).startswith("read"), path.name
        (reader.folder / path.name).unlink()
