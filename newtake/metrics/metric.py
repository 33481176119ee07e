"""What a metric is, and what it is measured on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Generic, Literal, Protocol, TypeVar

from torch import Tensor

from ..errors import BadInput

Features = Callable[[Tensor], Tensor]                   # frames (f 3 h w) in [-1, 1] -> (f d), or (f n d)
Distance = Callable[[Tensor, Tensor], Sequence[Tensor]] # frames and others -> a map (f h' w') of each layer
Against = Literal["source", "truth", "prompt", "itself", "set"]


class Embedder(Protocol):
    """A network that puts pictures and words into one space, as CLIP does (Radford et al., ICML 2021, arXiv 2103.00020)."""

    def pictures(self, frames: Tensor, /) -> Tensor: ...        # (f 3 h w) in [-1, 1] -> (f d)
    def texts(self, prompts: Sequence[str], /) -> Tensor: ...   # (n d)
    def pooled(self, frames: Tensor, /) -> Tensor: ...  # (f 3 h w) -> (f d'), before the projection into that space


class ScaledEmbedder(Embedder, Protocol):
    @property
    def scale(self) -> float: ...                       # what it multiplies its cosines by


@dataclass(frozen=True, eq=False)
class Material:
    """One edit, and what it may be measured against.  What is None is not there.

    Frames are (f 3 h w) in [-1, 1]; they, mask and flow are on the processor.  Raises BadInput where these are not of the
    edit's count and size.
    """

    edit: Tensor
    source: Tensor | None = None
    truth: Tensor | None = None                         # the true answer
    mask: Tensor | None = None                          # bool (f h w), True where the edit may change something
    flow: Tensor | None = None                          # (f-1 h w 2), the source's true motion from frame i to i+1, pixels, x y
    flow_back: Tensor | None = None                     # (f-1 h w 2), from frame i+1 to i
    target: str | None = None                           # the prompts
    caption: str | None = None                          # what the source shows
    clip: Embedder | None = None
    pick: ScaledEmbedder | None = None                  # PickScore's CLIP
    lpips: Distance | None = None
    perceptual: Distance | None = None                  # as LPIPS, of another network
    keys: Features | None = None                        # -> (f n d), keys of the last layer of a vision transformer
    objects: Features | None = None                     # -> (f d), a vector a picture

    def __post_init__(self):
        f, _, h, w = self.edit.shape
        wanted = {"source": (f, 3, h, w), "truth": (f, 3, h, w), "mask": (f, h, w),
                  "flow": (f - 1, h, w, 2), "flow_back": (f - 1, h, w, 2)}
        for name, shape in wanted.items():
            given = getattr(self, name)
            if given is not None and tuple(given.shape) != shape:
                raise BadInput(f"the {name} has the shape {tuple(given.shape)}; beside an edit of {f} frames of {w}x{h} "
                               f"it has {shape}")


M = TypeVar("M")


@dataclass(frozen=True)
class Metric(Generic[M]):
    """A number, and what it means.  Calling it measures; not a number where it is undefined (no such pixels, one frame).

    Raises BadInput where something it needs is not there.
    """

    name: str
    unit: str                                           # "": a bare number
    least: float                                        # the range, ends included
    most: float
    higher_is_better: bool
    against: Against                                    # whose likeness it measures; that itself is then the best edit
    needs: tuple[str, ...]                              # fields of its material, or opencv
    source: str                                         # where its definition comes from
    what: str                                           # a sentence
    measure: Callable[[M], float]

    def __call__(self, material: M) -> float:
        if missing := self.missing(material):
            hint = '; pip install "newtake[metrics]"' if "opencv" in missing else ""
            raise BadInput(f"{self.name} needs {', '.join(self.needs)}; not there: {', '.join(missing)}{hint}")
        return self.measure(material)

    def missing(self, material: M) -> list[str]:
        """What it needs and is not there."""
        there = lambda name: find_spec("cv2") if name == "opencv" else getattr(material, name)
        return [name for name in self.needs if there(name) is None]


Compare = Callable[[Material, Tensor, Tensor | None], float]    # (material, reference, where (f h w); None: everywhere)


def likenesses(name: str, unit: str, least: float, most: float, higher_is_better: bool, needs: tuple[str, ...],
               source: str, what: str, compare: Compare) -> tuple[Metric[Material], ...]:
    """A metric of likeness six times: to the source and to the truth, everywhere, inside the mask, outside it."""
    def one(reference: Literal["source", "truth"], region: str) -> Metric[Material]:
        def measure(m: Material) -> float:
            where = None if region == "" else m.mask if region == "inside" else ~some(m.mask)
            return compare(m, some(getattr(m, reference)), where)

        wanted = (reference, "mask") if region else (reference,)
        said = f"{what} {'' if region == '' else region + ' the mask '}to the {reference}"
        return Metric("_".join(filter(None, (name, "to", reference, region))), unit, least, most, higher_is_better, reference,
                      (*wanted, *needs), source, said, measure)

    return tuple(one(reference, region) for reference in ("source", "truth") for region in ("", "inside", "outside"))


def some(given: Any) -> Any:
    """A field that `needs` has made sure of."""
    assert given is not None
    return given
