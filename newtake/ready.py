"""A job looked at before it is done: what is read, found, chosen and reckoned, and every mistake told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import BadInput
from .prompts import native_size, sourced, stated, strange, strange_to
from .record import Background, Job, hash_of

if TYPE_CHECKING:
    from torch import Tensor

    from .estimate import Estimate
    from .methods.method import Method
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
    kept: dict[Any, UNet] | None = None                 # where the network of the last job is; None: each loads its own


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

    def lines(self) -> list[str]:
        """What it will take, for people."""
        assert self.estimate is not None
        size, shots = "x".join(map(str, self.clip.size)), len(self.shots)
        return [f"{len(self.clip)} frames of {size}, {shots} shot{'s' * (shots > 1)}", *self.estimate.lines()]

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

    from .welcome import welcomed

    method, clip = looked_at(job, way)
    hashes = {"clip": hash_of(Path(job.clip)), "mask": job.mask and hash_of(Path(job.mask))}
    shots, notes = cut(clip, job)
    if job.threads is not None:
        torch.set_num_threads(job.threads)
    source, reader, said = sourced(job.source, clip, way.captioner, job.model, job.device, way.download, way.trust)
    model = network(job, way)
    if job.size is None:
        clip = clip_of(job, native_size(clip.size, model))
    mask = marked(job, clip)
    model = welcomed(model, job.guests, clip, job.start, job.stride, way.download, way.trust)
    notes += [*said, *clip.notes, *strange_to(job.model, [source, *job.targets], model, clip)]
    return reckoned(Ready(replace(job, source=source), clip, shots, mask, method, model, None, hashes, reader, notes), way)


def network(job: Job, way: Way = Way()) -> UNet:
    """The job's, without its guests: that of the last job, where it is the same."""
    if way.kept is None:
        return loaded(job, way)
    if (key := loaded_from(job)) not in way.kept:
        way.kept.clear()
        way.kept[key] = loaded(job, way)
    return way.kept[key]


def loaded_from(job: Job) -> tuple[Any, ...]:
    """What decides its network, without guests."""
    return job.model, job.device, job.dtype, job.norms, tuple(job.adapters.items()), job.light


def loaded(job: Job, way: Way) -> UNet:
    from .models.light import lighten
    from .models.load import load

    model = load(job.model, job.device, job.dtype, job.norms, way.download, way.trust, adapters=job.adapters)
    lighten(model, job.light)
    return model


def reckoned(ready: Ready, way: Way) -> Ready:
    """With an estimate, and the windows that memory allows."""
    from .estimate import estimate
    from .methods.request import request

    job, (_, inside, model) = ready.job, next(ready.parts())
    ask = request(model, str(job.source), job.targets, seed=job.seed, mask=inside, **job.of_words)
    expected = estimate(ready.method, model, ask, [ready.clip.part(shot) for shot in ready.shots], way.memory, job.windows,
                        job.background.keep)
    longest = max(map(len, ready.shots))
    return replace(ready, job=replace(job, windows=expected.windows or (longest, longest)), estimate=expected)


def clip_of(job: Job, size: tuple[int, int] | None) -> Video:
    from .video import Video

    return Video.read(job.clip, job.frames, job.start, job.stride, size, job.whole)


def looked_at(job: Job, way: Way = Way()) -> tuple[Method, Video]:
    """The method and the clip of a job.  BadInput where a word, a setting or a file of it is wrong; no network is loaded."""
    from .background import mask_clip
    from .methods import configured
    from .models import adapters
    from .models.guests import located
    from .models.light import known
    from .welcome import footage

    named(job, way)
    method = configured(job.method, **job.settings)
    stated(job.source, job.targets, job.weights, job.shares)
    consistent(job)
    known(job.light)
    clip = clip_of(job, job.size)
    if job.size is not None:
        within(job, job.size)
    if job.mask is not None:
        mask_clip(job.mask, clip, job.frames, job.start, job.stride)
    for name in job.adapters:
        adapters.found(name)
    for guest in job.guests:
        located(guest.where, way.download)
        footage(guest, clip, job.start, job.stride)
    return method, clip


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


def within(job: Job, size: tuple[int, int]) -> None:
    """BadInput where the job's box or feather does not lie in a picture of this size."""
    from .background import of_box

    if (job.background.feather or 0) not in range(max(size)):
        raise BadInput(f"--feather is a number of pixels from 0 to {max(size) - 1}, not {job.background.feather}")
    if job.background.box is not None:
        of_box(job.background.box, size)


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

    within(job, clip.size)
    if job.background.box is not None:
        return (of_box(job.background.box, clip.size)(range(1)) > 0).expand(len(clip), -1, -1)
    return None if job.mask is None else mask_of(job.mask, clip, job.frames, job.start, job.stride)
