"""The components in which a form is typed and chosen, in the order of `form.Form`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, final

import gradio as gr

from ..methods import DEFAULT, METHODS
from ..methods.method import about
from ..options import weighted
from ..places import Listed
from .fields import Field
from .form import Form, count

NAMES = tuple(field.name for field in fields(Form) if field.name != "settings")
MASKS = {"the words": "words", "what I draw": "drawn", "a box": "box", "a picture or clip": "file"}


@final
@dataclass(frozen=True)
class Ask:
    """One component a field of `Form`, but for settings, which have their own."""

    parts: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.parts[name]

    @property
    def all(self) -> list[Any]:
        return [self.parts[name] for name in NAMES]

    def form(self, values: Sequence[Any], settings: Mapping[str, Any]) -> Form:
        """What the components of `all` hold.  BadInput where a number is none."""
        known = zip(NAMES, values, strict=True)
        said: dict[str, Any] = {name: value for name, value in known if value is not None}      # None: it was never seen
        numbers: dict[str, Any] = {name: count(said[name], name) if said.get(name) else None for name in ("frames", "feather")}
        return Form(**said | numbers | {"settings": settings, "adapters": weighted(said.get("adapters", ()), "adapters"),
                                        "guests": "\n".join(said.get("guests", ()))})

    def filled(self, form: Form) -> dict[Any, Any]:
        """The components' values that say this form."""
        others = {"adapters": [f"{name}={weight:g}" for name, weight in form.adapters.items()], "method": chosen(form.method),
                  "guests": form.guests.splitlines()}
        return {self[name]: others.get(name, getattr(form, name)) for name in NAMES}


def source() -> dict[str, Any]:
    return {"source": gr.Textbox(label="What the clip shows", placeholder="a red ball on the grass")}


def targets() -> dict[str, Any]:
    return {"targets": gr.Textbox(label="What it should become", info="one on each line; they share the clip's inversion",
                                  placeholder="a blue ball on the grass", lines=2, max_lines=8)}


def frames() -> dict[str, Any]:
    with gr.Row(elem_classes="narrow"):
        made: dict[str, Any] = {
            "start": gr.Number(0, label="From frame", precision=0),
            "frames": gr.Textbox(label="How many", placeholder="all"),     # a number that is none is shown as 0
            "stride": gr.Number(1, label="Every", precision=0, placeholder="1"),
            "size": gr.Textbox(label="Size", placeholder="512x320")}
    return made


def method() -> dict[str, Any]:
    names = [(name.replace("_", " "), name) for name in METHODS]
    return {"method": gr.Dropdown(names, value=DEFAULT, label="Method", info=told_of(DEFAULT))}


def chosen(method: str) -> gr.Dropdown:
    """Another method in its place, and what it does."""
    return gr.Dropdown(value=method, info=told_of(method))


def told_of(method: str) -> str:
    """What it does."""
    return about(METHODS[method])[1]


def where() -> dict[str, Any]:
    return {
        "box": gr.Textbox(label="The box", info="x, y, width, height, in shares of the picture", visible=False),
        "keep_background": gr.Checkbox(label="Keep all around it, pixel for pixel"),
        "full_size": gr.Checkbox(label="… in the clip's own size"),
        "feather": gr.Textbox(label="Soft edge", info="pixels; empty: 1/64 of a side"),
    }


def wording() -> dict[str, Any]:
    return {
        "words": gr.Textbox(label="Words that change", info="with commas; empty: those that differ", placeholder="ball"),
        "spared": gr.Textbox(label="Words that are left alone", info="with commas", placeholder="grass"),
        "weights": gr.Textbox(label="How much a word counts", placeholder="blue=2, red=0.5"),
        "shares": gr.Textbox(label="Share of the steps a word takes from the source", placeholder="ball=0.4"),
    }


def networks(listed: Listed, model: str) -> dict[str, Any]:
    """model: which is chosen at first, as a job takes it."""
    name = next(name for name, where in listed.models.items() if where == model)
    several: dict[str, Any] = dict(multiselect=True, allow_custom_value=True, value=[])
    return {
        "model": gr.Dropdown([*listed.models], value=name, label="Checkpoint"),
        "adapters": gr.Dropdown([*listed.adapters], label="Adapters", info="a name, or NAME=WEIGHT", **several),
        "guests": gr.Dropdown([*listed.guests], label="Guests", info="a name, or NAME:pictures=edges;scale=0.8", **several),
    }


def rest() -> dict[str, Any]:
    return {
        "seed": gr.Number(0, label="Seed", precision=0),
        "cuts": gr.Radio([("edit each shot", "edit"), ("refuse", "refuse"), ("ignore", "ignore")], value="edit",
                         label="Where the clip has cuts"),
        "lossless": gr.Checkbox(label="Lossless", info="not every player shows it"),
    }


def setting(field: Field, value: Any) -> Any:
    """What a setting is typed or chosen in."""
    low, high = ("" if end is None else f"{end:g}" for end in (field.least, field.most))
    reach = f"{low} to {high}" if low and high else f"at least {low}" if low else f"at most {high}" if high else ""
    told = f"{field.help}; {reach}" if reach else field.help
    same: dict[str, Any] = dict(label=field.name.replace("_", " "), info=told, interactive=True)
    if field.kind == "switch":
        return gr.Checkbox(bool(value), **same)
    if field.kind == "choice":
        return gr.Dropdown([*field.choices], value=value, **same)
    if field.kind == "text" or field.optional:
        return gr.Textbox("" if value is None else str(value), placeholder="none" if field.optional else None, **same)
    whole = field.kind == "whole number"
    return gr.Number(value, precision=0 if whole else None, step=1 if whole else 0.1, **same)

