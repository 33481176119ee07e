"""EditBoard (Chen et al., AAAI 2025, arXiv 2409.09668): one's own clips, with a table.

    script.csv                                          original_video_path, edited_video_path, semantic_mask_path,
                                                        source_prompt, target_prompt
    bear/00071.jpg ...
    bear_mask/00071.png ...

Paths in the table start at the folder or, as in the published sample (`./sample/bear`), at the folder around it.  An edit is
named by the folder its frames were meant for.  Scored at 512x512, all frames; what is not black in a mask may change.
"""

from __future__ import annotations

from pathlib import Path

from .task import Task, checked, file, found, table

TABLE = "script.csv"
METRICS = {                                             # as `evaluate.py` names them; None: not computed
    "ff_alpha": "ff_alpha_legacy", "ff_beta": "ff_beta_legacy", "semantic_score": "semantic_score_legacy",
    "success_rate": "frame_accuracy", "clip_similarity": "text_alignment", "subject_consistency": None,
    "background_consistency": None, "aesthetic_quality": None, "imaging_quality": None,
}


def read(folder: Path) -> list[Task]:
    """An edit a line.  BadInput names what is missing."""
    tasks = []
    for number, row in enumerate(table(file(folder, TABLE, "the prompts"), ("original_video_path", "target_prompt")), 2):
        who = f"{TABLE}, line {number}"
        clip = found(folder, who, inside(folder, row["original_video_path"]), "{}")
        given = inside(folder, row.get("semantic_mask_path", ""))
        mask = found(folder, who, given, "{}", what="mask") if given else None
        name = Path(row.get("edited_video_path") or f"line-{number}").name
        tasks.append(Task(name, clip, row.get("source_prompt"), row["target_prompt"], mask))
    return checked(tasks)


def inside(folder: Path, path: str) -> str:
    return path.removeprefix("./").removeprefix(f"{folder.resolve().name}/")
