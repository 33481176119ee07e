"""Learning from one clip or a few pictures: a generator of steps, each with its loss."""

from .clip import ClipTuning, Tuned, prepared, tune
from .loop import Loss, Step, Training, kept, train

__all__ = ["ClipTuning", "Loss", "Step", "Training", "Tuned", "kept", "prepared", "train", "tune"]
