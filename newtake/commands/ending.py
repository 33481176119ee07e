"""How a command ends: its exit code, and one line for every mistake."""

from __future__ import annotations

from collections.abc import Callable

import typer

from ..errors import BadInput, limit
from ..ranks import Ranks
from .said import tell

CANCELLED = 130                                         # what typer returns after an interrupt


def ended(work: Callable[[], int], here: Ranks) -> int:
    """The exit code of this work.  A mistake is told once: rank 0 has it too."""
    line = None
    try:
        code = work()
    except KeyboardInterrupt:
        code = CANCELLED
    except BadInput as e:
        line, code = None if here.number else str(e), 2
    except (MemoryError, RuntimeError, OSError) as e:
        if (line := limit(e)) is None:
            raise
        code = 2
    except typer.TyperException as e:
        line, code = f"{e.format_message().rstrip('.')}; see newtake --help", 2
    if code == CANCELLED and here.number == 0:
        line = "cancelled; nothing was left half-written"
    if line:
        tell("newtake: " + " ".join(line.split()))
    return code
