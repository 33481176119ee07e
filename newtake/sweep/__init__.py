"""`newtake sweep JOBS.yaml`: clips x targets x methods x settings x seeds, each a run folder; who computes them is an engine's.

    jobs, out = read(path)                              # a file, checked: BadInput for every mistake in it
    runs = runs_of(jobs, device)                        # each with its folder's name, which holds its hash
    with held(out):
        for event in carried_out(engine, runs, out, way): ...
"""

from .file import MOST, read
from .jobs import checked
from .runs import Run, carried_out, finished, held, kept, kind_of, runs_of

__all__ = ["MOST", "Run", "carried_out", "checked", "finished", "held", "kept", "kind_of", "read", "runs_of"]
