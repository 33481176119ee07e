"""`load`: a checkpoint of any kind, ready for editing.  Everything heavy is imported when it is asked for."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput

if TYPE_CHECKING:
    import torch

    from .parts import Parts
    from .unet import UNet

DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
NEEDED = ("model_index.json", "scheduler/*", "tokenizer*/*", "*/config.json", "*/*.index.json",
          "unet/diffusion_pytorch_model*.safetensors", "vae/diffusion_pytorch_model*.safetensors",
          "text_encoder*/model*.safetensors")
PICKLED = ("unet/diffusion_pytorch_model*.bin", "vae/diffusion_pytorch_model*.bin", "text_encoder*/pytorch_model*.bin")
HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
SPARED = ("*.fp16*", "*.non_ema*", "safety_checker/*", "*flax*", "*onnx*", "*openvino*")


def load(
    what: str | os.PathLike | Any,                      # tiny, a folder, a file, a hub id; or a diffusers pipeline in memory
    device: str | torch.device | None = None,           # None: cuda, else mps, else cpu
    dtype: str | torch.dtype | None = None,             # None: bf16 or fp16 on cuda, fp32 elsewhere
    norms: str | None = None,                           # None: an adapter's; "clip" with temporal layers, else "frame"
    download: bool = False,                             # whether a hub id may be fetched
    trust: bool = False,                                # whether pickles may be read, as tensors alone
    prediction: str | None = None,                      # epsilon, v_prediction or sample; None: as the checkpoint says
    adapters: Mapping[str, float] | None = None,        # files or folders that change its weights, each with its own weight
) -> UNet:
    """A checkpoint of Stable Diffusion 1.x, 2.x or SDXL, or a video network of Tune-A-Video's or FateZero's making.

    A pipeline in memory stays on its device and in its dtype unless they are said, and is never changed: of a network that is
    not as it has to be (elsewhere, in training, a VAE in half precision) a copy is taken.  Raises BadInput, in one line, where
    it cannot be read.
    """
    quiet()
    if not isinstance(what, str | os.PathLike):
        from .memory import read as of_pipeline

        place = None if device is None else chosen_device(device)
        parts, kind = of_pipeline(what), number(dtype)
        return finished(adapted(parts, adapters, trust), place, kind, norms, prediction)
    place = chosen_device(device)
    kind = number(dtype) or usual_dtype(place)
    path = located(str(what), download, trust)
    if path.is_dir():
        from .folder import read
    else:
        from .single import read
    return finished(adapted(read(path, kind, trust), adapters, trust), place, kind, norms, prediction)


def adapted(parts: Parts, adapters: Mapping[str, float] | None, trust: bool) -> Parts:
    if not adapters:
        return parts
    from .adapters import put

    return put(parts, adapters, trust)


def located(what: str, download: bool, trust: bool = False) -> Path:
    """The folder or file that is meant."""
    if what == "tiny":
        path = built_in()
        if not (path / "model_index.json").is_file():
            raise BadInput("the built-in checkpoint is not there; install newtake again, or make it with: make world")
        return path
    path = Path(what).expanduser()
    if path.is_dir():
        return path
    if path.is_file():
        if path.suffix not in (".safetensors", ".ckpt", ".bin", ".pt", ".pth"):
            raise BadInput(f"{what} is no checkpoint; known are a .safetensors file and a folder in diffusers' layout")
        return path
    if HUB_ID.fullmatch(what):
        folder = cached(what, download)
        pickles_alone = download and trust and not any(folder.glob("unet/*.safetensors"))
        return cached(what, download, (*NEEDED, *PICKLED)) if pickles_alone else folder
    raise BadInput(f"{what}: no such file or folder; a model is tiny, a folder, a .safetensors file or a hub id (owner/name)")


def built_in() -> Path:
    """The folder of the built-in checkpoint."""
    return Path(str(resources.files("newtake.models") / "tiny"))


def cached(name: str, download: bool, needed: Sequence[str] = NEEDED) -> Path:
    """The folder of a hub id: `needed` of its files."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, local_files_only=not download, allow_patterns=list(needed),
                                      ignore_patterns=list(SPARED)))
    except Exception as wrong:                          # the hub's errors share no class, and tell of it at length
        if download:
            raise BadInput(f"{name} cannot be downloaded ({type(wrong).__name__}); pass a folder or a file") from wrong
        raise BadInput(f"{name}: no such folder, and no hub id that is cached; pass --download, or a folder") from wrong


