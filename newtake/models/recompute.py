"""Gradient checkpointing under controls: a block that is run again for its gradient runs as it ran first."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint


@contextmanager
def recomputing(net: nn.Module, around: Callable[[], AbstractContextManager[Any]]) -> Iterator[None]:
    """Inside, what the network checkpoints will be run again inside of `around`, which is long left when the gradient comes."""
    kept = {module: module._gradient_checkpointing_func for module in net.modules()
            if getattr(module, "gradient_checkpointing", False)}
    again: Any = partial(checkpoint, use_reentrant=False, context_fn=lambda: (nullcontext(), around()))
    for module in kept:
        module._gradient_checkpointing_func = again
    try:
        yield
    finally:
        for module, func in kept.items():
            module._gradient_checkpointing_func = func
