"""What commands say: results on stdout, all else on stderr."""

from __future__ import annotations

import json
import sys
from typing import Any


def say(result: Any, as_json: bool, text: str) -> None:
    print(json.dumps(result, ensure_ascii=False) if as_json else text)


def tell(line: str) -> None:
    print(plain(line), file=sys.stderr)


def plain(line: str) -> str:
    """Names of files may hold what moves a terminal's cursor, or turns its text round: that is shown as Python writes it."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
