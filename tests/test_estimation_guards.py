"""The bounds of the estimation from both sides: what lies a little within each is taken, what lies a little beyond is not."""

import math
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import mlnn
from mlnn.data import Dataset
from mlnn.errors import ConfigError, DataError
from mlnn.estimating import basis, classical, information, remembered
from mlnn.estimating.catalogue import family_of
from mlnn.estimating.distance import Distance
from mlnn.estimating.estimate import _family
from mlnn.estimating.linear import existence, fitted, linear_programme
from mlnn.estimating.linear import start as begin
from mlnn.estimating.linear.answer import notes_of, ways_of
from mlnn.estimating.linear.design import Design, design_of, same_columns
from mlnn.estimating.linear.existence import FAR, rises_along, separation_of
from mlnn.estimating.linear.least_squares import RankError, _lengths, _stacked_qr, check_rank, cholesky_root
from mlnn.estimating.linear.newton import (
    Fit,
    NotConvergedError,
    _at_rounding,
    _bent_upwards,
    _downhill,
    _first,
    evaluate,
    newton,
)
from mlnn.estimating.linear.separation import overlap_is_certain
from mlnn.estimating.network import answer, curvature, descent, nonlinear
from mlnn.estimating.network.descent import descend
from mlnn.estimating.network.errors import Surroundings, log_likelihood, with_number
from mlnn.estimating.network.fisher import FLAT, THRESHOLDS, Network, Spectrum, Standing, _unit
from mlnn.estimating.network.form import Form, _doubled, form_of, grows, straight
from mlnn.estimating.network.last_layer import _independent
from mlnn.estimating.network.network import _arrived, _is_met, _is_stationary
from mlnn.estimating.network.obstacles import not_reached
from mlnn.estimating.network.problem import Problem
from mlnn.estimating.network.report import NetworkReport
from mlnn.estimating.network.saddle import least_curvature
from mlnn.estimating.network.spread import Spread, _share
from mlnn.objectives import (
    Bernoulli,
    HyperbolicSecant,
    Laplace,
    Normal,
    NormalLearnedVariance,
    Poisson,
    StudentT,
    VonMises,
)
from mlnn.seeding import generator
from mlnn.signature import Real, TwoOutputs
from mlnn.targets import TargetSpace

f64 = torch.float64
DRAWS = generator(0, "test")
X = torch.randn(60, 2, generator=DRAWS, dtype=f64)
NOISE = torch.randn(60, generator=DRAWS, dtype=f64)
HARD = (X[:, 0] + NOISE > 0).double()


def designed(y: Tensor, name: str = "normal", x: Tensor = X, weights: Any = None, intercept: bool = True) -> Design:
    return design_of((x, y), family_of(name), intercept, weights)[0]


# The data at the door.
def test_a_target_is_taken_as_long_as_its_square_can_be_added_up() -> None:
    designed(1e149 * NOISE.sign())
    with pytest.raises(DataError, match=r"y: row 0 is .*too large to square"):
        designed(1e151 * NOISE.sign())


@pytest.mark.parametrize(("level", "refused"), [(0.0, True), (1.0, True), (0.5, False)])
def test_one_class_alone_is_refused_and_a_share_is_not(level: float, refused: bool) -> None:
    y, weights = torch.full((60,), level, dtype=f64), torch.full((60,), 2.0, dtype=f64)
    if not refused:
        assert designed(y, "bernoulli", weights=weights).binomial
        return
    with pytest.raises(DataError, match=f"all 60 targets are {level:g}; two classes are needed"):
        designed(y, "bernoulli", weights=weights)


def test_counts_of_nothing_but_zeros_are_refused_and_reals_are_not() -> None:
    nothing = torch.zeros(60, dtype=f64)
    with pytest.raises(DataError, match="all counts are 0"):
        designed(nothing, "poisson")
    designed(nothing, "normal")


@pytest.mark.parametrize(("off", "table"), [(1e-10, True), (1e-7, False)])
def test_shares_are_a_binomial_table_where_their_trials_are_whole_to_rounding(off: float, table: bool) -> None:
    weights = torch.full((60,), 4.0, dtype=f64)
    y = 0.25 * (1 + off) + 0.5 * HARD * (1 - off)
    design = designed(y, "bernoulli", weights=weights)
    assert design.binomial == table
    assert (ways_of(design) > 0) == table
    assert not designed(y, "bernoulli", weights=weights + 0.5).binomial, "trials that are not whole"


def test_columns_that_tell_the_same_are_named_and_those_that_nearly_do_are_not() -> None:
    x = X.clone()
    alike = torch.stack([x[:, 0], x[:, 0] * 3], 1)
    near = torch.stack([x[:, 0], x[:, 0] + 1e-5 * (x[:, 1] - x[:, 1].mean())], 1)
    flat = torch.stack([x[:, 0], torch.full((60,), 7.0, dtype=f64)], 1)
    nearly_flat = torch.stack([x[:, 0], 7 + 1e-12 * NOISE], 1)
    told = [
        same_columns(replace(designed(NOISE), x=part, shift=part.mean(0))) for part in (alike, near, flat, nearly_flat)
    ]
    assert told == ["columns x0 and x1 tell the same", "", "column x1 is constant", ""]
    bare = same_columns(replace(designed(NOISE, intercept=False), x=torch.stack([x[:, 0], 0 * x[:, 1]], 1)))
    assert bare == "column x1 is nothing but 0"


def test_a_column_counts_as_empty_where_its_square_underflows() -> None:
    check_rank(designed(NOISE, x=torch.stack([X[:, 0], 1e-148 * X[:, 1]], 1)))
    with pytest.raises(RankError, match="x1: nothing but 0, or numbers too small to square"):
        check_rank(designed(NOISE, x=torch.stack([X[:, 0], 1e-155 * X[:, 1]], 1)))


def test_lengths_are_those_of_the_columns_as_they_came() -> None:
    design = designed(NOISE, x=X + 5)
    root = _stacked_qr(design, lambda _rows, x: x, design.width)
    assert root is not None
    came = torch.cat([X + 5, torch.ones(60, 1, dtype=f64)], 1)
    torch.testing.assert_close(_lengths(design, root), came.norm(dim=0))


@pytest.mark.parametrize(("condition", "kept"), [(1e5, True), (1e7, False)])
def test_the_cholesky_root_is_taken_up_to_a_condition_of_a_million(condition: float, kept: bool) -> None:
    bend = 1 - 2 / condition
    assert (cholesky_root(torch.tensor([[1.0, bend], [bend, 1.0]], dtype=f64)) is not None) == kept


# Steps.
MOST_STEPS = {"bernoulli": 9, "poisson": 8, "student_t": 6, "huber_density": 6, "hyperbolic_secant": 6, "normal": 3}


def targets_of(name: str, scale: float) -> Tensor:
    made = {
        "bernoulli": (scale * X[:, 0] + NOISE > 0).double(),
        "poisson": torch.exp(scale * X[:, 0] + 0.2 * NOISE).round(),
    }
    return made.get(name, X[:, 0] + scale * NOISE**3)


@pytest.mark.parametrize("name", MOST_STEPS)
def test_so_many_steps_are_enough_and_the_last_leaves_a_billionth_of_a_standard_error(name: str) -> None:
    for scale in (0.3, 0.6, 1.0, 1.5, 2.0):
        found = mlnn.estimate(name, (X, targets_of(name, scale)))
        assert found.gradient_norm <= 1e-9
        assert found.iterations <= MOST_STEPS[name]


