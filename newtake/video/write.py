"""Writing clips: each is made aside and moved into place when it is whole."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from av.container import OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream
from PIL import Image

from ..aside import aside, free
from ..errors import BadInput
from ..track import track
from .footage import Colours, Size, as_pixels, by, said
from .movie import EXACT
from .tracks import Clock, recorded

if TYPE_CHECKING:
    from .clip import Video

CHUNK = 4                                               # frames in memory at a time
STILLS = (".png", ".jpg", ".jpeg")
BT709, LIMITED = 1, 1                                   # primaries, transfer and matrix; range
PRIMARIES = {1, 4, 5, 6, 7, 8, 9, 10, 11, 12}           # those of ITU-T H.273 that x264 can tell
CURVES = {1, *range(4, 19)}
# Threads are fixed, because the bits depend on how many there are.
X264 = {"crf": "16", "preset": "fast", "threads": "1"}     # of several threads a loaded machine may make other bytes
INDEX_FIRST = {"movflags": "+faststart"}


@dataclass(frozen=True)
class Coding:
    container: str
    codec: str
    pixels: str
    options: dict[str, str] = field(default_factory=dict)
    header: dict[str, str] = field(default_factory=dict)
    clock: int | None = None                            # ticks a second; None: as the times need
    speaks: bool = True                                 # holds sound and a comment
    widest: int = 16384                                 # pixels of a side at most


CODINGS = {                                             # (ending, lossless)
    (".mp4", False): Coding("mp4", "libx264", "yuv420p", X264, INDEX_FIRST),
    (".mp4", True): Coding("mp4", "libx264rgb", "rgb24", X264 | {"crf": "0"}, INDEX_FIRST),
    (".mov", False): Coding("mov", "libx264", "yuv420p", X264, INDEX_FIRST),
    (".mov", True): Coding("mov", "libx264rgb", "rgb24", X264 | {"crf": "0"}, INDEX_FIRST),
    (".mkv", False): Coding("matroska", "libx264", "yuv420p", X264, clock=1000),
    (".mkv", True): Coding("matroska", "ffv1", "bgr0", clock=1000, widest=65535),
    (".gif", False): Coding("gif", "gif", "pal8", clock=100, speaks=False, widest=65535),
    # FFmpeg's libwebp, not libwebp_anim, nor Pillow: those make one frame of two that are equal.
    (".webp", False): Coding("webp", "libwebp", "bgra", {"quality": "90"}, {"loop": "0"}, 1000, False, 16383),
    (".webp", True): Coding("webp", "libwebp", "bgra", {"lossless": "1"}, {"loop": "0"}, 1000, False, 16383),
}


def write(video: Video, path: Path, lossless: bool, comment: str) -> tuple[str, ...]:
    """See `Video.write`."""
    ending = path.suffix.lower()
    if numbered(path) or not ending:
        return write_folder(video, path if ending else path / "frame_%05d.png", comment)
    if ending in STILLS:
        write = write_still
    elif (ending, False) in CODINGS:
        write = write_movie
    else:
        known = " ".join((*dict.fromkeys(name for name, _ in CODINGS), *STILLS))
        raise BadInput(f"a clip cannot be written as {ending}: use {known}, a name without ending for a folder of pictures, or "
                       "names for them, such as frames/%05d.png")
    if lossless and ending in (".gif", ".jpg", ".jpeg"):
        raise BadInput(f"{ending} is never lossless: use .mkv, .mp4, .webp, .png or a folder")
    if path.is_dir():
        raise BadInput(f"{path} is a folder; name a file, such as {path / 'edit.mp4'}")
    with aside(path) as part:
        return write(video, part, ending, lossless, comment)


def numbered(path: Path) -> bool:
    """Whether it names a picture a frame, such as frames/%05d.png."""
    return re.fullmatch(r"[^%]*%(0\d+)?d[^%]*\.png", path.name, re.IGNORECASE) is not None


def free_pictures(path: Path) -> None:
    """BadInput where a folder with such names cannot be made, or would replace other files."""
    before, after = map(re.escape, re.split(r"%0?\d*d", path.name))
    free(path.parent, lambda name: re.fullmatch(rf"{before}\d+{after}", name))


def write_folder(video: Video, path: Path, comment: str) -> tuple[str, ...]:
    free_pictures(path)
    with aside(path.parent) as part:
        part.mkdir()
        for number, pixels in enumerate(pictures(video)):
            Image.fromarray(pixels).save(part / (path.name % number))
    return (f"a folder keeps no rate: it was {float(video.rate):g} a second", *left_out(video, comment, "a folder"))


def write_still(video: Video, part: Path, ending: str, lossless: bool, comment: str) -> tuple[str, ...]:
    if len(video) > 1:
        raise BadInput(f"{len(video)} frames do not fit in one {ending}: use .mp4, or a name without ending for a folder")
    if ending != ".png":
        narrow_enough(video.size, ending, 65500)
    kind, options = ("PNG", {}) if ending == ".png" else ("JPEG", {"quality": 95, "subsampling": 0})
    Image.fromarray(next(pictures(video))).save(part, kind, **options)
    return left_out(video, comment, ending)


def write_movie(video: Video, part: Path, ending: str, lossless: bool, comment: str) -> tuple[str, ...]:
    coding = CODINGS[ending, lossless]
    size = even(video.size) if coding.pixels == "yuv420p" else video.size
    options = {"fflags": "+bitexact", **coding.header}
    narrow_enough(size, ending, coding.widest)
    with (recorded(video.audio if coding.speaks and video.covers_clip else None) as sound, encoding(ending),
          av.open(f"file:{part.absolute()}", "w", format=coding.container, options=options) as container):
        if coding.speaks and comment:
            container.metadata["comment"] = comment
        unheard = sound.join(container, ending)
        origin = sound.start(video.times[0])
        clock = Clock.of([time - origin for time in (*video.times, video.end)], coding.clock)
        stream = opened_stream(container, coding, size, video.rate, clock, video.colours)
        for pixels, time, (start, end) in zip(pictures(video), video.times, pairwise(clock.steps), strict=True):
            frame = coloured(widened(pixels, size), coding.pixels)
            frame.pts, frame.time_base, frame.duration = start, clock.tick, end - start
            mux(container, sound.until(time))
            mux(container, stream.encode(frame))
        mux(container, stream.encode())
        mux(container, sound.until(None))
    unsaid = left_out(video, "" if coding.speaks else comment, ending, coding.speaks)
    return (*said("edges repeated to make the size even:", video.size, size), *clock.notes, *unheard, *unsaid)


def narrow_enough(size: Size, ending: str, widest: int) -> None:
    if max(size) > widest:
        raise BadInput(f"{by(size)} is too large for {ending}, which holds {widest} pixels a side; write a folder of pictures")


@contextmanager
def encoding(ending: str) -> Iterator[None]:
    """What FFmpeg refuses inside is BadInput; what the system does is an OSError that no reader takes for its own."""
    try:
        yield
    except FFmpegError as wrong:
        if isinstance(wrong, OSError):
            raise OSError(wrong.errno, wrong.strerror) from wrong
        raise BadInput(f"cannot write a {ending} of this clip: {wrong.strerror}; try .mkv, or a folder of pictures") from wrong


def opened_stream(container: OutputContainer, coding: Coding, size: Size, rate: Fraction, clock: Clock,
                  colours: Colours) -> VideoStream:
    stream = container.add_stream(coding.codec, rate=rate.limit_denominator(100_000), options=coding.options)
    assert isinstance(stream, VideoStream)
    stream.width, stream.height, stream.pix_fmt = *size, coding.pixels
    context = stream.codec_context
    context.time_base = clock.tick
    if coding.speaks:
        tag(context, colours, coding.pixels == "yuv420p")
    return stream


def tag(context: VideoCodecContext, colours: Colours, yuv: bool) -> None:
    """Tells primaries and transfer as the source did.  RGB of which nothing is known stays untold; yuv is then BT.709."""
    for name, value, known in (("color_primaries", colours[0], PRIMARIES), ("color_trc", colours[1], CURVES)):
        if value in known or yuv:
            setattr(context, name, value if value in known else BT709)
    if yuv:
        context.colorspace, context.color_range = BT709, LIMITED


def mux(container: OutputContainer, packets: Iterable[Packet]) -> None:
    for packet in packets:
        container.mux(packet)


def coloured(pixels: np.ndarray, kind: str) -> VideoFrame:
    """A frame of RGB pixels (h w 3) in the encoder's own kind of pixels."""
    if kind == "pal8":
        return few_colours(pixels)
    frame = VideoFrame.from_ndarray(pixels, format="rgb24")
    if kind != "yuv420p":
        return frame.reformat(format=kind)
    return frame.reformat(
        format=kind, interpolation=EXACT, dst_colorspace=Colorspace.ITU709,
        src_color_range=ColorRange.JPEG, dst_color_range=ColorRange.MPEG)


