"""What happens when something on the page is dropped, typed, chosen or pressed: each answer is the components that change."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, final

import gradio as gr

from ..errors import BadInput
from . import Studio, history, pictures, uploads, views
from .ask import NAMES, Ask, chosen, told_of
from .fields import PRESETS
from .form import Form, filled
from .jobs import Ticket

Answer = dict[Any, Any]                                 # new values, or what a component changes, by component
Work = TypeVar("Work", bound=Callable[..., Answer])
FIRST = 16                                              # frames of a new clip, at most


@final
@dataclass(frozen=True)
class Shown:
    """The components that are no field of a form."""

    file: gr.File
    clip: gr.HTML
    strip: gr.HTML
    read: gr.Button
    preset: gr.Dropdown
    kept: gr.Textbox                                    # JSON: a method, its settings that are filled in, when
    reset: gr.Button
    inside: gr.Radio                                    # what says where the edit may change something
    canvas: gr.ImageEditor
    mask: gr.File
    locate: gr.Button
    forecast: gr.Button
    begin: gr.Button
    line: gr.HTML                                       # why something was refused, what a forecast says
    work: gr.HTML
    cancel: gr.Button
    result: gr.HTML
    score: gr.Button
    scores: gr.HTML
    run: gr.State                                       # the name of the run that is shown
    timer: gr.Timer
    owner: gr.BrowserState
    seen: gr.State                                      # numbers of tickets whose end was shown
    tabs: gr.Tabs
    runs: gr.HTML

    @property
    def changing(self) -> list[Any]:
        """What answers may change, with a form's own components."""
        return [self.file, self.clip, self.strip, self.preset, self.kept, self.inside, self.locate, self.canvas, self.mask,
                self.line, self.work, self.cancel, self.result, self.score, self.scores, self.run, self.timer, self.owner,
                self.seen, self.tabs, self.runs]


def anew(method: str, settings: Mapping[str, Any]) -> str:
    """To be filled in again, even where they are those that were."""
    return json.dumps([method, dict(settings), time.monotonic_ns()])


def told(work: Work) -> Work:
    """The same, whose BadInput is said on the page in a line."""
    @wraps(work)
    def tried(desk: Desk, *given: Any, **named: Any) -> Answer:
        try:
            return {desk.shown.line: "", **work(desk, *given, **named)}
        except BadInput as wrong:
            return {desk.shown.line: views.refused(str(wrong))}
    return tried                                        # type: ignore[return-value]


