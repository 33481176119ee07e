"""What every method costs at equal steps: `python benchmarks/speed.py`.

On the built-in checkpoint, and on a random network of Stable Diffusion 1.5's shape, inversion and edit apart.  `row-passes`:
rows through the network, a way back counted as two.  `outside`: share of the time in which neither the network nor its way back
runs; what controls do inside attention is counted to the network.  Below: a guided step of one row, in two calls and in one of
twice the batch, and a pass with self-attention fused and with its maps made.  Nothing here says how good an edit is.

On the CPU: tiny, 8 frames, 10 steps, and the SD 1.5 shape at 256 pixels, 2 frames, 2 steps.  On a GPU (--device cuda, the
default where there is one): the shape at 512 pixels, 8 and 32 frames, bf16, with peak memory above the loaded network; written
to benchmarks/results, as it is on the CPU with --save.
"""

import argparse
import platform
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from subjects import Subject, sd, tiny

from newtake.aside import aside
from newtake.errors import Note
from newtake.guidance import cfg
from newtake.methods import METHODS, configured
from newtake.models.counted import Counted

RESULTS = Path(__file__).parent / "results"
GIB = 2 ** 30


@dataclass(frozen=True)
class Job:
    title: str
    steps: int
    subject: Callable[[], Subject]


class Clock:
    """Seconds, and how many of them a network and its way back took; on a GPU all of its work is waited for."""

    def __init__(self, net: Any):
        self.inside = 0.0
        self.gpu = net.device.type == "cuda"
        net.register_forward_pre_hook(lambda *_: self._start())
        net.register_forward_hook(lambda *_: self._stop(), always_call=True)

    def now(self) -> float:
        if self.gpu:
            torch.cuda.synchronize()
        return time.perf_counter()

    def _start(self) -> None:
        self.began = self.now()

    def _stop(self) -> None:
        self.inside += self.now() - self.began

    @contextmanager
    def ways_back(self) -> Iterator[None]:
        """Inside, gradients count."""
        grad = torch.autograd.grad

        def timed(*args, **more):
            self._start()
            try:
                return grad(*args, **more)
            finally:
                self._stop()
        with patch.object(torch.autograd, "grad", timed):
            yield

    def peak(self, begin: bool = False) -> float | None:
        """GiB on the GPU, from where `begin` was said; None on the CPU, where one process cannot tell them apart."""
        if not self.gpu:
            return None
        if begin:
            torch.cuda.reset_peak_memory_stats()
        return torch.cuda.max_memory_allocated() / GIB


