"""The report of a benchmark, and its statistics."""

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from math import inf, isnan, nan

import numpy as np
import pytest
from made_results import CONTROLS, METHODS, results

from newtake.errors import BadInput
from newtake.metrics.statistics import DRAWS, Mean, mean, means
from newtake.report import html, markdown
from newtake.report.cases import worst_first
from newtake.report.scatter import scatter
from newtake.report.tables import scores, tables, written

VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """What a page says: its tables as rows of texts, its figures, its links, and whether its tags are balanced."""

    def __init__(self, source):
        super().__init__()
        self.open, self.tables, self.figures, self.links, self.texts, self.tags = [], [], [], [], [], []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append((tag, given))
        self.links += [value for name, value in attrs if name in ("src", "href", "xlink:href", "action", "srcset", "data")]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("th", "td"):
            self.tables[-1][-1].append("")
        elif tag == "figure":
            self.figures.append(given)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open and "script" not in self.open:
            self.texts.append(data)
            if self.open[-2:] and ("td" in self.open or "th" in self.open):
                self.tables[-1][-1][-1] += data + " " * (self.open[-1] != "small")


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Results with clips, and their page."""
    folder = tmp_path_factory.mktemp("bench")
    made = results(folder)
    return made, html(made, folder), folder


# Statistics

def rows(scores, edit="a", method="m"):
    return [{"edit": edit, "method": method, "scores": {"x": score}} for score in scores]


def test_seeds_are_averaged_before_clips():
    given = [*rows([1, 2, 3, 6]), *rows([7], "b"), *rows([None], "c"), *rows([5], "a", "other"), *rows([None], "a", "never")]
    found = means(given, "x")
    assert list(found) == ["m", "other"] and (found["m"].value, found["m"].clips) == ((3 + 7) / 2, 2)
    assert found["other"].value == 5 and isnan(found["other"].low) and isnan(found["other"].high)
    assert means([row | {"task": row["edit"]} for row in given], "x", "task")["b"].value == 7
    assert means(given, "unheard of") == {}


def test_intervals_against_a_naive_bootstrap():
    values = np.random.default_rng(5).normal(3, 2, 25).tolist()
    draw, drawn = np.random.default_rng(1), []
    for _ in range(4000):
        drawn.append(sum(values[draw.integers(25)] for _ in values) / 25)
    drawn.sort()
    found = mean(values)
    assert found.value == pytest.approx(sum(values) / 25)
    assert found.low == pytest.approx(drawn[100], abs=0.08) and found.high == pytest.approx(drawn[-101], abs=0.08)
    assert found.low < found.value < found.high and mean(values) == found


def test_intervals_are_as_wide_as_theory_says():
    """Of many clips the bootstrap's interval is the normal one: 1.96 standard errors each way."""
    values = np.random.default_rng(2).normal(0, 1, 400)
    found, error = mean(values.tolist()), values.std() / 20
    assert found.high - found.value == pytest.approx(1.96 * error, rel=0.05)
    assert found.value - found.low == pytest.approx(1.96 * error, rel=0.05)


def test_by_hand():
    assert mean([4, 4, 4]) == Mean(4, 4, 4, 3)
    assert mean([inf, inf]) == Mean(inf, inf, inf, 2)
    assert mean([0, 1]).low == 0 and mean([0, 1]).high == 1     # each end is drawn in a quarter of all cases
    assert mean([]).clips == 0 and DRAWS >= 1000


# Tables

@pytest.mark.parametrize(("figures", "expected"), [
    ([123.4, 5], ["123", "5"]), ([23.44, 1], ["23.4", "1.0"]), ([1.234], ["1.23"]), ([0.01234], ["0.0123"]),
    ([12345.6], ["12,346"]), ([-1.5, 2], ["−1.50", "2.00"]), ([inf, -inf, nan, None, 0], ["∞", "−∞", "–", "–", "0"]),
])
def test_numbers_have_three_figures(figures, expected):
    shown = written(figures)
    assert [shown(figure) for figure in figures] == expected


