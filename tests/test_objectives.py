"""One battery over every YAML in configs/objective: rows, derivative, stated domain, extremes; each check can fail.

Rows and derivative are checked in every target space. The Bernoulli family, one formula written in many ways, is held to
its closed form and its extremes; every other objective to its own float64 answer, on the raw outputs that it states.
"""

from collections.abc import Callable

import pytest
import torch
from objective_cases import BINARY, CONFIGS, Function, at, batch, bent, build, point, reference, scaled, softplus_form
from torch import Tensor

from mlnn.errors import ConfigError
from mlnn.objectives import bce, bernoulli_nll_log1p, poisson_nll
from mlnn.targets import TargetSpace

STATED = {  # the raw outputs on which value and gradient follow the formula in float32, by the docstrings
    "bce": (-27.0, 16.0),
    "bce_with_logits": (-1000.0, 1000.0),
    "bernoulli_nll": (-1000.0, 1000.0),
    "bernoulli_nll_clipped": (-15.9, 15.9),
    "bernoulli_nll_log1p": (-1000.0, 1000.0),
    "bernoulli_nll_naive": (-27.0, 16.0),
    "soft_margin": (-16.0, 16.0),
}
ALL = (-1000.0, 1000.0)
OWN = {  # the others: the raw outputs on which float32 follows float64; a narrower interval is where float32 ends
    "asymmetric_laplace": ALL,
    "bernoulli_probit": ALL,
    "beta": (-85.0, 85.0),
    "brier": ALL,
    "categorical": ALL,
    "cosine": ALL,
    "cross_entropy": ALL,
    "epsilon_insensitive": ALL,
    "exponential": (-88.0, 88.0),
    "flat_topped_laplace": ALL,
    "focal": ALL,
    "gamma": (-85.0, 1000.0),
    "gamma_loss": (-85.0, 1000.0),
    "gaussian_nll": (-1000.0, 85.0),
    "hinge": ALL,
    "huber": ALL,
    "huber_density": ALL,
    "hyperbolic_secant": ALL,
    "kl_divergence": ALL,
    "l1": ALL,
    "label_smoothing": ALL,
    "laplace": ALL,
    "log_cosh": ALL,
    "mae_on_sigmoid": ALL,
    "mse": ALL,
    "multi_margin": ALL,
    "negative_binomial": ALL,
    "negative_binomial_loss": (-1000.0, 88.0),
    "nll_loss": ALL,
    "normal": ALL,
    "normal_learned_variance": (-80.0, 1000.0),
    "pinball": ALL,
    "poisson": (-1000.0, 88.0),
    "poisson_nll": (-1000.0, 88.0),
    "smooth_l1": ALL,
    "squared_hinge": ALL,
    "student_t": ALL,
    "von_mises": ALL,
    "weighted_bce": ALL,
    "weighted_cross_entropy": ALL,
}
THROUGH_P = ("bce", "bernoulli_nll_clipped", "bernoulli_nll_naive")
every_config = pytest.mark.parametrize("config", CONFIGS)


def check_rows(function: Function, targets: TargetSpace = BINARY) -> None:
    """One value per row, that row's own, in the dtype of the output; finite, and not negative where the target is discrete.

    (A likelihood of a binary or class target is a probability, and no loss of one is negative either.)
    """
    for dtype in (torch.float32, torch.float64):
        z, y = batch(targets, dtype)
        value = function(z, y)
        assert value.shape == z.shape[:1]
        assert value.dtype == dtype
        assert torch.isfinite(value).all()
        assert (value >= 0).all() or targets.kind not in ("binary", "classes")
        alone = torch.cat([function(z[i : i + 1], y[i : i + 1]) for i in range(len(z))])
        # A vector unit may round differently from the scalar code of a single row.
        assert (alone - value).abs().max() <= 4 * torch.finfo(dtype).eps * value.abs().max()


def gradient_of(function: Function, z: Tensor, y: Tensor) -> Tensor:
    z = z.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(function(z, y).sum(), z)
    return gradient


def check_derivative(function: Function, targets: TargetSpace = BINARY) -> None:
    """Gradient against a central difference in float64, off by step² × third derivative and rounding/step: 1e-9 of it.

    No drawn row lies within a step of a kink (of a hinge, an absolute value): there no difference would be small.
    """
    step = 1e-5
    z, y = batch(targets, torch.float64)
    gradient = gradient_of(function, z, y).reshape(len(z), -1)
    for column, slope in enumerate(gradient.T):
        move = torch.zeros_like(z.reshape(len(z), -1))
        move[:, column] = step
        difference = function(z + move.reshape(z.shape), y) - function(z - move.reshape(z.shape), y)
        scale = 1 + slope.abs() + function(z, y).detach().abs()
        assert ((slope - difference / (2 * step)).abs() < 2e-9 * scale).all()


