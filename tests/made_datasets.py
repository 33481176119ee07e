"""Miniature data sets in exactly the published layouts: two or three small pictures a clip."""

import csv
import json

import numpy as np
from PIL import Image

SIZE = (12, 8)                                          # width, height
SQUARE = np.s_[2:5, 3:9]                                # what the masks hold


def pictures(folder, count=3, size=SIZE, first=0, digits=5, ending="jpg"):
    """A folder of numbered pictures, each a little brighter."""
    folder.mkdir(parents=True)
    for number in range(first, first + count):
        Image.new("RGB", size, (10 * number, 80, 120)).save(folder / f"{number:0{digits}d}.{ending}")


def annotations(folder, count=3, size=SIZE, first=0, ending="png", value=255):
    """A folder of masks, `value` inside the square."""
    folder.mkdir(parents=True)
    for number in range(first, first + count):
        mask = np.zeros(size[::-1], np.uint8)
        mask[SQUARE] = value
        Image.fromarray(mask).save(folder / f"{number:05d}.{ending}")


def lines(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)


def davis(folder):
    """Instances by number, with the palette that DAVIS has."""
    for clip in ("bear", "bus"):
        pictures(folder / "JPEGImages/480p" / clip)
    masks = folder / "Annotations/480p/bear"
    masks.mkdir(parents=True)
    for number in range(3):
        numbers = np.zeros(SIZE[::-1], np.uint8)
        numbers[SQUARE], numbers[2, 3] = 1, 2
        picture = Image.fromarray(numbers)
        picture.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0] + [0] * 759)
        picture.save(masks / f"{number:05d}.png")
    lines(folder / "prompts.csv", [
        ("clip", "source", "target", "kind"), ("bear", "a bear walks", "a panda walks", "object"),
        ("bear", "", "a bear walks, in the snow", ""), ("bus", "a bus", "a bus, watercolour", "style")])


def tgve(folder):
    heads = ("Video name", "Our GT caption", "Style Change Caption", "Object Change Caption", "Background Change Caption",
             "Multiple Changes Caption")
    empty, head = [""] * len(heads), lambda name: [f"{name} Videos:", *[""] * (len(heads) - 1)]
    said = ("a {}", "a {}, anime", "a robot {}", "a {} on Mars", "a robot {} on Mars ")
    clip = lambda name: [name, *(prompt.format(name) for prompt in said)]
    pictures(folder / "DAVIS_480p/480p_frames/stunt")
    pictures(folder / "youtube_480p/480p_frames/cat-in-the-sun")
    pictures(folder / "videvo_480p/480p_frames/ship")
    lines(folder / "LOVEU-TGVE-2023_Dataset.csv", [
        heads, head("DAVIS"), clip("stunt"), empty, head("Youtube"), clip("cat-in-the-sun"), empty,
        head("Videvo"), clip("ship")])


def v2vbench(folder):
    for clip in ("hike", "aurora"):
        pictures(folder / "frames" / clip, digits=2, ending="png")
    (folder / "config.yaml").write_text("""data:
- video_id: hike
  prompt: a man hikes through the dolomites
  edit:
  - prompt: a superman hikes through the desert
    src_words: man dolomites
    tgt_words: superman desert
    type: composite
  - prompt: a man hikes through the dolomites, pixel art
    type: overall
- video_id: aurora
  prompt: an aurora
  edit:
  - prompt: an aurora over a lake
""")


def five(folder):
    for clip in ("0001_bus", "0002_girl-dog"):
        pictures(folder / "images" / clip, first=1)
        annotations(folder / "bmasks" / clip, first=1, ending="jpg")
    (folder / "edit_prompt").mkdir()
    asked = {"video_name": "0001_bus", "editing_type_id": "1", "save_dir": "1_bus_truck", "source_prompt": "a red [bus]",
             "target_prompt": "a red [truck]", "source_yes_no_question": "Is there a bus?"}
    told = {1: [asked, asked | {"video_name": "0002_girl-dog"}], 3: [asked | {"target_prompt": "a [blue] bus"}]}
    for number, entries in told.items():
        (folder / f"edit_prompt/edit{number}_FiVE.json").write_text(json.dumps(entries))


def pie(folder):
    pictures(folder / "annotation_images/0_random_140", 1, (512, 512), digits=12)
    colours = "6_change_attribute_color_40/1_artificial/1_animal"
    pictures(folder / "annotation_images" / colours, 1, (512, 512), 611, digits=12)
    entry = {"image_path": "0_random_140/000000000000.jpg", "original_prompt": "a bicycle on the road",
             "editing_prompt": "a [rusty] bicycle on the road", "editing_instruction": "Make the bike rusty",
             "editing_type_id": "0", "blended_word": "bicycle bicycle", "mask": [512 * 2 + 3, 6, 512 * 511 + 500, 100]}
    other = {"image_path": f"{colours}/000000000611.jpg", "editing_type_id": "6", "mask": []}
    (folder / "mapping_file.json").write_text(json.dumps({"000000000000": entry, "611000000000": entry | other}))


def editboard(folder):
    pictures(folder / "bear", first=71)
    annotations(folder / "bear_mask", first=71)
    here, source = f"./{folder.name}", "a brown bear walks on rocks"
    lines(folder / "script.csv", [
        ("original_video_path", "edited_video_path", "semantic_mask_path", "source_prompt", "target_prompt"),
        (f"{here}/bear", f"{here}/bear_autumn", f"{here}/bear_mask", source, "a brown bear walks on rocks in the autumn"),
        ("bear", "bear_white", "", source, "a white bear walks on rocks")])


MADE = {"davis": davis, "tgve": tgve, "v2vbench": v2vbench, "five": five, "pie": pie, "editboard": editboard}
