"""Files are made aside, under another name in the same folder, and moved into place when they are whole."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import BadInput


@contextmanager
def aside(path: Path) -> Iterator[Path]:
    """A name to write a file or make a folder at, moved to `path` at the end; after a failure nothing of it stays.

    What was at `path` stays until then, and is replaced.  Raises BadInput where the system does not let us write there.
    """
    name, ending = path.name.encode(errors="surrogateescape"), path.suffix if len(path.suffix) < 10 else ""
    part = path.with_name(f".{name[:100].decode(errors='ignore')}.{secrets.token_hex(4)}.part{ending}")
    old = part.with_suffix(".old")
    try:
        yield part
        if path.is_dir():
            os.replace(path, old)
        os.replace(part, path)
    except OSError as wrong:
        raise BadInput(f"cannot write {path}: {wrong.strerror or wrong}") from wrong
    except BadInput as wrong:                           # of something in it, whose name is not the one that is meant
        raise BadInput(str(wrong).replace(part.name, path.name)) from wrong
    finally:
        if old.is_dir() and not path.exists():
            os.replace(old, path)
        for left in (part, old):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            elif left.exists():
                left.unlink()


def free(folder: Path, ours: Callable[[str], object]) -> None:
    """BadInput unless a folder can be made here: nothing is there, or a folder of files that are ours by their names."""
    try:
        there = next(place for place in (folder, *folder.parents) if place.exists())
        if not there.is_dir():
            raise BadInput(f"cannot write {folder}: {there} is no folder")
        with tempfile.TemporaryDirectory(prefix=".", dir=there):        # what the system says of rights is not enough
            pass
        strange = [name.name for name in folder.iterdir() if not ours(name.name)] if there == folder else []
    except OSError as wrong:
        raise BadInput(f"cannot write {folder}: {wrong.strerror or wrong}") from wrong
    if strange:
        raise BadInput(f"{folder} is there already and holds other things, such as {strange[0]}; name a new folder")
