"""Pipelines of diffusers in memory: read, and left as they are."""

import json
import shutil
from copy import deepcopy

import pytest
import torch
from checkpoints import folder, latents, said
from diffusers import DDIMScheduler, StableDiffusionPipeline

import newtake
from newtake.models.families import configs


@pytest.fixture(scope="module")
def sd1(tmp_path_factory):
    return folder(tmp_path_factory.mktemp("checkpoints") / "sd1", "sd1")


def test_pipeline_in_memory(sd1):
    of_disk = newtake.load(sd1)
    pipe = StableDiffusionPipeline(
        vae=of_disk.vae.net, text_encoder=of_disk.encoders.encoders[0], tokenizer=of_disk.tokenizer, unet=of_disk.net,
        scheduler=DDIMScheduler(**configs("sd1")["scheduler"]), safety_checker=None, feature_extractor=None,
        requires_safety_checker=False,
    )
    model = newtake.load(pipe)
    assert model.net is pipe.unet
    z, at, text = latents(1, 2, 4, 16, 16), model.levels(5)[0], model.text("a cat")
    assert torch.equal(model.predict(z, at, text).out, of_disk.predict(z, at, text).out)
    assert "list" in said([1, 2])


def test_a_pipeline_in_memory_is_left_as_it_is(sd1):
    """A network that has to be otherwise is copied: a VAE in half precision, another dtype, one in training."""
    pipe = StableDiffusionPipeline.from_pretrained(sd1_whole(sd1), torch_dtype=torch.bfloat16)
    pipe.unet.requires_grad_(True).train()
    pipe.tokenizer.model_max_length = 1000
    before = deepcopy([state_of(net) for net in (pipe.unet, pipe.vae, pipe.text_encoder)])
    for options in ({}, {"dtype": "fp32"}):
        model = newtake.load(pipe, **options)
        after = [state_of(net) for net in (pipe.unet, pipe.vae, pipe.text_encoder)]
        assert before == after and pipe.tokenizer.model_max_length == 1000
        assert model.vae.net.dtype == torch.float32 and not model.net.training
        assert model.dtype == (torch.float32 if options else torch.bfloat16)
        assert model.text("a cat").tokens.shape[1] == 77
    pipe.vae.decode(latents(1, 4, 8, 8).to(pipe.vae.dtype))


def sd1_whole(path):
    """The folder with a model_index.json that diffusers' own loader reads."""
    whole = path.with_name("whole")
    shutil.copytree(path, whole)
    parts = dict(vae="AutoencoderKL", unet="UNet2DConditionModel", scheduler="DDIMScheduler")
    index = {name: ["diffusers", kind] for name, kind in parts.items()}
    index |= dict(text_encoder=["transformers", "CLIPTextModel"], tokenizer=["transformers", "CLIPTokenizer"])
    index |= dict(_class_name="StableDiffusionPipeline", safety_checker=[None, None], feature_extractor=[None, None])
    (whole / "model_index.json").write_text(json.dumps(index | dict(requires_safety_checker=False)))
    return whole


def state_of(net) -> tuple:
    return net.training, [(name, weight.dtype, weight.requires_grad) for name, weight in net.named_parameters()]
