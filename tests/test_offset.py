"""An offset: in the linear estimate and that of a model as statsmodels has it, and in training on every engine."""

import math
from functools import partial

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import torch
from torch import Tensor, nn

import mlnn
from mlnn.data import Dataset, from_arrays
from mlnn.data.prepare import prepare
from mlnn.errors import ConfigError, DataError
from mlnn.estimating import Trajectory, check_estimate
from mlnn.estimating.catalogue import family_of
from mlnn.estimating.linear.design import design_of
from mlnn.estimating.linear.least_squares import qr_root
from mlnn.estimating.linear.newton import evaluate
from mlnn.estimating.network.network import network_report
from mlnn.likelihoods import Bernoulli, NegativeBinomial, NormalLearnedVariance, Poisson
from mlnn.objectives import TwoOutputs
from mlnn.targets import OFFSET
from mlnn.training import LaneRecipe, Recipe, lane_likelihood, train

DRAWS = np.random.default_rng(0)
ROWS = 160
X = DRAWS.normal(size=(ROWS, 2))
WITH = sm.add_constant(X, prepend=False)
BESIDE = DRAWS.normal(size=ROWS) * 0.5 + 2
COUNT = DRAWS.poisson(DRAWS.gamma(2, 0.5, size=ROWS) * np.exp(BESIDE - 1 + 0.3 * X[:, 0]))
SIZE = DRAWS.gamma(2, np.exp(BESIDE + 0.3 * X[:, 0]) / 2)
TRIALS = DRAWS.integers(1, 10, ROWS)
HITS = DRAWS.binomial(TRIALS, 1 / (1 + np.exp(2 - BESIDE - X[:, 1])))
REAL = X[:, 0] + BESIDE + DRAWS.normal(size=ROWS)
TIGHT = {"tol": 1e-15, "maxiter": 300}


def glm(y: np.ndarray, family: sm.families.Family, offset: np.ndarray = BESIDE) -> sm.GLM:
    return sm.GLM(y, WITH, family=family, offset=offset).fit(**TIGHT)


