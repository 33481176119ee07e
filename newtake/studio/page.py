"""The page: what is asked on one side, what is made on the other, and the runs that were made before."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import gradio as gr

from ..methods import DEFAULT
from . import Studio, ask
from .ask import Ask, setting
from .desk import Desk, Shown, anew
from .fields import PRESETS, fields

TITLE = '<h1>newtake</h1><p class="quiet">A clip, what it shows, and what it should become.</p>'
DROP = '<p class="quiet">A clip or a picture; or for its settings an edit that newtake made, or a recipe (run.json).</p>'
NOTHING = '<div class="nothing"><p>What is made is seen here.</p></div>'
PICK = """element.addEventListener("click", event => {
  const button = event.target.closest("button");
  if (button) trigger("click", {run: button.value});
})"""
SEEN = """() => {
  const made = document.querySelector(".made");         // on a narrow screen it lies below the form
  if (made.getBoundingClientRect().top > innerHeight * 0.8) made.scrollIntoView({behavior: "smooth"});
}"""
NEWEST: dict[str, Any] = {"trigger_mode": "always_last"}  # what is chosen while the last choice is answered is answered, too
OFTEN = 0.5                                             # seconds between looks at work that goes on


def page(studio: Studio) -> gr.Blocks:
    """A page over the studio.  Each browser that opens it is an owner of work."""
    with gr.Blocks(title="newtake studio", analytics_enabled=False, delete_cache=(3600, 3600)) as blocks:
        gr.HTML(TITLE, elem_classes="title")
        with gr.Tabs() as tabs:
            with gr.Tab("Edit", id="edit"), gr.Row(elem_classes="halves"):
                with gr.Column(elem_classes="asked", scale=5, min_width=330):
                    form, others, holder = asked(studio)
                with gr.Column(elem_classes="made", scale=6, min_width=330):
                    others |= made()
            with gr.Tab("Runs", id="runs") as before:
                runs = gr.HTML(elem_id="runs", js_on_load=PICK)
        desk = Desk(studio, Ask(form), Shown(tabs=tabs, runs=runs, **others))
        wired(desk, blocks, before)
        with holder:
            settings(desk, blocks)
    return blocks


def asked(studio: Studio) -> tuple[dict[str, Any], dict[str, Any], gr.Accordion]:
    """The form, what belongs to it, and the place of a method's settings."""
    listed = studio.places.listed()
    form: dict[str, Any] = {name: gr.Textbox(visible="hidden") for name in ("clip", "mask")}
    others: dict[str, Any] = {"kept": gr.Textbox(anew(DEFAULT, {}), visible="hidden")}
    with gr.Group():
        others |= {"file": gr.File(label="Clip", height=130, elem_classes="drop"), "clip": gr.HTML(DROP, elem_id="clip"),
                   "strip": gr.HTML(elem_id="strip")}
        form |= ask.frames()
    with gr.Group(elem_classes="words"):
        form |= ask.source()
        others["read"] = gr.Button("Read it from the clip", size="sm", elem_classes="read")
        form |= ask.targets()
    with gr.Group():
        kinds = [preset.name for preset in PRESETS]
        others["preset"] = gr.Dropdown(kinds, value=None, label="Kind of edit", info="chooses a method and its settings")
        form |= ask.method()
    with gr.Accordion("Settings of the method", open=False) as holder:
        others["reset"] = gr.Button("Reset", size="sm")
    with gr.Accordion("Where it may change", open=False):
        others["inside"] = gr.Radio(list(ask.MASKS.items()), value="words", label="That is said by")
        others["locate"] = gr.Button("Show where the words are", size="sm")
        others["canvas"] = gr.ImageEditor(label="Draw over what may change", type="pil", visible=False, sources=(),
                                          layers=False, transforms=(), brush=gr.Brush(24, ["#b4481e"], color_mode="fixed"))
        others["mask"] = gr.File(label="A picture or clip, white where something may change", visible=False, height=100)
        form |= ask.where()
    with gr.Accordion("Words", open=False):
        form |= ask.wording()
    with gr.Accordion("Checkpoint, adapters, guests", open=False):
        form |= ask.networks(listed, studio.places.model)
    with gr.Accordion("Seed, cuts, files", open=False):
        form |= ask.rest()
    with gr.Row(elem_classes="narrow go"):
        others |= {"forecast": gr.Button("Estimate"), "begin": gr.Button("Edit", variant="primary")}
    return form, others, holder


