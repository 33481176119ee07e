"""What memory there is for us: the device's, and what the containers around this process allow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

OURS, GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")       # Linux: which groups we are in, and what they say


def taken(device: torch.device) -> tuple[int, int]:
    """Bytes of the device's memory: what this process has of it, and what is free."""
    import torch

    if device.type == "cuda":
        return torch.cuda.memory_allocated(device), torch.cuda.mem_get_info(device)[0]
    import psutil

    return psutil.Process().memory_info().rss, min([psutil.virtual_memory().available, *left()])


def left(ours: Path = OURS, groups: Path = GROUPS) -> Iterator[int]:
    """Bytes that each control group around this process still allows, where it has a limit (cgroups, versions 1 and 2)."""
    try:
        told = [line.split(":", 2) for line in ours.read_text().splitlines()]
    except OSError:                                     # another system
        return
    for _, controllers, path in told:
        if controllers in ("", "memory"):
            top = groups / controllers
            here = top / path.lstrip("/")
            for group in (here, *here.parents):         # in a container our own group may be the top
                if group.is_relative_to(top):
                    yield from of_group(group, *(("memory.limit_in_bytes", "memory.usage_in_bytes") if controllers else
                                                 ("memory.max", "memory.current")))


def of_group(group: Path, limit: str, used: str) -> Iterator[int]:
    try:
        most, now = (int((group / name).read_text()) for name in (limit, used))
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):                       # no such file, or the limit is "max"
        return
    yield max(0, most - now + int(stat.get("total_inactive_file", stat.get("inactive_file", 0))))     # files are let go of
