"""Every edit to look at: its looping clip and its sheet, worst first."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from html import escape
from pathlib import Path

from PIL import Image

from ..errors import BadInput
from .tables import FLAG, Results, Row, column, worst, written

KINDS = {".webp": "WEBP", ".png": "PNG", ".gif": "GIF", ".jpg": "JPEG"}
LOW = 128                                              # pixels of height below which a page enlarges without smoothing
PICKS = ("method", "task", "difficulty")


def cases(results: Results, folder: Path) -> str:
    """Edits that have something to show, the worst first, controls last; with what they are picked by."""
    shown = [row for row in worst_first(results) if row.get("clip") or row.get("sheet")]
    if not shown:
        return '<p class="quiet">No clips were kept.</p>'
    head = column(results, worst(results))
    flag = f" {FLAG}" if head.flags else ""
    shows = "the source, the edit and the true answer" if "truth" in results["controls"] else "the source and the edit"
    about = f"By {head.name}{flag}, the worst first, controls last. A clip shows {shows}."
    named = [name for name in PICKS if any(row.get(name) is not None for row in shown)]
    picks = "".join(pick(name, dict.fromkeys(str(row.get(name)) for row in shown)) for name in named)
    return f'<p>{escape(about)}</p><div class="pick">{picks}</div><div class="cases">{figures(results, shown, folder)}</div>'


def worst_first(results: Results) -> list[Row]:
    """Rows by the metric of `worst`; one without a score is before all others, since nobody knows how bad it is."""
    metric = worst(results)
    sign = -1 if column(results, metric).arrow == "↓" else 1

    def badness(row: Row) -> tuple[bool, float]:
        score = row["scores"].get(metric)
        return bool(row.get("control")), float("-inf") if score is None else sign * score
    return sorted(results["rows"], key=badness)


def pick(name: str, values: Iterable[str]) -> str:
    options = "".join(f'<option value="{escape(value)}">{escape(value)}</option>' for value in values)
    return f'<label>{name} <select name="{name}"><option value="">all</option>{options}</select></label>'


def figures(results: Results, rows: list[Row], folder: Path) -> str:
    shown = {name: written([row["scores"].get(name) for row in results["rows"]]) for name in results["metrics"]}
    main = dict.fromkeys([worst(results), *results.get("scatter", {}).values()])

    def scores(row: Row, names: Iterable[str]) -> str:
        lines = (f"<dt>{escape(heading(results, name))}</dt><dd>{shown[name](row['scores'].get(name))}</dd>" for name in names)
        return f"<dl>{''.join(lines)}</dl>"
    return "".join(figure(row, folder, scores(row, main), scores(row, results["metrics"])) for row in rows)


def figure(row: Row, folder: Path, main: str, everything: str) -> str:
    """A clip, what it is, its main scores, and behind a fold its sheet and all scores."""
    what = f"{row['edit']}, {row['method']}"
    clip, sheet = picture(row.get("clip"), folder, what), picture(row.get("sheet"), folder, f"{what}, frame by frame")
    seed = "" if row.get("seed") is None else f", seed {row['seed']}"
    kind = "control" if row.get("control") else row.get("difficulty")
    about = " · ".join(str(said) for said in (row["edit"], row["task"], kind) if said is not None)
    data = "".join(f' data-{name}="{escape(str(row.get(name)))}"' for name in PICKS)
    prompts = " → ".join(escape(str(prompt)) for prompt in row.get("prompts") or ())
    fold = "frame by frame, all scores" if sheet else "all scores"
    return (f"<figure{data}>{clip}<figcaption><strong>{escape(str(row['method']))}</strong>{escape(seed)}<br>"
            f'<span class="quiet">{escape(about)}</span>{f"<br>{prompts}" if prompts else ""}{main}'
            f"<details><summary>{fold}</summary>{sheet}{everything}</details></figcaption></figure>")


def heading(results: Results, metric: str) -> str:
    head = column(results, metric)
    return " ".join(filter(None, (", ".join(filter(None, (metric, head.unit))), head.arrow, FLAG * bool(head.flags))))


def picture(path: str | None, folder: Path, what: str) -> str:
    """A picture inside the page, or "" for None.  BadInput where the file is no picture, or not in the folder."""
    if path is None:
        return ""
    place = inside(folder, path)
    kind = place.suffix.lower()
    if kind not in KINDS or not place.is_file():
        raise BadInput(f"the results name {path}, which is no picture in {folder}; wanted is {' '.join(KINDS)}")
    try:
        with Image.open(place, formats=[KINDS[kind]]) as opened:
            tiny = ' class="tiny"' if opened.height < LOW else ""
    except (OSError, Image.DecompressionBombError):
        raise BadInput(f"{path} is not what its name says; the results name it as a picture") from None
    data = f"data:image/{KINDS[kind].lower()};base64,{b64encode(place.read_bytes()).decode()}"
    return f'<img{tiny} loading="lazy" decoding="async" alt="{escape(what)}" src="{data}">'


def inside(folder: Path, path: str) -> Path:
    """A file that results name.  BadInput where it is not in their folder."""
    place = (folder / path).resolve()
    if not place.is_relative_to(folder.resolve()):
        raise BadInput(f"the results name {path}, which leads out of {folder}")
    return place
