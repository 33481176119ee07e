"""Small clips for the tests of video, made with PyAV."""

from fractions import Fraction

import av
import numpy as np
import torch


def moving(count=6, width=32, height=24):
    """Frames (f 3 h w) in [-1, 1], kept to 8 bits: a bright square that wanders over a slanting ground."""
    y, x = np.mgrid[:height, :width]
    frames = np.zeros((count, height, width, 3), np.uint8)
    for number in range(count):
        frames[number] = np.stack([x * 4 + 20, y * 6 + 20, np.full_like(x, 90)], -1)
        left = 2 + 3 * number % (width - 10)
        frames[number, 6:14, left:left + 8] = (230, 40, 20 + 20 * number % 200)
    return torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 127.5 - 1


def pixels(frames):
    """(f 3 h w) in [-1, 1] -> (f h w 3) bytes."""
    return ((frames + 1) * 127.5).round().byte().permute(0, 2, 3, 1).contiguous().numpy()


def container(path, frames, times=None, rate=8, codec="libx264", kind="yuv420p", sound=None, delay=0, prepare=None,
              options=None):
    """A file with the frames, made apart from newtake's own writing.

    `times` are in milliseconds; `sound` is (codec, seconds); `delay` puts the pictures off by milliseconds; `prepare` gets the
    video stream before it is opened.
    """
    tick = Fraction(1, 1000) if times or delay else 1 / Fraction(rate)
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=Fraction(rate), options=options or {"crf": "12"} if codec == "libx264" else options)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[2:], kind
        stream.codec_context.time_base = tick
        if prepare:
            prepare(stream)
        noise = out.add_stream(sound[0], rate=16000, layout="mono") if sound else None
        for number, picture in enumerate(pixels(frames)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=kind)
            milliseconds = times[number] if times else round(number * 1000 / Fraction(rate))
            frame.pts, frame.time_base = (milliseconds + delay if tick == Fraction(1, 1000) else number), tick
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
        if noise is not None:
            for packet in heard(noise, sound[1]):
                out.mux(packet)
    return path


def heard(stream, seconds):
    generator = np.random.default_rng(0)
    kind = stream.codec_context.format.name
    size = stream.codec_context.frame_size or 1024
    for first in range(0, round(seconds * 16000), size):
        samples = generator.uniform(-0.3, 0.3, (1, size)).astype(np.float32)
        samples = (samples * 32767).astype(np.int16) if kind == "s16" else samples
        frame = av.AudioFrame.from_ndarray(samples, format=kind, layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 16000, first, Fraction(1, 16000)
        yield from stream.encode(frame)
    yield from stream.encode()


def packets(path):
    """The sound's packets: (seconds, bytes) each."""
    with av.open(str(path)) as found:
        return [(packet.pts * packet.time_base, bytes(packet)) for packet in found.demux(audio=0) if packet.size]


def psnr(one, other):
    """Peak signal to noise of frames in [-1, 1], dB."""
    return float(10 * torch.log10(4 / ((one - other) ** 2).mean()))
