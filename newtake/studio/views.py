"""What a page shows, as HTML.  All that people or files say in it is text: nothing of it can be markup."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from ..metrics import METRICS
from ..video import Video
from .history import Past, Scores
from .jobs import State, Ticket
from .uploads import Upload

if TYPE_CHECKING:
    from PIL.Image import Image


def refused(line: str) -> str:
    return f'<p class="refused" role="alert">{escape(line)}</p>'


def noted(lines: Iterable[str]) -> str:
    return "".join(f'<p class="quiet" role="status">{escape(line)}</p>' for line in lines)


# A clip

def clip(upload: Upload) -> str:
    return f'<p><strong>{escape(upload.path.name)}</strong><br>{escape(upload.line)}</p>{noted(upload.notes)}'


def strip(frames: Sequence[Image], numbers: Sequence[int]) -> str:
    """Thumbnails with the numbers of their frames."""
    figures = (f'<figure><img src="{inline(frame)}" alt=""><figcaption>{number}</figcaption></figure>'
               for frame, number in zip(frames, numbers, strict=True))
    return f'<div class="strip" role="img" aria-label="Frames {numbers[0]} to {numbers[-1]}">{"".join(figures)}</div>'


def inline(picture: Image) -> str:
    with BytesIO() as kept:
        picture.save(kept, "PNG")
        return data("png", kept.getvalue())


def data(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{b64encode(content).decode()}"


# Work

def work(tickets: Sequence[Ticket]) -> str:
    return "".join(ticket(one, one.state) for one in tickets)


def ticket(one: Ticket, state: State) -> str:
    """How far it is."""
    title = f"<strong>{escape(one.title)}</strong>"
    if state.kind in ("refused", "failed"):
        return f'<div class="job">{title}{refused(state.line)}</div>'
    bar = f'<progress max="1" value="{state.share:.3f}" aria-label="Progress"></progress>' if state.kind == "running" else ""
    return f'<div class="job" data-kind="{state.kind}">{title}<p>{escape(told(state))}</p>{bar}{preview(state.preview)}</div>'


def told(state: State) -> str:
    """In words: "editing: 3 of 20, 12 s left"."""
    if state.kind == "waiting":
        return "waiting: it is next" if state.place <= 1 else f"waiting: {state.place} go before it"
    if state.kind != "running" or not state.of:
        return f"{state.what} …" if state.what else state.kind
    left = "" if state.left is None else f", {spoken(state.left)} left"
    return f"{state.what}: {state.done} of {state.of}{left}"


def spoken(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def preview(path: Path | None) -> str:
    """A picture of what is being made, which may be gone already."""
    try:
        content = path.read_bytes() if path else b""
    except OSError:
        content = b""
    kind = path.suffix.lstrip(".") if path else ""
    return f'<img class="preview" src="{data(kind, content)}" alt="What is being made">' if content else ""


# Runs

def address(past: Past, file: Path) -> str:
    return f"/runs/{quote(past.name, safe='')}/{quote(file.name)}"


def run(past: Past) -> str:
    """The source and its edits in a player, with files to keep."""
    film = Video.read(past.clip)
    times = json.dumps([float(when - film.times[0]) for when in (*film.times, film.end)])
    links = "".join(f'<a href="{address(past, edit)}">{escape(target)}</a>'
                    for edit, target in zip(past.edits, past.targets, strict=True))
    files = {edit.name: edit for edit in past.edits}
    files |= {"side by side": past.compare, "sheet": past.sheet, "recipe": past.recipe}
    keep = "".join(f'<a download="{escape(past.name)}-{file.name}" href="{address(past, file)}">{escape(name)}</a>'
                   for name, file in files.items())
    return (f'<newtake-player source="{address(past, past.clip)}" times="{times}">{links}</newtake-player>'
            f'<p class="run">{escape(past.source)} <span aria-label="becomes">→</span> {escape("; ".join(past.targets))}</p>'
            f'<p class="quiet">{escape(about(past))}</p><p class="files"><span>Download</span>{keep}</p>'
            + noted(past.told["notes"]))


def about(past: Past) -> str:
    told, frames = past.told, past.told["clip"]["frames"]
    return (f"{past.method} · {frames} frame{'s' * (frames > 1)} of {'x'.join(map(str, told['clip']['size']))} · "
            f"{spoken(past.seconds)} · {told['evaluations']} evaluations · seed {told['job']['seed']}")


def scores(past: Past, found: Scores) -> str:
    """A table: a metric a row, an edit a column."""
    names = dict.fromkeys(name for one in found.values() for name in one)
    heads = "".join(f'<th scope="col">{escape(target)}</th>' for target in past.targets)
    number = lambda value: "–" if value is None else f"{value:.4g}"
    cells = lambda name: "".join(f"<td>{number(found.get(edit.name, {}).get(name))}</td>" for edit in past.edits)
    rows = "".join(f'<tr><th scope="row">{metric(name)}</th>{cells(name)}</tr>' for name in names)
    return (f'<div class="wide"><table class="scores"><thead><tr><th scope="col">metric</th>{heads}</tr></thead>'
            f'<tbody>{rows}</tbody></table></div>')


def metric(name: str) -> str:
    """With its unit, an arrow to where it is better, and what it is."""
    if (known := METRICS.get(name)) is None:
        return escape(name)
    unit = f", {known.unit}" if known.unit else ""
    said = escape(f"{name.replace('_', ' ')}{unit} {'↑' if known.higher_is_better else '↓'}")
    return f'<span title="{escape(known.what)}">{said}</span>'


def runs(pasts: Sequence[Past]) -> str:
    """A list of buttons, each of which has a run's name as its value."""
    if not pasts:
        return '<p class="quiet">Nothing was made yet.</p>'
    return f'<ul class="runs">{"".join(map(card, pasts))}</ul>'


def card(past: Past) -> str:
    when = time.strftime("%d %b %Y, %H:%M", time.localtime(past.when))
    return (f'<li><button value="{escape(past.name)}"><img loading="lazy" src="{address(past, past.sheet)}" alt="">'
            f'<span><strong>{escape("; ".join(past.targets))}</strong><br>{escape(past.source)}<br>'
            f'<span class="quiet">{escape(past.method)} · {when}</span></span></button></li>')
