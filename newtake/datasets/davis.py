"""DAVIS (Perazzi et al., CVPR 2016; Pont-Tuset et al., arXiv 1704.00675), as it is unpacked.

    JPEGImages/480p/bear/00000.jpg ...
    Annotations/480p/bear/00000.png ...                 instances by number, 0 is background; or black and white
    prompts.csv                                         clip,source,target and, where one likes, kind

DAVIS was made for segmentation and has no prompts, so every paper wrote its own: `prompts.csv` takes them, a line an edit.
An empty source is left to a captioner.  A clip without annotations has no mask.  No metrics of editing were published with it:
these are the ones that need no judge but CLIP.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from .task import Task, checked, file, found, table

METRICS = {
    "CLIP text": "text_alignment", "frame accuracy": "frame_accuracy", "frame consistency": "frame_consistency_adjacent",
    "PSNR background": "psnr_to_source_outside", "warp error": "warp_error",
}


def read(folder: Path) -> list[Task]:
    """The edits that `prompts.csv` asks for.  BadInput names what is missing."""
    tasks, many = [], Counter()
    for row in table(file(folder, "prompts.csv", "a line clip,source,target for every edit"), ("clip", "target")):
        clip = row["clip"]
        pictures = found(folder, f"prompts.csv: {clip or 'a line'}", clip, "JPEGImages/480p/{}")
        annotations = folder / "Annotations" / "480p" / clip
        name = f"{clip}-{many[clip]}"
        many[clip] += 1
        mask = annotations if annotations.exists() else None
        tasks.append(Task(name, pictures, row.get("source"), row["target"], mask, row.get("kind") or "edit"))
    return checked(tasks)
