"""The families of checkpoints that newtake reads: a row each.

Beside it a file a family with the configs of its parts, for single files, and CLIP's vocabulary (MIT, see clip/LICENSE),
so that nothing has to be fetched.
"""

import gzip
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from ...errors import BadInput
from ...words import Tokenizer


@dataclass(frozen=True)
class Family:
    title: str
    pipelines: tuple[str, ...]          # classes that a folder's model_index.json may name
    encoders: tuple[str, ...]           # where a single file keeps each text encoder
    pads: tuple[str, ...]               # what each tokenizer fills up with
    pooled: bool = False                # SDXL's way with text, see TextEncoders


FAMILIES = {
    "sd1": Family(
        "Stable Diffusion 1.x and 2.x",
        ("StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline", "StableDiffusionControlNetPipeline",
         "TuneAVideoPipeline", "SpatioTemporalStableDiffusionPipeline", "P2pDDIMSpatioTemporalPipeline",
         "DDIMSpatioTemporalStableDiffusionPipeline", "DDIMInversionPipeline"),
        ("cond_stage_model.transformer.",),
        ("<|endoftext|>",),
    ),
    "sd2": Family("Stable Diffusion 2.x", (), ("cond_stage_model.model.",), ("!",)),
    "sdxl": Family(
        "SDXL",
        ("StableDiffusionXLPipeline", "StableDiffusionXLImg2ImgPipeline", "StableDiffusionXLControlNetPipeline"),
        ("conditioner.embedders.0.transformer.", "conditioner.embedders.1.model."),
        ("<|endoftext|>", "!"),
        pooled=True,
    ),
}


def of_pipeline(names: tuple[str, ...], where: str) -> Family:
    """The family of a pipeline's class, or of the first of its parents that is known.  BadInput where none is."""
    for name in names:
        for family in FAMILIES.values():
            if name in family.pipelines:
                return family
    known = "; ".join(f"{family.title} ({family.pipelines[0]})" for family in FAMILIES.values() if family.pipelines)
    raise BadInput(f"{where} is a {names[0]}, which newtake does not know; known are {known}")


def recognise(weights: Mapping[str, Any]) -> str:
    """The family of a single file in the original layout, by what only its UNet has: the sizes do not matter."""
    if "model.diffusion_model.label_emb.0.0.weight" in weights:
        return "sdxl"
    enters = next((w for name, w in weights.items() if name.endswith(".1.proj_in.weight")), None)
    return "sd2" if enters is not None and enters.ndim == 2 else "sd1"      # 2.x entered its transformers by a linear layer


def configs(family: str) -> dict[str, Any]:
    """Of the parts of a checkpoint: unet, vae, text_encoders, scheduler."""
    return json.loads((resources.files(__name__) / f"{family}.json").read_text("utf-8"))


def clip_tokenizer(pad: str) -> Tokenizer:
    """CLIP's, 77 tokens wide."""
    from transformers import AutoTokenizer

    with tempfile.TemporaryDirectory() as folder:
        for name in ("vocab.json", "merges.txt"):
            packed = (resources.files(__name__) / "clip" / f"{name}.gz").read_bytes()
            (Path(folder) / name).write_bytes(gzip.decompress(packed))
        told = dict(tokenizer_class="CLIPTokenizer", model_max_length=77, pad_token=pad, unk_token="<|endoftext|>")
        (Path(folder) / "tokenizer_config.json").write_text(json.dumps(told))
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
