"""Files are made aside, under another name in the same folder, and moved into place when they are whole."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import BadInput


@contextmanager
def aside(path: Path) -> Iterator[Path]:
    """A name to write a file or make a folder at, moved to `path` at the end; after a failure nothing of it stays.

    What was at `path` stays until then, and is replaced.  Raises BadInput where the system does not let us write there.
    """
    path = path.resolve()
    part = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}.part{path.suffix}")
    old = part.with_suffix(".old")
    try:
        yield part
        if path.is_dir():
            os.replace(path, old)
        os.replace(part, path)
    except OSError as wrong:
        raise BadInput(f"cannot write {path}: {wrong.strerror or wrong}") from wrong
    finally:
        if old.is_dir() and not path.exists():
            os.replace(old, path)
        for left in (part, old):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)
