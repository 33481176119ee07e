"""Tuning to a clip: `python benchmarks/tuning.py --out FOLDER` makes the table, `--memory` what tuning takes.

The table: held-out clips, each edited twice, another object and another colour, by methods on the checkpoint as it is, tuned to
the clip, and tuned in low rank.  `success`: share of frames in which the judge finds every attribute right.  `truth`: PSNR
against the true answer, dB.  `motion`: inside the true object, mean end-point error of the edit's estimated flow against the
true flow, percent of the height.  Controls: the true answer itself, whose motion error is the estimate's own, and the source.
What is in the folder is not made again, and a tuning that was killed goes on.

Memory: a few steps in a process of their own for each way, the most that was taken beyond the loaded network.
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import replace
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from safetensors.torch import load_file
from taken import begun, most
from torch import Tensor

import newtake
from newtake.bench.rows import Case, Rows, write
from newtake.methods import spelled
from newtake.metrics import statistics
from newtake.metrics.motion import estimated
from newtake.metrics.pixels import psnr
from newtake.models.families import configs
from newtake.models.parts import empty
from newtake.models.unet import UNet
from newtake.one_clip import configured, tune
from newtake.show import shown
from newtake.track import track
from newtake.tuning import prepared
from newtake.world import COLOURS, OBJECTS, Scene
from newtake.world import judge as judges
from newtake.world.benchmark import DIFFICULTIES, scenes
from newtake.world.clips import video
from newtake.world.judge import ATTRIBUTES
from newtake.world.render import flow, masks

FIRST = 120_000_000                                     # seeds of its clips; settings were chosen on others
CHANGES = {"object": OBJECTS, "colour": COLOURS}
FATEZERO = "fatezero:self_until=0.5;cross_until=0.3;blend_latents=true;blend_until=1;mask=0.6;blend_from=0;guidance=5.5"
METHODS = {"tune_a_video": "tune_a_video:guidance=5.5", "fatezero": FATEZERO}
RANK = 3                                                # of tiny: a twentieth of the weights
SCORES = {"success": ".0f", "truth": ".2f", "motion": ".2f"}
NETWORKS = ("as it is", "tuned", "tuned, low rank")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="a folder: adapters, edits, results.json")
    parser.add_argument("--memory", action="store_true", help="what tuning takes, instead of the table")
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--clips", type=int, default=6)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--tuning-steps", type=int, help="by default as newtake tune takes")
    parser.add_argument("--steps", type=int, default=15, help="of sampling")
    parser.add_argument("--rank", type=int, default=RANK)
    parser.add_argument("--device")
    parser.add_argument("--measure", nargs=2, metavar=("WAY", "CHECKPOINTING"), help=argparse.SUPPRESS)
    job = parser.parse_args()
    if job.measure:
        print(json.dumps(measured(job, *job.measure)))
    elif job.memory:
        memory(job)
    else:
        with shown():
            table(job)


# The table

def table(job) -> None:
    rows, spent, judge = [], {}, judges.load()
    methods = {name: spelled(said, steps=job.steps) for name, said in METHODS.items()}
    clips = [next(scenes(FIRST + i, list(DIFFICULTIES)[i % len(DIFFICULTIES)], 64, job.frames)) for i in range(job.clips)]
    for i, scene in enumerate(track(clips, "clips")):
        for network in NETWORKS:
            model, seconds = network_of(job, network, scene, job.out / "adapters" / f"{i}-{network.replace(', ', '-')}")
            spent |= {f"{i}, {network}": seconds} if seconds else {}
            for change in CHANGES:
                case = case_of(f"{change}-{i}", change, scene, judge, controls=network == NETWORKS[0])
                rows += [row | {"network": network} for row in Rows(methods, 1, model, job.out).of(case)]
    told = {"rows": rows, "seconds_of_tuning": spent, "steps": job.steps, "frames": job.frames, "rank": job.rank}
    write(job.out / "results.json", json.dumps(told, indent=1, allow_nan=False))
    print(means(rows) + "\n\n" + gains(rows))


def network_of(job, network: str, scene: Scene, adapter: Path) -> tuple[UNet, float | None]:
    """The checkpoint, tuned to the clip if it is to be; and how long that took, where it was done now and in one go."""
    load = lambda **given: newtake.load(job.model, job.device, "fp32", **given)
    if network == NETWORKS[0]:
        return load(), None
    new, start = not any(adapter.parent.glob(f"{adapter.name}*")), time.monotonic()
    given = {"steps": job.tuning_steps} if job.tuning_steps else {}
    how = configured(job.model, **given | ({"rank": job.rank} if network == NETWORKS[2] else {}))
    tune(video(scene), scene.caption(), adapter, how, load())
    return load(adapters={str(adapter): 1.0}), round(time.monotonic() - start, 1) if new else None


def case_of(name: str, change: str, scene: Scene, judge: judges.Judge, controls: bool) -> Case:
    others = [value for value in CHANGES[change] if value != getattr(scene, change)]
    truth = scene.becomes(**{change: others[scene.seed % len(others)]})
    answer, clip = video(truth), video(scene)
    there = torch.from_numpy(np.array([flow(truth, i) for i in range(truth.frames - 1)]))
    inside = torch.from_numpy(masks(truth)[:-1])

    def scored(edit: Tensor) -> dict[str, float | None]:
        right = [all(said[what] == getattr(truth, what) for what in ATTRIBUTES) for said in judge.says(edit)]
        off = (estimated(edit) - there).norm(dim=-1)[inside].mean()
        likeness = psnr(edit, answer[:])
        return {"success": 100 * float(np.mean(right)), "truth": likeness if np.isfinite(likeness) else None,
                "motion": 100 * float(off) / edit.shape[-2]}

    no_edits = {"the true answer": answer[:], "the source": clip[:]} if controls else {}
    return Case(name, change, clip, scene.caption(), truth.caption(), scored, no_edits,
                told={"scene": repr(scene), "change": change}, judged={"scores": 1}, beside=(answer,))


def means(rows) -> str:
    """Means over edits, as Markdown."""
    heads = [f"{score}, {task}" for score, task in product(SCORES, (*CHANGES, "all"))]
    lines = [f"| method | network | {' | '.join(heads)} |", "|---" * (2 + len(heads)) + "|"]
    for method, network in dict.fromkeys((row["method"], row["network"]) for row in rows):
        of = [row for row in rows if (row["method"], row["network"]) == (method, network)]
        cells = []
        for (score, form), task in product(SCORES.items(), (*CHANGES, "all")):
            values = [row["scores"][score] for row in of if task in (row["task"], "all") and row["scores"][score] is not None]
            cells.append(f"{np.mean(values):{form}}" if values else "")
        lines.append(f"| {method} | {'' if of[0]['control'] else network} | {' | '.join(cells)} |")
    return "\n".join(lines)


def gains(rows) -> str:
    """What tuning changes of the same edits: means of the differences, and their 95 % intervals (bootstrap)."""
    lines = [f"| tuned against as it is | {' | '.join(SCORES)} |", "|---" * (1 + len(SCORES)) + "|"]
    of = {(row["method"], row["network"], row["edit"]): row["scores"] for row in rows if not row["control"]}
    for method, network in product(METHODS, NETWORKS[1:]):
        pairs = [(scores, of[method, NETWORKS[0], edit]) for (m, n, edit), scores in of.items() if (m, n) == (method, network)]
        cells = []
        for score in SCORES:
            gain = statistics.mean([after[score] - before[score] for after, before in pairs])
            cells.append(f"{gain.value:+.2f} ({gain.low:+.2f} to {gain.high:+.2f})")
        lines.append(f"| {method}, {network} | {' | '.join(cells)} |")
    return "\n".join(lines)


# Memory

def memory(job) -> None:
    found = []
    ways = [("whole", False), ("whole", True), ("low rank", False), ("low rank", True)]
    for way, checkpointing in track(ways, "measuring"):
        given = ["--model", job.model, "--frames", str(job.frames), "--rank", str(job.rank), "--out", str(job.out)]
        given += ["--device", job.device] if job.device else []
        command = [sys.executable, __file__, *given, "--measure", way, str(checkpointing)]
        found.append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1]))
    told = {"rows": found, "frames": job.frames, "weights of Stable Diffusion 1.x": of_sd1()}
    write(job.out / "memory.json", json.dumps(told, indent=1))
    print("| way | checkpointing | weights | adapter, KB | MB beyond the network | of the first | seconds a step |")
    print("|---" * 7 + "|")
    for row in found:
        print(f"| {row['way']} | {row['checkpointing']} | {row['weights']} | {row['adapter_bytes'] / 1e3:.0f} | "
              f"{row['bytes'] / 1e6:.0f} | {row['bytes'] / found[0]['bytes']:.2f} | {row['seconds']:.2f} |")
    print(json.dumps(told["weights of Stable Diffusion 1.x"]))


def measured(job, way: str, checkpointing: str) -> dict:
    """Of this process: the most that a few steps take beyond the network, on its device."""
    model = newtake.load(job.model, job.device, "fp32")
    scene = next(scenes(FIRST, "medium", model.native, job.frames))
    rank = {"rank": job.rank} if way == "low rank" else {}
    how = configured(job.model, checkpointing=checkpointing, steps=3, every=3, **rank)
    before, start = begun(model.device.type), time.monotonic()
    with TemporaryDirectory() as folder:
        out = Path(folder) / "adapter"
        told = tune(video(scene), scene.caption(), out, how, model)
        size = (out / "adapter.safetensors").stat().st_size
        learnt = sum(z.numel() for name, z in load_file(out / "adapter.safetensors").items() if "norm_temp" not in name)
    seconds = (time.monotonic() - start) / (told["steps"] + 2 * 8 / 3)      # a look is eight passes without a way back
    return {"way": way, "checkpointing": checkpointing == "True", "bytes": most(model.device.type) - before, "seconds": seconds,
            "adapter_bytes": size, "weights": learnt}


def of_sd1() -> dict[str, int]:
    """How many weights are learnt of a network of its shape; none is made."""
    from diffusers import UNet2DConditionModel

    found = {}
    for rank in (None, 24, 8):
        with empty():
            net = UNet2DConditionModel.from_config(configs("sd1")["unet"])
            chosen = prepared(UNet(net, {}), replace(configured(), rank=rank)).weights
        found["whole" if rank is None else f"rank {rank}"] = sum(weight.numel() for weight in chosen.values())
    return found


if __name__ == "__main__":
    main()
