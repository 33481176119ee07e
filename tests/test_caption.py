"""What a clip shows, in words: the world's CLIP, BLIP, `newtake caption`, and edits that are not told their source."""

import json

import pytest
import torch
import torch.nn.functional as F
from materials import drawn
from shell import TARGET, newtake
from transformers import CLIPTokenizer

import newtake as package
from newtake.bench.world import Plan
from newtake.captions import blip, captioner, world
from newtake.captions.world import CAPTIONS, Reader
from newtake.errors import BadInput, Note
from newtake.methods import spelled
from newtake.metrics import clip as clips
from newtake.metrics import networks
from newtake.models.folder import tokenizer
from newtake.video import Video
from newtake.world import Scene, held_out, weights
from newtake.world.clips import video
from newtake.world.grammar import read
from newtake.world.judge import ATTRIBUTES

TINY = weights.TINY


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The world's CLIP before its training: it reads something, and no more."""
    from newtake.world.training import contrastive

    made = tmp_path_factory.mktemp("tiny") / "clip"
    words = CLIPTokenizer.from_pretrained(str(TINY / "tokenizer"))
    contrastive.write(contrastive.Pair(words), words, made)
    return made


def beside(monkeypatch, folder, *parts):
    """The small networks of the world, from another folder."""
    for name in parts:
        if not (folder / name).exists():
            (folder / name).symlink_to(TINY / name)
    monkeypatch.setattr(weights, "TINY", folder)


@pytest.fixture
def untrained(monkeypatch, folder):
    beside(monkeypatch, folder.parent, "judge.safetensors")


@pytest.fixture
def without(monkeypatch, tmp_path):
    (tmp_path / "tiny").mkdir()
    beside(monkeypatch, tmp_path / "tiny", "judge.safetensors")


@pytest.fixture(scope="module")
def ball(tmp_path_factory):
    path = tmp_path_factory.mktemp("clips") / "ball.mp4"
    video(Scene(frames=2, size=(64, 64))).write(path)
    return str(path)


class Told:
    """Words by what they mean, pictures as they are said to be: an `Embedder`."""

    def __init__(self, *frames: str):
        self.frames = frames

    def texts(self, prompts):
        said = [{"style": "plain"} | read(prompt) for prompt in prompts]
        return torch.tensor([[float(one[n] == v) for n, known in ATTRIBUTES.items() for v in known] for one in said])

    def pictures(self, frames):
        return self.texts(self.frames)[:len(frames)]


# The world's CLIP

def test_there_is_a_caption_for_every_kind_of_scene():
    meant = [{"style": "plain"} | read(said) for said in CAPTIONS]
    assert len({tuple(one.values()) for one in meant}) == len(CAPTIONS) == 12 * 8 * 6 * 4


def test_the_likest_caption_is_said():
    clip = Video.of(torch.zeros(3, 3, 8, 8))
    for said in ("a pink cat by the wall", "an orange boat on the sea in pixel art"):
        assert Reader(Told(said, said, said))(clip) == said
    most = Reader(Told("a red cat by the wall", "a blue cat on the sand", "a blue fish by the wall"))
    assert most(clip) == "a blue cat by the wall"       # what most frames show


def test_frames_are_spread_over_the_clip():
    class Seen(Told):
        def pictures(self, frames):
            self.of = (frames[:, 0, 0, 0] * 100).round().int().tolist()
            return self.texts(["a red cat by the wall"]).expand(len(frames), -1)

    long = torch.arange(50).view(50, 1, 1, 1).expand(50, 3, 4, 4) / 100
    network = Seen()
    Reader(network)(Video.of(long))
    assert network.of == [0, 7, 14, 21, 28, 35, 42, 49]


