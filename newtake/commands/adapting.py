"""What the commands that make adapters share: options, how settings are put together, and what is said at the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from ..options import Option, pairs
from .said import say, tell

Out = Annotated[Path, Option("--out", help="the adapter, a folder")]
Every = Annotated[int | None, Option("--every", help="steps between states that are kept; by default 50")]
Precision = Annotated[str | None, Option("--dtype", help="fp32, or mixed bf16 or fp16; by default by the device")]


def settings(set: Sequence[str], device: str | None, seed: int, **options: Any) -> dict[str, Any]:
    """What was said of how to learn: options, None where they were not given, count before --set."""
    from ..learning import precision

    usual = {"precision": precision(device), "seed": seed}
    return usual | pairs(set, "--set") | {name: value for name, value in options.items() if value is not None}


@contextmanager
def stoppable(out: Path) -> Iterator[None]:
    """Where what is inside is interrupted and something of it is kept, that is said."""
    from ..learning import unfinished

    try:
        yield
    except KeyboardInterrupt:
        if unfinished(out).exists():
            tell("stopped; the same command goes on from where it was")
        raise


def say_made(told: dict[str, Any], as_json: bool, out: Path, more: str = "") -> None:
    """told: what its adapter.json says."""
    first, last = told["looks"][0][1], told["looks"][-1][1]
    tell(f"{told['steps']} steps; loss {first:.4f} before, {last:.4f} after{more}")
    say(told, as_json, str(out))
