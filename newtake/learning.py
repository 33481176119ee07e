"""From a clip to an adapter: what `newtake tune` calls."""

from __future__ import annotations

import json
import re
import shutil
import warnings
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .aside import free
from .errors import BadInput, Note
from .record import eight_bit, versions
from .run import edited, size_noted, stated

if TYPE_CHECKING:
    from .models.unet import UNet
    from .tuning import ClipTuning
    from .video import Video

STATE = "state.safetensors"
UNFINISHED = re.compile(r"state\.safetensors|kind-\w+|\..+\.part.*")     # the last was being written when it was killed
DECIDE = ("clip", "source", "model")                    # beside the settings, what a tuning becomes
OF_CONFIG = ("in_channels", "block_out_channels", "cross_attention_dim")


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


def spelled(kind: type[Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a way to learn, and of its training, as they are typed.  Raises BadInput where one is unknown or wrong."""
    from .settings import settings_of

    known = {s.name: s for some in (kind().training, kind()) for s in settings_of(some)}
    if strange := [name for name in given if name not in known]:
        raise BadInput(f"unknown setting {strange[0]!r}; there are {', '.join(known)}")
    return {name: known[name].read(value) for name, value in given.items()}


def of_settings(kind: type[Any], values: Mapping[str, Any]) -> Any:
    """A way to learn with these settings, its own and its training's, and with its defaults."""
    usual = kind()
    of_training = {name: value for name, value in values.items() if hasattr(usual.training, name)}
    own = {name: value for name, value in values.items() if name not in of_training}
    return replace(usual, training=replace(usual.training, **of_training), **own)


def unfinished(out: Path) -> Path:
    """The folder of what is not finished yet, beside where the adapter will be."""
    return out.with_name(out.name + ".unfinished")


def tune(clip: Video, source: str, out: Path, tuning: ClipTuning, model: UNet,
         samples: Samples | None = None) -> dict[str, Any]:
    """An adapter for this checkpoint, tuned to the clip: a folder at `out`.  Returns what its adapter.json says.

    Killed or interrupted, the same call goes on; where it is finished, nothing is done.  The model's network is changed, and
    is the tuned one afterwards.  Sheets of samples lie in a folder beside.  Raises BadInput where `out` is something else.
    """
    from .models.adapters import tuned as adapter
    from .tuning import kept, prepared
    from .tuning import tune as steps_of

    prompts = samples.prompts if samples else [source]
    stated(source, prompts, {}, {})
    readable(model, [source, *prompts])
    asked = json.loads(json.dumps(told(clip, source, tuning, model)))
    if there := finished(out, asked, adapter):
        warnings.warn(f"{out} is there already, and finished: {there['steps']} steps on this clip", Note, stacklevel=2)
        return there
    size_noted(clip, model)
    state = unfinished(out) / STATE
    free(state.parent, UNFINISHED.fullmatch)
    done, looks = kept(state)
    if done:
        warnings.warn(f"went on from step {done}", Note, stacklevel=2)
    z0, text = model.encode(clip[:]), model.text(source)
    tuned = prepared(model, tuning)
    sheets = out.with_name(out.name + ".samples")
    with closing(steps_of(tuned, z0, text, tuning, state, {name: asked[name] for name in DECIDE})) as steps:
        for step in steps:
            done, looks = step.done, step.looks
            if samples and done % samples.every == 0:
                sampled(clip, source, tuned.model, tuning, samples, sheets / f"{done:06d}.png")
    said = asked | {"rank": tuning.rank, "norms": tuned.model.norms, "steps": done, "looks": looks, "versions": versions()}
    adapter.write(out, tuned.adapter(), said)
    shutil.rmtree(state.parent)
    return said


def told(clip: Video, source: str, tuning: ClipTuning, model: UNet) -> dict[str, Any]:
    """All that decides an adapter, and for which networks it is."""
    config = {name: model.net.config[name] for name in OF_CONFIG}
    return {"source": source, "clip": sha256(eight_bit(clip[:]).tobytes()).hexdigest(), "frames": len(clip),
            "size": list(clip.size), "model": model.hash, "network": config, "tuning": asdict(tuning)}


def finished(out: Path, asked: Mapping[str, Any], kind: ModuleType) -> dict[str, Any] | None:
    """The adapter of this kind that is there already; None where there is none.

    BadInput where it, or what is there, is another.
    """
    free(out, kind.FILES.fullmatch)
    there = kind.told_of(out)
    if there and (other := [name for name in asked if there.get(name) != asked[name]]):
        raise BadInput(f"{out} is an adapter already, with another {', '.join(other)}; name another --out, or remove it")
    return there


def readable(model: UNet, prompts: Sequence[str]) -> None:
    """BadInput where one is longer than the model's encoders read."""
    for prompt in prompts:
        if lost := model.lost(prompt):
            raise BadInput(f"{prompt[:40]!r}... is longer than its encoder reads; shorten it, or it loses {' '.join(lost)}")


def sampled(clip: Video, source: str, model: UNet, tuning: ClipTuning, samples: Samples, path: Path) -> None:
    """A sheet of the clip and of edits of it by Tune-A-Video, as the network is now."""
    from .methods.method import Setup
    from .methods.tune_a_video import TuneAVideo
    from .video import sheet

    setup = Setup(steps=samples.steps, guidance=samples.guidance, frames=tuning.frames)
    done = edited(clip, source, samples.prompts, TuneAVideo(setup), model, tuning.training.seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet([clip, *done.videos], path)


def precision(device: str | None) -> str:
    """What to learn in: mixed where the device is best at it."""
    from .models.load import chosen_device, usual_dtype

    kind = str(usual_dtype(chosen_device(device))).removeprefix("torch.")
    return {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}[kind]