def test_the_best_method_is_marked_and_controls_are_not():
    table = scores(results(), "all", results()["rows"])
    assert [column.name for column in table.columns] == [
        "method", "psnr", "success", "error", "evaluations", "seconds", "peak memory mb"]       # never: nobody has a score
    best = [[row[0].text for row in table.rows if row[at].best] for at in range(len(table.columns))]
    assert best == [[], ["good"], ["good"], ["good"], [], [], []]
    assert [row[0].text for row in table.rows] == [*METHODS, "truth", "identity", "black"] and table.controls == {3, 4, 5}


def test_a_flag_stands_with_every_table_of_its_metric():
    ranking, *others = tables(results())
    assert ranking.flags == () and len(others) == 3
    for table in others:
        assert table.flags == ("psnr: identity beats every method", "success: black beats poor")
        assert [bool(column.flags) for column in table.columns[:4]] == [False, True, True, False]


# The page

def test_the_page_stands_by_itself(kept):
    page = Page(kept[1])
    assert page.links and all(re.match("(data:image/|#)", link) for link in page.links)
    assert "http" not in re.sub("http-equiv", "", kept[1]) and "//" not in re.sub(r"base64,[\w+/=]+", "", kept[1])
    parts = {given["id"] for tag, given in page.tags if tag == "section"}
    assert parts == {"ranking", "scatter", "tables", "flags", "cases", "environment"}
    assert {link[1:] for link in page.links if link[0] == "#"} == parts


def test_its_policy_lets_its_own_style_and_script_in_alone(kept):
    own = {tag: re.search(f"<{tag}>(.*?)</{tag}>", kept[1], re.S)[1].encode() for tag in ("style", "script")}
    style, script = (f"'sha256-{b64encode(sha256(own[tag]).digest()).decode()}'" for tag in own)
    policy = next(given["content"] for tag, given in Page(kept[1]).tags if given.get("http-equiv"))
    assert policy == f"default-src 'none'; img-src data:; style-src {style}; script-src {script}"
    assert not any(name.startswith("on") or name == "style" for _, given in Page(kept[1]).tags for name in given)


def test_its_numbers_are_those_of_the_results(kept):
    given, source, _ = kept
    ranking, everything, *tasks = Page(source).tables
    assert [row[1].strip() for row in ranking[1:]] == ["truth", *METHODS, "identity", "black"]
    assert [row[2].split()[0] for row in ranking[1:]] == ["1.00", "0.90", "0.80", "0.70", "0.60", "0.50"]
    assert ranking[2][2].split() == ["0.90", "0.85", "to", "0.95"]
    for table, task in ((everything, None), *zip(tasks, given["tasks"], strict=True)):
        for row in table[1:]:
            some = [one for one in given["rows"] if one["method"] == row[0].strip() and task in (None, one["task"])]
            expected = np.mean([one["scores"]["success"] for one in some])
            assert row[2].split()[0] == f"{expected:.2f}"
            assert row[5].split()[0] == ("–" if some[0]["control"] else f"{np.mean([one['seconds'] for one in some]):.2f}")
    assert [row[1].split()[0] for row in everything[1:]][-3:] == ["40.0", "∞", "6.0"]
    assert "newtake" in Page(source).texts and given["formula"] in Page(source).texts


def test_the_worst_are_first(kept):
    given, source, _ = kept
    figures = Page(source).figures
    assert len(figures) == 8 * len(METHODS) and figures[0]["data-method"] == "poor" and figures[-1]["data-method"] == "good"
    order = [row["scores"]["success"] for row in worst_first(given) if not row["control"]]
    assert order == sorted(order)
    assert [row["control"] for row in worst_first(given)] == sorted(row["control"] for row in given["rows"])
    order = [row["scores"]["error"] for row in worst_first(given | {"worst": "error"}) if not row["control"]]
    assert order == sorted(order, reverse=True)
    given["rows"][5]["scores"], before = {}, given["rows"][5]["scores"]
    assert worst_first(given)[0] is given["rows"][5]
    given["rows"][5]["scores"] = before


def test_clips_and_sheets_are_inside(kept):
    _, source, folder = kept
    inside = [given["src"] for tag, given in Page(source).tags if tag == "img"]
    expected = {f"data:image/{kind};base64,{b64encode((folder / name).read_bytes()).decode()}"
                for kind, name in (("webp", "clip.webp"), ("png", "sheet.png"))}
    assert set(inside) == expected and len(inside) == 2 * 8 * len(METHODS)