def test_a_step_too_long_is_halved_until_the_nll_is_lower() -> None:
    family, design = family_of(Poisson()), designed((3 * HARD).round(), "poisson")
    point = evaluate(family, design, torch.zeros(3, 1, dtype=f64), "expected")
    down = -point.gradient[:, None] / float(point.gradient.norm())
    trial = _downhill(family, design, point, 64 * down, "expected", 1.0, 1)
    assert trial.value < point.value
    taken = float((trial.beta - point.beta).norm())
    assert taken in [64 * 0.5**k for k in range(1, 12)] or min(abs(taken - 64 * 0.5**k) for k in range(1, 12)) < 1e-9


def test_the_gradient_is_rounding_only_where_convergence_was_quadratic_and_has_stopped() -> None:
    family, design = family_of(StudentT()), designed(NOISE)
    point = evaluate(family, design, torch.zeros(3, 1, dtype=f64), "observed", 1e-4)
    small = 1e-8 * math.sqrt(point.size)
    assert _at_rounding(family, point, small, 1.5 * small, False)
    assert not _at_rounding(family, point, small, 3 * small, False), "it is still being halved"
    assert not _at_rounding(family, point, 1e3 * small, 1.5e3 * small, False), "it is more than rounding"
    assert not _at_rounding(family, replace(point, damping=0.01), small, 1.5 * small, False), "it is damped"
    assert not _at_rounding(family, replace(point, kind="expected"), small, 1.5 * small, False), (
        "its curvature is another's"
    )
    assert _at_rounding(family_of(Poisson()), replace(point, kind="expected"), small, 1.5 * small, False), (
        "of a canonical link it is not"
    )
    damped = replace(point, damping=0.01)
    assert _at_rounding(family, damped, small, 1.5 * small, True), "after half of the iterations it is near enough"
    assert not _at_rounding(family, damped, 2e-6, 3e-6, True), "that is not near"
    assert not _at_rounding(family, replace(damped, size=1e-6), 9e-7, 1e-6, True), "and this is more than rounding"


# Existence.
def test_what_proves_an_overlap() -> None:
    assert overlap_is_certain(1e-8, 1e-7)
    assert not overlap_is_certain(1e-10, 5e-9), "so small a probability is rounding"
    assert not overlap_is_certain(6e-8, 1e-7), "less than half of it is needed"


@pytest.mark.parametrize("weight", [None, 0.25, 9.0])
def test_the_bounds_of_the_proof_are_those_of_its_formula(
    weight: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[float, float]] = []
    monkeypatch.setattr(existence, "overlap_is_certain", lambda *bounds: bool(asked.append(bounds)))
    weights = None if weight is None else torch.full((60,), weight, dtype=f64)
    for name, y in (("bernoulli", HARD), ("categorical", HARD.long())):
        design, family = design_of((X, y), family_of(name), True, weights)
        fit = newton(family, design, torch.zeros(3, 1, dtype=f64))
        existence.certain(family, design, fit)
        p = torch.sigmoid(torch.cat([X - design.shift, torch.ones(60, 1, dtype=f64)], 1) @ fit.point.beta)[:, 0]
        wrong, bend = torch.minimum(p, 1 - p) if name == "categorical" else (p - HARD).abs(), float((p * (1 - p)).max())
        wrong = torch.where(HARD == 1, 1 - p, p)
        bend = 0.25 if name == "categorical" else bend
        push = float(wrong.min()) * min(1.0, math.sqrt(weight or 1.0))
        assert asked.pop() == pytest.approx((fit.push * math.sqrt(bend), push), rel=1e-9, abs=1e-300)
        existence.certain(family, design, replace(fit, point=replace(fit.point, pull=None)))  # by a pass of its own
        assert asked.pop() == pytest.approx((fit.push * math.sqrt(bend), push), rel=1e-9, abs=1e-300)


def test_rows_that_pin_themselves_need_no_proof_and_those_of_a_stranger_get_none() -> None:
    counts, strange = family_of(Poisson()), family_of(Levels(0.0), TargetSpace("binary"))
    fit = Fit(
        torch.zeros(3, 1, dtype=f64),
        SimpleNamespace(beta=torch.zeros(3, 1, dtype=f64), kind="expected", pull=None),
        1e9,
        1,
    )  # type: ignore[arg-type]
    assert existence.certain(counts, designed(1 + HARD, "poisson"), fit)
    assert not existence.certain(counts, designed(HARD, "poisson"), fit)
    assert existence.certain(family_of(Normal()), designed(NOISE), fit)
    assert not existence.certain(strange, designed(HARD, "bernoulli"), fit)


class Levels:
    """A Bernoulli from elsewhere whose link levels off `short` of 0 and 1."""

    def __init__(self, short: float) -> None:
        self.short = short

    def nll(self, output: Tensor, target: Tensor) -> Tensor:
        p = torch.sigmoid(torch.where(target > 0, output, -output))
        return -torch.log(self.short + (1 - 2 * self.short) * p)


@pytest.mark.parametrize(("short", "rises"), [(0.0, True), (3e-7, True), (1e-4, False)])
def test_the_likelihood_of_a_strangers_link_rises_to_1_or_levels_off(short: float, rises: bool) -> None:
    assert [later / earlier for earlier, later in pairwise(FAR[:4])] == [4, 4, 4]
    assert (FAR[0], FAR[-1]) == (5, 1e10)
    y = (X[:, 0] > 0).double()
    family, design = family_of(Levels(short), TargetSpace("binary")), designed(y, "bernoulli")
    found = separation_of(family, design)
    assert found.kind == "complete"
    assert rises_along(family, design, found) == rises
    assert rises_along(family_of(Bernoulli()), design, found)
    assert not rises_along(family, design, replace(found, direction=None))


class Creeps:
    """A Bernoulli from elsewhere, nearly certain far out, whose nll creeps up again there by a share of itself."""

    def __init__(self, share: float) -> None:
        self.share = share

    def nll(self, output: Tensor, target: Tensor) -> Tensor:
        ahead = torch.where(target > 0, output, -output)
        return torch.nn.functional.softplus(-ahead) + 5e-7 * (1 + self.share * torch.log1p(output.abs()))


@pytest.mark.parametrize(("share", "rises"), [(0.0, True), (1e-15, True), (1e-10, False), (math.inf, False)])
def test_a_likelihood_that_falls_again_far_out_does_not_rise_for_ever(share: float, rises: bool) -> None:
    """By more than its rounding; nor does one that has no numbers there at all."""
    family, design = family_of(Creeps(share), TargetSpace("binary")), designed((X[:, 0] > 0).double(), "bernoulli")
    assert rises_along(family, design, separation_of(family, design)) == rises


class LevelClasses:
    """A softmax from elsewhere whose probabilities level off `short` of 0."""

    def __init__(self, short: float) -> None:
        self.short = short

    def nll(self, output: Tensor, target: Tensor) -> Tensor:
        p = torch.softmax(output, 1).gather(1, target[:, None])[:, 0]
        return -torch.log(self.short + (1 - 3 * self.short) * p)


@pytest.mark.parametrize(("kind", "short", "rises"), [
    ("complete", 0.0, True), ("complete", 1e-4, False), ("quasi", 0.0, True), ("quasi", 1e-4, True),
])  # fmt: skip
def test_which_class_a_row_keeps_is_not_asked_of_a_stranger_s_classes_that_overlap(
    kind: str, short: float, rises: bool
) -> None:
    """Of the first class against two others that overlap no row comes near certainty, levelled off or not."""
    apart = (X[:, 0] > 0).long()
    y = apart + (X[:, 0] > 0.5) if kind == "complete" else torch.where(apart > 0, 0, 1 + torch.arange(60) % 2)
    family, design = family_of(LevelClasses(short), TargetSpace("classes", 3)), designed(y, "categorical")
    found = separation_of(family, design)
    assert found.kind == kind
    assert rises_along(family, design, found) == rises


