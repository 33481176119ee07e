"""Control pictures made from a clip: its edges, its depth, the pose of who is in it.

Frames and pictures are (f 3 h w) in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Iterator
from colorsys import hsv_to_rgb
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import repeat
from torch import Tensor

from .errors import BadInput
from .extras import opencv
from .models.folder import pretrained
from .models.load import HUB_ID, cached, quiet
from .track import track
from .video import Video, as_pixels
from .video.clip import CHUNK
from .video.footage import as_frames
from .video.reel import mapped

FETCHED = ("*.json", "*.safetensors")                   # of a hub id
WEAK, STRONG = 100, 200                                 # gradients of 8-bit pictures: an edge has a strong one, or leads to one


def edges(frames: Tensor) -> Tensor:
    """White edges on black (Canny, PAMI 1986), as ControlNet's were made.  Raises BadInput where OpenCV is not installed."""
    cv2: Any = opencv("edges are drawn")
    drawn = np.stack([cv2.Canny(picture, WEAK, STRONG) for picture in as_pixels(frames)])
    return repeat(torch.from_numpy(drawn).float() / 127.5 - 1, "f h w -> f c h w", c=3)


def depth(clip: Video, where: str, device: str = "cpu", download: bool = False, trust: bool = False
          ) -> Iterator[Tensor]:
    """What is near is white: by a network for depth of transformers.  Scaled over the whole clip: still things keep their grey.

    where: a folder or a cached hub id.  Raises BadInput where it is none.
    """
    from transformers import AutoModelForDepthEstimation, pipeline

    net, processor = read(AutoModelForDepthEstimation, where, download, trust)
    estimate: Any = pipeline("depth-estimation", model=net, image_processor=processor, device=device)
    told = net.config.to_dict()
    metres = told.get("depth_estimation_type") == "metric" or net.config.model_type == "zoedepth"

    def near(picture: Any) -> Tensor:                   # (1 h w)
        seen = estimate(picture)["predicted_depth"].float().cpu()[None]
        return 1 / seen.clamp(min=1e-6) if metres else seen

    seen = mapped(near(pil(clip, number)) for number in track(range(len(clip)), "seeing depth"))
    least, most = seen.min(), seen.max()
    for some in seen.split(CHUNK):
        yield repeat((some - least) / (most - least).clamp(min=1e-12) * 2 - 1, "f h w -> f c h w", c=3)


# OpenPose's figure (Cao et al., PAMI 2021, arXiv 1812.08008), which ControlNet's was trained on: 18 joints in order, of which
# the neck, number 1, lies between the shoulders; here by their places among COCO's 17.
JOINTS = (0, None, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
SHOULDERS = (5, 6)
LIMBS = ((1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13), (1, 0), (0, 14),
         (14, 16), (0, 15), (15, 17))
SURE = 0.3                                              # of a joint that is drawn


def pose(clip: Video, where: str, device: str = "cpu", download: bool = False, trust: bool = False
         ) -> Iterator[Tensor]:
    """A figure of coloured limbs on black, by ViTPose (Xu et al., NeurIPS 2022, arXiv 2204.12484) of transformers.

    ViTPose sees one person in a box, which here is the whole frame: transformers has no pipeline for poses, and nobody looks
    for persons.  where: a folder or a cached hub id.  Raises BadInput where it is none, and where OpenCV is not installed.
    """
    from transformers import VitPoseForPoseEstimation

    opencv("poses are drawn")
    net, processor = read(VitPoseForPoseEstimation, where, download, trust)
    for number in track(range(len(clip)), "seeing poses"):
        picture = pil(clip, number)
        whole = [[[0, 0, *picture.size]]]
        seen = processor(images=picture, boxes=whole, return_tensors="pt").to(device)
        experts = getattr(net.config.backbone_config, "num_experts", 1)
        of = {"dataset_index": torch.zeros(1, dtype=torch.long, device=device)} if experts > 1 else {}      # COCO's
        person = processor.post_process_pose_estimation(net.to(device)(**seen, **of), boxes=whole)[0][0]
        yield figure(person["keypoints"].cpu(), person["scores"].cpu(), picture.size)[None]


def figure(places: Tensor, scores: Tensor, size: tuple[int, int]) -> Tensor:
    """Joints of COCO, x y in pixels (17 2) and how sure they are (17), as a picture (3 h w) in [-1, 1]."""
    cv2: Any = opencv("poses are drawn")
    neck, sure = places[list(SHOULDERS)].mean(0), scores[list(SHOULDERS)].min()
    at = [(neck, sure) if joint is None else (places[joint], scores[joint]) for joint in JOINTS]
    points = [tuple(map(round, place.tolist())) if score > SURE else None for place, score in at]
    picture, thick = np.zeros((size[1], size[0], 3), np.uint8), max(1, round(min(size) / 128))
    colours = [tuple(round(255 * part) for part in hsv_to_rgb(k / len(JOINTS), 1, 1)) for k in range(len(JOINTS))]
    for (a, b), colour in zip(LIMBS, colours, strict=False):
        if points[a] and points[b]:
            cv2.line(picture, points[a], points[b], tuple(0.6 * part for part in colour), thick)
    for point, colour in zip(points, colours, strict=True):
        if point:
            cv2.circle(picture, point, thick, colour, -1)
    return as_frames([picture])[0]


def pil(clip: Video, number: int) -> Any:
    """A frame as a picture of Pillow, which transformers wants."""
    from PIL import Image

    return Image.fromarray(as_pixels(clip[number:number + 1])[0])


def read(kind: Any, where: str, download: bool, trust: bool) -> tuple[Any, Any]:
    """A network of transformers and what prepares its pictures.  BadInput."""
    quiet()
    from transformers import AutoImageProcessor

    folder = Path(where).expanduser()
    if not folder.is_dir():
        if not HUB_ID.fullmatch(where):
            raise BadInput(f"{where}: no such folder; say the folder or the hub id of a network of transformers")
        folder = cached(where, download, FETCHED)
    net = pretrained(kind, folder, trust)
    try:
        processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, ImportError) as wrong:
        raise BadInput(f"{where} does not say how it wants its pictures: {str(wrong).strip().splitlines()[0]}") from wrong
    return net.eval().requires_grad_(False), processor