def few_colours(pixels: np.ndarray) -> VideoFrame:
    """A frame of 256 colours, its own ones."""
    few = Image.fromarray(pixels).quantize(256, Image.Quantize.FASTOCTREE)     # 80 times as fast as the default, 1 dB less
    colours = np.array(few.getpalette(), np.uint8).reshape(-1, 3)
    palette = np.full((256, 4), 255, np.uint8)          # alpha, red, green, blue
    palette[:len(colours), 1:] = colours
    return VideoFrame.from_ndarray((np.asarray(few), palette), format="pal8")   # pyright: ignore[reportArgumentType]


def even(size: Size) -> Size:
    """yuv420p keeps one colour for two by two pixels."""
    return size[0] + size[0] % 2, size[1] + size[1] % 2


def widened(pixels: np.ndarray, size: Size) -> np.ndarray:
    """Pixels (h w 3) with the right and lower edge repeated up to `size`."""
    height, width, _ = pixels.shape
    return np.pad(pixels, ((0, size[1] - height), (0, size[0] - width), (0, 0)), mode="edge")


def left_out(video: Video, comment: str, what: str, holds_sound: bool = False) -> tuple[str, ...]:
    """What does not go with the pictures, in words."""
    if video.audio and holds_sound and not video.covers_clip:
        return ("the sound is left out: the frames are only a part of its clip",)
    lost = [name for name, so in (("sound", video.audio and not holds_sound), ("comment", comment)) if so]
    return (f"left out, because {what} holds none: {', '.join(lost)}",) if lost else ()


def pictures(video: Video) -> Iterator[np.ndarray]:     # (h w 3) bytes each
    for first in track(range(0, len(video), CHUNK), "writing"):
        yield from as_pixels(video[first:first + CHUNK])
