"""Distances of sets: FID, KID, FVD, Inception score."""

import warnings
from math import exp, isnan, log

import numpy as np
import pytest
import torch
from materials import drawn

from newtake.errors import Note
from newtake.metrics import Sets, scores
from newtake.metrics.frechet import frechet_distance, gathered, inception_score, kernel_distance

A, B = drawn(50, 6), drawn(60, 6, seed=1) @ drawn(6, 6, seed=2) + 0.5


def test_a_set_has_no_distance_from_itself():
    found = scores(Sets(A, A, B, B), ["fid", "fvd"])
    assert found["fid"] == pytest.approx(0, abs=1e-9) and found["fvd"] == pytest.approx(0, abs=1e-9)


def test_frechet_by_hand():
    """One feature: (2 - 5)^2 + (1 - 2)^2 of means 2, 5 and standard deviations 1, 2."""
    a, b = torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[3.0], [5.0], [7.0]])
    assert frechet_distance(a, b) == pytest.approx(9 + 1)


def test_frechet_is_scipys():
    linalg = pytest.importorskip("scipy.linalg", reason="scipy is not installed")
    a, b = (z.double().numpy() for z in (A, B))
    ca, cb = np.cov(a.T), np.cov(b.T)
    theirs = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(ca + cb - 2 * linalg.sqrtm(ca @ cb).real)
    assert frechet_distance(A, B) == pytest.approx(theirs, rel=1e-9)


def test_frechet_is_torchmetrics_with_fewer_samples_than_features():
    fid = pytest.importorskip("torchmetrics.image.fid", reason="torchmetrics is not installed")
    a, b = A[:5].double(), B[:5].double()
    theirs = fid._compute_fid(a.mean(0), a.T.cov(), b.mean(0), b.T.cov())
    with pytest.warns(Note, match="5 samples of 6 features; it is biased upwards"):
        assert frechet_distance(a, b) == pytest.approx(float(theirs), rel=1e-5)


def test_few_samples_are_noted_and_one_is_none():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frechet_distance(A, B)
    assert isnan(frechet_distance(A[:1], B)) and isnan(kernel_distance(A[:1], B))


def test_the_bias_that_is_noted_is_there():
    """Of two sets of one distribution FID grows as the sets shrink; KID stays about 0."""
    sets = lambda n: (drawn(n, 8, seed=3), drawn(n, 8, seed=4))
    assert frechet_distance(*sets(10)) > 5 * frechet_distance(*sets(200))
    assert abs(kernel_distance(*sets(200))) < 0.1


def test_kernel_distance_is_torchmetrics():
    kid = pytest.importorskip("torchmetrics.image.kid", reason="torchmetrics is not installed")
    a, b = A.double(), B[:50].double()
    assert kernel_distance(a, b) == pytest.approx(float(kid.poly_mmd(a, b)), rel=1e-9)


def test_kernel_distance_is_the_naive_loops():
    a, b = A[:4].double(), B[:5].double()
    k = lambda x, y: float((x @ y / 6 + 1) ** 3)
    within = lambda z: np.mean([k(z[i], z[j]) for i in range(len(z)) for j in range(len(z)) if i != j])
    across = np.mean([k(x, y) for x in a for y in b])
    assert kernel_distance(a, b) == pytest.approx(within(a) + within(b) - 2 * across, rel=1e-12)


@pytest.mark.filterwarnings("ignore::newtake.errors.Note")
def test_inception_score_by_hand():
    sure = torch.eye(4).repeat(3, 1)
    assert inception_score(sure) == pytest.approx(4)
    assert inception_score(torch.full((5, 4), 0.25)) == pytest.approx(1)
    half = torch.tensor([[0.75, 0.25], [0.25, 0.75]])
    assert inception_score(half) == pytest.approx(exp(0.75 * log(1.5) + 0.25 * log(0.5)))
    with pytest.warns(Note, match="2 samples of 2 classes"):
        inception_score(half)


def test_features_are_gathered_clip_by_clip():
    clips = [drawn(2, 3, 4, 4), drawn(5, 3, 4, 4, seed=1)]
    mean = lambda frames: frames.mean((2, 3))
    assert torch.equal(gathered(mean, clips), mean(torch.cat(clips)))
    assert gathered(lambda clip: mean(clip).mean(0, keepdim=True), clips).shape == (2, 3)
