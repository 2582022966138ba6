"""Of many rows passes are spared: the answers keep their digits, and what proves them is what a pass of its own would find."""

import numpy as np
import pytest
import torch

import mlnn
from mlnn.estimating.catalogue import family_of
from mlnn.estimating.linear import newton as engine
from mlnn.estimating.linear.ancillary import linear
from mlnn.estimating.linear.beside import FEW_TARGETS, MANY
from mlnn.estimating.linear.design import design_of
from mlnn.likelihoods import Bernoulli

NOISE = np.random.default_rng(11)
ROWS = MANY + 1000
X = NOISE.standard_normal((ROWS, 4)) @ np.array([[1, 0.6, 0, 0], [0, 1, 0, 0], [0, 0, 9, 0], [0, 0, 0, 0.1]]) + [
    0,
    3,
    -2,
    0.5,
]
ETA = X @ [0.5, -0.4, 0.05, 2.0] + 0.3
Y = (NOISE.random(ROWS) < 1 / (1 + np.exp(-ETA))).astype(float)
COUNTS = NOISE.poisson(np.exp(0.3 * ETA)).astype(float)
LABELS = (Y + (NOISE.random(ROWS) < 0.4)).astype(int)


@pytest.mark.parametrize(
    ("name", "y"), [("bernoulli", Y), ("poisson", COUNTS), ("bernoulli_probit", Y), ("categorical", LABELS)]
)
def test_answers_keep_their_digits(name: str, y: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    found = mlnn.estimate(name, (X, y))
    monkeypatch.setattr(engine, "MANY", ROWS + 1)
    monkeypatch.setattr("mlnn.estimating.linear.beside.MANY", ROWS + 1)
    whole = mlnn.estimate(name, (X, y))
    assert found.bse is not None
    assert whole.bse is not None
    assert np.abs((found.params - whole.params) / whole.bse).max() < 1e-10
    np.testing.assert_allclose(found.bse, whole.bse, rtol=2e-9)
    assert found.llf == pytest.approx(whole.llf, rel=1e-13)
    assert found.llnull == pytest.approx(whole.llnull, rel=1e-12)
    assert found.deviance == pytest.approx(whole.deviance, rel=1e-12)
    assert (found.exists, found.converged) == (True, True)


def test_passes_are_spared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Curvature of all rows is made in fewer passes than there are steps; the proof of existence takes none of its own."""
    seen: list[bool] = []
    sums = engine._sums

    def watched(*given):  # type: ignore[no-untyped-def]
        if len(given[1].y) > ROWS // 2 and given[1].width > 1:
            seen.append(given[-1])
        return sums(*given)

    monkeypatch.setattr(engine, "_sums", watched)
    monkeypatch.setattr("mlnn.estimating.linear.existence._least_push", lambda *_: pytest.fail("a pass too many"))
    mlnn.estimate("bernoulli", (X, Y))
    spared = seen.copy()
    seen.clear()
    monkeypatch.setattr(engine, "MANY", ROWS + 1)
    mlnn.estimate("bernoulli", (X, Y))
    assert all(seen)
    assert (len(seen), spared.count(True), spared.count(False)) == (5, 3, 2)


def test_a_second_step_that_goes_up_is_not_taken() -> None:
    design, family = design_of((X, Y), family_of("bernoulli"), True, None)
    point = engine.evaluate(family, design, torch.zeros(5, 1, dtype=torch.float64), "expected")
    root = engine.cholesky_root(point.hessian)
    assert root is not None
    _, step = engine._step(root, point)
    assert engine._corrected(family, design, point, root, step) is not None
    assert engine._corrected(family, design, point, root, -40 * step) is None
    assert engine._corrected(family, design, point, root / 40, step) is None


def test_rows_that_are_separated_are_still_found() -> None:
    x = X.copy()
    x[:, 0] = np.where(Y == 1, np.abs(x[:, 0]) + 0.1, -np.abs(x[:, 0]) - 0.1)
    assert mlnn.estimate("bernoulli", (x, Y)).separation == "complete"
    x[:, 0] = (np.arange(ROWS) % 1000 == 3) * Y
    assert mlnn.estimate("bernoulli", (x, Y)).separation == "quasi"


def test_derivatives_made_together_are_those_of_the_nll() -> None:
    z = torch.tensor([-800.0, -40, -1.5, -1e-9, 0, 0.3, 2, 40, 800], dtype=torch.float64).repeat(3)
    y = torch.tensor([0.0, 1, 0.3], dtype=torch.float64).repeat_interleave(9)
    nll, slope, bend = Bernoulli().derivatives(z, y) or (z, z, z)
    p = torch.sigmoid(z)
    torch.testing.assert_close(nll, Bernoulli().nll(z, y), rtol=1e-14, atol=0)
    torch.testing.assert_close(slope, p - y, rtol=1e-14, atol=1e-16)
    torch.testing.assert_close(bend, p * torch.sigmoid(-z), rtol=1e-14, atol=0)


class Own(Bernoulli):
    """With another nll: it must be asked, and not its parent's derivatives."""

    def nll(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return super().nll(0.5 * output, target)


def test_a_subclass_with_its_own_nll_is_asked() -> None:
    assert Own().derivatives(torch.zeros(2), torch.zeros(2)) is None


def test_few_targets_are_counted_and_many_are_not() -> None:
    for name, y in (("bernoulli", Y), ("poisson", COUNTS)):
        design, _ = design_of((X, y), family_of(name), True, None)
        alone = design.without_features()
        assert len(alone.y) == len(np.unique(y)) < FEW_TARGETS
        assert alone.nobs == ROWS
        assert float((alone.y * alone.weights).sum()) == y.sum()
    weights = NOISE.random(ROWS) + 0.5
    design, _ = design_of((X, Y), family_of("bernoulli"), True, weights)
    assert design.without_features().nobs == pytest.approx(weights.sum(), rel=1e-13)
    design, _ = design_of(
        (X, Y), family_of("bernoulli"), True, None, offset=ETA
    )  # each row has a raw output of its own
    assert len(design.without_features().y) == ROWS
    late = Y.copy()
    late[-1] = 0.5  # not among the first: the rows stay as they are
    design, _ = design_of((X, late), family_of("bernoulli"), True, weights)
    assert len(design.without_features().y) == ROWS
    design, _ = design_of((X, ETA), family_of("normal"), True, None)
    assert len(design.without_features().y) == ROWS
    assert torch.equal(
        linear(design.without_features(), torch.ones(1, 1, dtype=torch.float64)), torch.ones(ROWS, 1).double()
    )
