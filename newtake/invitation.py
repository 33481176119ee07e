"""How a guest is asked for: which network, what it sees, how much it counts and when."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from .errors import BadInput
from .settings import check, setting, settings_of

BUILT_IN = {"tiny-controlnet": "controlnet", "tiny-t2i": "t2i"}     # guests, and their folders beside the checkpoint
DRAWN = ("depth", "pose")                               # what a network draws, whose folder is said too


@dataclass(frozen=True)
class Invitation:
    """Raises BadInput where a number is out of range."""

    where: str                                          # tiny-controlnet, tiny-t2i, a folder or a cached hub id
    pictures: str = setting("edges", "what it sees: edges, depth=FOLDER or pose=FOLDER, of the clip; or a clip of pictures",
                            reader=("name", str))
    scale: float = setting(1.0, "by how much what it adds is multiplied; 0: not at all", 0, 10)
    start: float = setting(0.0, "share of the steps before it counts", 0, 1)
    end: float = setting(1.0, "share of the steps until which it counts", 0, 1)

    def __post_init__(self):
        check(self)
        if self.start >= self.end:
            raise BadInput(f"a guest counts from start to end, which is after it; not from {self.start:g} to {self.end:g}")
        if self.kind in DRAWN and not self.file:
            raise BadInput(f"say which network draws the {self.kind}: pictures={self.kind}=FOLDER")

    @property
    def kind(self) -> str:
        """edges, depth, pose or clip."""
        if self.pictures == "edges":
            return "edges"
        drawn = self.pictures.partition("=")[0]
        return drawn if drawn in DRAWN else "clip"

    @property
    def file(self) -> str | None:
        """Where the pictures, or the network that draws them, are; None: nothing is needed."""
        return {"edges": None, "clip": self.pictures}.get(self.kind, self.pictures.partition("=")[2])

    def with_files(self, where: str, file: str | None) -> Invitation:
        """The same with its network, and its pictures or what draws them, elsewhere."""
        pictures = {"edges": "edges", "clip": str(file)}.get(self.kind, f"{self.kind}={file}")
        return replace(self, where=where, pictures=pictures)


def spelled(said: str) -> Invitation:
    """What "WHERE" or "WHERE:SETTING=VALUE;..." says.  Raises BadInput."""
    where, rest = re.fullmatch(r"(.*?)(?::(\w+=.*))?", said, re.DOTALL).groups()    # pyright: ignore[reportOptionalMemberAccess]
    pairs = [pair.split("=", 1) for pair in (rest or "").split(";") if pair]
    if not where or any(len(pair) < 2 for pair in pairs):
        raise BadInput(f"a guest is WHERE or WHERE:SETTING=VALUE;SETTING=VALUE, not {said!r}")
    known = {s.name: s for s in settings_of(Invitation(where))}
    if unknown := [name for name, _ in pairs if name not in known]:
        raise BadInput(f"unknown setting {unknown[0]!r} of a guest; it has {', '.join(known)}")
    return Invitation(where, **{name: known[name].read(value) for name, value in pairs})
