"""The miniature world: procedural clips of which everything is known, so that every edit has a true answer."""

from .scene import BACKGROUNDS, COLOURS, MOTIONS, OBJECTS, STYLES, Scene, held_out

__all__ = ["BACKGROUNDS", "COLOURS", "MOTIONS", "OBJECTS", "STYLES", "Scene", "held_out"]
