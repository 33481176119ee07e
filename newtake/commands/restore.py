"""`newtake restore`: the background of a clip put back into what another tool made of it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import BadInput, Note
from ..options import Frames, Json, Option, Start, Stride, sides
from .said import say, tell

if TYPE_CHECKING:
    from ..background import Inside
    from ..video import Video


def restore(edit: Annotated[Path, typer.Argument(help="the edited clip, of any tool")],
            clip: Annotated[Path, Option("--clip", help="the clip that was edited")],
            mask: Annotated[Path | None, Option("--mask", help="what may differ: white in a picture or clip like the clip"
                                                )] = None,
            box: Annotated[str | None, Option("--box", metavar="X,Y,W,H", help="what may differ: in pixels of the clip, or, "
                                              "written with points, in shares of it, such as 0.25,0.0,0.5,1.0")] = None,
            invert: Annotated[bool, Option("--invert", help="what is inside the mask or the box stays")] = False,
            grow: Annotated[int, Option("--grow", min=0, metavar="PX", help="pixels by which the mask is made wider: one that "
                                        "is tight around a thing leaves its edge")] = 0,
            feather: Annotated[int | None, Option("--feather", min=0, metavar="PX", help="pixels of the clip, inside the mask, "
                                                  "over which it goes over into the edit; by default 1/64 of the shorter side"
                                                  )] = None,
            frames: Frames = None, start: Start = 0, stride: Stride = 1,
            lossless: Annotated[bool, Option("--lossless", help="outside of the mask the clip, bit for bit")] = False,
            sheet: Annotated[Path | None, Option("--sheet", metavar="PNG", help="a picture of clip, edit and result")] = None,
            out: Annotated[Path | None, Option("--out", help="the result; by default beside the edit")] = None,
            as_json: Json = False):
    """Put a clip's background back into an edit of it: outside the mask all is as it was, size, timing and sound too."""
    from ..background import kept, laid_over
    from ..outputs import place
    from ..show import noted, shown
    from ..video import Video
    from ..video import sheet as drawn

    if (mask is None) == (box is None):
        raise BadInput("say what may differ: --mask PICTURE|CLIP, or --box X,Y,W,H" + (", not both" if mask else ""))
    made, source = Video.read(edit), Video.read(clip, frames, start, stride)
    alike(made, source, clip)
    named = [path for path in (out and place(out), sheet) if path]
    if out and sheet and place(out).resolve() == sheet.resolve():
        raise BadInput("the result and the sheet have one name; give --sheet another")
    out = out or edit.resolve().with_name(f"{edit.stem}-restored{'.png' if len(source) == 1 else '.mp4'}")
    for path in (out, *([sheet] if sheet else [])):
        spared(place(path), {"edit": edit, "clip": clip, "mask": mask})
    if there := [path for path in named if path.exists()]:
        raise BadInput(f"{there[0]} is there already; name another place")
    with noted(tell), shown():
        inside = region(mask, box, invert, grow, made, source, (frames, start, stride))
        done = kept(made, source, inside, feather)
        notes = (*source.notes, *laid_over(made, source), *done.write(out, lossless))
        if sheet:
            drawn([source, made, done], sheet)
    for note in notes:
        tell(note)
    say({"file": str(out), "frames": len(done), "size": list(done.size), "notes": notes}, as_json, str(out))


def alike(made: Video, source: Video, clip: Path) -> None:
    """BadInput where the edit and the clip have not as many frames."""
    if len(made) != len(source):
        raise BadInput(f"the edit has {len(made)} frames and {clip.name} {len(source)}; say which of the clip's were edited: "
                       "--start, --stride, --frames")


def spared(out: Path, given: dict[str, Path | None]) -> None:
    """BadInput where the result would replace what it is made of."""
    for what, path in given.items():
        if path is not None and path.resolve().is_relative_to(out.resolve()):
            raise BadInput(f"{out} would replace the {what}; name another place")


def region(mask: Path | None, box: str | None, invert: bool, grow: int, made: Video, source: Video,
           which: tuple[Any, Any, Any]) -> Inside:
    """What may differ.  A Note says where that is nothing, or all."""
    from ..background import grown, inverted, of_box, of_clip, within

    inside = of_box(sides(box), source.size) if box else of_clip(footage(mask, made, source, which), len(source))
    inside = within(grown(inverted(inside) if invert else inside, grow), made.size, source.size)
    each = lambda: (inside(range(number, number + 1)) > 0 for number in range(len(source)))
    if not any(frame.any() for frame in each()):
        warnings.warn("the mask is empty: nothing would change, and the result is the clip", Note, stacklevel=2)
    elif all(frame.all() for frame in each()):
        warnings.warn("the mask is the whole picture: nothing of the clip is kept; --invert turns it round", Note, stacklevel=2)
    return inside


def footage(mask: Any, made: Video, source: Video, which: tuple[Any, Any, Any]) -> Video:
    """The mask at the clip's size, cropped as it would be; one of the edit's own size lies over the edit."""
    from ..background import mask_clip
    from ..video import Video

    return mask_clip(mask, made if Video.read(mask).size == made.size else source, *which)
