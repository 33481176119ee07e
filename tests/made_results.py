"""A benchmark's results, made up."""

import numpy as np
from made_clips import moving

from newtake.video import Video, compare, sheet

TASKS, METHODS = ("recolour", "swap"), ("good", "fair", "poor")
CONTROLS = {"truth": (40.0, 1.0), "identity": (float("inf"), 0.0), "black": (6.0, 0.1)}     # fidelity, success
LEVELS = {"good": (30.0, 0.9), "fair": (25.0, 0.6), "poor": (20.0, 0.3)}


def results(folder=None, edits=8, seeds=2, methods=METHODS):
    """The plain data of `newtake.report`; with a folder also its clips and sheets, for the first seed."""
    draw, rows, shown = np.random.default_rng(0), [], files(folder) if folder else (None, None)
    for number in range(edits):
        task, difficulty = TASKS[number % 2], ("easy", "medium", "hard")[number % 3]
        for method in (*methods, *CONTROLS):
            control = method in CONTROLS
            level = CONTROLS[method] if control else LEVELS.get(method, (18 + len(method), 0.5))
            for seed in range(1 if control else seeds):
                fidelity, success = level if control else (level[0] + draw.normal(), min(1, level[1] + draw.normal() / 20))
                clip = shown if seed == 0 and not control else (None, None)
                rows.append({
                    "edit": f"{task}-{number}", "task": task, "difficulty": difficulty, "method": method, "seed": seed,
                    "control": control, "scores": {"psnr": fidelity, "success": success, "error": 1 - success, "never": None},
                    "evaluations": None if control else 150, "seconds": None if control else 3.5 + number,
                    "peak_memory_mb": None if control else 1200, "clip": clip[0], "sheet": clip[1]})
    ranked = sorted(methods, key=lambda name: -LEVELS.get(name, (0, 0.5))[1])
    listed = ["truth", *ranked, "identity", "black"]
    ranking = [{"method": name, "score": 1 - i / 10, "low": 0.95 - i / 10, "high": 1.05 - i / 10, "ranks": {"geometric": i + 1}}
               for i, name in enumerate(listed)]
    return {
        "title": "The world, made up", "version": "1", "environment": {"newtake": "0.1.0", "threads": 2},
        "formula": "score = success x fidelity, the geometric mean.", "methods": list(methods), "controls": list(CONTROLS),
        "metrics": {
            "psnr": {"unit": "dB", "higher_is_better": True, "what": "peak signal-to-noise ratio to the source"},
            "success": {"unit": "share", "higher_is_better": True, "what": "frames that the judge finds as asked"},
            "error": {"unit": "", "higher_is_better": False, "what": "its opposite"},
            "never": {"unit": "", "higher_is_better": True, "what": "of which nobody has a score"}},
        "ranking": ranking, "tasks": list(TASKS), "rows": rows, "scatter": {"x": "psnr", "y": "success"},
        "flags": [{"metric": "psnr", "control": "identity", "beats": list(methods)},
                  {"metric": "success", "control": "black", "beats": [ranked[-1]]}]}


def files(folder):
    """A looping clip and a sheet in the folder; their names."""
    source = Video.of(moving(4))
    compare(source, [Video.of(moving(4).flip(1)), source], folder / "clip.webp")
    sheet([source], folder / "sheet.png")
    return "clip.webp", "sheet.png"
