"""BLIP (Li et al., ICML 2022, arXiv 2201.12086) and BLIP-2 (Li et al., ICML 2023, arXiv 2301.12597), of transformers.

Both describe pictures: of a clip they see the frame in the middle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from ..errors import BadInput
from ..metrics.networks import located, pretrained, sight
from ..models.folder import config, tokenizer
from ..models.load import chosen_device, usual_dtype

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..video import Video

KINDS = {"blip": "BlipForConditionalGeneration", "blip-2": "Blip2ForConditionalGeneration"}
BEAMS, LONGEST = 3, 40                                  # of the search; tokens of a caption


@dataclass(frozen=True)
class Blip:
    """A captioner."""

    net: Any
    words: Any                                          # its tokenizer
    sight: Callable[[torch.Tensor], torch.Tensor]
    place: int | None                                   # the token that stands where BLIP-2 is shown the picture

    @torch.no_grad()
    def __call__(self, video: Video) -> str:
        middle = len(video) // 2
        seen = self.sight(video[middle:middle + 1]).to(self.net.device, self.net.dtype)
        said = self.net.generate(pixel_values=seen, num_beams=BEAMS, do_sample=False, max_new_tokens=LONGEST)[0].tolist()
        tokens = [token for token in said if token != self.place]       # BLIP-2 gives its prompt back too
        return " ".join(self.words.decode(tokens, skip_special_tokens=True).split())


def load(what: str, device: str | None = None, download: bool = False, trust: bool = False) -> Blip:
    """From a folder or a hub id (see `captioner`).  Raises BadInput."""
    here = chosen_device(device)
    folder = located(what, download)
    told = config(folder, "config.json")
    if (kind := told.get("model_type")) not in KINDS:
        raise BadInput(f"{what} is a {kind}, which newtake cannot ask for captions; known are BLIP and BLIP-2")
    place = told.get("image_token_index")
    if kind == "blip-2" and place is None:
        raise BadInput(f"{what} is a BLIP-2 of before its config.json had an image_token_index; get it anew")
    net = pretrained(KINDS[kind], folder, trust).to(here, usual_dtype(here))
    return Blip(net, tokenizer(folder), sight(folder, net.config.vision_config.image_size), place)
