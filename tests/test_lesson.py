"""What a training teaches, in numbers: the axis in log-likelihoods, the weights' way, the fit, and where the equality stops."""

import math
import re
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from lesson_cases import Ran, one_feature
from torch import Tensor

from mlnn import data
from mlnn.data import Dataset, from_arrays
from mlnn.estimating import classical_estimate, estimate
from mlnn.estimating.lesson import figures
from mlnn.estimating.lesson.axis import Axis, axis_of, axis_of_constants
from mlnn.estimating.lesson.fit import fit_of
from mlnn.estimating.lesson.limits import decayed, limits, margins, saturation, separated
from mlnn.likelihoods import Bernoulli, Likelihood, Normal, Poisson
from mlnn.models import Logistic, SigmoidNode
from mlnn.objectives import (
    Objective,
    bce,
    bce_with_logits,
    cross_entropy,
    hinge,
    l1,
    mse,
    pinball,
    poisson_nll,
    weighted_bce,
)

# The axis in log-likelihoods


@pytest.mark.parametrize("loss", [bce, bce_with_logits])
@pytest.mark.parametrize("size", [1.0, 60.0, 800.0])
def test_the_log_likelihood_is_minus_n_times_the_cross_entropy(loss: Any, size: float) -> None:
    """Also at raw outputs that a clamp or a σ of 1 has spoilt: the axis is that of the formula."""
    y = torch.tensor([0.0, 1, 1, 0, 1])
    output = size * torch.tensor([1.0, -1, 0.5, -0.3, 0.9])
    assert axis_of(Objective.of(loss, data.spector().targets), Bernoulli(), output, y) == Axis(0.0, 5.0)


def test_squared_error_and_poisson_have_a_factor_and_a_constant() -> None:
    y, output = torch.tensor([1.0, 2, 0, 4]), torch.tensor([0.5, 0.1, -0.2, 1.0])
    squares = axis_of(Objective.of(mse, data.diabetes().targets), Normal(sigma=2.0), output, y)
    assert squares
    assert squares.rate == pytest.approx(4 / (2 * 4), rel=1e-9)
    assert squares.at == pytest.approx(-4 * math.log(2 * math.sqrt(2 * math.pi)), rel=1e-9)
    counts = axis_of(Objective.of(poisson_nll, data.cpunish().targets), Poisson(), output, y)
    assert counts
    assert counts.rate == pytest.approx(4, rel=1e-9)
    assert counts.at == pytest.approx(-math.log(2 * 24), rel=1e-9)
    assert counts.loss(counts.log_likelihood(0.7)) == pytest.approx(0.7)


@pytest.mark.parametrize("loss", [hinge, weighted_bce])
def test_a_loss_that_is_no_likelihood_has_no_axis(loss: Any) -> None:
    y, output = torch.tensor([0.0, 1, 1, 0, 1]), torch.tensor([1.0, -1, 0.5, -0.3, 0.9])
    assert axis_of(Objective.of(loss, data.spector().targets), Bernoulli(), output, y) is None


def test_an_axis_of_an_audits_constants_counts_each_target() -> None:
    y = torch.tensor([0, 1, 1, 1])
    plain = axis_of_constants(1.0, {0.0: 0.0, 1.0: 0.0}, y)
    assert plain == Axis(0.0, 4.0)
    assert axis_of_constants(2.0, {0.0: 0.5, 1.0: -1.0}, y) == Axis((0.5 - 3) / 2, 2.0)
    assert axis_of_constants(1.0, {0.0: 0.0}, y) is None


def test_ticks_stand_where_their_log_likelihoods_are() -> None:
    for rows, loss in ((data.spector(), bce), (data.longley(), mse)):
        ran = Ran(rows, loss, lr=1e-9)
        figure = figures.course_figure(ran.trace["step"], ran.trace["loss"], ran.lesson)
        axis, right = ran.lesson.axis, figure.layout.yaxis2
        assert axis
        assert len(right.tickvals) >= 3
        assert tuple(right.range) == tuple(figure.layout.yaxis.range)
        for place, text in zip(right.tickvals, right.ticktext, strict=True):
            assert axis.log_likelihood(place) == pytest.approx(float(text), rel=1e-4)


def test_the_line_at_the_maximum_is_the_loss_there() -> None:
    ran = Ran(data.spector(), bce)
    figure = figures.course_figure(ran.trace["step"], ran.trace["loss"], ran.lesson)
    [line] = [trace for trace in figure.data if trace.name == "the maximum: MLE"]
    assert line.y[0] == pytest.approx(12.8896334653335 / 32, rel=1e-5)


def test_of_batches_the_log_likelihood_is_that_of_all_rows() -> None:
    rows = data.spector()
    ran = Ran(rows, bce_with_logits, size=8, lr=0.001)
    with torch.no_grad():
        nll = Bernoulli().nll(ran.lane.module(rows.x)[:, 0], rows.y.double()).sum()
    assert ran.lesson.batched
    assert ran.lesson.log_likelihoods[-1] == pytest.approx(-float(nll), rel=1e-12)
    names = [trace.name for trace in figures.course_figure(ran.trace["step"], ran.trace["loss"], ran.lesson).data]
    assert names[:2] == ["loss of each step&#x27;s batch", "all rows"]
    assert not Ran(rows, bce_with_logits).lesson.batched


