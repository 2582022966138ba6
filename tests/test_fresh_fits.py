"""What a statistician from elsewhere tried first, and what was wrong with it: each stands for its kind."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from torch import nn

import mlnn
from mlnn.errors import ConfigError, DataError
from mlnn.objectives import Counts, Positive

ROWS = 300
LEVELS = ["low", "mid", "high", "top"]


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(2)
    made = pd.DataFrame({"a": rng.normal(size=ROWS), "b": rng.normal(size=ROWS), "g": rng.choice(list("xyz"), ROWS)})
    made["off"] = rng.normal(size=ROWS)
    made["grade"] = np.digitize(made.a + made.off + rng.logistic(size=ROWS), [-1, 0, 1])
    made["label"] = pd.Categorical.from_codes(made.grade, LEVELS, ordered=True)
    made["count"] = np.random.default_rng(0).poisson(np.exp(0.5 * made.a))
    made["y"] = (made.grade > 1).astype(int)
    return made


def test_levels_in_an_order_name_thresholds_and_classes(frame):
    found = mlnn.estimate("ordinal", "label ~ a + b", frame)
    plain = mlnn.estimate("ordinal", "grade ~ a + b", frame)
    assert np.array_equal(found.params, plain.params)
    assert found.thresholds == ("low|mid", "mid|high", "high|top")
    assert list(found.ancillary.values()) == list(plain.ancillary.values())
    assert list(found.ancillary_bse) == list(found.thresholds)
    assert "low|mid" in found.summary()
    assert mlnn.estimate("ordinal", (frame[["a", "b"]], frame.label.array)).thresholds == found.thresholds
    assert json.loads(json.dumps(found.to_dict()))["thresholds"] == list(found.thresholds)
    assert found.predict(frame[:2]).outputs == tuple(f"label={level}" for level in LEVELS)


def test_text_has_no_order(frame):
    text = frame.assign(label=frame.label.astype(str).astype(object))
    with pytest.raises(DataError, match="no order of its own"):
        mlnn.estimate("ordinal", "label ~ a", text)
    assert mlnn.estimate("categorical", "label ~ a", text).outputs[0] == "label=low"  # sorted: high, low, …


def test_labels_in_an_order_take_an_offset(frame):
    """Against statsmodels' OrderedModel, whose optimiser stops at five digits of the coefficients."""
    ordered = pytest.importorskip("statsmodels.miscmodels.ordinal_model")
    theirs = ordered.OrderedModel(frame.grade, frame[["a", "b"]], offset=frame.off, distr="logit").fit(
        disp=0, method="bfgs"
    )
    found = mlnn.estimate("ordinal", "grade ~ a + b", frame, offset="off")
    assert np.allclose(found.params, theirs.params[:2], atol=2e-5)
    assert found.llf == pytest.approx(theirs.llf, abs=1e-6)
    assert np.allclose(found.predict(frame, offset="off").mean, found.fitted)
    with pytest.raises(ConfigError, match="changes nothing"):
        mlnn.estimate("categorical", "grade ~ a", frame, offset="off")


@pytest.mark.parametrize(("target", "outputs"), [("grade", 3), ("y", 1)])
def test_an_ordinal_network_has_a_raw_output_less_than_classes(frame, target, outputs):
    """Its steps may depend on x: no less likely than the linear model; of two labels it is the Bernoulli."""
    model = mlnn.estimate("ordinal", (frame[["a"]], frame[target]), model=lambda: nn.Linear(1, outputs), starts=1)
    linear = mlnn.estimate("ordinal", (frame[["a"]], frame[target]))
    assert model.params.size == 2 * outputs
    assert model.llf >= linear.llf - 1e-9
    if outputs == 1:
        assert model.llf == pytest.approx(mlnn.estimate("bernoulli", (frame[["a"]], frame[target])).llf, abs=1e-9)


def test_zeros_from_elsewhere_that_leave_some_rows_are_no_maximum(frame):
    """A level with fewer zeros than its Poisson has takes its logit to −∞; at −27 the gradient looks like 0."""
    with pytest.raises(
        DataError, match=r"runs to 0 in \d+ of 300 rows .*logit_inflation: g\[T.y\], g\[T.z\], Intercept"
    ):
        mlnn.estimate("zero_inflated_poisson", "count ~ a + g", frame)
    rng = np.random.default_rng(4)
    inflated = frame.assign(count=frame["count"] * (rng.random(ROWS) > 0.3))
    assert mlnn.estimate("zero_inflated_poisson", "count ~ a + g", inflated).exists


