"""From words to scenes: what a caption says of the world."""

from __future__ import annotations

import re

from ..errors import BadInput
from .scene import BACKGROUNDS, COLOURS, OBJECTS, PLACES, STYLE_NAMES, STYLE_WORDINGS, STYLES, WORDINGS

KNOWN = {"object": OBJECTS, "colour": COLOURS, "background": BACKGROUNDS, "style": STYLES}
SPOKEN = {name: {value: value for value in values} for name, values in KNOWN.items()}
SPOKEN["style"] = {said: style for style, said in STYLE_NAMES.items() if said}


def between() -> set[str]:
    """The words that say nothing of the scene by themselves."""
    said = " ".join((*WORDINGS, *STYLE_WORDINGS, *PLACES.values(), *filter(None, STYLE_NAMES.values())))
    return set(re.findall(r"[a-z]+", re.sub(r"{\w+}", " ", said))) | {"an"}


def vocabulary() -> set[str]:
    """All words that captions of the world are made of."""
    return between() | {word for values in SPOKEN.values() for said in values for word in said.split()}


def unknown(prompt: str) -> list[str]:
    """The words of a prompt that the world does not know, in order."""
    return [word for word in re.findall(r"[^\W_]+", prompt.lower()) if word not in vocabulary()]


def read(caption: str) -> dict[str, str]:
    """The attributes that a caption names.  BadInput where it has other words or names two values of one attribute."""
    if strange := unknown(caption):
        lists = "; ".join(f"{name}s {', '.join(values)}" for name, values in SPOKEN.items())
        raise BadInput(f"the world knows no {strange[0]!r}; it knows {lists}")
    found = {}
    for name, values in SPOKEN.items():
        here = [value for said, value in values.items() if re.search(rf"\b{said}\b", caption.lower())]
        if len(here) > 1:
            raise BadInput(f"a scene has one {name}, not {' and '.join(here)}")
        if here:
            found[name] = here[0]
    if "object" not in found:
        raise BadInput(f"the caption names no object; the world has {', '.join(OBJECTS)}")
    return found
