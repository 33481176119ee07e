"""A loaded model made lighter or faster, by names.  docs/memory.md says what each costs.

Of every one the first line of its docstring says what it does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache, partial
from typing import Any

import torch
from diffusers.hooks.group_offloading import apply_group_offloading
from diffusers.hooks.layerwise_casting import apply_layerwise_casting
from diffusers.models.attention import FeedForward
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn

from ..errors import BadInput
from .unet import UNet

EIGHT = torch.float8_e4m3fn
KEPT = ("norm", "conv_in", "conv_out", "time_emb", "add_embedding")     # not in 8 bits: little memory, and much depends on them
TILE = 512                                              # pixels along a tile's side, at least: of smaller ones the seams show
SHAPES = 64                                             # that one function is compiled for; torch's own limit is 8
PARTS: tuple[type[nn.Module], ...] = (FeedForward, ResnetBlock2D)       # what is compiled
APART = {"compile": ("fp8", "offload")}                 # what torch cannot compile through: hooks that swap weights


def lighten(model: UNet, names: Iterable[str]) -> None:
    """The model's own networks, made lighter in each of these ways; those of its guests too.  There is no way back.

    Who shares these networks with others hands in copies.  Raises BadInput for a name that is not known, and where
    something cannot be: then the model is as it was.
    """
    asked = known(names)
    for name in LIGHT:                                  # in this order: weights are offloaded as they lie in the end
        if name in asked and name in POSSIBLE:
            POSSIBLE[name](model)
    for name in LIGHT:
        if name in asked:
            LIGHT[name](model)
    model.light = tuple(sorted({*model.light, *asked}))
    vars(model).pop("hash", None)


def known(names: Iterable[str]) -> set[str]:
    """BadInput where one is not, or two do not go together."""
    asked = set(names)
    if unknown := sorted(asked - {*LIGHT}):
        raise BadInput(f"unknown way to make a model light {unknown[0]!r}; known are {', '.join(LIGHT)}")
    for name, others in APART.items():
        if name in asked and (both := [other for other in others if other in asked]):
            raise BadInput(f"{name} does not go with {both[0]}; leave one of them out")
    return asked


def denoisers(model: UNet) -> list[Any]:
    """The networks that are asked in every step."""
    return [model.net, *model.temporal.values(), *(guest.net for guest in model.guests)]


# The ways

def tiling(model: UNet) -> None:
    """the autoencoder works on tiles that overlap: less memory for large pictures, a little off at their seams"""
    assert model.vae is not None
    net = model.vae.net
    net.tile_sample_min_size = max(net.tile_sample_min_size, TILE)
    net.tile_latent_min_size = net.tile_sample_min_size // model.factor
    net.enable_tiling()


def channels_last(model: UNet) -> None:
    """convolutions have their channels last in memory, which most GPUs are faster with in half precision"""
    for net in denoisers(model):
        net.to(memory_format=torch.channels_last)


def fp8(model: UNet) -> None:
    """the network's weights lie in 8 bits, a layer's widened while it runs: half the memory of fp16; changes the result"""
    for net in denoisers(model):
        if not any(weight.dtype == EIGHT for weight in net.parameters()):
            apply_layerwise_casting(net, EIGHT, model.dtype, skip_modules_pattern=KEPT)
            without_gradients(net, "fp8")


def compiled(model: UNet) -> None:
    """torch.compile, of the parts that no control listens to; the first steps are slow while it compiles"""
    torch._dynamo.config.cache_size_limit = max(torch._dynamo.config.cache_size_limit, SHAPES)
    for part in (part for net in denoisers(model) for part in net.modules() if isinstance(part, PARTS)):
        part.forward = partial(quickly, part)


def offload(model: UNet) -> None:
    """weights lie in the computer's memory, and a layer's on the GPU while it runs: least GPU memory, slower"""
    offloaded(model, model.device)


# Where they can be

def has_autoencoder(model: UNet) -> None:
    if model.vae is None:
        raise BadInput("this model has no autoencoder to tile; leave tiling out, or load a whole checkpoint")


def knows_eight_bits(model: UNet) -> None:
    try:
        torch.zeros(8, device=model.device).to(EIGHT).to(model.dtype)
    except (RuntimeError, TypeError) as wrong:
        raise BadInput(f"{model.device} does not know numbers of 8 bits; leave fp8 out") from wrong


def can_compile(model: UNet) -> None:
    try:
        torch.compile(lambda z: z.sin() + 1)(torch.zeros(8, device=model.device))
    except Exception as wrong:                          # a compiler that is missing shows in many ways
        raise BadInput(f"torch.compile does not work here ({type(wrong).__name__}); leave compile out") from wrong


def has_memory_of_its_own(model: UNet) -> None:
    if model.device.type in ("cpu", "mps"):
        raise BadInput(f"offload is for a GPU with memory of its own, and the model is on {model.device}; leave offload out")


def offloaded(model: UNet, onload: torch.device) -> None:
    """The weights of all networks on the processor, each layer's on the device `onload` while it runs."""
    move = partial(apply_group_offloading, onload_device=onload, offload_device=torch.device("cpu"))
    ahead = onload.type == "cuda"                       # the next layer is fetched while one runs
    for net in denoisers(model):
        move(net, offload_type="leaf_level", use_stream=ahead)
        without_gradients(net, "offload")
    if model.vae is not None:                           # layer by layer: it is entered at its encoder or decoder
        move(model.vae.net, offload_type="leaf_level")
    for encoder in model.encoders.encoders if model.encoders else ():
        move(encoder, offload_type="block_level", num_blocks_per_group=1)           # as a whole: it runs once


def without_gradients(net: nn.Module, way: str) -> None:
    """What would lead back through the network has other weights by then."""
    def refuse(_: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        told = (*args, *kwargs.values())
        if torch.is_grad_enabled() and any(isinstance(z, Tensor) and z.requires_grad for z in told):
            raise BadInput(f"with {way} there are no gradients, which null_text and tuning need; take another inversion, "
                           f"such as negative_prompt, or leave {way} out")
    net.register_forward_pre_hook(refuse, with_kwargs=True)


# Compiled are whole functions without hooks inside: what is open for one pass only would be compiled in, or passed over.

def quickly(part: nn.Module, *args: Any, **kwargs: Any) -> Any:
    """The part's forward: compiled, but plainly where somebody listens inside of it or a gradient is wanted."""
    inside = (module for module in part.modules() if module is not part)
    heard = any(module._forward_hooks or module._forward_pre_hooks for module in inside)
    learns = torch.is_grad_enabled() and any(z.requires_grad for z in args if isinstance(z, Tensor))
    return (type(part).forward if heard or learns else fast(type(part)))(part, *args, **kwargs)


@cache
def fast(kind: type[nn.Module]) -> Callable[..., Any]:
    """One function for all parts of a kind: their weights are arguments of it."""
    return torch.compile(kind.forward)


LIGHT: dict[str, Callable[[UNet], None]] = {
    "tiling": tiling, "channels_last": channels_last, "fp8": fp8, "compile": compiled, "offload": offload,
}
POSSIBLE: dict[str, Callable[[UNet], None]] = {         # BadInput where it cannot be; the others always can
    "tiling": has_autoencoder, "fp8": knows_eight_bits, "compile": can_compile, "offload": has_memory_of_its_own,
}
