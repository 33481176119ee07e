"""Which device a checkpoint goes to, and tensors of another one."""

import pytest
import torch
from checkpoints import folder, latents

import newtake
from newtake.errors import BadInput
from newtake.methods import configured
from newtake.methods.request import request


@pytest.fixture(scope="module")
def sd1(tmp_path_factory):
    return folder(tmp_path_factory.mktemp("checkpoints") / "sd1", "sd1")


def test_unknown_device(sd1, monkeypatch):
    with pytest.raises(BadInput, match="no device moon"):
        newtake.load(sd1, device="moon")
    with pytest.raises(BadInput, match="no device cuda:99 here"):
        newtake.load(sd1, device="cuda:99")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(BadInput, match="no device cuda:2 here; there is cuda:0 to cuda:1, "):
        newtake.load(sd1, device="cuda:2")


def test_latents_of_another_device(sd1, monkeypatch):
    """They go to the network's device and its answer comes back to theirs."""
    model, seen = newtake.load(sd1, device="cpu"), []
    z, at, text = latents(1, 2, 4, 16, 16), model.levels(5)[0], model.text("a cat")
    model.net.to("meta")
    answer = lambda z, t, **_: (seen.append(z.device.type), type("Out", (), dict(sample=torch.zeros(z.shape))))[1]
    monkeypatch.setattr(model.net, "forward", answer)
    assert model.predict(z, at, text).out.device.type == "cpu" and seen == ["meta"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
def test_on_cuda_with_tensors_of_the_processor(sd1):
    model = newtake.load(sd1, device="cuda", dtype="fp32")
    z = model.encode(torch.zeros(2, 3, 32, 32))
    assert z.device == model.device and model.decode(z.cpu()).device.type == "cpu"
    method = configured("fatezero", steps=3, mask=0.3, blend_latents=True)
    ask = request(model, "a red car", "a blue car")
    path = method.invert(model, z.cpu(), ask)
    assert method(model, path, ask).device.type == "cpu"
