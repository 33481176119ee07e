"""LOVEU-TGVE-2023, the text-guided video editing competition of CVPR 2023 (Wu et al., arXiv 2310.16003).

    LOVEU-TGVE-2023_Dataset.csv
    DAVIS_480p/480p_frames/stunt/00000.jpg ...          and, of all clips, DAVIS_480p/480p_videos/stunt.mp4
    youtube_480p/...
    videvo_480p/...

76 clips of 32 or 128 frames, 480x480, with four prompts each.  In the table lines such as "DAVIS Videos:" stand above the
clips of a folder, and empty lines between.  Scored at 480x480, all frames.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import BadInput
from .task import Task, checked, file, found, table

TABLE, NAME, SOURCE = "LOVEU-TGVE-2023_Dataset.csv", "Video name", "Our GT caption"
KINDS = {"style": "Style Change Caption", "object": "Object Change Caption", "background": "Background Change Caption",
         "multiple": "Multiple Changes Caption"}
FOLDERS = {"DAVIS": "DAVIS_480p", "YOUTUBE": "youtube_480p", "VIDEVO": "videvo_480p"}
METRICS = {                                             # as `scripts/run_eval.py` names them
    "clip_score_text": "text_alignment", "clip_score_frame": "frame_consistency_all_pairs", "pick_score": "pick_score",
}


def read(folder: Path) -> list[Task]:
    """Four edits a clip.  BadInput names what is missing."""
    tasks, part = [], None
    for row in table(file(folder, TABLE, "the prompts"), (NAME, SOURCE, *KINDS.values())):
        name = row[NAME]
        if not name:
            continue
        if name.endswith("Videos:"):
            part = FOLDERS.get(name.split()[0].upper())
            continue
        if part is None:
            raise BadInput(f"{TABLE}: {name} stands under no line such as 'DAVIS Videos:'; known are {', '.join(FOLDERS)}")
        clip = found(folder, f"{TABLE}: {name}", name, part + "/480p_frames/{}", part + "/480p_videos/{}.mp4")
        tasks += [Task(f"{name}-{kind}", clip, row[SOURCE], row[column], None, kind) for kind, column in KINDS.items()]
    return checked(tasks)
