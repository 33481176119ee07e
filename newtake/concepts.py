"""From a few pictures of a thing to an adapter: what `newtake learn` calls."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import BadInput
from .learning import STATE, asked_for, finish, finished, of_settings, readable, spelled, unfinished
from .prompts import strange
from .record import hash_of_frames

if TYPE_CHECKING:
    from .models.unet import UNet
    from .tuning.concept import Concept, ConceptLearning, Shown
    from .video import Video

TEMPLATE = "a {word} {kind}"
CAPTIONS = "captions.json"                              # in a folder of pictures: what each shows, by its file's name
TINY: dict[str, Any] = dict(steps=800, rate=2e-3, ema=0.99, text=True, batch=1, kinds=16)   # it is small, and learns fast


@dataclass(frozen=True)
class Pictures:
    """Pictures of a thing, what each of them shows, and the word in it that is to be learnt."""

    video: Video                                        # a frame a picture
    captions: tuple[str, ...]
    word: str
    kind: str                                           # what kind of thing it is, in words that the checkpoint knows

    @classmethod
    def read(cls, folder: Path, word: str, kind: str, caption: str = TEMPLATE, size: tuple[int, int] | None = None) -> Pictures:
        """Those of a folder, and their captions: of captions.json there, of a text file beside a picture, or else `caption`.

        In captions {word} and {kind} stand for themselves.  size: width and height; None: their own, which is one.  Raises
        BadInput where there are no pictures, their sizes differ, or a caption does not say the word.
        """
        from .video import Video
        from .video.pictures import listed

        for name, said in {"--word": word, "--kind": kind, "--caption": caption}.items():
            if not said.strip() or strange(said):
                raise BadInput(f"{name} is empty, or not UTF-8; say --word blub --kind toy, for a toy that is called blub")
        if not folder.is_dir():
            raise BadInput(f"{folder} is no folder; give a folder of pictures of the thing")
        files, _ = listed(folder)
        video, own = Video.read(folder, size=size), table(folder, [file.name for file in files])
        said = tuple(filled(own.get(file.name, caption), word, kind, file.name) for file in files)
        return cls(video, said, word.lower(), kind)

    def of_kind(self) -> tuple[str, ...]:
        """What pictures of the kind show: captions with the kind where the word was, each once."""
        name = named(self.word)
        without = lambda caption: re.sub(rf"{name}\s*", "", caption, flags=re.I)
        instead = lambda caption: re.sub(name, lambda _: self.kind, caption, flags=re.I)
        plain = [(without if re.search(named(self.kind), caption, re.I) else instead)(caption) for caption in self.captions]
        return tuple(dict.fromkeys(caption.strip() for caption in plain))


def named(word: str) -> str:
    """A pattern that finds it as a word."""
    return rf"(?<!\w){re.escape(word)}(?!\w)"


def table(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """The captions that pictures have of their own."""
    own = {name: file.read_text("utf-8", errors="replace").strip() for name in names
           if (file := (folder / name).with_suffix(".txt")).is_file()}
    if (file := folder / CAPTIONS).is_file():
        try:
            told = json.loads(file.read_text("utf-8"))
        except ValueError:
            told = None
        if not isinstance(told, dict) or not all(isinstance(said, str) for said in told.values()):
            raise BadInput(f'{file} is no table of captions, such as {{"{names[0]}": "a red {{word}} on the grass"}}')
        if unknown := [name for name in told if name not in names]:
            raise BadInput(f"{file} tells of {unknown[0]}, which is not there; the pictures are {', '.join(names)}")
        own |= told
    return own


def filled(caption: str, word: str, kind: str, name: str) -> str:
    said = caption.replace("{word}", word.lower()).replace("{kind}", kind)
    if not re.search(named(word), said, re.I):
        raise BadInput(f"the caption of {name} does not say {word}: {said!r}; say where it is, or write {{word}} there")
    return said


def configured(model: str = "", /, **given: Any) -> ConceptLearning:
    """How to learn, each setting a string as people type it or a value; the rest as suits a checkpoint of this name.

    Raises BadInput, in one line.
    """
    from .tuning.concept import ConceptLearning

    said = spelled(ConceptLearning, given)
    usual = TINY if model == "tiny" else {}
    if said.get("rank") == 0:                           # then nothing of the text encoder is learnt but the word
        usual = {name: value for name, value in usual.items() if name != "text"}
    return of_settings(ConceptLearning, usual | said)


def learn(pictures: Pictures, out: Path, learning: ConceptLearning, model: UNet) -> dict[str, Any]:
    """An adapter for this checkpoint: a folder at `out`.  Returns what its adapter.json says.

    Killed or interrupted, the same call goes on; where it is finished, nothing is done.  The model's network is changed, and
    the one that has learnt afterwards.  Raises BadInput where `out` is something else, or the word is known already.
    """
    from .models.adapters import concept as adapter
    from .tuning.concept import begun
    from .tuning.concept import learn as steps_of

    asked = asked_for(model, word=pictures.word, of_kind=pictures.kind, captions=pictures.captions, size=pictures.video.size,
                      pictures=hash_of_frames(pictures.video), learning=asdict(learning))
    if there := finished(out, asked, adapter, f"for {pictures.word}"):
        return there
    concept, work = begun(model, pictures.word, pictures.kind, learning), unfinished(out)
    thing, kind = shown(concept, pictures, learning, work, asked["model"])
    decides = {name: value for name, value in asked.items() if name != "learning"}
    with closing(steps_of(concept, thing, kind, learning, work / STATE, decides)) as steps:
        for _ in steps:
            pass
    return finish(out, adapter, {**asked, "rank": learning.rank}, *concept.adapter())


def shown(concept: Concept, pictures: Pictures, learning: ConceptLearning, work: Path,
          model: str) -> tuple[Shown, Shown | None]:
    """The pictures of the thing, and those of its kind, which are made where they are not there yet.  model: its hash."""
    from .tuning.concept import Shown
    from .tuning.prior import encoded, of_kind

    readable(concept.model, pictures.captions)
    thing = Shown(encoded(concept.model, pictures.video[:]), pictures.captions)
    if not learning.prior:
        return thing, None
    said, seed, shape = pictures.of_kind(), learning.training.seed, thing.z.shape[2:]
    decides = json.dumps([model, said, seed, list(shape)])
    folder = work / f"kind-{sha256(decides.encode()).hexdigest()[:12]}"
    return thing, of_kind(concept.model, said, learning.kinds, shape, folder, seed)
