"""What commands say: results on stdout, all else on stderr."""

from __future__ import annotations

import json
import sys
from typing import Any


def say(result: Any, as_json: bool, text: str) -> None:
    print(json.dumps(result, ensure_ascii=False) if as_json else text)


def tell(line: str) -> None:
    print(line, file=sys.stderr)
