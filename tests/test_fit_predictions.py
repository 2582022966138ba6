"""Predictions, fitted values, residuals and robust covariances of a fit, against statsmodels and by first principles."""

import copy
import pickle
from dataclasses import replace
from typing import Any

import mpmath
import numpy as np
import pandas as pd
import polars as pl
import pytest
import statsmodels.api as sm
import torch
from estimation_cases import X, furthest, literature, progression, with_constant
from fit_cases import CASES, COUNTS, HARD, POSITIVE, REAL, SHARES, TIMES, TRIALS, case
from torch import nn

import mlnn
from mlnn.errors import ConfigError, DataError
from mlnn.estimating import Estimate
from mlnn.estimating.catalogue import LIKELIHOODS
from mlnn.estimating.named import coefficients
from mlnn.likelihoods import AsymmetricLaplace, StudentT, VonMises

CLOSE = 1e-9
"""Relative; residuals and means of statsmodels stop where its deviance does."""
SMALL = 1e-9
"""Absolute, of residuals, whose own size is about 1."""


@pytest.mark.parametrize("name", CASES)
def test_predictions_are_those_of_a_glm(name: str) -> None:
    found, reference = case(name)
    frame, ours = reference.get_prediction().summary_frame(alpha=0.1), found.predict(level=0.9)
    use_t = found.use_t  # a normal's intervals refer to Student's t, which a GLM's do not
    assert furthest(ours.mean, frame["mean"]) < CLOSE
    assert furthest(ours.se, frame["mean_se"]) < CLOSE
    if not use_t:
        assert furthest(ours.lower, frame["mean_ci_lower"]) < CLOSE
        assert furthest(ours.upper, frame["mean_ci_upper"]) < CLOSE
    assert np.array_equal(found.fitted, ours.mean)


@pytest.mark.parametrize("kind", ["response", "pearson", "deviance"])
@pytest.mark.parametrize("name", CASES)
def test_residuals_are_those_of_a_glm(name: str, kind: str) -> None:
    found, reference = case(name)
    assert np.abs(found.residuals(kind) - getattr(reference, f"resid_{kind}")).max() < SMALL


@pytest.mark.parametrize("name", ["poisson, weights", "gamma", "a binomial table"])
def test_squared_deviance_residuals_sum_to_the_deviance(name: str) -> None:
    found, _ = case(name)
    times = TIMES if "weights" in name else 1.0
    assert (times * found.residuals("deviance") ** 2).sum() == pytest.approx(found.deviance, rel=1e-12)


def test_new_rows_of_least_squares_have_intervals_for_means_and_observations() -> None:
    x, y = progression()
    found, reference = mlnn.estimate("normal", (x, y)), sm.OLS(y, with_constant(x)).fit()
    theirs = reference.get_prediction(with_constant(x)[:7]).summary_frame(alpha=0.05)
    ours = found.predict(x[:7])
    for name, column in (
        ("mean", "mean"), ("se", "mean_se"), ("lower", "mean_ci_lower"), ("upper", "mean_ci_upper"),
        ("obs_lower", "obs_ci_lower"), ("obs_upper", "obs_ci_upper"),
    ):  # fmt: skip
        assert furthest(getattr(ours, name), theirs[column]) < 1e-10


@pytest.mark.parametrize("kind", ["HC0", "HC1", "HC2", "HC3"])
def test_robust_covariances_of_least_squares_are_those_of_statsmodels(kind: str) -> None:
    x, y = progression()
    found, reference = mlnn.estimate("normal", (x, y), cov=kind), sm.OLS(y, with_constant(x)).fit(cov_type=kind)
    assert furthest(found.bse, reference.bse) < 1e-11
    assert furthest(found.pvalues, reference.pvalues) < 1e-9
    assert furthest(found.conf_int(), reference.conf_int()) < 1e-9
    assert furthest(found.cov_params(), reference.cov_params()) < 1e-9
    assert furthest(found.predict(x[:5]).se, reference.get_prediction(with_constant(x)[:5]).se_mean) < 1e-10


