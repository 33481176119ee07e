"""One web page over `run`: this room knows uploads, forms, turns and doors, and nothing of editing.

`page.page(studio)` is the page, `serve.serve(studio, socket)` shows it until it is interrupted.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..places import Places
from ..prompts import sourced
from ..ready import clip_of
from ..record import Job
from .door import Door, Rules
from .fields import PRESETS, Field, Preset
from .form import Form, filled, job
from .jobs import Queue, State, Ticket
from .uploads import Limits, Upload

__all__ = ["PRESETS", "Door", "Field", "Form", "Limits", "Places", "Preset", "Queue", "Rules", "State", "Studio", "Ticket",
           "Upload", "filled"]


@dataclass(frozen=True)
class Studio:
    """All that a page is over."""

    places: Places
    queue: Queue
    rules: Rules
    limits: Limits = Limits()
    device: str | None = None                           # None: the best there is
    dtype: str | None = None                            # None: what the device is best at
    captioner: str | None = None                        # who reads what a clip shows; None: of tiny the world's CLIP

    def job(self, form: Form) -> Job:
        """What the form asks for.  BadInput."""
        return job(form, self.places, self.device, self.dtype)

    def caption(self, form: Form) -> str:
        """What the form's clip shows, as the captioner reads it.  BadInput where nobody can."""
        asked = Form(form.clip, targets="a clip", model=form.model, frames=form.frames, start=form.start, stride=form.stride)
        job = self.job(asked)
        return sourced(None, clip_of(job, None), self.captioner, job.model, job.device)[0]
