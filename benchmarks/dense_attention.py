"""Dense attention over all frames, fused and as published: `python benchmarks/dense_attention.py`.

One site of Stable Diffusion 1 at 512 pixels: 16 frames of 64x64 latents, 8 heads of 40 channels, random numbers.  `published`
copies the keys and values of all frames for each frame, as vid2vid-zero does; `ours` folds the frames into the queries.  Both
use the same fused attention kernel.  Peak memory is that of a process of its own above what it had before the call.
"""

import argparse
import multiprocessing
import resource
import time

import torch
import torch.nn.functional as F
from einops import rearrange, repeat

from newtake.attention.call import Call, Frames, Site, attend
from newtake.attention.frames import look_everywhere
from newtake.levels import Level


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--side", type=int, default=64, help="of the latents")
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--channels", type=int, default=40, help="of a head")
    job = parser.parse_args()
    shape = (1, job.frames, job.heads, job.side ** 2, job.channels)
    told = {}
    for name in (ours, published):
        with multiprocessing.get_context("spawn").Pool(1) as pool:                  # a process each
            told[name.__name__] = pool.apply(measured, (name, shape, job.side))
    same = (told["ours"][2] - told["published"][2]).abs().max() / told["published"][2].abs().max()
    print("| | peak memory, MiB | seconds |\n|---|---|---|")
    for name, (peak, seconds, _) in told.items():
        print(f"| {name} | {peak:.0f} | {seconds:.1f} |")
    print(f"\npublished / ours: {told['published'][0] / told['ours'][0]:.1f} times the memory; greatest difference {same:.1e}")


def measured(way, shape, side):
    draws = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(shape, generator=draws) for _ in range(3))
    way(*(z[:, :1, :, :64] for z in (q, k, v)), 8)      # the first call loads kernels
    before, began = peak(), time.perf_counter()
    out = way(q, k, v, side)
    return peak() - before, time.perf_counter() - began, out[0, :, 0, ::97].clone()


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def ours(q, k, v, side):
    at, site = Level(500, 0.8, 0.6, 0, 1), Site("attn1", "up", 0)
    tokens = q.new_empty(1, q.shape[1], q.shape[3], 0)  # what entered the layer: not looked at here
    call = Call(site, "self", at, True, Frames.all(q.shape[1]), (side, q.shape[3] // side), q, k, v, tokens)
    return look_everywhere(call, attend)


def published(q, k, v, side):
    r, f = q.shape[:2]
    k, v = (repeat(z, "r f heads n d -> (r of) heads (f n) d", of=f).contiguous() for z in (k, v))
    out = F.scaled_dot_product_attention(rearrange(q, "r f heads n d -> (r f) heads n d"), k, v)
    return rearrange(out, "(r f) heads n d -> r f heads n d", r=r)


if __name__ == "__main__":
    main()
