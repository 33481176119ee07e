"""What every kind of file is read into, and the one way a network is made of a config and weights."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from ..errors import BadInput
from ..words import Tokenizer


@dataclass
class Parts:
    """Of a checkpoint.  None or empty: it has none."""

    net: Any                                            # UNet2DConditionModel
    scheduler: dict[str, Any]
    vae: Any = None                                     # AutoencoderKL, in float32: it is rounded later, if at all
    tokenizers: Sequence[Tokenizer] = ()
    encoders: Sequence[Any] = ()
    pooled: bool = False
    empty_is_zero: bool = False
    temporal: Mapping[str, nn.Module] = field(default_factory=dict)
    norms: str | None = None                            # whose statistics group norms take; None: as the kind of network does
    shared: bool = False                                # others have these networks too; they must find them as they were


def assemble(net: Any, weights: Mapping[str, Tensor], dtype: torch.dtype, where: str) -> Any:
    """The weights put into a network that was made without any (`empty`): nothing is there twice.

    BadInput where they do not fit; weights that the network does not have are left out.
    """
    wanted = net.state_dict()
    own = {name: weight.to(dtype) for name, weight in weights.items() if name in wanted}
    if missing := [name for name in wanted if name not in own]:
        raise BadInput(f"{where} lacks {len(missing)} of {len(wanted)} weights, first {missing[0]}")
    if wrong := [name for name, weight in own.items() if weight.shape != wanted[name].shape]:
        first = wrong[0]
        raise BadInput(f"{where} has {first} of shape {tuple(own[first].shape)}, not {tuple(wanted[first].shape)}")
    net.load_state_dict(own, assign=True)
    return net


def empty():
    """Inside, networks are made without weights."""
    from accelerate import init_empty_weights

    return init_empty_weights()


def opened(path: Path, trust: bool) -> dict[str, Tensor]:
    """The weights of a file.  Pickles can run code: they are read with trust only, and then as tensors alone."""
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except SafetensorError as wrong:
            raise BadInput(f"{path} is not a whole .safetensors file ({wrong})") from None
    if not trust:
        refuse(path)
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as wrong:
        raise BadInput(f"{path} cannot be read as weights alone ({str(wrong).splitlines()[0]})") from None
    weights = weights.get("state_dict", weights) if isinstance(weights, dict) else weights
    if not isinstance(weights, dict) or not all(isinstance(name, str) for name in weights):
        raise BadInput(f"{path} holds a {type(weights).__name__}, not weights by name")
    return weights


def refuse(path: Path) -> NoReturn:
    raise BadInput(f"{path} is a pickle, which can run code when it is read; convert it to .safetensors, or pass --trust")


def branch(net: Any) -> Any:
    """A network whose weights can be replaced by others, unseen by the first; what is not replaced is the first's own."""
    return deepcopy(net, {id(tensor): tensor for tensor in (*net.parameters(), *net.buffers())})
