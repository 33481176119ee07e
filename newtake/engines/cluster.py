"""Tasks on a Ray cluster: actors that keep what they loaded, replaced when they die.

Who reaches a port of Ray runs whatever code he likes there.  A cluster that is started here asks for a token that nobody else
knows (Ray 2.52 and newer), and is gone at the end.
"""

from __future__ import annotations

import os
import secrets
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, final

from ..errors import BadInput
from ..extras import ray as imported
from ..models.load import chosen_device
from ..record import versions
from .engine import Answer, Began, Died, Engine, Event, Said, Task, Work, answered, judged, line
from .queue import Queue

STORE = 80 << 20                                        # bytes of Ray's object store, near the least: little goes through it
PATIENCE = 60.0                                         # seconds without a worker after which it is said
ALONE = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
         "RAY_DEDUP_LOGS_SKIP_REGEX": "(?s).*"}         # what Ray says of its workers' deaths it would print among the results


@final
class Worker:
    """An actor."""

    work: Work

    def begin(self, make: Callable[[], Work]) -> Answer:
        """Its name, and the versions of what decides bits; or why it cannot start, which Ray would say at great length."""
        def started(make):
            self.work = make()
            return f"{socket.gethostname()}:{os.getpid()}", versions()
        return answered(started, make)

    def answer(self, given: Any) -> Answer:
        return answered(self.work, given)


@dataclass(frozen=True)
class Busy:
    """What a worker does: a task since then, or, None, it starts."""

    actor: Any
    name: str
    task: Task | None
    since: float


