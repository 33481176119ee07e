"""run.json: all that decides the bits of an edit, and what it cost.  Names and hashes, no paths of a machine."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from math import log10
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .invitation import Invitation
from .ranks import ranks

if TYPE_CHECKING:
    from torch import Tensor

    from .estimate import Estimate
    from .methods.method import Method
    from .models.unet import UNet
    from .video import Video

FORMAT = 2
BITS = ("format", "job", "source_read_by", "clip", "model", "mask", "adapters", "guests", "edits", "versions", "machine")


@dataclass(frozen=True)
class Background:
    """What of the clip stays in the edit, pixel for pixel."""

    keep: bool = False                                  # all that lies outside of mask, box or words
    box: tuple[float, float, float, float] | None = None    # x, y, width, height of what may change: pixels, or shares
    feather: int | None = None                          # pixels over which one goes over into the other; None: 1/64 of a side
    full_size: bool = False                             # the edit is laid into the clip's own pixels


@dataclass(frozen=True)
class Job:
    """All that decides the bits of an edit.  Plain data: run.json holds it, `rerun` reads it."""

    clip: str
    source: str | None                                  # what the clip shows; None: as a captioner reads it
    targets: tuple[str, ...]                            # what it should become; all of them share one inversion
    method: str = "newtake"                             # its name
    settings: Mapping[str, Any] = field(default_factory=dict)   # of the method, by name; the rest are its defaults
    words: tuple[str, ...] = ()                         # what changes, in either prompt; (): the words that differ
    spared: tuple[str, ...] = ()                        # what is left alone where the edit is masked
    mask: str | None = None                             # what may change: a clip or a picture, white there; None: from words
    weights: Mapping[str, float] = field(default_factory=dict)  # by how much the attention to a word is multiplied
    shares: Mapping[str, float] = field(default_factory=dict)   # share of the steps a word takes its map from the source
    model: str = "tiny"
    adapters: Mapping[str, float] = field(default_factory=dict)     # what changes its weights, and how much
    guests: tuple[Invitation, ...] = ()                 # networks that see control pictures
    norms: str | None = None                            # group norms over a frame or the clip; None: as the checkpoint is
    frames: int | None = None                           # None: all that there are
    start: int = 0
    stride: int = 1
    size: tuple[int, int] | None = None                 # width, height; None: the network's own area, the clip's aspect
    seed: int = 0
    device: str | None = None                           # None: the best there is
    dtype: str | None = None                            # None: what the device is best at
    threads: int | None = None                          # of the processor; None: as torch finds them
    windows: tuple[int, int] | None = None              # frames at once, inverting and editing; None: as memory allows
    cuts: str = "edit"                                  # each shot by itself; "refuse", "ignore"
    whole: bool = False                                 # a clip that ends early or is damaged is refused
    lossless: bool = False                              # the edit is written so
    background: Background = Background()
    light: tuple[str, ...] = ()                         # ways to make the model lighter: see `models.light`

    @property
    def of_words(self) -> dict[str, Any]:
        """What is said of words, as `methods.request.request` takes it."""
        return {"words": self.words, "spared": self.spared, "weights": self.weights, "shares": self.shares}


@dataclass(frozen=True)
class Edit:
    """What an edit leaves."""

    videos: tuple[Video, ...]                           # one a target
    source: Video                                       # the clip as the network was given it
    model: UNet
    method: Method
    evaluations: int                                    # row-passes of the denoiser
    seconds: dict[str, float]                           # by part of the work
    inside: Tensor | None                               # (r f h w), where a target may differ from the source; None: not asked
    inversion: dict[str, Any]                           # see `edits.asked_of`

    @property
    def charged(self) -> tuple[int, float]:
        """Evaluations and seconds, with those of the inversion, whenever it was made."""
        others = sum(spent for part, spent in self.seconds.items() if part not in ("encoding", "inverting"))
        evaluations = self.evaluations - self.inversion["evaluations_now"] + self.inversion["evaluations"]
        return evaluations, others + self.inversion["seconds"]


def record(job: Job, done: Edit, estimate: Estimate, notes: list[str], hashes: Mapping[str, str | None],
           captioner: str | None = None) -> dict[str, Any]:
    """hashes: of the clip and the mask as they were read; captioner: who read the source, None: it was said."""
    import torch

    from .methods.configuring import values
    from .methods.method import name_of

    model, ending = done.model, ".png" if len(done.source) == 1 else ".mp4"
    names = {"clip": Path(job.clip).name, "model": said_as(job.model), "mask": job.mask and Path(job.mask).name,
             "adapters": [{"where": said_as(name), "weight": weight} for name, weight in job.adapters.items()],
             "guests": [asdict(one.with_files(said_as(one.where), one.file and said_as(one.file))) for one in job.guests]}
    method = {"method": name_of(type(done.method)), "settings": values(done.method)}
    files = [f"edit{ending}", *(f"edit-{i}{ending}" for i in range(2, len(done.videos) + 1))]
    return {
        "format": FORMAT,
        "job": asdict(job) | method | {"norms": model.norms} | names,
        "source_read_by": captioner and said_as(captioner),
        "clip": {"sha256": hashes["clip"], "frames": len(done.source), "size": list(done.source.size)},
        "model": {"sha256": model.hash, "device": str(model.device), "dtype": str(model.dtype).removeprefix("torch.")},
        "mask": hashes["mask"],
        "adapters": [hash_of(Path(name).expanduser()) for name in job.adapters],
        "guests": [{"network": local_hash(one.where), "pictures": one.file and local_hash(one.file)} for one in job.guests],
        "edits": [made(*each, done.source) for each in zip(job.targets, files, done.videos, strict=True)],
        "versions": versions(),
        "machine": {"kind": platform.machine(), "threads": torch.get_num_threads(), "ranks": ranks().of},
        "seconds": done.seconds,
        "evaluations": done.evaluations,
        "inversion": done.inversion,
        "peak_memory_mb": peak_memory(model.device.type) >> 20,
        "estimate": estimate.told,
        "notes": notes,
    }


def made(target: str, file: str, video: Video, source: Video) -> dict[str, Any]:
    """What is told of one edit."""
    scores = {"psnr_to_source": likeness(video, source)}
    return {"file": file, "target": target, "sha256": hash_of_frames(video), "scores": scores}


def likeness(video: Video, source: Video) -> float | None:
    """PSNR, dB, of all frames together, to two digits; None where they are equal."""
    error = sum(float((a.double() - b.double()).square().sum()) for a, b in zip(video.chunks(), source.chunks(), strict=True))
    mean = error / (len(video) * 3 * video.size[0] * video.size[1])
    return round(-10 * log10(mean / 4), 2) if mean else None


def said_as(model: str) -> str:
    """A model's name: of a path its last part."""
    return Path(model).name if Path(model).exists() else model


