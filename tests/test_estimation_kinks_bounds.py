"""The pieces that standard errors at a kink, and separation, are made of, each on both sides of its bounds."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy
import torch

import mlnn
from mlnn.errors import ConfigError
from mlnn.estimating.catalogue import family_of
from mlnn.estimating.linear import cone, kinks, separation
from mlnn.estimating.linear.class_limit import class_limit
from mlnn.estimating.linear.design import design_of
from mlnn.estimating.linear.kinks import bandwidth, by_kernel, way_of
from mlnn.estimating.linear.least_squares import RankError, check_rank, cholesky_root, residual_step
from mlnn.estimating.linear.separation import find_separation
from mlnn.objectives import Laplace
from mlnn.seeding import generator
from mlnn.targets import TargetSpace

f64 = torch.float64
DRAWS = generator(5, "test")
X = torch.randn(60, 2, generator=DRAWS, dtype=f64)
NOISE = torch.randn(60, generator=DRAWS, dtype=f64)


def rows(tau: float = 0.5, flat: float = 0.0, weights: Any = None, y: Any = None) -> Any:
    y = NOISE.numpy() if y is None else y
    weights = np.ones(len(y)) if weights is None else weights
    return SimpleNamespace(tau=tau, flat=flat, weights=weights, y=y, x=np.ones((len(y), 1)))


def test_the_words_for_errors_at_a_kink() -> None:
    assert [way_of(cov) for cov in ("expected", "robust", "kernel", "bootstrap")] == ["kernel"] * 3 + ["bootstrap"]
    for cov, words in (("observed", "no curvature"), ("HC1", "HC1")):
        with pytest.raises(ConfigError, match=words):
            way_of(cov)
    found = mlnn.estimate("laplace", (X, NOISE))
    assert found.kinks is not None
    with pytest.raises(ConfigError, match="samples of the rows were not drawn"):
        found.cov_params("bootstrap")
    assert found.cov_params("kernel").tolist() == found.cov_params("robust").tolist() == found.cov_params().tolist()


@pytest.mark.parametrize("tau", [0.5, 0.2, 0.999])
def test_a_bandwidth_is_hall_and_sheathers(tau: float) -> None:
    """Halved until τ ± h is inside (0, 1)."""
    n, z = 60, scipy.stats.norm.ppf(tau)
    h = n ** (-1 / 3) * 1.959964 ** (2 / 3) * (1.5 * scipy.stats.norm.pdf(z) ** 2 / (2 * z**2 + 1)) ** (1 / 3)
    while not 0 < tau - h < tau + h < 1:
        h /= 2
    residual = NOISE.numpy()
    low, high = np.quantile(residual, [0.25, 0.75])
    reach = scipy.stats.norm.ppf(tau + h) - scipy.stats.norm.ppf(tau - h)
    truth = min(residual.std(), (high - low) / 1.34) * reach
    assert bandwidth(rows(tau), residual) == pytest.approx(truth, rel=1e-6)
    narrow = rows(tau, y=residual / 100)
    assert bandwidth(narrow, residual) == pytest.approx(residual.std() / 100 * reach, rel=1e-6), (
        "the targets' spread is less"
    )


def test_quantiles_and_densities_count_rows_by_their_weights() -> None:
    values, weights = np.array([3.0, 1.0, 2.0]), np.array([2.0, 1.0, 3.0])
    alone = np.repeat(values, weights.astype(int))
    for share in (0.0, 0.25, 0.5, 0.6, 0.75, 1.0):
        assert kinks._quantile(values, weights, share) == pytest.approx(np.quantile(alone, share))
    residual = np.array([-0.5, 0.0, 0.4, 3.0])
    kernel = sum(0.75 * (1 - (one / 2) ** 2) for one in (0.5, 0.0, 0.4)) / (4 * 2)
    assert kinks._density(rows(y=residual), residual, 2.0) == pytest.approx(kernel)
    found = kinks._density(rows(0.7, 0.5, y=residual), residual, 1.0)
    parts = [
        share * sum(0.75 * max(1 - (one - edge) ** 2, 0) for one in residual)
        for edge, share in ((0.5, 0.7), (-0.5, 0.3))
    ]
    assert found == pytest.approx(sum(parts) / 4)


def test_slopes_beside_a_kink_and_on_it() -> None:
    residual = np.array([-1.0, 0.0, 1.0, 1.0, 0.2, -0.2])
    assert kinks._slopes(rows(0.7, 0.5, y=residual), residual).tolist() == pytest.approx(
        [-0.3, 0.0, 0.7, 0.7, 0.0, 0.0]
    )
    met = kinks._slopes(rows(0.7, y=residual), residual)
    assert met.tolist() == pytest.approx([-0.3, -0.3, 0.7, 0.7, 0.7, -0.3])
    less = np.array([-1.0, -1.0, -1.0, 0.0])
    assert kinks._slopes(rows(0.7, y=less), less).tolist() == pytest.approx([-0.3, -0.3, -0.3, 0.7])


@pytest.mark.parametrize(("off", "met"), [(0.5e-12, True), (1e-9, False)])
def test_a_row_is_met_to_rounding(off: float, met: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    y = torch.tensor([1.0, 1.0 + off, 1.0 - off, 0.0, 2.0, 1.0, 0.5, 1.5] * 3, dtype=f64)
    family, design = (
        family_of(Laplace()),
        design_of((torch.zeros(24, 0, dtype=f64), y), family_of("normal"), True, None)[0],
    )
    seen: list[np.ndarray] = []
    before = kinks._slopes

    def slopes(of: Any, residual: np.ndarray) -> np.ndarray:
        seen.append(residual)
        return before(of, residual)

    monkeypatch.setattr(kinks, "_slopes", slopes)
    by_kernel(family, design, torch.ones(1, 1, dtype=f64))
    assert int((seen[0] == 0).sum()) == (12 if met else 6)


def test_rows_that_are_met_exactly_have_no_density() -> None:
    y = torch.tensor([1.0] * 20 + [2.0, 0.0], dtype=f64)
    design = design_of((torch.zeros(22, 0, dtype=f64), y), family_of("normal"), True, None)[0]
    found = by_kernel(family_of(Laplace()), design, torch.ones(1, 1, dtype=f64))
    assert np.isnan(found.matrix).all()
    assert "no density at the kink" in found.notes[0]


# Separation.
HARD = (X[:, 0] > 0).double()


@pytest.mark.parametrize(("y", "kind"), [
    (HARD, "complete"), (torch.cat([1 - HARD[:1], HARD[1:]]), "none"), (torch.ones(60, dtype=f64), "complete"),
])  # fmt: skip
def test_rows_are_separated_or_not(y: torch.Tensor, kind: str) -> None:
    y = torch.cat([y, 1 - y]) if kind == "none" else y
    x = torch.cat([X, X]) if kind == "none" else X
    assert find_separation(x, y, TargetSpace("binary"), True).kind == kind


def test_rows_on_the_border_are_separated_in_part() -> None:
    x = torch.tensor([[-2.0], [-1.0], [0.0], [0.0], [1.0], [2.0]], dtype=f64)
    y = torch.tensor([0.0, 0.0, 0.0, 1.0, 1.0, 1.0], dtype=f64)
    found = find_separation(x, y, TargetSpace("binary"), True)
    assert found.kind == "quasi"
    assert found.overlap.tolist() == [False, False, True, True, False, False]
    assert found.infinite is not None
    assert found.determined is not None
    assert found.infinite.tolist() == [1.0, 0.0]
    assert found.determined.tolist() == [False, True]
    fitted = mlnn.estimate("bernoulli", (x, y))
    assert fitted.params.tolist() == [math.inf, pytest.approx(0.0, abs=1e-9)]
    assert fitted.llf == pytest.approx(2 * math.log(0.5))


def test_of_classes_a_row_may_keep_some_of_its_margins() -> None:
    x = torch.tensor([[-2.0], [-1.5], [1.0], [2.0], [1.5], [1.2], [1.8]], dtype=f64)
    y = torch.tensor([0, 0, 1, 1, 2, 2, 1])
    found = find_separation(x, y, TargetSpace("classes", 3), True)
    assert found.kind == "quasi"
    beta, reached = class_limit(x, y, True, found, None)
    inner = mlnn.estimate("bernoulli", (x[2:], (y[2:] == 2).double()))
    assert reached == pytest.approx(inner.llf, rel=1e-8)
    assert bool((~torch.isfinite(beta)).any())


@pytest.mark.parametrize(("size", "null"), [(1e-13, True), (1e-9, False)])
def test_directions_that_change_nothing_are_known_to_rounding(size: float, null: bool) -> None:
    matrix = np.array([[1.0, 1.0], [1.0, 1.0 + size], [2.0, 2.0]])
    assert cone.null_space(matrix).shape[1] == int(null)


def test_a_root_is_that_of_its_matrix_and_a_step_that_of_least_squares() -> None:
    matrix = torch.tensor([[4.0, 1.0], [1.0, 3.0]]).double()
    root = cholesky_root(matrix)
    assert root is not None
    assert torch.allclose(root.T @ root, matrix)
    for wrong in (
        [[1.0, 2.0], [2.0, 1.0]],
        [[0.0, 0.0], [0.0, 1.0]],
        [[math.nan, 0.0], [0.0, 1.0]],
        [[-1.0, 0.0], [0.0, 1.0]],
    ):
        assert cholesky_root(torch.tensor(wrong).double()) is None
    design = design_of((X, NOISE), family_of("normal"), True, None)[0]
    length, step = residual_step(design, torch.zeros(3, 1, dtype=f64))
    columns = torch.cat([X - X.mean(0), torch.ones(60, 1, dtype=f64)], 1)
    truth = torch.linalg.lstsq(columns, NOISE[:, None]).solution
    assert torch.allclose(step, truth)
    assert length == pytest.approx(float((columns @ truth).norm()))
    with pytest.raises(RankError, match="x1"):
        check_rank(design_of((torch.cat([X[:, :1], 2 * X[:, :1]], 1), NOISE), family_of("normal"), True, None)[0])


@pytest.mark.parametrize(
    ("y", "asked"), [(HARD, False), (torch.tensor([0.0, 0.0, 0.0, 1.0, 1.0, 1.0], dtype=f64), True)]
)
def test_a_programme_is_asked_where_a_smooth_fit_does_not_separate_all_rows(
    y: torch.Tensor, asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    before = separation._by_programme

    def by_programme(of: Any, working: Any) -> Any:
        calls.append(len(working))
        return before(of, working)

    monkeypatch.setattr(separation, "_by_programme", by_programme)
    x = X if len(y) == 60 else torch.tensor([[-2.0], [-1.0], [0.0], [0.0], [1.0], [2.0]], dtype=f64)
    found = find_separation(x, y, TargetSpace("binary"), True)
    assert found.kind == ("quasi" if asked else "complete")
    assert bool(calls) == asked
