"""The built-in clip: what `newtake demo` edits."""

from .scene import Scene

SCENE = Scene(object="ball", colour="red", background="grass", motion="crossing", radius=0.28, at=(0.0, 0.02), pan=(0.1, 0.0),
              seed=11, size=(128, 128))
TARGET = "a blue ball on the grass"
METHOD, SETTINGS = "fatezero", {"guidance": 4.0}        # without a mask outlines are smoother
