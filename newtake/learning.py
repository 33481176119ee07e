"""What `newtake tune` and `newtake learn` share: settings as they are typed, and an adapter that is gone on with or written."""

from __future__ import annotations

import json
import re
import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .aside import free
from .errors import BadInput, Note
from .record import versions
from .settings import settings_of

if TYPE_CHECKING:
    from .models.unet import UNet

STATE = "state.safetensors"
UNFINISHED = re.compile(r"state\.safetensors|kind-\w+|\..+\.part.*")     # the last was being written when it was killed
OF_CONFIG = ("in_channels", "block_out_channels", "cross_attention_dim")


def spelled(kind: type[Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a way to learn, and of its training, as they are typed.  Raises BadInput where one is unknown or wrong."""
    known = {s.name: s for some in (kind().training, kind()) for s in settings_of(some)}
    if strange := [name for name in given if name not in known]:
        raise BadInput(f"unknown setting {strange[0]!r}; there are {', '.join(known)}")
    return {name: known[name].read(value) for name, value in given.items()}


def of_settings(kind: type[Any], values: Mapping[str, Any]) -> Any:
    """A way to learn with these settings, its own and its training's, and with its defaults."""
    usual = kind()
    training = {s.name: values[s.name] for s in settings_of(usual.training) if s.name in values}
    own = {name: value for name, value in values.items() if name not in training}
    return replace(usual, training=replace(usual.training, **training), **own)


def asked_for(model: UNet, **told: Any) -> dict[str, Any]:
    """All that decides an adapter, and for which networks it is, as JSON knows it."""
    network = {name: model.net.config[name] for name in OF_CONFIG}
    return json.loads(json.dumps({**told, "model": model.hash, "network": network}))


def unfinished(out: Path) -> Path:
    """The folder of what is not finished yet, beside where the adapter will be."""
    return out.with_name(out.name + ".unfinished")


def finished(out: Path, asked: Mapping[str, Any], kind: ModuleType, of: str) -> dict[str, Any] | None:
    """What the adapter of this kind that is there already says of itself; None where it is to be made, in `unfinished(out)`.

    A Note tells of it, or from where work goes on.  BadInput where it, or what is there, is another.
    """
    from .tuning import kept

    free(out, kind.FILES.fullmatch)
    there = kind.told_of(out)
    if there and (other := [name for name in asked if there.get(name) != asked[name]]):
        raise BadInput(f"{out} is an adapter already, with another {', '.join(other)}; name another --out, or remove it")
    if there:
        warnings.warn(f"{out} is there already, and finished: {there['steps']} steps {of}", Note, stacklevel=3)
        return there
    free(unfinished(out), UNFINISHED.fullmatch)
    done, _ = kept(unfinished(out) / STATE)
    if done:
        warnings.warn(f"went on from step {done}", Note, stacklevel=3)
    return None


def finish(out: Path, kind: ModuleType, told: Mapping[str, Any], *weights: Any) -> dict[str, Any]:
    """Writes the adapter, as its kind does, and removes `unfinished(out)`.  Returns what its adapter.json says.

    told: what it says beside the steps and the looks, which stand in the state.
    """
    from .tuning import kept

    done, looks = kept(unfinished(out) / STATE)
    said = {**told, "steps": done, "looks": looks, "versions": versions()}
    kind.write(out, *weights, said)
    shutil.rmtree(unfinished(out))
    return said


def readable(model: UNet, prompts: Sequence[str]) -> None:
    """BadInput where one is longer than the model's encoders read."""
    for prompt in prompts:
        if lost := model.lost(prompt):
            raise BadInput(f"{prompt[:40]!r}... is longer than its encoder reads; shorten it, or it loses {' '.join(lost)}")


def precision(device: str | None) -> str:
    """What to learn in: mixed where the device is best at it."""
    from .models.load import chosen_device, usual_dtype

    kind = str(usual_dtype(chosen_device(device))).removeprefix("torch.")
    return {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}[kind]
