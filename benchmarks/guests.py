"""What guests are for: results with the control's edges, and edits that move as the source: `python benchmarks/guests.py`.

The first table is of clips sampled from noise, of held-out scenes, by their captions; the control pictures are the edges of the
scene's own render.  `agreement`: the correlation of the edges of control and result, by the same Canny, each averaged over 3x3
pixels, percent: 0 by chance, 100 where they are the same (a share of edges near edges is 70 for pure noise, which has them all
over).  The second is of the first test edits of the world; the control pictures are the edges of the source clip.  `moved`:
end-point error of the edit's estimated flow against the scene's true flow, percent of the height, everywhere and inside the
object.  `right`: percent of the frames in which the judge finds what the caption says.  `truth`: PSNR to the true answer, dB.
"""

import argparse
import json
from hashlib import sha256
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
import torch.nn.functional as F

import newtake
from newtake.aside import aside
from newtake.drawing import edges
from newtake.edits import edited
from newtake.guidance import cfg
from newtake.invitation import Invitation
from newtake.levels import noise, step
from newtake.methods import spelled
from newtake.methods.configuring import values
from newtake.metrics.motion import estimated
from newtake.metrics.pixels import psnr
from newtake.show import shown
from newtake.track import track
from newtake.video import Video, sheet
from newtake.welcome import welcomed
from newtake.world import judge as judges
from newtake.world.benchmark import edits
from newtake.world.clips import video
from newtake.world.judge import ATTRIBUTES
from newtake.world.render import flow, masks
from newtake.world.training.data import scene_of

FIRST = 110_000_000                                     # the first seed of these scenes; training and other tables use others


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--guests", nargs="*", default=["tiny-controlnet", "tiny-t2i"])
    parser.add_argument("--scales", type=float, nargs="+", default=[1.0])
    parser.add_argument("--scenes", type=int, default=12)
    parser.add_argument("--edits", type=int, default=12)
    parser.add_argument("--methods", nargs="+", default=["ddim:guidance=5.5", "newtake"])
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=5.0, help="of what is sampled")
    parser.add_argument("--out", type=Path, default=Path("runs/guests"), help="of rows; killed, it goes on from there")
    job = parser.parse_args()
    model, judge = newtake.load("tiny"), judges.load()
    asked = [None, *(Invitation(where, scale=scale) for where in job.guests for scale in job.scales)]
    with shown():
        rows = [kept(job, sampled, model, judge, guest, i) for i in track(range(job.scenes), "sampling") for guest in asked]
        tasks = edits("test", model.native, job.frames)[:job.edits]
        moved = [kept(job, changed, model, judge, guest, task, method)
                 for task in track(tasks, "editing") for method in job.methods for guest in asked]
    print(table(rows, ("agreement", "right")), table(moved, ("moved", "moved inside", "right", "truth")), sep="\n\n")


def kept(job, make, model, judge, guest, *what) -> dict:
    """A row that was made before, or a new one, which is kept with its picture."""
    name = "none" if guest is None else f"{guest.where}, {guest.scale:g}"
    clip = video(scene_of(FIRST + what[0], True, model.native, job.frames) if make is sampled else what[0].scene)
    guided = welcomed(model, [guest] if guest else [], clip)
    label = [what[0] if make is sampled else what[0].name, *what[1:]]
    settings = [job.guidance] if make is sampled else values(spelled(what[1], steps=job.steps))
    told = [make.__name__, label, settings, job.frames, job.steps, guided.hash, str(model.dtype)]
    path = job.out / f"{sha256(json.dumps(told).encode()).hexdigest()[:16]}.json"
    if not path.exists():
        made, row = make(job, guided, judge, clip, *what)
        job.out.mkdir(parents=True, exist_ok=True)
        sheet([clip, Video.of(edges(clip[:]), like=clip), made], path.with_suffix(".png"))
        with aside(path) as part:
            part.write_text(json.dumps({"of": label[0], "way": " ".join(label[1:]), "guest": name, **row}))
    return json.loads(path.read_text())


def sampled(job, model, judge, clip, i) -> tuple[Video, dict]:
    scene = scene_of(FIRST + i, True, model.native, job.frames)
    levels, text, null = model.levels(job.steps), model.text(scene.caption()), model.text("")
    z = noise(i, range(job.frames), *model.encode(clip[:1]).shape[2:])[None]
    for k in range(job.steps):
        z = step(model.guided(z, levels[k], text, null, cfg(job.guidance)), levels[k + 1])
    made = model.decode(z)[0]
    return Video.of(made, like=clip), {"agreement": agreement(edges(clip[:]), edges(made)), "right": right(judge, made, scene)}


def changed(job, model, judge, clip, task, method) -> tuple[Video, dict]:
    made = edited(clip, task.source, [task.target], spelled(method, steps=job.steps), model).videos[0]
    true = torch.from_numpy(np.array([flow(task.scene, i) for i in range(task.scene.frames - 1)]))
    off = 100 * (estimated(made[:]) - true).norm(dim=-1) / true.shape[1]
    inside = torch.from_numpy(masks(task.scene))[:-1]
    figures = {"moved": float(off.mean()), "moved inside": float(off[inside].mean())}
    figures |= {"right": right(judge, made[:], task.truth), "truth": psnr(made[:], video(task.truth)[:])}
    return made, {"kind": task.kind, **figures}


def agreement(control: torch.Tensor, result: torch.Tensor) -> float:
    """Of white edges on black, (f 3 h w): percent; 0 where one has none."""
    a, b = (F.avg_pool2d(pictures[:, :1], 3, 1, 1).flatten() for pictures in (control, result))
    return 100 * float(torch.corrcoef(torch.stack([a, b]))[0, 1].nan_to_num())


def right(judge, frames, scene) -> float:
    return 100 * fmean(all(said[name] == getattr(scene, name) for name in ATTRIBUTES) for said in judge.says(frames))


def table(rows, columns) -> str:
    """Means over scenes, as Markdown; of edits a row a method."""
    lines = [f"| | guest | {' | '.join(columns)} |", "|---|---" + "|---" * len(columns) + "|"]
    for way, guest in dict.fromkeys((row["way"], row["guest"]) for row in rows):
        some = [row for row in rows if (row["way"], row["guest"]) == (way, guest)]
        lines.append(f"| {way} | {guest} | {' | '.join(f'{fmean(row[name] for row in some):.1f}' for name in columns)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
