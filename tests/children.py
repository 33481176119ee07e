"""Processes of their own, which may be killed: forks of one that has imported what commands need, which takes seconds."""

import sys
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.process import BaseProcess

import torch

from newtake import cli

PROCESSES = get_context("spawn" if sys.platform == "win32" else "forkserver")
PROCESSES.set_forkserver_preload([
    "newtake.cli", "newtake.edits", "newtake.outputs", "newtake.models.load", "newtake.video", "peft",
    "diffusers.models.unets.unet_2d_condition", "transformers.models.clip.modeling_clip"])


def started(work: Callable, *given) -> BaseProcess:
    """A process that does the work, a function of a module."""
    process = PROCESSES.Process(target=work, args=given)
    process.start()
    return process


def ended(process: BaseProcess) -> int | None:
    """Its exit code; negative where a signal ended it."""
    process.join(300)
    return process.exitcode


def command(*arguments) -> None:
    """The command line, with as many threads as the tests have."""
    torch.set_num_threads(1)
    cli.main([str(a) for a in arguments])
