"""Classifier guidance where the guided score is known in closed form, and the classifier of the world's noisy latents."""

from dataclasses import replace
from math import log

import networks
import pytest
import torch
from networks import relative

from newtake.errors import BadInput
from newtake.guidance import by_classifier, cfg
from newtake.levels import READ, Level, Prediction
from newtake.world.classifier import Classifier

AT = Level(500, 0.8, 0.6, 1, 4)
MEANS, SPREAD = (1.5, -0.5), 0.7                        # of two equally likely classes, x0 ~ N(mean, spread^2)
NOISY = AT.alpha ** 2 * SPREAD ** 2 + AT.sigma ** 2     # variance of z_t in a class
Z = networks.drawn(2, 3, 1, 1, 1)


def log_joint(z):
    """log p(z_t, y) of both classes, on a last axis."""
    return torch.stack([-(z - AT.alpha * mean) ** 2 / (2 * NOISY) + log(0.5) for mean in MEANS], -1)


def log_p(z, at):
    """log p(y = 0 | z_t, t)"""
    return log_joint(z).log_softmax(-1)[..., 0].flatten(2).sum(2)


def unconditional(kind: str) -> Prediction:
    """What a perfect network of this kind says without the class."""
    share = log_joint(Z).softmax(-1)
    x0 = sum(share[..., i] * (mean + SPREAD ** 2 * AT.alpha / NOISY * (Z - AT.alpha * mean)) for i, mean in enumerate(MEANS))
    eps = (Z - AT.alpha * x0) / AT.sigma
    out = {"epsilon": eps, "sample": x0, "v_prediction": AT.alpha * eps - AT.sigma * x0}[kind]
    assert relative(READ[kind][1](out, Z, AT), eps) < 1e-12
    return Prediction(kind, out, Z, AT)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_the_guided_score_is_that_of_the_class(kind):
    """At scale 1 Bayes' rule: eps = -sigma grad log p(z_t | y)."""
    guided = by_classifier(1.0, log_p, inner=cfg(1))(None, unconditional(kind), AT)
    assert guided.kind == "epsilon"
    assert relative(guided.eps, AT.sigma * (Z - AT.alpha * MEANS[0]) / NOISY) < 1e-12


def test_more_scale_more_likely():
    said = [by_classifier(scale, log_p, inner=cfg(1))(None, unconditional("epsilon"), AT) for scale in (0.0, 1.0, 4.0)]
    assert relative(said[0].eps, unconditional("epsilon").eps) < 1e-12
    likely = [log_p(AT.alpha * p.x0, AT).sum() for p in said]
    assert likely[0] < likely[1] < likely[2]


def test_around_another_guidance_and_of_free_rows_only():
    """The shift is added to what the inner guidance says, of the latents it says it of."""
    prompted, null = unconditional("epsilon"), unconditional("epsilon")
    null = replace(null, out=null.out + 0.3)
    inner = cfg(3.0)(null, prompted, AT)
    shift = by_classifier(2.0, log_p, inner=cfg(1))(None, prompted, AT).out - prompted.out
    assert relative(by_classifier(2.0, log_p, inner=cfg(3.0))(null, prompted, AT).out, inner.out + shift) < 1e-12
    assert not prompted.z.requires_grad and not shift.requires_grad


def test_a_network_is_guided_without_gradients():
    """In a pass of a network nothing else changes, and no gradient is asked of its weights."""
    model, ask = networks.model(), networks.asked()
    at, z = model.levels(4)[1], networks.clip(2, 4, 4)
    guidance = by_classifier(1.0, lambda z, at: -z.square().flatten(2).sum(2) / 2, inner=cfg(7.5))
    guided = model.guided(z, at, ask.source, ask.null, guidance)
    plain = model.guided(z, at, ask.source, ask.null, cfg(7.5))
    assert relative(guided.eps, plain.eps + at.sigma * z) < 1e-12 and not guided.out.requires_grad


def test_the_classifier_of_the_world():
    torch.manual_seed(0)
    classifier = Classifier().eval().requires_grad_(False)
    assert sum(p.numel() for p in classifier.parameters()) < 500_000
    z = networks.drawn(2, 3, 6, 16, 12).float()
    both, object_, colour = (classifier.wanted(**said) for said in (dict(object="fish", colour="blue"), dict(object="fish"),
                                                                    dict(colour="blue")))
    assert both(z, AT).shape == (2, 3) and relative(both(z, AT), object_(z, AT) + colour(z, AT)) < 1e-6
    assert (both(z, AT) < 0).all() and not torch.equal(both(z, AT), both(z, replace(AT, alpha=0.6, sigma=0.8)))
    said = classifier(z.flatten(0, 1), torch.zeros(6))
    assert all(relative(logs.exp().sum(-1), torch.ones(6)) < 1e-5 for logs in said.values())
    p = Prediction("epsilon", z, z, AT)
    nearer = by_classifier(100.0, both, inner=cfg(1))(None, p, AT)
    assert nearer.out.isfinite().all() and not torch.equal(nearer.out, p.out)
    for wrong in (dict(object="dragon"), dict(mood="happy")):
        with pytest.raises(BadInput, match=r"in the world; it has objects ball"):
            classifier.wanted(**wrong)
