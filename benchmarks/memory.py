"""FateZero as published, attention maps in memory, and ours, without maps: `python benchmarks/memory.py`.

Published: the maps of all sites and steps of the inversion are kept, and edited as maps (`tests/oracles.py`).  Ours: the source
row runs beside the target.  Same clip, shares, frame attention and masks; a process each.  `peak`: the most that was taken
above the loaded network, the network's own passes included.  `kept`: bytes of what lives from step to step; of the published
way the source's maps and latents alone, of ours latents, words and the running sum of the mask.  `row-passes`: rows through the
network.  The edits are compared.  Last, what 512 pixels would keep, counted on shapes without numbers.

In float64 (--dtype fp64, twice the memory) the edits agree to 1e-9.  In float32 a step that starts from the same latents agrees
to 1e-5, and what is off goes on into the next ones.

On a GPU (--device cuda, the default where there is one), also at 512 pixels in bf16: there the published maps, of sites of up
to 32x32, stay on the device, which is quicker than in the code, and the other sites are left alone in both ways.
"""

import argparse
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch
from subjects import Subject, sd, tiny
from taken import begun, most, now
from torch import Tensor

from newtake.inversion.trajectory import Trajectory
from newtake.methods import FateZero, configured
from newtake.methods.masks import named
from newtake.methods.request import Request

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from oracles import OfAnySize

SETTINGS = dict(mask=0.3, blend_latents=True)           # and the shares, 0.8, as they are
PUBLISHED = 32 ** 2                                     # query tokens of the sites whose maps the code stores, at most
MIB, GB = 2 ** 20, 1e9


@dataclass(frozen=True)
class Job:
    network: str                                        # tiny, sd, or narrow: sd's layers of few channels
    frames: int
    steps: int
    pixels: int = 64                                    # of tiny: as it was trained
    device: str = "cpu"
    dtype: str = "fp32"
    most: int | None = None                             # sites of more query tokens are left alone

    @property
    def subject(self) -> Subject:
        if self.network == "tiny":
            return tiny(self.frames, self.device, self.dtype)
        return sd(self.frames, self.pixels, self.device, self.dtype, self.network == "narrow")

    @property
    def method(self) -> FateZero:
        return configured("fatezero", steps=self.steps, most=self.most, **SETTINGS)

    def __str__(self) -> str:
        name = {"tiny": "tiny", "sd": "SD 1.5 shape", "narrow": "SD 1.5 layers, narrow"}[self.network]
        return f"{name}, {self.pixels} pixels, {self.frames} frames, {self.steps} steps, {self.dtype}, {self.device}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--steps", type=int, default=50, help="on tiny")
    parser.add_argument("--sd-steps", type=int, default=2, help="on the SD 1.5 shape")
    parser.add_argument("--pixels", type=int, default=256, help="of the SD 1.5 shape")
    parser.add_argument("--gpu-steps", type=int, default=10, help="on a GPU, at 512 pixels")
    parser.add_argument("--dtype", choices=["fp32", "fp64"], default="fp32")
    parser.add_argument("--small", action="store_true", help="a quick look: 2 frames, few steps, few channels")
    given = parser.parse_args()
    print("| | way | peak, MiB | kept, MiB | seconds | row-passes |\n|---|---|---|---|---|---|")
    for job in jobs(given):
        compare(job)
    print(device_said() + "\n\n" + arithmetic(Job("sd", 8, 50, 512)))


def jobs(given: argparse.Namespace) -> list[Job]:
    where = dict(device=given.device, dtype=given.dtype)
    if given.small:
        return [Job("tiny", 2, 5, **where), Job("narrow", 2, 2, 192, **where)]
    on_gpu = [Job("sd", given.frames, given.gpu_steps, 512, "cuda", "bf16", PUBLISHED)] if given.device == "cuda" else []
    return [Job("tiny", given.frames, given.steps, **where),
            Job("sd", given.frames, given.sd_steps, given.pixels, **where), *on_gpu]


def compare(job: Job) -> None:
    """Both ways, as rows of the table, and the difference of their edits."""
    found = []
    for way in (published, ours):
        print(f"{job}: {way.__name__}", file=sys.stderr)
        with ProcessPoolExecutor(1, get_context("spawn")) as alone:
            peak, kept, seconds, rows, edit = alone.submit(measured, way, job).result()
        found.append((edit, (peak / MIB, kept / MIB, seconds, rows)))
        print(f"| {job} | {way.__name__} | {peak / MIB:.0f} | {kept / MIB:.2f} | {seconds:.1f} | {rows:.0f} |", flush=True)
    (theirs, much), (mine, little) = found
    ratios = " | ".join(f"{a / b:.{0 if a / b > 20 else 2}f}" for a, b in zip(much, little, strict=True))
    off = (theirs - mine).abs()
    print(f"| | published / ours | {ratios} |")
    print(f"| | difference of the edits | greatest {off.max() / theirs.abs().max():.1e}, "
          f"mean {off.mean() / theirs.abs().mean():.1e} | | | |", flush=True)


