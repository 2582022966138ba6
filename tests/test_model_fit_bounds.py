"""What the fit of a model decides on its way, each asked by itself on both sides of its bounds."""

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import mlnn
from mlnn.errors import ConfigError, DataError
from mlnn.estimating.catalogue import family_of
from mlnn.estimating.network import descent
from mlnn.estimating.network.descent import _model, _nothing_left, descend, unit
from mlnn.estimating.network.form import form_of, linear_fit, parameters_at, whole_rank
from mlnn.estimating.network.obstacles import _alike, _jump, _kink, _not_finite, _of_the_model
from mlnn.estimating.network.problem import Problem, made
from mlnn.estimating.prediction import Errors, Prediction, _on_the_line, _with_observations, quantile
from mlnn.likelihoods import Normal
from mlnn.seeding import generator

f64 = torch.float64
DRAWS = generator(4, "test")
X = torch.randn(60, 2, generator=DRAWS, dtype=f64)
NOISE = torch.randn(60, generator=DRAWS, dtype=f64)
HARD = (X[:, 0] + NOISE > 0).double()


def problem(model: nn.Module, y: Tensor = HARD, likelihood: Any = "bernoulli", x: Tensor = X) -> Problem:
    return Problem(family_of(likelihood), model.double(), x, y, None)


def linear() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(2, 1)


class Bent(nn.Module):
    """x·a + b·|a₀ − kink|·x₀: a kink in a parameter, or a smooth bend."""

    def __init__(self, start: float, kinked: bool = True) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor([start, 0.5]))
        self.kinked = kinked

    def forward(self, x: Tensor) -> Tensor:
        bend = self.a[0].abs() if self.kinked else self.a[0] ** 2
        return x @ self.a + bend * x[:, 0]


class Twice(nn.Module):
    """Two parameters that do the same, or nearly."""

    def __init__(self, apart: float) -> None:
        super().__init__()
        self.first, self.second, self.apart = nn.Parameter(torch.tensor(0.3)), nn.Parameter(torch.tensor(0.2)), apart

    def forward(self, x: Tensor) -> Tensor:
        return (self.first + self.second) * x[:, 0] + self.apart * self.second * x[:, 1]


# Steps on a parabola.
def test_a_step_goes_down_along_every_axis_whichever_way_it_bends() -> None:
    curvature, gradient = torch.diag(torch.tensor([2.0, -3.0]).double()), torch.tensor([4.0, 6.0]).double()
    found = _model(curvature, gradient, torch.ones(2).double())
    assert found.spectrum.sort().values.tolist() == [2.0, 3.0]
    assert found.gain == math.inf
    assert found.step(0.0).tolist() == pytest.approx([2.0, 2.0])
    assert found.step(1.0).tolist() == pytest.approx([4 / 5, 1.0])
    good = _model(torch.diag(torch.tensor([2.0, 3.0]).double()), gradient, torch.ones(2).double())
    assert good.gain == pytest.approx((16 / 2 + 36 / 3) / 2)
    flat = _model(torch.diag(torch.tensor([0.5 * descent.EPS, 1.0]).double()), gradient, torch.ones(2).double())
    assert flat.gain == math.inf
    steep = _model(torch.diag(torch.tensor([2 * descent.EPS, 1.0]).double()), gradient, torch.ones(2).double())
    assert math.isfinite(steep.gain)


def test_the_unit_of_a_parameter_is_the_root_of_its_own_curvature() -> None:
    least = descent.EPS**2
    found = unit(torch.diag(torch.tensor([4.0, 0.0, 8 * least, 2 * least]).double()))
    assert found.tolist() == pytest.approx([2.0, 2.0, math.sqrt(8 * least), 2.0])
    assert unit(torch.zeros(2, 2).double()).tolist() == [1.0, 1.0]
    assert unit(torch.diag(torch.tensor([-9.0, 1.0]).double())).tolist() == [3.0, 1.0]


