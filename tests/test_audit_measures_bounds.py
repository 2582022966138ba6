"""The bounds by which base measures are found, and tails and shapes are read, from both sides."""

import math
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy
import torch
from asked_cases import Function, asked, f64, numbers
from measure_cases import LABELS, coral
from torch import Tensor

from mlnn.auditing import counting, refute, shift, solved, system, unbalanced
from mlnn.auditing.ask import Loss
from mlnn.auditing.counting import Steps, far_sum
from mlnn.auditing.curved import curved_name
from mlnn.auditing.following import FEWEST
from mlnn.auditing.implied import Implied
from mlnn.auditing.ordered import ordered_name
from mlnn.auditing.powers import PowerTail, Stretch, power_tail
from mlnn.auditing.reads import reading
from mlnn.auditing.shift import _end, _peaks
from mlnn.auditing.system import Search, System, best_of, outputs_of, reach_of
from mlnn.auditing.tweedie import Power
from mlnn.errors import ConfigError
from mlnn.objectives import Objective
from mlnn.targets import TargetSpace


# Tails that are powers.
@pytest.mark.parametrize(("power", "of_log", "sums"), [
    (1 + 2e-6, None, True), (1 - 2e-6, None, False), (1 + 0.5e-6, None, None), (1 + 0.5e-6, 1.5, True), (1.0, 1.021, True),
    (1.0, 1.019, None), (1.0, 0.981, None), (1.0, 0.979, False), (1.5, 0.5, True), (0.5, 1.5, False),
])  # fmt: skip
def test_the_border_of_a_power_is_a_millionth_and_of_a_logarithms_a_fiftieth(
    power: float, of_log: float | None, sums: bool | None
) -> None:
    assert PowerTail(power, 1.0, 1.0, of_log).sums is sums


@pytest.mark.parametrize(("wave", "read"), [(1e-12, True), (1e-7, False)])
def test_a_power_is_read_to_ten_digits(wave: float, read: bool) -> None:
    found = power_tail(lambda v: 2 * v.log() + wave * torch.sin(7 * v.log()), Stretch(1e3, 1e8))
    assert (found is not None) == read


@pytest.mark.parametrize(("bend", "goes_on"), [(1e-12, True), (1e-7, False)])
def test_a_power_goes_on_far_beyond_as_it_began(bend: float, goes_on: bool) -> None:
    def height(v: Tensor) -> Tensor:
        return v.log() * torch.where(v > 1e9, 2 * (1 + bend), 2.0)

    assert (power_tail(height, Stretch(1e3, 1e8, (1e10, 1e20))) is not None) == goes_on
    assert power_tail(height, Stretch(1e3, 1e8)) is not None, "it was not looked at there"


def test_a_sum_beyond_begins_half_a_count_sooner_than_an_integral() -> None:
    whole = power_tail(lambda v: 2 * v.log(), Stretch(64.0, 2.0**17, whole=True))
    line = power_tail(lambda v: 2 * v.log(), Stretch(64.0, 2.0**17))
    assert whole is not None
    assert line is not None
    assert line.mass == pytest.approx(2.0**-17, rel=1e-9)
    assert whole.mass == pytest.approx(1 / (2.0**17 - 0.5), rel=1e-9)
    slow = power_tail(lambda v: 1.00001 * v.log(), Stretch(20.0, 600.0))
    assert slow is not None
    assert slow.mass == pytest.approx(600.0**-1e-5 / 1e-5, rel=1e-6)


