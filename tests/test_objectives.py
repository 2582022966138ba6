"""One battery over every YAML in configs/objective: rows, derivative, stated domain, extremes; each check can fail.

Rows and derivative are checked in every target space. The Bernoulli family, one formula written in many ways, is held to
its closed form and its extremes; every other objective to its own float64 answer, on the raw outputs that it states.
"""

from collections.abc import Callable

import pytest
import torch
from objective_cases import CONFIGS, Function, bent, build, scaled, softplus_form
from objective_checks import (
    FAR_OUT,
    check_clipped_far_out,
    check_derivative,
    check_domain,
    check_exact_far_out,
    check_hundred_far_out,
    check_nan_far_out,
    check_overflow_far_out,
    check_own,
    check_rows,
)

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
    "hurdle_negative_binomial": ALL,
    "hurdle_poisson": ALL,
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
    "ordinal": (-1000.0, 87.0),
    "pinball": ALL,
    "poisson": (-1000.0, 88.0),
    "poisson_nll": (-1000.0, 88.0),
    "smooth_l1": ALL,
    "squared_hinge": ALL,
    "student_t": ALL,
    "von_mises": ALL,
    "weighted_bce": ALL,
    "weighted_cross_entropy": ALL,
    "zero_inflated_negative_binomial": ALL,
    "zero_inflated_poisson": ALL,
}
THROUGH_P = ("bce", "bernoulli_nll_clipped", "bernoulli_nll_naive")
every_config = pytest.mark.parametrize("config", CONFIGS)


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
