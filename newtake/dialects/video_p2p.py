"""Configs of Video-P2P's edits: its second file, the first is one of Tune-A-Video."""

from __future__ import annotations

from ..errors import BadInput
from .command import Command, command, folder_of, precision, settings, spoken, weights, words
from .config import Config

STEPS, FRAMES, SIZE = 50, 8, "512x512"                  # which its code has fixed, or by default


def knows(config: Config) -> bool:
    return config.has("image_path") and config.has("prompts")


def commands(config: Config, corrected: bool) -> list[Command]:
    prompts = config.texts("prompts")
    if len(prompts) != 2:
        raise BadInput(f"{config.where}: prompts are two, of the clip and of the edit, not {len(prompts)}")
    source, target = config.text("prompt") or prompts[0], prompts[1]
    swaps = config.truth("is_word_swap")
    if swaps is False and len(words(source)) == len(words(target)):
        config.leave("newtake swaps words between prompts of as many words", "is_word_swap")
    factors = weights(config, target, ["eq_params.words"], ["eq_params.values"])
    named = [word for word in config.texts("blend_word") if spoken(config, word, [source, target], "blend_word")]
    fast = config.truth("fast")
    own = dict(
        steps=STEPS, guidance=7.5, mask=0.3 if named else "none",
        cross_until=config.number("cross_replace_steps"), self_until=config.number("self_replace_steps"),
        fast=fast, inversion="ddim" if fast else None,
    )
    return [command(
        "edit", config.needed("image_path"), target, source=source, model=config.needed("pretrained_model_path"),
        method="video_p2p", frames=config.whole("video_len") or FRAMES, start=config.whole("frame_start_ind"),
        stride=config.whole("sample_frame_rate"), size=SIZE, dtype=precision(config, "mixed_precision"),
        norms=None if corrected else "clip",
        word=list(dict.fromkeys(named)), weight=factors,
        sets=settings("video_p2p", corrected, **own), out=folder_of(config.text("save_name"), "video_p2p"))]
