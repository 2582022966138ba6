"""NLL = s·loss + c for every loss with a partner, to 1e-12; and no such relation for the losses without one."""

import math
from functools import partial

import pytest
import torch
import yaml
from app_cases import CONFIGS
from objective_cases import Function, batch, build, space_of
from scipy.integrate import quad
from torch import Tensor

from mlnn import objectives as o
from mlnn.errors import ConfigError, unknown
from mlnn.objectives import PARTNERS, Objective, likelihood_of
from mlnn.targets import TargetSpace

HALF_LOG_TWO_PI = 0.9189385332046727
f64 = torch.float64


def zero(y: Tensor) -> Tensor:
    return torch.zeros(len(y), dtype=f64)


def constant(value: float) -> Function:
    return lambda y: zero(y) + value


def negative_binomial(theta: float) -> Function:
    return lambda y: -(torch.lgamma(y + theta) - math.lgamma(theta) - torch.lgamma(y + 1) + theta * math.log(theta))


def huber_constant(delta: float) -> float:
    """log ∫ exp(−h(r)) dr by quadrature; for δ = 1 it is 1.0730585907."""
    parts = [
        quad(lambda r: math.exp(-(r**2) / 2), 0, delta),
        quad(lambda r: math.exp(-delta * (r - delta / 2)), delta, 60),
    ]
    return math.log(2 * sum(part[0] for part in parts))


# loss, the likelihood it is said to be, s, c(y): the constants are closed forms or published digits, not mlnn's own.
RELATIONS = {
    "bce": (o.bce, o.Bernoulli(), 1, zero),
    "bce_with_logits": (o.bce_with_logits, o.Bernoulli(), 1, zero),
    "soft_margin": (o.soft_margin, o.Bernoulli(), 1, zero),
    "bernoulli_nll_log1p": (o.bernoulli_nll_log1p, o.Bernoulli(), 1, zero),
    "bernoulli_nll_naive": (o.bernoulli_nll_naive, o.Bernoulli(), 1, zero),
    "cross_entropy": (o.cross_entropy, o.Categorical(), 1, zero),
    "nll_loss": (o.nll_loss, o.Categorical(), 1, zero),
    "kl_divergence": (o.kl_divergence, o.Categorical(), 1, zero),
    "mse": (o.mse, o.Normal(), 0.5, constant(HALF_LOG_TWO_PI)),
    "mse, sigma 3": (o.mse, o.Normal(3.0), 1 / 18, constant(HALF_LOG_TWO_PI + math.log(3))),
    "gaussian_nll": (o.gaussian_nll, o.NormalLearnedVariance(), 1, constant(HALF_LOG_TWO_PI)),
    "l1": (o.l1, o.Laplace(), 1, constant(math.log(2))),
    "huber": (o.huber, o.HuberDensity(), 1, constant(huber_constant(1.0))),
    "huber, delta ½": (partial(o.huber, delta=0.5), o.HuberDensity(0.5), 1, constant(huber_constant(0.5))),
    "smooth_l1": (partial(o.smooth_l1, delta=0.5), o.HuberDensity(0.5), 0.5, constant(huber_constant(0.5))),
    "poisson_nll": (o.poisson_nll, o.Poisson(), 1, lambda y: torch.lgamma(y + 1)),
    "pinball": (partial(o.pinball, tau=0.9), o.AsymmetricLaplace(0.9), 1, constant(-math.log(0.09))),
    "log_cosh": (o.log_cosh, o.HyperbolicSecant(), 1, constant(math.log(math.pi))),
    "epsilon_insensitive": (
        partial(o.epsilon_insensitive, epsilon=0.7), o.FlatToppedLaplace(0.7), 1, constant(math.log(3.4)),
    ),
    "cosine": (o.cosine, o.VonMises(), 1, constant(math.log(2 * math.pi * 1.2660658777520084) - 1)),
    "gamma_loss": (o.gamma_loss, o.Gamma(), 1, zero),
    "gamma_loss, shape 2": (
        partial(o.gamma_loss, shape=2.0), o.Gamma(2.0), 2, lambda y: -2 * math.log(2) - torch.log(y),
    ),
    "negative_binomial_loss": (
        partial(o.negative_binomial_loss, theta=2.5), o.NegativeBinomial(2.5), 1, negative_binomial(2.5),
    ),
}  # fmt: skip


