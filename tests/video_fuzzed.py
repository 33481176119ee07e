"""Reads clips named on stdin, one a line, and says on stdout what became of each: run as a program of its own, so that what
crashes, hangs or takes all memory is seen.  Each is written again, as edits are."""

import gc
import resource
import sys
import traceback
from pathlib import Path

import torch

import newtake.video.footage
import newtake.video.movie
from newtake.errors import BadInput
from newtake.video import Video

LARGEST = 1_000_000                                     # pixels of a picture, instead of 80 million
ROOM = 1 << 30                                          # bytes more than at the start
CHUNK = 8


def tried(path: Path) -> str:
    try:
        video = Video.read(path)
    except BadInput as refused:
        return one_line(refused)
    try:
        for first in range(0, len(video), CHUNK):
            frames = video[first:first + CHUNK]
            assert frames.shape == (min(CHUNK, len(video) - first), 3, *video.size[::-1]), frames.shape
            assert float(frames.abs().max()) <= 1
        assert video.end > video.times[-1] and sorted(set(video.times)) == list(video.times), video.times
    except BadInput as refused:
        return one_line(refused)
    try:
        video.write(path.with_name("edit.mp4"))
    except BadInput as refused:
        return one_line(refused)
    return f"read {len(video)}"


def one_line(refused: BadInput) -> str:
    assert len(str(refused).splitlines()) == 1
    return f"refused: {refused}"


def main() -> None:
    newtake.video.footage.MOST_PIXELS = newtake.video.movie.MOST_PIXELS = LARGEST
    Video.of(torch.zeros(1, 3, 8, 8)).write(Path(sys.argv[1]) / "first.mp4")     # all is loaded
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + ROOM, now + ROOM))
    print("ready", flush=True)
    for line in sys.stdin:
        gc.collect()                                    # PyAV's cycles hold threads, whose stacks count as memory
        try:
            print(tried(Path(line.rstrip("\n"))), flush=True)
        except BaseException as wrong:
            print("WRONG:", repr(wrong), "".join(traceback.format_exc()).replace("\n", " | "), flush=True)


if __name__ == "__main__":
    main()
