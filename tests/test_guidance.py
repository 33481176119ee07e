"""Guidance beside plain classifier-free: its rescaled and proximal forms, for whatever a network was trained to say."""

from dataclasses import replace

import pytest
import torch
from networks import clip, drawn, relative

from newtake.guidance import Pull, cfg, hard, proximal, soft, twice
from newtake.levels import Kind, Level, Prediction, step

AT, DOWN = Level(300, 0.8, 0.6, 0, 2), Level(100, 0.95, 0.3122, 1, 2)
KINDS = ("epsilon", "v_prediction")


def answers(kind: Kind, rows: int = 2) -> tuple[Prediction, Prediction]:
    """Without and with the prompt."""
    z = clip().expand(rows, -1, -1, -1, -1)
    null, prompted = (Prediction(kind, drawn(rows, 3, 4, 8, 12, seed=seed), z, AT) for seed in (1, 2))
    return null, prompted


@pytest.mark.parametrize("kind", KINDS)
def test_rescaled(kind):
    """Each row has the prompted answer's deviation, or is so far on the way; and it is one answer still."""
    null, prompted = answers(kind)
    guided, part, whole = (cfg(7.5, rescale)(null, prompted, AT) for rescale in (0, 0.7, 1))
    assert torch.equal(guided.out, cfg(7.5)(null, prompted, AT).out)
    assert relative(whole.out.flatten(1).std(1), prompted.out.flatten(1).std(1)) < 1e-12
    assert relative(part.out, 0.7 * whole.out + 0.3 * guided.out) < 1e-12
    assert relative(AT.alpha * part.x0 + AT.sigma * part.eps, part.z) < 1e-12
    assert relative(cfg(7.5, 1)(null.rows(slice(1)), prompted.rows(slice(1)), AT).out, whole.out[:1]) < 1e-12
    assert cfg(7.5, 1)(None, prompted, AT) is prompted


def test_what_shrinks():
    x, least = torch.tensor([-3.0, -1.5, -0.5, 0.5, 1.5, 3.0]), torch.tensor(1.0)
    assert hard(x, least).tolist() == [-3, -1.5, 0, 0, 1.5, 3]
    assert soft(x, least).tolist() == [-2, -0.5, 0, 0, 0.5, 2]
    assert twice(x, least).tolist() == [-1, 0.5, 0, 0, 0.5, 1]                     # negative ones change sign, as published


@pytest.mark.parametrize("kind", KINDS)
def test_proximal(kind):
    """Of each row so much counts as none; the rest is guided in full."""
    null, prompted = answers(kind)
    guided = proximal(7.5, 0.7, "hard")(null, prompted, AT)
    same = guided.out == null.out
    assert [round(float(row.double().mean()), 2) for row in same] == [0.7, 0.7]
    assert relative(guided.out[~same], cfg(7.5)(null, prompted, AT).out[~same]) < 1e-12
    assert relative(proximal(7.5, 0.0)(null, null, AT).out, null.out) < 1e-12
    alone = proximal(7.5)(null.rows(slice(1)), prompted.rows(slice(1)), AT).out
    assert torch.equal(proximal(7.5)(null, prompted, AT).out[:1], alone)
    assert not torch.equal(proximal(7.5, joint=True)(null, prompted, AT).out[:1], alone)


@pytest.mark.parametrize("kind", KINDS)
def test_pull(kind):
    """Where the answers differ nowhere all is drawn, the noise around it kept; below its level only."""
    null, _ = answers(kind)
    plain = proximal(7.5)(null, null, AT)
    pulled = proximal(7.5, pull=Pull(clip(), 0.25))(null, null, AT)
    expected = DOWN.alpha * (0.75 * plain.x0 + 0.25 * clip()) + DOWN.sigma * plain.eps
    assert relative(step(pulled, DOWN), expected) < 1e-12
    assert torch.equal(proximal(7.5, pull=Pull(clip(), below=AT.t))(null, null, AT).out, plain.out)


def test_pull_leaves_alone_what_differs():
    null, _ = answers("epsilon", rows=1)
    out = null.out.clone()
    out[0, 1, 2, 4, 6] += 1
    moved = lambda dilate: proximal(7.5, pull=Pull(clip(), 1.0, dilate=dilate))(null, replace(null, out=out), AT).z - null.z
    assert [int((moved(dilate) == 0).sum()) for dilate in (0, 1)] == [1, 9]
