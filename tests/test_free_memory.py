"""What a container allows is what is free."""

import psutil
import pytest
import torch

from newtake import free_memory
from newtake.free_memory import left, taken


def group(folder, limit, used, cached, version):
    folder.mkdir(parents=True, exist_ok=True)
    names = ("memory.max", "memory.current") if version == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
    for name, value in zip(names, (limit, used), strict=True):
        (folder / name).write_text(f"{value}\n")
    (folder / "memory.stat").write_text(f"anon 5\n{'' if version == 2 else 'total_'}inactive_file {cached}\n")


@pytest.mark.parametrize("version, line", [(2, "0::/jobs/ours\n"), (1, "7:cpu:/x\n4:memory:/jobs/ours\n")])
def test_the_groups_around_us_are_asked(tmp_path, version, line):
    (tmp_path / "cgroup").write_text(line)
    top = tmp_path / ("" if version == 2 else "memory")
    group(top / "jobs" / "ours", "max", 900, 0, version)                # no limit
    group(top / "jobs", 1000, 700, 100, version)
    group(top / "others", 10, 10, 0, version)
    assert [*left(tmp_path / "cgroup", tmp_path)] == [400]


def test_without_groups_the_system_is_asked(tmp_path):
    assert [*left(tmp_path / "none", tmp_path)] == []


def test_the_least_counts(monkeypatch):
    monkeypatch.setattr(free_memory, "left", lambda: iter([1 << 50, 1000]))
    held, free = taken(torch.device("cpu"))
    assert free == 1000 and 0 < held < psutil.virtual_memory().total