# The weights on their way


def test_weights_are_told_in_the_units_of_the_data_and_the_log_likelihood_is_the_same() -> None:
    rows, plain = data.spector(standardize=True), data.spector(standardize=False)
    ran, raw = Ran(rows, bce), estimate("bernoulli", plain)
    path = ran.lesson.path
    assert path
    assert path.mle == pytest.approx(raw.params, rel=1e-7)
    assert path.se == pytest.approx(raw.bse, rel=1e-6)
    assert ran.lesson.top == pytest.approx(raw.llf, rel=1e-10)
    output = plain.x.numpy() @ path.values[-1, :-1] + path.values[-1, -1]
    nll = Bernoulli().nll(torch.from_numpy(output), plain.y.double()).sum()
    assert ran.lesson.log_likelihoods[-1] == pytest.approx(-float(nll), rel=1e-10)


def test_the_table_of_weights_counts_errors_and_digits() -> None:
    path = Ran(data.spector(), bce).lesson.path
    assert path
    assert path.mle is not None
    assert path.se is not None
    network, mle, se, errors, digits = path.table(40)[1]
    assert (mle, se) == (path.mle[1], path.se[1])
    assert errors == pytest.approx((network - mle) / se)
    assert digits == pytest.approx(max(0.0, -math.log10(abs(network - mle) / abs(mle))))
    assert len(path.table(2)) == 2


def test_a_node_without_a_constant_of_standardised_rows_has_a_tied_one() -> None:
    path = Ran(data.spector(standardize=True), bce, SigmoidNode).lesson.path
    assert path
    assert path.names[-1] == "const (tied)"
    assert path.mle is not None
    plain = Ran(data.spector(standardize=False), bce, SigmoidNode).lesson.path
    assert plain
    assert plain.names == ("GPA", "TUCE", "PSI")


def test_separated_rows_have_a_supremum_and_no_estimate() -> None:
    rows = from_arrays(np.array([[-2.0], [-1], [1], [2]]), np.array([0.0, 0, 1, 1]))
    ran = Ran(rows, bce_with_logits)
    assert ran.lesson.separated
    assert ran.lesson.top == pytest.approx(0, abs=1e-6)
    assert ran.lesson.path
    assert ran.lesson.path.mle is None
    names = [trace.name for trace in figures.course_figure(ran.trace["step"], ran.trace["loss"], ran.lesson).data]
    assert "supremum, never reached" in names
    assert "the maximum: MLE" not in names
    assert "It has no maximum" in ran.headline
    assert "like the logarithm of the steps" in ran.details
    assert "There is no finite estimate" in ran.page()


# The fit


def test_the_curve_of_one_feature_is_the_mean_at_each_x_in_the_units_of_the_data() -> None:
    rows = one_feature()
    fit = Ran(rows, bce).lesson.fit
    raw = estimate("bernoulli", from_arrays(fit.rows, fit.targets))  # type: ignore[union-attr]
    assert fit
    [line], [mle], [start] = fit.network, fit.mle, fit.start
    assert mle.y == pytest.approx(1 / (1 + np.exp(-(raw.params[0] * mle.x + raw.params[1]))), abs=1e-6)
    assert np.abs(line.y - mle.y).max() > 0.01
    assert np.abs(line.y - start.y).max() > 0.01
    assert 0.5 <= fit.rows.min() <= fit.rows.max() <= 6


def test_a_standardised_target_is_told_in_its_own_unit() -> None:
    x = np.linspace(0, 10, 30)[:, None]
    rows = from_arrays(x, 100 + 7 * x[:, 0] + np.cos(9 * x[:, 0]), targets="real", standardize=True)
    notes = {"target_mean": float(rows.y.mean()), "target_scale": float(rows.y.std(correction=0))}
    scaled = Dataset(**{**vars(rows), "y": (rows.y - notes["target_mean"]) / notes["target_scale"], "notes": notes})
    fit = Ran(scaled, mse).lesson.fit
    assert fit
    assert fit.targets == pytest.approx(rows.y.numpy())
    slope = np.polyfit(fit.mle[0].x, fit.mle[0].y, 1)
    assert slope == pytest.approx(np.polyfit(x[:, 0], rows.y.numpy(), 1), rel=1e-6)


@pytest.mark.parametrize(
    ("name", "loss", "targets"), [("bernoulli", bce, "labels"), ("poisson", poisson_nll, "numbers")]
)
def test_a_line_of_equal_mean_has_that_mean(name: str, loss: Any, targets: str) -> None:
    rows = data.synthetic(likelihood=name, rows=120, features=2, weights=[0.5, -0.4], standardize=True)
    ran = Ran(rows, loss)
    fit, path = ran.lesson.fit, ran.lesson.path
    assert fit
    assert path
    inverse = {"bernoulli": lambda eta: 1 / (1 + np.exp(-eta)), "poisson": np.exp}[name]
    drawn = 0
    for line in fit.network:
        seen = np.isfinite(line.y) & np.isfinite(line.x)
        drawn += int(seen.sum())
        eta = np.stack([line.x, line.y], axis=1)[seen] @ path.values[-1, :2] + path.values[-1, 2]
        assert inverse(eta) == pytest.approx(float(line.label), rel=2e-3)
    assert drawn > 50
    if targets == "labels":
        assert [line.label for line in fit.network] == ["0.1", "0.5", "0.9"]


