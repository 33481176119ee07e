"""A trajectory in a folder is the trajectory, bit for bit, or is not there."""

from dataclasses import dataclass, fields

import networks
import pytest
import torch
from networks import drawn

from newtake import shelf
from newtake.errors import BadInput
from newtake.inversion import INVERSIONS
from newtake.inversion.trajectory import Trajectory
from newtake.levels import diffusion
from newtake.methods import configured
from newtake.models.model import Model, Text


def full(steps: int = 3) -> Trajectory:
    series = lambda count, *shape, seed: [drawn(*shape, seed=seed + i).float() for i in range(count)]
    null = [Text(drawn(1, 5, 4, seed=i), dict(text_embeds=drawn(1, 3, seed=i))) for i in range(steps)]
    latents = (1, 2, 4, 3, 5)
    return Trajectory(
        diffusion(networks.SCHEDULER, steps), series(steps + 1, *latents, seed=0), series(steps, *latents, seed=10), null,
        series(steps, *latents, seed=20), series(steps, 2, 5, 3, 5, seed=40), pinned=True,
    )


def tensors(path: Trajectory) -> dict[str, list[torch.Tensor]]:
    lists = {f.name: getattr(path, f.name) for f in fields(path) if f.name not in ("levels", "null", "pinned")}
    nulls = [z for text in path.null or [] for z in (text.tokens, *text.extra.values())]
    return {name: series for name, series in lists.items() if series is not None} | {"null": nulls}


@pytest.mark.parametrize("kind", ["all there is", "latents only"])
def test_round_trip(tmp_path, kind):
    path = full()
    if kind == "latents only":
        path = Trajectory(path.levels, path.z, path.z[1:])
    folder = tmp_path / "cache" / "path"
    path.save(folder)
    path.save(folder)
    again = Trajectory.load(folder)
    assert again.levels == path.levels and again.pinned == path.pinned
    before, after = tensors(path), tensors(again)
    assert before.keys() == after.keys()
    for name, series in before.items():
        assert len(series) == len(after[name]) and all(map(torch.equal, series, after[name])), name
    assert [path.name for path in folder.parent.iterdir()] == ["path"]


def test_half_written_is_not_there(tmp_path, monkeypatch):
    folder, count = tmp_path / "path", iter(range(2))
    real = shelf.save_file
    monkeypatch.setattr(shelf, "save_file", lambda *given: (next(count), real(*given)))
    with pytest.raises(StopIteration):
        full().save(folder)
    with pytest.raises(BadInput, match="holds no finished inversion"):
        Trajectory.load(folder)
    monkeypatch.undo()
    full().save(folder)
    whole = (folder / "z-0001.safetensors").read_bytes()
    (folder / "z-0001.safetensors").write_bytes(whole[:-5])
    with pytest.raises(BadInput, match="holds no finished inversion"):
        Trajectory.load(folder)
    (folder / "manifest.json").write_text('{"format": 0}')
    with pytest.raises(BadInput, match="of this version"):
        Trajectory.load(folder)


class Killed(Exception):
    pass


@dataclass
class Dying(Model):
    """Dies when it was asked so often."""

    inner: Model
    left: int

    def predict(self, *given, **named):
        self.left -= 1
        if self.left < 0:
            raise Killed
        return self.inner.predict(*given, **named)

    def levels(self, steps):
        return self.inner.levels(steps)

    def control(self, *controls):
        return self.inner.control(*controls)


@pytest.mark.parametrize("name", INVERSIONS)
def test_what_was_cut_short_goes_on_to_the_same_bits(tmp_path, name):
    """Every inversion, under a method that notes words, killed again and again, each time a few evaluations further on."""
    ask, z0, network = networks.asked(), networks.clip(), networks.model()
    invert = lambda model: configured("fatezero", steps=3, inversion=name).invert(model, z0, ask)
    with shelf.keeping(shelf.Shelf(tmp_path / "undisturbed")):
        wanted, asked = invert(network), 0
    for left in range(1, 400, 9):
        dying = Dying(network, left)
        try:
            with shelf.keeping(shelf.Shelf(tmp_path / "again")):
                invert(dying).save(tmp_path / "again")
            break
        except Killed:
            asked += left
    assert asked
    again = tensors(Trajectory.load(tmp_path / "again"))
    for kind, series in tensors(wanted).items():
        assert len(series) == len(again[kind]) and all(map(torch.equal, series, again[kind])), kind
    with shelf.keeping(shelf.Shelf(tmp_path / "again")):
        invert(Dying(network, 0))                       # all is there: nothing is asked again