@pytest.mark.parametrize(("short", "rises"), [(0.0, True), (1e-4, False)])
def test_a_stranger_s_link_that_levels_off_does_so_beside_rows_that_overlap(short: float, rises: bool) -> None:
    dummy = torch.arange(60) < 12
    x, y = torch.stack([dummy.double(), X[:, 1]], dim=1), torch.where(dummy, 1.0, HARD)
    family, design = family_of(Levels(short), TargetSpace("binary")), designed(y, "bernoulli", x)
    found = separation_of(family, design)
    assert found.kind == "quasi"
    assert rises_along(family, design, found) == rises


# Likelihoods with kinks, and the information check.
@pytest.mark.parametrize(("off", "met"), [(1e-15, True), (1e-12, False)])
def test_rows_met_exactly_leave_no_scale(off: float, met: bool) -> None:
    y = 1e6 * (X[:, 0] - 2)
    design, family = designed(y + 1e6 * off * NOISE.sign()), family_of("laplace")
    if met:
        with pytest.raises(DataError, match="every row is met exactly"):
            linear_programme.maximum(family, design)
    else:
        assert linear_programme.maximum(family, design)[0].numbers["scale"] > 0


def test_sigma_is_said_to_be_rounding_where_it_is() -> None:
    design, family = designed(X[:, 0]), family_of("normal")
    largest = float(X[:, 0].abs().max())
    told = [
        any("met to rounding" in note for note in notes_of(family.at(s * largest), design, True))
        for s in (1e-15, 1e-13)
    ]
    assert told == [True, False]
    assert not any("met to rounding" in note for note in notes_of(family_of(Normal(1e-15)), design, False)), (
        "it was given"
    )


@pytest.mark.parametrize(("off", "repeated"), [(0.0, True), (1e-11, True), (1e-8, False)])
def test_weights_that_are_whole_to_rounding_are_rows(off: float, repeated: bool) -> None:
    design = designed(HARD, "bernoulli", weights=torch.full((60,), 3.0 + off, dtype=f64))
    single = fitted._single(family_of("bernoulli"), design)
    assert (single.weights is None) == repeated
    assert len(single.y) == (180 if repeated else 60)


def test_with_one_parameter_there_is_nothing_to_agree() -> None:
    scores = NOISE[:, None] - NOISE.mean()
    assert information.information_check(scores, torch.ones(1, 1, dtype=f64)).p_value == 1.0
    assert information.information_check(scores, torch.ones(1, 1, dtype=f64)).expected == 1.0
    alone = fitted.check_estimate(mlnn.estimate("bernoulli", (torch.zeros(60, 0, dtype=f64), HARD)))
    assert alone is not None
    assert alone.p_value == 1.0
    assert information._chance(0.0, torch.zeros(5, 1, dtype=f64), 5.0) == 1.0
    assert information._chance(1.0, torch.zeros(5, 1, dtype=f64), 5.0) == 0.0


@pytest.mark.parametrize(("p_value", "expected", "reading"), [
    (0.005, True, "misspecified"), (0.02, True, "likelihood"), (0.02, False, "scaled likelihood"),
])  # fmt: skip
def test_what_a_tau_is_read_as(p_value: float, expected: bool, reading: str) -> None:
    found, sentence = information.read("tau = 1", "1", expected, p_value, torch.ones(2))
    assert found == reading
    assert ("with one parameter" in sentence) is False
    assert "with one parameter" in information.read("tau = 2", "1", False, 1.0, torch.ones(1))[1]


def test_a_gradient_a_little_off_the_minimum_is_taken_and_one_farther_off_is_refused() -> None:
    scores = NOISE[:, None] - NOISE.mean()
    spread = float(scores.square().mean().sqrt())
    one = torch.ones(1, 1, dtype=f64)
    information.information_check(scores + 0.5e-2 * spread / math.sqrt(60), one)
    with pytest.raises(DataError, match="do not add up to zero"):
        information.information_check(scores + 5e-2 * spread / math.sqrt(60), one)


# Networks beside their estimate.
def standing(**numbers: Any) -> Standing:
    values = {
        "log_likelihood": -1.0,
        "unexplained": 1.0,
        "gradient_norm": 0.0,
        "gradient_relative": 0.0,
        "gradient_in_errors": 0.0,
    }
    return Standing(**values | {"spectrum": spectrum(1.0, 1.0)} | numbers)


def spectrum(*shares: float, whole: bool = True) -> Spectrum:
    return Spectrum(len(shares), 1, np.array(shares), np.array(shares), whole)


@pytest.mark.parametrize(("numbers", "still"), [
    ({}, True),
    ({"gradient_relative": 5e-4, "gradient_in_errors": 0.005}, True),
    ({"gradient_relative": 0.1}, False),
    ({"gradient_in_errors": 0.1}, False),
    ({"gradient_in_errors": math.nan}, False),
    ({"gradient_in_errors": math.nan, "spectrum": spectrum(1.0, whole=False)}, True),
    ({"gradient_in_errors": 0.1, "spectrum": spectrum(1.0, whole=False)}, True),
    ({"gradient_relative": 0.1, "spectrum": spectrum(1.0, whole=False)}, False),
])  # fmt: skip
def test_a_stationary_point_is_one_in_its_own_terms_and_in_standard_errors(
    numbers: dict[str, Any], still: bool
) -> None:
    assert _is_stationary(standing(**numbers)) == still


def test_rows_are_met_where_nothing_is_left_to_explain() -> None:
    assert _is_met(standing(unexplained=4e-5))
    assert not _is_met(standing(unexplained=4e-4))
    far = standing(unexplained=0.0, gradient_relative=1.0)
    numbers, labels = ((SimpleNamespace(targets=TargetSpace(kind)),) for kind in ("real", "binary"))
    assert _arrived([far], *numbers) == ((True,), (True,))  # type: ignore[arg-type]
    assert _arrived([far], *labels) == ((False,), (False,))  # type: ignore[arg-type]


def test_flat_directions_are_counted_at_thresholds_four_decades_apart() -> None:
    assert [round(math.log10(earlier / later)) for earlier, later in pairwise(THRESHOLDS)] == [4] * 5
    assert THRESHOLDS[0] == 1e-8
    assert FLAT in THRESHOLDS
    assert spectrum(1.0, 1e-23, 1e-25).flat == 1
    assert spectrum(1.0, 1e-23, 1e-25, whole=False).flat == 2, "as many as the rows leave"
    assert _unit(torch.tensor([4.0, 1e-40], dtype=f64)).tolist() == [2.0, 1.0]


NOWHERE = Spread(*[math.nan] * 5)


def report(**parts: Any) -> NetworkReport:
    """Two seeds at one maximum, but for what is given."""
    same = Spread(0.0, 0.0, 0.0, 0.0, 1.0)
    plain: dict[str, Any] = {
        "likelihood": "Normal", "rows": 9, "hidden": False, "standings": (standing(), standing()), "met": (False, False),
        "stationary": (True, True), "curvatures": (1.0, 1.0), "heads": (None, None), "classical": None, "distances": (),
        "spread": same,
    }  # fmt: skip
    return NetworkReport(**plain | parts)


def distance(lr: float) -> Distance:
    return Distance(np.array([9.0, 3.0]), np.array([1e-9, 1e-6]), lr, 1.0, 0.0, 1.0)


KNOWN = SimpleNamespace(exists=True, estimate=None)


