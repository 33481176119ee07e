"""From a job to a run folder, or to one file: what the command line, and everything else with a face, calls."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .aside import free
from .errors import BadInput, Note
from .outputs import fits, free_for, place, written
from .prompts import round_trip, sourced
from .ranks import ranks
from .ready import Ready, Way, prepared
from .record import Edit, Job, record

if TYPE_CHECKING:
    from torch import Tensor

    from .edits import Means
    from .invitation import Invitation
    from .methods.method import Method
    from .models.model import Model
    from .models.unet import UNet
    from .video import Video


def edit(video: Video, *, target: str, source: str | None = None, method: Method | str = "newtake",
         model: UNet | str = "tiny", seed: int = 0, captioner: str | None = None,
         guests: Sequence[Invitation | str] = (), means: Means | None = None, **said: Any) -> Video:
    """The clip as the target says, with its timing, and its sound where it covers the clip.

    `video` is edited in the size it has: read it in one that the network knows.  `source`: what it shows; None: as `captioner`
    (see `newtake.captions`; of the model "tiny" the world's CLIP) reads it, which is told in a Note.  `guests`: as --guest has
    them, such as "tiny-controlnet:pictures=edges;scale=0.8".  `means`: windows for long clips, and a cache of inversions.
    `said`: words, spared, weights and shares as in `Job`, and mask (f h w), True where the edit may change something.  Raises
    BadInput for what cannot be done.
    """
    from .edits import edited
    from .invitation import spelled
    from .methods import configured
    from .models.load import load
    from .welcome import welcomed

    asked = [spelled(guest) if isinstance(guest, str) else guest for guest in guests]
    method = configured(method) if isinstance(method, str) else method
    source, _, notes = sourced(source, video, captioner, model)
    for note in notes:
        warnings.warn(note, Note, stacklevel=2)
    model = welcomed(load(model) if isinstance(model, str) else model, asked, video)
    return edited(video, source, [target], method, model, seed, means, **said).videos[0]


def run(job: Job, out: Path, way: Way = Way()) -> dict[str, Any]:
    """The job's run folder at `out`: source, edit and both side by side, a sheet, and run.json, which is returned.  Where `out`
    ends as a clip or a picture does (`outputs.ENDINGS`), the edit alone is written there.

    Where the job does not say what the clip shows, a captioner reads it (None: that of the model, which only tiny has).
    The folder appears whole or not at all.  A former run folder is replaced.  BadInput, before anything heavy is done, where
    the job cannot be done or `out` is something else.
    """
    from .following import leading

    out = out.resolve()
    free_for(out, job)
    previewed(job, way)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", Note)
        ready = prepared(job, way)
        assert ready.estimate is not None
        fits(out, len(ready.clip))
        home = place(out).parent
        home.mkdir(parents=True, exist_ok=True)
        with leading(carried_out, ready, way):
            done = carried_out(ready, way, home)
        if job.background.keep:
            done = with_background(done, ready.job, home)
    notes = [*ready.notes, *dict.fromkeys(str(w.message) for w in said if issubclass(w.category, Note))]
    return written(record(ready.job, done, ready.estimate, notes, ready.hashes, ready.reader), done, ready.job, out)


def carried_out(ready: Ready, way: Way, beside: Path = Path()) -> Edit:
    """Every shot by itself, as one edit; on all ranks.  beside: where frames wait until they are written."""
    from .edits import Means, edited, joined

    job, done, watch = ready.job, [], watching(way, ready.model)
    with paths(way.cache, beside) as kept:
        for clip, mask, model in ready.parts():
            done.append(edited(clip, str(job.source), job.targets, ready.method, model, job.seed,
                               Means(kept, job.windows, beside, watch), job.background.keep, mask=mask, **job.of_words))
    return joined(done, ready.clip)


def located(job: Job, way: Way = Way()) -> tuple[Video, Tensor]:
    """The job's clip as one shot, and where the words that change are in it, (r f h w) bools in latents.  BadInput."""
    from . import edits

    ready = prepared(replace(job, cuts="ignore"), way)
    return ready.clip, edits.located(ready.clip, str(ready.job.source), job.targets, ready.method, ready.model, job.seed,
                                     edits.Means(windows=ready.job.windows), **job.of_words)


def previewed(job: Job, way: Way) -> None:
    """BadInput where previews cannot be made, or would replace what is no picture."""
    from .models.watched import preview_file

    if way.preview is None:
        return
    preview_file(way.preview)
    free(way.preview.absolute().parent, lambda name: True)
    if way.preview.is_dir() or way.preview.resolve() in {Path(one).resolve() for one in (job.clip, job.mask) if one}:
        raise BadInput("the preview would replace the clip, its mask or a folder; give another --preview")


def watching(way: Way, model: UNet) -> Callable[[Model], Model]:
    """What is put around the model while it edits.  BadInput where previews cannot be made."""
    if way.preview is None:
        return lambda model: model
    from .models.watched import Watched, preview_file, tiny_decoder

    decode = tiny_decoder(way.decoder, model) if way.decoder else model.decode      # rank 0's alone
    return partial(Watched, show=preview_file(way.preview), decode=decode)


def with_background(done: Edit, job: Job, beside: Path) -> Edit:
    """The edits inside of where they may differ, the clip around them."""
    from .background import grown, kept, of_tensor
    from .edits import on_disk, timed
    from .video import Video

    assert done.inside is not None
    source, asked = done.source, job.background
    if asked.full_size:
        source = Video.read(job.clip, job.frames, job.start, job.stride)
    back = None if asked.full_size else partial(round_trip, done.model)
    by_words = job.mask is None and asked.box is None   # which are tight around things
    insides = [of_tensor(inside) for inside in done.inside]
    composed = [kept(video, source, grown(inside, 1) if by_words else inside, asked.feather, back)
                for video, inside in zip(done.videos, insides, strict=True)]
    with timed(done.seconds, "background"):
        videos = tuple(on_disk(one.chunks(), source, beside) for one in composed)
    return replace(done, videos=videos, source=source)


def fill(job: Job, way: Way = Way()) -> dict[str, Any]:
    """The inversions of a job's shots, put where they are kept.  Evaluations, seconds, how many were made now, and notes."""
    from .following import leading

    ready = prepared(replace(job, targets=(job.source or "a clip",)), way)
    with leading(filled, ready, way):
        return filled(ready, way) | {"notes": ready.notes}


def filled(ready: Ready, way: Way) -> dict[str, Any]:
    """On all ranks."""
    from .edits import Means, asked_of, inverted
    from .methods.request import request

    job, source = ready.job, str(ready.job.source)
    total = {"evaluations": 0, "evaluations_now": 0, "seconds": 0.0, "made_now": 0}
    with paths(way.cache, Path()) as kept:
        for clip, mask, model in ready.parts():
            ask = request(model, source, source, seed=job.seed, mask=mask)
            with inverted(clip, source, ready.method, model, ask, Means(kept, job.windows), {}) as path:
                told = asked_of(path)
                total = {name: total[name] + told[name] for name in total}
    return total


@contextmanager
def paths(said: str | None, beside: Path) -> Iterator[Any]:
    """Where inversions are: at rank 0, who tells other ranks of them."""
    from .cache import Cache, usual
    from .following import Told

    if ranks().number:
        yield Told(None)
        return
    with tempfile.TemporaryDirectory(prefix=".newtake-", dir=beside) if said == "none" else nullcontext() as folder:
        cache = Cache(Path(folder) if folder else usual() if said is None else Path(said).expanduser().resolve())
        yield Told(cache) if ranks().of > 1 else cache
