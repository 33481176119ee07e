"""Motion: warp error and motion error of clips whose motion is known; EditBoard's numbers beside ours."""

from dataclasses import replace

import materials
import pytest
import torch
from torch import Tensor

from newtake.metrics import METRICS, Material
from newtake.metrics.motion import estimated, motion_error, visible, warp_error, warped
from newtake.world import Scene
from newtake.world.clips import video


def translated(dx: int = 3, dy: int = -2, f: int = 4, side: int = 32) -> tuple[Tensor, Tensor, Tensor]:
    """A picture that moves as a whole, behind a window; its true motion, forwards and back."""
    torch.manual_seed(0)
    wide = torch.nn.functional.interpolate(torch.rand(1, 3, 20, 20) * 2 - 1, (80, 80), mode="bicubic").clamp(-1, 1)[0]
    frames = torch.stack([wide[:, 24 - i * dy:24 - i * dy + side, 24 - i * dx:24 - i * dx + side] for i in range(f)])
    flow = torch.tensor([float(dx), float(dy)]).expand(f - 1, side, side, 2)
    return frames, flow, -flow


def test_a_translated_picture_has_no_warp_error():
    frames, flow, back = translated()
    assert warp_error(frames, flow, back) < 1e-9
    assert warp_error(frames, -flow, -back) > 1


def test_warp_error_by_hand():
    """Nothing moves; one of four pixels jumps by half the range, once in two pairs: 1000 * 0.25 / 4 / 2."""
    frames = torch.zeros(3, 3, 2, 2)
    frames[2, :, 0, 0] = 1.0
    still = torch.zeros(2, 2, 2, 2)
    assert warp_error(frames, still, still) == pytest.approx(1000 * 0.25 / 4 / 2)


def test_what_leaves_the_picture_is_not_visible():
    _, flow, back = translated()
    seen = visible(flow, back)
    assert not seen[:, :, -3:].any() and not seen[:, :2].any() and seen[:, 2:, :-3].all()


def test_what_is_covered_is_not_visible():
    """A thing on columns 8 to 15 moves 4 to the right over a ground that stands still: it covers columns 16 to 19."""
    flow, back = torch.zeros(1, 32, 32, 2), torch.zeros(1, 32, 32, 2)
    flow[:, :, 8:16, 0], back[:, :, 12:20, 0] = 4.0, -4.0
    seen = visible(flow, back)
    assert not seen[:, :, 16:20].any()
    assert seen[:, :, :16].all() and seen[:, :, 20:].all()


def test_frames_are_read_between_pixels():
    ramp = torch.arange(8.0).expand(1, 1, 4, 8)
    read, there = warped(ramp, torch.tensor([0.5, 0.0]).expand(1, 4, 8, 2))
    assert torch.allclose(read[..., :7], ramp[..., :7] + 0.5) and not there[..., 7].any() and there[..., :7].all()


def test_motion_error_by_hand_and_at_twice_the_size():
    a, b = torch.zeros(1, 10, 20, 2), torch.tensor([3.0, 4.0]).expand(1, 10, 20, 2)
    assert motion_error(a, b) == pytest.approx(50)      # 5 pixels of 10
    assert motion_error(torch.zeros(1, 20, 40, 2), 2 * b.repeat(1, 2, 2, 1)) == pytest.approx(50)


def test_estimated_motion_is_the_true_one():
    pytest.importorskip("cv2", reason="OpenCV is not installed")
    frames, flow, _ = translated(2, -1, side=40)
    inner = (estimated(frames) - flow)[:, 8:-8, 8:-8].norm(dim=-1)
    assert inner.mean() < 0.2
    assert estimated(frames[:1]).shape == (0, 40, 40, 2)


def test_motion_is_stable_under_resolution():
    """The same edit at 64 and 128 pixels: ours change by less than half, the published motion alignment doubles."""
    pytest.importorskip("cv2", reason="OpenCV is not installed")
    found = {}
    for side in (64, 128):
        scene = Scene.sample(5, size=(side, side), frames=4)
        source, (there, back) = video(scene)[:], materials.flows(scene)
        m = Material(source[[0, 2, 1, 3]], source, flow=there, flow_back=back)
        found[side] = {name: abs(METRICS[name](m)) for name in ("warp_error_true", "motion_error", "motion_alignment_legacy")}
    ratios = {name: found[128][name] / found[64][name] for name in found[64]}
    assert 0.67 < ratios["warp_error_true"] < 1.5 and 0.67 < ratios["motion_error"] < 1.5
    assert ratios["motion_alignment_legacy"] == pytest.approx(2 * ratios["motion_error"])


def test_the_clip_itself_warps_better_along_its_own_motion_than_a_shuffled_one():
    edits = materials.others()
    warp = METRICS["warp_error_true"]
    assert warp(edits["identity"]) < warp(edits["shuffled"]) / 2
    assert warp(edits["black"]) == 0                    # the metric's blind spot, as documented


def test_editboards_traps():
    """FF-alpha is perfect where the source cannot be warped; FF-beta of a clip that stands still is the worst, of itself."""
    pytest.importorskip("cv2", reason="OpenCV is not installed")
    noise = materials.drawn(3, 3, 32, 32).clamp(-1, 1)
    ruined = Material(materials.drawn(3, 3, 32, 32, seed=1).clamp(-1, 1), noise)
    assert METRICS["ff_alpha_legacy"](ruined) == 0
    still = torch.zeros(3, 3, 32, 32)
    assert METRICS["ff_beta_legacy"](Material(still, still)) == pytest.approx(1)
    assert METRICS["motion_error"](Material(still, still)) == 0


def test_semantic_score_by_hand():
    m = materials.material()
    brighter = replace(m, source=torch.full_like(m.source, -1.0), edit=torch.full_like(m.edit, -1.0))
    brighter.edit[:, 1] += 20 / 127.5                   # one colour of three, 20 grey levels
    assert METRICS["semantic_score_legacy"](brighter) == pytest.approx(20)