def test_the_worlds_clip_loads_as_any_other(folder, capsys):
    """Its own tokenizer, size and colours; nothing is said on stderr."""
    from transformers import CLIPModel
    from transformers.utils import logging

    logging.enable_progress_bar()
    ours = clips.load(folder)
    assert capsys.readouterr() == ("", "")
    net = CLIPModel.from_pretrained(folder, dtype=torch.float32).eval()
    frames, said = drawn(2, 3, 64, 64).clamp(-1, 1), ["a red ball on the grass", "watercolour of a pink tree in the night"]
    words = CLIPTokenizer.from_pretrained(folder)(said, padding="max_length", max_length=32, return_tensors="pt").input_ids
    logits = net(pixel_values=frames, input_ids=words).logits_per_image / net.logit_scale.exp()
    assert torch.allclose(clips.cosines(ours, frames, said).float(), logits, atol=1e-5)
    wide = F.interpolate(frames, (64, 128), mode="bicubic").clamp(-1, 1)
    assert torch.allclose(ours.sight(wide), networks.scaled(wide, (64, 64)) * 2 - 1, atol=1e-6)     # squeezed, not cropped


def test_a_clip_without_the_words_it_was_trained_with(folder, tmp_path):
    for name in ("config.json", "model.safetensors", "preprocessor_config.json"):
        (tmp_path / name).symlink_to(folder / name)
    with pytest.raises(BadInput, match="knows 310 tokens, and CLIP's tokenizer, as it has none of its own, 49408"):
        clips.load(tmp_path)


@pytest.mark.parametrize("said", [{"image_mean": [0.5, 0.5]}, {"image_std": "white"}, {"image_mean": {"red": 1}}])
def test_pictures_that_nobody_can_make(tmp_path, said):
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(said))
    with pytest.raises(BadInput, match="image_mean and image_std are three numbers"):
        networks.sight(tmp_path, 64)


def test_what_is_not_trained_is_one_line(capsys, without, ball, tmp_path):
    assert weights.if_trained(world.load) is None
    with pytest.raises(BadInput, match="there is no clip beside the built-in checkpoint; train it with"):
        captioner()
    code, said, told = newtake(capsys, "caption", ball)
    assert code == 2 and said == "" and len(told.splitlines()) == 1 and "--parts clip" in told
    code, said, told = newtake(capsys, "edit", ball, TARGET, "--out", tmp_path / "run")
    assert code == 2 and len(told.splitlines()) == 1 and "say what the clip shows, --source" in told and "--parts clip" in told


def test_held_out_scenes_are_read():
    clip = weights.if_trained(world.load)
    if clip is None:
        pytest.skip("the world's CLIP is not beside the built-in checkpoint: python -m newtake.world.training --parts clip")
    scenes = [Scene.sample(s, size=(64, 64), frames=4) for s in range(910_000_000, 910_000_200)]
    scenes = [s for s in scenes if held_out(s.object, s.colour, s.background)][:12]
    reader = Reader(clip)
    found = [(read(reader(video(scene))), scene) for scene in scenes]
    assert sum(all(said[n] == getattr(s, n) for n in ("object", "colour", "background")) for said, s in found) >= 9


# BLIP

@pytest.fixture(scope="module")
def blips(tmp_path_factory):
    """Small ones with random weights: what they say is noise, but always the same."""
    from transformers import Blip2Config, Blip2ForConditionalGeneration, BlipConfig, BlipForConditionalGeneration
    from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

    torch.manual_seed(0)
    folders, words = {}, CLIPTokenizer.from_pretrained(str(TINY / "tokenizer"))
    small = dict(hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2)
    told = dict(vocab_size=len(words), bos_token_id=words.bos_token_id, eos_token_id=words.eos_token_id,
                pad_token_id=words.pad_token_id, sep_token_id=words.eos_token_id)
    vision = small | dict(image_size=32, patch_size=16)
    text = dict(**small, **told, encoder_hidden_size=16, max_position_embeddings=64)
    one = BlipForConditionalGeneration(BlipConfig(text_config=text, vision_config=vision, projection_dim=16))
    opt = dict(model_type="opt", hidden_size=16, ffn_dim=32, num_hidden_layers=2, num_attention_heads=2, word_embed_proj_dim=16,
               max_position_embeddings=64, **told)
    former = small | dict(encoder_hidden_size=16, vocab_size=len(words), cross_attention_frequency=1)
    two = Blip2ForConditionalGeneration(Blip2Config(text_config=opt, vision_config=vision, qformer_config=former,
                                                    num_query_tokens=4, image_token_index=5))
    for name, net in (("blip", one), ("blip-2", two)):
        folders[name] = tmp_path_factory.mktemp("captioners") / name
        net.save_pretrained(folders[name])
        words.save_pretrained(folders[name])
        BlipImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folders[name])
    return folders


