"""What goes into a container beside the pictures: their clock, and the sound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from pathlib import Path

from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet

from .movie import opened

FINE = 90_000                                           # ticks a second, where no clock of less than FINEST has all times
FINEST = 1_000_000


@dataclass(frozen=True)
class Clock:
    """Times in whole ticks."""

    ticks: int                                          # a second
    steps: tuple[int, ...]                              # when each frame is shown, and when the last is taken away
    notes: tuple[str, ...]

    @classmethod
    def of(cls, seconds: Sequence[Fraction], ticks: int | None) -> Clock:
        """The clock of some times; `ticks`: what the container prescribes, None if it leaves that to us."""
        needed = lcm(*(time.denominator for time in seconds))
        ticks = ticks or (needed if needed <= FINEST else FINE)
        steps = [round(seconds[0] * ticks)]
        for time in seconds[1:]:
            steps.append(max(round(time * ticks), steps[-1] + 1))
        return cls(ticks, tuple(steps), () if ticks % needed == 0 else (f"times are rounded to 1/{ticks} of a second",))

    @property
    def tick(self) -> Fraction:
        return Fraction(1, self.ticks)


@contextmanager
def recorded(file: Path | None) -> Iterator[Sound]:
    """The sound of a file; None: silence."""
    if file is None:
        yield Sound((), iter(()))
        return
    with opened(file) as container:
        streams = container.streams.audio
        yield Sound(streams, container.demux(streams))


class Sound:
    """Packets of sound, copied bit for bit."""

    def __init__(self, streams: Sequence[AudioStream], packets: Iterator[Packet]):
        self.streams = streams
        self.packets = packets
        self.copies: dict[int, AudioStream] = {}        # index of a stream in the source -> the stream in the copy
        self.waiting: Packet | None = None
        self.origin = Fraction(0)

    def start(self, pictures: Fraction) -> Fraction:
        """The source's time that becomes 0: the first picture or the first sound, but no sound that precedes 0 (priming)."""
        starts = [stream.start_time * stream.time_base for stream in self.streams if stream.start_time and stream.time_base]
        silent_from = min((max(start, Fraction(0)) for start in starts), default=Fraction(0) if self.streams else pictures)
        self.origin = min(pictures, silent_from)
        return self.origin

    def join(self, container: OutputContainer, ending: str) -> tuple[str, ...]:
        """Adds a stream for each of the source's that the container can hold; returns what it cannot."""
        notes = []
        for stream in self.streams:
            codec = stream.codec_context.codec.canonical_name if stream.codec_context else "an unknown coding"
            if codec in container.supported_codecs:
                self.copies[stream.index] = container.add_stream_from_template(stream)
            else:
                notes.append(f"the sound is left out: {ending} cannot hold {codec}")
        return tuple(notes)

    def until(self, time: Fraction | None) -> Iterator[Packet]:
        """The packets up to a time of the source that have not been given yet; None: all that are left."""
        while packet := self.waiting or next(self.packets, None):
            self.waiting = packet
            clock = packet.time_base
            if time is not None and packet.dts is not None and packet.dts * clock > time:
                return
            self.waiting = None
            if packet.dts is None or packet.stream_index not in self.copies:
                continue
            packet.stream = self.copies[packet.stream_index]
            shift = round(self.origin / clock)
            packet.pts, packet.dts = (packet.dts if packet.pts is None else packet.pts) - shift, packet.dts - shift
            yield packet
