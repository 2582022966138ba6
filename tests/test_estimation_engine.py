"""The engine of estimation: derivatives, roots, threads, and a maximum for every likelihood of the catalogue."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from estimation_cases import X, furthest, progression, synthetic, with_constant
from scipy import stats
from torch import Tensor

import mlnn
from mlnn.estimating.catalogue import LIKELIHOODS, family_of
from mlnn.estimating.linear.design import design_of
from mlnn.estimating.linear.least_squares import WELL, cholesky_root, qr_root
from mlnn.estimating.linear.newton import Point, evaluate, newton
from mlnn.estimating.linear.sharing import WORTH, share
from mlnn.estimating.linear.start import start
from mlnn.estimating.network import curvature
from mlnn.objectives import Beta, NegativeBinomial, Poisson
from mlnn.seeding import generator

SMOOTH = sorted(name for name, kind in LIKELIHOODS.items() if not kind.kinked and kind.constant_after is None)
EXPECTED = [name for name in SMOOTH if not LIKELIHOODS[name].jointly]


def log_likelihood(name: str, numbers: dict[str, float], x: Any, y: Tensor, params: np.ndarray) -> float:
    """Σ log p from the likelihood itself, with no help from the estimation."""
    output = torch.from_numpy(with_constant(x)) @ torch.from_numpy(params.reshape(4, -1))
    if name == "categorical":
        output = torch.cat([torch.zeros(len(y), 1), output], dim=1)
    likelihood = LIKELIHOODS[name](**numbers)
    return -float(likelihood.nll(output[:, 0] if output.shape[1] == 1 else output, y).sum())


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", sorted(name for name, kind in LIKELIHOODS.items() if kind.constant_after is None))
def test_no_step_of_a_coefficient_or_number_raises_the_likelihood(name: str) -> None:
    x, y = synthetic(name)
    found = mlnn.estimate(name, (x, y))
    top = log_likelihood(name, found.ancillary, x, y, found.params)
    assert found.llf == pytest.approx(top, rel=1e-12)
    assert found.llf > found.llnull
    for j in range(found.params.size):
        for step in (-1e-3, 1e-3):
            moved = found.params.copy().reshape(-1)
            moved[j] += step
            assert log_likelihood(name, found.ancillary, x, y, moved.reshape(found.params.shape)) < top
    free = family_of(name).free
    for factor in (0.999, 1.001) if free else ():
        numbers = found.ancillary | {str(free): found.ancillary[str(free)] * factor}
        assert log_likelihood(name, numbers, x, y, found.params) < top


@pytest.mark.parametrize("name", SMOOTH)
def test_observed_information_is_minus_the_second_derivative(name: str) -> None:
    x, y = synthetic(name)
    family = family_of(name)
    given = dataclasses.replace(family, free=None).likelihood  # its own number kept: no border
    found = mlnn.estimate(given, (x, y))
    size, h = found.params.size, 1e-3
    inverse = np.linalg.inv(found.cov_params("observed"))

    def at(*moves: tuple[int, float]) -> float:
        flat = found.params.T.reshape(-1).copy()
        for j, step in moves:
            flat[j] += step
        return log_likelihood(name, found.ancillary, x, y, flat.reshape(found.params.T.shape).T)

    for j, k in [(0, 0), (0, size - 1), (1, 2)]:
        mixed = sum(a * b * at((j, a * h), (k, b * h)) for a in (-1, 1) for b in (-1, 1)) / (4 * h * h)
        assert inverse[j, k] == pytest.approx(-mixed, rel=2e-3, abs=2e-3 * abs(inverse).max())


@pytest.mark.parametrize("name", EXPECTED)
def test_expected_curvature_is_the_average_of_the_observed(name: str) -> None:
    """Over 400,000 draws of y at one raw output; a standard error of the average is the yardstick."""
    likelihood = family_of(name).likelihood
    m = 2 if name in ("categorical", "normal_learned_variance") else 1
    eta = torch.full((400_000, m), 0.3, dtype=torch.float64)
    y = likelihood.sample(curvature.raw(likelihood, eta) if m > 1 else eta[:, 0], generator(1, name))
    y = y.clamp(1e-12, 1 - 1e-12) if isinstance(likelihood, Beta) else y
    bend = curvature.rows(likelihood, eta, y, "observed")[2]
    exact = curvature.rows(likelihood, eta[:1], y[:1], "expected")[2][0]
    error = bend.std(dim=0) / len(eta) ** 0.5
    assert bool(((bend.mean(dim=0) - exact).abs() <= 5 * error + 1e-12).all())
    # An expectation 5 % off would be seen, where the observed curvature varies at all.
    assert bool((error < 0.01 * exact.abs().max()).all())


def test_curvature_on_a_fold_is_not_lost() -> None:
    """θ = μ: the stable form is built on |log μ/θ|, whose second derivative autograd takes as 0 at 0."""
    eta, y = torch.zeros(1, 1, dtype=torch.float64), torch.tensor([3.0], dtype=torch.float64)
    bend = curvature.rows(NegativeBinomial(1.0), eta, y, "observed")[2]
    assert float(bend) == pytest.approx((3 + 1) / 4, rel=1e-9)  # (y+θ) θμ/(θ+μ)²
    assert float(curvature._differentiate(NegativeBinomial(1.0), eta, y)[2]) == 0, "the fold itself"


def test_the_probit_keeps_its_information_in_the_tails() -> None:
    eta = torch.tensor([[-12.0], [12.0]], dtype=torch.float64)
    bend = curvature.rows(LIKELIHOODS["bernoulli_probit"](), eta, torch.ones(2, dtype=torch.float64), "expected")[2]
    exact = stats.norm.pdf(12) ** 2 / stats.norm.sf(12)
    assert bend.flatten().tolist() == pytest.approx([exact, exact], rel=1e-12, abs=0)


@pytest.mark.parametrize("intercept", [True, False])
def test_the_qr_root_and_the_cholesky_root_are_one(intercept: bool) -> None:
    for name in ("bernoulli", "categorical", "normal_learned_variance"):
        design, family = design_of(synthetic(name), family_of(name), intercept, None)
        beta = 0.1 * torch.ones(design.width, family.outputs, dtype=torch.float64)
        hessian = evaluate(family, design, beta, "expected").hessian
        root, other = cholesky_root(hessian), qr_root(family, design, beta, "expected")
        assert root is not None
        assert other is not None
        torch.testing.assert_close(other.T @ other, hessian, rtol=1e-12, atol=1e-11)
        torch.testing.assert_close(root.T @ root, hessian, rtol=1e-12, atol=1e-11)


def test_an_ill_conditioned_design_goes_by_qr_and_keeps_its_digits() -> None:
    """A Vandermonde design; the reference is a QR least-squares fit in extended precision of the same columns."""
    t = np.linspace(-9, -3, 82)
    x, y = np.vander(t, 7)[:, :-1], np.sin(t)
    found = mlnn.estimate("normal", (x, y), intercept=False)
    design, family = design_of((x, y), family_of("normal"), False, None)
    point = evaluate(family, design, torch.zeros(6, 1, dtype=torch.float64), "expected")
    assert cholesky_root(point.hessian) is None, f"its condition number is above {WELL:g}"
    q, r = np.linalg.qr(x)
    reference = np.linalg.solve(r, q.T @ y)
    assert furthest(found.params, reference) < 1e-8


def test_rows_shared_among_threads_give_the_same_sums() -> None:
    count = 2 * WORTH // 16 + 17
    x = torch.arange(count, dtype=torch.float64)[:, None] * torch.arange(1, 16) % 101 / 101
    y = (torch.arange(count) % 7 < 3).double()
    design, family = design_of((x, y), family_of("bernoulli"), True, None)
    beta = torch.tensor([[0.3], *[[0.0]] * 14, [-0.2]], dtype=torch.float64)

    def at(threads: int) -> tuple[int, Point]:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            parts = share(design, lambda part: len(part.y))
            assert torch.get_num_threads() == threads
            assert sum(parts) == count
            return len(parts), evaluate(family, design, beta, "expected")
        finally:
            torch.set_num_threads(before)

    (one, alone), (two, shared) = at(1), at(2)
    assert (one, two) == (1, 2)
    torch.testing.assert_close(shared.gradient, alone.gradient, rtol=0, atol=1e-9)
    torch.testing.assert_close(shared.hessian, alone.hessian, rtol=1e-12, atol=0)
    assert shared.value == pytest.approx(alone.value, rel=1e-13)


def test_many_rows_start_from_a_sample_and_reach_the_same_maximum() -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((20_000, 3)) + np.array([0.0, 50.0, 0.0])
    y = (rng.random(20_000) < 1 / (1 + np.exp(-x[:, 0]))).astype(float)
    design, family = design_of((x, y), family_of("bernoulli"), True, None)
    sampled = start(family, design)
    assert float(sampled[0]) != 0, "a constant alone starts at 0"
    cold = newton(family, design, torch.zeros(4, 1, dtype=torch.float64))
    warm = newton(family, design, sampled)
    assert warm.iterations < cold.iterations
    torch.testing.assert_close(warm.beta, cold.beta, rtol=1e-10, atol=1e-12)


def test_large_counts_without_a_constant_are_reached_from_zero() -> None:
    """Newton from 0 overshoots to e^1000: the halving must bring it back."""
    x = np.abs(X) + 5
    y = np.round(np.exp(x @ [1.0, 0.5, 0.5]))
    found = mlnn.estimate(Poisson(), (x, y), intercept=False)
    np.testing.assert_allclose(found.params, [1.0, 0.5, 0.5], rtol=1e-3)


ROBUST = ("huber_density", "hyperbolic_secant", "student_t")


@pytest.mark.parametrize("name", ROBUST)
@pytest.mark.parametrize("scale", [1e-3, 1.0, 100.0, 1e4])
def test_a_robust_density_is_fitted_to_targets_of_any_scale(name: str, scale: float) -> None:
    y = scale * (X @ [1, -1, 0] + np.random.default_rng(4).standard_t(4, size=200))
    held(name, X, y)


@pytest.mark.parametrize("name", ROBUST)
def test_a_robust_density_is_fitted_to_diabetes_in_its_own_units(name: str) -> None:
    x, y = progression()
    found = held(name, x, y)
    moved = found.params * (1 + 1e-3)
    assert not stationary(name, x, y, moved), "the condition itself can fail"


def held(name: str, x: np.ndarray, y: np.ndarray) -> mlnn.estimating.Estimate:
    found = mlnn.estimate(name, (x, y))
    assert found.converged
    assert stationary(name, x, y, found.params)
    return found


def stationary(name: str, x: np.ndarray, y: np.ndarray, params: np.ndarray) -> bool:
    """Whether the rows' slopes cancel, against the sum of their sizes, column by column."""
    eta = torch.from_numpy(with_constant(x) @ params)[:, None]
    slope = curvature.gradient(LIKELIHOODS[name](), eta, torch.from_numpy(y)).numpy()
    parts = with_constant(x) * slope
    return bool((np.abs(parts.sum(axis=0)) <= 1e-8 * np.abs(parts).sum(axis=0)).all())


