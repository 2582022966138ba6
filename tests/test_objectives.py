"""One battery over every YAML in configs/objective: rows, derivative, stated domain, extremes; each check can fail."""

from collections.abc import Callable

import pytest
import torch
from objective_cases import CONFIGS, Function, at, bent, build, point, reference, scaled, softplus_form
from torch import Tensor

from mlnn.objectives import bce, bernoulli_nll_log1p

STATED = {  # the raw outputs on which value and gradient follow the formula in float32, by the docstrings
    "bce": (-27.0, 16.0),
    "bce_with_logits": (-1000.0, 1000.0),
    "bernoulli_nll": (-1000.0, 1000.0),
    "bernoulli_nll_clipped": (-15.9, 15.9),
    "bernoulli_nll_log1p": (-1000.0, 1000.0),
    "bernoulli_nll_naive": (-27.0, 16.0),
}
THROUGH_P = ("bce", "bernoulli_nll_clipped", "bernoulli_nll_naive")
every_config = pytest.mark.parametrize("config", CONFIGS)


def moderate(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    draws = torch.Generator().manual_seed(0)
    z = 3 * torch.randn(37, generator=draws, dtype=torch.float64)
    return z.to(dtype), (torch.rand(37, generator=draws) < 0.5).to(dtype)


def check_rows(function: Function) -> None:
    """One value per row, that row's own, in the dtype of the output; finite, and not negative as a Bernoulli NLL is."""
    for dtype in (torch.float32, torch.float64):
        z, y = moderate(dtype)
        value = function(z, y)
        assert value.shape == z.shape
        assert value.dtype == dtype
        assert torch.isfinite(value).all()
        assert (value >= 0).all()
        alone = torch.cat([function(z[i : i + 1], y[i : i + 1]) for i in range(len(z))])
        # A vector unit may round differently from the scalar code of a single row.
        assert (alone - value).abs().max() <= 4 * torch.finfo(dtype).eps * value.abs().max()


def check_derivative(function: Function) -> None:
    """Gradient against a central difference in float64, off by step² × third derivative and rounding/step: 1e-10."""
    step = 1e-5
    for y in (0.0, 1.0):
        z = torch.linspace(-4.05, 4.05, 28, dtype=torch.float64)
        up, down = at(function, z + step, y)[0], at(function, z - step, y)[0]
        assert (at(function, z, y)[1] - (up - down) / (2 * step)).abs().max() < 1e-9


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
both_dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


def test_every_config_states_its_domain_and_its_extremes() -> None:
    assert set(CONFIGS) == set(STATED) == set(FAR_OUT)


@every_config
def test_one_value_per_row_in_the_dtype_given(config: str) -> None:
    check_rows(build(config).rows)


@every_config
def test_the_gradient_is_the_derivative(config: str) -> None:
    check_derivative(build(config).rows)


@every_config
@both_dtypes
def test_value_and_gradient_on_the_stated_domain(config: str, dtype: torch.dtype) -> None:
    check_domain(build(config).rows, *STATED[config], through_p=config in THROUGH_P, dtype=dtype)


@every_config
@both_dtypes
def test_extreme_outputs_give_what_is_documented(config: str, dtype: torch.dtype) -> None:
    FAR_OUT[config](build(config).rows, dtype)


def domain(function: Function, low: float = -30.0, high: float = 30.0) -> None:
    check_domain(function, low, high, through_p=False, dtype=torch.float32)


def log1p_in(dtype: torch.dtype) -> Function:
    return lambda z, y: bernoulli_nll_log1p(z.to(dtype), y.to(dtype))


PLANTED: dict[str, tuple[Callable[[Function], None], Function]] = {
    "reduced": (check_rows, lambda z, y: bernoulli_nll_log1p(z, y).mean()),
    "broadcast": (check_rows, lambda z, y: bernoulli_nll_log1p(z[:, None], y).mean(1)),
    "row dropped": (check_rows, lambda z, y: bernoulli_nll_log1p(z, y)[1:]),
    "upcast": (check_rows, log1p_in(torch.float64)),
    "downcast": (check_rows, log1p_in(torch.float32)),
    "negative": (check_rows, scaled(1.0, shift=-0.1)),
    "coupled rows": (check_rows, lambda z, y: bernoulli_nll_log1p(z - 1e-4 * z.mean(), y)),
    "NaN": (check_rows, lambda z, y: torch.where(z > 5, torch.nan, 1.0) * bernoulli_nll_log1p(z, y)),
    "bent gradient": (check_derivative, bent(1e-8)),
    "detached": (check_derivative, lambda z, y: bernoulli_nll_log1p(z, y) + 1e-6 * (z * z).detach()),
    "another factor": (domain, scaled(1 + 1e-6)),
    "another shift": (domain, scaled(1.0, shift=1e-5)),
    "bent in the domain": (domain, bent(1e-6)),
    "bce beyond its domain": (domain, bce),
    "not exact": (lambda f: check_exact_far_out(f, torch.float32), scaled(1 + 1e-6)),
    "not a hundred": (lambda f: check_hundred_far_out(f, torch.float32), bernoulli_nll_log1p),
    "not clipped": (lambda f: check_clipped_far_out(f, torch.float32), bce),
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
    check_domain(softplus_form, -1000.0, 1000.0, through_p=False, dtype=torch.float32)
