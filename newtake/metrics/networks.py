"""Real networks, from a local folder, a cached hub id, or a file; and pictures as they want them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import BadInput
from .metric import Features

CLIP_COLOURS = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)    # mean, standard deviation
IMAGENET_COLOURS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
AT_ONCE = 16                                            # frames
FETCHED = ("*.json", "*.txt", "*.safetensors")          # of a hub id


def located(what: str | Path, download: bool = False) -> Path:
    """The folder that is meant: itself, or of a hub id that is cached; with `download` that is fetched.  Raises BadInput."""
    path = Path(what).expanduser()
    if path.is_dir():
        return path
    if re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", str(what)):
        from huggingface_hub import snapshot_download

        try:
            return Path(snapshot_download(str(what), local_files_only=not download, allow_patterns=list(FETCHED)))
        except Exception as wrong:                      # the hub's errors share no class
            if download:
                raise BadInput(f"{what} cannot be downloaded ({type(wrong).__name__}); pass a folder") from wrong
    raise BadInput(f"{what}: no such folder, and no hub id that is cached; pass the folder of a network of transformers")


def pretrained(kind: str, what: str | Path, trust: bool = False, **options: Any) -> Any:
    """A network of this class of transformers, put to evaluation; pickles are read with trust only.  Raises BadInput."""
    import transformers

    from ..models.folder import pretrained as read
    from ..models.load import quiet

    quiet()
    folder = located(what)
    if not (folder / "config.json").is_file():
        raise BadInput(f"{folder} is no network of transformers: it has no config.json")
    return read(getattr(transformers, kind), folder, trust, dtype=torch.float32, **options).eval().requires_grad_(False)


def scripted(path: str | Path, trust: bool = False) -> Any:
    """A network of TorchScript, which is code: it is run with trust only.  Raises BadInput."""
    if not Path(path).is_file():
        raise BadInput(f"no such file: {path}")
    if not trust:
        raise BadInput(f"{path} is TorchScript, which can run code; pass --trust if you know where it comes from")
    try:
        return torch.jit.load(str(path), map_location="cpu").eval()
    except RuntimeError as wrong:
        raise BadInput(f"{path} is no TorchScript ({str(wrong).strip().splitlines()[0]})") from wrong


def inception(path: str | Path, trust: bool = False) -> Features:
    """Inception v3 as FID is computed with, in the TorchScript of StyleGAN2-ADA's metrics: frames -> (f 2048)."""
    net = scripted(path, trust)
    return batched(lambda frames: net(eight_bit(frames), return_features=True))


def inception_chances(path: str | Path, trust: bool = False) -> Features:
    """The same file's chances of the classes, for the Inception score: frames -> (f 1008)."""
    net = scripted(path, trust)
    return batched(lambda frames: net(eight_bit(frames), no_output_bias=True))


def i3d(path: str | Path, trust: bool = False) -> Features:
    """I3D as FVD is computed with, in the TorchScript of StyleGAN-V's metrics: 10 frames or more (f 3 h w) -> (1 400)."""
    net = scripted(path, trust)

    @torch.no_grad()
    def features(frames: Tensor) -> Tensor:
        clip = F.interpolate(frames.float(), (224, 224), mode="bilinear").transpose(0, 1)[None]
        return net(clip, rescale=False, resize=False, return_features=True)
    return features


def eight_bit(frames: Tensor) -> Tensor:
    return ((frames.clamp(-1, 1) + 1) * 127.5).round().byte()


def batched(features: Features) -> Features:
    """The same, a few frames at a time, without gradients, brought to the processor."""
    @torch.no_grad()
    def of(frames: Tensor) -> Tensor:
        return torch.cat([features(some.float()) for some in frames.split(AT_ONCE)]).float().cpu()
    return of


def sight(folder: Path, side: int) -> Callable[[Tensor], Tensor]:
    """Frames (f 3 h w) in [-1, 1] as the network in this folder wants them (f 3 side side), by what it says of its pictures.

    Where it has a width and a height and no crop, they are squeezed to it; else the middle is cropped.  Where it says nothing,
    as CLIP does.  Raises BadInput where what it says cannot be read.
    """
    from ..models.folder import config

    told: Any = {}
    if (folder / "preprocessor_config.json").is_file():
        told = config(folder, "preprocessor_config.json")
    elif (folder / "processor_config.json").is_file():
        told = config(folder, "processor_config.json").get("image_processor", {})
    try:
        mean, deviation = (torch.tensor(told.get(name, usual), dtype=torch.float32).expand(3).tolist()
                           for name, usual in zip(("image_mean", "image_std"), CLIP_COLOURS, strict=True))
        size, crop = told.get("size"), told.get("do_center_crop")
    except (AttributeError, TypeError, ValueError, RuntimeError):
        raise BadInput(f"{folder} says wrongly how it wants its pictures: image_mean and image_std are three numbers") from None
    colours = tuple(mean), tuple(deviation)
    if isinstance(size, dict) and "height" in size and not crop:
        return lambda frames: normalised(scaled(frames, (side, side)), colours)
    return lambda frames: seen(frames, side, side, colours)


def seen(frames: Tensor, short: int, crop: int | None, colours: tuple[tuple[float, ...], ...],
         most: int | None = None, mode: str = "bicubic") -> Tensor:
    """Frames (f 3 h w) in [-1, 1] as a network sees them: scaled so that the short side has so many pixels (and the long one no
    more than `most`), the middle cropped (None: all of it), normalised."""
    h, w = frames.shape[-2:]
    scale = short / min(h, w)
    if most is not None and round(max(h, w) * scale) > most:
        scale = most / max(h, w)
    size = int(h * scale + 1e-6), int(w * scale + 1e-6)                             # as torchvision and transformers cut
    unit = scaled(frames, size, mode)
    if crop is not None:
        top, left = (size[0] - crop) // 2, (size[1] - crop) // 2
        unit = unit[..., top:top + crop, left:left + crop]
    return normalised(unit, colours)


def scaled(frames: Tensor, size: tuple[int, int], mode: str = "bicubic") -> Tensor:
    """Frames in [-1, 1] at another size (height, width), in [0, 1]."""
    unit = F.interpolate((frames.float() + 1) / 2, size, mode=mode, antialias=True, align_corners=False)
    return unit.clamp(0, 1) if mode == "bicubic" else unit      # it overshoots, and pictures of 8 bits are cut


def normalised(unit: Tensor, colours: tuple[tuple[float, ...], ...]) -> Tensor:
    mean, deviation = (unit.new_tensor(values).view(3, 1, 1) for values in colours)
    return (unit - mean) / deviation