# The ends of a loss of y − f.
@pytest.mark.parametrize(("rho", "end"), [
    ([0.0, 0.5, 0.75, 0.875, 0.87505], 0.87505), ([0.0, 0.1, 0.2, 0.3, 0.4], math.inf), ([1.0] * 5, 1.0),
    ([0.0, 1.0, 1.0001, 1.00018, 1.00026], None), ([0.0, -1.0, -2.0, -3.0, -4.0], -math.inf),
    ([0.0, -1.0, -2.0, -3.0, -3.9], None), ([0.0, -2e-3, -4e-3, -6e-3, -8e-3], -math.inf),
    ([0.0, -0.9e-3, -1.8e-3, -2.7e-3, -3.6e-3], None), ([0.0, -1e-3, 0.0, 2e-4, 4e-4], math.inf),
    ([0.0, 1.0, math.inf, math.inf, math.inf], math.inf), ([0.0, 1.0, 0.5, math.inf, math.inf], None),
    ([0.0, -math.inf, -math.inf, -math.inf, -math.inf], None), ([0.0, math.nan, 0.0, 0.0, 0.0], None),
    ([0.0, 1.0, 1.5, 1.75, 1.75 + 0.9e-4], 1.75 + 0.9e-4), ([0.0, 1.0, 1.5, 1.6, 1.6 + 1.1e-4], math.inf),
    ([0.0, 4e-4, 7e-4, 9.25e-4, 9.25e-4 + 0.9e-4], 9.25e-4 + 0.9e-4), ([0.0, 4e-4, 7.1e-4, 9.25e-4, 9.25e-4 + 0.9e-4], None),
])  # fmt: skip
def test_what_a_loss_tends_to_outwards(rho: list[float], end: float | None) -> None:
    assert _end(numbers(*rho)) == end