@pytest.mark.parametrize(("relative", "gain", "left"), [
    (0.9, 0.5, True), (1.1, 0.5, False), (0.9, 2.0, False),
])  # fmt: skip
def test_nothing_is_left_where_gradient_and_gain_are_small(relative: float, gain: float, left: bool) -> None:
    """Each in units of what is told apart."""
    at: Any = SimpleNamespace(relative=relative * 1e-6, value=100.0)
    one = problem(linear())
    assert _nothing_left(one, at, gain * 1e-12 * 100.0) == left
    squares = problem(linear(), NOISE, Normal())
    feigned = 0.5 * float(((4 * descent.EPS * NOISE) ** 2).sum())
    for times, nothing in ((0.9, True), (1.1, False)):
        at = SimpleNamespace(relative=1.0, value=100.0)
        assert _nothing_left(squares, at, times * feigned) == nothing
        assert not _nothing_left(one, at, times * feigned)


def test_a_descent_ends_at_a_stationary_point_or_says_that_it_has_not() -> None:
    there = problem(linear())
    end = descend(there, there.flat)
    assert end.converged
    assert end.gradient <= 1e-9
    short = descend(there, there.flat, 1)
    assert not short.converged
    assert short.value > end.value
    nothing = descend(there, there.flat, 0)
    assert torch.equal(nothing.theta, there.flat)
    lost = descend(there, there.flat * math.nan)
    assert math.isnan(lost.gradient)
    assert not lost.converged


class Cube(nn.Module):
    """a³ for every row: at the maximum no curvature is left, and steps get nearer by a fifth at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(0.5))

    def forward(self, x: Tensor) -> Tensor:
        return self.a**3 + 0 * x[:, 0]


def test_a_slow_descent_goes_on_to_the_last_digit() -> None:
    one = problem(Cube(), torch.arange(60) % 2 * 1.0)
    end = descend(one, one.flat)
    assert end.converged
    assert end.gradient < 1e-12
    assert abs(float(end.theta)) < 2e-4
    short = descend(one, one.flat, 40)
    assert (short.converged, short.gradient < 1e-9) == (True, True)
    assert not descend(one, one.flat, 20).converged


# What stood in the way.
@pytest.mark.parametrize(
    ("at", "kinked", "kink"), [(0.0, True, "a[0] = 0"), (0.0, False, ""), (0.3, True, ""), (1e-6, True, "")]
)
def test_a_kink_is_where_the_gradient_jumps_however_near(at: float, kinked: bool, kink: str) -> None:
    one = problem(Bent(at, kinked))
    assert _kink(one, one.flat) == kink
    if kink:
        assert abs(_jump(one, one.flat, 0, 1e-7)) > 0.1
    else:
        assert abs(_jump(one, one.flat, 1, 1e-7)) < 1e-6


class TwoKinks(nn.Module):
    """Slopes 1 below 0, 2 above it, and 4 from 10⁻⁵ on, times x₀."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(0.0))

    def forward(self, x: Tensor) -> Tensor:
        return (self.a + self.a.relu() + 2 * (self.a - 1e-5).relu()) * x[:, 0]


def test_a_kink_is_told_though_another_is_a_hundred_thousandth_away() -> None:
    one = problem(TwoKinks())
    assert _kink(one, one.flat) == "a = 0"
    assert _kink(one, one.flat + 5e-6) == ""


@pytest.mark.parametrize(
    ("apart", "told"), [(0.0, "first and second"), (1e-7, "first and second"), (1e-4, ""), (1.0, "")]
)
def test_parameters_that_do_the_same_are_named(apart: float, told: str) -> None:
    one = problem(Twice(apart))
    assert _alike(one, one.flat) == told


@pytest.mark.parametrize(("moved", "words"), [
    ([990.0, 0.0, 0.0], "has gone from"), ([3e3, 0.0, 0.0], "runs away, to"), ([9.0, 0.0, 0.0], None),
    ([40.0, 0.0, 0.0], "has gone from"),
])  # fmt: skip
def test_a_parameter_that_went_far_is_named(moved: list[float], words: str | None) -> None:
    one = problem(linear())
    end: Any = SimpleNamespace(theta=one.flat + torch.tensor(moved).double(), gradient=1.0, value=0.0, region=None)
    told = _of_the_model(one, end)
    if words is None:
        assert told == ["the likelihood is all but flat on the way"]
        return
    assert words in told[0]
    assert "weight[0,0]" in told[0]
    slow = _of_the_model(one, SimpleNamespace(**{**vars(end), "gradient": 0.9e-3}))  # type: ignore[arg-type]
    assert slow[0] == "the likelihood is all but flat on the way"
    assert _of_the_model(one, SimpleNamespace(**{**vars(end), "gradient": 1.1e-3})) == told  # type: ignore[arg-type]
    lost = _of_the_model(one, SimpleNamespace(**{**vars(end), "region": SimpleNamespace(lost=1)}))  # type: ignore[arg-type]
    assert "not finite a step further" in lost[-1]
    fine = _of_the_model(one, SimpleNamespace(**{**vars(end), "region": SimpleNamespace(lost=0)}))  # type: ignore[arg-type]
    assert fine == told


