"""Clips in containers, read by FFmpeg through PyAV: mp4, mov, avi, webm, mkv, gif."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from errno import EAGAIN, ENOMEM
from fractions import Fraction
from functools import partial
from os import SEEK_END
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Interpolation
from av.video.stream import VideoStream
from PIL import Image

from ..errors import BadInput
from .footage import MOST_PIXELS, RATE, UNTOLD, Colours, Footage, Shot, Size, said, small_claim, small_enough
from .pictures import TRANSPARENT, flat

# A text file that calls itself .mp4 may else be a script (ffconcat, HLS) that reads other files, or the network.
ALLOWED = {"format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,avi,matroska,webm,gif", "protocol_whitelist": "file"}
EXACT = Interpolation.BICUBIC | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP | Interpolation.ACCURATE_RND
HDR = (16, 18)                                          # transfer curves: SMPTE 2084 (PQ) and ARIB STD-B67 (HLG)

# What the display matrix (a b, c d of x' = ax + cy, y' = bx + dy, y downwards) does to a picture.
Turn = tuple[float, float, float, float]
TURNS: dict[Turn, Image.Transpose] = {
    (0, 1, -1, 0): Image.Transpose.ROTATE_270,
    (-1, 0, 0, -1): Image.Transpose.ROTATE_180,
    (0, -1, 1, 0): Image.Transpose.ROTATE_90,
    (-1, 0, 0, 1): Image.Transpose.FLIP_LEFT_RIGHT,
    (1, 0, 0, -1): Image.Transpose.FLIP_TOP_BOTTOM,
    (0, 1, 1, 0): Image.Transpose.TRANSPOSE,
    (0, -1, -1, 0): Image.Transpose.TRANSVERSE,
}
UPRIGHT = (1, 0, 0, 1)


def movie(path: Path, enough: int | None = None) -> Footage:
    """The clip's frames, counted by decoding them without their colours: what packets say is wrong in broken files.

    Stops one frame after `enough`; None counts them all.
    """
    with opened(path) as container:
        small_claim(path)
        stream = moving(path, container)
        log = Log()
        for frame in decoded(container, stream, log):
            log.note(frame)
            if len(log.stamps) - 1 == enough:
                break
        if not log.stamps:
            raise BadInput(f"{path.name} holds no frame that can be decoded")
        whole = enough is None or len(log.stamps) <= enough
        pixel = stream.sample_aspect_ratio or Fraction(1)
        *times, end = timed(log, stream)
        times, end = (times, end) if whole else (times[:-1], times[-1])
        faults = (*log.faults(), *(short(path, times, end, log, container, stream) if whole else ()))
        return Footage(
            path.name, partial(shots, path, pixel), tuple(times), end, log.upright(pixel), whole,
            (*log.notes(pixel), *told(container, stream), *faults), path if container.streams.audio else None, faults,
            {name.lower(): said for name, said in container.metadata.items()}.get("comment", ""), log.colours)


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """A container whose opening and reading, inside, fail with BadInput."""
    try:
        with av.open(f"file:{path.absolute()}", options=ALLOWED, metadata_errors="replace") as container:
            yield container
    except (FFmpegError, UnicodeError) as error:
        raise BadInput(refused(path)) from error


def refused(path: Path) -> str:
    """Why FFmpeg would not open the file, as far as its first bytes tell."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        return f"cannot read {path}: {error.strerror}"
    if head.startswith((b"ffconcat", b"#EXTM3U")):
        return f"{path.name} is a script that names other files, which newtake never opens; give it a video itself"
    if head[4:8] == b"ftyp":
        return f"{path.name} is damaged or cut off (an mp4 without a usable index); copy or download it again"
    return f"{path.name} is not a video that can be read: it is damaged, or not mp4, mov, avi, webm, mkv, gif or webp"