@pytest.mark.parametrize(("over", "below", "peaks"), [
    (0.0, 1.0, True), (0.9e-4, 1.0, True), (1.1e-4, 1.0, False), (0.0, 0.9e-3, False), (0.0, 1.1e-3, True),
])  # fmt: skip
def test_a_density_peaks_where_the_loss_lies_below_its_limit_and_nowhere_above(
    over: float, below: float, peaks: bool
) -> None:
    def rho(v: Tensor) -> Tensor:
        return 2.0 + over * ((v - 20).abs() < 1) - below * (v.abs() < 1)

    assert _peaks(SimpleNamespace(rho=rho), 2.0, 1.0) == peaks  # type: ignore[arg-type]
    lost = SimpleNamespace(rho=lambda v: torch.where(v > 23.9, math.inf, rho(v)))
    assert not _peaks(lost, 2.0, 1.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(("left", "right", "none"), [
    (0.0, 0.9e-3, False), (0.0, 1.1e-3, True), (1.1e-3, 0.0, True), (0.0, 0.0, False),
])  # fmt: skip
def test_two_different_limits_leave_no_measure(left: float, right: float, none: bool) -> None:
    def function(f: Tensor, y: Tensor) -> Tensor:
        v = y - f
        return torch.where(v > 5, right, torch.where(v < -5, left, 0.2 - 0.01 * v.abs()))

    loss = asked(function)
    found = SimpleNamespace(
        loss=loss, width=1.0, along=loss.space.coordinate, rho=lambda v: function(torch.zeros_like(v), v)
    )
    assert (shift.no_measure(found) is not None) == none  # type: ignore[arg-type]
    assert list(shift.ENDS) == [12.0, 24.0, 48.0, 96.0, 192.0]


# A linear system for h.
def test_outputs_go_out_to_where_labels_change() -> None:
    def at(cut: float, targets: Any = "binary") -> Loss:
        return asked(lambda f, y: torch.nn.functional.softplus((1 - 2 * y) * (f - cut)), targets)

    assert reach_of(at(2.0)) == pytest.approx(6.0, rel=0.15)
    assert reach_of(at(0.0)) == reach_of(at(2e-4)) == system.ORDINARY
    assert reach_of(at(1e-2)) == pytest.approx(3e-2, rel=0.25)
    assert reach_of(at(2e4)) == pytest.approx(6e4, rel=0.15)
    assert reach_of(asked(lambda f, y: 0 * f + y, "binary")) == system.ORDINARY
    loss = at(2.0)
    line = outputs_of(loss, 6.0)
    assert len(line) == 33 + 4 * 2
    assert 5.5 < float(line.abs().max()) < 6.5
    assert bool((line.diff() > 0).all())
    assert len({round(float(step), 6) for step in line.diff()}) > 30, "uneven"
    assert float(line[(line.abs() < 3)].diff().mean()) < float(line[line > 3].diff().mean()), "denser about 0"
    assert len(outputs_of(loss, 11.9)) == 41
    both = outputs_of(loss, 12.1)
    assert len(both) == 82
    assert 3.5 < float(both[41:].abs().max()) < 4.5
    lost = asked(lambda f, y: torch.where(f > 0, math.inf, f * y), "binary")
    assert float(outputs_of(lost, 4.0).max()) <= 0


@pytest.mark.parametrize(
    ("around", "misfit", "fits"),
    [(1.1e-8, 1e-12, True), (0.9e-8, 1e-12, False), (0.0, 0.0, False), (2e-12, 0.0, False), (3e-12, 0.0, True)],
)
def test_a_temperature_fits_where_the_misfit_falls_ten_thousandfold(around: float, misfit: float, fits: bool) -> None:
    best = replace(known_system(), misfit=misfit)
    assert Search(best, around, 0.0).fits == fits


def known_system(misfit: float = 1e-15, apart: float = 1.0) -> System:
    """Of two labels, σ and 1 − σ."""
    f = torch.linspace(-2, 2, 9, dtype=f64)
    value = torch.stack([torch.nn.functional.softplus(f), torch.nn.functional.softplus(-f)], 1)
    return System(f, value, 1.0, np.zeros(2), np.ones(2), misfit, np.zeros((0, 2)), apart)


def test_sums_are_those_of_the_weights() -> None:
    assert known_system().sums().tolist() == pytest.approx([1.0] * 9)
    half = replace(known_system(), log_h=np.full(2, -math.log(2.0)), sign=np.array([1.0, -1.0]))
    f = half.output
    assert half.sums().tolist() == pytest.approx((0.5 * (torch.sigmoid(-f) - torch.sigmoid(f))).tolist())


@pytest.mark.parametrize(("misfit", "apart", "around", "least", "kind", "words"), [
    (0.5e-12, 1.0, 1e-3, 1.0, "likelihood", ""), (0.5e-12, 0.9e-8, 1e-3, 1.0, "undecided", "so nearly a sum"),
    (0.5e-12, 1.1e-8, 1e-3, 1.0, "likelihood", ""), (2e-12, 1.0, 1e-3, 1.0, "undecided", "leaves a misfit"),
    (0.9e-7, 1.0, 1.0, 1.0, "undecided", "leaves a misfit"), (1.1e-7, 1.0, 1.0, 1.0, "no link", ""),
    (0.9e-7, 1.0, 1e-5, 1.0, "no link", ""), (0.5e-12, 1.0, 1e-13, 1.0, "no link", ""),
    (1.1e-7, 1.0, 1.0, 0.9e-6, "undecided", "leaves a misfit"), (1.1e-7, 1.0, 1.0, 1.1e-6, "no link", ""),
    (0.5e-12, 0.9e-8, 1e-13, 1.0, "no link", ""),
    (0.5e-12, 0.9e-8, 1e-13, 0.9e-6, "undecided", "so nearly a sum"),
])  # fmt: skip
def test_what_the_best_temperature_says(
    misfit: float, apart: float, around: float, least: float, kind: str, words: str
) -> None:
    loss = asked(lambda f, y: torch.nn.functional.softplus((1 - 2 * y) * f), "binary")
    found = solved._judged(loss, 4.0, Search(known_system(misfit, apart), around, least))
    assert found.kind == kind
    assert words in (found.said or "")
    if kind == "no link":
        assert found.witness is not None


@pytest.mark.parametrize(("off", "kind"), [(0.4e-11, "likelihood"), (3e-11, "undecided")])
def test_weights_hold_at_outputs_from_which_they_were_not_solved(off: float, kind: str) -> None:
    loss = asked(lambda f, y: torch.nn.functional.softplus((1 - 2 * y) * f) + off * (f > 0.5), "binary")
    assert solved._likelihood(loss, 4.0, known_system(), 0).kind == kind


@pytest.mark.parametrize(("tau", "kind", "measure"), [
    (1 + 0.5e-9, "likelihood", "1"), (1 + 2e-9, "scaled likelihood", "1"), (2.0, "scaled likelihood", "1"),
])  # fmt: skip
def test_a_temperature_within_a_billionth_of_1_is_1(tau: float, kind: str, measure: str) -> None:
    loss = asked(lambda f, y: tau * torch.nn.functional.softplus((1 - 2 * y) * f), "binary")
    there = known_system()
    found = solved._likelihood(loss, 4.0, replace(there, tau=tau, value=tau * there.value), 0)
    assert (found.kind, found.measure) == (kind, measure)
    assert found.scale == (1.0 if kind == "likelihood" else tau)


@pytest.mark.parametrize(("apart", "several", "measure"), [
    (0.5e-9, 0, "1"), (2e-3, 0, "1, 1.002 by label"), (0.0, 1, "1, one of several"),
])  # fmt: skip
def test_a_measure_of_labels_in_words(apart: float, several: int, measure: str) -> None:
    loss = asked(lambda f, y: torch.nn.functional.softplus((1 - 2 * y) * f) + apart * y, "binary")
    found = solved._likelihood(loss, 4.0, replace(known_system(), log_h=np.array([0.0, apart])), several)
    assert found.measure == measure


@pytest.mark.parametrize(("h", "plain"), [
    (1 / 3 * (1 + 0.9e-9), 1 / 3), (1 / 3 * (1 + 1.1e-9), None), (1 / 59, 1 / 59), (2 / 61, None), (0.9e6, 0.9e6),
    (7e6 + 0.001, None), (1e-7, None), (60.5, 60.5),
])  # fmt: skip
def test_a_weight_next_to_a_small_fraction_is_that_fraction(h: float, plain: float | None) -> None:
    assert solved._plain(math.log(h)) == (math.log(h) if plain is None else math.log(plain))


@pytest.mark.parametrize(("weight", "kept"), [(0.5e-9, False), (2e-9, True), (-0.1, False)])
def test_a_label_needs_a_weight_above_rounding(weight: float, kept: bool) -> None:
    """Each label's largest probability is ½ here."""
    there = known_system()
    value = torch.full((9, 2), math.log(2.0), dtype=f64)
    found = solved._weights(
        replace(there, value=value, log_h=np.array([0.0, math.log(abs(weight))]), sign=np.array([1.0, np.sign(weight)]))
    )
    assert (found is not None) == kept


def test_of_several_solutions_the_one_with_the_largest_least_weight_is_taken() -> None:
    there = known_system()
    value = torch.full((9, 2), math.log(2.0), dtype=f64)
    null = np.array([[1.0, -1.0]]) / math.sqrt(2)
    found = solved._weights(replace(there, value=value, log_h=np.log([1.9, 0.1]), null=null))
    assert found is not None
    assert found.log_h.tolist() == pytest.approx([0.0, 0.0], abs=1e-9)
    below = solved._weights(
        replace(there, value=value, log_h=np.log([2.1, 0.1]), sign=np.array([1.0, -1.0]), null=null)
    )
    assert below is not None
    assert below.log_h.tolist() == pytest.approx([0.0, 0.0], abs=1e-9)
    assert solved._weights(replace(there, value=value, log_h=np.log([2.1, 0.1]), sign=np.array([1.0, -1.0]))) is None


@pytest.mark.parametrize(("loss", "targets", "pushed"), [
    (lambda f, y: f * (1 + y), "binary", True), (lambda f, y: f * (1 - 2 * y), "binary", False),
    (lambda f, y: f * torch.where(y > 0, 1.0, 0.9e-6), "binary", False),
    (lambda f, y: -f * torch.where(y > 0, 1.0, 0.9e-6), "binary", False),
    (lambda f, y: f * torch.where(y > 0, 1.0, 1.1e-6), "binary", True),
    (lambda f, y: -f * torch.where(y > 0, 1.0, 1.1e-6), "binary", True),
    (lambda f, y: 0 * f + y, "binary", False), (lambda f, y: f[:, 0] * (1 + y) + 0 * f[:, 1], "classes(2, raw=2)", True),
    (lambda f, y: f[:, 0] * (1 - 2 * y) + 0 * f[:, 1], "classes(2, raw=2)", False),
])  # fmt: skip
def test_all_targets_pull_one_way(loss: Function, targets: str, pushed: bool) -> None:
    assert (solved._one_way(asked(loss, targets), 4.0) is not None) == pushed


def test_more_labels_than_can_be_told_apart_are_not_solved_for() -> None:
    def binomial(count: int) -> Loss:
        def loss(f: Tensor, y: Tensor) -> Tensor:
            binomials = torch.lgamma(y + 1) + torch.lgamma(count - y.double())
            return binomials + (count - 1) * torch.nn.functional.softplus(f) - y * f

        return asked(loss, TargetSpace("classes", count, raw=1))

    assert "more than 40 labels" in (solved.examine_solved(binomial(41)).said or "")
    assert "more than 40 labels" not in (solved.examine_solved(binomial(40)).said or "")
    few = asked(lambda f, y: torch.where(f.abs() > 0.3, math.inf, (y - 1) * f), LABELS)
    assert "too few outputs" in (solved.examine_solved(few).said or "")


def test_a_temperature_is_narrowed_down_to_the_last_digits() -> None:
    for tau in (2.5, math.pi):
        found = best_of(asked(lambda f, y, tau=tau: tau * coral(1.0, 0.0, -1.2)(f, y), LABELS), 4.0)
        assert found.fits
        assert found.best.misfit <= system.SOLVES
        assert found.best.tau == pytest.approx(tau, rel=1e-11 if tau == math.pi else 0)
    steep = best_of(asked(lambda f, y: coral(1.0, 0.0, -1.2, weights=(1.0, 1.3, 1.0))(f, y), LABELS), 4.0)
    assert steep.best.misfit > system.FAILS
    assert steep.least > system.FAILS_ABOVE


# Laws of ordered labels.
LINE = torch.linspace(-3, 3, 31, dtype=f64)
CUTS = (-1.0, 0.2, 1.3)


def labels(below: Callable[[Tensor], Tensor], bend: float = 0.0) -> Tensor:
    """Probabilities (F, 4) from their cumulative ones, of cuts less the output."""
    edges = [below(cut - LINE * (1 + bend * k)) for k, cut in enumerate(CUTS)]
    ends = torch.stack([0 * LINE, *edges, 1 + 0 * LINE], 1)
    return ends.diff(dim=1)


def adjacent(slopes: tuple[float, ...], shifts: tuple[float, ...]) -> Tensor:
    steps = torch.stack([a * LINE + b for a, b in zip(slopes, shifts, strict=True)], 1)
    return torch.softmax(torch.cat([torch.zeros(31, 1, dtype=f64), steps.cumsum(1)], 1), 1)


BINOMIAL = (math.log(3), 0.0, -math.log(3))


@pytest.mark.parametrize(("p", "name"), [
    (labels(torch.sigmoid), "proportional odds"), (labels(torch.special.ndtr), "ordered probit"),
    (labels(lambda v: 1 - torch.exp(-torch.exp(v))), "proportional hazards of grouped times"),
    (1 - labels(lambda v: torch.exp(-torch.exp(-v))), None), (labels(torch.sigmoid, 1e-3), None),
    (labels(torch.sigmoid, 1e-9), "proportional odds"), (adjacent((1.0, 1.0, 1.0), BINOMIAL), "binomial, n = 3"),
    (adjacent((1.0, 1.0, 1.0), (math.log(3) + 0.7, 0.7, 0.7 - math.log(3))), "binomial, n = 3"),
    (adjacent((1.0, 1.0, 1.0), (math.log(3), 1e-9, -math.log(3))), "binomial, n = 3"),
    (adjacent((1.0, 1.0, 1.0), (math.log(3), 1e-4, -math.log(3))), "adjacent-category logit"),
    (adjacent((1.0, 1.0, 1.0), (0.0, 1.0, -0.5)), "adjacent-category logit"),
    (adjacent((1.0, 1.0001, 1.0), (0.0, 1.0, -0.5)), None), (adjacent((1.0, 1 + 1e-9, 1.0),
    (0.0, 1.0, -0.5)), "adjacent-category logit"),
])  # fmt: skip
def test_a_law_of_ordered_labels_is_named(p: Tensor, name: str | None) -> None:
    assert ordered_name(LINE, p) == name
    assert ordered_name(LINE[:, None], p) is None, "of several outputs"
    assert ordered_name(LINE, p[:, :2]) is None, "two labels are no order"


def test_a_line_needs_six_outputs_where_a_probability_is_well_inside() -> None:
    p = labels(torch.sigmoid)
    for count, named in ((6, True), (5, False)):
        assert (ordered_name(LINE[13 : 13 + count], p[13 : 13 + count]) is not None) == named
    far = LINE.clone()
    wrong = p.clone()
    for place, cut in ((12.0, False), (6.0, True)):  # there σ is 6e-6 or 2e-3 from its end
        far[-1] = place
        edges = torch.stack([torch.sigmoid(one - far) for one in CUTS], 1)
        edges[-1] = edges[-1] * 1.01
        wrong = torch.cat([0 * far[:, None], edges, 1 + 0 * far[:, None]], 1).diff(dim=1)
        assert (ordered_name(far, wrong) is None) == cut


# Shapes named by their influence.
V = torch.cat([-torch.logspace(-6, 1.7, 45, dtype=f64).flip(0), torch.logspace(-6, 1.7, 45, dtype=f64)])


def exponential(size: float, k: float, d: float) -> Tensor:
    return size * torch.exp(k * V) - d


def sigmoid(b: float, left: float, right: float) -> Tensor:
    return -left + (right + left) * torch.sigmoid(b * V)


SHAPES: list[tuple[Tensor, str, str | None]] = [
    (exponential(1.7, 1.7, 1.7), "log y", "Weibull, shape 1.7"), (exponential(-1.7, -1.7, -1.7), "log y", "Fréchet, shape 1.7"),
    (exponential(3.0, 1.0, 3.0), "log y", "gamma, shape 3"), (exponential(-3.0, -1.0, -3.0), "log y", "inverse gamma, shape 3"),
    (exponential(1.0, 2.0, 1.0), "log y", "half-normal"),
    (exponential(3.0, 1.5, 3.0), "log y", "generalised gamma, power 1.5, shape 2"),
    (exponential(1.0, 1.0, -1.0), "log y", None), (exponential(1.0, 1.0, 1.0), "y", "Gumbel of minima"),
    (exponential(-1.0, -1.0, -1.0), "y", "Gumbel"), (exponential(2.0, 1.0, 2.0), "y", "log-gamma"),
    (exponential(1.0, 1.0, -1.0), "y", None), (exponential(1.0, -1.0, 1.0), "y", None),
    (sigmoid(1.3, 1.3, 1.3), "y", "logistic"), (sigmoid(1.3, 1.0, 1.3), "y", "generalised logistic"),
    (sigmoid(1.3, 1.0, 1.0), "y", "generalised logistic"), (sigmoid(1.3, 1.3, 1.3), "log y", "log-logistic, shape 1.3"),
    (sigmoid(1.0, 1.0, 2.5), "log y", "Lomax, shape 2.5"), (sigmoid(2.0, 2.0, 5.0), "log y", "Burr, shapes 2 and 2.5"),
    (sigmoid(2.0, 1.0, 5.0), "log y", "generalised beta prime"), (sigmoid(2.0, -1.0, 5.0), "y", None), (V, "y", None),
    (sigmoid(1.3, 1.3, 1.3), "logit y", None), (exponential(1.0, 1.0, 1.0), "logit y", None),
    (exponential(1.7, 1.7 * (1 + 0.9e-6), 1.7), "log y", "Weibull, shape 1.7"),
    (exponential(1.7, 1.7 * (1 + 1e-4), 1.7), "log y", "generalised gamma, power 1.70017, shape 0.9999"),
    (exponential(1.7, 1.7, 1.7) + 1e-9 * torch.cos(50 * V), "log y", "Weibull, shape 1.7"),
    (exponential(1.7, 1.7, 1.7) * (1 + 1e-5 * torch.cos(50 * V)), "log y", None),
    (sigmoid(1.3, 1.3, 1.3) + 1e-9 * torch.cos(50 * V), "y", "logistic"),
    (sigmoid(1.3, 1.3, 1.3) + 1e-5 * torch.cos(50 * V), "y", None),
    (sigmoid(-1.3, 1.3, 1.3), "y", None), (0 * V + 1.0, "y", None),
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(SHAPES)))
def test_a_shape_is_named_by_an_exponential_or_a_sigmoid(case: int) -> None:
    influence, along, name = SHAPES[case]
    assert curved_name(influence, along, V) == name