def on_interval(targets: TargetSpace, low: float, high: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Raw outputs over an interval and the targets of a batch against each; with several outputs one runs, the rest are 0."""
    z = torch.linspace(low, high, 301, dtype=torch.float64).to(dtype)
    _, y = batch(targets, dtype)
    z, y = z.repeat_interleave(len(y)), y.repeat(len(z))
    if targets.outputs > 1:
        z = torch.cat([torch.zeros(len(z), targets.outputs - 1, dtype=dtype), z[:, None]], 1)
    return z, y


def check_own(function: Function, targets: TargetSpace, low: float, high: float) -> None:
    """float32 within 64 eps of float64 at the very same raw outputs and targets, values and gradients.

    The yardstick is the size of the terms that a formula adds up: value, gradient, and output times target.
    """
    z, y = on_interval(targets, low, high, torch.float32)
    exact = y if y.dtype == torch.int64 else y.double()
    eps = torch.finfo(torch.float32).eps
    strength = z.double().reshape(len(z), -1)[:, -1].abs()
    terms = (1 + strength) * (1 + exact.abs())
    value, true = function(z, y).double(), function(z.double(), exact)
    assert ((value - true).abs() <= 64 * eps * (terms + true.abs())).all()
    slope, true_slope = gradient_of(function, z, y).double(), gradient_of(function, z.double(), exact)
    wide = (terms + true.abs()).reshape(-1, *[1] * (z.ndim - 1))
    assert torch.isfinite(true_slope).all()
    assert ((slope - true_slope).abs() <= 64 * eps * (wide + true_slope.abs())).all()


def check_domain(function: Function, low: float, high: float, through_p: bool, dtype: torch.dtype) -> None:
    """Values within 2 eps of max(1, |z|), gradients within 2 eps, against the stable float64 reference.

    log(1 − p) from a p known to two units in its last place, eps/2 each, may be off by eps/(1 − p) ≈ eps · e^z more.
    """
    eps = torch.finfo(dtype).eps
    z = torch.linspace(low, high, 2001, dtype=torch.float64).to(dtype)
    for y in (0.0, 1.0):
        value, gradient = at(function, z, y, dtype)
        true_value, true_gradient = reference(z, torch.tensor(y))
        allowed = 2 * eps * z.double().abs().clamp(min=1)
        if through_p:
            allowed = allowed + eps * z.double().exp()
        assert ((value.double() - true_value).abs() <= allowed).all()
        assert ((gradient.double() - true_gradient).abs() <= 2 * eps).all()


def check_exact_far_out(function: Function, dtype: torch.dtype) -> None:
    for z, y, expected in (
        (1000.0, 0.0, (1000, 1)),
        (1000.0, 1.0, (0, 0)),
        (-1000.0, 0.0, (0, 0)),
        (-1000.0, 1.0, (1000, -1)),
    ):
        assert point(function, z, y, dtype) == expected


def check_hundred_far_out(function: Function, dtype: torch.dtype) -> None:
    for z, y, expected in ((1000.0, 0.0, 100), (1000.0, 1.0, 0), (-1000.0, 0.0, 0), (-1000.0, 1.0, 100)):
        assert point(function, z, y, dtype) == (expected, 0)


def check_clipped_far_out(function: Function, dtype: torch.dtype) -> None:
    low = torch.tensor(1e-7, dtype=dtype)
    edges = {0.0: 1 - (1 - low), 1.0: low}  # the probability left for a wrong target; 1 − 1e-7 rounds in float32
    for z, y in ((1000.0, 0.0), (-1000.0, 1.0)):
        assert point(function, z, y, dtype) == (pytest.approx(-edges[y].log().item(), rel=1e-6), 0)
        assert point(function, -z, y, dtype) == (pytest.approx(1e-7, rel=0.2), 0)


def check_nan_far_out(function: Function, dtype: torch.dtype) -> None:
    """0 · log 0 where the answer is right; ∞ where it is wrong; the gradient is NaN in both."""
    for z, y in ((1000.0, 0.0), (1000.0, 1.0), (-1000.0, 0.0), (-1000.0, 1.0)):
        value, gradient = at(function, z, y, dtype)
        assert value.isnan() if (z > 0) == (y == 1) else value.isposinf()
        assert gradient.isnan()


FAR_OUT = {
    "bce": check_hundred_far_out,
    "bce_with_logits": check_exact_far_out,
    "bernoulli_nll": check_exact_far_out,
    "bernoulli_nll_clipped": check_clipped_far_out,
    "bernoulli_nll_log1p": check_exact_far_out,
    "bernoulli_nll_naive": check_nan_far_out,
}


def check_overflow_far_out(function: Function, dtype: torch.dtype) -> None:
    """e^(−u) overflows for a wrong answer: ∞ and no gradient; a right one is 0 and flat."""
    for z, y in ((1000.0, 0.0), (-1000.0, 1.0)):
        value, gradient = at(function, z, y, dtype)
        assert value.isposinf()
        assert gradient.isnan()
        assert point(function, -z, y, dtype) == (0, 0)


FAR_OUT["soft_margin"] = check_overflow_far_out
both_dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


bernoulli_family = pytest.mark.parametrize("config", STATED)
the_others = pytest.mark.parametrize("config", OWN)


def test_every_config_states_its_domain_and_its_extremes() -> None:
    assert set(STATED) == set(FAR_OUT)
    assert set(CONFIGS) == {*STATED, *OWN}
    assert not set(STATED) & set(OWN)


@every_config
def test_one_value_per_row_in_the_dtype_given(config: str) -> None:
    objective = build(config)
    check_rows(objective.rows, objective.targets)


@every_config
def test_the_gradient_is_the_derivative(config: str) -> None:
    objective = build(config)
    check_derivative(objective.rows, objective.targets)


@bernoulli_family
@both_dtypes
def test_value_and_gradient_on_the_stated_domain(config: str, dtype: torch.dtype) -> None:
    check_domain(build(config).rows, *STATED[config], through_p=config in THROUGH_P, dtype=dtype)


@bernoulli_family
@both_dtypes
def test_extreme_outputs_give_what_is_documented(config: str, dtype: torch.dtype) -> None:
    FAR_OUT[config](build(config).rows, dtype)


@the_others
def test_float32_follows_float64_on_the_stated_domain(config: str) -> None:
    objective = build(config)
    check_own(objective.rows, objective.targets, *OWN[config])


@pytest.mark.parametrize("config", [config for config, stated in OWN.items() if stated != ALL])
def test_the_stated_domain_is_no_narrower_than_it_must_be(config: str) -> None:
    objective = build(config)
    for end, other in (OWN[config], reversed(OWN[config])):
        if abs(end) < 1000:
            with pytest.raises(AssertionError):
                check_own(objective.rows, objective.targets, *sorted((1.3 * end, other)))


@every_config
def test_targets_of_another_space_are_refused(config: str) -> None:
    kind = "real" if build(config).targets.kind == "classes" else "classes"
    with pytest.raises(ConfigError, match=rf"takes .* targets, but the data's are '{kind}"):
        build(config, TargetSpace(kind, 4 if kind == "classes" else None))


def domain(function: Function, low: float = -30.0, high: float = 30.0) -> None:
    check_domain(function, low, high, through_p=False, dtype=torch.float32)


def log1p_in(dtype: torch.dtype) -> Function:
    return lambda z, y: bernoulli_nll_log1p(z.to(dtype), y.to(dtype))


COUNTS = TargetSpace("counts")


def own(function: Function) -> None:
    check_own(function, COUNTS, -50.0, 50.0)


def derivative_of_counts(function: Function) -> None:
    check_derivative(function, COUNTS)


PLANTED: dict[str, tuple[Callable[[Function], None], Function]] = {
    "reduced": (check_rows, lambda z, y: bernoulli_nll_log1p(z, y).mean()),
    "broadcast": (check_rows, lambda z, y: bernoulli_nll_log1p(z[:, None], y).mean(1)),
    "row dropped": (check_rows, lambda z, y: bernoulli_nll_log1p(z, y)[1:]),
    "upcast": (check_rows, log1p_in(torch.float64)),
    "downcast": (check_rows, log1p_in(torch.float32)),
    "negative": (check_rows, scaled(1.0, shift=-0.1)),
    "coupled rows": (check_rows, lambda z, y: bernoulli_nll_log1p(z - 1e-4 * z.mean(), y)),
    "NaN": (check_rows, lambda z, y: torch.where(z > 2, torch.nan, 1.0) * bernoulli_nll_log1p(z, y)),
    "bent gradient": (check_derivative, bent(1e-8)),
    "detached": (check_derivative, lambda z, y: bernoulli_nll_log1p(z, y) + 1e-6 * (z * z).detach()),
    "another factor": (domain, scaled(1 + 1e-6)),
    "another shift": (domain, scaled(1.0, shift=1e-5)),
    "bent in the domain": (domain, bent(1e-6)),
    "bce beyond its domain": (domain, bce),
    "rounded": (own, lambda z, y: poisson_nll(z.half().to(z), y)),
    "clipped": (own, lambda z, y: poisson_nll(z.clamp(max=49 if z.dtype == torch.float32 else 60), y)),
    "bent gradient of counts": (derivative_of_counts, lambda z, y: poisson_nll(z, y) + 1e-7 * (z - z.detach())),
    "not exact": (lambda f: check_exact_far_out(f, torch.float32), scaled(1 + 1e-6)),
    "not a hundred": (lambda f: check_hundred_far_out(f, torch.float32), bernoulli_nll_log1p),
    "not clipped": (lambda f: check_clipped_far_out(f, torch.float32), bce),
    "not overflowing": (lambda f: check_overflow_far_out(f, torch.float32), bernoulli_nll_log1p),
    "not NaN": (lambda f: check_nan_far_out(f, torch.float32), bernoulli_nll_log1p),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_the_checks_fail_on_a_planted_fault(fault: str) -> None:
    check, planted = PLANTED[fault]
    with pytest.raises(AssertionError):
        check(planted)


def test_the_checks_that_fail_on_faults_pass_on_the_right_formula() -> None:
    for check in (check_rows, check_derivative, domain):
        check(bernoulli_nll_log1p)
    for check in (own, derivative_of_counts):
        check(poisson_nll)
    check_domain(softplus_form, -1000.0, 1000.0, through_p=False, dtype=torch.float32)