CASES = {
    "poisson": ("poisson", COUNT, lambda: glm(COUNT, sm.families.Poisson())),
    "gamma": ("gamma", SIZE, lambda: glm(SIZE, sm.families.Gamma(sm.families.links.Log()))),
    "negative binomial": (NegativeBinomial(theta=2.0), COUNT, lambda: glm(COUNT, sm.families.NegativeBinomial(alpha=0.5))),
    "bernoulli": ("bernoulli", (HITS > 4) * 1.0, lambda: glm((HITS > 4) * 1.0, sm.families.Binomial())),
    "normal": ("normal", REAL, lambda: sm.OLS(REAL - BESIDE, WITH).fit()),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_values_are_those_of_statsmodels(case: str) -> None:
    likelihood, y, theirs = CASES[case]
    found, want = mlnn.estimate(likelihood, (X, y), offset=BESIDE), theirs()
    digits = 1e-8 if case == "negative binomial" else 1e-9  # where their iteration stops
    assert np.abs(found.params - want.params).max() < digits
    assert np.abs(found.bse - want.bse).max() < 1e-8
    assert any("an offset is added" in note for note in found.notes)
    if case not in ("gamma", "normal"):  # of which they have another log-likelihood, or no null model with an offset
        assert found.llf == pytest.approx(want.llf, abs=1e-9)
        assert found.llnull == pytest.approx(want.llnull, abs=1e-9)
        assert found.deviance == pytest.approx(want.deviance, abs=1e-9)


def test_the_constant_alone_has_it_too() -> None:
    alone = sm.OLS(REAL - BESIDE, np.ones(ROWS)).fit()
    assert mlnn.estimate("normal", (X, REAL), offset=BESIDE).llnull == pytest.approx(alone.llf, abs=1e-10)
    moved = mlnn.estimate("normal", (X, REAL - BESIDE))
    found = mlnn.estimate("normal", (X, REAL), offset=BESIDE)
    assert np.abs(found.params - moved.params).max() < 1e-13


def test_a_binomial_table_and_a_free_theta() -> None:
    found = mlnn.estimate("bernoulli", (X, HITS / TRIALS), weights=TRIALS, offset=BESIDE)
    want = glm(np.c_[HITS, TRIALS - HITS], sm.families.Binomial())
    assert np.abs(found.params - want.params).max() < 1e-12
    assert (found.llf, found.llnull) == (pytest.approx(want.llf), pytest.approx(want.llnull))
    free = mlnn.estimate("negative_binomial", (X, COUNT), offset=BESIDE, cov="observed")
    start = [*free.params, 1 / free.ancillary["theta"]]
    theirs = sm.NegativeBinomial(COUNT, WITH, offset=BESIDE).fit(disp=0, method="newton", start_params=start)
    assert np.abs(free.bse - theirs.bse[:-1]).max() < 1e-9
    assert free.ancillary["theta"] == pytest.approx(1 / theirs.params[-1], rel=1e-9)


@pytest.mark.parametrize("cov", ["observed", "robust"])
def test_covariances(cov: str) -> None:
    found = mlnn.estimate("poisson", (X, COUNT), offset=BESIDE, cov=cov)
    kind = {"observed": "nonrobust", "robust": "HC0"}[cov]
    want = sm.Poisson(COUNT, WITH, offset=BESIDE).fit(disp=0, tol=1e-14, method="newton", cov_type=kind)
    assert np.abs(found.bse - want.bse).max() < 1e-9


@pytest.mark.parametrize(
    "offset", [np.full(ROWS, 300.0), DRAWS.normal(size=ROWS) * 10, np.full(ROWS, -300.0), np.linspace(0, 40, ROWS)]
)
def test_a_large_offset_is_met_by_the_constant(offset: np.ndarray) -> None:
    y = DRAWS.poisson(np.exp(offset - offset.max() + 3 + 0.3 * X[:, 0]))
    found = mlnn.estimate("poisson", (X, y), offset=offset)
    moved = mlnn.estimate("poisson", (X, y), offset=offset - offset.max())
    assert np.abs(found.params[:2] - moved.params[:2]).max() < 1e-9
    assert found.params[2] + offset.max() == pytest.approx(moved.params[2], abs=1e-9)
    assert found.iterations <= 12


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("likelihood", "y"), [("poisson", COUNT), ("gamma", SIZE), ("negative_binomial", COUNT), ("normal", REAL)]
)
def test_a_model_has_it_too(likelihood: str, y: np.ndarray) -> None:
    found = mlnn.estimate(likelihood, (X, y), model=lambda: nn.Linear(2, 1), offset=BESIDE)
    linear = mlnn.estimate(likelihood, (X, y), offset=BESIDE)
    assert np.abs(found.params - linear.params).max() < 1e-9
    assert np.abs(found.bse - linear.bse).max() < 1e-9
    assert found.llf == pytest.approx(linear.llf, abs=1e-9)


def test_kinks_have_it_too() -> None:
    want = mlnn.estimate("laplace", (X, REAL - BESIDE))
    assert np.abs(mlnn.estimate("laplace", (X, REAL), offset=BESIDE).params - want.params).max() < 1e-12
    model = mlnn.estimate("laplace", (X, REAL), model=lambda: nn.Linear(2, 1), offset=BESIDE)
    assert np.abs(model.params - want.params).max() < 1e-12


def test_separation_is_found_beside_it() -> None:
    y = (X[:, 0] > 0) * 1.0
    assert mlnn.estimate("bernoulli", (X, y), offset=BESIDE).separation == "complete"
    assert mlnn.estimate("bernoulli", (X, y), offset=BESIDE, model=lambda: nn.Linear(2, 1)).separation == "complete"
    half = np.arange(ROWS) < ROWS // 2
    found = mlnn.estimate("poisson", (np.c_[~half, X[:, 0]], np.where(half, COUNT, 0)), offset=BESIDE)
    rest = mlnn.estimate("poisson", (X[half, 0], COUNT[half]), offset=BESIDE[half])
    assert found.separation == "quasi"
    assert found.params[0] == -math.inf
    assert np.abs(found.params[1:] - rest.params).max() < 1e-9
    assert found.llf == pytest.approx(rest.llf)


def test_the_information_check_draws_with_it() -> None:
    y = np.random.default_rng(1).poisson(np.exp(BESIDE + 0.3 * X[:, 0]))
    right, wrong = (check_estimate(mlnn.estimate("poisson", (X, given), offset=BESIDE)) for given in (y, COUNT))
    assert right is not None
    assert wrong is not None
    assert abs(right.tau - 1) < 0.3
    assert wrong.tau > 2


