"""All that a page's form says of an edit, as it is typed and chosen; a job is made of it, and it of a former run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ..errors import BadInput
from ..invitation import Invitation, spelled
from ..options import numbers, pixels, sides
from ..places import Places
from ..record import Background, Job
from ..settings import settings_of, whole
from ..sweep.fields import number
from . import fields
from .uploads import file_of, of_hash

SAME = ("source", "method", "cuts", "seed", "start", "stride", "frames", "lossless")               # in a form and in a record


@dataclass(frozen=True)
class Form:
    """Names are those of `Places.listed` and of uploads, never paths."""

    clip: str = ""                                      # `Upload.name`
    source: str = ""                                    # what the clip shows; "": as a captioner reads it
    targets: str = ""                                   # one on each line
    method: str = "newtake"
    settings: Mapping[str, Any] = field(default_factory=dict)   # those that differ from the defaults: see `fields.read`
    words: str = ""                                     # what changes, with commas
    spared: str = ""                                    # what is left alone, with commas
    weights: str = ""                                   # "blue=2, red=0.5"
    shares: str = ""                                    # "ball=0.4"
    mask: str = ""                                      # `Upload.name` of a picture or clip, white where something may change
    box: str = ""                                       # "x,y,width,height", in pixels or, with points, in shares
    keep_background: bool = False
    full_size: bool = False
    feather: int | None = None                          # pixels
    model: str = "tiny"
    adapters: Mapping[str, float] = field(default_factory=dict)     # weight by name
    guests: str = ""                                    # one on each line: NAME:pictures=edges;scale=0.8
    frames: int | None = None                           # None: all that there are
    start: int = 0
    stride: int = 1
    size: str = ""                                      # "512x320"; "": the network's own area
    seed: int = 0
    cuts: str = "edit"
    lossless: bool = False


def job(form: Form, places: Places, device: str | None = None, dtype: str | None = None) -> Job:
    """What the form asks for.  BadInput where something cannot be read, or is not listed; what `run` refuses is left to it."""
    if not form.clip:
        raise BadInput("there is no clip yet; bring one")
    there = places.listed()
    background = Background(form.keep_background, sides(form.box) if form.box.strip() else None,
                            None if form.feather is None else count(form.feather, "feather"), form.full_size)
    return Job(
        str(file_of(form.clip, places)), form.source.strip() or None, tuple(lines(form.targets)), form.method,
        differing(form.method, form.settings),
        tuple(parts(form.words)), tuple(parts(form.spared)), str(file_of(form.mask, places)) if form.mask else None,
        numbers(parts(form.weights), "the weight of a word"), numbers(parts(form.shares), "the share of a word"),
        chosen(there.models, form.model, "model"),
        {chosen(there.adapters, name, "adapter"): number(one, f"the weight of {name}") for name, one in form.adapters.items()},
        tuple(guest(line, places, there.guests) for line in lines(form.guests)), None,
        None if form.frames is None else count(form.frames, "frames"), count(form.start, "start"),
        count(form.stride, "stride"), pixels(form.size.strip() or None), count(form.seed, "seed"), device, dtype,
        cuts=form.cuts, lossless=form.lossless, background=background)


def differing(method: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    return fields.read(fields.fields(method, settings.get("inversion")), settings)


def guest(line: str, places: Places, there: Mapping[str, str]) -> Invitation:
    """Who is listed, and sees control pictures that were brought, or that a listed network draws."""
    one = spelled(line)
    file = one.file and (str(file_of(one.file, places)) if one.kind == "clip" else chosen(there, one.file, "guest"))
    return one.with_files(chosen(there, one.where, "guest"), file)


def chosen(there: Mapping[str, str], name: str, what: str) -> str:
    if name not in there:
        raise BadInput(f"there is no {what} {name!r:.80}; choose of {', '.join(there) or 'none: the owner allowed no folder'}")
    return there[name]


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def count(given: Any, what: str) -> int:
    try:
        return whole(given)
    except (ValueError, TypeError, OverflowError):
        raise BadInput(f"{what} is a whole number, not {given!r:.80}") from None


def filled(told: Mapping[str, Any], places: Places) -> tuple[Form, list[str]]:
    """The form of a record (of `uploads.recipe`, `Upload.told`, `Past.told`), and what could not be filled in, in words.

    Its clip and its mask are found among the uploads by their hashes.  BadInput where its method or a setting is not known.
    """
    was, there = told["job"], places.listed()
    clip, mask = of_hash(told["clip"]["sha256"], places), of_hash(told["mask"] or "", places)
    guests = [invited(one, hashes["pictures"], places) for one, hashes in zip(was["guests"], told["guests"], strict=True)]
    adapters = {one["where"]: one["weight"] for one in was["adapters"]}
    model, background = was["model"], was["background"]
    form = Form(
        clip=clip, mask=mask, targets="\n".join(was["targets"]), settings=differing(was["method"], was["settings"]),
        words=", ".join(was["words"]), spared=", ".join(was["spared"]), weights=pairs(was["weights"]),
        shares=pairs(was["shares"]), size="x".join(map(str, was["size"] or ())),
        box=",".join(map(str, background["box"] or ())), keep_background=background["keep"], full_size=background["full_size"],
        feather=background["feather"], model=model if model in there.models else "tiny",
        adapters={name: weight for name, weight in adapters.items() if name in there.adapters},
        guests="\n".join(line_of(one) for one in guests if one.where in there.guests))
    here = [("clip", was["clip"], clip), ("mask", was["mask"], mask or not was["mask"]),
            ("model", model, model in there.models), *(("adapter", name, name in there.adapters) for name in adapters),
            *(("guest", one.where, one.where in there.guests) for one in guests)]
    missing = [f"the {what} {name} of that run is not here; bring or choose it again"
               for what, name, found in here if not found]
    missing += [f"that run had --{name}, which the page has not" for name in ("light", "whole") if was[name]]
    if was["norms"] == "clip":                          # a record has the norms of the network, asked for or not
        missing.append("that run had norms over the clip; here they are as the checkpoint and its adapters have them")
    return replace(form, **{name: was[name] for name in SAME}), missing


def invited(told: Mapping[str, Any], pictures: str | None, places: Places) -> Invitation:
    """The guest, with its control pictures by the name that they have among the uploads."""
    one = Invitation(**told)
    return one.with_files(one.where, of_hash(pictures or "", places) or one.file) if one.kind == "clip" else one


def line_of(one: Invitation) -> str:
    """As `spelled` reads it."""
    usual = asdict(Invitation(one.where))
    said = [f"{setting.name}={setting.default}" for setting in settings_of(one) if setting.default != usual[setting.name]]
    return one.where + f":{';'.join(said)}" * bool(said)


def pairs(table: Mapping[str, float]) -> str:
    return ", ".join(f"{word}={value}" for word, value in table.items())
