"""How a command ends: its exit code, and one line for every mistake."""

from __future__ import annotations

from collections.abc import Callable

import typer

from ..errors import BadInput
from ..ranks import Ranks
from .said import tell

LIMITS = {                                              # by what the system says of them
    "memory": "there is not enough memory; give --memory, a smaller --window or --size, or fewer targets",
    "name too long": "the name of a file is too long for this system; give a shorter one",
    "by peer": "another rank is gone; what it said last tells why",
    "home directory": "there is no such home directory; set HOME, and name folders such as --cache without ~",
}
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
        told = "memory" if isinstance(e, MemoryError) else str(getattr(e, "strerror", None) or e).lower()
        line, code = next((line for part, line in LIMITS.items() if part in told), None), 2
        if line is None:
            raise
    except typer.TyperException as e:
        line, code = f"{e.format_message().rstrip('.')}; see newtake --help", 2
    if code == CANCELLED and here.number == 0:
        line = "cancelled; nothing was left half-written"
    if line:
        tell("newtake: " + " ".join(line.split()))
    return code