@pytest.mark.parametrize(("parts", "kind", "digits"), [
    ({}, "yes", 16),
    ({"hidden": True}, "as a function", 16),
    ({"spread": Spread(0.0, 1e-3, 0.0, 0.0, 1.0)}, "yes", 3),
    ({"spread": Spread(0.0, 0.1, 0.0, 0.0, 1.0)}, "as a function", 1),
    ({"spread": Spread(0.0, 3.0, 0.0, 0.0, 1.0)}, "as a function", 0),
    ({"spread": Spread(0.1, 0.0, 0.0, 0.0, 1.0)}, "no", 16),
    ({"spread": Spread(0.0, 0.0, 0.1, 0.0, 1.0)}, "no", 16),
    ({"curvatures": (1.0, math.nan)}, "undecided", 16),
    ({"curvatures": (1.0, -1e-5)}, "no", 16),
    ({"curvatures": (1.0, -1e-7)}, "yes", 16),
    ({"stationary": (True, False)}, "no", 16),
    ({"standings": (standing(spectrum=spectrum(1.0, 0.0)),) * 2}, "as a function", 16),
    ({"standings": (standing(spectrum=spectrum(1.0, 0.0)), standing())}, "yes", 16),
    ({"standings": (standing(),), "spread": NOWHERE}, "undecided", math.nan),
    ({"classical": KNOWN, "distances": (distance(5e-3),) * 2}, "yes", 6),
    ({"classical": KNOWN, "distances": (distance(5e-3), distance(0.5))}, "no", 6),
    ({"classical": KNOWN, "distances": (distance(math.nan),)}, "no", 6),
    ({"classical": SimpleNamespace(exists=False, estimate=SimpleNamespace(separation="quasi"))}, "no", 16),
    ({"heads": (SimpleNamespace(separation="complete"), None)}, "no", 16),
    ({"heads": (SimpleNamespace(separation="none"), None)}, "yes", 16),
])  # fmt: skip
def test_what_follows_from_what_was_found_of_two_seeds(parts: dict[str, Any], kind: str, digits: float) -> None:
    found = report(**parts)
    assert found.kind == kind
    assert found.digits == pytest.approx(digits, nan_ok=True)


def test_a_gap_is_measured_by_the_spread_of_the_predictions_where_there_is_one() -> None:
    assert [_share(2.0, 4.0), _share(0.0, 0.0), _share(1.0, 0.0)] == [0.5, 0.0, math.inf]
    assert math.isnan(_share(1.0, math.nan))


# The classical twin.
def twin(estimate: Any = None, why: str | None = None) -> classical.ClassicalEstimate:
    family, rows = family_of(Bernoulli()), X
    return classical.ClassicalEstimate(estimate, why, family, designed(HARD, "bernoulli"), rows)


def test_what_is_said_of_a_distance() -> None:
    there, separated = mlnn.estimate("bernoulli", (X, HARD)), mlnn.estimate("bernoulli", (X, (X[:, 0] > 0).double()))
    assert "no unique estimate to compare with: too few" in twin(why="too few").sentence(distance(1.0))
    assert "grows towards 1 as" in twin(separated).sentence(distance(1.0))
    assert "grows towards exp(-1e-06) as" in twin(replace(separated, llf=-1e-6)).sentence(distance(1.0))
    assert "grows towards 1 as" in twin(replace(separated, llf=-1e-10)).sentence(distance(1.0))
    readings = {0.9995: "no test on these data", 0.5: "short of the MLE, but inside", 0.06: "short of the MLE, but inside",
                0.04: "outside the 95 %", 1e-290: "(p = 1e-290 on 2", 1e-305: "(p < 1e-300 on 2"}  # fmt: skip
    for p, words in readings.items():
        assert words in twin(there).sentence(replace(distance(1.0), lr_pvalue=p))
    nothing = replace(distance(1.0), errors=np.full(2, math.nan))
    assert "standard errors" not in twin(there).sentence(nothing)
    assert "at most 1e-06 standard errors" in twin(there).sentence(distance(1.0))


def test_a_module_is_affine_to_rounding() -> None:
    class Bent(torch.nn.Module):
        def __init__(self, by: float) -> None:
            super().__init__()
            self.by, self.layer = by, torch.nn.Linear(2, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x) + self.by * x[:, :1] ** 2

    assert classical.affine_coefficients(Bent(1e-11), X, True) is not None
    assert classical.affine_coefficients(Bent(1e-7), X, True) is None


def test_the_default_interval_is_95_percent() -> None:
    found = mlnn.estimate("bernoulli", (X, HARD))
    np.testing.assert_array_equal(found.conf_int(), found.conf_int(0.95))
    model = mlnn.estimate("bernoulli", (X, HARD), model=lambda: torch.nn.Linear(2, 1), starts=1)
    np.testing.assert_array_equal(model.conf_int(), model.conf_int(0.95))
    np.testing.assert_allclose((model.conf_int()[:, 1] - model.params) / model.bse, 1.959964, rtol=1e-6)


# Small models through their Hessian.
def problem(model: Any, y: Tensor = HARD, likelihood: Any = "bernoulli", x: Tensor = X, weights: Any = None) -> Problem:
    return Problem(family_of(likelihood), model.double(), x, y, weights)


class Curved(torch.nn.Module):
    """Two features, and a little of the square of the first weight."""

    def __init__(self, by: float) -> None:
        super().__init__()
        self.by, self.layer = by, torch.nn.Linear(2, 1)
        with torch.no_grad():
            self.layer.weight.fill_(0.5)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.layer(x)
        return output + self.by * self.layer.weight[0, 0] ** 2


class Lowered(torch.nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).float()


def test_a_model_that_computes_in_less_than_float64_is_told_from_one_that_does_not() -> None:
    assert problem(Lowered(2, 1)).low
    assert not problem(torch.nn.Linear(2, 1)).low


def test_a_model_is_linear_in_its_parameters_to_rounding() -> None:
    assert straight(problem(Curved(1e-12)))
    assert not straight(problem(Curved(1e-7)))
    form = form_of(problem(torch.nn.Linear(2, 1)))
    assert form is not None
    assert (form.exact, form.offset) == (True, 0.0)


@pytest.mark.parametrize(("share", "whole", "told"), [
    (1e-9, False, (True, 0)), (1e-11, False, (False, 1)), (1e-11, True, (True, 0)), (-1e-9, True, (False, 0)),
])  # fmt: skip
def test_a_direction_is_flat_below_a_ten_billionth_of_the_steepest(
    share: float, whole: bool, told: tuple[bool, int]
) -> None:
    identified, _, flat = answer._identified(torch.tensor([share, 1.0], dtype=f64), whole)
    assert (identified, flat) == told


def test_rows_told_for_certain_are_counted_to_a_millionth_of_a_nat() -> None:
    layer = torch.nn.Linear(1, 1, bias=False)
    rows = torch.tensor([[16.0], [12.0], [-1.0]], dtype=f64)
    asked = problem(layer, torch.ones(3, dtype=f64), x=rows)
    assert "; 1 of 3 rows are told for certain" in answer._told_for_certain(asked, torch.ones(1, dtype=f64))
    assert answer._told_for_certain(asked, 0.1 * torch.ones(1, dtype=f64)) == ""


def test_an_end_is_likelier_by_more_than_rounding() -> None:
    assert nonlinear._above(-1.0 + 1e-5, -1.0)
    assert not nonlinear._above(-1.0 + 1e-7, -1.0)
    assert nonlinear._above(-1e6 + 1e-2, -1e6)
    assert not nonlinear._above(-1e6 + 5e-4, -1e6), "a billionth of it"
    assert nonlinear._above(-1.0, -math.inf)


