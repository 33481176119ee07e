"""Ranks that stay for a file of tests: processes that talk by gloo, and do what the tests send them."""

import os
import socket
import traceback
from collections.abc import Callable
from dataclasses import replace
from multiprocessing import get_context
from typing import Any, final

import torch

from newtake.models.wrapper import Wrapper
from newtake.ranks import opened, ranks

PRELOADED = ["diffusers", "newtake.cli", "newtake.edits", "newtake.methods", "newtake.models.load", "networks", "ranked"]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@final
class Started:
    """So many ranks; called with a function that pickle knows, and what it is given: what each rank makes of it."""

    def __init__(self, of: int = 2, patience: float = 120):
        """patience: seconds after which nobody will answer any more."""
        context = get_context("forkserver")             # the imports are made once
        context.set_forkserver_preload(PRELOADED)
        port = free_port()
        self.pipes, self.processes, self.patience = [], [], patience
        for number in range(of):
            ours, theirs = context.Pipe()
            self.pipes.append(ours)
            self.processes.append(context.Process(target=serve, args=(number, of, port, theirs), daemon=True))
            self.processes[-1].start()

    def __call__(self, work: Callable[..., Any], *given: Any) -> list[Any]:
        for pipe in self.pipes:
            pipe.send((work, given))
        answers = [pipe.recv() if pipe.poll(self.patience) else (None, "it does not answer") for pipe in self.pipes]
        wrong = [f"rank {number}: {why}" for number, (_, why) in enumerate(answers) if why]
        assert not wrong, "\n".join(wrong)
        return [made for made, _ in answers]

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
            process.join()


def serve(number: int, of: int, port: int, pipe: Any) -> None:
    told = dict(RANK=number, LOCAL_RANK=number, WORLD_SIZE=of, MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
    os.environ |= {name: str(value) for name, value in told.items()}
    torch.set_num_threads(1)
    with opened(), torch.no_grad():
        while True:
            work, given = pipe.recv()
            try:
                pipe.send((work(*given), None))
            except BaseException:
                pipe.send((None, traceback.format_exc()))


@final
class Compared(Wrapper):
    """Asks several ranks, and, on the first, one network by itself, of the same latents; `off` is the greatest difference."""

    def __init__(self, together, alone):
        super().__init__(together)
        self.alone, self.off = alone, 0.0

    def predict(self, z, at, text, prompted=True, frames=None):
        said = self.inner.predict(z, at, text, prompted, frames)
        if ranks().number == 0:
            with torch.no_grad():
                out = self.alone.predict(z, at, text, prompted, frames).out
            self.off = max(self.off, float((said.out.detach() - out).abs().max() / out.abs().max()))
        return replace(said, z=z)