# Gradients of all targets that are independent.
def implied(gradient: Tensor, value: Tensor | None = None) -> Implied:
    count, classes, outputs = gradient.shape
    value = torch.ones(count, classes, dtype=f64) if value is None else value
    return SimpleNamespace(
        output=torch.arange(count * outputs).reshape(count, outputs).double(), value=value, gradient=gradient
    )  # type: ignore[return-value]


@pytest.mark.parametrize(("least", "independent"), [(2e-6, True), (0.5e-6, False), (0.0, False)])
def test_gradients_are_independent_by_more_than_rounding(least: float, independent: bool) -> None:
    gradient = torch.stack([torch.diag(numbers(2.0, 2 * least)), torch.diag(numbers(1.0, 0.0))])
    found = unbalanced._witness(implied(gradient))
    assert (found is not None) == independent
    if found:
        assert found.outputs == ((0.0, 1.0),)
    assert unbalanced._witness(implied(gradient * math.nan)) is None
    assert unbalanced._witness(implied(gradient[:, :, :1])) is None, "fewer outputs than targets"
    lost = implied(gradient, torch.tensor([[math.inf, 1.0], [1.0, 1.0]], dtype=f64))
    assert unbalanced._witness(lost) is None


@pytest.mark.parametrize("count", [2, 3, 7])
def test_shares_of_targets_are_none_alike(count: int) -> None:
    found = unbalanced._shares(implied(torch.zeros(1, count, 2, dtype=f64)))
    assert len(found) == len(unbalanced.SHARES) > FEWEST
    for share in found:
        assert len(share) == count
        assert float(share.sum()) == pytest.approx(1.0)
        assert bool((share > 0).all())
        assert len({round(float(one), 9) for one in share}) == count
    assert float((found[0] - found[1]).abs().max()) > 0.1


