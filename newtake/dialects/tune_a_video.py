"""Configs of Tune-A-Video, its variant for the LOVEU-TGVE challenge, and Video-P2P's tuning: tuned to a clip, then edited."""

from __future__ import annotations

from .command import Command, as_published, command, folder_of, given, precision, size
from .config import Config

TRAINED = ["attn1.to_q", "attn2.to_q", "attn_temp"]
LOADED = ("use_8bit_adam", "enable_xformers_memory_efficient_attention", "train_batch_size")
UNLIKE = ("lr_scheduler", "lr_warmup_steps", "scale_lr", "adam_beta1", "adam_beta2", "adam_epsilon")


def knows(config: Config) -> bool:
    return config.has("train_data.video_path") and not config.has("input_data")


def commands(config: Config, corrected: bool) -> list[Command]:
    adapter = folder_of(config.text("output_dir"), "tuned")
    clip, prompts = config.needed("train_data.video_path"), config.texts("validation_data.prompts")
    every = config.whole("validation_steps")
    shared = dict(
        source=config.needed("train_data.prompt"), model=config.needed("pretrained_model_path"),
        frames=config.whole("train_data.n_sample_frames", "train_data.num_frames"),
        start=config.whole("train_data.sample_start_idx"), stride=config.whole("train_data.sample_frame_rate"),
        size=size(config.whole("train_data.width"), config.whole("train_data.height")),
        seed=config.whole("seed"), dtype=precision(config, "mixed_precision"),
    )
    own = given(
        accumulate=config.whole("gradient_accumulation_steps"), decay=config.number("adam_weight_decay"),
        clip=config.number("max_grad_norm"), checkpointing=config.truth("gradient_checkpointing"),
    )
    tune = command("tune", clip, out=adapter, **shared, steps=config.whole("max_train_steps"),
                   rate=config.number("learning_rate"), every=config.whole("checkpointing_steps"),
                   samples=every if prompts else None, prompt=prompts if every else None, sets=own | as_published(corrected))
    left(config)
    return [tune, edit(config, clip, prompts, adapter, shared)] if prompts else [tune]


def edit(config: Config, clip: str, prompts: list[str], adapter: str, shared: dict) -> Command:
    inverted = config.truth("validation_data.use_inv_latent")
    steps = config.whole("validation_data.num_inference_steps")
    if config.whole("validation_data.num_inv_steps") not in (None, steps):
        config.leave("newtake inverts in as many steps as it samples", "validation_data.num_inv_steps")
    shape = size(config.whole("validation_data.width"), config.whole("validation_data.height"))
    frames = config.whole("validation_data.video_length")
    sets = given(steps=steps, guidance=config.number("validation_data.guidance_scale"),
                 inverted=False if inverted is False else None)
    instead = {"size": shape or shared["size"], "frames": frames or shared["frames"]}
    return command("edit", clip, *prompts, **shared | instead, adapter=adapter, method="tune_a_video", sets=sets,
                   out=f"{adapter}-edit")


def left(config: Config) -> None:
    config.leave("newtake needs no choice of it: its attention and its optimiser fit the machine", *LOADED, but=(False, 1))
    config.leave("newtake tune has no such setting", *UNLIKE, but=("constant", 0, False))
    config.leave("the same command goes on by itself", "resume_from_checkpoint")
    config.leave("newtake tune trains the published modules", "trainable_modules", but=(TRAINED,))
    config.leave("the published code does not use it either", "train_data.frame_rate", but=(1,))
    config.leave("newtake reads pictures by what they are", "train_data.ext")
    config.leave("newtake has no negative prompt", "validation_data.negative_prompt", but=("",))
