"""V2VBench (Sun et al., arXiv 2407.07111).

    config.yaml                                         data: a list of {video_id, prompt, edit: [{prompt, type, ...}, ...]}
    frames/hike/00.png ...                              and videos/hike.mp4, which is read where there are no frames

50 square clips of 24 frames with three prompts each.  An edit is named by its clip and its number, as in the published
`results.csv`.  All frames are scored.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import BadInput
from .task import Task, checked, file, found, text

METRICS = {                                             # as its package names them; None: not computed
    "aesthetic_score": None, "clip_consistency": "frame_consistency_unprojected",
    "dino_consistency": "object_consistency", "dover_score": None, "clip_text_alignment": "text_alignment",
    "pick_score": "pick_score", "viclip_text_alignment": None, "motion_alignment": "motion_alignment_legacy",
}


def read(folder: Path) -> list[Task]:
    """Three edits a clip.  BadInput names what is missing."""
    tasks = []
    for number, entry in enumerate(entries(file(folder, "config.yaml", "the prompts"))):
        video = text(entry, "video_id", f"config.yaml: entry {number}")
        clip = found(folder, f"config.yaml: {video}", video, "frames/{}", "videos/{}.mp4")
        source = text(entry, "prompt", video, needed=False)
        edits = entry.get("edit")
        if not isinstance(edits, list):
            raise BadInput(f"config.yaml: {video} has no list of prompts called 'edit'")
        tasks += [Task(f"{video}-{i}", clip, source, text(edit, "prompt", f"config.yaml: edit {i} of {video}"), None,
                       text(edit, "type", video, needed=False) or "edit") for i, edit in enumerate(edits)]
    return checked(tasks)


def entries(path: Path) -> list[Any]:
    import yaml

    try:
        told = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as wrong:
        raise BadInput(f"{path} cannot be read as YAML: {' '.join(str(wrong).split())}") from wrong
    if not isinstance(told, dict) or not isinstance(told.get("data"), list):
        raise BadInput(f"{path} has no list called 'data' with an entry a clip")
    return told["data"]