def test_longley_keeps_its_digits_in_predictions_and_hc3() -> None:
    """Against fifty digits. statsmodels' own are 1.2e-8 and 9.3e-9 off."""
    x, y = (np.asarray(part, dtype=float) for part in literature("longley"))
    with mpmath.workdps(50):
        rows, target = mpmath.matrix(with_constant(x).tolist()), mpmath.matrix(y.tolist())
        inverse = (rows.T * rows) ** -1
        away = target - rows * (inverse * (rows.T * target))
        leverage = [(rows[i, :] * inverse * rows[i, :].T)[0] for i in range(16)]
        scale = (away.T * away)[0] / 9
        errors = [float(mpmath.sqrt(scale * h)) for h in leverage]
        middle = mpmath.diag([away[i] ** 2 / (1 - h) ** 2 for i, h in enumerate(leverage)])
        robust = inverse * (rows.T * middle * rows) * inverse
        hc3 = [float(mpmath.sqrt(robust[i, i])) for i in range(7)]
    found = mlnn.estimate("normal", (x, y), cov="HC3")
    assert furthest(found.bse, hc3) < 1e-10
    assert furthest(mlnn.estimate("normal", (x, y)).predict().se, errors) < 1e-11


@pytest.mark.parametrize(("kind", "power"), [("HC1", 0), ("HC2", 1), ("HC3", 2)])
@pytest.mark.parametrize("name", ["bernoulli", "poisson", "gamma"])
def test_robust_covariances_of_a_glm_divide_scores_by_their_leverage(name: str, kind: str, power: int) -> None:
    """As R's sandwich::vcovHC. statsmodels gives its GLMs HC0 whichever is asked for; its leverages are used here."""
    found, reference = case(name)
    exog = with_constant(X)
    leverage, observed = reference.get_hat_matrix_diag(observed=False), reference.model.hessian(reference.params)
    scores = reference.model.score_obs(reference.params)
    meat = scores.T @ (scores / ((1 - leverage) ** power)[:, None])
    bread = np.linalg.inv(observed)
    expected = bread @ meat @ bread * (len(exog) / (len(exog) - exog.shape[1]) if kind == "HC1" else 1.0)
    assert furthest(found.cov_params(kind), expected) < 1e-7


@pytest.mark.parametrize("kind", ["robust", "HC1", "HC2", "HC3"])
@pytest.mark.parametrize("likelihood", ["poisson", "gamma", "normal", "negative_binomial"])
def test_a_row_of_weight_w_is_w_rows_to_a_robust_covariance(likelihood: str, kind: str) -> None:
    y = {"poisson": COUNTS, "negative_binomial": COUNTS, "gamma": POSITIVE, "normal": REAL}[likelihood]
    times = TIMES.astype(int)
    weighted = mlnn.estimate(likelihood, (X, y), weights=TIMES, cov=kind)
    repeated = mlnn.estimate(likelihood, (X.repeat(times, 0), y.repeat(times)), cov=kind)
    assert furthest(weighted.bse, repeated.bse) < 1e-9


def test_a_binomial_table_is_its_trials_to_a_robust_covariance() -> None:
    successes = (SHARES * TRIALS).round().astype(int)
    x = X.repeat(TRIALS.astype(int), 0)
    y = np.concatenate([[1.0] * k + [0.0] * (int(n) - k) for k, n in zip(successes, TRIALS, strict=True)])
    for kind in ("HC0", "HC1", "HC3"):
        shares = mlnn.estimate("bernoulli", (X, SHARES), weights=TRIALS, cov=kind)
        assert furthest(shares.bse, mlnn.estimate("bernoulli", (x, y), cov=kind).bse) < 1e-9


def test_a_leverage_of_one_and_several_raw_outputs_have_no_hc3() -> None:
    x, y = np.eye(5)[:, :1] + 0.0, np.array([3.0, 1.0, 2.0, 4.0, 2.5])
    with pytest.raises(ConfigError, match="leverage 1"):
        mlnn.estimate("normal", (x, y), cov="HC3")
    mlnn.estimate("normal", (x, y), cov="HC1")
    with pytest.raises(ConfigError, match="is a matrix; take HC0 or HC1"):
        mlnn.estimate("categorical", literature("anes96"), cov="HC2")


