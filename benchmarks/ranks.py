"""One clip on several ranks: `python benchmarks/ranks.py`, or `--only methods`, `traffic`, `memory`.

Methods: what two ranks answer beside what one process answers of the same latents, pass by pass, with a small random network:
the greatest difference of all passes of an inversion and an edit, as a share of the greatest number of the answer.

Traffic: what a rank sends in one pass, as the code counts it, of the shape of Stable Diffusion 1.5, on tensors without numbers;
a source and a target row.  How long that takes, and how much faster a pass is than on one device, is reckoned with the rates
that are named in the table, as if nothing were sent while something is computed.

Memory: one pass after the other of random weights in the shape of Stable Diffusion 1.5, in one process, then in ranks of
gloo, each with one thread.  `peak`: the most that a process took above the loaded network, which each has, 3.3 GB in float32.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from unittest.mock import patch

import torch
from subjects import Subject, sd
from taken import begun, most, now
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import networks
from ranked import Compared, Started

from newtake.attention.call import Control
from newtake.attention.frames import look, read
from newtake.attention.regions import Words
from newtake.inversion import INVERSIONS
from newtake.methods import METHODS, configured
from newtake.models.ranks import Ranked, shared_out
from newtake.models.temporal import fresh
from newtake.models.unet import UNet
from newtake.ranks import Ranks, ranks

MIB = 2 ** 20
WORK = 300e12                                           # operations a second of a GPU in bf16: assumed, not measured
RATES = {"NVLink": 300e9, "PCIe": 20e9}                 # bytes a second that a rank sends: assumed, not measured
LOOKS = ("own", "own,middle", "first,previous", "dense")
PARTS = ("methods", "traffic", "memory")


@dataclass(frozen=True)
class Shape:
    frames: int
    pixels: int
    narrow: bool                                        # the layers of Stable Diffusion 1.5, of few channels


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--methods", nargs="+", default=[*METHODS])
    parser.add_argument("--steps", type=int, default=4, help="of the methods")
    parser.add_argument("--ranks", type=int, nargs="+", default=[2, 8], help="of the traffic")
    parser.add_argument("--frames", type=int, default=16, help="of the traffic")
    parser.add_argument("--look", nargs="+", default=["own", "own,middle", "dense"], help="of the memory")
    parser.add_argument("--passes", type=int, default=2, help="of the memory")
    parser.add_argument("--small", action="store_true", help="a quick look: few channels, small pictures")
    given = parser.parse_args(arguments)
    if "methods" in given.only:
        methods(given.methods, given.steps)
    if "traffic" in given.only:
        traffic(Shape(given.frames, 128 if given.small else 512, given.small), given.ranks)
    if "memory" in given.only:
        memory(Shape(4, 128 if given.small else 256, given.small), given.look, given.passes)


# The same answers

def methods(names: Sequence[str], steps: int) -> None:
    two, sizes = Started(), (5, 16)
    print("\n| method | " + " | ".join(f"{f} frames" for f in sizes) + " |\n|---|---|---|")
    try:
        for name in names:
            off = [two(greatest, name, {}, f, steps)[0] for f in sizes]
            print(f"| {name} | " + " | ".join(f"{one:.1e}" for one in off) + " |", flush=True)
        for name in INVERSIONS:
            off = [two(greatest, "prompt_to_prompt", {"inversion": name}, f, steps)[0] for f in sizes]
            print(f"| prompt_to_prompt, inversion={name} | " + " | ".join(f"{one:.1e}" for one in off) + " |", flush=True)
    finally:
        two.stop()


def greatest(name: str, given: dict, f: int, steps: int) -> float:
    """On a rank: the greatest difference of any pass, in float32."""
    net, method = networks.model(torch.float32), configured(name, steps=steps, **given)
    model, ask, z0 = Compared(shared_out(net), net), networks.asked(), networks.clip(f).float()
    method(model, method.invert(model, z0, ask), ask)
    return model.off


# What is sent

def traffic(shape: Shape, many: Sequence[int]) -> None:
    rates = [f"ms at {rate / 1e9:.0f} GB/s ({name})" for name, rate in RATES.items()]
    faster = [f"times as fast ({name})" for name in RATES]
    head = ["ranks", "what mixes frames", "MiB that a rank sends, at most", "mean", "TFLOP of a rank",
            f"ms at {WORK / 1e12:.0f} TFLOP/s", *rates, *faster]
    print(f"\n{shape.frames} frames of {shape.pixels} pixels, bf16, 2 rows\n\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for what, model, controls in mixing(shape):
        work, _ = asked(model, shape, controls, Ranks(0, 1))
        for of in many:
            each = [asked(model, shape, controls, Ranks(number, of)) for number in range(of)]
            longest, sent = max(own for own, _ in each), [sent for _, sent in each]
            waits = [max(sent) / rate for rate in RATES.values()]
            cells = [f"{max(sent) / MIB:.1f}", f"{sum(sent) / of / MIB:.1f}", f"{longest / 1e12:.2f}",
                     f"{1000 * longest / WORK:.1f}", *(f"{1000 * wait:.1f}" for wait in waits),
                     *(f"{work / (longest + WORK * wait):.1f}" for wait in waits)]
            print(f"| {of} | {what} | {' | '.join(cells)} |", flush=True)


def mixing(shape: Shape) -> Iterator[tuple[str, UNet, list[Control]]]:
    """What makes one answer of several frames: its name, a model, and controls."""
    plain = subject(shape).model
    yield from ((f"`{names}`", plain, [look(*read(names))]) for names in LOOKS)
    yield "`own,middle`, and words are noted", plain, [look("own", "middle"), Words(rows=1, by_step=False)]
    yield "`own`, norms over the clip", UNet(plain.net, plain.scheduler, "clip"), []
    tuned = UNet(plain.net, plain.scheduler, "frame", fresh(plain.net))
    yield "`own`, layers over time behind every transformer block", tuned, []


def subject(shape: Shape) -> Subject:
    return sd(shape.frames, shape.pixels, "meta", "bf16", shape.narrow)


@torch.no_grad()
def asked(model: UNet, shape: Shape, controls: list[Control], here: Ranks) -> tuple[int, int]:
    """Of one pass: floating point operations of this rank, and bytes that it sends; nobody is there to take them."""
    made = subject(shape)
    z, text = made.z0.expand(2, -1, -1, -1, -1), made.ask.source.then(made.ask.targets)
    nobody = (patch(f"torch.distributed.{name}") for name in ("all_to_all_single", "broadcast"))
    with ExitStack() as stack, model.control(*controls), FlopCounterMode(display=False) as count:
        for one in nobody:
            stack.enter_context(one)
        (Ranked(model, here) if here.of > 1 else model).predict(z, model.levels(4)[0], text)
    return count.get_total_flops(), here.sent


# Memory and time

def memory(shape: Shape, looks: Sequence[str], passes: int) -> None:
    name = "SD 1.5 layers, narrow" if shape.narrow else "SD 1.5 shape"
    print(f"\n{name}, {shape.pixels} pixels, {shape.frames} frames, fp32, one thread a process, {passes} passes\n")
    print("| looks at | processes | peak above the network, MiB | network, MiB | seconds a pass |\n|---|---|---|---|---|")
    for names in looks:
        found = []
        for of in (1, 2):
            started = Started(of, patience=3600)
            try:
                each = started(partial(passed, shape, names, passes))
            finally:
                started.stop()
            peak, network, seconds = map(max, zip(*each, strict=True))
            found.append((peak, seconds))
            print(f"| `{names}` | {of} | {peak / MIB:.0f} | {network / MIB:.0f} | {seconds:.2f} |", flush=True)
        (alone, long), (shared, short) = found
        print(f"| `{names}` | two / one | {shared / alone:.2f} | | {short / long:.2f} |", flush=True)


def passed(shape: Shape, names: str, passes: int) -> tuple[int, int, float]:
    """On a rank: the peak of these passes above what was there before, bytes of the network, seconds a pass."""
    made = sd(shape.frames, shape.pixels, "cpu", "fp32", shape.narrow)
    model, at = shared_out(made.model), made.model.levels(4)[0]
    z, text = made.z0.expand(2, -1, -1, -1, -1), made.ask.source.then(made.ask.targets)
    model.predict(z[:, :ranks().of], at, text)          # the first pass is slower, and takes more
    network = sum(weight.nbytes for weight in made.model.net.parameters())
    before, start = begun("cpu"), now("cpu")
    with model.control(look(*read(names))):
        for _ in range(passes):
            model.predict(z, at, text)
    return most("cpu") - before, network, (now("cpu") - start) / passes


if __name__ == "__main__":
    main()
