"""The configs of published code, as newtake's commands: `newtake import`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from ..errors import BadInput
from . import fatezero, tune_a_video, vid2vid_zero, video_p2p
from .command import Command
from .config import read

DIALECTS: dict[str, ModuleType] = {"Tune-A-Video": tune_a_video, "FateZero": fatezero, "vid2vid-zero": vid2vid_zero,
                                   "Video-P2P": video_p2p}


@dataclass(frozen=True)
class Imported:
    """What a config says in newtake's words."""

    dialect: str
    commands: list[Command]
    unknown: list[str]                                  # keys that the published code does not have
    idle: dict[str, str]                                # keys that newtake has no counterpart for, and why


def imported(path: Path, corrected: bool = False) -> Imported:
    """The commands that do what the config does; corrected: without the oddities of the published code.

    Raises BadInput where it is no YAML, of no dialect that is known, or says what cannot be done.
    """
    config = read(path)
    found = next((name for name, dialect in DIALECTS.items() if dialect.knows(config)), None)
    if found is None:
        raise BadInput(f"{path} is no config of a known dialect; known are those of {', '.join(DIALECTS)}")
    commands = DIALECTS[found].commands(config, corrected)
    if not commands:
        raise BadInput(f"{path} asks for nothing: it has no prompts of edits")
    return Imported(found, commands, config.unknown(), config.idle)