def finished(
    parts: Parts, device: torch.device | None, dtype: torch.dtype | None, norms: str | None, prediction: str | None
) -> UNet:
    """The parts on their device, put to evaluation, as a model.  None: each stays where, or as, it is."""
    import torch

    from .text import TextEncoders
    from .unet import NORMS, UNet
    from .vae import Autoencoder

    if norms not in (None, *NORMS):
        raise BadInput(f"norms are {' or '.join(NORMS)}, not {norms!r}")
    fit = lambda net, kind=dtype: fitted(net, device, kind, parts.shared)
    scheduler = dict(parts.scheduler) | ({"prediction_type": prediction} if prediction else {})
    vae = encoders = None
    if parts.vae is not None:                           # in half precision SDXL's overflows, and the others lose
        vae = Autoencoder(fit(parts.vae, torch.float32 if parts.vae.config.force_upcast else dtype))
    if parts.encoders:
        encoders = TextEncoders(parts.tokenizers, [fit(net) for net in parts.encoders], parts.pooled, parts.empty_is_zero)
    temporal = {module: fitted(layer, device, dtype, shared=False) for module, layer in parts.temporal.items()}
    return UNet(fit(parts.net), scheduler, norms or parts.norms or ("clip" if temporal else "frame"), temporal, vae, encoders)


def fitted(net: Any, device: torch.device | None, dtype: torch.dtype | None, shared: bool) -> Any:
    """The network as it is asked; of one that others have a copy, where it is not so already."""
    if shared:
        if net.device == (device or net.device) and net.dtype == (dtype or net.dtype) and not net.training:
            return net
        net = deepcopy(net)
    return net.to(device=device, dtype=dtype).eval().requires_grad_(False)


def chosen_device(device: str | torch.device | None) -> torch.device:
    import torch

    cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
    many = {"cuda": cuda, "mps": int(torch.backends.mps.is_available()), "cpu": 1}
    try:
        place = torch.device(next(name for name, n in many.items() if n) if device is None else device)
    except RuntimeError:
        place = None
    if place is None or (place.index or 0) >= many.get(place.type, 0):
        here = ", ".join(name if n == 1 else f"{name}:0 to {name}:{n - 1}" for name, n in many.items() if n)
        raise BadInput(f"there is no device {device} here; there is {here}")
    return torch.empty(0, device=place).device          # with its number, as networks name it


def number(dtype: str | torch.dtype | None) -> torch.dtype | None:
    import torch

    if dtype is None or isinstance(dtype, torch.dtype):
        return dtype
    if (name := DTYPES.get(dtype, dtype)) not in DTYPES.values():
        raise BadInput(f"{dtype!r} is no dtype; known are {', '.join(DTYPES)}")
    return getattr(torch, name)


def usual_dtype(device: torch.device) -> torch.dtype:
    import torch

    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def quiet() -> None:
    """transformers and diffusers say errors only, and show no bars of their own."""
    for name in ("TRANSFORMERS_VERBOSITY", "DIFFUSERS_VERBOSITY"):
        os.environ.setdefault(name, "error")            # read when they are imported
    from transformers.utils import logging as of_transformers

    of_transformers.set_verbosity_error()
    of_transformers.disable_progress_bar()
    from diffusers.utils import logging as of_diffusers

    of_diffusers.set_verbosity_error()
    of_diffusers.disable_progress_bar()