def test_on_a_boundary_two_labels_are_equally_likely_and_no_third_is_likelier() -> None:
    rows = data.synthetic(likelihood="categorical", rows=200, features=2, seed=3)
    ran = Ran(rows, cross_entropy, steps=60, lr=1.0)
    fit, last = ran.lesson.fit, ran.course.looks[-1].coefficients
    assert fit
    assert last is not None
    every, drawn = np.concatenate([np.zeros((3, 1)), last], axis=1), 0
    for line in fit.network:
        one, two = (int(k) for k in re.findall(r"\d", line.label))
        seen = np.isfinite(line.y) & np.isfinite(line.x)
        drawn += int(seen.any())
        outputs = np.stack([line.x, line.y, np.ones(len(line.x))], axis=1)[seen] @ every
        assert outputs[:, one] == pytest.approx(outputs[:, two], abs=1e-8)
        assert (outputs.max(axis=1) - outputs[:, one]).max(initial=0) < 1e-8
    assert drawn >= 2


def test_of_a_quantile_loss_the_quantile_is_drawn() -> None:
    rows = from_arrays(np.arange(40.0)[:, None], np.arange(40.0) + 9 * np.cos(np.arange(40.0)), targets="real")
    for loss, centre in ((partial(pinball, tau=0.8), "0.8 quantile"), (l1, "median"), (mse, "mean")):
        ran = Ran(rows, loss, lr=1e-4)
        fit, path = ran.lesson.fit, ran.lesson.path
        assert fit
        assert path
        assert fit.centre == centre
        assert fit.network[0].y == pytest.approx(fit.network[0].x * path.values[-1, 0] + path.values[-1, 1])


def test_there_is_no_picture_of_three_features_or_of_a_likelihood_that_knows_no_mean() -> None:
    assert Ran(data.spector(), bce).lesson.fit is None

    class Own(Likelihood):
        def nll(self, output: Tensor, target: Tensor) -> Tensor:
            return 0.5 * (output - target) ** 2 + 0.5 * math.log(2 * math.pi)

    rows = from_arrays(np.arange(9.0)[:, None], np.arange(9.0) + np.cos(np.arange(9.0)), targets="real")
    module = Logistic((1,), 1).double()
    classical = classical_estimate(module, Own(), rows)
    assert classical
    beta = np.ones((2, 1))
    assert fit_of(classical, [beta, beta], rows) is None
    known = classical_estimate(module, Normal(), rows)
    assert known
    assert fit_of(known, [beta, beta], rows) is not None
    assert fit_of(known, [beta, beta * math.nan], rows) is None


# Where the equality stops


def test_saturation_is_where_float32_rounds_sigma_to_one() -> None:
    rounded, exact = saturation().lines
    first = rounded.x[rounded.y > 50][0]
    assert first == pytest.approx(16.64, abs=0.02)
    assert set(rounded.y[rounded.x > first]) == {100.0}
    assert exact.y == pytest.approx(np.logaddexp(0, exact.x), rel=1e-6)
    assert "with gradient 0:" in saturation().sentence


def test_exp_of_minus_hinge_does_not_add_up_to_one_and_that_of_cross_entropy_does() -> None:
    margin, cross = margins().lines
    assert cross.y == pytest.approx(np.ones(161), rel=1e-12)
    assert margin.y == pytest.approx(sum(np.exp(-np.maximum(0, 1 - sign * margin.x)) for sign in (-1, 1)))
    assert np.ptp(margin.y) > 0.3


def test_separated_rows_follow_the_closed_form() -> None:
    network, flow = separated().lines
    assert np.interp(10, flow.x, flow.y) == pytest.approx(2.177325, rel=2e-4)
    apart = np.abs(np.interp(network.x, flow.x, flow.y)[network.x >= 1] / network.y[network.x >= 1] - 1)
    assert apart[0] == pytest.approx(0.056, abs=0.002)
    assert apart[-1] < 2e-3


def test_weight_decay_ends_where_likelihood_times_prior_is_highest() -> None:
    likelihood, mle, penalised, network = decayed().lines
    assert mle.x[0] == pytest.approx(likelihood.x[likelihood.y.argmax()], abs=0.02)
    assert network.x[0] == pytest.approx(penalised.x[penalised.y.argmax()], abs=0.02)
    assert network.x[0] < mle.x[0] - 0.3
    assert mle.y[0] >= likelihood.y.max() - 1e-9
    assert network.y[0] >= penalised.y.max() - 1e-9


def test_the_small_pictures_are_made_once_a_process() -> None:
    assert limits() is limits()
    assert [len(figures.limit_figure(limit).data) for limit in limits()] == [2, 2, 2, 4]
