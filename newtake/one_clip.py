"""From a clip to an adapter: what `newtake tune` calls."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .edits import edited
from .following import joined
from .learning import STATE, asked_for, finish, finished, of_settings, readable, spelled, unfinished
from .prompts import size_noted, stated
from .ranks import Ranks, among, ranks
from .record import hash_of_frames

if TYPE_CHECKING:
    from torch import Tensor

    from .models.unet import UNet
    from .tuning import ClipTuning
    from .video import Video

DECIDE = ("clip", "source", "model")                    # beside the settings, what a tuning becomes


@dataclass(frozen=True)
class Samples:
    """Edits of the clip that are made on the way, to look at."""

    every: int                                          # steps of tuning
    prompts: Sequence[str]
    steps: int = 20                                     # of sampling
    guidance: float = 5.5


def configured(model: str = "", /, **given: Any) -> ClipTuning:
    """How to tune, each setting a string as people type it or a value; what is not given is as suits a checkpoint of this name.

    Published are 500 steps of 3e-5; tiny, which is small, learns in fewer and longer ones, and what is in low rank in ten times
    longer ones: after as many it knows the clip as well.  Raises BadInput, in one line.
    """
    from .tuning import ClipTuning

    said = spelled(ClipTuning, given)
    usual: dict[str, Any] = dict(steps=200, rate=3e-4) if model == "tiny" else dict(steps=500, rate=3e-5)
    usual["rate"] *= 10 if said.get("rank") else 1
    return of_settings(ClipTuning, usual | said)


def tune(clip: Video, source: str, out: Path, tuning: ClipTuning, model: UNet, samples: Samples | None = None,
         again: Callable[[], UNet] | None = None) -> dict[str, Any]:
    """An adapter for this checkpoint, tuned to the clip: a folder at `out`.  Returns what its adapter.json says.

    Killed or interrupted, the same call goes on; where it is finished, nothing is done.  The model's network is changed, and
    is the tuned one afterwards.  Sheets of samples lie in a folder beside.  again: how other ranks come by the model, where
    there are any.  Raises BadInput where `out` is something else.
    """
    from .models.adapters import tuned as adapter
    from .tuning import prepared
    from .tuning import tune as steps_of

    prompts = samples.prompts if samples else [source]
    stated(source, prompts, {}, {})
    readable(model, [source, *prompts])
    asked = asked_for(model, source=source, clip=hash_of_frames(clip), frames=len(clip), size=clip.size,
                      tuning=asdict(tuning))
    if there := finished(out, asked, adapter, "on this clip"):
        return there
    size_noted(clip, model)
    z0, text = model.encode(clip[:]), model.text(source)
    decides, here = {name: asked[name] for name in DECIDE}, ranks()
    with here.leading(followed, again, z0.cpu(), source, tuning, decides):
        tuned = prepared(joined(lambda: model), tuning)
        with closing(steps_of(tuned, z0, text, tuning, unfinished(out) / STATE, decides)) as steps:
            for step in steps:
                if samples and step.done % samples.every == 0:
                    sheet = out.with_name(out.name + ".samples") / f"{step.done:06d}.png"
                    with among(Ranks()):
                        sampled(clip, source, tuned.model, tuning, samples, sheet)
    return finish(out, adapter, {**asked, "rank": tuning.rank, "norms": tuned.model.norms}, tuned.adapter())


def followed(again: Callable[[], UNet], z0: Tensor, source: str, tuning: ClipTuning, decides: Mapping[str, Any]) -> None:
    """On a rank that follows: the same steps, of which it keeps nothing."""
    from .tuning import prepared
    from .tuning import tune as steps_of

    model = joined(again)
    deque(steps_of(prepared(model, tuning), z0.to(model.device), model.text(source), tuning, Path(), decides), 0)


def sampled(clip: Video, source: str, model: UNet, tuning: ClipTuning, samples: Samples, path: Path) -> None:
    """A sheet of the clip and of edits of it by Tune-A-Video, as the network is now."""
    from .methods.method import Setup
    from .methods.tune_a_video import TuneAVideo
    from .video import sheet

    setup = Setup(steps=samples.steps, guidance=samples.guidance, frames=tuning.frames)
    done = edited(clip, source, samples.prompts, TuneAVideo(setup), model, tuning.training.seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet([clip, *done.videos], path)
