"""Small models from poor starts: NIST's certified digits, the same from elsewhere, and what is said where there is no way."""

import math
import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from nist_cases import CURVES, Certified, certified, digits
from torch import Tensor, nn

import mlnn
from mlnn.errors import DataError
from mlnn.estimating import ModelFit
from mlnn.estimating.catalogue import family_of
from mlnn.estimating.network import obstacles
from mlnn.estimating.network.descent import End, descend
from mlnn.estimating.network.problem import Problem
from mlnn.estimating.network.starts import BOLD
from mlnn.estimating.network.trust_region import approach, begin
from mlnn.likelihoods import HyperbolicSecant, StudentT

ROUNDED = {"Lanczos1": 2.5}
"""Digits of the residuals where they are near rounding: these are 9e-14, float64 holds the targets to 2e-16."""
HARD = ("Bennett5", "BoxBOD", "Lanczos1", "Lanczos3", "MGH09", "MGH10", "MGH17", "Thurber")
"""Sets on which programs fail from NIST's first start."""


def fitted(case: Certified, start: int, starts: int = 1) -> ModelFit:
    return mlnn.estimate("normal", (case.x, case.y), model=case.model(start), starts=starts)


def assert_certified(case: Certified, fit: ModelFit) -> None:
    assert fit.identified
    assert fit.dispersion is not None
    assert digits(fit.params, case.params) >= 10
    least = ROUNDED.get(case.name, 10)
    assert digits(math.sqrt(fit.dispersion), case.residual_sd) >= least
    assert digits(fit.bse, case.bse) >= least


@pytest.mark.sampled(4)
@pytest.mark.parametrize("start", [0, 1])
@pytest.mark.parametrize("name", CURVES)
def test_nist_s_sets_are_reached_from_both_starts(name: str, start: int) -> None:
    case = certified(name)
    fit = fitted(case, start)
    assert_certified(case, fit)
    assert ("standard errors about 2 digits" in fit.sentence) == (name in ROUNDED)


@pytest.mark.sampled(8)
@pytest.mark.parametrize("name", HARD)
def test_other_starts_beside_a_poor_one_take_nothing_away(name: str) -> None:
    case = certified(name)
    assert_certified(case, fitted(case, 0, starts=3))


def test_a_digit_that_is_off_is_seen() -> None:
    case = certified("Misra1a")
    fit = mlnn.estimate("normal", (case.x, case.y * (1 + 1e-8)), model=case.model(1), starts=1)
    with pytest.raises(AssertionError):
        assert_certified(case, fit)
    assert digits(case.params * (1 + 1e-8), case.params) == pytest.approx(8, abs=0.01)
    assert digits(case.params * math.nan, case.params) == 0


def steps(problem: Problem, most: int) -> int:
    region, taken = begin(problem, problem.flat), 0
    while not region.done and taken < most:
        region, taken = approach(problem, region, 1), taken + 1
    return taken


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", ["Bennett5", "MGH17", "MGH10"])
def test_a_curved_valley_is_followed_in_the_steps_of_a_cheap_descent(name: str) -> None:
    case = certified(name)
    x, y = torch.from_numpy(case.x), torch.from_numpy(case.y)
    problem = Problem(family_of("normal"), case.model(0)(), x, y, None)
    assert steps(problem, 1000) < BOLD
    assert not descend(problem, problem.flat, 60).converged, "Newton's steps alone are not there by then"