def test_names_of_strangers_are_text():
    evil = '<script>alert(1)</script>"\'&|'
    given = results()
    for row in given["rows"]:
        row |= {"method": evil if row["method"] == "good" else row["method"], "edit": evil + row["edit"], "task": evil,
                "difficulty": evil, "scores": {evil: row["scores"]["psnr"], "success": row["scores"]["success"]}}
    given |= {
        "title": evil, "version": evil, "formula": evil, "environment": {evil: evil}, "methods": [evil, "fair", "poor"],
        "tasks": [evil], "metrics": {evil: {"unit": evil, "higher_is_better": True, "what": evil}, "success": {}},
        "scatter": {"x": "success", "y": evil}, "flags": [{"metric": evil, "control": evil, "beats": [evil]}]}
    given["ranking"][1] |= {"method": evil, "ranks": {evil: 2}}
    page = Page(html(given))
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert evil in page.texts
    assert not any("alert" in name for _, given in page.tags for name in given)
    lines = [line for line in markdown(given).splitlines() if line.startswith("|")]
    assert "<script" not in markdown(given) and len({len(re.findall(r"(?<!\\)\|", line)) for line in lines[:8]}) == 1


@pytest.mark.parametrize("path", ["../secret.png", "/etc/hostname", "missing.webp", "notes.txt", "fake.png"])
def test_only_pictures_of_the_folder_are_shown(tmp_path, path):
    (folder := tmp_path / "bench").mkdir()
    (tmp_path / "secret.png").write_bytes(b"\x89PNG secret")
    (folder / "notes.txt").write_text("secret")
    (folder / "fake.png").write_text("secret")
    given = results(edits=1)
    given["rows"][0]["clip"] = path
    with pytest.raises(BadInput, match=re.escape(path)):
        html(given, folder)


@pytest.mark.parametrize(("change", "says"), [
    ({"rows": None}, "'rows' must be a list"), ({"title": 3}, "'title' must be a str"), ({"worst": "fame"}, "'fame'"),
    ({"scatter": {"x": "psnr", "y": "fame"}, "worst": "psnr"}, "'fame'"), ({"metrics": {}}, "'metrics' is empty"),
])
def test_what_is_no_benchmark(change, says):
    for printed in (html, markdown):
        with pytest.raises(BadInput, match=says):
            printed(results() | change)


def test_a_page_without_extras():
    given = results(edits=1, seeds=1)
    del given["scatter"]
    page = Page(html(given | {"flags": [], "ranking": []}))
    assert {given["id"] for tag, given in page.tags if tag == "section"} == {"ranking", "tables", "cases", "environment"}
    assert "No clips were kept." in page.texts


# The scatter

def test_dots_stand_where_the_means_are():
    given = results()
    dots = dict(re.findall(r'cx="[\d.]+" cy="([\d.]+)" r="5"><title>([^:]+):', scatter(given)))
    heights = {name: float(y) for y, name in dots.items()}
    assert set(heights) == {*METHODS, *CONTROLS} - {"identity"}
    success = {name: m.value for name, m in means(given["rows"], "success").items()}
    names = list(heights)
    line = np.polyfit([success[name] for name in names], [heights[name] for name in names], 1)
    assert line[0] < 0 and np.allclose(np.polyval(line, [success[name] for name in names]), list(heights.values()), atol=0.1)
    assert "Not on the picture: identity (∞, 0)." in scatter(given)


def test_labels_leave_each_other_room():
    given = results(methods=(*METHODS, "ddim", "sdedit", "fatezero", "masactrl", "video_p2p"))
    labels = re.findall(r'<text x="([\d.]+)" y="([\d.]+)">([^<]+)</text></g>', scatter(given))
    boxes = [(float(x), float(y), float(x) + 6 * len(name), float(y) + 11) for x, y, name in labels]
    assert len(boxes) == 10
    for i, a in enumerate(boxes):
        assert not any(a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3] for b in boxes[:i])


# Markdown

def test_markdown_says_the_same():
    told = markdown(results())
    assert "| good | **30.2** (29.5 to 30.8) |" in told and "| *identity* | *∞* (∞ to ∞) |" in told
    assert "| method | psnr, dB ↑ ⚑ | success, share ↑ ⚑ | error ↓ |" in told
    assert told.count("⚑ psnr: identity beats every method") == 3 and "score = success x fidelity" in told