@pytest.mark.parametrize(
    ("offset", "kind", "sentence"),
    [
        (BESIDE[:-1], DataError, r"offset: must be \(160,\)"),
        (np.r_[BESIDE[:-1], np.nan], DataError, "offset: row 159 holds nan"),
        (np.r_[BESIDE[:-1], -np.inf], DataError, "offset: row 159 holds -inf"),
        (["a"] * ROWS, DataError, "offset must hold numbers"),
        ("nope", DataError, "offset must hold numbers"),
        (pd.Series(BESIDE, index=range(1, ROWS + 1)), DataError, "indexes"),
    ],
    ids=range(6),
)
def test_what_is_no_offset_is_refused(offset: object, kind: type[Exception], sentence: str) -> None:
    data = (pd.DataFrame(X), pd.Series(COUNT)) if isinstance(offset, pd.Series) else (X, COUNT)
    with pytest.raises(kind, match=sentence):
        mlnn.estimate("poisson", data, offset=offset)


def test_where_it_changes_nothing_or_is_said_twice_it_is_refused() -> None:
    with pytest.raises(ConfigError, match="changes nothing"):
        mlnn.estimate("categorical", (X, TRIALS % 3), offset=BESIDE)
    with pytest.raises(ConfigError, match="give one of them"):
        mlnn.estimate("poisson", from_arrays(X, COUNT, "counts", extras={OFFSET: BESIDE}), offset=BESIDE)
    with pytest.raises(TypeError, match="exposure"):
        mlnn.estimate("poisson", (X, COUNT), exposure=BESIDE)  # type: ignore[call-overload]


def test_a_column_of_the_frame_by_name() -> None:
    frame = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "log_years": BESIDE, "y": COUNT, "twice": 2.0})
    want = mlnn.estimate("poisson", (X, COUNT), offset=BESIDE, weights=np.full(ROWS, 2.0))
    by_formula = mlnn.estimate("poisson", "y ~ a + b", frame, offset="log_years", weights="twice")
    by_pair = mlnn.estimate(
        "poisson", (frame[["a", "b", "log_years", "twice"]], frame.y), offset="log_years", weights="twice"
    )
    assert by_pair.names == ("a", "b", "const")
    for found in (by_formula, by_pair):
        assert np.abs(found.params - want.params).max() < 1e-13


DATA = from_arrays(X, COUNT, "counts", extras={OFFSET: BESIDE})
ADAM = partial(torch.optim.Adam, lr=0.01)
POISSON = Poisson()


def by_hand(output: Tensor, target: Tensor, offset: Tensor) -> Tensor:
    return POISSON.nll(output + offset, target)


def without(output: Tensor, target: Tensor) -> Tensor:
    return POISSON.nll(output, target)


def swallowed(output: Tensor, target: Tensor, **_extras: Tensor) -> Tensor:
    return POISSON.nll(output, target)


@pytest.mark.sampled(3)
@pytest.mark.parametrize(("mode", "engine"), [("verdict", "auto"), ("study", "plain"), ("study", "stacked")])
def test_training_adds_it_before_the_objective(mode: str, engine: str) -> None:
    def verdict(left: object, right: object) -> str:
        found = mlnn.compare(
            lambda: nn.Linear(2, 1), left, right, DATA, optimizer=ADAM, steps=6, batch_size=32, mode=mode, engine=engine
        )
        return found.verdict.relation

    assert verdict(without, by_hand) in ("bitwise", "equal")
    assert verdict(by_hand, swallowed) == "different"  # one that takes any extra is given it, and leaves it


