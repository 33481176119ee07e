"""From a job to a run folder: what the command line, and everything else with a face, calls."""

from __future__ import annotations

import json
import re
import time
import warnings
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import count
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .aside import aside, free
from .errors import BadInput, Note
from .record import Edit, Job, hash_of, record, said_as

if TYPE_CHECKING:
    from torch import Tensor

    from .inversion.trajectory import Trajectory
    from .invitation import Invitation
    from .methods.method import Method
    from .methods.request import Request
    from .models.counted import Counted
    from .models.model import Model
    from .models.unet import UNet
    from .video import Video

UNLIKE = 20.0                                           # dB of the round trip below which a clip is unlike the world
Paths = dict[Hashable, tuple["Trajectory", int, float]] # inversions of one clip, with their evaluations and seconds
FILES = re.compile(r"(source|edit(-\d+)?|compare)\.(mp4|png)|sheet\.png|run\.json")


def edit(video: Video, *, target: str, source: str | None = None, method: Method | str = "newtake",
         model: UNet | str = "tiny", seed: int = 0, captioner: str | None = None,
         guests: Sequence[Invitation | str] = (), **said: Any) -> Video:
    """The clip as the target says, with its timing, and its sound where it covers the clip.

    `video` is edited in the size it has: read it in one that the network knows.  `source`: what it shows; None: as `captioner`
    (see `newtake.captions`; of the model "tiny" the world's CLIP) reads it, which is told in a Note.  `guests`: as --guest has
    them, such as "tiny-controlnet:pictures=edges;scale=0.8".  `said`: words, spared,
    weights and shares as in `Job`, and mask (f h w), True where the edit may change something.  Raises BadInput for what cannot
    be done.
    """
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
    return edited(video, source, [target], method, model, seed, **said).videos[0]


def edited(video: Video, source: str, targets: Sequence[str], method: Method, model: UNet, seed: int = 0,
           paths: Paths | None = None, **said: Any) -> Edit:
    """`edit` for several targets, which share one inversion, with what it cost.

    `paths`: where edits of one clip by one model keep their inversions, so that those that are the same are made once; each
    edit is charged with the whole of it all the same.
    """
    import torch

    from .methods.request import request
    from .models.counted import Counted
    from .video import Video

    stated(source, targets, said.get("weights") or {}, said.get("shares") or {})
    size_noted(video, model)
    if method.tuned and not model.temporal:
        warnings.warn("this method is for a network that was tuned to the clip: newtake tune CLIP --out ADAPTER, and then "
                      "--adapter ADAPTER", Note, stacklevel=2)
    counted, seconds = Counted(model), {}
    with torch.no_grad():
        ask = request(model, source, targets, seed=seed, **said)
        with timed(seconds, "encoding"):
            z0 = model.encode(video[:])
        path = inverted(method, counted, z0, ask, seconds, {} if paths is None else paths, source)
        with timed(seconds, "editing"):
            z = method(counted, path, ask)
        with timed(seconds, "decoding"):
            videos = tuple(Video.of(model.decode(row).cpu(), like=video) for row in z)
    return Edit(videos, video, model, method, counted.evaluations, seconds)


def inverted(method: Method, model: Counted, z0: Tensor, ask: Request, seconds: dict[str, float], paths: Paths,
             source: str) -> Trajectory:
    """The path of the clip: one that was kept, or a new one, which is."""
    key, before = (source, method.path_key(ask)), model.evaluations
    if key in paths:
        path, evaluations, seconds["inverting"] = paths[key]
        model.evaluations += evaluations
        return path
    with timed(seconds, "inverting"):
        path = method.invert(model, z0, ask)
    paths[key] = path, model.evaluations - before, seconds["inverting"]
    return path


def sourced(source: str | None, clip: Video, captioner: str | None, model: UNet | str, device: str | None = None,
            download: bool = False, trust: bool = False) -> tuple[str, str | None, list[str]]:
    """What the clip shows, who read it (None: it was said), and notes.  BadInput where nobody says it, or two do."""
    from .captions import TINY, WHO
    from .captions import captioner as load

    example = '--source "a red car on the grass"'
    if source is not None and captioner is not None:
        raise BadInput("what the clip shows is said and is to be read; give --source or --captioner")
    if source is not None:
        return source, None, []
    reader = captioner or (TINY if model == TINY else None)
    if reader is None:
        raise BadInput(f"say what the clip shows, {example}; or who reads it, --captioner FOLDER")
    try:
        read = load(reader, device, download, trust)(clip)
    except BadInput as wrong:
        raise BadInput(f"say what the clip shows, {example}; it cannot be read: {wrong}") from wrong
    if not read:
        raise BadInput(f"say what the clip shows, {example}; {reader} sees nothing that it has words for")
    return read, reader, [f"the clip shows {read!r}, as {WHO.get(reader, said_as(reader))} reads it"]