def test_the_log_likelihood_of_a_normal_at_its_own_sigma_is_the_closed_form() -> None:
    y, layer = 2 * X[:, 0] + NOISE, torch.nn.Linear(2, 1)
    asked = problem(layer, y, "normal")
    theta = asked.flat
    rss = float(((asked.output(theta) - y) ** 2).sum())
    there, _ = with_number(asked, theta)
    assert there.family.numbers["sigma"] == pytest.approx(math.sqrt(rss / 60))
    assert log_likelihood(asked, theta) == pytest.approx(-30 * (math.log(2 * math.pi * rss / 60) + 1))
    assert log_likelihood(problem(layer, y, Normal(2.0)), theta) == pytest.approx(
        -rss / 8 - 60 * math.log(2 * math.sqrt(2 * math.pi))
    )


@pytest.mark.parametrize(("off", "met"), [(1e-15, True), (1e-12, False)])
def test_a_model_that_meets_every_target_has_no_sigma(off: float, met: bool) -> None:
    layer = torch.nn.Linear(2, 1).double()
    with torch.no_grad():
        y = layer(X)[:, 0] * (1 + off * NOISE.sign())
    asked = problem(layer, y, "normal")
    if met:
        with pytest.raises(DataError, match="meets every target exactly"):
            with_number(asked, asked.flat)
    else:
        assert with_number(asked, asked.flat)[0].family.numbers["sigma"] > 0


def test_a_layer_that_can_be_doubled_makes_separated_rows_certain() -> None:
    torch.manual_seed(0)
    hidden = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1, bias=False))
    asked = problem(hidden)
    right = (asked.output(asked.flat) > 0).double().detach()
    assert grows(problem(hidden, right), asked.flat)
    assert not grows(problem(hidden, 1 - right), asked.flat), "rows are told wrongly"
    assert not grows(problem(hidden, 0.25 + 0.5 * right), asked.flat), "shares"
    fixed = torch.nn.Sequential(
        torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1, bias=False), torch.nn.Tanh()
    )
    bounded = problem(fixed)
    assert not grows(problem(fixed, (bounded.output(bounded.flat) > 0).double().detach()), bounded.flat), (
        "no layer scales it"
    )


def test_curvature_on_a_fold_is_taken_a_hair_beside_it() -> None:
    eta = torch.tensor([[0.7], [0.2]], dtype=f64)
    _, slope, bend = curvature._observed(HyperbolicSecant(), eta, eta[:, 0])
    assert slope.flatten().tolist() == [0.0, 0.0]
    assert bend.flatten().tolist() == pytest.approx([1.0, 1.0])
    assert curvature._observed(Laplace(), eta, eta[:, 0] + 1)[2].flatten().tolist() == [0.0, 0.0], "a kink has none"


def test_the_dispersion_scales_a_covariance_only_where_it_differs() -> None:
    one = torch.eye(2, dtype=f64)
    for scale, factor in ((1.0, 1.0), (3.0, 3.0)):
        found = Surroundings(None, "given", one, 2 * one, scale).covariance(torch.ones(2, dtype=f64))
        assert found is not None
        torch.testing.assert_close(found, factor * one / 2)
    plain = Surroundings(None, "given", one, 2 * one).covariance(torch.ones(2, dtype=f64))
    assert plain is not None
    torch.testing.assert_close(plain, one / 2)
    assert Surroundings(None, "given", one, -one).covariance(torch.ones(2, dtype=f64)) is None
    joint = Surroundings(None, "ml", one, one, 1.0, torch.tensor([1.0, 0.0], dtype=f64), 3.0).covariance(
        torch.ones(2, dtype=f64)
    )
    assert joint is not None
    torch.testing.assert_close(joint, torch.diag(torch.tensor([1.5, 1.0], dtype=f64)))


@pytest.mark.parametrize(("off", "kept"), [(1e-7, 2), (1e-12, 1)])
def test_a_feature_is_a_combination_of_others_to_rounding(off: float, kept: int) -> None:
    features = torch.stack([X[:, 0], X[:, 0] + off * X[:, 1]], 1)
    layer = torch.nn.Linear(2, 1).double()
    found, small = _independent(layer, features)
    assert len(found) == kept
    torch.testing.assert_close(small(features[:, found]), layer(features), rtol=1e-5, atol=1e-5)
    constant = torch.stack([X[:, 0], 3 + off * X[:, 1]], 1)
    assert len(_independent(layer, constant)[0]) == kept, "nor does one tell anything that hardly moves"


