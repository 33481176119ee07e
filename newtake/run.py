"""From a job to a run folder, or to one file: what the command line, and everything else with a face, calls."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import BadInput, Note
from .outputs import fits, free_for, written
from .prompts import native_size, round_trip, sourced, stated, strange, strange_to
from .record import Background, Edit, Job, hash_of, record

if TYPE_CHECKING:
    from torch import Tensor

    from .edits import Means
    from .estimate import Estimate
    from .invitation import Invitation
    from .methods.method import Method
    from .models.model import Model
    from .models.unet import UNet
    from .video import Video



@dataclass(frozen=True)
class Way:
    """How a job is carried out.  Of it only memory shows in the edit, by the windows that it allows, which the job then has."""

    download: bool = False                              # a hub id may be fetched
    trust: bool = False                                 # pickles may be read, as tensors alone
    captioner: str | None = None                        # who reads what the clip shows, where the job does not say it
    cache: str | None = None                            # a folder for inversions; None: the user's; "none": they are not kept
    memory: int | None = None                           # bytes that it may take; None: most of what is free
    preview: Path | None = None                         # a .png or .webp that shows the edit while it is made
    decoder: Path | None = None                         # of previews, an AutoencoderTiny; None: the model's own


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


@dataclass(frozen=True)
class Ready:
    """A job that nothing stands against any more."""

    job: Job                                            # with its source, and the window that was chosen
    clip: Video
    shots: list[range]
    mask: Tensor | None                                 # (f h w)
    method: Method
    model: UNet                                         # with its guests
    estimate: Estimate | None                           # None: not made yet
    hashes: dict[str, str | None]
    reader: str | None                                  # who read what the clip shows
    notes: list[str]

    def parts(self) -> Iterator[tuple[Video, Tensor | None, UNet]]:
        """Each shot with its mask and the model with its guests."""
        if len(self.shots) == 1:
            yield self.clip, self.mask, self.model
            return
        for shot in self.shots:
            mask = None if self.mask is None else self.mask[shot.start:shot.stop]
            yield self.clip.part(shot), mask, self.model.of_frames(shot)


def prepared(job: Job, way: Way = Way()) -> Ready:
    """Everything but the work.  BadInput where the job cannot be done."""
    import torch

    from . import background
    from .estimate import estimate
    from .methods import configured
    from .methods.request import request
    from .models import adapters
    from .models.guests import located
    from .models.light import lighten
    from .models.load import load
    from .video import Video
    from .welcome import footage, welcomed

    named(job, way)
    method = configured(job.method, **job.settings)
    stated(job.source, job.targets, job.weights, job.shares)
    consistent(job)
    read = partial(Video.read, job.clip, job.frames, job.start, job.stride, whole=job.whole)
    clip = read(job.size)
    if job.mask is not None:
        background.mask_clip(job.mask, clip, job.frames, job.start, job.stride)
    for name in job.adapters:
        adapters.found(name)
    for guest in job.guests:
        located(guest.where, way.download)
        footage(guest, clip, job.start, job.stride)
    hashes = {"clip": hash_of(Path(job.clip)), "mask": job.mask and hash_of(Path(job.mask))}
    shots, notes = cut(clip, job)
    if job.threads is not None:
        torch.set_num_threads(job.threads)
    source, reader, said = sourced(job.source, clip, way.captioner, job.model, job.device, way.download, way.trust)
    model = load(job.model, job.device, job.dtype, job.norms, way.download, way.trust, adapters=job.adapters)
    lighten(model, job.light)
    if job.size is None:
        clip = read(native_size(clip.size, model))
    if (job.background.feather or 0) not in range(max(clip.size)):
        raise BadInput(f"--feather is a number of pixels from 0 to {max(clip.size) - 1}, not {job.background.feather}")
    mask = marked(job, clip)
    model = welcomed(model, job.guests, clip, job.start, job.stride, way.download, way.trust)
    ready = Ready(replace(job, source=source), clip, shots, mask, method, model, None, hashes, reader, [])
    _, inside, first = next(ready.parts())
    ask = request(first, source, job.targets, seed=job.seed, words=job.words, spared=job.spared, weights=job.weights,
                  shares=job.shares, mask=inside)
    expected = estimate(method, first, ask, [clip.part(shot) for shot in shots], way.memory, job.windows,
                        job.background.keep)
    notes = [*notes, *said, *clip.notes, *strange_to(job.model, [source, *job.targets], model, clip)]
    longest = max(map(len, shots))
    windowed = replace(ready.job, windows=expected.windows or (longest, longest))
    return replace(ready, job=windowed, estimate=expected, notes=notes)


def run(job: Job, out: Path, way: Way = Way()) -> dict[str, Any]:
    """The job's run folder at `out`: source, edit and both side by side, a sheet, and run.json, which is returned.  Where `out`
    ends as a clip or a picture does (`outputs.ENDINGS`), the edit alone is written there.

    Where the job does not say what the clip shows, a captioner reads it (None: that of the model, which only tiny has).
    The folder appears whole or not at all.  A former run folder is replaced.  BadInput, before anything heavy is done, where
    the job cannot be done or `out` is something else.
    """
    out = out.resolve()
    free_for(out, job)
    if way.preview and way.preview.resolve() == Path(job.clip).resolve():
        raise BadInput("the preview would replace the clip; give another --preview")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", Note)
        ready = prepared(job, way)
        assert ready.estimate is not None
        fits(out, len(ready.clip))
        out.parent.mkdir(parents=True, exist_ok=True)
        done = carried_out(ready, way, out.parent)
    notes = [*ready.notes, *dict.fromkeys(str(w.message) for w in said if issubclass(w.category, Note))]
    return written(record(ready.job, done, ready.estimate, notes, ready.hashes, ready.reader), done, ready.job, out)


def carried_out(ready: Ready, way: Way, beside: Path) -> Edit:
    """Every shot by itself, as one edit.  beside: where frames wait until they are written."""
    from .edits import Means, edited, joined

    job, done, watch = ready.job, [], watching(way, ready.model)
    with paths(way.cache, beside) as kept:
        for clip, mask, model in ready.parts():
            done.append(edited(clip, str(job.source), job.targets, ready.method, model, job.seed,
                               Means(kept, job.windows, beside, watch), job.background.keep, words=job.words, spared=job.spared,
                               weights=job.weights, shares=job.shares, mask=mask))
    whole = joined(done, ready.clip)
    return with_background(whole, job, beside) if job.background.keep else whole


def watching(way: Way, model: UNet) -> Callable[[Model], Model]:
    """What is put around the model while it edits.  BadInput where previews cannot be made."""
    if way.preview is None:
        return lambda model: model
    from .models.watched import Watched, preview_file, tiny_decoder

    decode = tiny_decoder(way.decoder, model) if way.decoder else None
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
    from .edits import Means, asked_of, inverted
    from .methods.request import request

    ready = prepared(replace(job, targets=(job.source or "a clip",)), way)
    source, total = str(ready.job.source), {"evaluations": 0, "seconds": 0.0, "made_now": 0}
    with paths(way.cache, Path()) as kept:
        for clip, _, model in ready.parts():
            ask = request(model, source, source, seed=job.seed)
            with inverted(clip, source, ready.method, model, ask, Means(kept, ready.job.windows), {}) as path:
                told = asked_of(path)
                total = {name: total[name] + told[name] for name in total}
    return total | {"notes": ready.notes}


@contextmanager
def paths(said: str | None, beside: Path) -> Iterator[Any]:
    from .cache import Cache, usual

    if said != "none":
        yield Cache(usual() if said is None else Path(said).expanduser().resolve())
        return
    with tempfile.TemporaryDirectory(prefix=".newtake-", dir=beside) as folder:
        yield Cache(Path(folder))


def named(job: Job, way: Way) -> None:
    """BadInput where a name is not UTF-8."""
    for name, path in (("clip", job.clip), ("mask", job.mask or ""), ("checkpoint", job.model),
                       ("captioner", way.captioner or ""), ("cache", way.cache or ""),
                       *(("adapter", name) for name in job.adapters), *(("guest", one.where) for one in job.guests),
                       *(("control pictures", one.pictures) for one in job.guests)):
        if strange(path):
            raise BadInput(f"the name of the {name} is not UTF-8; rename it")


def consistent(job: Job) -> None:
    """BadInput where what is asked contradicts itself."""
    if job.cuts not in ("edit", "refuse", "ignore"):
        raise BadInput(f"--cuts is edit, refuse or ignore, not {job.cuts!r}")
    if job.mask is not None and job.background.box is not None:
        raise BadInput("what may change is said twice; give --mask or --box")
    if job.background != Background(box=job.background.box) and not job.background.keep:
        raise BadInput("--feather and --full-size say how the background is kept; give --keep-background as well")


def cut(clip: Video, job: Job) -> tuple[list[range], list[str]]:
    """The shots of a clip, as the job says, and notes: of its cuts, by the numbers of the file, and where nothing moves."""
    from .video.cuts import shots, still

    notes = ["nothing moves in the clip: it is one picture, again and again"] if len(clip) > 1 and still(clip) else []
    found = shots(clip) if len(clip) > 1 and job.cuts != "ignore" else [range(len(clip))]
    if len(found) == 1:
        return found, notes
    where = ", ".join(str(job.start + shot.start * job.stride) for shot in found[1:])
    if job.cuts == "refuse":
        raise BadInput(f"the clip has cuts, at frame {where}; take one shot with --start and --frames, or --cuts edit for each "
                       "by itself")
    return found, [*notes, f"the clip has cuts, at frame {where}: each shot is edited by itself"]


def marked(job: Job, clip: Video) -> Any:
    """The job's mask at the clip's frames and size (f h w), True in its box, or where it is lighter than grey; None: none.

    It is a picture, of as many frames as are edited, or of the whole clip; BadInput otherwise.
    """
    from .background import mask_of, of_box

    if job.background.box is not None:
        return of_box(job.background.box, clip.size)(range(len(clip))) > 0
    return None if job.mask is None else mask_of(job.mask, clip, job.frames, job.start, job.stride)