@pytest.mark.parametrize("kind", blip.KINDS)
def test_blip_is_transformers_own(capsys, blips, kind, ball, tmp_path):
    """What it says of the middle frame, squeezed to a square, is what transformers' own classes say of it."""
    import transformers
    from PIL import Image

    frames = F.interpolate(drawn(3, 3, 6, 8), (48, 64), mode="bicubic").clamp(-1, 1)
    ours = captioner(str(blips[kind]))
    assert capsys.readouterr().err == ""
    net = getattr(transformers, blip.KINDS[kind]).from_pretrained(blips[kind]).eval()
    picture = Image.fromarray(((frames[1] + 1) * 127.5).round().byte().permute(1, 2, 0).numpy())
    pixels = transformers.AutoImageProcessor.from_pretrained(blips[kind])(picture, return_tensors="pt")["pixel_values"]
    capsys.readouterr()
    assert torch.allclose(ours.sight(frames[1:2]), pixels, atol=0.05)
    ids = net.generate(pixel_values=ours.sight(frames[1:2]), num_beams=blip.BEAMS, do_sample=False, max_new_tokens=blip.LONGEST)
    begins = {"blip": 0, "blip-2": 4}[kind]             # four tokens that stand for the picture
    said = tokenizer(blips[kind]).decode(ids[0, begins:], skip_special_tokens=True)
    assert said.strip()
    assert ours(Video.of(frames)) == " ".join(said.split())
    code, out, _ = newtake(capsys, "caption", ball, "--captioner", blips[kind], "--device", "cpu", "--json")
    assert code == 0 and json.loads(out) == {"caption": captioner(str(blips[kind]), "cpu")(Video.read(ball))}


def test_captioners_that_are_none_are_refused(blips, folder, tmp_path):
    with pytest.raises(BadInput, match="no such folder, and no hub id that is cached"):
        captioner("nobody/no-such-network")
    with pytest.raises(BadInput, match="is a clip, which newtake cannot ask for captions; known are BLIP and BLIP-2"):
        captioner(str(folder))
    (tmp_path / "old").mkdir()
    for path in blips["blip-2"].iterdir():
        (tmp_path / "old" / path.name).write_bytes(path.read_bytes())
    config = json.loads((tmp_path / "old" / "config.json").read_text())
    (tmp_path / "old" / "config.json").write_text(json.dumps(config | {"image_token_index": None}))
    with pytest.raises(BadInput, match="image_token_index"):
        captioner(str(tmp_path / "old"))
    (tmp_path / "old" / "config.json").write_text(json.dumps(config))
    weights = tmp_path / "old" / "model.safetensors"
    torch.save({}, weights.with_name("pytorch_model.bin"))
    weights.unlink()
    with pytest.raises(BadInput, match=r"pickle.*--trust"):
        captioner(str(tmp_path / "old"))


# The commands

def test_caption_says_the_scene(capsys, untrained, ball):
    code, said, told = newtake(capsys, "caption", ball)
    assert code == 0 and said.strip() in CAPTIONS and told == ""
    code, out, _ = newtake(capsys, "caption", ball, "--json", "--frames", "1", "--captioner", "tiny")
    found = json.loads(out)
    assert code == 0 and {"style": "plain"} | read(found["caption"]) == {n: found[n] for n in ATTRIBUTES}


def test_an_edit_reads_its_source_and_rerun_makes_the_same_bits(capsys, untrained, ball, tmp_path):
    _, read_as, _ = newtake(capsys, "caption", ball)
    quick = ["--set", "steps=2", "--out", tmp_path / "run"]
    code, _, told = newtake(capsys, "edit", ball, TARGET, *quick)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert code == 0 and record["job"]["source"] == read_as.strip() and record["source_read_by"] == "tiny"
    assert f"the clip shows {read_as.strip()!r}, as the world's CLIP reads it" in told
    assert record["notes"][0].startswith("the clip shows")
    code, _, told = newtake(capsys, "rerun", tmp_path / "run", "--clip", ball)
    assert code == 0 and "the same bits" in told and "reads it" not in told
    assert json.loads((tmp_path / "run-again" / "run.json").read_text())["source_read_by"] is None


