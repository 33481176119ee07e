"""PIE-Bench, of Direct Inversion (Ju et al., ICLR 2024, arXiv 2310.01506): 700 pictures, clips of one frame here.

    mapping_file.json                                   {"000000000000": {image_path, original_prompt, ...}, ...}
    annotation_images/0_random_140/000000000000.jpg ...

Brackets in the prompts mark what differs and are taken out.  Masks are run lengths over 512x512 pixels; the published decoder
puts the picture's border inside every mask (`masks(task, border=True)`).  An edit whose mask covers the whole picture has no
background, and is left out of the published means.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import BadInput
from .task import Runs, Task, checked, file, found, plain, text, tree

SIZE = (512, 512)
KINDS = ("random", "change object", "add object", "delete object", "change content", "change pose", "change colour",
         "change material", "change background", "change style")
METRICS = {                                             # as `evaluation/evaluate.py` names them
    "structure_distance": "structure_distance_legacy", "psnr_unedit_part": "psnr_background_legacy",
    "lpips_unedit_part": "lpips_background_legacy", "mse_unedit_part": "mse_background_legacy",
    "ssim_unedit_part": "ssim_background_legacy", "clip_similarity_source_image": "text_alignment_source",
    "clip_similarity_target_image": "text_alignment", "clip_similarity_target_image_edit_part": "text_alignment_inside_legacy",
}


def read(folder: Path) -> list[Task]:
    """An edit a picture.  BadInput names what is missing."""
    told = tree(file(folder, "mapping_file.json", "the prompts and masks"), dict)
    return checked(task(folder, name, entry) for name, entry in told.items())


def task(folder: Path, name: str, entry: dict) -> Task:
    who = f"mapping_file.json: {name}"
    picture, source, target = (text(entry, key, who) for key in ("image_path", "original_prompt", "editing_prompt"))
    number, mask = text(entry, "editing_type_id", who), entry.get("mask")
    if number not in map(str, range(len(KINDS))):
        raise BadInput(f"{who} is of type {number}; types are 0 to {len(KINDS) - 1}")
    if not isinstance(mask, list):
        raise BadInput(f"{who} has no 'mask', a list of run lengths")
    clip = found(folder, who, picture, "annotation_images/{}")
    return Task(name, clip, plain(source), plain(target), Runs(tuple(mask), SIZE), KINDS[int(number)])