@torch.no_grad()
def measured(way, job: Job) -> tuple[int, int, float, float, Tensor]:
    """Of this process: peak and kept bytes, seconds, row-passes, and the edited latents (1 f c h w)."""
    subject, rows = job.subject, []
    model, z0, ask = subject.model, subject.z0, subject.ask
    model.predict(z0, model.levels(job.steps)[0], ask.source)                       # the first pass is slower, and takes more
    model.net.register_forward_pre_hook(lambda net, args: rows.append(len(args[0]) / job.frames))
    before, start = begun(job.device), now(job.device)
    edit, kept = way(subject, job.method)
    seconds = now(job.device) - start
    return most(job.device) - before, kept, seconds, sum(rows), edit.cpu()


# The ways: an edit, and the bytes that it keeps between steps

def published(subject: Subject, method: FateZero) -> tuple[Tensor, int]:
    oracle = stored(subject, method)
    oracle.invert(subject.z0)
    edit = oracle.edit(0)[-1]
    return edit, taken([*oracle.z, *(p for maps in oracle.store for p in maps.values())])


def stored(subject: Subject, method: FateZero) -> OfAnySize:
    levels, setup = subject.model.levels(method.setup.steps), method.setup
    return OfAnySize(subject.model.net, levels, subject.ask, method.self_until, method.cross_until, setup.mask,
                     method.blend_latents, setup.guidance, most=method.most)


def ours(subject: Subject, method: FateZero) -> tuple[Tensor, int]:
    path = method.invert(subject.model, subject.z0, subject.ask)
    return method(subject.model, path, subject.ask), of_path(path, subject.ask)


def of_path(path: Trajectory, ask: Request) -> int:
    """With the sum of the target's words, of those alone of which its mask is made."""
    assert path.words is not None
    own = path.words[0]
    return taken([*path.z, *path.fed, *path.words]) + own.nbytes // own.shape[1] * len(named(ask))


def taken(tensors: Iterable[Tensor]) -> int:
    """Bytes, what is there twice counted once.  Tensors without numbers are each their own."""
    return sum({z.data_ptr() or id(z): z.nbytes for z in tensors}.values())


def device_said() -> str:
    return f"\nGPU: {torch.cuda.get_device_name()}" if torch.cuda.is_available() else "\nNo GPU was at hand."


# Shapes without numbers

@torch.no_grad()
def counted(job: Job) -> tuple[dict[str, int], int]:
    """Numbers in the maps that are kept at this size, and bytes that ours keeps, always in float32."""
    subject, told = sd(job.frames, job.pixels, "meta", narrow=job.network == "narrow"), dict(SETTINGS, most=job.most)
    one, two = (of_path(configured("fatezero", steps=steps, **told).invert(subject.model, subject.z0, subject.ask), subject.ask)
                for steps in (1, 2))
    oracle = stored(subject, configured("fatezero", steps=1, **told))
    oracle.invert(subject.z0)
    maps = oracle.store[0]
    small = {layer: p for layer, p in maps.items() if p.shape[2] <= PUBLISHED}
    many = lambda some, share: round(job.steps * sum(p.numel() * (1 if cross else share) for (_, cross), p in some.items()))
    return {"sites of up to 32x32, each frame looking at one, as the code is configured": many(small, 0.5),
            "sites of up to 32x32, at two, as in the paper": many(small, 1),
            "all sites, at two": many(maps, 1)}, one + (job.steps - 1) * (two - one)


def arithmetic(job: Job) -> str:
    maps, mine = counted(job)
    lines = [f"| kept: {job.pixels} pixels, {job.frames} frames, {job.steps} steps, SD 1.5 | fp16, GB | fp32, GB | "
             "fp16 / ours |", "|---|---|---|---|"]
    lines += [f"| maps of {name} | {2 * n / GB:.1f} | {4 * n / GB:.1f} | {2 * n / mine:.0f} |" for name, n in maps.items()]
    lines += ["| FateZero's README: main memory that editing takes | 100 | | |", f"| ours | | {mine / GB:.3f} | 1 |"]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
