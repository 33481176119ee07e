"""Cases: inputs, settings and outputs of the authors' own code on small random networks.

A case is a folder with case.json, tensors.safetensors and, for most, unet/ and temporal.safetensors.  Those beside this file
always run; NEWTAKE_FIXTURES names a folder of more (default: ../shared/fixtures beside the repository).
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file
from torch import Tensor

from newtake.attention import maps
from newtake.attention.call import Call, Control
from newtake.attention.frames import Look, look
from newtake.attention.maps import Edit, Shares, reweight
from newtake.methods.change import Change
from newtake.methods.request import Request
from newtake.models.model import ALL, Model, Text
from newtake.models.temporal import temporal_layers
from newtake.models.unet import UNet

HERE = Path(__file__).parent
MORE = Path(os.environ.get("NEWTAKE_FIXTURES") or HERE.parents[2] / "shared" / "fixtures")


@dataclass(frozen=True)
class Case:
    folder: Path

    @cached_property
    def told(self) -> dict[str, Any]:
        return json.loads((self.folder / "case.json").read_text())

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        return load_file(self.folder / "tensors.safetensors")

    def is_of(self, method: str) -> bool:
        return self.told.get("method", "").startswith(method)

    def names(self, prefix: str) -> list[str]:
        return sorted(name for name in self.told.get("tensors", {}) if name.startswith(prefix))

    def latents(self, prefix: str) -> list[Tensor]:
        """A numbered series, each (r f c h w)."""
        return [by_frame(self.tensors[name]) for name in self.names(prefix + ".") if name.removeprefix(prefix + ".").isdigit()]

    def text(self, name: str) -> Text:
        return Text(self.tensors[name])

    def model(self) -> UNet:
        net = UNet2DConditionModel.from_pretrained(self.folder / "unet").eval().requires_grad_(False)
        temporal = self.folder / "temporal.safetensors"
        layers = temporal_layers(net, load_file(temporal)) if temporal.exists() else None
        norms = "clip" if isinstance(self.told.get("group_norm"), dict) else "frame"
        return UNet(net, self.told.get("scheduler", {"prediction_type": "epsilon"}), norms, layers)

    def tokens(self, prompt: str, words: str | list[str]) -> tuple[int, ...]:
        """Positions of words in one of the case's prompts ("source_prompt"); a word it does not have has none."""
        positions = self.told["words"][self.told[prompt]]["token_index_of_word"]
        split = words.split(" ") if isinstance(words, str) else [part for word in words for part in word.split(" ")]
        return tuple(sorted({i for word in split for i in positions.get(word, [])}))


def by_frame(z: Tensor) -> Tensor:
    """(b c f h w), or (b c h w) of a picture, to (r f c h w)."""
    return z.transpose(1, 2) if z.ndim == 5 else z[:, None]


def found(wanted: Callable[[Case], bool]) -> list[Case]:
    """The cases of a kind; one that is there twice, once."""
    told = {path.read_bytes(): path.parent for root in (MORE, HERE / "cases") for path in root.rglob("case.json")}
    return [case for case in map(Case, sorted(told.values(), key=lambda folder: folder.name)) if wanted(case)]


def cases(wanted: Callable[[Case], bool]) -> list:
    """The cases of a kind as parameters of a test; one that says why, where there are none."""
    chosen = found(wanted)
    missing = pytest.param(None, marks=pytest.mark.skip(reason=f"no such cases in {HERE / 'cases'} or NEWTAKE_FIXTURES"))
    return [pytest.param(case, id=case.folder.name) for case in chosen] or [missing]


def as_look(index: list[str | int]) -> Look:
    """FateZero's index lists in our names; an empty one is the frame itself."""
    return tuple({"mid": "middle"}.get(str(name), name) for name in index) or ("own",)


def frame_attention(told: dict[str, Any]) -> Control:
    """The frame attention of every block, as the case tells it."""
    in_words = {"dense": ("dense",), "first_and_previous": ("first", "previous"), "normal": ("own",)}
    blocks = told.get("per_block") or {}
    looks = {name: look(*(in_words[seen] if isinstance(seen, str) else as_look(seen))) for name, seen in blocks.items()}
    otherwise = look("first", "previous")               # Tune-A-Video: every block

    def control(call: Call, attend):
        return looks.get(call.site.name, otherwise)(call, attend)
    return control


class Watched(Model):
    """A model that notes the latents it is asked with; `forced`: each step starts from the case's own instead."""

    def __init__(self, inner: Model, forced: list[Tensor] | None):
        self.inner, self.forced, self.seen = inner, forced, []

    def levels(self, steps):
        return self.inner.levels(steps)

    def control(self, *controls):
        return self.inner.control(*controls)

    def predict(self, z, at, text, prompted=True, frames=None):
        return self.inner.predict(z, at, text, prompted, frames)

    def guided(self, z, at, text, null, guidance, free=ALL):
        self.seen.append(z)
        if self.forced and at.step > 0:
            theirs = self.forced[at.step - 1][-len(z):]
            z = torch.cat([z[:len(z) - len(theirs)], theirs])
        return self.inner.guided(z, at, text, null, guidance, free)


# What an edit is asked, by its case

def edit_of(case: Case) -> Edit:
    t = case.tensors
    if "control.replace_mapper" in t:
        edit = maps.replace(t["control.replace_mapper"][0])
    else:
        edit = maps.refine(t["control.refine_mapper"][0], t["control.refine_alphas"].flatten())
    return reweight(t["control.equalizer"].flatten(), edit) if "control.equalizer" in t else edit


def shares_of(case: Case) -> tuple[float, Shares]:
    """cross_replace_steps: a share, from and until, or a dict of words with "default_"."""
    edit = case.told["edit"]
    given = edit.get("cross_replace_steps_effective", edit.get("cross_replace_steps"))
    by_word = dict(given) if isinstance(given, dict) else {"default_": given}
    since, until = bounds(by_word.pop("default_", 1.0))
    width = case.tensors["target_embeds"].shape[-2]
    shares = {token: (since, until) for token in range(width)} if since else {}
    for word, share in by_word.items():
        shares |= dict.fromkeys(case.tokens("target_prompt", word), bounds(share))
    return until, shares


def self_until(case: Case) -> float:
    since, until = bounds(case.told["edit"]["self_replace_steps"])
    assert since == 0, "self-attention is kept from the first step on"
    return until


def bounds(share: float | list[float]) -> tuple[float, float]:
    return (0.0, float(share)) if isinstance(share, (int, float)) else (float(share[0]), float(share[1]))


def asked_of(case: Case) -> Request:
    words = lambda name: tuple(
        case.tokens(prompt, named)
        for prompt, named in zip(("source_prompt", "target_prompt"), case.told["edit"].get(name) or ((), ()), strict=True)
    )
    source, target = words("blend_words")
    change = Change(edit_of(case), source, target, shares_of(case)[1], words("substruct_words"))
    return Request(case.text("source_embeds"), case.text("target_embeds"), case.text("empty_embeds"), (change,))


def relative(a: Tensor, b: Tensor) -> float:
    """max |a - b| / max |expected|"""
    assert a.shape == b.shape, (a.shape, b.shape)
    return float((a - b).abs().max() / b.abs().max())