def made() -> dict[str, Any]:
    return {
        "line": gr.HTML(elem_id="line"), "work": gr.HTML(elem_id="work"),
        "cancel": gr.Button("Cancel", visible=False, variant="stop"),
        "result": gr.HTML(NOTHING, elem_id="result"), "score": gr.Button("Score it", visible=False, size="sm"),
        "scores": gr.HTML(elem_id="scores"), "run": gr.State(""), "timer": gr.Timer(OFTEN, active=False),
        "owner": gr.BrowserState("", storage_key="newtake", secret="newtake"), "seen": gr.State([]),
    }


def wired(desk: Desk, blocks: gr.Blocks, before: gr.Tab) -> None:
    """What is answered by whom; but for the buttons that send a method's settings."""
    shown, form = desk.shown, desk.ask
    here, every = answering(desk, []), answering(desk, form.all)
    newest = every | NEWEST
    blocks.load(desk.arrives, shown.owner, **here)
    shown.file.upload(desk.arrived, shown.file, **every).success(desk.propose, form.all, **every)
    chosen = [form[name] for name in ("clip", "mask", "start", "frames", "stride", "box")]
    gr.on([part.change for part in chosen], desk.look, form.all, **here | NEWEST)
    shown.read.click(desk.read, form.all, **every)
    shown.preset.input(desk.preset, shown.preset, **newest)
    form["method"].input(desk.method, form["method"], **newest)
    shown.reset.click(desk.method, form["method"], **every)
    shown.inside.input(desk.inside, [shown.inside, form["clip"], form["start"]], **newest)
    shown.canvas.input(desk.drew, shown.canvas, **newest)
    shown.mask.upload(desk.masked, shown.mask, **every)
    shown.cancel.click(desk.cancel, shown.owner, **here)
    shown.score.click(desk.score, [shown.owner, shown.run], **here)
    shown.timer.tick(desk.tick, [shown.owner, shown.seen, shown.run], **here)
    shown.runs.click(desk.reopened, None, **every).then(None, js=SEEN)
    before.select(desk.past, None, **here)


def answering(desk: Desk, form: list[Any]) -> dict[str, Any]:
    """What an answer may change, with these components of the form.

    It is asked for and given in one: gradio's queue answers by a stream of its own, and loses what is asked while it closes.
    Such an answer tells nobody that a `gr.State` has changed, so what is listened to is of hidden components.
    """
    return {"outputs": [*form, *desk.shown.changing], "show_progress": "hidden", "api_visibility": "private", "queue": False}


def settings(desk: Desk, blocks: gr.Blocks) -> None:
    """A component a setting of the method that is chosen, and the buttons that send them."""
    shown, form, here, every = desk.shown, desk.ask, answering(desk, []), answering(desk, desk.ask.all)

    @gr.render([shown.kept], [blocks.load, shown.kept.change], queue=False, show_progress="hidden")
    def drawn(kept: str) -> None:
        method, values, _ = json.loads(kept)
        known = fields(method, values.get("inversion"))
        with gr.Group(elem_classes="fields"):
            parts = {field.name: setting(field, values.get(field.name, field.default)) for field in known}
        names = [*parts]
        if "inversion" in parts:
            parts["inversion"].input(partial(desk.inverted, method, names), [parts["inversion"], *parts.values()],
                                     **every | NEWEST)
        sent = [shown.owner, *form.all, *parts.values()]
        for button, answer in ((shown.begin, desk.begin), (shown.forecast, desk.forecast), (shown.locate, desk.locate)):
            button.click(partial(answer, names), sent, **here).then(None, js=SEEN)