def check_relation(loss: object, likelihood: object, scale: float, shift: Function) -> None:
    """NLL = s·loss + c in float64 within 1e-12, and its gradient s times the loss's."""
    targets = Objective.of(likelihood, space_of(likelihood)).targets
    z, y = batch(targets, f64, rows=200)
    z.requires_grad_()
    value, nll = loss(z, y), likelihood.nll(z, y)
    torch.testing.assert_close(scale * value + shift(y), nll, rtol=1e-12, atol=1e-12)
    slopes = [torch.autograd.grad(rows.sum(), z, retain_graph=True)[0] for rows in (scale * value, nll)]
    torch.testing.assert_close(*slopes, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", RELATIONS)
def test_the_nll_is_the_loss_up_to_s_and_c(name: str) -> None:
    loss, likelihood, scale, shift = RELATIONS[name]
    check_relation(loss, likelihood, scale, shift)
    for wrong in ((scale * (1 + 1e-9), shift), (scale, lambda y: shift(y) + 1e-9)):
        with pytest.raises(AssertionError):
            check_relation(loss, likelihood, *wrong)


def test_the_huber_constant_is_the_published_one() -> None:
    assert huber_constant(1.0) == pytest.approx(1.0730585907, abs=5e-11)


def test_every_partner_is_tested_and_known() -> None:
    losses = {getattr(loss, "func", loss) for loss, *_ in RELATIONS.values()}
    assert losses == set(PARTNERS)
    for name, (loss, likelihood, *_) in RELATIONS.items():
        if name != "mse, sigma 3":
            found = likelihood_of(Objective.of(loss, space_of(likelihood)))
            assert type(found) is type(likelihood)
            assert vars(found) == vars(likelihood)


def test_a_likelihood_is_its_own_partner_and_a_stranger_has_none() -> None:
    normal = o.Normal(2.0)
    real, binary = TargetSpace("real"), TargetSpace("binary")
    assert likelihood_of(Objective.of(normal, real)) is normal
    for stranger in (o.hinge, o.bernoulli_nll_clipped, lambda z, y: z * y, torch.nn.MSELoss()):
        assert likelihood_of(Objective.of(stranger, binary)) is None
    # BCE of the sigmoid of a probability is no Bernoulli NLL any more.
    assert likelihood_of(Objective.of(o.bce, binary, "probabilities")) is None


WITHOUT = {  # Z(f) = Σ exp(−loss) over the targets, at some outputs: closed forms
    "hinge": [(0.0, 2 / math.e), (1.0, 1 + math.exp(-2))],
    "squared_hinge": [(0.0, 2 / math.e), (1.0, 1 + math.exp(-4))],
    "exponential": [(0.0, 2 / math.e), (3.0, math.exp(-math.exp(-3)) + math.exp(-math.exp(3)))],
    "brier": [(0.0, 2 * math.exp(-0.25)), (1000.0, 1 + math.exp(-1))],
    "mae_on_sigmoid": [(0.0, 2 * math.exp(-0.5)), (1000.0, 1 + math.exp(-1))],
    "focal": [(0.0, 2 * 0.5**0.25), (1000.0, 1.0)],
    "weighted_bce": [(0.0, 0.5**2 + 0.5), (1000.0, 1.0)],
    "label_smoothing": [(0.0, 1.0), (1000.0, 0.0)],
    "weighted_cross_entropy": [(0.0, 0.25 + 0.25**2 + 0.25**3 + 0.25**4), (1000.0, 1.0)],
    "multi_margin": [(0.0, 4 * math.exp(-0.75)), (1.0, math.exp(0) + 3 * math.exp(-(2 + 1 + 1) / 4))],
}


@pytest.mark.parametrize("name", WITHOUT)
def test_a_loss_without_a_partner_has_a_normaliser_that_moves(name: str) -> None:
    """Z(f) is as computed by hand, so the loss is the one it is named after, and it is not constant."""
    objective = build(name)
    found = []
    for strength, expected in WITHOUT[name]:
        if objective.targets.kind == "classes":
            z, y = strength * torch.eye(4, dtype=f64)[:1].expand(4, 4), torch.arange(4)
        else:
            z, y = torch.full((2,), strength, dtype=f64), torch.tensor([0.0, 1.0], dtype=f64)
        found.append(torch.exp(-objective.rows(z, y)).sum().item())
        assert found[-1] == pytest.approx(expected, rel=1e-12, abs=1e-12)
    assert abs(found[0] - found[1]) > 0.1
    assert likelihood_of(objective) is None


def test_weights_of_another_number_of_classes_are_refused() -> None:
    z, y = batch(TargetSpace("classes", 4), f64)
    expected = torch.tensor([1.0, 1, 1, 9], dtype=f64)[y] * o.cross_entropy(z, y)
    torch.testing.assert_close(o.weighted_cross_entropy(z, y, [1.0, 1, 1, 9]), expected)
    with pytest.raises(ConfigError, match=r"objective\.weight: 3 weights for 4 classes"):
        o.weighted_cross_entropy(z, y, [1.0, 2.0, 3.0])


def test_the_framework_holds_a_learned_variance_at_1e_6() -> None:
    """Below log variance −13.8 its forward stays put, and the likelihood goes on."""
    z, y = torch.tensor([[0.0, -14.0]], dtype=f64), torch.tensor([0.01], dtype=f64)
    assert o.gaussian_nll(z, y).item() == pytest.approx(0.5 * (1e-4 / 1e-6 + math.log(1e-6)), rel=1e-12)
    assert o.NormalLearnedVariance().nll(z, y).item() - HALF_LOG_TWO_PI == pytest.approx(
        0.5 * (1e-4 * math.exp(14) - 14)
    )


def test_every_pair_names_a_relation_that_is_tested() -> None:
    tested = {(getattr(loss, "func", loss).__name__, type(likelihood)) for loss, likelihood, *_ in RELATIONS.values()}
    for path in (CONFIGS / "pair").glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        left, right = (next(iter(part.values())) for part in yaml.safe_load(text)["defaults"])
        likelihood = likelihood_of(build(right))
        assert (left, type(likelihood)) in tested, path.name
        assert path.stem == "bernoulli" or ("NLL = " in text and "Data that fit: " in text), path.name


def test_an_objective_that_is_not_there_is_answered_with_the_nearest_few() -> None:
    names = [path.stem for path in (CONFIGS / "objective").glob("*.yaml")]
    message = unknown("objective", "poison", names)
    assert "Did you mean 'poisson'?" in message
    assert f"({len(names)} in all)" in message
    assert len(message) < 300
    assert "Choices: a, b" in unknown("objective", "x", ["b", "a"])