class Formula(nn.Module):
    """A formula in b and x."""

    def __init__(self, formula: Callable[[Tensor, Tensor], Tensor], *b: float) -> None:
        super().__init__()
        self.formula, self.b = formula, nn.Parameter(torch.tensor(b, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return self.formula(self.b, x[:, 0])


X = np.linspace(0.1, 5, 40)[:, None]


def decay(b: Tensor, x: Tensor) -> Tensor:
    return b[0] * torch.exp(-b[1] * x)


@pytest.mark.parametrize("likelihood", [StudentT(df=3.0, scale=0.1), HyperbolicSecant()], ids=["t", "secant"])
@pytest.mark.parametrize("start", [(5e3, 8.0), (1e-3, 3.0), (-50.0, 2.0)])
def test_heavy_tails_are_no_obstacle_to_a_start_far_off(likelihood: object, start: tuple[float, float]) -> None:
    noise = np.random.default_rng(0).standard_t(3, size=40)
    rows = (X, 20 * np.exp(-0.8 * X[:, 0]) + 0.1 * noise)
    near = mlnn.estimate(likelihood, rows, model=lambda: Formula(decay, 20.0, 0.8), starts=1)
    far = mlnn.estimate(likelihood, rows, model=lambda: Formula(decay, *start), starts=1)
    assert far.llf == pytest.approx(near.llf, abs=1e-9)
    assert far.params == pytest.approx(near.params, rel=1e-8)
    assert far.bse == pytest.approx(near.bse, rel=1e-8)


@pytest.mark.parametrize("name", ["poisson", "gamma"])
def test_means_that_are_no_exponentials_are_reached_from_far_off(name: str) -> None:
    """log(b₀ + b₁ e^(b₂ x)): a trial with b₀ below 0 has no logarithm."""
    rng, mean = np.random.default_rng(1), 3 + 0.5 * np.exp(0.7 * X[:, 0])
    y = (rng.poisson(mean) if name == "poisson" else rng.gamma(4, mean / 4)).astype(float)

    def curve(b: Tensor, x: Tensor) -> Tensor:
        return torch.log(b[0] + b[1] * torch.exp(b[2] * x))

    near = mlnn.estimate(name, (X, y), model=lambda: Formula(curve, 3.0, 0.5, 0.7), starts=1)
    for start in ((500.0, 50.0, 3.0), (0.1, 0.1, 2.0)):
        far = mlnn.estimate(name, (X, y), model=lambda b=start: Formula(curve, *b), starts=1)
        assert far.llf == pytest.approx(near.llf, abs=1e-7)
        assert far.params == pytest.approx(near.params, rel=1e-4)


@pytest.mark.parametrize(
    ("formula", "start", "y", "words"),
    [
        (
            lambda b, x: torch.sqrt(b[0] - x) + b[1],
            (2.0, 0.0),
            X[:, 0],
            r"raw output nan .* for 24 of 40 rows, row 16 first",
        ),
        (
            lambda b, x: torch.exp(b[0] * x) + b[1],
            (100.0, 0.0),
            X[:, 0],
            r"raw outputs at the first weights reach 1\.4e\+217",
        ),
        (
            lambda b, x: torch.minimum(b[0].abs() + 0.1 * b[0], 0.5 + 0.2 * (b[0] - 5) ** 2) + 0 * x,
            (0.5,),
            -1 + 0.1 * X[:, 0],
            r"the model has a kink at b\[0\] = -?\d",
        ),
        (lambda b, x: torch.exp(-b[0] * x), (1.0,), -1 - 0.1 * X[:, 0], r"b\[0\] has gone from 1 to \d"),
    ],
    ids=["domain", "overflow", "kink", "runaway"],
)
def test_what_stood_in_the_way_is_named(
    formula: Callable[[Tensor, Tensor], Tensor], start: tuple[float, ...], y: np.ndarray, words: str
) -> None:
    with pytest.raises(DataError) as caught:
        mlnn.estimate("normal", (X, y), model=lambda: Formula(formula, *start), starts=1)
    told = str(caught.value)
    assert "none of 1 starts reached a maximum" in told
    assert re.search(words, told), told
    assert "separation" not in told


def test_parameters_that_do_the_same_are_named_and_others_are_not() -> None:
    def curve(b: Tensor, x: Tensor) -> Tensor:
        return b[0] + b[1] * torch.exp(b[2] * x)

    problem = Problem(
        family_of("normal"), Formula(curve, 1.0, 1.0, 0.5), torch.from_numpy(X), torch.from_numpy(X[:, 0]), None
    )
    far = torch.tensor([1e6, -1e6, 1e-7], dtype=torch.float64)
    assert obstacles._alike(problem, far) == "b[0] and b[1]"
    assert obstacles._alike(problem, problem.flat) == ""
    assert obstacles._kink(problem, far) == "", "nor is rounding so far off a kink"
    end = End(far, 1e-5, 1.0, False, replace(begin(problem, far), lost=2))
    told = obstacles.not_reached(problem, [end], 1)
    assert "b[0] runs away, to 1e+06, or b[0] and b[1] cannot be told apart there" in told
    assert "not finite a step further" in told
    assert "not finite" not in obstacles.not_reached(problem, [replace(end, region=None)], 1)


def test_of_maxima_as_likely_the_first_start_s_is_taken() -> None:
    """Two exponentials may change places: the user's own start says which is which."""
    y = 2 * np.exp(-0.3 * X[:, 0]) + 3 * np.exp(-2 * X[:, 0]) + 0.01 * np.sin(40 * X[:, 0])

    def curve(b: Tensor, x: Tensor) -> Tensor:
        return b[0] * torch.exp(-b[1] * x) + b[2] * torch.exp(-b[3] * x)

    for slow, fast in ((0.25, 2.5), (2.5, 0.25)):
        for seed in range(2):
            start = (1.0, slow, 1.0, fast)
            fit = mlnn.estimate("normal", (X, y), model=lambda b=start: Formula(curve, *b), starts=4, seed=seed)
            assert (fit.params[1] < fit.params[3]) == (slow < fast)
