"""The tables of a benchmark in Markdown, for a terminal or a README."""

from __future__ import annotations

from typing import Any

from .tables import FLAG, Cell, Column, Results, Table, checked, tables, unmeasured


def markdown(results: Results) -> str:
    """Ranking, means with their intervals, a table a task, flags and environment.  BadInput where these are no results."""
    head = f"# {plain(checked(results)['title'])}\n\nVersion {plain(results['version'])}."
    parts = [f"{head}  Italics: controls, which are no edits."]
    parts += [printed(table) for table in tables(results)]
    lines = [f"* {plain(line)}" for line in unmeasured(results)]
    parts += ["## Not measured\n\n" + "\n".join(lines)] if lines else []
    machine = ", ".join(f"{plain(name)} {plain(value)}" for name, value in results["environment"].items())
    return "\n\n".join([*parts, f"Environment: {machine}."]) + "\n"


def printed(table: Table) -> str:
    """Bold: the best method; italics: a control.  A table without rows is what it is about alone."""
    lines = ["| " + " | ".join(heading(column) for column in table.columns) + " |", "|---" * len(table.columns) + "|"]
    for number, row in enumerate(table.rows):
        mark = "*" if number in table.controls else ""
        lines.append("| " + " | ".join(filled(cell, mark) for cell in row) + " |")
    notes = "".join(f"\n{FLAG} {plain(line)}  " for line in table.flags)
    head = f"## {plain(table.title)}\n\n{plain(table.about).rstrip('.')}.\n\n"
    return head + "\n".join(lines) + ("\n" + notes if notes else "") if table.rows else head.rstrip()


def heading(column: Column) -> str:
    name = ", ".join(filter(None, (column.name, column.unit)))
    return plain(" ".join(filter(None, (name, column.arrow, FLAG * bool(column.flags)))))


def filled(cell: Cell, mark: str) -> str:
    mark = "**" if cell.best else mark
    return f"{mark}{plain(cell.text)}{mark}" + (f" ({plain(cell.interval)})" if cell.interval else "")


def plain(given: Any) -> str:
    """On one line, and neither a table's edge nor a tag."""
    return " ".join(str(given).split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
