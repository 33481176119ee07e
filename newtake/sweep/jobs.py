"""Jobs of a sweep, looked at before anything runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..errors import BadInput
from ..prompts import stated
from ..ready import Way, looked_at
from ..record import Job
from .fields import Fields


def checked(given: Sequence[Fields], way: Way = Way()) -> list[Job]:
    """The jobs, with all settings of their methods.  BadInput where one cannot be done, as far as files and words tell.

    Settings and files are looked at once, however many jobs have them.
    """
    from ..models.load import located

    methods: dict[str, tuple[str, dict[str, Any]]] = {}
    seen, jobs = set(), []
    for one in given:
        try:
            job = one.job()
            told = json.dumps([job.method, dict(job.settings)], default=str)
            if told not in methods:
                methods[told] = configured(job)
            name, settings = methods[told]
            job = replace(job, method=name, settings=settings)
            if job.source is None and job.model != "tiny":
                raise BadInput('say what the clip shows, source: "a red car on the grass"; with tiny alone it can be read')
            stated(job.source, job.targets, job.weights, job.shares)
            files = replace(job, targets=("a clip",), method="newtake", settings={}, seed=0, weights={}, shares={})
            if repr(files) not in seen:
                located(job.model, way.download, way.trust)
                looked_at(files, way)
                seen.add(repr(files))
        except BadInput as wrong:
            raise BadInput(str(wrong) if str(wrong).startswith(one.where) else f"{one.where}: {wrong}") from wrong
        jobs.append(job)
    return jobs


def configured(job: Job) -> tuple[str, dict[str, Any]]:
    """The name of its method, and all its settings."""
    from ..methods import spelled
    from ..methods.configuring import values
    from ..methods.method import name_of

    method = spelled(job.method, **job.settings)
    return name_of(type(method)), values(method)