@pytest.mark.parametrize("kind", ["hurdle_poisson", "zero_inflated_poisson"])
def test_an_offset_far_away_moves_the_constant_and_nothing_else(frame, kind):
    rng = np.random.default_rng(4)
    inflated = frame.assign(count=frame["count"] * (rng.random(ROWS) > 0.3), far=1000.0)
    near, far = (mlnn.estimate(kind, "count ~ a", inflated, offset=part) for part in (None, "far"))
    assert np.allclose(near.params[0], far.params[0])
    assert near.params[-1, 0] - far.params[-1, 0] == pytest.approx(1000)
    assert near.llf == pytest.approx(far.llf, abs=1e-7)


def test_separated_zeros_have_no_standard_errors_to_tell_of(frame):
    found = mlnn.estimate("zero_inflated_poisson", (frame.a, np.full(ROWS, 3)))
    assert not found.exists
    assert not any("standard errors are" in note for note in found.notes)


def test_penalised_fits_of_other_columns_are_not_compared(frame):
    """½ log|I| moves with a column's unit: the same test gave p = 0.04 and 2e-5 where the profile has 0.47."""
    small, large = (mlnn.estimate("bernoulli", f, frame, penalty="firth") for f in ("y ~ a", "y ~ a + b"))
    with pytest.raises(ConfigError, match="depends on its columns and their units"):
        mlnn.compare_fits(small, large)
    with pytest.raises(ConfigError, match="penalty of b"):
        mlnn.compare_fits(mlnn.estimate("bernoulli", "y ~ a", frame), large)


def test_statsmodels_has_no_penalty(frame):
    with pytest.raises(ConfigError, match="no penalised likelihood"):
        mlnn.estimate("bernoulli", "y ~ a", frame, penalty="firth").to_statsmodels()


def test_raw_outputs_with_a_constant_alone_are_fewer_numbers(frame):
    full = mlnn.estimate("hurdle_poisson", "count ~ a + b", frame)
    part = mlnn.estimate("hurdle_poisson", "count ~ a + b", frame, constant="logit_above_zero")
    found = mlnn.compare_fits(part, full)
    assert found.df == 2
    assert found.pvalue == pytest.approx(stats.chi2.sf(2 * (full.llf - part.llf), 2))
    other = mlnn.estimate("hurdle_poisson", "count ~ a", frame)
    wide = mlnn.estimate("hurdle_poisson", "count ~ a + b + off", frame, constant="logit_above_zero")
    assert "has a constant alone" in mlnn.compare_fits(other, wide).sentence


def test_thresholds_are_counted(frame):
    found = mlnn.compare_fits(
        mlnn.estimate("ordinal", "grade ~ a", frame), mlnn.estimate("categorical", "grade ~ a", frame)
    )
    assert (found.first.parameters, found.second.parameters) == (4, 6)
    assert found.notes == ()


class Straight:
    """exp(f)/y, which is no density."""

    def nll(self, output, target: Positive):
        return torch.log(target) - output


class Outside:
    """A Poisson of which a part is computed where no gradient is seen."""

    def nll(self, output, target: Counts):
        return torch.as_tensor(np.exp(output.detach().numpy())) - target * output + torch.lgamma(target + 1)


@pytest.mark.parametrize("own", [Straight(), Outside()])
def test_a_gradient_without_a_slope_is_met_at_the_door(own):
    with pytest.raises(ConfigError, match=r"gradient of .* does not depend on the raw output"):
        mlnn.estimate(own, (np.arange(5.0), np.arange(1, 6)))


def test_no_rows_are_called_so():
    with pytest.raises(DataError, match="there are no rows"):
        mlnn.estimate("normal", (np.zeros((0, 2)), np.zeros(0)))


def test_a_column_called_as_the_constant_is_not_lost(frame):
    odd = frame.rename(columns={"a": "1"})
    with pytest.raises(ConfigError, match="a column called 1"):
        mlnn.estimate("bernoulli", "y ~ `1`", odd)
    found = mlnn.estimate("bernoulli", "y ~ Q('1')", odd)
    assert found.params[0] == mlnn.estimate("bernoulli", "y ~ a", frame).params[0]


@pytest.mark.parametrize("size", [3e3, 1e7])
def test_large_counts_among_zeros_have_curvature(size):
    """Of means above 700 no count is 0: coefficients of the mean are those of the Poisson of the counts above 0."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=ROWS)
    y = rng.poisson(size * np.exp(0.1 * x)) * (rng.random(ROWS) > 0.3)
    found = mlnn.estimate("zero_inflated_poisson", (x, y))
    some = mlnn.estimate("poisson", (x[y > 0], y[y > 0]))
    zeros = mlnn.estimate("bernoulli", (x, y == 0))
    assert np.allclose(found.params, np.c_[some.params, zeros.params], atol=1e-9)
    assert np.allclose(found.bse, np.c_[some.bse, zeros.bse], rtol=1e-7)
    assert found.llf == pytest.approx(some.llf + zeros.llf)
