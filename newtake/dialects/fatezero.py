"""Configs of FateZero: of its edits, and of the tuning before those of shapes; in today's spelling and the older one."""

from __future__ import annotations

from typing import Any

from ..errors import BadInput
from .command import Command, as_published, command, folder_of, given, precision, settings, spoken, weights, words
from .config import Config, real

EDITING = ("editing_config", "validation_sample_logger_config")
DATA = ("dataset_config", "train_dataset")
FRAMES = {"first": "first", "last": "last", "mid": "middle", "middle": "middle", "-1": "previous", "0": "own"}
LATENTS = ("use_invertion_latents", "use_inversion_latents", "use_train_latents")
SHEETS = ("annotate", "annotate_size", "use_make_grid", "val_all_frames", "grid_column_size", "subdir",
          "num_samples_per_prompt", "traverse_p2p_config")
TUNING = ("train_steps", "learning_rate", "train_temporal_conv", "epsilon", "gradient_checkpointing", "validation_steps",
          "checkpointing_steps", "gradient_accumulation_steps")
STEPS, GUIDANCE, SIZE, THRESHOLD = 20, 7.0, 512, 0.3    # where a config is silent
NOTHING = 1.0                                           # a threshold from which a mask is empty


def knows(config: Config) -> bool:
    return any(config.has(f"{data}.path") for data in DATA) and any(map(config.has, EDITING))


def commands(config: Config, corrected: bool) -> list[Command]:
    source, prompts = config.needed(*of(DATA, "prompt")), config.texts(*of(EDITING, "editing_prompts"), *of(EDITING, "prompts"))
    clip, side = config.needed(*of(DATA, "path")), config.whole(*of(DATA, "image_size")) or SIZE
    shared: dict[str, Any] = dict(
        source=source, model=config.needed("pretrained_model_path"),
        frames=config.whole(*of(EDITING, "clip_length"), *of(DATA, "n_sample_frame")),
        start=config.whole(*of(DATA, "start_sample_frame")), stride=config.whole(*of(DATA, "sampling_rate")),
        size=f"{side}x{side}", dtype=precision(config, "mixed_precision"),
    )
    norms = dict(norms=None if corrected else "clip")
    shared["frames"] = shared["frames"] if (shared["frames"] or 0) > 0 else None                # -1: all
    tuning = config.has("trainer_pipeline_config")
    left(config, tuning)
    tune = tuned(config, clip, shared, corrected) if tuning else []
    shared |= {"adapter": tune[0][tune[0].index("--out") + 1]} if tune else {}
    seeds = config.numbers(*of(EDITING, "sample_seeds")) or [config.whole("seed") or 0]
    shared |= {"seed": int(seeds[0])}
    if len(seeds) > 1:
        config.leave("an edit from the clip's own noise draws nothing: one seed does", *of(EDITING, "sample_seeds"))
    sampling = dict(steps=config.whole(*of(EDITING, "num_inference_steps")) or STEPS, frames=frames(config),
                    guidance=config.number(*of(EDITING, "guidance_scale")) or GUIDANCE)
    if config.truth(*of(EDITING, "prompt2prompt_edit")) is not True:
        targets = [prompt for prompt in prompts if words(prompt) != words(source)]
        return tune + [command("edit", clip, *targets, **shared | norms, method="ddim", sets=sampling)] * bool(targets)
    edits = [(i, prompt) for i, prompt in enumerate(prompts) if becomes_another(config, i, prompt, source)]
    return tune + [edit(config, i, clip, prompt, shared | norms, sampling, corrected) for i, prompt in edits]


def becomes_another(config: Config, i: int, prompt: str, source: str) -> bool:
    """Whether it is an edit: the source's own prompt is there to show what is reconstructed."""
    if words(prompt) == words(source):
        config.asked.update(of(EDITING, f"p2p_config.{i}"))
        return False
    return True


def edit(config: Config, i: int, clip: str, target: str, shared: dict, sampling: dict, corrected: bool) -> Command:
    key = lambda *names: [one for name in names for one in of(EDITING, f"p2p_config.{i}.{name}")]
    if not config.keys(next((one for one in of(EDITING, f"p2p_config.{i}") if config.has(one)), "?")):
        raise BadInput(f"{config.where} has no p2p_config.{i}, of the edit {target!r}")
    if config.truth(*key("is_replace_controller")) is False and len(words(target)) == len(words(shared["source"])):
        config.leave("newtake swaps words between prompts of as many words", *key("is_replace_controller"))
    steps = config.value(*key("cross_replace_steps"))
    steps = {"default_": steps} if not isinstance(steps, dict) else steps
    factors = weights(config, target, key("eq_params.words"), key("eq_params.values"))
    maps = config.truth(*of(EDITING, "use_inversion_attention"))
    config.asked.update(key("use_inversion_attention"))         # the code goes by the one for all edits
    masked, named = mask(config, key)
    named = [word for word in named if spoken(config, word, [shared["source"], target], *key("blend_words"))]
    own = sampling | masked | dict(
        self_until=config.number(*key("self_replace_steps")), cross_until=number(config, steps.get("default_", 1.0), key),
        channels=config.whole("model_config.least_sc_channel") or 0, maps="reconstruction" if maps is False else "inversion")
    shares = [f"{word}={number(config, share, key):g}" for word, share in steps.items() if word != "default_"]
    return command("edit", clip, target, **shared, method="fatezero", word=named, weight=factors, share=shares,
                   sets=settings("fatezero", corrected, **own))


