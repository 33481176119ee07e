"""Tasks one after the other, in this process."""

from __future__ import annotations

import time
from typing import final

from ..models.load import chosen_device
from .engine import Began, Ended, Engine, answered, judged


@final
class Local(Engine):
    name = "local"

    def best(self):
        return chosen_device(None).type

    def ready(self, device):
        chosen_device(device)

    def carried_out(self, make, tasks, device, threads):
        work = make()
        for task in tasks:
            for tries in range(1, self.tries + 1):
                yield Began(task, "here")
                start = time.monotonic()
                answer = answered(work, task.given)
                event = judged(task, "here", tries, self.tries, time.monotonic() - start, answer)
                yield event
                if isinstance(event, Ended):
                    break