def test_another_checkpoint_needs_a_captioner(capsys, blips, ball, tmp_path, monkeypatch):
    code, _, told = newtake(capsys, "edit", ball, TARGET, "--model", "some/model", "--out", tmp_path / "run")
    assert code == 2 and "--captioner" in told and "--source" in told and len(told.splitlines()) == 1
    code, _, told = newtake(capsys, "edit", ball, TARGET, "--source", "a red ball", "--captioner", "tiny")
    assert code == 2 and "give --source or --captioner" in told
    monkeypatch.setattr(blip.Blip, "__call__", lambda self, clip: "a red ball on the grass")
    code, _, told = newtake(capsys, "edit", ball, TARGET, "--captioner", blips["blip"], "--set", "steps=2", "--device", "cpu",
                            "--out", tmp_path / "run")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert code == 0 and "the clip shows 'a red ball on the grass', as blip reads it" in told
    assert record["source_read_by"] == "blip" and str(tmp_path) not in json.dumps(record)
    monkeypatch.setattr(blip.Blip, "__call__", lambda self, clip: "")
    code, _, told = newtake(capsys, "edit", ball, TARGET, "--captioner", blips["blip"], "--out", tmp_path / "none")
    assert code == 2 and "say what the clip shows" in told and not (tmp_path / "none").exists()


def test_an_edit_from_python_reads_its_source(untrained, ball):
    clip, method = Video.read(ball), spelled("ddim", steps=1)
    read_as = captioner()(clip)
    with pytest.warns(Note, match=f"the clip shows '{read_as}', as the world's CLIP reads it"):
        edit = package.edit(clip, target=TARGET, method=method)
    assert torch.equal(edit[:], package.edit(clip, source=read_as, target=TARGET, method=method)[:])
    with pytest.raises(BadInput, match="--captioner"):
        package.edit(clip, target=TARGET, method=method, model=package.load("tiny"))


# Scores

def score(capsys, ball, *more):
    code, out, err = newtake(capsys, "score", ball, "--json", *more)
    assert code == 0
    return json.loads(out), err


def test_score_takes_the_worlds_clip_and_says_so(capsys, untrained, folder, ball):
    found, told = score(capsys, ball, "--target", TARGET, "--source", "a red ball on the grass")
    assert {"text_alignment", "frame_accuracy"} <= set(found) and told.count("CLIP is the world's own") == 1
    named, told = score(capsys, ball, "--target", TARGET, "--source", "a red ball on the grass", "--clip-model", folder)
    assert named == found and told == ""
    for prompts in ([], ["--target", "a dragon"], ["--target", TARGET, "--source", "a dragon"]):
        found, told = score(capsys, ball, *prompts)     # it knows no dragons
        assert "text_alignment" not in found and told == ""


def test_score_without_a_clip(capsys, without, ball):
    found, told = score(capsys, ball, "--target", TARGET)
    assert "text_alignment" not in found and "flicker" in found and told == ""


def test_the_benchmark_measures_words_where_it_can(folder, tmp_path, monkeypatch):
    model, plan = package.load("tiny"), Plan({"ddim": spelled("ddim", steps=1)}, many=1, frames=3)
    (tmp_path / "tiny").mkdir()
    beside(monkeypatch, tmp_path / "tiny", "judge.safetensors")
    blind = plan.results(model, tmp_path / "out")
    beside(monkeypatch, folder.parent, "judge.safetensors")
    seeing = plan.results(model, tmp_path / "out")
    words = {"text_alignment", "frame_accuracy"}
    assert not words & set(blind["metrics"]) and words <= set(seeing["metrics"])
    assert len([*(tmp_path / "out" / "rows").iterdir()]) == 2       # another judge, another row
    for results, there in ((blind, False), (seeing, True)):
        assert all((r["scores"][name] is not None) == there for r in results["rows"] for name in words)
    assert [r["score"] for r in blind["ranking"]] == [r["score"] for r in seeing["ranking"]]
