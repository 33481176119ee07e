"""The report: one HTML file that needs no network, and cannot reach one."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from html import escape
from importlib.resources import files
from math import isfinite
from pathlib import Path

from .cases import cases
from .scatter import scatter
from .tables import FLAG, Cell, Column, Results, Table, checked, tables, unmeasured

PARTS = {"ranking": "Ranking", "scatter": "Fidelity and editability", "tables": "Tables", "missing": "Not measured",
         "flags": "Flags", "cases": "Cases", "environment": "Environment"}


def html(results: Results, folder: Path = Path()) -> str:
    """The report of a benchmark as one page.  `results`: see `newtake.report`.  Paths of clips and sheets start at `folder`.

    Everything in it is text until it is shown: names may be a stranger's.  The page's own policy allows its own style and
    script alone.  BadInput where these are no results, or a clip is missing or not in the folder.
    """
    style, script = ((files("newtake.report") / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    title, made = escape(checked(results)["title"]), body(results, folder)
    links = "".join(f'<a href="#{part}">{name}</a>' for part, name in PARTS.items() if part in made)
    sections = "".join(f'<section id="{part}"><h2>{PARTS[part]}</h2>{content}</section>' for part, content in made.items())
    policy = f"default-src 'none'; img-src data:; style-src '{hashed(style)}'; script-src '{hashed(script)}'"
    return (f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
            f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{style}</style></head>\n'
            f"<body><header><h1>{title}</h1><p class=\"quiet\">{escape(summary(results))}</p></header>"
            f"<nav><div>{links}</div></nav><main>{sections}</main><script>{script}</script></body></html>\n")


def body(results: Results, folder: Path) -> dict[str, str]:
    """The sections that have something to say."""
    first, everything, *tasks = tables(results)
    folded = "".join(f"<details open><summary><h3>{escape(one.title)}</h3></summary>{drawn(one)}</details>" for one in tasks)
    flags = dict.fromkeys(line for table in (first, everything) for line in table.flags)
    facts = "".join(f"<dt>{escape(str(n))}</dt><dd>{escape(str(value))}</dd>" for n, value in results["environment"].items())
    missing = "".join(f"<li>{escape(line)}</li>" for line in unmeasured(results))
    made = {
        "ranking": f'<p class="formula">{escape(results["formula"])}</p>{drawn(first, bars(results)) if first.rows else ""}'
                   '<p class="quiet">Italics: controls, which are no edits.</p>',
        "scatter": scatter(results) if results.get("scatter") else "",
        "tables": f"<h3>{everything.title}</h3>{drawn(everything)}{folded}",
        "missing": f"<ul>{missing}</ul>" if missing else "",
        "flags": "<p>A control that changes nothing, or destroys, should lose. Under these metrics it does not, so they cannot "
                 f"rank editors by themselves.</p>{listed(list(flags))}" if flags else "",
        "cases": cases(results, folder),
        "environment": f"<dl>{facts}</dl>",
    }
    return {part: content for part, content in made.items() if content}


def summary(results: Results) -> str:
    rows, seeds = results["rows"], {row.get("seed") for row in results["rows"]} - {None}
    counts = {"edit": len({row["edit"] for row in rows}), "method": len(results["methods"]),
              "control": len(results["controls"]), "seed": len(seeds)}
    return f"Version {results['version']} · " + " · ".join(f"{n} {what}{'s' * (n != 1)}" for what, n in counts.items() if n)


def hashed(content: str) -> str:
    return f"sha256-{b64encode(sha256(content.encode()).digest()).decode()}"


# Tables

def drawn(table: Table, extra: list[str] | None = None) -> str:
    """A table that can be sorted, with the flags of its metrics below; `extra`: a cell more for each row."""
    heads = "".join(heading(column) for column in table.columns) + ('<th class="bar">score, 95 %</th>' if extra else "")
    rows = []
    for number, row in enumerate(table.rows):
        cells = "".join(filled(cell, column) for cell, column in zip(row, table.columns, strict=True))
        kind = ' class="control"' if number in table.controls else ""
        rows.append(f"<tr{kind}>{cells}{extra[number] if extra else ''}</tr>")
    about = "" if table.title == "Ranking" else f'<p class="quiet">{escape(table.about.rstrip("."))}.</p>'
    return (f'{about}<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
            f"{listed(table.flags)}")


def heading(column: Column) -> str:
    name = ' class="name"' if column.name == "method" else ""
    unit = f'<span class="unit">{escape(column.unit)}</span>' if column.unit else ""
    flag = f' <span class="flag" title="{escape("; ".join(column.flags))}">{FLAG}</span>' if column.flags else ""
    arrow = f"&nbsp;{column.arrow}" if column.arrow else ""
    return (f'<th scope="col"{name} title="{escape(column.about)}"><button type="button">{escape(column.name)}{arrow}'
            f"{flag}{unit}</button></th>")


def filled(cell: Cell, column: Column) -> str:
    if column.name == "method":
        return f'<th scope="row" class="name">{escape(cell.text)}</th>'
    small = f"<small>{escape(cell.interval)}</small>" if cell.interval else ""
    best = ' class="best"' if cell.best else ""
    value = "" if cell.value is None else f"{cell.value:.6g}".replace("inf", "Infinity")     # as the script reads it
    return f'<td{best} data-value="{value}">{escape(cell.text)}{small}</td>'


def listed(lines: list[str] | tuple[str, ...]) -> str:
    return f'<ul class="flags">{"".join(f"<li>{FLAG} {escape(line)}</li>" for line in lines)}</ul>' if lines else ""


def bars(results: Results) -> list[str]:
    """For each ranked method its score and interval, drawn on one scale."""
    given = [[one.get(end) for end in ("low", "score", "high")] for one in results["ranking"]]
    known = [[end if end is not None and isfinite(end) else None for end in ends] for ends in given]
    ends = [end for one in known for end in one if end is not None]
    low, high = min(ends, default=0), max(ends, default=1)
    at = lambda figure: 6 + 278 * (figure - low) / ((high - low) or 1)
    cells = []
    for one, (start, middle, end) in zip(results["ranking"], known, strict=True):
        sure = start is not None and end is not None
        line = f'<line class="whisker" x1="{at(start):.1f}" x2="{at(end):.1f}" y1="9" y2="9"/>' if sure else ""
        dot = "" if middle is None else f'<circle cx="{at(middle):.1f}" cy="9" r="4"/>'
        kind = "control" if one["method"] in results["controls"] else "method"
        drawing = f'<svg class="range" viewBox="0 0 290 18" aria-hidden="true"><g class="{kind}">{line}{dot}</g></svg>'
        cells.append(f'<td class="bar">{drawing}</td>')
    return cells
