"""The second, small seam: what a residual block adds to what goes through it.  Plug-and-Play alone reaches in here.

Open for one pass, as the seam of attention is, with the same level, rows and frames.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, final

from torch import Tensor, nn

from ..errors import BadInput
from ..levels import Level
from ..shapes import Latents
from .call import Frames, Stage
from .rows import SOURCE
from .seam import Pass


@dataclass(frozen=True)
class Block:
    """Where in the network a residual block is."""

    name: str                                           # "up_blocks.1.resnets.1"
    stage: Stage
    index: int                                          # order within its stage, 0 first
    of: int                                             # how many its stage has


@dataclass(frozen=True)
class Feature:
    """The output of a block's last convolution, about to be added to what came in."""

    block: Block
    level: Level
    prompted: bool                                      # False in the null pass of guidance
    frames: Frames
    z: Latents                                          # of the block's own channels and size


@final
@dataclass(frozen=True)
class Features:
    """A control of features, for `Model.control`: nested and left as the controls of attention are."""

    teach: Callable[[Feature], Tensor]                  # -> what takes the place of its z


def from_source(feature: Feature) -> Latents:
    """The source's feature in every row."""
    return feature.z[SOURCE].expand_as(feature.z)


@contextmanager
def features(blocks: Mapping[Block, nn.Module], controls: Sequence[Features], during: Pass) -> Iterator[None]:
    """Every residual block of one pass through the controls, the innermost, which is the last, first.

    blocks: the last convolution of each.  Raises BadInput where there are none.
    """
    if not blocks:
        raise BadInput("this network has no residual blocks whose features could be taken; another method needs none")
    with ExitStack() as hooks:
        for block, layer in blocks.items():
            hooks.enter_context(layer.register_forward_hook(partial(taught, block, controls, during)))
        yield


def taught(
    block: Block, controls: Sequence[Features], during: Pass, layer: nn.Module, args: tuple[Any, ...], out: Tensor
) -> Tensor:
    z = out.unflatten(0, (during.rows, -1))
    feature = Feature(block, during.level, during.prompted, during.frames, z)
    for control in reversed(controls):
        feature = replace(feature, z=control.teach(feature))
    return feature.z.flatten(0, 1)
