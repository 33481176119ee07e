"""The small networks of the world that are kept beside the built-in checkpoint."""

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

from safetensors.torch import load
from torch import nn

from ..errors import BadInput

Net = TypeVar("Net", bound=nn.Module)
Loaded = TypeVar("Loaded")
TINY = Path(str(files("newtake.models") / "tiny"))


def read(net: Net, part: str) -> Net:
    """The network with the weights of this part of `newtake.world.training`, in float32.  BadInput where it is not trained."""
    net.load_state_dict({name: z.float() for name, z in load(file(part).read_bytes()).items()})
    return net.eval().requires_grad_(False)


def file(part: str) -> Path:
    """Where its weights are.  BadInput where it is not trained."""
    return present(TINY / f"{part}.safetensors", part)


def clip() -> Path:
    """The folder of the world's CLIP, as transformers keeps one.  BadInput where it is not trained."""
    return present(TINY / "clip" / "model.safetensors", "clip").parent


class Untrained(BadInput):
    """A network that is not there yet."""


def if_trained(load: Callable[[], Loaded]) -> Loaded | None:
    """What is loaded; None where it has not been trained."""
    try:
        return load()
    except Untrained:
        return None


def present(path: Path, part: str) -> Path:
    if not path.is_file():
        raise Untrained(f"there is no {part} beside the built-in checkpoint; train it with "
                        f"`python -m newtake.world.training --parts {part}`")
    return path
