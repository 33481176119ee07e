"""PSNR, SSIM, MS-SSIM, flicker: against others' code, naive loops, and values worked out by hand."""

from dataclasses import replace
from math import inf, log10

import materials
import numpy as np
import pytest
import torch

from newtake.metrics import METRICS, Material
from newtake.metrics.pixels import SCALES, flicker, ms_ssim, psnr, ssim


def pictures(side: int = 40, f: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """Smooth pictures (f 3 side side+4) in [-1, 1] and the same with noise."""
    coarse = materials.drawn(f, 3, 6, 6)
    a = torch.nn.functional.interpolate(coarse, (side, side + 4), mode="bicubic").clamp(-1, 1)
    return a, (a + 0.2 * materials.drawn(*a.shape, seed=1)).clamp(-1, 1)


def test_psnr_by_hand():
    a = torch.zeros(1, 3, 2, 2)
    b = a.clone()
    b[..., 0, 0] = 1.0                                  # half the range, in one of four pixels
    where = torch.tensor([[[True, False], [False, False]]])
    assert psnr(b, a) == pytest.approx(-10 * log10(0.25 / 4))
    assert psnr(b, a, where) == pytest.approx(-10 * log10(0.25))
    assert psnr(b, a, ~where) == inf


def test_ssim_is_scikit_images():
    structural_similarity = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed").structural_similarity
    a, b = pictures()
    theirs = [structural_similarity(*((z[i].double().numpy() + 1) / 2 for z in (a, b)), channel_axis=0, data_range=1,
                                    gaussian_weights=True, sigma=1.5, use_sample_covariance=False) for i in range(2)]
    assert ssim(a, b) == pytest.approx(np.mean(theirs), abs=1e-9)


def test_ssim_is_torchmetrics_inside_the_picture():
    """torchmetrics mirrors the picture at its edges; the windows that lie inside are the same."""
    image = pytest.importorskip("torchmetrics.functional.image", reason="torchmetrics is not installed")
    a, b = ((z.double() + 1) / 2 for z in pictures())
    _, whole = image.structural_similarity_index_measure(a, b, data_range=1.0, return_full_image=True)
    assert ssim(a * 2 - 1, b * 2 - 1) == pytest.approx(float(whole[..., 5:-5, 5:-5].mean()), abs=1e-9)
    masked = Material(b.float() * 2 - 1, a.float() * 2 - 1, mask=torch.zeros(2, 40, 44, dtype=torch.bool))
    theirs = float(image.structural_similarity_index_measure(b, a, data_range=1.0))
    assert METRICS["ssim_background_legacy"](masked) == pytest.approx(theirs, abs=1e-6)


def window(at: int, n: int) -> np.ndarray:
    g = np.exp(-(np.arange(n) - at) ** 2 / (2 * 1.5 ** 2))
    return np.where(np.abs(np.arange(n) - at) <= 5, g, 0)


def naive(x, y, seen) -> tuple[float, float]:
    """SSIM and its contrast term of two channels (h w) in [0, 1], window by window, from the pixels seen alone."""
    found = []
    for i in range(5, x.shape[0] - 5):
        for j in range(5, x.shape[1] - 5):
            if seen[i, j]:
                w = np.outer(window(i, x.shape[0]), window(j, x.shape[1])) * seen
                w = w / w.sum()
                mx, my = (w * x).sum(), (w * y).sum()
                vx, vy, cov = (w * (x - mx) ** 2).sum(), (w * (y - my) ** 2).sum(), (w * (x - mx) * (y - my)).sum()
                contrast = (2 * cov + 9e-4) / (vx + vy + 9e-4)
                found.append(((2 * mx * my + 1e-4) / (mx ** 2 + my ** 2 + 1e-4) * contrast, contrast))
    whole, contrast = np.mean(found, 0)
    return float(whole), float(contrast)


def test_masked_ssim_is_the_naive_loops():
    a, b = pictures(20, 1)
    seen = torch.zeros(1, 20, 24, dtype=torch.bool)
    seen[:, 4:13, 7:19] = True
    channels = [naive(*((z[0, c].double().numpy() + 1) / 2 for z in (a, b)), seen[0].numpy())[0] for c in range(3)]
    assert ssim(a, b, seen) == pytest.approx(np.mean(channels), abs=1e-9)


def test_ms_ssim_of_few_scales_is_the_naive_loops():
    """24 pixels: a window fits into two scales."""
    a, b = pictures(24, 1)
    x, y = ((z[0].double().numpy() + 1) / 2 for z in (a, b))
    halves = [z.reshape(3, 12, 2, 14, 2).mean((2, 4)) for z in (x, y)]
    fine = np.mean([naive(x[c], y[c], np.ones((24, 28)))[1] for c in range(3)])
    coarse = np.mean([naive(halves[0][c], halves[1][c], np.ones((12, 14)))[0] for c in range(3)])
    weights = np.array(SCALES[:2]) / sum(SCALES[:2])
    assert ms_ssim(a, b) == pytest.approx(fine ** weights[0] * coarse ** weights[1], abs=1e-9)


def test_ms_ssim_is_torchmetrics_nearly():
    """Five scales.  torchmetrics counts mirrored windows at the coarsest scale, where we do not."""
    image = pytest.importorskip("torchmetrics.functional.image", reason="torchmetrics is not installed")
    a, b = pictures(176, 1)
    theirs = image.multiscale_structural_similarity_index_measure((a + 1) / 2, (b + 1) / 2, data_range=1.0)
    assert ms_ssim(a, b) == pytest.approx(float(theirs), abs=0.01)


def test_pictures_smaller_than_a_window_have_no_ssim():
    a, b = pictures(8)
    assert np.isnan(ssim(a, b)) and np.isnan(ms_ssim(a, b))


def test_the_published_background_psnr_is_inflated_by_the_background_share():
    """A quarter of the picture is background: 10 log10 4 = 6.02 dB more, on the same pixels."""
    m = materials.material()
    mask = torch.ones_like(m.mask)
    mask[:, :32, :32] = False
    m = replace(m, edit=m.source[:1].expand_as(m.source) + 0.1, mask=mask, source=m.source[:1].expand_as(m.source))
    more = METRICS["psnr_background_legacy"](m) - METRICS["psnr_to_source_outside"](m)
    assert more == pytest.approx(10 * log10(4), abs=1e-5)
    assert METRICS["mse_background_legacy"](m) == pytest.approx(0.05 ** 2 / 4, rel=1e-5)


def test_flicker_by_hand():
    """A pixel in four that goes on and off: it is off the middle of its neighbours by the whole range."""
    frames = torch.full((4, 3, 2, 2), -1.0)
    frames[1::2, :, 0, 0] = 1.0
    assert flicker(frames) == pytest.approx(25.0)
    steady = torch.linspace(-1, 1, 5).view(5, 1, 1, 1).expand(5, 3, 2, 2)
    assert flicker(steady) == pytest.approx(0, abs=1e-5)
