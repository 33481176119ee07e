"""The adapter that tuning leaves: put into a network, in part, into another network."""

import json
from dataclasses import replace

import pytest
import torch
from networks import SCHEDULER, drawn, relative
from tunings import AT, TEXT, Z0, model, same, small, tuning

from newtake.errors import BadInput
from newtake.models.adapters import put, tuned
from newtake.models.load import finished
from newtake.models.parts import Parts
from newtake.models.unet import UNet
from newtake.tuning import ClipTuning, loop, prepared, tune


@pytest.fixture(autouse=True)
def few_looks(monkeypatch):
    monkeypatch.setattr(loop, "LOOKED_AT", 1)


def adapter(tmp_path, how: ClipTuning, **told):
    """A folder, and the tuned model it was made of."""
    made = prepared(model(), how)
    list(tune(made, Z0, TEXT, how, tmp_path / "state", {}))
    tuned.write(tmp_path / "adapter", made.adapter(), {"rank": how.rank, "norms": made.model.norms, **told})
    return tmp_path / "adapter", made.model


def loaded(path, weight: float = 1.0, norms: str | None = None, **parts) -> UNet:
    made = put(Parts(parts.pop("net", None) or small(), SCHEDULER, **parts), {str(path): weight}, trust=False)
    return finished(made, torch.device("cpu"), None, norms, None)


@pytest.mark.parametrize("rank", [None, 2])
@pytest.mark.parametrize("norms", ["frame", "clip"])
def test_an_adapter_brings_the_tuned_network_back(rank, norms, tmp_path):
    path, made = adapter(tmp_path, replace(tuning(rank=rank, rate=0.05), norms=norms))
    assert {p.name for p in path.iterdir()} == {"adapter.safetensors", "adapter.json"}
    z, ask = drawn(1, 3, 4, 8, 8, seed=4).float(), lambda video: video.predict(z, AT, TEXT).out
    back = loaded(path)
    assert back.norms == norms and relative(ask(back), ask(made)) < (1e-5 if rank else 1e-30)
    plain, untouched = ask(UNet(small(), SCHEDULER, norms)), ask(UNet(small(), SCHEDULER))
    assert torch.equal(ask(loaded(path, 0.0)), untouched) and not torch.allclose(ask(back), plain, atol=1e-3)
    assert loaded(path, norms="frame").norms == "frame"


def test_half_an_adapter_is_half_of_every_change(tmp_path):
    for rank in (None, 2):
        (tmp_path / str(rank)).mkdir()
        path, _ = adapter(tmp_path / str(rank), tuning(rank=rank, rate=0.05))
        net, half, whole = small(), loaded(path, 0.5), loaded(path)
        for name, weight in net.named_parameters():
            one, two = half.net.get_parameter(name) - weight, whole.net.get_parameter(name) - weight
            assert torch.allclose(one, two / 2, atol=1e-6) and two.any() == name.endswith("to_q.weight")
        for module, layer in whole.temporal.items():
            for name, weight in layer.state_dict().items():
                share = 0.5 if "to_out" in name else 1
                assert torch.allclose(half.temporal[module].get_parameter(name), share * weight, atol=1e-6), name


def test_a_network_that_others_have_stays_as_it_is(tmp_path):
    path, _ = adapter(tmp_path, tuning(rate=0.05))
    net = small()
    before = {name: weight.clone() for name, weight in net.state_dict().items()}
    back = loaded(path, shared=True, net=net)
    assert same(before, dict(net.state_dict())) and back.temporal and not same(before, dict(back.net.state_dict()))


def test_tuning_goes_on_from_temporal_layers_that_are_there(tmp_path):
    """Of a tuned network the layers are tuned further; the adapter then takes their place."""
    path, _ = adapter(tmp_path, tuning(rate=0.05))
    first = loaded(path)
    again = prepared(first, tuning())
    assert all(torch.equal(again.weights[name], weight) for name, weight in loaded(path).temporal.items()
               for name, weight in ((f"{name}.{key}", value) for key, value in weight.named_parameters())
               if name in again.weights)
    list(tune(again, Z0, TEXT, tuning(), tmp_path / "more", {}))
    tuned.write(tmp_path / "second", again.adapter(), {"rank": None, "norms": "frame"})
    both = loaded(tmp_path / "second", temporal=loaded(path).temporal)
    z = drawn(1, 3, 4, 8, 8, seed=4).float()
    assert torch.equal(both.predict(z, AT, TEXT).out, again.model.predict(z, AT, TEXT).out)


@pytest.mark.parametrize("rank", [None, 2])
def test_an_adapter_of_another_network_says_which_shapes_differ(rank, tmp_path):
    path, _ = adapter(tmp_path, tuning(rank=rank))
    with pytest.raises(BadInput) as wrong:
        loaded(path, net=small(12))
    said = str(wrong.value)
    assert "made for another network" in said and ("is 8x8, here 12x12" if rank is None else "is 2x8, here 2x12") in said
    assert "\n" not in said and len(said) < 500


def test_what_is_no_adapter(tmp_path):
    path, _ = adapter(tmp_path, tuning())
    told = json.loads((path / "adapter.json").read_text())
    for other in ({"format": 99}, {"rank": "2"}, {"norms": "none"}):
        (path / "adapter.json").write_text(json.dumps(told | other))
        with pytest.raises(BadInput, match="not an adapter that this version"):
            loaded(path)
    (path / "adapter.json").write_text(json.dumps(told))
    (path / "adapter.safetensors").write_bytes(b"\x80\x04 a pickle")
    with pytest.raises(BadInput, match="safetensors"):
        loaded(path)
    (path / "adapter.safetensors").unlink()
    with pytest.raises(BadInput, match="not a whole adapter"):
        loaded(path)