@final
@dataclass(frozen=True)
class Desk:
    """The answers.  values: those of `Ask.all`."""

    studio: Studio
    ask: Ask
    shown: Shown

    # The clip

    def arrived(self, file: str) -> Answer:
        """A clip, with its settings where newtake made it; or a recipe."""
        try:
            with uploads.brought(file, self.studio.places) as path:
                return {self.shown.file: None, self.shown.line: "", **self.brought(path)}
        except BadInput as wrong:
            return {self.shown.file: None, self.shown.line: views.refused(str(wrong))}

    def brought(self, path: Path) -> Answer:
        places, limits = self.studio.places, self.studio.limits
        if path.suffix.lower() == ".json":
            return self.again(uploads.recipe(path, limits))
        upload = uploads.taken(path, path.name, places, limits)
        if upload.told:
            return self.again(upload.told, upload.name)
        first = Form(clip=upload.name, frames=min(upload.count, FIRST))
        return {**{self.ask[name]: getattr(first, name) for name in ("clip", "start", "frames", "stride")},
                self.shown.inside: "words", **self.by("words")}

    def again(self, record: Any, clip: str = "") -> Answer:
        """The form of a record; clip: which is taken where its own is not here."""
        form, missing = filled(record, self.studio.places)
        form = replace(form, clip=form.clip or clip)
        kind = "file" if form.mask else "box" if form.box else "words"
        return {**self.ask.filled(form), self.shown.inside: kind, **self.by(kind, form.mask, form.box), self.shown.preset: None,
                self.shown.kept: anew(form.method, form.settings),
                self.shown.line: views.noted(["these are the settings of that run", *missing])}

    def look(self, *values: Any) -> Answer:
        """What was chosen of the clip."""
        try:
            form = self.ask.form(values, {})
            if not form.clip:
                return gr.skip()
            upload = uploads.opened(form.clip, self.studio.places)
            strip = views.strip(*pictures.thumbnails(form, upload, self.studio.places))
            return {self.shown.clip: views.clip(upload), self.shown.strip: strip}
        except BadInput as wrong:
            return {self.shown.strip: views.refused(str(wrong))}

    def propose(self, *values: Any) -> Answer:
        """What the clip shows, where nobody said it and somebody can read it."""
        try:
            form = self.ask.form(values, {})
            return {self.ask["source"]: self.studio.caption(form)} if form.clip and not form.source.strip() else gr.skip()
        except BadInput:
            return gr.skip()

    @told
    def read(self, *values: Any) -> Answer:
        """The same, as it was asked for."""
        return {self.ask["source"]: self.studio.caption(self.ask.form(values, {}))}

    # What may change

    @told
    def inside(self, kind: str, clip: str, start: int | None) -> Answer:
        """Another way to say where.  The choice itself is left as it is: it may be another by now."""
        canvas = pictures.canvas(uploads.opened(clip, self.studio.places), start or 0) if kind == "drawn" else None
        return self.by(kind, box="0.25, 0.25, 0.5, 0.5" if kind == "box" else "", canvas=canvas)

    def by(self, kind: str, mask: str = "", box: str = "", canvas: Any = None) -> Answer:
        """What says where, and nothing else of its kind."""
        return {self.shown.locate: gr.Button(visible=kind == "words"), self.ask["mask"]: mask,
                self.ask["box"]: gr.Textbox(box, visible=kind == "box"),
                self.shown.canvas: gr.ImageEditor(canvas, visible=kind == "drawn"),
                self.shown.mask: gr.File(None, visible=kind == "file")}

    def drew(self, picture: Any) -> Answer:
        return {self.ask["mask"]: pictures.drawn(picture["layers"] if picture else [], self.studio.places)}

    @told
    def masked(self, file: str) -> Answer:
        with uploads.brought(file, self.studio.places) as path:
            upload = uploads.taken(path, path.name, self.studio.places, self.studio.limits)
            return {self.ask["mask"]: upload.name, self.shown.mask: None}

    # How

    def preset(self, name: str) -> Answer:
        preset = next(preset for preset in PRESETS if preset.name == name)
        return {self.shown.preset: gr.Dropdown(info=f"{preset.example}: {preset.why}"),
                self.ask["method"]: chosen(preset.method), self.shown.kept: anew(preset.method, preset.settings)}

    def method(self, name: str) -> Answer:
        return {self.ask["method"]: gr.Dropdown(info=told_of(name)), self.shown.kept: anew(name, {})}

    def inverted(self, method: str, names: Sequence[str], chosen: str, *settings: Any) -> Answer:
        """Another inversion, which has settings of its own."""
        others = {name: value for name, value in zip(names, settings, strict=True) if not name.startswith("inversion")}
        return {self.shown.kept: anew(method, others | {"inversion": chosen})}

    # Work

    def form(self, names: Sequence[str], given: Sequence[Any]) -> Form:
        return self.ask.form(given[:len(NAMES)], dict(zip(names, given[len(NAMES):], strict=True)))

    @told
    def begin(self, names: Sequence[str], owner: str, *given: Any) -> Answer:
        """names: of the settings that stand behind the form's own values."""
        self.studio.queue.submit(owner, self.studio.job(self.form(names, given)))
        return self.going(owner)

    @told
    def forecast(self, names: Sequence[str], owner: str, *given: Any) -> Answer:
        self.studio.queue.forecast(owner, self.studio.job(self.form(names, given)))
        return self.going(owner)

    @told
    def locate(self, names: Sequence[str], owner: str, *given: Any) -> Answer:
        form = pictures.few(self.form(names, given), self.studio.places)
        self.studio.queue.locate(owner, self.studio.job(form))
        return self.going(owner)

    @told
    def score(self, owner: str, run: str) -> Answer:
        self.studio.queue.score(owner, history.opened(run, self.studio.places))
        return self.going(owner)

    def cancel(self, owner: str) -> Answer:
        for ticket in self.open(owner)[:1]:
            ticket.cancel()
        return self.going(owner)

    def open(self, owner: str) -> list[Ticket]:
        return [ticket for ticket in self.studio.queue.of(owner) if not ticket.state.ended]

    def going(self, owner: str) -> Answer:
        """How far this owner's work is."""
        tickets = self.open(owner)
        return {self.shown.work: views.work(tickets), self.shown.cancel: gr.Button(visible=bool(tickets)),
                self.shown.timer: gr.Timer(active=True)}

    def tick(self, owner: str, seen: Sequence[int], run: str) -> Answer:
        """The same, and what came out of what ended since."""
        tickets = self.studio.queue.of(owner)
        ended = [ticket for ticket in tickets if ticket.state.ended and ticket.number not in seen]
        answer = self.going(owner)
        for ticket in ended:
            answer |= self.ended(ticket, run)
        quiet = all(ticket.number in seen for ticket in tickets)
        return answer | {self.shown.timer: gr.Timer(active=not quiet),
                         self.shown.seen: [*seen, *(ticket.number for ticket in ended)]}

    @told
    def ended(self, ticket: Ticket, run: str) -> Answer:
        """What came out of it: see `Queue`.  run: which is shown."""
        state, shown = ticket.state, self.shown
        if state.kind in ("refused", "failed"):
            return {shown.line: views.refused(state.line)}
        if state.kind == "cancelled":
            return {shown.line: views.noted(["cancelled; nothing was left half-made"])}
        if isinstance(state.result, str):
            return {**self.result(state.result), **self.past()}
        if isinstance(state.result, list):
            return {shown.line: views.noted([*state.result, *state.notes])}
        if isinstance(state.result, tuple):
            where = "the frames show it: under colour is where the words do not look; what a target becomes may reach further"
            return {shown.strip: views.strip(*state.result), shown.line: views.noted([where, *state.notes])}
        return self.scored(history.opened(run, self.studio.places)) if run else {}

    # Runs

    def result(self, name: str) -> Answer:
        """A run, with its scores where they were made.  BadInput where it is gone."""
        shown, past = self.shown, history.opened(name, self.studio.places)
        return {shown.result: views.run(past), shown.run: name, **self.scored(past)}

    def scored(self, past: history.Past) -> Answer:
        scores = past.scores
        return {self.shown.score: gr.Button(visible=scores is None),
                self.shown.scores: views.scores(past, scores) if scores else ""}

    def past(self) -> Answer:
        return {self.shown.runs: views.runs(history.runs(self.studio.places))}

    @told
    def reopened(self, event: gr.EventData) -> Answer:
        """A run of before, with its settings."""
        past = history.opened(str(event.run), self.studio.places)
        return {**self.again(past.told), **self.result(past.name), self.shown.tabs: gr.Tabs(selected="edit")}

    def arrives(self, owner: str) -> Answer:
        """A browser, for the first time or again: its work goes on."""
        owner = owner or secrets.token_urlsafe(16)
        return {self.shown.owner: owner, **self.going(owner), **self.past()}