def main(said: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--steps", type=int, default=10, help="on tiny, and on a GPU")
    parser.add_argument("--sd-steps", type=int, default=2, help="on the SD 1.5 shape on the CPU")
    parser.add_argument("--save", action="store_true", help="to benchmarks/results")
    parser.add_argument("--small", action="store_true", help="a quick look: 2 frames, 2 steps, few channels")
    given = parser.parse_args(said)
    told = [f"# Speed, {date.today()}\n\n{hardware(given.device)}; {platform.system()}, Python {platform.python_version()}, "
            f"torch {torch.__version__}, {torch.get_num_threads()} threads."]
    print(told[0], flush=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Note)
        for job in jobs(given):
            told.append(section(job, given.methods))
            print(told[-1], flush=True)
    if given.save or (given.device == "cuda" and not given.small):
        save("\n".join(told) + "\n", given.device)


def jobs(given: argparse.Namespace) -> list[Job]:
    device = given.device
    if given.small:
        return [Job("tiny, 64 pixels, 2 frames", 2, lambda: tiny(2, device)),
                Job("SD 1.5's layers, narrow, 64 pixels, 2 frames", 2, lambda: sd(2, 64, device, narrow=True))]
    first = Job("tiny, 64 pixels, 8 frames", given.steps, lambda: tiny(8, device))
    if device == "cpu":
        return [first, Job("SD 1.5 shape, 256 pixels, 2 frames", given.sd_steps, lambda: sd(2, 256))]
    return [first, *(Job(f"SD 1.5 shape, 512 pixels, {n} frames, bf16", given.steps, lambda n=n: sd(n, 512, device, "bf16"))
                     for n in (8, 32))]


@torch.no_grad()
def section(job: Job, methods: Sequence[str]) -> str:
    """Of one network: a row a method, and how else a pass could be made."""
    subject = job.subject()
    clock = Clock(subject.model.net)
    print(f"{job.title}: a first pass", file=sys.stderr)
    passes(subject, clock, 1)                           # kernels are loaded, and memory is taken, the first time
    lines = [f"\n## {job.title}, {job.steps} steps\n",
             "| method | inverting: row-passes | seconds | GiB | editing: row-passes | seconds | GiB | outside |",
             "|---" * 8 + "|"]
    for name in methods:
        print(f"{job.title}: {name}", file=sys.stderr)
        lines.append(f"| {name} | {' | '.join(costs(name, subject, clock, job.steps))} |")
    lines += ["\n| a pass of one row | seconds | GiB |", "|---|---|---|"]
    lines += [f"| {way} | {seconds:.3f} | {gib(peak)} |" for way, (seconds, peak) in passes(subject, clock, 2).items()]
    return "\n".join(lines)


def costs(name: str, subject: Subject, clock: Clock, steps: int) -> list[str]:
    """The cells of a method; on a GPU that is too small they say so."""
    method, model, z0, ask = configured(name, steps=steps), Counted(subject.model), subject.z0, subject.ask
    try:
        with clock.ways_back():
            held, clock.inside = held_by(clock), 0.0
            path, *inverting = measured(clock, held, model, lambda: method.invert(model, z0, ask))
            _, *editing = measured(clock, held, model, lambda: method(model, path, ask))
    except torch.cuda.OutOfMemoryError:
        torch.cuda.empty_cache()
        return ["out of memory", *[""] * 6]
    spent = inverting[1] + editing[1]
    cells = [(f"{rows}", f"{seconds:.2f}", gib(peak)) for rows, seconds, peak in (inverting, editing)]
    return [*cells[0], *cells[1], f"{1 - clock.inside / spent:.1%}"]


def measured(clock: Clock, held: float, model: Counted, do: Callable[[], Any]) -> tuple[Any, int, float, float | None]:
    """What it gives, its row-passes, seconds, and GiB above what was held."""
    before, start = model.evaluations, clock.now()
    clock.peak(begin=True)
    done = do()
    seconds, peak = clock.now() - start, clock.peak()
    return done, model.evaluations - before, seconds, None if peak is None else peak - held


def held_by(clock: Clock) -> float:
    return torch.cuda.memory_allocated() / GIB if clock.gpu else 0.0


def passes(subject: Subject, clock: Clock, times: int) -> dict[str, tuple[float, float | None]]:
    """The least of so many times, of each way."""
    model, z, ask = subject.model, subject.z0, subject.ask
    at, twice = model.levels(2)[0], torch.cat([subject.z0] * 2)
    one = lambda *_: model.predict(z, at, ask.source)

    def under(control):
        def do():
            with model.control(control):
                return one()
        return do

    ways = {
        "guidance in two calls": lambda: model.guided(z, at, ask.source, ask.null, cfg(7.5)),
        "guidance in one call of twice the batch": lambda: model.predict(twice, at, ask.null.then(ask.source)),
        "no control": one,
        "self-attention fused, under a control": under(lambda call, attend: attend(call)),
        "self-attention with maps": under(lambda call, attend: attend(call.edit(same) if call.kind == "self" else call)),
    }
    return {way: best(clock, do, times) for way, do in ways.items()}


def same(p):
    return p


def best(clock: Clock, do: Callable[[], Any], times: int) -> tuple[float, float | None]:
    held, found = held_by(clock), []
    for _ in range(times):
        clock.peak(begin=True)
        start = clock.now()
        try:
            do()
        except torch.cuda.OutOfMemoryError:
            torch.cuda.empty_cache()
            return float("nan"), None
        found.append(clock.now() - start)
    peak = clock.peak()
    return min(found), None if peak is None else peak - held


def gib(peak: float | None) -> str:
    return "" if peak is None else f"{peak:.2f}"


def hardware(device: str) -> str:
    if device == "cuda":
        return torch.cuda.get_device_name()
    told = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.+)", told.read_text()) if told.exists() else []
    return f"{names[0] if names else platform.processor() or platform.machine()}; no GPU was at hand"


def save(table: str, device: str) -> None:
    name = re.sub(r"[^a-z0-9]+", "-", hardware(device).lower()).strip("-") if device == "cuda" else "cpu"
    RESULTS.mkdir(exist_ok=True)
    with aside(RESULTS / f"{date.today()}_{name}.md") as part:
        part.write_text(table)


if __name__ == "__main__":
    main()