# Sums over counts.
def test_steps_say_roughly_what_lies_between() -> None:
    steps = Steps(numbers(10, 20, 40), numbers(1, 2, 3).reshape(1, 3))
    assert [float(steps.between(low, high)) for low, high in ((10, 40), (10, 41), (11, 20), (20, 21))] == [
        3.0,
        6.0,
        0.0,
        2.0,
    ]
    assert [steps.within(low, high) for low, high in ((10, 40), (10, 41), (11, 20))] == [2, 3, 0]


@pytest.mark.parametrize(("block", "seen"), [(7.0, True), (14.1, False), (13.9, True), (3.6, True), (3.4, False)])
def test_a_block_is_roughly_what_its_steps_say(block: float, seen: bool) -> None:
    steps = Steps(torch.arange(7, dtype=f64), torch.ones(1, 7, dtype=f64))
    assert counting._seen(numbers(block), numbers(20.0), steps, 0, 7) == seen
    assert counting._seen(numbers(block), numbers(20.0), steps, 0, 3), "three steps say nothing"
    assert counting._seen(numbers(block), numbers(1e16), steps, 0, 7), "nothing beside the whole"


@pytest.mark.parametrize("length", [96, 97, 500, 4096])
def test_a_block_is_summed_as_its_terms_are(length: int) -> None:
    y, weight = counting._places(1000, 1000 + length)
    assert len(y) == (length if length <= counting.DIRECT else counting.POINTS)
    truth = np.arange(1000, 1000 + length, dtype=float)
    for function in (lambda v: 1 / v, lambda v: np.exp(-v / 3000), lambda v: np.ones_like(v)):
        assert float((function(y) * weight).sum()) == pytest.approx(float(function(truth).sum()), rel=1e-9)