def moving(path: Path, container: InputContainer) -> VideoStream:
    """The first video stream that is not a cover picture."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            if stream.codec_context is None:            # FFmpeg has no decoder for it
                raise BadInput(f"the pictures of {path.name} are in a coding that cannot be read; convert it to h264")
            small_enough(path.name, (stream.codec_context.width, stream.codec_context.height))
            stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
            return stream
    raise BadInput(f"{path.name} has no pictures" + (", only sound" if container.streams.audio else ""))


@dataclass
class Log:
    """What playing a stream once showed."""

    packets: int = 0
    lost: int = 0                                       # packets that could not be decoded
    damaged: int = 0                                    # frames with guessed parts
    stamps: list[int | None] = field(default_factory=list)
    last: int = 0                                       # duration of the last frame in ticks; 0: not told
    sizes: dict[Size, int] = field(default_factory=dict)
    turn: Turn = UPRIGHT
    transparent: bool = False
    interlaced: bool = False
    colours: Colours = UNTOLD

    def note(self, frame: VideoFrame) -> None:
        if not self.stamps:
            self.turn, self.colours = turned(frame), (frame.color_primaries, frame.color_trc)
        self.transparent = self.transparent or transparent(frame)
        self.damaged += frame.is_corrupt
        self.interlaced = self.interlaced or frame.interlaced_frame
        self.sizes.setdefault((frame.width, frame.height), len(self.stamps))
        self.stamps.append(frame.pts)
        self.last = frame.duration or 0

    def upright(self, pixel: Fraction) -> Size:
        width, height = square(next(iter(self.sizes)), pixel)
        return (height, width) if self.turn[0] == 0 else (width, height)

    def notes(self, pixel: Fraction) -> Iterator[str]:
        size = next(iter(self.sizes))
        yield from said("pixels made square: scaled", size, square(size, pixel))
        if self.turn not in (UPRIGHT, *TURNS):
            yield "it is meant to be shown at a slant: left as it is"
        for other, number in list(self.sizes.items())[1:]:
            yield from said(f"its size changes at frame {number}: scaled", other, size)
        for so, what in ((self.transparent, TRANSPARENT), (self.interlaced, "interlaced: its fields are left woven"),
                         (self.colours[1] in HDR, "high dynamic range: shown without tone mapping")):
            if so:
                yield what

    def faults(self) -> Iterator[str]:
        for count, what in ((self.lost, "packets cannot be decoded"), (self.damaged, "frames are damaged")):
            if count:
                yield f"{count} {what}"


def told(container: InputContainer, stream: VideoStream) -> Iterator[str]:
    """What the container holds that is not read."""
    if len(container.streams.video) > 1:
        yield "its other pictures (a second video stream, or a cover) are left out"
    if container.streams.subtitles:
        yield "its subtitles are left out"
    if stream.metadata.get("alpha_mode") == "1":
        yield "its transparency is not read"


def short(path: Path, times: Sequence[Fraction], end: Fraction, log: Log, container: InputContainer,
          stream: VideoStream) -> Iterator[str]:
    """Whether the file ends before it said it would."""
    silent = not container.streams.audio and container.duration
    missing = stream.frames - log.packets if stream.frames else 0
    own, shown = lasts(stream), end - times[0]
    seconds, spare = Fraction(container.duration or 0, av.time_base) - shown, Fraction(1, 2)
    if own:                                             # some count it from 0, some from the first frame
        seconds, spare = own - max(end, shown), shown / len(times) * Fraction(3, 2)
    if missing > 0:
        yield f"ends early: {missing} of {stream.frames} frames are missing"
    elif (own or silent) and not stream.frames and seconds > spare:
        yield f"ends early: {float(seconds):.1f} seconds are missing"
    elif container.format.name == "gif" and not closed(path):
        yield "ends early: frames are missing, and a gif does not say how many"


def closed(path: Path) -> bool:
    """Whether a GIF ends with its trailer."""
    with path.open("rb") as file:
        file.seek(-min(path.stat().st_size, 1024), SEEK_END)
        return file.read().rstrip(b"\0").endswith(b";")


def lasts(stream: VideoStream) -> Fraction:
    """Seconds, as mkv and webm tell them of one stream; 0: not told."""
    told = re.fullmatch(r"(\d+):(\d\d):(\d\d\.\d+)", stream.metadata.get("DURATION", ""), re.ASCII)
    return int(told[1]) * 3600 + int(told[2]) * 60 + Fraction(told[3]) if told else Fraction(0)


def timed(log: Log, stream: VideoStream) -> list[Fraction]:
    """When each frame is shown, and when the last is taken away, in seconds.

    Decoders give frames in the order they are shown, so times are in order too even where packets' stamps are not (packed
    B-frames in AVI).  A steady clip whose container rounds times (to 1/1000 in mkv, 1/100 in gif) gets its exact times back.
    """
    tick, count = stream.time_base or Fraction(1), len(log.stamps)
    told = [rate for rate in (stream.average_rate, stream.base_rate) if rate]
    stamps = sorted(stamp for stamp in log.stamps if stamp is not None)
    if len(set(stamps)) < count:                        # missing or repeated: no clock to go by
        return [number / (told or [RATE])[0] for number in range(count + 1)]
    if count == 1:
        gap = log.last * tick or 1 / (told or [RATE])[0]
        return [stamps[0] * tick, stamps[0] * tick + gap]
    mean = (stamps[-1] - stamps[0]) * tick / (count - 1)

    def worst(gap: Fraction) -> Fraction:
        return max(abs((stamp - stamps[0]) * tick - number * gap) for number, stamp in enumerate(stamps))

    gap = min((1 / rate for rate in (*told, *usual(1 / mean))), key=worst)
    gap, spare = (mean, 0) if worst(mean) == 0 else (gap, min(tick, gap / 4))
    if worst(gap) <= spare:
        return [stamps[0] * tick + number * gap for number in range(count + 1)]
    return [*(stamp * tick for stamp in stamps), last(log, stream, stamps) * tick or stamps[-1] * tick + mean]


def last(log: Log, stream: VideoStream, stamps: Sequence[int]) -> int:
    """When the last frame of an uneven clip is taken away, in ticks; 0: not told.

    A packet's duration is the distance to the next one in the order of decoding, which means little; mp4 has the clip's.
    """
    complete = stream.duration and log.packets >= stream.frames > 0
    told = stamps[0] + stream.duration if complete and stream.duration else stamps[-1] + log.last
    return told if told > stamps[-1] else 0


def usual(rate: Fraction) -> Iterator[Fraction]:
    """Common rates near a measured one: 24, 23.976 (24000/1001), 12.5."""
    near = (Fraction(round(rate)), Fraction(round(rate * 1001 / 1000) * 1000, 1001), Fraction(round(rate * 2), 2))
    yield from (rate for rate in near if rate)


def decoded(container: InputContainer, stream: VideoStream, log: Log) -> Iterator[VideoFrame]:
    for packet in container.demux(stream):
        log.packets += packet.size > 0
        try:
            frames = packet.decode()
        except FFmpegError:
            log.lost += 1
        else:
            yield from frames


def shots(path: Path, pixel: Fraction) -> Iterator[Shot]:
    with opened(path) as container:
        stream, turn, size = moving(path, container), None, None
        for frame in decoded(container, stream, Log()):
            turn, size = turn or turned(frame), size or (frame.width, frame.height)
            yield partial(drawn, path.name, frame, turn, square(size, pixel))


def drawn(name: str, frame: VideoFrame, turn: Turn, size: Size) -> Image.Image:
    """The frame as it is meant to be seen."""
    try:
        image = flat(Image.fromarray(pixels(frame, "rgba" if has_alpha(frame) else "rgb24")))
    except FFmpegError as error:
        if error.errno in (EAGAIN, ENOMEM):             # no threads, no memory: not the clip's fault
            raise
        raise BadInput(f"{name} says its colours in a way that cannot be read; convert it to h264 in yuv420p") from error
    if image.size != size:
        image = image.resize(size, Image.Resampling.LANCZOS)
    return image.transpose(TURNS[turn]) if turn in TURNS else image


def turned(frame: VideoFrame) -> Turn:
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return UPRIGHT
    a, b, _, c, d = (part / 65536 for part in struct.unpack("<5i", bytes(matrix)[:20]))
    return a, b, c, d


def pixels(frame: VideoFrame, kind: str) -> np.ndarray:
    ranges = {"src_color_range": frame.color_range, "dst_color_range": ColorRange.JPEG}
    return frame.reformat(format=kind, interpolation=EXACT, **ranges).to_ndarray()


def transparent(frame: VideoFrame) -> bool:
    return has_alpha(frame) and bool((pixels(frame, "rgba")[..., 3] < 255).any())


def has_alpha(frame: VideoFrame) -> bool:
    return frame.format.has_palette or any(component.is_alpha for component in frame.format.components)


def square(size: Size, pixel: Fraction) -> Size:
    """The size with square pixels: never smaller, so that nothing is lost."""
    width, height = size
    return (round(width * pixel), height) if pixel >= 1 else (width, round(height / pixel))
