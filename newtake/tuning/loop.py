"""The loop that learns: AdamW (Loshchilov, Hutter, ICLR 2019, arXiv 1711.05101), kept as it goes.

Every draw has a generator of its own, by the seed and its step.  So a run that was killed sees, when the same call goes on from
what was kept, the draws of one that was not, and ends on a processor in float32 with the same bits.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from itertools import chain
from math import isfinite
from pathlib import Path
from typing import Any, Literal, final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..aside import aside
from ..errors import BadInput
from ..levels import generator
from ..ranks import ranks
from ..settings import check, setting
from ..track import track

Loss = Callable[[torch.Generator], Tensor]              # of one draw (a level, noise, which picture), made with this generator
Seen = tuple[int, float]                                # after so many steps, the loss of draws that are never learnt from

FREE = ("steps", "every", "patience")                   # may be others when a run goes on: they change no step
LOOKED_AT = 8                                           # draws


@dataclass(frozen=True)
class Training:
    """How weights are learnt; they are float32, whatever their network computes in."""

    steps: int = setting(500, "steps of the optimiser", 1, 1_000_000)
    rate: float = setting(3e-5, "its step size", 0, 1)
    accumulate: int = setting(1, "draws a step, whose gradients are averaged", 1, 1000)
    decay: float = setting(1e-2, "the share of itself, times the rate, that a weight loses in a step", 0)
    clip: float = setting(1.0, "the greatest length of a step's gradient", 0)
    precision: Literal["fp32", "bf16", "fp16"] = setting("fp32", "what the network computes in: fp32, or mixed with it")
    checkpointing: bool = setting(False, "less memory for a third more time: what the way back needs is computed again")
    ema: float | None = setting(None, "what a step keeps of the weights' moving average, which is the result, though looks and "
                                "sheets see the weights themselves; none: no average", 0, 1)
    every: int = setting(50, "steps between states that are kept, and between looks at draws that are not learnt from", 1)
    patience: int | None = setting(None, "looks in a row that see nothing better, after which it stops; none: it does not", 1)
    seed: int = setting(0, "of the draws", 0)

    def __post_init__(self):
        check(self)


@dataclass(frozen=True)
class Step:
    """What one step did."""

    done: int                                           # steps so far, this one with them
    loss: float                                         # mean of its draws, before it
    norm: float                                         # length of its gradient, before it is clipped
    looks: tuple[Seen, ...]                             # so far, the first before any step


def train(weights: Mapping[str, nn.Parameter], loss: Loss, training: Training, state: Path, told: Mapping[str, Any],
          what: str = "tuning") -> Generator[Step, None, None]:
    """Learns these weights, in place; killed or interrupted, the same call goes on from the file `state`.

    told: what else decides the result, as JSON knows it.  Raises BadInput where the state is of something else, or where the
    loss is no number any more.
    """
    run, here = Run(weights, training, told), ranks()
    if there := here.told(lambda: opened(state) if state.exists() else None):
        run.restore(state, *there)
    if run.done > training.steps:
        raise BadInput(f"{state.parent} holds {run.done} steps already; ask for as many, or remove it")
    try:
        if not run.looks:
            run.look(loss)
        for _ in track(range(run.done, training.steps), what):
            if run.enough():
                break
            made = run.step(loss)
            if run.done % training.every == 0 or run.done == training.steps:
                run.look(loss)
                here.told(lambda: run.keep(state))
            yield replace(made, looks=(*run.looks,))
    except (KeyboardInterrupt, GeneratorExit):
        if run.whole and here.number == 0:
            run.keep(state)
        raise
    run.finish()


def kept(state: Path) -> tuple[int, tuple[Seen, ...]]:
    """How many steps a state holds, and what was seen so far; nothing where there is none."""
    if not state.exists():
        return 0, ()
    known, _ = opened(state, whole=False)
    return int(known["done"]), tuple((done, loss) for done, loss in known["looks"])


@final
class Run:
    """Weights on their way, and all that their next step depends on."""

    def __init__(self, weights: Mapping[str, nn.Parameter], training: Training, told: Mapping[str, Any]):
        self.weights, self.training = weights, training
        self.told = {name: value for name, value in asdict(training).items() if name not in FREE} | dict(told)
        self.device = next(iter(weights.values())).device.type
        self.adam = torch.optim.AdamW(weights.values(), lr=training.rate, weight_decay=training.decay)
        self.scaler = torch.amp.GradScaler(self.device, enabled=training.precision == "fp16")
        self.mean = {} if training.ema is None else {name: weight.detach().clone() for name, weight in weights.items()}
        self.done, self.looks = 0, list[Seen]()
        self.whole = True                               # false while the weights are between two steps

    def step(self, loss: Loss) -> Step:
        total, many = 0.0, self.training.accumulate
        self.adam.zero_grad()
        for k in range(many):
            with torch.enable_grad():
                with self._precision():
                    now = loss(generator(self.training.seed, self.done, k)) / many
                self.scaler.scale(now).backward()
            total += now.item()
        self.sound(total)
        for weight in self.weights.values():            # each rank went back from the whole loss to what it made of it
            if weight.grad is not None:
                ranks().average(weight.grad)
        self.scaler.unscale_(self.adam)
        norm = nn.utils.clip_grad_norm_(self.weights.values(), self.training.clip)
        self.whole = False
        self.scaler.step(self.adam)
        self.scaler.update()
        for name, kept in self.mean.items():            # the first steps of an average are those of a short one
            share = min(self.training.ema or 0.0, (1 + self.done) / (10 + self.done))
            kept.lerp_(self.weights[name].detach(), 1 - share)
        self.done += 1
        self.whole = True
        return Step(self.done, total, float(norm), ())

    @torch.no_grad()
    def look(self, loss: Loss) -> None:
        """The loss of a few draws that are the same every time; once after a step."""
        if self.looks and self.looks[-1][0] == self.done:
            return
        with self._precision():
            seen = [loss(generator(self.training.seed, "looked at", k)).item() for k in range(LOOKED_AT)]
        self.sound(sum(seen))
        self.looks.append((self.done, sum(seen) / len(seen)))

    def sound(self, loss: float) -> None:
        """BadInput where the loss is no number any more; such weights are never kept."""
        if not isfinite(loss):
            raise BadInput(f"the loss is {loss} after {self.done} steps; take a lower rate than {self.training.rate}")

    def enough(self) -> bool:
        """Whether the last looks saw nothing better than those before."""
        patience = self.training.patience
        if patience is None or len(self.looks) <= patience:
            return False
        seen = [loss for _, loss in self.looks]
        return min(seen[-patience:]) >= min(seen[:-patience])

    def finish(self) -> None:
        with torch.no_grad():
            for name, kept in self.mean.items():
                self.weights[name].copy_(kept)

    def _precision(self):
        kind = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.training.precision)
        return nullcontext() if kind is None else torch.autocast(self.device, kind)

    # In a file: weights, what Adam knows of them, their average

    def keep(self, state: Path) -> None:
        """Written aside and moved into place.  Nothing in it is a pickle."""
        of_adam = ((f"adam.{what}.{name}", value) for name, weight in self.weights.items()
                   for what, value in self.adam.state[weight].items())
        now = ((f"weight.{name}", weight) for name, weight in self.weights.items())
        mean = ((f"mean.{name}", kept) for name, kept in self.mean.items())
        tensors = {name: value.detach().cpu().contiguous() for name, value in chain(now, of_adam, mean)}
        known = {"told": self.told, "done": self.done, "looks": self.looks, "scaler": self.scaler.state_dict()}
        state.parent.mkdir(parents=True, exist_ok=True)
        with aside(state) as part:
            save_file(tensors, part, {name: json.dumps(value) for name, value in known.items()})

    def restore(self, state: Path, known: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """From what was read of a state.  BadInput where it is of another run."""
        here = json.loads(json.dumps(self.told))
        if other := [name for name in here | known["told"] if here.get(name) != known["told"].get(name)]:
            raise BadInput(f"{state.parent} holds unfinished work with another {', '.join(other)}; "
                           "remove it, say the same again, or name another --out")
        self.done, self.looks = known["done"], [(done, loss) for done, loss in known["looks"]]
        self.scaler.load_state_dict(known["scaler"])
        of = lambda what, name: tensors.get(f"{what}.{name}")
        adam = self.adam.state_dict()
        kinds = ("step", "exp_avg", "exp_avg_sq")
        adam["state"] = {i: {kind: of(f"adam.{kind}", name) for kind in kinds} for i, name in enumerate(self.weights)
                         if of("adam.step", name) is not None}
        self.adam.load_state_dict(adam)
        with torch.no_grad():
            for what, kept in (("weight", self.weights), ("mean", self.mean)):
                for name, value in kept.items():
                    value.copy_(tensors[f"{what}.{name}"])


def opened(state: Path, whole: bool = True) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What is known of a run, and, of a whole state, its tensors.  BadInput where it is no state."""
    try:
        with safe_open(state, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()} if whole else {}     # noqa: SIM118  it is no dict
            return {name: json.loads(value) for name, value in file.metadata().items()}, tensors
    except (SafetensorError, ValueError, AttributeError) as wrong:
        raise BadInput(f"{state} is not what newtake left of unfinished work; remove it") from wrong