@pytest.mark.parametrize("noise", [1e-10, 1e-12])
def test_a_normal_with_hardly_any_noise_has_its_coefficients_and_sigma(noise: float) -> None:
    errors = np.random.default_rng(2).standard_normal(200)
    found = mlnn.estimate("normal", (X, X @ [1, 2, 3] + noise * errors))
    np.testing.assert_allclose(found.params, [1, 2, 3, 0], rtol=0, atol=noise)
    left = errors - with_constant(X) @ np.linalg.lstsq(with_constant(X), errors, rcond=None)[0]
    assert found.ancillary["sigma"] == pytest.approx(noise * np.sqrt(np.mean(left**2)), rel=1e-3)
    assert not any("rounding" in note for note in found.notes)


def test_a_normal_far_from_0_has_its_coefficients() -> None:
    found = mlnn.estimate("normal", (X, X @ [1, 2, 3] + 1e10))
    np.testing.assert_allclose(found.params, [1, 2, 3, 1e10], rtol=1e-6)


@pytest.mark.parametrize("falling", [1.0, 0.1])
def test_exact_polynomials_have_their_coefficients(falling: float) -> None:
    """Wampler1 and Wampler2 of NIST StRD: y = Σ c^k x^k at x = 0 … 20, with residuals certified as 0."""
    powers, exact = np.vander(np.arange(21.0), 6, increasing=True), falling ** np.arange(6)
    found = mlnn.estimate("normal", (powers[:, 1:], powers @ exact))
    np.testing.assert_allclose(found.params, [*exact[1:], 1.0], rtol=1e-9)
    assert any("met to rounding" in note for note in found.notes)


@pytest.mark.parametrize("mean", [25, 40])
def test_counts_with_a_large_mean_reach_their_maximum(mean: int) -> None:
    y = np.round(np.exp(mean + 0.3 * X[:, 0]) + np.exp(mean / 2) * X[:, 1])
    found = mlnn.estimate("poisson", (X, y))
    assert found.bse is not None
    # Gauss–Newton in log y: at such means the Poisson is a normal with variance μ, and log y misses by 1/μ at most.
    root = np.sqrt(y)[:, None]
    reference = np.linalg.lstsq(root * with_constant(X), root[:, 0] * np.log(y), rcond=None)[0]
    assert (np.abs(found.params - reference) < 1e-3 * found.bse + 1e-13 * mean).all()
