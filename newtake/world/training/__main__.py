"""The built-in checkpoint and what judges it, from nothing: `python -m newtake.world.training`.  Killed, it goes on."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from safetensors.torch import save_file
from torch import nn

from ...show import shown
from ..classifier import Classifier
from ..judge import Judge
from ..viewer import Viewer
from . import autoencoder, classifying, contrastive, denoiser, guiding, judging, viewing
from .data import Pictures, pictures
from .fit import keep

PACKAGE = Path(__file__).parents[2]
CHANNELS, SIZE = 6, 64                                  # of latents; pixels
STEPS = dict(autoencoder=3500, judge=6200, denoiser=9400, classifier=3000, clip=3300, viewer=2500, controlnet=1200, t2i=1500)
CLIPS = 4000                                            # of the video network


def main() -> None:
    parser = argparse.ArgumentParser(prog="make world", description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(".world"), help="renders and unfinished trainings")
    parser.add_argument("--out", type=Path, default=PACKAGE / "models" / "tiny", help="where the checkpoint goes")
    parser.add_argument("--pictures", type=int, default=40_000)
    parser.add_argument("--steps", type=int, nargs="+", default=(), help=f"of {', '.join(STEPS)}, in this order; not said: "
                        + ", ".join(map(str, STEPS.values())))
    parser.add_argument("--parts", nargs="+", choices=STEPS, default=[*STEPS], help="train these only; what is there is read")
    parser.add_argument("--further", action="store_true", help="go on from the denoiser in --out, with a new warm-up")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    job = parser.parse_args()
    if len(job.steps) > len(STEPS):
        parser.error(f"there are {len(STEPS)} parts to give steps to, not {len(job.steps)}")
    job.steps = STEPS | dict(zip(STEPS, job.steps, strict=False))
    torch.manual_seed(0)
    with shown():
        make(job, pictures(job.work, job.pictures, SIZE))


def make(job: argparse.Namespace, seen: Pictures) -> None:
    spent: dict[str, float] = {}

    def part(name: str, work: Callable[[], None]) -> None:
        if name in job.parts:
            start = time.monotonic()
            torch.manual_seed(0)                        # a part trained alone is the part trained after others
            work()
            spent[name] = time.monotonic() - start

    def train_autoencoder() -> None:
        net = autoencoder.build(CHANNELS).to(job.device)
        autoencoder.train(net, seen, job.steps["autoencoder"], job.work / "autoencoder.pt")
        z = autoencoder.latents(net.eval(), seen.first(2000))
        net.register_to_config(scaling_factor=round(1 / z.std().item(), 4))
        net.half().save_pretrained(job.out / "vae")

    def train_judge() -> None:
        judge = Judge().to(job.device)
        judging.train(judge, seen, job.steps["judge"], job.work / "judge.pt")
        save(judge, job.out / "judge.safetensors")

    def train_denoiser() -> None:
        clip = (denoiser.read_tokenizer if job.further else denoiser.tokenizer)(job.out / "tokenizer")
        net = denoiser.Denoiser(len(clip), clip.eos_token_id, CHANNELS).to(job.device)
        if job.further:
            net.read(job.out)
        state = job.work / ("denoiser_further.pt" if job.further else "denoiser.pt")
        denoiser.train(net, clip, seen, latents(job, seen), job.steps["denoiser"], state)
        write(net, job.out)
        if job.further:
            state.unlink(missing_ok=True)               # the next time it goes on from what was written

    def train_classifier() -> None:
        classifier = Classifier(CHANNELS).to(job.device)
        classifying.train(classifier, seen, latents(job, seen), job.steps["classifier"], job.work / "classifier.pt")
        save(classifier, job.out / "classifier.safetensors")

    def train_clip() -> None:
        tokens = denoiser.read_tokenizer(job.out / "tokenizer")
        pair = contrastive.Pair(tokens).to(job.device)
        contrastive.train(pair, tokens, seen, job.steps["clip"], job.work / "clip.pt")
        contrastive.write(pair, tokens, job.out / "clip")

    def train_viewer() -> None:
        viewer = Viewer().to(job.device)
        viewing.train(viewer, *viewing.clips(job.work, CLIPS), job.steps["viewer"], job.work / "viewer.pt")
        save(viewer, job.out / "viewer.safetensors")

    def train_guest(name: str) -> None:
        kind = guiding.GUESTS[name]
        net = kind.build(UNet2DConditionModel.from_pretrained(job.out / "unet").float()).to(job.device)
        guiding.train(net, kind, job.out, seen, latents(job, seen), job.steps[name], job.work / f"{name}.pt")
        net.half().save_pretrained(job.out / name)

    part("autoencoder", train_autoencoder)
    part("judge", train_judge)
    part("denoiser", train_denoiser)
    part("classifier", train_classifier)
    part("clip", train_clip)
    part("viewer", train_viewer)
    for name in guiding.GUESTS:
        part(name, partial(train_guest, name))
    card(job, spent)


def save(net: nn.Module, path: Path) -> None:
    """In half precision."""
    save_file({name: z.half().contiguous().cpu() for name, z in net.state_dict().items()}, path)


def latents(job: argparse.Namespace, seen: Pictures) -> torch.Tensor:
    """Scaled to a standard deviation of one, encoded once for these weights.  (many c h w)"""
    vae = AutoencoderKL.from_pretrained(job.out / "vae").float().to(job.device).eval()
    weights = sha256(b"".join(z.cpu().numpy().tobytes() for z in vae.state_dict().values())).hexdigest()
    kept = job.work / f"latents_{weights[:12]}_{len(seen.pixels)}.pt"
    if not kept.exists():
        keep(kept, {"z": autoencoder.latents(vae, seen) * vae.config.scaling_factor})
    return torch.load(kept, weights_only=True)["z"]


def write(net: denoiser.Denoiser, out: Path) -> None:
    """The rest of a diffusers folder."""
    net.unet.half().save_pretrained(out / "unet")
    net.text.half().save_pretrained(out / "text_encoder")
    DDIMScheduler(**denoiser.SCHEDULE).save_pretrained(out / "scheduler")
    index: dict[str, object] = {
        "_class_name": "StableDiffusionPipeline", "safety_checker": [None, None], "feature_extractor": [None, None],
        "scheduler": ["diffusers", "DDIMScheduler"], "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"], "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
    }
    (out / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")


def card(job: argparse.Namespace, spent: dict[str, float]) -> None:
    """What was trained, for how long, and the hashes of the weights, kept beside them."""
    kept = job.out / "training.json"
    known = json.loads(kept.read_text()) if kept.exists() else {}
    weights = {str(path.relative_to(job.out)): path for path in sorted(job.out.rglob("*.safetensors"))}
    ran = {"pictures": job.pictures, "pixels": SIZE, "device": job.device, "torch": torch.__version__}
    for name, seconds in spent.items():                 # what was trained before keeps its own
        known[name] = {"steps": job.steps[name], "minutes_of_this_run": round(seconds / 60, 1), **ran}
    known.pop("sha256", None)                           # which stands last
    known["sha256"] = {name: sha256(path.read_bytes()).hexdigest() for name, path in weights.items()}
    kept.write_text(json.dumps(known, indent=2) + "\n")


if __name__ == "__main__":
    main()