def test_classes_have_probabilities_with_bands_inside_zero_and_one() -> None:
    x, y = literature("anes96")
    found = mlnn.estimate("categorical", (x, y))
    ours, flat = found.predict(x), np.asarray(found.params).T.reshape(-1)
    assert (
        furthest(ours.mean, sm.MNLogit(np.asarray(y), with_constant(x)).fit(disp=0, tol=1e-14, maxiter=100).predict())
        < 1e-8
    )

    def probabilities(coefficients: np.ndarray) -> np.ndarray:
        raw = with_constant(x)[:3] @ coefficients.reshape(6, -1).T
        odds = np.exp(np.column_stack([np.zeros(3), raw]))
        return odds / odds.sum(1, keepdims=True)

    steps = 1e-6 * np.maximum(1, np.abs(flat))
    slopes = np.stack([
        (probabilities(flat + step * unit) - probabilities(flat - step * unit)) / (2 * step)
        for step, unit in zip(steps, np.eye(len(flat)), strict=True)
    ], -1)  # fmt: skip
    errors = np.sqrt(np.einsum("nkp,pq,nkq->nk", slopes, np.asarray(found.cov_params()), slopes))
    assert furthest(ours.se[:3], errors) < 1e-6
    assert ours.lower.min() > 0
    assert ours.upper.max() < 1
    assert bool(((ours.lower < ours.mean) & (ours.mean < ours.upper)).all())
    indicator = np.asarray(y)[:, None] == np.arange(7)
    assert np.array_equal(found.residuals(), indicator - ours.mean)
    assert ours.outputs == tuple(f"y={k}" for k in range(7))
    assert furthest(ours.to_frame()["y=2"]["se"], ours.se[:, 2]) == 0


def test_of_two_classes_the_band_is_that_of_a_logit() -> None:
    two, one = (mlnn.estimate(name, (X, HARD)).predict(X[:9]) for name in ("categorical", "bernoulli"))
    for name in ("mean", "se", "lower", "upper"):
        assert furthest(getattr(two, name)[:, 1], getattr(one, name)) < 1e-9


def test_a_band_of_a_probability_that_rounds_to_an_end_stays_there() -> None:
    found = mlnn.estimate("categorical", (X, HARD))
    far = found.predict(np.array([[4000.0, 0.0, 0.0], [-4000.0, 0.0, 0.0], [300.0, 0.0, 0.0]]))
    for part in (far.se, far.lower, far.upper):
        assert np.isfinite(part).all()
    assert bool(((far.lower >= 0) & (far.lower <= far.mean) & (far.mean <= far.upper) & (far.upper <= 1)).all())


def linear() -> nn.Module:
    return nn.Linear(3, 1)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("likelihood", ["bernoulli", "gamma", "negative_binomial", "normal"])
def test_a_model_that_is_linear_predicts_as_the_linear_fit(likelihood: str) -> None:
    y = {"bernoulli": HARD, "negative_binomial": COUNTS, "gamma": POSITIVE, "normal": REAL}[likelihood]
    asked = mlnn.estimate(likelihood, (X, y), weights=TIMES, model=linear, cov="HC0")
    assert asked.cov == "HC0"
    assert (asked.predict(X).obs_lower is None) == (likelihood != "normal")
    for cov in ("expected", "observed", "HC0", "HC1"):
        one, two = mlnn.estimate(likelihood, (X, y), weights=TIMES, cov=cov), asked.with_cov(cov)
        assert furthest(two.bse, one.bse) < 1e-8
        assert furthest(two.cov_params(), asked.cov_params(cov)) == 0
        for name in ("mean", "se", "lower", "upper"):
            assert furthest(getattr(two.predict(X[:5]), name), getattr(one.predict(X[:5]), name)) < 1e-8
    assert np.abs(asked.residuals("deviance") - one.residuals("deviance")).max() < 1e-8