def hash_of_frames(video: Video) -> str:
    """sha256 of frames as the bytes that are written, in the order f c h w."""
    from einops import rearrange

    from .video import as_pixels

    digest = sha256()
    for some in video.chunks():
        digest.update(rearrange(as_pixels(some), "f h w c -> f c h w").tobytes())
    return digest.hexdigest()


def peak_memory(device: str) -> int:
    """Bytes: on a GPU what torch took of it, else what the whole process took, since it began."""
    import torch

    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    try:
        import resource
    except ImportError:                                 # Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1024 if sys.platform == "linux" else 1)


def versions() -> dict[str, str]:
    from importlib.metadata import version

    ours = ("newtake", "torch", "diffusers", "transformers", "av")
    return {"python": platform.python_version()} | {package: version(package) for package in ours}


def hash_of(path: Path) -> str:
    """sha256 of a file; of a folder that of its files' names and contents, in order."""
    digest = sha256()
    if path.is_dir():
        for file in sorted(p for p in path.iterdir() if p.is_file()):
            digest.update(f"{file.name} {hash_of(file)} ".encode())
        return digest.hexdigest()
    with open(path, "rb") as stream:
        while part := stream.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def local_hash(name: str) -> str | None:
    """None for what is no file or folder, but known by its name."""
    path = Path(name).expanduser()
    return hash_of(path) if path.exists() else None
