"""Configs of vid2vid-zero: a clip is edited without tuning."""

from __future__ import annotations

from .command import Command, command, folder_of, precision, settings, size, words
from .config import Config


def knows(config: Config) -> bool:
    return config.has("input_data.video_path")


def commands(config: Config, corrected: bool) -> list[Command]:
    source, prompts = config.needed("input_data.prompt"), config.texts("validation_data.prompts")
    out, clip = folder_of(config.text("output_dir"), "vid2vid_zero"), config.needed("input_data.video_path")
    shared = dict(
        source=source, model=config.needed("pretrained_model_path"), method="vid2vid_zero",
        frames=config.whole("validation_data.video_length", "input_data.n_sample_frames"),
        start=config.whole("input_data.sample_start_idx"), stride=config.whole("input_data.sample_frame_rate"),
        size=size(config.whole("validation_data.width", "input_data.width"),
                  config.whole("validation_data.height", "input_data.height")),
        seed=config.whole("seed"), dtype=precision(config, "mixed_precision"), norms=None if corrected else "clip",
    )
    own = inversion(config) | attention(config) | dict(
        steps=config.whole("validation_data.num_inference_steps"), guidance=config.number("validation_data.guidance_scale"))
    if config.whole("validation_data.num_inv_steps") not in (None, own["steps"]):
        config.leave("newtake inverts in as many steps as it samples", "validation_data.num_inv_steps")
    config.leave("newtake keeps the clip's rate", "fps")
    config.leave("newtake needs no choice of it", "gradient_checkpointing", "enable_xformers_memory_efficient_attention",
                 "input_batch_size", "gradient_accumulation_steps", but=(1, False))
    swapped = [prompt for prompt in prompts if len(words(prompt)) == len(words(source))]
    refined = [prompt for prompt in prompts if prompt not in swapped]
    if corrected or not (swapped and refined):          # the published code refines with a share of its own, by an oversight
        groups = {"": (prompts, 0.4 if refined and not corrected else None)}
    else:
        groups = {"-swap": (swapped, None), "-refine": (refined, 0.4)}
    return [command("edit", clip, *group, **shared, sets=settings("vid2vid_zero", corrected, **own, cross_until=until),
                    out=out + ending) for ending, (group, until) in groups.items() if group]


def inversion(config: Config) -> dict:
    inner, rate = (config.whole("validation_data.null_inner_steps"), config.number("validation_data.null_base_lr"))
    ratio = config.number("validation_data.null_uncond_ratio")
    alone = config.truth("validation_data.null_normal_infer")
    if config.truth("validation_data.use_null_inv") is False:           # made up for is no guidance: nothing is tuned
        return dict(alone=alone, inversion__guidance=1.0, inversion__prompted=False)
    own = dict(alone=alone, inversion__inner=inner, inversion__rate=rate)
    own |= {} if rate is None else {"inversion__optimiser": "adam"}
    if ratio is not None:
        own |= dict(tuned_from=-ratio, tuned_until=1.0) if ratio < 0 else dict(tuned_from=0.0, tuned_until=ratio)
    return own


def attention(config: Config) -> dict:
    """Which frames a frame looks at: densely all, at some sites; elsewhere the first and the previous."""
    sparse, dense = (config.truth(key) is not False for key in ("use_sc_attn", "use_st_attn"))
    config.leave("newtake looks at all frames at the first site of a stage", "st_attn_idx", but=(0,))
    if dense:
        return dict(frames="dense", sparse=sparse)
    return dict(frames="first,previous" if sparse else "own", sparse=False)
