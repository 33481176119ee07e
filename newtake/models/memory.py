"""Checkpoints that are in memory already, as a pipeline of diffusers."""

from typing import Any

from .families import of_pipeline
from .parts import Parts


def read(pipe: Any) -> Parts:
    """The pipeline's own parts, not copies.  BadInput where it is of a family that is not known."""
    names = tuple(kind.__name__ for kind in type(pipe).__mro__ if kind is not object)
    family = of_pipeline(names, f"what was passed ({names[0]})")
    suffixes = ("", "_2")[:len(family.encoders)]
    own = pipe.components
    return Parts(
        own["unet"], dict(own["scheduler"].config), own["vae"],
        [own[f"tokenizer{which}"] for which in suffixes], [own[f"text_encoder{which}"] for which in suffixes],
        family.pooled, family.pooled and pipe.config.get("force_zeros_for_empty_prompt", True),
        shared=True,
    )