class Bent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rate = nn.Parameter(torch.tensor([1.0, 0.5]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.rate[0] * torch.exp(-self.rate[1] * x[:, 0])


def test_a_model_that_bends_has_errors_through_its_jacobian() -> None:
    x = np.linspace(0.1, 3, 40)[:, None]
    y = 2 * np.exp(-0.7 * x[:, 0]) + 0.05 * np.sin(40 * x[:, 0])
    found = mlnn.estimate("normal", (x, y), model=Bent)
    a, b = found.params
    slopes = np.column_stack([np.exp(-b * x[:, 0]), -a * x[:, 0] * np.exp(-b * x[:, 0])])
    ours = found.predict(x)
    assert furthest(ours.se, np.sqrt(((slopes @ found.cov_params()) * slopes).sum(1))) < 1e-9
    assert (
        furthest(
            ours.obs_upper - ours.mean, (ours.upper - ours.mean) / ours.se * np.hypot(ours.se, found.dispersion**0.5)
        )
        < 1e-9
    )
    inverse, away = np.linalg.inv(found.information / found.nobs), y - found.fitted
    scores = slopes * away[:, None] / (away @ away / 40)
    observed = np.linalg.inv(found.information)
    assert furthest(found.cov_params("HC0"), observed @ (scores.T @ scores) @ observed) < 1e-7
    assert furthest(found.cov_params("observed"), inverse / found.nobs * found.dispersion / (away @ away / 40)) < 1e-7
    with pytest.raises(DataError, match=r"found shape \(2, 2\); the model was fitted on rows \(n, 1\)"):
        found.predict(np.ones((2, 2)))


def test_a_quantile_and_a_centre_are_predicted_as_such() -> None:
    x, y = literature("engel")
    found = mlnn.estimate(AsymmetricLaplace(tau=0.25), (x, y))
    ours = found.predict(x)
    assert (ours.of, ours.obs_lower) == ("quantile", None)
    design = np.c_[x, np.ones(len(x))]
    np.testing.assert_allclose(ours.se, np.sqrt(((design @ np.asarray(found.cov_params())) * design).sum(1)), rtol=1e-9)
    assert furthest(ours.mean, with_constant(x) @ np.asarray(found.params)) < 1e-12
    assert (found.residuals() < -1e-6).mean() == pytest.approx(0.25, abs=0.01)
    assert mlnn.estimate(StudentT(df=1.0), (X, REAL)).predict(X[:2]).of == "centre"
    assert mlnn.estimate("normal", (X, REAL)).predict(X[:2], se=False).se is None


def test_raw_outputs_can_be_predicted_too() -> None:
    found = mlnn.estimate("poisson", (X, COUNTS))
    linear, mean = found.predict(X[:4], which="linear"), found.predict(X[:4])
    assert linear.of == "linear"
    assert furthest(np.exp(linear.lower), mean.lower) < 1e-12
    assert furthest(linear.se * mean.mean, mean.se) < 1e-12
    assert found.predict(X[:4], which="linear").obs_lower is None


def test_angles_have_residuals_the_shorter_way_round() -> None:
    y = np.array([3.1, -3.1, 3.0, -3.0, 3.14])
    found = mlnn.estimate(VonMises(concentration=4.0), (np.zeros((5, 0)), y))
    assert np.abs(found.residuals()).max() < 0.2
    with pytest.raises(ConfigError, match="variance of von_mises has no closed form"):
        found.residuals("pearson")


VARYING = {name: made for name, kind in LIKELIHOODS.items() if (made := kind()).kind != "classes"}


@pytest.mark.parametrize("name", VARYING)
def test_a_variance_is_that_of_draws(name: str) -> None:
    likelihood = VARYING[name]
    output = 0.4 * torch.ones(400_000, len(likelihood.outputs), dtype=torch.float64).squeeze(1)
    known = likelihood.variance(output)
    if known is None:  # binary ones have that of their space
        assert name in ("bernoulli", "bernoulli_probit", "huber_density", "hyperbolic_secant", "ordinal", "von_mises")
        return
    drawn = likelihood.sample(output, torch.Generator().manual_seed(1))
    wanted = float(torch.as_tensor(known).mean()) * likelihood.dispersion
    assert float(drawn.double().var()) == pytest.approx(wanted, rel=0.03)


def test_a_variance_that_is_infinite_or_unknown_is_none() -> None:
    assert StudentT(df=2.0).variance(torch.zeros(1)) is None
    with pytest.raises(ConfigError, match="variance of student_t has no closed form"):
        mlnn.estimate(StudentT(df=2.0), (X, REAL)).residuals("pearson")


def moved_by(found: Estimate, offset: np.ndarray) -> Estimate:
    """The same fit with an offset that the constant takes up again."""
    design = replace(found.rows.design, offset=torch.from_numpy(offset))
    beta = found.rows.beta.clone()
    beta[-1] -= offset[0]
    params = coefficients(np.append(found.params[:-1], found.params[-1] - offset[0]), found.names, found.outputs)
    information = replace(found.information, design=design, beta=beta)
    return replace(found, params=params, rows=replace(found.rows, design=design, beta=beta), information=information)


def test_an_offset_is_part_of_fitted_values_and_asked_of_new_rows() -> None:
    plain = mlnn.estimate("poisson", (X, COUNTS))
    found = moved_by(plain, np.full(200, 0.7))
    assert furthest(found.fitted, plain.fitted) < 1e-12
    assert furthest(found.cov_params("HC3"), plain.cov_params("HC3")) < 1e-9
    with pytest.raises(ConfigError, match="new rows need theirs"):
        found.predict(X[:3])
    more = found.predict(X[:3], offset=np.array([0.7, 0.7, 1.7]))
    assert furthest(more.mean, plain.predict(X[:3]).mean * np.exp([0, 0, 1])) < 1e-12
    theirs = found.to_statsmodels()
    assert furthest(theirs.predict(), plain.fitted) < 1e-12
    assert theirs.llf == pytest.approx(found.llf, rel=1e-12)
    small = mlnn.estimate("poisson", (X[:, :1], COUNTS))
    assert mlnn.compare_fits(small, found).df == 2  # a constant offset is inside a design with a constant
    ragged = replace(found.rows, design=replace(found.rows.design, offset=torch.from_numpy(POSITIVE)))
    told = mlnn.compare_fits(small, replace(found, rows=ragged)).sentence
    assert "the offset of a is no combination of the columns of b" in told


NAMED = pd.DataFrame({"dose": X[:, 0], "age": X[:, 1], "x y": X[:, 2]})


def test_columns_of_a_frame_are_found_by_name() -> None:
    found = mlnn.estimate("bernoulli", (NAMED, HARD))
    turned = NAMED[["x y", "age", "dose"]].assign(other=1.0)
    by_position = found.predict(X[:5])
    assert np.array_equal(found.predict(turned.head()).mean, by_position.mean)
    assert np.array_equal(found.predict(pl.from_pandas(turned.head())).se, by_position.se)
    assert list(found.predict(turned.tail(3)).to_frame().index) == [197, 198, 199]
    with pytest.raises(DataError, match="no column 'age', which the fit has; found dose, x y"):
        found.predict(NAMED.drop(columns="age"))


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda f: f.predict(X[:, :2]), r"found shape \(200, 2\); the fit has 3 features, so x is \(n, 3\)"),
        (lambda f: f.predict(X[0]), r"a row of it x\[None, :\]"),
        (lambda f: f.predict(np.where(X[4, 1] == X, np.nan, X)), "row 4, column 'x1' is not a finite number"),
        (lambda f: f.predict(X, which="median"), "unknown prediction 'median'"),
        (lambda f: f.predict(X, level=95), "strictly between 0 and 1"),
        (lambda f: f.predict(offset=np.ones(200)), "offset: is for new rows"),
        (lambda f: f.predict(X, offset=np.ones(3)), r"offset: must be \(200,\) finite numbers"),
        (lambda f: f.predict(X[:0]), "there are no rows to predict"),
        (lambda f: f.residuals("raw"), "unknown kind 'raw'"),
        (lambda f: f.cov_params("HC4"), "unknown covariance 'HC4'"),
    ],
)
def test_what_does_not_fit_is_refused(ask: Any, sentence: str) -> None:
    with pytest.raises((ConfigError, DataError), match=sentence):
        ask(mlnn.estimate("poisson", (X, COUNTS)))