@final
class Cluster(Engine):
    name = "ray"

    def __init__(self, tries: int, address: str | None, workers: int | None):
        super().__init__(tries)
        if workers is not None and workers < 1:
            raise BadInput(f"there is at least 1 worker, not {workers}")
        if address == "":                               # of a variable that is not set, say
            raise BadInput("the address of a Ray cluster is HOST:PORT or auto; leave it out to start one here")
        self.address, self.workers, self.ours = address, workers, False
        guarded(alone=address is None)
        self.ray = imported("many jobs are spread")

    def connect(self) -> None:
        """Once; it takes seconds.  Who is connected already, by `ray.init`, stays so."""
        if self.ray.is_initialized():
            return
        told: dict[str, Any] = dict(log_to_driver=False, logging_level="ERROR")
        if not self.address:
            told |= dict(num_cpus=self.workers, include_dashboard=False, object_store_memory=STORE)
        try:
            answers(self.address or "")
            self.ray.init(self.address or "local", **told)
        except Exception as wrong:                      # of many kinds, and long
            right = "; give HOST:PORT as `ray start --head` says it, or auto on a node of the cluster" * bool(self.address)
            raise BadInput(f"no Ray cluster at {self.address or 'this machine'}: {line(str(wrong))}{right}") from wrong
        self.ours = True

    def __exit__(self, *wrong):
        if self.ours:
            self.ray.shutdown()

    def best(self):
        if not self.address:
            import torch

            return "cuda" if torch.cuda.is_available() else "cpu"
        self.connect()
        return "cuda" if self.ray.cluster_resources().get("GPU") else "cpu"

    def ready(self, device):
        if not self.address:
            chosen_device(device)
        self.connect()

    def carried_out(self, make, tasks, device, threads):
        self.connect()
        needs = dict(num_cpus=threads if self.address else 0, num_gpus=int(device == "cuda"))   # what was started here is ours
        actor = self.ray.remote(max_restarts=0, **needs)(Worker)
        crew = Crew(self.ray, actor.remote, make, self.tries)
        try:
            yield from crew.carry_out(Queue(tasks), min(self.room(device, threads), len(tasks)))
        finally:
            crew.dismiss()

    def room(self, device: str, threads: int) -> int:
        """How many workers are asked for."""
        if self.workers:
            return self.workers
        there = self.ray.cluster_resources() if self.address else {"CPU": os.cpu_count() or 1}
        return max(1, int(there.get("GPU", 1) if device == "cuda" else there.get("CPU", 1) // threads))


def answers(address: str) -> None:
    """OSError where nobody listens at HOST:PORT: Ray would ask for two minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), min(int(port), 65535)), PATIENCE / 4).close()


def guarded(alone: bool) -> None:
    """What Ray reads of the environment when it is imported.  alone: a cluster is started here, for which a token is made."""
    os.environ |= ALONE
    if alone:
        os.environ.setdefault("RAY_worker_niceness", "0")               # workers as this process; Ray's own is 15
    if alone and "ray" not in sys.modules:
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


@final
class Crew:
    """Workers, and what each of them does."""

    def __init__(self, ray: Any, hire: Callable[[], Any], make: Callable[[], Work], tries: int):
        self.ray, self.hire, self.make, self.tries = ray, hire, make, tries
        self.busy: dict[Any, Busy] = {}                 # by the reference to the answer
        self.idle: list[Busy] = []
        self.begun: Counter[str] = Counter()            # tries of a task
        self.failed = 0                                 # workers that did not start, one after the other

    def carry_out(self, queue: Queue, many: int) -> Iterator[Event]:
        for _ in range(many):
            self.start()
        asked, heard = time.monotonic(), False
        while queue or any(one.task for one in self.busy.values()):
            done, _ = self.ray.wait([*self.busy], num_returns=1, timeout=PATIENCE)
            if not (done or heard) and time.monotonic() - asked > PATIENCE:
                heard = True
                yield Said(f"no worker has started yet: there is no room, or it is slow; the cluster has {self.there()}")
            for reference in done:
                heard = True
                yield from self.ended(reference, queue)
            yield from self.given(queue)

    def there(self) -> str:
        found = self.ray.cluster_resources()
        return ", ".join(f"{found[name]:g} {name}" for name in ("CPU", "GPU") if name in found) or "neither CPU nor GPU"

    def start(self) -> None:
        actor = self.hire()
        self.busy[actor.begin.remote(self.make)] = Busy(actor, "", None, time.monotonic())

    def ended(self, reference: Any, queue: Queue) -> Iterator[Event]:
        """What a worker answered, or that it died: then another takes its place where it is needed."""
        one, answer = self.busy.pop(reference), self.fetched(reference)
        if one.task is None:
            one = replace(one, name=self.joined(answer))
        else:
            event = judged(one.task, one.name, self.begun[one.task.name], self.tries, time.monotonic() - one.since, answer)
            if isinstance(event, Died):
                queue.back(one.task)
            yield event
        if one.name and answer[0] != "lost":
            self.idle.append(one)
            return
        with suppress(Exception):                       # it may be alive, and out of reach
            self.ray.kill(one.actor)
        queue.forget(one.name)
        if queue:
            self.start()

    def joined(self, answer: Answer) -> str:
        """The name of a worker that started, or "".  BadInput where none does, or where it would make other bits."""
        how, about = answer
        if how != "done":
            self.failed += 1
            if how == "refused" or self.failed > self.tries:
                raise BadInput(f"no worker starts: {about}")
            return ""
        self.failed, (name, there) = 0, about
        if differs := [f"{what} {there[what]} instead of {here}" for what, here in versions().items() if there[what] != here]:
            raise BadInput(f"the worker {name} has {', '.join(differs)}, and would make other bits; install the same there")
        return name

    def given(self, queue: Queue) -> Iterator[Event]:
        """Who is idle gets what waits."""
        while self.idle and (task := queue.take(self.idle[-1].name)):
            one = self.idle.pop()
            self.begun[task.name] += 1
            self.busy[one.actor.answer.remote(task.given)] = Busy(one.actor, one.name, task, time.monotonic())
            yield Began(task, one.name)

    def fetched(self, reference: Any) -> Answer:
        try:
            return self.ray.get(reference)
        except self.ray.exceptions.RayTaskError as wrong:               # what it answered cannot be sent
            return "failed", line(str(wrong.cause))
        except self.ray.exceptions.RayError as wrong:
            return "lost", reason(wrong)

    def dismiss(self) -> None:
        for one in (*self.busy.values(), *self.idle):
            with suppress(Exception):
                self.ray.kill(one.actor)


def reason(wrong: Exception) -> str:
    """In one line, of the many that Ray says when an actor died."""
    said = str(wrong)
    said = said.partition("The actor is dead because ")[2] or said
    return line(f"the worker died: {said.partition(' Some common causes')[0]}")

