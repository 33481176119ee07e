"""What benchmarks say, at a small size."""

import gc
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
import torch

from newtake.attention.frames import read
from newtake.models.counted import Counted
from newtake.models.windows import Windowed

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import length
import memory
import reuse
import speed
import subjects

TINY = memory.Job("tiny", 2, 5, dtype="fp64")
NARROW = memory.Job("narrow", 2, 2, 192, dtype="fp64")  # of its cross-attention 24x24 and 12x12, the latter is nearest to 16x16


@pytest.mark.parametrize("job", [TINY, NARROW, replace(NARROW, most=12 ** 2)], ids=["tiny", "sd", "small sites only"])
def test_both_ways_give_the_same_edit(job):
    (peak, much, _, theirs, edit), (_, little, _, mine, same) = (
        memory.measured(way, job) for way in (memory.published, memory.ours))
    assert (edit - same).abs().max() / edit.abs().max() < 1e-9
    assert (theirs, mine) == (3 * job.steps, 3 * job.steps + int(0.8 * job.steps))
    assert peak >= 0 and much > 5 * little


class Last(Counted):
    """Notes all tensors that live when a step begins, and the network is not asked with."""

    def guided(self, z, at, text, null, guidance, free=slice(None)):
        asked = [z, text.tokens, null.tokens]
        self.alive = {place: held for place, held in living().items() if place not in map(storage, asked)}
        self.state = z.nbytes
        return super().guided(z, at, text, null, guidance, free)


def living() -> dict[int, torch.UntypedStorage]:
    return {storage(z): z.untyped_storage() for z in gc.get_objects() if type(z) is torch.Tensor}


def storage(z: torch.Tensor) -> int:
    return z.untyped_storage().data_ptr()


@torch.no_grad()
def test_what_ours_keeps_is_all_that_lives():
    """At the last step, but for the latents that it is about: less than the words of a step."""
    subject, method = subjects.sd(3, 64, narrow=True), memory.Job("narrow", 3, 5).method
    before, model = living(), Last(subject.model)
    path = method.invert(subject.model, subject.z0, subject.ask)
    method(model, path, subject.ask)
    alive = sum(held.nbytes() for place, held in model.alive.items() if place not in before)
    off = alive + subject.z0.nbytes - memory.of_path(path, subject.ask)                          # the clip lived before
    assert abs(off) <= 4 * model.state < path.words[0].nbytes / 4


def test_arithmetic():
    """By hand: five sites of each of the three larger sizes, one of the smallest; eight heads in Stable Diffusion, here two."""
    frames, steps, side, heads, words = 3, 4, 64, 2, 77
    sizes = [(5, side ** 2), (5, (side // 2) ** 2), (5, (side // 4) ** 2), (1, (side // 8) ** 2)]
    of = lambda most, seen: steps * frames * heads * sum(
        n * tokens * (seen * tokens + words) for n, tokens in sizes if tokens <= most)
    latents, maps = 4 * frames * side ** 2 * 4, 4 * frames * words * 16 ** 2
    found, mine = memory.counted(memory.Job("narrow", frames, steps, 8 * side))
    assert list(found.values()) == [of(32 ** 2, 1), of(32 ** 2, 2), of(side ** 2, 2)]
    named = 1                                           # of the tokens: what the target's mask is made of
    assert mine == (steps + 1) * latents + steps * maps + maps // words * named


def test_speed_is_told_of_every_method(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(speed, "RESULTS", tmp_path / "results")
    methods = ["fatezero", "sdedit"]
    speed.main(["--small", "--device", "cpu", "--save", "--methods", *methods])
    told = capsys.readouterr().out
    assert (tmp_path / "results" / f"{date.today()}_cpu.md").read_text() == told
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in told.splitlines() if line.startswith("| ")]
    named = {name: [row for row in rows if row[0] == name] for name in methods}
    assert all(len(found) == 2 and len(row) == 8 for found in named.values() for row in found)
    assert {(row[1], row[4]) for row in named["fatezero"]} == {("2", "5")}          # N; 2N and the source while it teaches
    assert {row[1] for row in named["sdedit"]} == {"0"}
    shares = [float(row[-1].rstrip("%")) for found in named.values() for row in found]
    assert all(0 < share < 100 for share in shares)


def test_the_way_back_is_the_network():
    """The clock counts gradients, and nothing else that runs between passes."""
    subject = subjects.sd(1, 64, narrow=True)
    clock = speed.Clock(subject.model.net)
    tokens = subject.ask.source.tokens.clone().requires_grad_()
    text, at = replace(subject.ask.source, tokens=tokens), subject.model.levels(2)[0]
    with torch.enable_grad():
        said = subject.model.predict(subject.z0, at, text).out.sum()
    forwards = clock.inside
    torch.autograd.grad(said, tokens, retain_graph=True)
    assert clock.inside == forwards > 0
    with clock.ways_back():
        torch.autograd.grad(said, tokens)
    assert clock.inside > forwards


def test_formulas():
    """As docs/methods say them."""
    assert reuse.formula("fatezero", 50, 1) == [50 + 100 + 40]
    assert reuse.formula("newtake", 25, 1) == [25 + 2 + 35 + 12, 25 + 2 + 35 + 5]


@pytest.mark.parametrize("look, pairs", [("own,middle", {3, 7}), ("first,previous", {2, 3, 5, 6})])
def test_borders_of_windows(look, pairs):
    """Windows of 4: side by side, or by one overlapping, so that a frame in three is made of two."""
    windowed = Windowed(subjects.sd(1, 64, narrow=True).model, 4, read(look))
    assert {i for i, border in enumerate(length.borders(windowed, 10).tolist()) if border} == pairs


def test_flicker_is_seen_at_borders():
    """Of grey frames, darker in the second window."""
    scene = length.scene_of(length.Given(8, "newtake", 1, 4))
    video = torch.zeros(8, 3, *scene.size[::-1])
    video[4:] += 0.1
    errors = length.flicker(video, scene)
    assert errors[3] == pytest.approx(1000 * 0.1 ** 2 / 4) and errors.sum() == pytest.approx(errors[3])
