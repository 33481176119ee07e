"""Learning from one clip or a few pictures: a generator of steps, each with its loss."""

from .clip import ClipTuning, Tuned, opened, tune
from .loop import Loss, Step, Training, steps_kept, train

__all__ = ["ClipTuning", "Loss", "Step", "Training", "Tuned", "opened", "steps_kept", "train", "tune"]
