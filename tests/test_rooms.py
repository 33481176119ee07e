"""Imports go downwards: read from the source, so that nothing has to be imported for it."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "newtake"

# A room may use the rooms on the lines below its own (and errors, which any may use).
ORDER = [
    {"__main__"},
    {"cli"},
    {"commands"},
    {"studio"},
    {"options", "concepts", "one_clip"},
    {"bench", "sweep", "learning", "dialects"},
    {"run", "show"},
    {"following"},
    {"outputs", "ready"},
    {"edits", "former"},
    {"prompts", "engines", "places"},
    {"record", "report", "captions"},
    {"estimate"},
    {"methods", "metrics", "world", "datasets", "welcome", "cache"},
    {"inversion", "tuning", "drawing", "background"},
    {"models"},
    {"attention", "words", "guidance"},
    {"levels", "video", "invitation"},
    {"shelf"},
    {"track", "shapes", "aside", "free_memory", "settings", "extras", "ranks"},
    {"errors"},
]
COMMON = {                                              # files of a room that its others may use
    "methods": {"method", "change", "request", "masks", "source_row", "side_by_side", "from_path", "configuring",
                "fatezero"},                            # of which newtake is made
    "inversion": {"trajectory", "secants"}, "metrics": {"metric", "networks", "statistics"}, "datasets": {"task"},
    "bench": {"ranking", "rows", "sets", "published", "world"}, "dialects": {"config", "command"},
}
ABOVE = {("world", "show")}                             # its training is a command
DIFFUSERS = {"models", "attention/seam.py", "world/training"}   # who may import it


def files() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py"))


def imported(path: Path) -> set[tuple[str, ...]]:
    """What a file imports of newtake, as parts of names, and of others as ("!", name)."""
    found = set()
    here = path.relative_to(PACKAGE).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {own(alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(own(node.module))
        elif isinstance(node, ast.ImportFrom):
            base = here[:len(here) - node.level]
            parts = (*base, *(node.module or "").split(".")) if node.module else base
            found |= {parts} if node.module else {(*parts, alias.name) for alias in node.names}
    return found


def own(name: str) -> tuple[str, ...]:
    parts = tuple(name.split("."))
    return parts[1:] if parts[0] == "newtake" else ("!", parts[0])


def line(room: str) -> int:
    return next(i for i, rooms in enumerate(ORDER) if room in rooms)


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_downwards(path):
    here = room_of(path)
    if here == "__init__":
        return                                          # the names the package offers, fetched when asked for
    for other in {parts[0] for parts in imported(path) if parts and parts[0] != "!"} - {here}:
        allowed = line(other) > line(here) or (here, other) in ABOVE
        assert allowed, f"{here} imports {other}, which stands above it or beside it"


@pytest.mark.parametrize("room", COMMON)
def test_siblings_do_not_know_each_other(room):
    for path in (path for path in files() if room_of(path) == room and path.stem != "__init__"):
        siblings = {parts[1] for parts in imported(path) if parts[0] == room and len(parts) > 1}
        assert siblings <= COMMON[room], path.name


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_who_knows_diffusers(path):
    inside = path.relative_to(PACKAGE).as_posix()
    if not any(inside == place or inside.startswith(f"{place}/") for place in DIFFUSERS):
        assert ("!", "diffusers") not in imported(path)


def test_every_error_is_used():
    classes = {node.name for node in ast.parse((PACKAGE / "errors.py").read_text()).body if isinstance(node, ast.ClassDef)}
    lines = [line for path in files() for line in path.read_text().splitlines() if "errors import" in line]
    assert [name for name in classes if name not in "".join(lines)] == []


def test_every_allowance_is_used():
    made = {(room_of(path), parts[0]) for path in files() for parts in imported(path) if parts}
    assert made >= ABOVE


def test_every_room_has_its_line():
    assert {room_of(path) for path in files()} - {"__init__"} <= set().union(*ORDER)