@pytest.mark.parametrize(("terms", "total"), [
    (lambda y: -2 * y.log(), scipy.special.zeta(2, 8192)), (lambda y: -1.5 * y.log(), scipy.special.zeta(1.5, 8192)),
    (lambda y: -0.001 * y, math.exp(-8.192) / -math.expm1(-0.001)),
])  # fmt: skip
def test_what_lies_beyond_a_start_is_summed(terms: Any, total: float) -> None:
    found, error = far_sum(lambda y: terms(y)[None], 8192, torch.ones(1, dtype=f64))
    assert float(found[0]) == pytest.approx(total, rel=1e-6)
    assert float(error[0]) < 1e-8


def test_terms_that_rise_where_the_blocks_end_are_not_added_up() -> None:
    both = lambda y: torch.stack([0.1 * y.log(), -0.01 * y, torch.full_like(y, -torch.inf)])  # noqa: E731
    found, error = far_sum(both, 8192, torch.ones(3, dtype=f64))
    assert error[0] == math.inf
    assert float(error[1:].max()) < 1e-12
    assert float(found.abs().max()) < 1e-30


# Where a family of a power lives.
@pytest.mark.parametrize(("p", "lives"), [
    (-1.0, "the whole line"), (0.5, "no targets at all"), (1.5, "0 and (0, ∞)"), (2.5, "(0, ∞)"), (1e-9, "no targets at all"),
    (0.999, "no targets at all"), (1.001, "0 and (0, ∞)"), (1.999, "0 and (0, ∞)"), (2.001, "(0, ∞)"),
])  # fmt: skip
def test_where_a_power_variance_lives(p: float, lives: str) -> None:
    assert Power(p, 1.0).lives.startswith(lives)