def test_a_form_says_what_is_added_whatever_the_parameters_are() -> None:
    class Fixed(torch.nn.Module):
        def __init__(self, level: float) -> None:
            super().__init__()
            self.level, self.layer = level, torch.nn.Linear(2, 1, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            output: Tensor = self.layer(x)
            return output + self.level

    offsets = [
        found.offset for level in (0.0, 1e-13, 1e-10, 2.0) if isinstance(found := form_of(problem(Fixed(level))), Form)
    ]
    assert offsets[:2] == [0.0, 0.0]
    assert offsets[2:] == pytest.approx([1e-10, 2.0], rel=1e-3)


def test_a_data_set_of_this_file_is_what_it_seems() -> None:
    data = Dataset("rows", X, HARD, TargetSpace("binary"), X[:0], HARD[:0])
    assert mlnn.estimate("bernoulli", data).llf == pytest.approx(mlnn.estimate("bernoulli", (X, HARD)).llf)


@pytest.mark.parametrize(("mean", "inverse"), [(0.25, 4.0), (0.0, 1.0), (1.0, 1.0)])
def test_a_strangers_maximum_is_begun_for_at_the_constants_of_the_usual_links(
    mean: float, inverse: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[list[float]] = []
    monkeypatch.setattr(begin, "total", lambda _family, _design, eta: tried.append(eta[0].tolist()) or 0.0)
    y = torch.tensor([mean] * 60, dtype=f64)
    design = designed(y)
    begin._likeliest(family_of(Levels(0.0), TargetSpace("binary")), design, torch.zeros(3, 1, dtype=f64))
    share = min(max(mean, 1e-3), 0.999)
    levels = [0.0, 0.0, mean, math.log(max(mean, 1e-3)), math.log(share / (1 - share)), inverse, 1.0, -1.0]
    assert [one for (one,) in tried] == pytest.approx(levels)
    tried.clear()
    begin._likeliest(family_of(NormalLearnedVariance()), design, torch.zeros(3, 2, dtype=f64))
    assert {round(scale, 6) for _, scale in tried[2:]} == {round(math.log(1e-300), 6)}
    tried.clear()
    begin._likeliest(family_of(NormalLearnedVariance()), designed(NOISE), torch.zeros(3, 2, dtype=f64))
    assert [scale for _, scale in tried[2:]] == pytest.approx([math.log(float(NOISE.std()))] * 6)


def test_where_newton_starts_on_numbers() -> None:
    cold = begin._cold(family_of(NormalLearnedVariance()), designed(NOISE))
    assert float(cold[-1, 1]) == pytest.approx(math.log(float(NOISE.var())))
    flat = begin._cold(family_of(NormalLearnedVariance()), designed(torch.zeros(60, dtype=f64)))
    assert float(flat[-1, 1]) == pytest.approx(math.log(1e-300))
    assert begin._cold(family_of(VonMises()), designed(NOISE))[:-1].abs().max() == 0, (
        "angles start from their mean direction"
    )
    assert float(begin._cold(family_of(Poisson()), designed(HARD, "poisson"))[-1, 0]) == pytest.approx(
        math.log(float(HARD.mean()))
    )


@pytest.mark.parametrize("name", ["normal", "bernoulli", "poisson", "student_t", "laplace"])
def test_columns_that_depend_on_others_are_named_and_ill_conditioned_ones_are_not(name: str) -> None:
    y = {"bernoulli": HARD, "poisson": HARD + 1}.get(name, NOISE)
    with pytest.raises(DataError, match=r"1 of 4 columns depend on the others .*: x2"):
        mlnn.estimate(name, (torch.cat([X, X[:, :1] + X[:, 1:]], 1), y))
    near = torch.cat([X, X[:, :1] + 1e-6 * torch.linspace(-1, 1, 60, dtype=f64)[:, None] ** 3], 1)
    found = mlnn.estimate(name, (near, y))
    assert np.isfinite(found.params).all()
    assert found.exists


def test_of_many_rows_a_sample_leads_to_a_tenth_of_its_standard_error() -> None:
    x = torch.randn(17 * 320, 2, generator=generator(1, "test"), dtype=f64)
    y = (x[:, 0] + torch.randn(len(x), generator=generator(2, "test"), dtype=f64) > 1).double()
    design, family = design_of((x, y), family_of("bernoulli"), True, None)
    beta = begin.start(family, design)
    point = evaluate(family, design.taken(slice(None, None, 17)), beta, "observed")
    push = math.sqrt(float(point.gradient @ torch.linalg.solve(point.hessian, point.gradient)))
    assert push < 0.1
    few = design_of((x[:600], y[:600]), family, True, None)[0]
    assert torch.equal(begin.start(family, few), begin._cold(family, few)), "a sample of few says too little"
    cold = begin._cold(family, design)
    assert not torch.equal(beta, cold)


@pytest.mark.parametrize(("given", "words"), [
    (torch.nn.Linear(2, 1), "give a factory"), (3, "give a factory"), (lambda: 3, "made a int, not an nn.Module"),
    (lambda: torch.nn.LazyLinear(1), "has no shape yet"), (lambda: torch.nn.Linear(2, 1, dtype=torch.complex64), "is complex"),
    (lambda: torch.nn.Linear(2, 1, device="meta"), "is on the meta device"),
    (lambda: torch.nn.Linear(2, 1).requires_grad_(False), "must have weights"),
])  # fmt: skip
def test_what_is_no_model_is_refused(given: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        mlnn.estimate("bernoulli", (X, HARD), model=given, starts=1)


@pytest.mark.parametrize(("share", "still"), [(1e-8, False), (1e-10, True)])
def test_an_end_is_a_stationary_point_where_its_gradient_is_rounding(share: float, still: bool) -> None:
    asked = problem(torch.nn.Linear(2, 1))
    top = descend(asked, asked.flat)
    assert top.converged
    assert top.gradient <= 1e-12
    slope = float(descend(asked, top.theta + 1e-4, 0).gradient) / 1e-4
    assert descend(asked, top.theta + share / slope, 0).converged == still


def test_an_end_from_which_nothing_leads_down_is_one_where_nothing_is_to_gain(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = problem(torch.nn.Linear(2, 1))
    top = descend(asked, asked.flat).theta
    monkeypatch.setattr(descent, "_lower", lambda _problem, _at, _model, damping, _blur: (None, damping))
    assert descend(asked, top + 1e-8).converged
    assert not descend(asked, top + 1e-4).converged


def test_a_parameter_that_runs_away_is_named() -> None:
    asked = problem(torch.nn.Linear(2, 1))
    for size, told in ((5e3, True), (200.0, False)):
        end = descent.End(torch.tensor([0.1, size, 0.1], dtype=f64), 0.1, 1.0, False)
        assert ("weight[0,1] runs away" in not_reached(asked, [end], 3)) == told
    lost = descent.End(torch.zeros(3, dtype=f64), math.nan, math.inf, False)
    assert "not finite at any of them" in not_reached(asked, [lost], 3)
    assert "may not exist (separation)" in not_reached(asked, [end], 3)
    assert "separation" not in not_reached(problem(torch.nn.Linear(2, 1), NOISE, "normal"), [end], 3)


@pytest.mark.parametrize(("trained", "constant", "slope"), [
    (("weight", "bias"), True, True), (("weight",), False, True), (("bias",), True, False), ((), False, False),
])  # fmt: skip
def test_what_a_module_learns_is_told_by_what_moves(trained: tuple[str, ...], constant: bool, slope: bool) -> None:
    layer = torch.nn.Linear(2, 1)
    for name, part in layer.named_parameters():
        part.requires_grad_(name in trained)
    assert classical._learns_a_constant(layer, X) == constant
    assert classical._learns_a_slope(layer, X) == slope
    expected = constant if slope else None
    with torch.no_grad():
        layer.bias.zero_()
    assert classical._constant(layer, X) == expected
    with torch.no_grad():
        layer.bias.fill_(1.0)
    assert classical._constant(layer, X) == (None if not constant else expected), "a constant that is not trained"


def test_the_rows_own_hessians_are_compared_where_they_are_not_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = torch.full((60,), 2.5, dtype=f64)
    found = mlnn.estimate("bernoulli", (X, HARD), weights=weights)
    assert found.information is not None
    x = torch.cat([X - found.information.design.shift, torch.ones(60, 1, dtype=f64)], 1)
    p = torch.sigmoid(x @ found.information.beta)[:, 0]
    scores, hessians = (p - HARD)[:, None] * x, (p * (1 - p))[:, None, None] * x[:, :, None] * x[:, None, :]
    each = information.information_check(scores, hessians, weights=weights)
    mean = information.information_check(scores, hessians.mean(0), weights=weights)
    assert each.se != pytest.approx(mean.se)
    for most, expected in ((fitted.MOST_NUMBERS, each), (60 * 9, each), (60 * 9 - 1, mean)):
        monkeypatch.setattr(fitted, "MOST_NUMBERS", most)
        told = fitted.check_estimate(found)
        assert told is not None
        assert (told.tau, told.se) == pytest.approx((expected.tau, expected.se))


class OfReals(Levels):
    def nll(self, output: Tensor, target: Real) -> Tensor:
        return super().nll(output, target)


class OfAnything(Levels):
    def nll(self, output: TwoOutputs, target: Tensor) -> Tensor:
        return super().nll(output, target)


@pytest.mark.parametrize(("likelihood", "space", "told"), [
    (OfReals(0.0), None, TargetSpace("real")), (OfReals(0.0), TargetSpace("binary"), TargetSpace("binary")),
    (OfReals(0.0), TargetSpace("classes", 3), TargetSpace("real")), (OfAnything(0.0), None, TargetSpace("real", raw=2)),
    (OfAnything(0.0), TargetSpace("classes", 3), TargetSpace("classes", 3, raw=2)),
])  # fmt: skip
def test_a_strangers_space_is_what_it_says_or_what_the_data_are(
    likelihood: Any, space: TargetSpace | None, told: TargetSpace
) -> None:
    family = family_of(likelihood, space)
    assert family.space == told
    assert family.outputs == (told.raw or 1)
    assert family.labels == (("",) if family.outputs == 1 else ("output 0", "output 1"))
    assert not family.knows_information
    assert not family.counted


@pytest.mark.parametrize(("converged", "gradient", "kind", "reached", "promising"), [
    (False, 0.1, "none", None, True), (True, 0.1, "none", None, False), (False, math.nan, "none", None, False),
    (False, 0.1, "unknown", None, False), (False, 0.1, "unknown", "lower", True), (False, 0.1, "none", "lower", True),
    (False, 0.1, "none", "higher", False), (False, 0.1, "none", "as high", False),
])  # fmt: skip
def test_more_steps_are_taken_where_they_may_lead_higher_than_any_maximum(
    converged: bool, gradient: float, kind: str, reached: str | None, promising: bool
) -> None:
    asked = problem(torch.nn.Linear(2, 1))
    top = descend(asked, asked.flat).theta
    places = {"higher": top, "as high": top + 0.1, "lower": top + 1.0}
    best = descent.End(top + 0.1, gradient, 1.0, converged)
    others = [descent.End(places[reached], 0.0, 2.0, True)] if reached else []
    assert nonlinear._promising(asked, [best, *others], best, kind) == promising
    if not converged and reached:
        above = nonlinear._likelier(asked, places[reached], [best, *others])
        assert (above is not None) == (reached == "lower")


def test_a_form_is_told_by_the_parameters_of_one_output_and_else_by_x() -> None:
    one = form_of(problem(torch.nn.Linear(2, 1)))
    several = form_of(problem(torch.nn.Linear(2, 3), torch.arange(60) % 3, "categorical"))
    deep = form_of(problem(torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))))
    bent = form_of(problem(torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))))
    assert one is not None
    assert several is not None
    assert deep is not None
    assert (one.exact, one.place is None) == (True, False)
    assert (several.exact, several.place is None) == (True, True)
    assert (deep.exact, deep.place is None) == (False, True)
    assert bent is None
    assert form_of(problem(torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1)), NOISE, "normal")) is None


