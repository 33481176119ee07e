"""Thumbnails of what was chosen, with what may change shown over them, and masks that people draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

from PIL import Image, ImageChops

from ..errors import BadInput
from ..options import sides
from ..places import Places
from ..ready import Way
from ..record import Job
from ..run import located
from ..video import Video, as_pixels
from ..video.clip import countable
from .form import Form
from .uploads import SIDE, Upload, apart, opened, taken

Strip = tuple[list[Image.Image], range]                 # frames, and their numbers
MOST = 8                                                # thumbnails
LEAST = 480                                             # pixels of a frame's longer side that is drawn on
PAINT = (180, 72, 30)
STRENGTH = 0.6                                          # of the paint, where nothing may change


def chosen(form: Form, count: int) -> range:
    """Numbers of at most MOST of the frames that a form asks for, evenly spread, of a clip of so many.  BadInput: of none."""
    countable(form.frames, form.start, form.stride)
    every = range(form.start, count, form.stride)[:form.frames]
    if not every:
        raise BadInput(f"there are {count} frames, from 0 on: none is chosen; begin earlier")
    return every[::max(1, -(-len(every) // MOST))]


def few(form: Form, places: Places) -> Form:
    """The form of no more frames than are shown.  BadInput."""
    numbers = chosen(form, opened(form.clip, places).count)
    return replace(form, start=numbers.start, frames=len(numbers), stride=numbers.step)


def of_words(job: Job, way: Way) -> Strip:
    """All frames of a job; what is not where its words are is painted over.  BadInput where they show no place."""
    clip, inside = located(job, way)
    frames = [Image.fromarray(pixels) for pixels in as_pixels(clip[:])]
    for frame in frames:
        frame.thumbnail((SIDE, SIDE))
    masks = [Image.fromarray(mask).resize(frame.size) for mask, frame in zip(inside.any(0).cpu().numpy(), frames, strict=True)]
    return [*map(over, frames, masks)], range(job.start, job.start + len(clip) * job.stride, job.stride)


def thumbnails(form: Form, upload: Upload, places: Places) -> Strip:
    """Some of the frames that are chosen, with their numbers; what may not change is painted over.  BadInput: there is none."""
    numbers = chosen(form, upload.count)
    some = lambda of: of.frames(numbers.start, len(numbers), numbers.step)
    frames = some(upload)
    if form.box:
        return [over(frame, boxed(frame.size, form.box)) for frame in frames], numbers
    if form.mask:
        mask = opened(form.mask, places)
        masks = some(mask) if mask.count >= upload.count else mask.frames(0, 1) * len(frames)
        return [over(frame, one.convert("L").resize(frame.size)) for frame, one in zip(frames, masks, strict=True)], numbers
    return frames, numbers


def boxed(size: tuple[int, int], box: str) -> Image.Image:
    """A mask of a box in shares; one in pixels of an edit that is not made yet is not shown."""
    x, y, w, h = sides(box)
    mask = Image.new("L", size, 0 if isinstance(x, float) else 255)
    mask.paste(255, (round(x * size[0]), round(y * size[1]), round((x + w) * size[0]), round((y + h) * size[1])))
    return mask


def over(frame: Image.Image, inside: Image.Image) -> Image.Image:
    """A frame whose outside is painted."""
    paint = Image.blend(frame, Image.new("RGB", frame.size, PAINT), STRENGTH)
    return Image.composite(frame, paint, inside)


def canvas(upload: Upload, number: int) -> Image.Image:
    """A frame, large enough to draw on."""
    frame = Image.fromarray(as_pixels(Video.read(upload.path, 1, min(number, upload.count - 1))[:1])[0])
    times = max(1, LEAST / max(frame.size))
    return frame.resize((round(frame.width * times), round(frame.height * times)))


def drawn(layers: Sequence[Any], places: Places) -> str:
    """The name of an upload that is white where something was painted on one of the layers, RGBA; "" where nothing was."""
    painted = [layer.getchannel("A").point(lambda alpha: 255 * (alpha > 0)) for layer in layers]
    if not any(one.getbbox() for one in painted):
        return ""
    white = reduce(ImageChops.lighter, painted)
    with apart(places) as folder:
        path = folder / "mask.png"
        white.save(path)
        return taken(path, path.name, places).name