@pytest.mark.rest
def test_other_shapes_of_outputs() -> None:
    def two(output: TwoOutputs, target: Tensor) -> Tensor:
        return NormalLearnedVariance().nll(output, target)

    def two_by_hand(output: TwoOutputs, target: Tensor, offset: Tensor) -> Tensor:
        return NormalLearnedVariance().nll(torch.stack([output[:, 0] + offset, output[:, 1]], 1), target)

    def three(output: Tensor, target: Tensor, offset: Tensor) -> Tensor:
        return nn.functional.cross_entropy(output + offset, target)

    def relation(outputs: int, left: object, right: object, data: Dataset) -> str:
        return mlnn.compare(
            lambda: nn.Linear(2, outputs), left, right, data, optimizer=ADAM, steps=4, batch_size=32
        ).verdict.relation

    real = from_arrays(X, REAL, "real", extras={OFFSET: BESIDE})
    assert relation(2, two, two_by_hand, real) in ("bitwise", "equal")
    each = from_arrays(X, TRIALS % 3, "classes(3)", extras={OFFSET: DRAWS.normal(size=(ROWS, 3))})
    assert relation(3, nn.CrossEntropyLoss(), three, each) in ("bitwise", "equal")
    column = from_arrays(X, COUNT, "counts", extras={OFFSET: BESIDE[:, None]})
    assert relation(1, without, POISSON, column) in ("bitwise", "equal")
    binary = from_arrays(X, (HITS > 4) * 1.0, "binary", extras={OFFSET: BESIDE})
    chances = mlnn.objectives.Objective.of(nn.BCELoss(), binary.targets, "probabilities")
    assert relation(1, Bernoulli(), chances, binary) in ("equal", "indistinguishable")
    for outputs, loss, targets, offset in (
        (3, nn.CrossEntropyLoss(), "classes(3)", BESIDE),
        (1, POISSON, "counts", np.c_[BESIDE, BESIDE]),
    ):
        data = from_arrays(X, TRIALS % 3, targets, extras={OFFSET: offset})
        with pytest.raises(ConfigError, match="offset of shape"):
            relation(outputs, loss, loss, data)


def test_a_training_arrives_at_the_estimate_with_it() -> None:
    recipe, course = Recipe(DATA, lambda: nn.Linear(2, 1), 20, None, torch.float64), Trajectory(POISSON, DATA, 20)
    optimizer = partial(torch.optim.LBFGS, lr=1, line_search_fn="strong_wolfe", tolerance_grad=0, tolerance_change=0)
    lane = train(recipe, LaneRecipe(POISSON, optimizer), lambda _row: None, None, course.watch)
    found, reading = course.found(lane.module), lane_likelihood(recipe, lane)
    want = mlnn.estimate("poisson", (X, COUNT), offset=BESIDE)
    assert found is not None
    assert reading is not None
    assert found.llf == want.llf
    assert found.summary is not None
    assert found.summary.digits_least > 6
    assert reading.log_likelihood == pytest.approx(want.llf, abs=1e-8)


def test_held_out_rows_have_their_own() -> None:
    x, y, beside = (torch.tensor(part) for part in (X, COUNT, BESIDE))
    data = prepare("rows", x, y, DATA.targets, standardize=False, held_out=0.25, seed=0, extras={OFFSET: beside})
    assert len(data.extras_held_out[OFFSET]) == len(data.x_held_out) == 40
    with pytest.raises(ConfigError, match="held_out"):
        prepare(
            "rows", x, y, DATA.targets, standardize=False, held_out=0.25, seed=0, extras={OFFSET: beside, "w": beside}
        )
    curves = []
    for objective in (without, by_hand):
        rows: list[dict[str, float]] = []
        train(Recipe(data, lambda: nn.Linear(2, 1), 3, None, torch.float64), LaneRecipe(objective, ADAM), rows.append)
        curves.append([row["held_out_loss"] for row in rows])
    assert curves[0] == curves[1]
    assert all(map(math.isfinite, curves[0]))


def test_an_objective_that_takes_it_has_no_classical_estimate_made_for_it() -> None:
    class Own:
        def nll(self, output: Tensor, target: Tensor, offset: Tensor) -> Tensor:
            return POISSON.nll(output + 2 * offset, target)

    recipe = Recipe(DATA, lambda: nn.Linear(2, 1), 2, None, torch.float64)
    lane = train(recipe, LaneRecipe(Own(), ADAM), lambda _row: None)
    assert lane_likelihood(recipe, lane) is None
    with pytest.raises(DataError, match="offset"):
        network_report([nn.Linear(2, 1)], POISSON, DATA)


def test_the_root_that_is_made_row_by_row_knows_the_offset() -> None:
    x = torch.arange(30, dtype=torch.float64)[:, None] / 10
    design, family = design_of((x, x[:, 0].round()), family_of("poisson"), True, None, offset=x[:, 0] - 1)
    beta = torch.tensor([[0.2], [0.1]], dtype=torch.float64)
    root = qr_root(family, design, beta, "observed")
    assert root is not None
    torch.testing.assert_close(root.T @ root, evaluate(family, design, beta, "observed").hessian)