def test_a_first_row_that_is_not_finite_is_told() -> None:
    class Log(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Parameter(torch.tensor(1.0))

        def forward(self, x: Tensor) -> Tensor:
            return torch.log(self.a * x[:, 0])

    x = X.abs()
    x[7, 0], x[9, 0] = -1.0, 0.0
    told = _not_finite(problem(Log(), x=x))
    assert told == " (raw output nan at the first weights for 2 of 60 rows, row 7 first)"
    assert "reach" in _not_finite(problem(linear()))


# The form of a model.
class Fixed(nn.Module):
    """Affine in its parameters, with `offset` added."""

    def __init__(self, offset: float) -> None:
        super().__init__()
        self.a, self.offset = nn.Parameter(torch.tensor([0.3, -0.2])), offset

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.a + self.offset


@pytest.mark.parametrize(("offset", "seen"), [(0.0, False), (1e-14, False), (1e-9, True), (1.0, True)])
def test_what_a_model_adds_whatever_its_parameters_are(offset: float, seen: bool) -> None:
    form = form_of(problem(Fixed(offset)))
    assert form is not None
    assert form.exact
    assert (form.offset > 0) == seen
    assert (linear_fit(problem(Fixed(offset)), form) is None) == seen
    assert not form.design.intercept
    assert form.place is not None
    assert parameters_at(form, torch.tensor([[1.0], [2.0]]).double()).tolist() == [1.0, 2.0]
    with pytest.raises(ConfigError, match="not the coefficients"):
        parameters_at(replace(form, place=None), torch.ones(2, 1).double())


def test_every_parameter_has_an_effect_of_its_own_where_columns_do_not_depend() -> None:
    for apart, whole in ((1.0, True), (0.0, False)):
        form = form_of(problem(Twice(apart)))
        assert form is not None
        assert whole_rank(form) == whole
    few = form_of(problem(linear(), HARD[:2], x=X[:2]))
    assert few is not None
    assert not whole_rank(few), "two rows for three parameters"


def test_a_constant_column_is_the_constant_wherever_it_stands() -> None:
    class First(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bias, self.slope = nn.Parameter(torch.tensor(0.1)), nn.Parameter(torch.tensor([0.3, -0.2]))

        def forward(self, x: Tensor) -> Tensor:
            return self.bias + x @ self.slope

    form = form_of(problem(First()))
    assert form is not None
    assert form.design.intercept
    assert form.design.features == ("slope[0]", "slope[1]")
    assert form.place is not None
    assert form.place.tolist() == [1, 2, 0]


@pytest.mark.parametrize(("factory", "words"), [
    (nn.Linear(2, 1), "found Linear"), (3, "found int"), (lambda: 3, "made a int"),
    (lambda: nn.LazyLinear(1), "has no shape yet"),
    (lambda: nn.Linear(2, 1, dtype=torch.complex64), "is complex"),
    (lambda: nn.Linear(2, 1, device="meta"), "on the meta device"),
    (lambda: 1 / 0, "ZeroDivisionError"),
])  # fmt: skip
def test_a_factory_makes_a_model_whose_weights_can_be_estimated(factory: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        made(factory, 0)
    assert made(linear, 0).weight.dtype == f64
    with pytest.raises(ConfigError, match="must be float64"):
        Problem(family_of("bernoulli"), nn.Linear(2, 1), X, HARD, None)


# Predictions.
@pytest.mark.parametrize(
    ("level", "df", "reach"),
    [(0.95, None, 1.959964), (0.9, None, 1.644854), (0.95, 5.0, 2.570582), (np.float64(0.5), None, 0.67449)],
)
def test_a_quantile_is_that_of_the_normal_or_of_students_t(level: Any, df: float | None, reach: float) -> None:
    assert quantile(level, df) == pytest.approx(reach, rel=1e-5)
    for wrong in (0, 1, -0.1, 1.1, True, "0.9", None, math.nan):
        with pytest.raises(ConfigError, match="strictly between 0 and 1"):
            quantile(wrong, df)


@pytest.mark.parametrize(("name", "mean", "half", "ends"), [
    ("normal", 2.0, 0.5, (1.5, 2.5)), ("poisson", 2.0, 1.0, (2 * math.exp(-0.5), 2 * math.exp(0.5))),
    ("bernoulli", 0.5, 0.25, (1 / (1 + math.e), math.e / (1 + math.e))), ("poisson", 0.0, 1.0, (0.0, 1.0)),
    ("bernoulli", 1.0, 0.5, (0.5, 1.0)),
    ("bernoulli", 0.0, 0.5, (0.0, 0.5)),
])  # fmt: skip
def test_a_band_stays_where_means_may_be(name: str, mean: float, half: float, ends: tuple[float, float]) -> None:
    low, high = _on_the_line(family_of(name), torch.tensor([mean]).double(), torch.tensor([half]).double())
    assert (float(low), float(high)) == pytest.approx(ends)


def test_a_new_observation_lies_farther_out_than_the_mean() -> None:
    plain = Prediction(np.array([1.0]), np.array([3.0]), np.array([0.0]), np.array([2.0]), 0.95)
    found = _with_observations(plain, Errors(torch.eye(1), 2.0, 16.0))
    assert found.obs_lower is not None
    assert found.obs_upper is not None
    assert (found.obs_lower[0], found.obs_upper[0]) == (-9.0, 11.0)
    assert _with_observations(plain, Errors(torch.eye(1), 2.0)) is plain
    bare = replace(plain, se=None)
    assert _with_observations(bare, Errors(torch.eye(1), 2.0, 16.0)) is bare


def test_predictions_are_shown_up_to_a_screenful_and_as_columns() -> None:
    def predicted(rows: int, outputs: int = 1) -> Prediction:
        shape = (rows,) if outputs == 1 else (rows, outputs)
        part = np.arange(float(rows * outputs)).reshape(shape)
        names = tuple(f"y={k}" for k in range(outputs)) if outputs > 1 else ("",)
        return Prediction(part, part, part - 1, part + 1, 0.9, outputs=names)

    assert "more" not in repr(predicted(12))
    assert "… and 1 more" in repr(predicted(13))
    assert "Predicted mean, 1 row" in repr(predicted(1))
    assert "1 rows" not in repr(predicted(1))
    assert "2 rows" in repr(predicted(2))
    assert "confidence bands at 0.9" in repr(predicted(2))
    assert "bands" not in repr(replace(predicted(2), se=None))
    assert "0 · y=1" in repr(predicted(2, 2))
    assert list(predicted(2).to_frame().columns) == ["mean", "se", "lower", "upper"]
    assert predicted(2, 2).to_frame()[("y=1", "mean")].tolist() == [1.0, 3.0]
    assert predicted(2).to_dict()["lower"] == [-1.0, 0.0]
    assert "obs_lower" not in predicted(2).to_dict()


FIT = mlnn.estimate("poisson", (X, torch.poisson(torch.exp(0.3 * X[:, 0]), generator=DRAWS)))


def test_what_a_prediction_is_asked_for() -> None:
    mean, raw = FIT.predict(X[:3]), FIT.predict(X[:3], which="linear")
    assert np.log(mean.mean) == pytest.approx(raw.mean)
    assert raw.upper is not None
    assert np.log(mean.upper) == pytest.approx(raw.upper)  # type: ignore[arg-type]
    assert mean.se == pytest.approx(mean.mean * raw.se)  # type: ignore[operator]
    assert (mean.of, raw.of) == ("mean", "linear")
    wrong: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"x": X[:3], "which": "median"}, ConfigError, "which: "), ({"x": X[:0]}, DataError, "no rows to predict"),
        ({"x": None, "offset": torch.ones(60)}, ConfigError, "offset: is for new rows"), ({"x": X[:3, :1]}, DataError, "x"),
    ]  # fmt: skip
    for given, kind, words in wrong:
        with pytest.raises(kind, match=words):
            FIT.predict(given.pop("x"), **given)
    assert len(FIT.predict(None)) == 60