def stated(source: str | None, targets: Sequence[str], weights: Mapping[str, float], shares: Mapping[str, float]) -> None:
    """BadInput where a prompt says nothing, or a word has a number out of range.  source: None where it is not known yet."""
    sources = [] if source is None else [("source", [source], "shows")]
    for name, prompts, does in (*sources, ("target", targets, "should become")):
        if not prompts or not all(prompt.strip() for prompt in prompts):
            raise BadInput(f"the {name} prompt is empty; say what the clip {does}")
        if any(strange(prompt) for prompt in prompts):
            raise BadInput(f"the {name} prompt is not UTF-8; type it in a terminal that is")
    for word, factor in weights.items():
        if not isfinite(factor):
            raise BadInput(f"the weight of {word!r} is a number such as 2 or 0.5, not {factor}")
    for word, share in shares.items():
        if not 0 <= share <= 1:
            raise BadInput(f"the share of {word!r} must be between 0 and 1, not {share}")


def strange(text: str) -> bool:
    """Whether it holds bytes that are not UTF-8, as the system hands them over."""
    return any("\ud800" <= letter <= "\udfff" for letter in text)


def size_noted(video: Video, model: UNet) -> None:
    """A note where the clip's area is far from what the network was trained on."""
    w, h = video.size
    better = native_size(video.size, model)
    if not 0.5 <= (w * h) ** 0.5 / model.native <= 2:
        warnings.warn(f"the clip is {w}x{h}; the network was trained on about {better[0]}x{better[1]}", Note, stacklevel=2)


def native_size(size: tuple[int, int], model: UNet) -> tuple[int, int]:
    """Width and height in the network's native area: the clip's aspect, in units of the network's coarsest level."""
    w, h = size
    scale = model.native / (w * h) ** 0.5
    return max(1, round(w * scale / model.unit)) * model.unit, max(1, round(h * scale / model.unit)) * model.unit