def mask(config: Config, key: Any) -> tuple[dict[str, Any], list[str]]:
    """What is masked, above which threshold, and whose words say where."""
    named = config.texts(*key("blend_words"))
    fused = config.truth(*key("blend_self_attention", "masked_self_attention"))
    blended = config.truth(*key("blend_latents", "masked_latents"))
    above = (config.numbers(*key("blend_th", "bend_th")) or [THRESHOLD])[0]
    if not named or not (fused or blended):
        return {}, []
    if above >= NOTHING:                                # nothing is inside: all self-attention is the source's, as without
        if blended:
            config.leave("newtake has no mask of nothing for latents", *key("blend_latents", "masked_latents"))
        return {}, []
    return dict(mask=above, fuse_maps=bool(fused), blend_latents=bool(blended)), list(dict.fromkeys(named))


def frames(config: Config) -> str:
    """Which frames a frame looks at; where the config is silent the previous and the first."""
    index = config.value("model_config.SparseCausalAttention_index")
    index = [-1, "first"] if index is None else index if isinstance(index, list) else [index]
    return ",".join(FRAMES.get(str(one), str(one)) for one in index) or "own"


def number(config: Config, value: Any, key: Any) -> float:
    """A share of the steps, or the end of a span of them."""
    try:
        since, until = map(real, value if isinstance(value, list) else [0, value])
        if since == 0:
            return until
    except (TypeError, ValueError):
        pass
    raise BadInput(f"{config.where}: {key('cross_replace_steps')[0]} is a share of the steps, from the first on, not {value!r}")


def tuned(config: Config, clip: str, shared: dict, corrected: bool) -> list[Command]:
    sets = given(checkpointing=config.truth("gradient_checkpointing"), frames=frames(config),
                 accumulate=config.whole("gradient_accumulation_steps")) | as_published(corrected)
    config.leave("newtake tune has no pictures of a class beside the clip", *of(DATA, "class_data_root"),
                 *of(DATA, "class_data_prompt"), "prior_preservation")
    config.leave("newtake tune trains queries and temporal attention, and no convolutions over the frames",
                 "train_temporal_conv", "model_config.lora", but=(False,))
    return [command("tune", clip, out=folder_of(config.text("logdir"), "fatezero-tuned"), **shared, seed=config.whole("seed"),
                    steps=config.whole("train_steps", "max_train_steps"), rate=config.number("learning_rate"),
                    every=config.whole("checkpointing_steps"), sets=sets)]


def left(config: Config, tuning: bool) -> None:
    config.leave("names code, which is never imported", "test_pipeline_config.target", "trainer_pipeline_config.target")
    zero = {"left": 0, "right": 0, "top": 0, "bottom": 0}
    config.leave("newtake cuts clips in the middle; cut this one before", *of(DATA, "offset"), but=(zero, {}))
    config.leave("newtake cuts clips in the middle", *of(DATA, "crop"), but=("center",))
    config.leave("newtake edits one stretch of a clip", *of(DATA, "stride"))
    config.leave("newtake starts from the clip's own noise", *LATENTS, *(one for name in LATENTS for one in of(EDITING, name)),
                 but=(True,))
    config.leave("newtake stores no attention", "disk_store", but=(False,))
    config.leave("newtake has no such layers", "model_config.temporal_downsample_time")
    config.leave("newtake's inversions go all the way to noise", *of(EDITING, "strength"))
    config.leave("newtake makes sheets of its own", *(one for name in SHEETS for one in of(EDITING, name)), but=(False,))
    config.leave("newtake needs no choice of it", "enable_xformers", "use_8bit_adam", "train_batch_size", but=(False, 1))
    config.asked.update(("seed", "logdir", "guidance_scale", "model_config.lora", "test_pipeline_config.num_inference_steps",
                         *of(EDITING, "source_prompt")))        # of LoRA the rank is read from the weights
    if not tuning:
        config.leave("is about tuning, which this config does not do", *TUNING, but=(False,))
    else:
        config.leave("newtake tune has no such setting", "epsilon")
        config.leave("newtake makes samples with --samples and --prompt", "validation_steps")


def of(rooms: tuple[str, ...], name: str) -> list[str]:
    return [f"{room}.{name}" for room in rooms]