class Own:
    def nll(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.binary_cross_entropy_with_logits(output, target, reduction="none")


class OwnWithMean(Own):
    def mean(self, output: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(output)


class OwnThatFails(Own):
    def mean(self, _output: torch.Tensor) -> torch.Tensor:
        raise ZeroDivisionError("not today")


def test_a_likelihood_of_ones_own_predicts_where_it_knows_its_mean() -> None:
    plain, ours = mlnn.estimate("bernoulli", (X, HARD)), mlnn.estimate(OwnWithMean(), (X, HARD))
    assert furthest(ours.predict(X).upper, plain.predict(X).upper) < 1e-8
    assert np.abs(ours.residuals("pearson") - plain.residuals("pearson")).max() < 1e-8
    without = mlnn.estimate(Own(), (X, HARD))
    assert furthest(without.predict(X, which="linear").mean, plain.predict(X, which="linear").mean) < 1e-8
    with pytest.raises(ConfigError, match="no mean\\(output\\), so what it predicts is not known"):
        without.fitted  # noqa: B018
    with pytest.raises(ConfigError, match="no saturated model"):
        ours.residuals("deviance")
    with pytest.raises(ConfigError, match="mean raised ZeroDivisionError: not today"):
        mlnn.estimate(OwnThatFails(), (X, HARD)).predict(X)


def test_separated_rows_predict_nothing() -> None:
    found = mlnn.estimate("bernoulli", ([[-1.0], [1.0]], [0.0, 1.0]))
    for ask in (found.predict, found.residuals, lambda: found.fitted, found.to_statsmodels):
        with pytest.raises(ConfigError, match="nothing to predict from: complete separation"):
            ask()


def test_predictions_are_shown_and_kept() -> None:
    found = mlnn.estimate("normal", (X, REAL))
    ours = found.predict(X)
    assert len(ours) == 200
    assert np.array_equal(np.asarray(ours), ours.mean)
    assert "… and 188 more" in repr(ours)
    assert ours._repr_html_().count("<tr>") == 14
    plain = ours.to_dict()
    assert plain["obs_upper"] == ours.obs_upper.tolist()
    assert list(ours.to_frame()) == ["mean", "se", "lower", "upper", "obs_lower", "obs_upper"]
    for again in (pickle.loads(pickle.dumps(found)), copy.deepcopy(found)):
        assert np.array_equal(again.predict(X[:3]).se, ours.se[:3])


def test_a_models_fit_can_be_pickled_even_where_its_class_cannot() -> None:
    class Local(Bent):
        pass

    x, y = np.linspace(0.1, 3, 40)[:, None], 2 * np.exp(-0.7 * np.linspace(0.1, 3, 40)) + 0.05 * np.cos(np.arange(40))
    kept, lost = (mlnn.estimate("normal", (x, y), model=model) for model in (Bent, Local))
    assert furthest(pickle.loads(pickle.dumps(kept)).fitted, kept.fitted) == 0
    again = pickle.loads(pickle.dumps(lost))
    assert furthest(again.params, lost.params) == 0
    with pytest.raises(ConfigError, match="no model is held"):
        again.predict(x)


NEW_ROWS = torch.tensor(X[:3])


def everything(found: Any, model: Any) -> list[Any]:
    """All that is asked of fits after they are made."""
    return [
        found.predict(NEW_ROWS).se, found.predict(se=False).mean, found.residuals("deviance"), found.cov_params("HC3"),
        found.cov_params("observed"), model.cov_params("HC0"), model.predict(X[:3]).upper, model.residuals("pearson"),
        found.to_statsmodels().bse, mlnn.compare_fits(mlnn.estimate("gamma", (X[:, :2], POSITIVE)), found).pvalue,
    ]  # fmt: skip


def test_the_callers_world_does_not_count() -> None:
    fits = mlnn.estimate("gamma", (X, POSITIVE)), mlnn.estimate("gamma", (X, POSITIVE), model=linear)
    before = everything(*fits)
    torch.set_default_dtype(torch.float16)
    try:
        with torch.inference_mode(), torch.device("meta"):
            inside = everything(*fits)
    finally:
        torch.set_default_dtype(torch.float32)
    with torch.no_grad(), np.errstate(all="raise"):
        again = everything(*fits)
    for one, two, three in zip(before, inside, again, strict=True):
        assert np.array_equal(one, two)
        assert np.array_equal(one, three)
