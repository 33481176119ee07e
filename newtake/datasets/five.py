"""FiVE-Bench (Li et al., ICCV 2025, arXiv 2503.13684), unpacked as its guide says.

    edit_prompt/edit1_FiVE.json ... edit6_FiVE.json     a list of {video_name, source_prompt, target_prompt, ...}, a file a kind
    images/0001_bus/00001.jpg ...                       or videos/0001_bus.mp4, which is read where there are no pictures
    bmasks/0001_bus/00001.jpg ...

100 clips and 420 edits.  An edit is named by its file, its place in it (`file_id` of the published results) and its clip.
Methods take the first 41 frames and every eighth is scored.  The published script skips a clip without mask and says so on the
screen only; here it is an error, so that every table is of the same edits.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import BadInput
from .task import Task, checked, file, found, plain, text, tree

FRAMES, EVERY = 41, 8                                   # that are edited; of which every so many is scored
KINDS = ("object replacement, rigid", "object replacement, non-rigid", "colour", "material", "addition", "removal")
METRICS = {                                             # as its config.yaml names them; None: not computed
    "structure_distance": "structure_distance_legacy", "psnr_unedit_part": "psnr_background_legacy",
    "lpips_unedit_part": "lpips_background_legacy", "mse_unedit_part": "mse_background_legacy",
    "ssim_unedit_part": "ssim_background_legacy", "clip_similarity_source_image": "text_alignment_source",
    "clip_similarity_target_image": "text_alignment", "clip_similarity_target_image_edit_part": "text_alignment_inside_legacy",
    "niqe_source_image": None, "niqe_target_image": None, "motion_fidelity_score": None,
    "motion_fidelity_score_edit_part": None, "five_acc": None,
}


def read(folder: Path) -> list[Task]:
    """The edits of the files that are there.  BadInput names what is missing."""
    files = [(n, kind) for n, kind in enumerate(KINDS, 1) if (folder / "edit_prompt" / f"edit{n}_FiVE.json").exists()]
    if not files:
        file(folder, "edit_prompt/edit1_FiVE.json", "prompts")
    return checked(task for n, kind in files for task in edits(folder, n, kind))


def edits(folder: Path, number: int, kind: str) -> list[Task]:
    """The edits of one kind."""
    tasks, name = [], f"edit_prompt/edit{number}_FiVE.json"
    for i, entry in enumerate(tree(folder / name, list)):
        who = f"{name}: entry {i}"
        video, source, target = (text(entry, key, who) for key in ("video_name", "source_prompt", "target_prompt"))
        clip = found(folder, f"{name}: {video}", video, "images/{}", "videos/{}.mp4")
        if not (mask := folder / "bmasks" / video).is_dir():
            raise BadInput(f"{video} has no mask: there is no bmasks/{video} in {folder}")
        tasks.append(Task(f"edit{number}-{i}-{video}", clip, plain(source), plain(target), mask, kind, (0, FRAMES), EVERY))
    return tasks
