"""Laws of every metric: what is registered is tested."""

import re
from dataclasses import fields, replace
from functools import cache
from math import isnan
from pathlib import Path

import materials
import pytest
import torch

from newtake.errors import BadInput
from newtake.metrics import METRICS, SET_METRICS, Material, Sets, metric, scores

pytest.importorskip("cv2", reason="motion is measured with OpenCV")
ALL = METRICS | SET_METRICS
DOCS = Path(__file__).parent.parent / "docs" / "metrics.md"


@cache
def everything() -> dict[str, dict[str, float]]:
    return {name: scores(m) for name, m in materials.others().items()}


def given(name: str) -> Material | Sets:
    return materials.material() if name in METRICS else materials.sets()


@pytest.mark.parametrize("name", METRICS)
def test_numbers_lie_in_their_range(name):
    for edit, found in everything().items():
        assert METRICS[name].least - 1e-9 <= found[name] <= METRICS[name].most + 1e-9, edit


@pytest.mark.filterwarnings("ignore::newtake.errors.Note")
@pytest.mark.parametrize("name", SET_METRICS)
def test_numbers_of_sets_lie_in_their_range(name):
    assert SET_METRICS[name].least <= scores(materials.sets())[name] <= SET_METRICS[name].most


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if metric.against in ("source", "truth")])
def test_what_it_is_measured_against_is_the_best_edit(name):
    best = {"source": "identity", "truth": "truth"}[METRICS[name].against]
    sign = 1 if METRICS[name].higher_is_better else -1
    ranks = {edit: sign * found[name] for edit, found in everything().items()}
    assert ranks[best] >= max(ranks.values()) - 1e-9
    assert min(ranks.values()) < ranks[best]


@pytest.mark.parametrize("name", ALL)
def test_what_it_needs_is_asked_for_by_name(name):
    whole, needs = given(name), [need for need in ALL[name].needs if need != "opencv"]
    for need in needs:
        lacking = replace(whole, **{need: None})
        with pytest.raises(BadInput, match=rf"{name} needs .*not there: {need}"):
            ALL[name](lacking)
        assert name not in scores(lacking, [])
    enough = {f.name: getattr(whole, f.name) for f in fields(whole) if f.name in needs or f.name == "edit"}
    assert ALL[name](type(whole)(**enough)) == pytest.approx(ALL[name](whole), nan_ok=True)


@pytest.mark.parametrize("name", METRICS)
def test_where_it_is_undefined_it_is_no_number(name):
    m = materials.material()
    one = lambda frames: frames[:1]
    first = replace(m, edit=one(m.edit), source=one(m.source), truth=one(m.truth), mask=one(m.mask),
                    flow=m.flow[:0], flow_back=m.flow_back[:0])
    moves = ("warp", "motion", "ff_", "frame_consistency", "object_consistency", "flicker")
    assert isnan(METRICS[name](first)) == name.startswith(moves)
    empty = replace(m, mask=torch.zeros_like(m.mask))
    assert isnan(METRICS[name](empty)) == ("inside" in name)
    full = replace(m, mask=torch.ones_like(m.mask))
    assert isnan(METRICS[name](full)) == (name.endswith("outside") or "background" in name or "semantic" in name)


@pytest.mark.parametrize("name", [name for name in METRICS if re.search("inside|outside|semantic", name)])
def test_what_lies_on_the_other_side_of_the_mask_does_not_count(name):
    m = materials.material()
    where = ~m.mask if "inside" in name else m.mask
    spoilt = m.edit.where(~where[:, None], materials.drawn(*m.edit.shape).clamp(-1, 1))
    if name == "text_alignment_inside":                 # of the box around the mask
        y, x = m.mask.any(0).nonzero().T
        spoilt[..., int(y.min()):int(y.max()) + 1, int(x.min()):int(x.max()) + 1] = m.edit[
            ..., int(y.min()):int(y.max()) + 1, int(x.min()):int(x.max()) + 1]
    assert not torch.equal(spoilt, m.edit)
    assert METRICS[name](replace(m, edit=spoilt)) == pytest.approx(METRICS[name](m), rel=1e-12)


@pytest.mark.parametrize("name", [name for name in METRICS if name.endswith(("_inside", "_outside")) and "_to_" in name])
def test_where_all_pixels_count_a_mask_changes_nothing(name):
    m = materials.others()["noise"]
    full = torch.full_like(m.mask, name.endswith("inside"))
    assert METRICS[name](replace(m, mask=full)) == pytest.approx(METRICS[name.rpartition("_")[0]](m), rel=1e-6)


def test_same_material_same_numbers():
    m = materials.material()
    assert scores(replace(m, edit=m.edit.clone())) == everything()["truth"]
    assert everything()["truth"].keys() == METRICS.keys()
    assert scores(Material(m.edit)).keys() == {"flicker"}


def test_what_does_not_fit_is_said():
    m = materials.material()
    with pytest.raises(BadInput, match=r"the mask has the shape \(5, 32, 64\).*64x64"):
        replace(m, mask=m.mask[:, :32])
    with pytest.raises(BadInput, match="the source has the shape"):
        replace(m, source=m.source[:2])
    with pytest.raises(BadInput, match=r"the pictures have 4 features and the real ones 3"):
        Sets(materials.drawn(2, 4), materials.drawn(2, 3))
    with pytest.raises(BadInput, match="unknown metric 'vibes'; known are psnr_to_source"):
        scores(m, ["vibes"])


def test_without_opencv_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(metric, "find_spec", lambda name: None)
    m = materials.material()
    with pytest.raises(BadInput, match=r'motion_error needs .* pip install "newtake\[metrics\]"'):
        METRICS["motion_error"](m)
    assert "motion_error" not in scores(m) and "warp_error_true" in scores(m)


def table() -> str:
    """What docs/metrics.md says of every metric."""
    limit = lambda x: {float("inf"): "∞", float("-inf"): "-∞"}.get(x, f"{x:g}")
    lines = ["| name | unit | range | better | needs | source | what |", "|---" * 7 + "|"]
    for m in ALL.values():
        better = "higher" if m.higher_is_better else "lower"
        lines.append(f"| `{m.name}` | {m.unit} | {limit(m.least)} to {limit(m.most)} | {better} | {', '.join(m.needs)} "
                     f"| {m.source} | {m.what} |")
    return "\n".join(lines)


def test_the_docs_have_the_table_of_the_registry():
    assert table() in DOCS.read_text("utf-8")