def test_shares_of_no_whole_trials_are_told_of_labels_only() -> None:
    weights, half = torch.full((60,), 2.5, dtype=f64), torch.full((60,), 0.5, dtype=f64)
    shares, table = (
        designed(half, "bernoulli", weights=weights),
        designed(half, "bernoulli", weights=torch.full((60,), 2.0, dtype=f64)),
    )
    told = {
        "shares": notes_of(family_of("bernoulli"), shares, False), "table": notes_of(family_of("bernoulli"), table, False),
        "hard": notes_of(family_of("bernoulli"), designed(HARD, "bernoulli", weights=weights), False),
        "reals": notes_of(family_of(Normal()), designed(half, weights=weights), False),
        "free": notes_of(family_of("negative_binomial"), designed(HARD, "poisson"), True),
        "not counted": notes_of(family_of("gamma"), designed(HARD + 1, "gamma"), False),
        "stranger": notes_of(family_of(Levels(0.0), TargetSpace("binary")), designed(HARD, "bernoulli"), False),
    }  # fmt: skip
    first = {name: [" ".join(note.split()[:3]) for note in notes] for name, notes in told.items()}
    assert first == {
        "shares": ["y × weights"], "table": ["a binomial table:"], "hard": [], "reals": ["kept as given"],
        "free": ["theta is estimated"], "not counted": ["shape is estimated"],
        "stranger": ["Levels is not", "kept as given"],
    }  # fmt: skip
    assert "AIC and BIC count it" in told["free"][0]
    assert "AIC and BIC do not count it" in told["not counted"][0]


def test_the_least_curvature_is_told_to_a_millionth_of_the_largest() -> None:
    torch.manual_seed(1)
    module = torch.nn.Sequential(torch.nn.Linear(2, 60), torch.nn.Tanh(), torch.nn.Linear(60, 1)).double()
    network = Network(module, Bernoulli())
    values = torch.linalg.eigvalsh(problem(module).hessian(network.weights))
    expected = float(values[0] / values.abs().max())
    assert expected < -1e-3
    assert least_curvature(network, X, HARD) == pytest.approx(expected, abs=1e-7)


def test_own_units_come_back_with_the_target_and_pure_numbers_do_not() -> None:
    y = 7 + 3 * (X[:, 0] + NOISE)
    notes = {"target_mean": 7.0, "target_scale": 3.0}
    data = Dataset("rows", X, (y - 7) / 3, TargetSpace("real"), X[:0], y[:0], notes=notes)
    likelihood = StudentT(df=5.0, scale=0.5)
    found = mlnn.estimate(likelihood, data)
    own = basis.own_scale(found, data, likelihood)
    assert own is not None
    assert own.ancillary == {"df": 5.0, "scale": pytest.approx(1.5)}
    direct = mlnn.estimate(StudentT(df=5.0, scale=1.5), (X, y))
    assert own.llf == pytest.approx(direct.llf)
    assert [one.mle for one in own.coefficients] == pytest.approx(direct.params.tolist())
    assert [one.se for one in own.coefficients] == pytest.approx(np.asarray(direct.bse).tolist())
    assert [one.name for one in own.coefficients] == ["x0", "x1", "const"]
    same = replace(data, notes={})
    assert basis.own_scale(found, same, likelihood) is not None
    assert basis.basis_of(same, True, found, likelihood).own is None, "it is on that scale already"
    assert basis.basis_of(data, True, found, likelihood).own is not None
    assert basis.basis_of(data, True, None, likelihood).own is None
    angles = mlnn.estimate(VonMises(), data)
    assert basis.own_scale(angles, data, VonMises()) is None
    assert basis.own_scale(angles, same, VonMises()) is not None
    kinked = basis.own_scale(mlnn.estimate(Laplace(), data), data, Laplace())
    assert kinked is not None
    assert all(one.se > 0 for one in kinked.coefficients)


def test_what_an_estimate_says_of_itself() -> None:
    smooth, kinked = mlnn.estimate("normal", (X, NOISE)), mlnn.estimate("laplace", (X, NOISE))
    bare = mlnn.estimate("normal", (X, NOISE), intercept=False)
    alone = mlnn.estimate("normal", (X[:, :0], NOISE))
    separated = mlnn.estimate("bernoulli", (X, (X[:, 0] > 0).double()))
    ml, robust = (mlnn.estimate("normal", (X, NOISE), **how) for how in ({"dispersion": "ml"}, {"cov": "robust"}))
    logit = mlnn.estimate("bernoulli", (X, HARD))
    assert [one.use_t for one in (smooth, ml, robust, logit, kinked)] == [True, False, False, False, True]
    assert [one.llr_pvalue is None for one in (smooth, bare, alone, separated)] == [False, True, True, True]
    assert [one.exists for one in (smooth, separated)] == [True, False]
    assert (
        [one.aic is None for one in (smooth, separated)]
        == [one.bic is None for one in (smooth, separated)]
        == [False, True]
    )
    assert [name for name, _ in smooth._columns()] == ["coef", "std err", "t", "P>|t|", "[0.025", "0.975]"]
    assert [name for name, _ in logit._columns()] == ["coef", "std err", "z", "P>|z|", "[0.025", "0.975]"]
    assert [name for name, _ in kinked._columns()] == ["coef", "std err", "t", "P>|t|", "[0.025", "0.975]"]
    heads = {
        name: {key for key, _ in one._header()} for name, one in (("smooth", smooth), ("bare", bare), ("logit", logit))
    }
    assert "LLR p-value:" in heads["smooth"]
    assert "LLR p-value:" not in heads["bare"]
    assert heads["smooth"] - heads["logit"] == {"sigma (std err):"}
    assert "No finite maximum" in separated.summary()
    assert "No finite maximum" not in smooth.summary()
    for wrong in (0, 1, 1.5, -0.5, True, "0.9", math.nan):
        with pytest.raises(ConfigError, match="level: must lie strictly between 0 and 1"):
            smooth.conf_int(wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="there are no standard errors"):
        _ = separated.tvalues
    with pytest.raises(ConfigError, match="cov_params: there are no standard errors"):
        separated.cov_params()
    for one in (smooth, kinked):
        with pytest.raises(ConfigError, match="cov: "):
            one.cov_params("hc0")