# How many outputs a loss reads.
def reads(function: Function, targets: str = "real") -> int | None:
    return reading(Objective.of(function, TargetSpace.parse(targets), name="loss")).targets.raw


def two(o: Tensor, y: Tensor) -> Tensor:
    return 0.5 * ((y - o[:, 0]) ** 2 * torch.exp(-o[:, 1]) + o[:, 1])


def exactly(count: int) -> Function:
    def loss(o: Tensor, y: Tensor) -> Tensor:
        if o.ndim != 2 or o.shape[1] != count:
            raise ValueError("another number of outputs")
        return o.sum(1) * y

    return loss


@pytest.mark.parametrize(("function", "raw"), [
    (two, 2), (lambda f, y: (f - y) ** 2, None), (lambda f, y: ((f - y) ** 2).mean(), None), (exactly(2), 2), (exactly(3), 3),
    (exactly(6), 6), (exactly(7), None), (lambda o, y: two(o, y).mean(), 2),
])  # fmt: skip
def test_the_outputs_that_a_loss_reads_are_told_by_asking(function: Function, raw: int | None) -> None:
    assert reads(function) == raw


def test_outputs_beyond_those_read_must_not_matter() -> None:
    with pytest.raises(ConfigError, match="answers to 2, 3, 4, 5, 6, 7, 8, 9"):
        reads(lambda o, y: o[:, 0] + o[:, 1:].sum(1) * y)
    with pytest.raises(ConfigError, match="answers to 3, 4"):
        reads(lambda o, y: two(o, y) + 0 * o[:, 2])
    with pytest.raises(ConfigError, match="say how"):
        reads(lambda o, y: o[:, 1] * y + 0 * o[:, 0])
    assert reads(two, "classes(3)") is None, "its space says how many"
    assert reads(two, "real(raw=3)") == 3
    probabilities = Objective.of(
        lambda p, y: (p - y) ** 2, TargetSpace.parse("binary"), outputs="probabilities", name="loss"
    )
    assert reading(probabilities) is probabilities