@contextmanager
def timed(seconds: dict[str, float], what: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    seconds[what] = round(time.monotonic() - start, 2)


def run(job: Job, out: Path, download: bool = False, trust: bool = False, captioner: str | None = None) -> dict[str, Any]:
    """The job's run folder at `out`: source, edit and both side by side, a sheet, and run.json, which is returned.

    Where the job does not say what the clip shows, `captioner` reads it (None: that of the model, which only tiny has).
    The folder appears whole or not at all.  A former run folder is replaced.  BadInput, before anything heavy is done, where
    the job cannot be done or `out` is something else.
    """
    import torch

    from .methods import configured
    from .models import adapters
    from .models.guests import located
    from .models.load import load
    from .video import Video
    from .welcome import footage, welcomed

    out = out.resolve()
    for name, path in (("clip", job.clip), ("mask", job.mask or ""), ("checkpoint", job.model), ("captioner", captioner or ""),
                       *(("adapter", name) for name in job.adapters), *(("guest", one.where) for one in job.guests),
                       *(("control pictures", one.pictures) for one in job.guests)):
        if strange(path):
            raise BadInput(f"the name of the {name} is not UTF-8; rename it")
    method = configured(job.method, **job.settings)
    stated(job.source, job.targets, job.weights, job.shares)
    read = partial(Video.read, job.clip, job.frames, job.start, job.stride)
    clip = read(job.size)
    free_of(out, Path(job.clip))
    mask = marked(job, clip)
    for name in job.adapters:
        adapters.found(name)
    for guest in job.guests:
        located(guest.where, download)
        footage(guest, clip, job.start, job.stride)
    hashes = {"clip": hash_of(Path(job.clip)), "mask": job.mask and hash_of(Path(job.mask))}
    if job.threads is not None:
        torch.set_num_threads(job.threads)
    source, reader, notes = sourced(job.source, clip, captioner, job.model, job.device, download, trust)
    job = replace(job, source=source)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", Note)
        model = load(job.model, job.device, job.dtype, job.norms, download, trust, adapters=job.adapters)
        if job.size is None:
            clip = read(native_size(clip.size, model))
            mask = marked(job, clip)
        model = welcomed(model, job.guests, clip, job.start, job.stride, download, trust)
        done = edited(clip, source, job.targets, method, model, job.seed, words=job.words, spared=job.spared,
                      weights=job.weights, shares=job.shares, mask=mask)
    notes += [*clip.notes, *dict.fromkeys(str(w.message) for w in said if issubclass(w.category, Note))]
    notes += strange_to_tiny([source, *job.targets], model, clip) if job.model == "tiny" else []
    out.parent.mkdir(parents=True, exist_ok=True)
    with aside(out) as folder:
        folder.mkdir()
        told = record(job, done, *files(done, folder, notes), hashes, reader)
        written = json.dumps(told, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        (folder / "run.json").write_text(written, encoding="utf-8")
    return told


def marked(job: Job, clip: Video) -> Any:
    """The job's mask at the clip's frames and size (f h w), True where it is lighter than grey; None where it has none.

    It is a picture, of as many frames as are edited, or of the whole clip; BadInput otherwise.
    """
    return None if job.mask is None else mask_of(job.mask, clip, job.frames, job.start, job.stride)


def mask_of(path: str | Path, clip: Video, frames: int | None = None, start: int = 0, stride: int = 1) -> Any:
    """A mask from a file, (f h w), for a clip of these frames of its own: see `marked`."""
    from .video import Video

    mask = Video.read(path, size=clip.size)             # scaled and cropped as the clip is
    if len(mask) not in (1, len(clip)):
        mask = Video.read(path, frames, start, stride, clip.size)
    if len(mask) not in (1, len(clip)):
        raise BadInput(f"the mask has {len(mask)} frames and the clip {len(clip)}; give one picture or as many frames")
    return (mask[:].mean(1) > 0).expand(len(clip), -1, -1)


def free_of(out: Path, clip: Path) -> None:
    """BadInput where a run folder at `out` would replace what is not one, or the clip."""
    free(out, lambda name: FILES.fullmatch(name) is not None)
    if clip.resolve().is_relative_to(out):
        raise BadInput(f"the clip lies in {out.name}, which would be replaced; give another --out")


def strange_to_tiny(prompts: Sequence[str], model: Model, clip: Video) -> list[str]:
    """What the built-in checkpoint does not know of prompts and a clip, in words."""
    from .metrics.pixels import psnr
    from .world.grammar import SPOKEN, unknown

    knows = "; ".join(f"{name}s {', '.join(values)}" for name, values in SPOKEN.items())
    notes = []
    learnt = {part for token in model.tokenizer.get_added_vocab() for part in re.findall(r"[^\W_]+", token.lower())}
    if strange := [word for word in dict.fromkeys(unknown(" ".join(prompts))) if word not in learnt]:
        notes.append(f"the built-in checkpoint does not know {', '.join(strange)}; it knows {knows}; give another --model")
    if psnr(round_trip(model, clip[:1]), clip[:1]) < UNLIKE:
        notes.append("the clip is unlike the world that the built-in checkpoint was trained on; give another --model")
    return notes


def round_trip(model: Model, frames: Tensor) -> Tensor:
    """Frames (f 3 h w) as the autoencoder gives them back, in [-1, 1], on the processor."""
    import torch

    with torch.no_grad():
        return model.decode(model.encode(frames)[0]).clamp(-1, 1).cpu()


def files(done: Edit, folder: Path, notes: list[str]) -> tuple[list[str], list[str]]:
    """Makes the pictures and clips of a run folder.  The edits' names, and the notes with what there is to say of them."""
    from .video import compare, sheet

    ending = ".png" if len(done.source) == 1 else ".mp4"
    done.source.write(folder / f"source{ending}")
    names = [f"edit{ending}", *(f"edit-{i}{ending}" for i in range(2, len(done.videos) + 1))]
    said = [line for video, name in zip(done.videos, names, strict=True) for line in video.write(folder / name)]
    compare(done.source, done.videos, folder / f"compare{ending}")
    sheet([done.source, *done.videos], folder / "sheet.png")
    return names, [*notes, *dict.fromkeys(said)]


def new_folder(job: Job) -> Path:
    """A run folder's path that is not taken, named after the clip and the method."""
    name = f"{Path(job.clip).stem[:60] or 'clip'}-{job.method}"
    return next(path for n in count(1) if not (path := Path("runs") / f"{name}-{n}").exists())