def test_a_wald_test_names_its_coefficients_and_their_values() -> None:
    smooth, logit = mlnn.estimate("normal", (X, NOISE)), mlnn.estimate("bernoulli", (X, HARD))
    several = mlnn.estimate("categorical", (X, torch.arange(60) % 3))
    one = logit.wald_test("x0")
    assert (one.distribution, one.df) == ("chi2", 1)
    assert one.statistic == pytest.approx(float(logit.tvalues[0]) ** 2)
    assert one.pvalue == pytest.approx(float(logit.pvalues[0]))
    exact = smooth.wald_test(["x0", "x1"], [float(smooth.params[0]), float(smooth.params[1])])
    assert (exact.distribution, exact.df, exact.statistic) == ("F", 2, pytest.approx(0, abs=1e-20))
    assert smooth.wald_test("x0").pvalue == pytest.approx(float(smooth.pvalues[0]))
    assert several.wald_test("x0").df == 2
    assert several.wald_test("y=1: x0").df == 1
    assert several.wald_test(["x0", "y=1: x0"]).df == 2, "one that is named twice counts once"
    shared = smooth.wald_test(["x0", "x1"], 0.1)
    assert shared.statistic == pytest.approx(smooth.wald_test(["x0", "x1"], [0.1, 0.1]).statistic)
    wrong: list[tuple[Any, Any, str]] = [
        ([], 0.0, "at least one"), ("nothing", 0.0, "wald_test: "), ("x0", "much", "must be numbers"), ("x0", math.nan, "finite"),
        (["x0", "x1"], [1.0, 2.0, 3.0], "one finite number or 2"), (3, 0.0, "wald_test: "),
    ]  # fmt: skip
    for names, value, words in wrong:
        with pytest.raises(ConfigError, match=words):
            smooth.wald_test(names, value)


def test_only_rows_that_stand_for_several_may_be_shares() -> None:
    shares = torch.where(HARD > 0, 0.75, 0.25)
    weights = torch.full((60,), 4.0, dtype=f64)
    with pytest.raises(DataError, match=r"y: row 0 holds 0\.\d+, which is not in the target space 'binary'"):
        designed(shares, "bernoulli")
    assert designed(shares, "bernoulli", weights=weights).binomial
    assert not designed(HARD, "bernoulli", weights=weights).binomial
    assert not designed(3 * HARD, "poisson", weights=weights).binomial, "weighted counts are counts"


def test_damping_is_no_more_than_twice_the_majorant() -> None:
    family, design = family_of(StudentT()), designed(NOISE)
    for before, after in ((0.001, 0.1), (0.5, 2.0), (2.0, 2.0)):
        point = evaluate(family, design, torch.zeros(3, 1, dtype=f64), "observed", before)
        bent = _bent_upwards(family, design, point)
        assert (bent.kind, bent.damping) == ("observed", pytest.approx(after))
    poisson = family_of(Poisson())
    point = evaluate(poisson, designed(HARD, "poisson"), torch.zeros(3, 1, dtype=f64), "observed")
    assert _bent_upwards(poisson, designed(HARD, "poisson"), point).kind == "expected"
    assert [_first(one, designed(y, name), torch.zeros(3, 1, dtype=f64)).damping for one, y, name in (
        (family, NOISE, "normal"), (poisson, HARD, "poisson"))] == [1.0, 0.0]  # fmt: skip


@pytest.mark.parametrize(("likelihood", "data", "kind"), [
    (Levels(0.0), (X, HARD), "binary"), (Levels(0.0), (X, NOISE), "real"), (Levels(0.0), (X, HARD[:0]), "real"),
    (Levels(0.0), [X, HARD], "binary"), (Levels(0.0), (X, HARD, HARD), "real"), (Levels(0.0), "rows", "real"),
    (Levels(0.0), Dataset("rows", X, HARD, TargetSpace("counts"), X[:0], HARD[:0]), "counts"),
    (Normal(), (X, HARD), "real"), ("poisson", (X, HARD), "counts"),
])  # fmt: skip
def test_what_a_likelihood_is_estimated_over(likelihood: Any, data: Any, kind: str) -> None:
    assert _family(likelihood, data).space.kind == kind


@pytest.mark.parametrize(("choices", "words"), [
    ({"dispersion": "none"}, "dispersion: "), ({"cov": "hc0"}, "cov: "), ({"max_iter": 0}, "max_iter: "),
    ({"max_iter": True}, "max_iter: "), ({"starts": 0}, "starts: "), ({"seed": 1.5}, "seed: "),
    ({"max_iter": 1.5}, "max_iter: "), ({"model": True, "cov": "HC3"}, "cov: HC3 divides"),
    ({"model": True, "intercept": False}, "intercept: False is for the linear estimate"),
    ({"model": True, "max_iter": 7}, "max_iter: 7 is for the linear estimate"),
])  # fmt: skip
def test_choices_that_are_none_are_refused(choices: dict[str, Any], words: str) -> None:
    given = choices | ({"model": lambda: torch.nn.Linear(2, 1)} if "model" in choices else {})
    with pytest.raises(ConfigError, match=words):
        mlnn.estimate("bernoulli", (X, HARD), **given)
    mlnn.estimate("bernoulli", (X, HARD), max_iter=np.int64(50))


def test_too_few_rows_are_told_with_everything_else_that_leaves_coefficients_undetermined() -> None:
    wide = torch.cat([X[:4], X[:4] + 1e-3 * X[4:8] ** 2, torch.ones(4, 1, dtype=f64)], 1)
    with pytest.raises(DataError, match=r"data: 4 rows for 6 coefficients.*; besides, column x4 is constant"):
        mlnn.estimate("normal", (wide, NOISE[:4]))
    with pytest.raises(DataError, match=r"4 rows for 5 coefficients; leave features out or bring more rows$"):
        mlnn.estimate("normal", (wide[:, :4], NOISE[:4]))
    assert mlnn.estimate("normal", (wide[:, :2], NOISE[:4])).exists
    separated = torch.tensor([0.0, 0.0, 1.0, 1.0], dtype=f64)
    with pytest.raises(DataError, match=r"besides, the rows are completely separated"):
        mlnn.estimate("bernoulli", (wide[:, :4], separated))


def test_why_no_estimate_stands_beside_is_said_and_a_fault_of_ours_is_not_hidden(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = Dataset("rows", X, HARD, TargetSpace("binary"), X[:0], HARD[:0])
    layer = torch.nn.Linear(2, 1)

    def beside(problem: Exception, likelihood: Any) -> str | None:
        def fails(*_: Any, **__: Any) -> None:
            raise problem

        remembered._made.clear()
        monkeypatch.setattr(remembered, "estimate", fails)
        found = classical.classical_estimate(layer, likelihood, data)
        assert found is not None
        return found.why

    assert beside(DataError("too few."), Bernoulli()) == "too few"
    assert beside(NotConvergedError("far\nand more"), Bernoulli()) == "far"
    assert beside(ZeroDivisionError("theirs"), Levels(0.0)) == "theirs"
    assert beside(DataError("too few"), Levels(0.0)) == "too few"
    with pytest.raises(ZeroDivisionError):
        beside(ZeroDivisionError("ours"), Bernoulli())


def test_one_layer_is_doubled_and_no_other() -> None:
    asked = problem(torch.nn.Sequential(*[torch.nn.Linear(2, 2) for _ in range(2)], torch.nn.Linear(2, 1)))
    parts = asked.network.named(_doubled(asked, asked.flat, "1"))
    for name, before in asked.network.parts.items():
        torch.testing.assert_close(parts[name], (2 if name.startswith("1.") else 1) * before)