def test_where_one_end_of_a_loss_is_not_known_nothing_is_said() -> None:
    for known in (-1.0, 1.0):

        def function(f: Tensor, y: Tensor, side: float = known) -> Tensor:
            """It falls without end on one side, and on the other comes to no limit that is known."""
            v = side * (y - f)
            return torch.where(v > 0, -v, torch.sin(v) * v.abs())

        loss = asked(function)
        found = SimpleNamespace(
            loss=loss, width=1.0, along=loss.space.coordinate, rho=lambda v, of=function: of(torch.zeros_like(v), v)
        )
        assert shift.no_measure(found) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(("jumps", "shown"), [(lambda y: 0 * y + 1.0, True), (lambda y: torch.where(y > 0, 1.0, -1.0), False),
                                              (lambda y: torch.where(y > 0, 1.0, 0.0), False), (lambda y: 0 * y, False),
                                              (lambda y: 0 * y - 1.0, True)])  # fmt: skip
def test_a_gradient_that_jumps_the_same_way_for_every_target_is_a_proof(jumps: Function, shown: bool) -> None:
    found = refute.one_way(asked(lambda f, y: 0.5 * (y - f) ** 2 + 0.3 * jumps(y) * f.abs()))
    assert (found is not None) == shown


@pytest.mark.parametrize(("apart", "several"), [(0.0, 1), (4e-14, 0), (1.0, 0)])
def test_a_weight_is_one_of_several_where_two_labels_have_one_loss_but_for_rounding(apart: float, several: int) -> None:
    f = torch.linspace(-2, 2, 21, dtype=f64)
    value = torch.stack([torch.nn.functional.softplus(f), torch.nn.functional.softplus(f) + apart * f], 1)
    assert len(system._solve(f, value, 1.0).null) == several


def test_a_loss_answers_in_a_precision_and_by_rows_or_for_all() -> None:
    def refuses(*_: Tensor) -> Tensor:
        raise ValueError("never")

    def told(function: Any) -> tuple[Any, bool]:
        loss = asked(function)
        return loss.answers_in, loss.reduces

    assert told(lambda f, y: 0.5 * (y - f) ** 2) == (f64, False)
    assert told(lambda f, y: (0.5 * (y - f) ** 2).mean()) == (f64, True)
    assert told(lambda f, y: (0.5 * (y - f) ** 2).float()) == (torch.float32, False)
    assert told(refuses) == (None, False)
