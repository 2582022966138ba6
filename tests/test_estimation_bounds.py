"""What the steps of an estimate decide, each asked by itself on both sides of its bounds."""

import math
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy
import torch
from torch import Tensor

import mlnn
from mlnn.data import Dataset
from mlnn.errors import ConfigError, DataError
from mlnn.estimating import classical, door, handover, nested
from mlnn.estimating.catalogue import Family, family_of
from mlnn.estimating.choices import check_beside_model, check_choices
from mlnn.estimating.door import _total, check_nll, check_one_number
from mlnn.estimating.fit_comparison import FitComparison, Side
from mlnn.estimating.lesson import axis, fit
from mlnn.estimating.lesson.axis import Axis, axis_of_constants
from mlnn.estimating.lesson.limits import limits
from mlnn.estimating.linear import ancillary, existence, inference, newton, parts, start
from mlnn.estimating.linear.design import Design, design_of
from mlnn.estimating.linear.fitted import check_estimate
from mlnn.estimating.linear.least_squares import cholesky_root
from mlnn.estimating.linear.separation import overlap_is_certain
from mlnn.estimating.network import trust_region
from mlnn.estimating.network.problem import Problem
from mlnn.estimating.reading import whole
from mlnn.estimating.residuals import deviance
from mlnn.likelihoods import Likelihood, Normal
from mlnn.objectives import NegativeBinomial, Objective
from mlnn.seeding import generator
from mlnn.signature import Binary, Classes, Counts, Positive, Real
from mlnn.targets import TargetSpace

f64 = torch.float64
DRAWS = generator(3, "test")
X = torch.randn(60, 2, generator=DRAWS, dtype=f64)
NOISE = torch.randn(60, generator=DRAWS, dtype=f64)
HARD = (X[:, 0] + NOISE > 0).double()
COUNTS = torch.poisson(torch.exp(0.3 * X[:, 0]), generator=DRAWS)
LABELS = torch.arange(60) % 3


def designed(y: Tensor, name: Any = "normal", weights: Any = None) -> Design:
    return design_of((X, y), family_of(name), True, weights)[0]


# Newton's method.
@pytest.mark.parametrize(("name", "y", "options", "told"), [
    ("poisson", COUNTS, {}, True), ("bernoulli", HARD, {}, True), ("normal", NOISE, {}, False),
    ("categorical", LABELS, {}, False),
    ("poisson", COUNTS, {"damping": 0.5}, False), ("poisson", COUNTS, {"bent": False}, False),
])  # fmt: skip
def test_the_pull_of_the_rows_is_asked_where_one_raw_output_may_run_away(
    name: str, y: Tensor, options: dict[str, Any], told: bool
) -> None:
    family, design = family_of(name), designed(y, name)
    family = replace(family, space=TargetSpace("classes", 3)) if name == "categorical" else family
    outputs = 2 if name == "categorical" else 1
    found = newton.evaluate(family, design, torch.zeros(3, outputs, dtype=f64), "observed", **options)
    assert (found.pull is not None) == told
    assert bool(found.hessian.any()) == options.get("bent", True)


def test_the_pull_is_of_the_rows_that_run_alone() -> None:
    slope, bend = torch.tensor([0.5, -0.2, 0.1]).double(), torch.tensor([1.0, 3.0, 9.0]).double()
    for runs, told in (
        ([1, 1, 1], (0.1, 9.0)),
        ([1, 1, 0], (0.2, 3.0)),
        ([0, 0, 0], (math.inf, 0.0)),
        ([1, 0, 0], (0.5, 1.0)),
    ):
        assert newton._pull((math.inf, 0.0), torch.tensor(runs).bool(), slope, bend) == pytest.approx(told)
    assert newton._pull((0.05, 10.0), torch.ones(3).bool(), slope, bend) == (0.05, 10.0)


def test_the_rate_of_a_curvature_is_known_after_a_plain_step() -> None:
    family, design = family_of("poisson"), designed(COUNTS, "poisson")
    before, here = (
        newton.evaluate(family, design, at, "observed")
        for at in (torch.zeros(3, 1, dtype=f64), torch.full((3, 1), 0.1, dtype=f64))
    )
    root = cholesky_root(here.hessian)
    assert root is not None
    inverse = torch.linalg.inv(root)
    truth = float((inverse.T @ (here.hessian - before.hessian) @ inverse).norm()) / 2.0
    assert newton._rate(root, before, here, 2.0) == pytest.approx(truth, rel=1e-9)
    assert newton._rate(root, before, here, math.inf) == math.inf
    assert newton._rate(root, replace(before, damping=0.1), here, 2.0) == math.inf
    assert newton._rate(root, before, replace(here, damping=0.1), 2.0) == math.inf


@pytest.mark.parametrize(("name", "y", "many", "asked"), [
    ("poisson", COUNTS, 10, True), ("poisson", COUNTS, 61, False), ("poisson", COUNTS, 60, True),
    ("bernoulli_probit", HARD, 10, False),
])  # fmt: skip
def test_a_second_step_by_one_curvature_is_taken_of_many_rows_by_a_canonical_link(
    name: str, y: Tensor, many: int, asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushes: list[float] = []

    def corrected(_family: Family, _design: Design, point: Any, root: Tensor, _step: Tensor) -> None:
        pushes.append(newton._step(root, point)[0])

    monkeypatch.setattr(newton, "MANY", many)
    monkeypatch.setattr(newton, "_corrected", corrected)
    found = newton.newton(family_of(name), designed(y, name), torch.zeros(3, 1, dtype=f64))
    assert bool(pushes) == asked
    assert found.iterations >= 3
    if asked:
        assert len(pushes) < found.iterations - 1, "near the maximum a plain step is as good"
        assert min(pushes) > 1e-5


def test_a_step_by_one_curvature_is_dropped_where_it_leads_up() -> None:
    family, design = family_of("poisson"), designed(COUNTS, "poisson")
    point = newton.evaluate(family, design, torch.zeros(3, 1, dtype=f64), "observed")
    root = cholesky_root(point.hessian)
    assert root is not None
    _, step = newton._step(root, point)
    found = newton._corrected(family, design, point, root, step)
    assert found is not None
    assert found.value < point.value
    assert newton._corrected(family, design, point, root, -step) is None
    assert newton._corrected(family, design, point, root, 1e6 * step) is None
    assert newton._corrected(family, design, point, root, 30 * step) is None


def test_a_sample_leads_on_for_many_rows_of_a_canonical_link(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, y, many, moved in (
        ("poisson", COUNTS, 60, True), ("poisson", COUNTS, 61, False), ("bernoulli_probit", HARD, 60, False),
    ):  # fmt: skip
        family, design = family_of(name), designed(y, name)
        monkeypatch.setattr(newton, "MANY", 10**9)
        sample = design.taken(slice(None, None, 2))
        at = newton.newton(family, sample, torch.zeros(3, 1, dtype=f64), tolerance=0.1)
        monkeypatch.setattr(newton, "MANY", many)
        after = newton.onwards(family, design, sample, at)
        assert bool((after != at.beta).any()) == moved
        if moved:
            end = newton.newton(family, design, at.beta).beta
            assert float((after - end).norm()) < float((at.beta - end).norm())


@pytest.mark.parametrize(("gradient", "wrong", "certain"), [
    (0.49, 1.0, True), (0.51, 1.0, False), (0.0, 1.1e-8, True), (0.0, 0.9e-8, False), (0.5, 1.0, False),
])  # fmt: skip
def test_an_overlap_is_certain_with_half_of_what_is_proven(gradient: float, wrong: float, certain: bool) -> None:
    assert overlap_is_certain(gradient, wrong) == certain


# Steps in a trust region.
@pytest.mark.parametrize(("slope", "gained", "factor"), [
    (-1.0, math.inf, 0.1), (-1.0, -math.inf, 0.1), (-1.0, math.nan, 0.1), (-1.0, 0.0, 0.5), (-1.0, 0.2, 0.5),
    (-1.0, -1.0, 0.25), (-1.0, -1e-9, 0.5), (-1.0, -9.0, 0.1), (-1.0, -3.0, 0.125), (-1.0, -4.5, 0.1),
])  # fmt: skip
def test_a_region_shrinks_to_the_lowest_point_of_a_parabola_within_bounds(
    slope: float, gained: float, factor: float
) -> None:
    assert trust_region._shrunk(slope, gained) == pytest.approx(factor)


def bowl(along: tuple[float, ...], spectrum: tuple[float, ...]) -> trust_region._Bowl:
    size = len(along)
    nothing: Any = None
    return trust_region._Bowl(nothing, torch.ones(size).double(), torch.eye(size).double(), torch.tensor(along).double(),
                              torch.tensor(spectrum).double(), torch.eye(size).double())  # fmt: skip


@pytest.mark.parametrize(("radius", "damped"), [(5.0, False), (4.6, False), (4.5, True), (1.0, True), (1e-6, True)])
def test_a_step_is_held_back_to_within_a_tenth_of_the_radius(radius: float, damped: bool) -> None:
    """To the lowest point it is 5 long."""
    here = bowl((3.0, 4.0), (1.0, 1.0))
    damping = here.damping(radius)
    assert (damping > 0) == damped
    length = float(here.step(damping).norm())
    assert length <= 1.1 * radius
    if damped:
        assert length >= 0.9 * radius
    odd = bowl((3.0, 4e-8), (1.0, 1e-8))
    assert 0.9 * radius <= float(odd.step(odd.damping(radius)).norm()) <= 1.1 * radius


def test_what_a_step_is_to_gain() -> None:
    here = bowl((3.0, 4.0), (1.0, 2.0))
    step = here.step(0.0)
    assert step.tolist() == [-3.0, -2.0]
    assert here.slope(step) == -17.0
    assert here.gain(step) == pytest.approx(17 - 0.5 * (9 + 8))
    assert here.parameters(step).tolist() == step.tolist()


def exact(scale: float = 1.0) -> Problem:
    """Least squares of a line: one step leads to its end."""
    y = X @ torch.tensor([1.0, -2.0]).double() + NOISE
    torch.manual_seed(0)
    return Problem(family_of(Normal()), torch.nn.Linear(2, 1).double(), X, scale * y, None)


def test_steps_end_where_nothing_is_left_to_gain() -> None:
    problem = exact()
    region = trust_region.approach(problem, trust_region.begin(problem, problem.flat), 50)
    assert region.done
    assert region.lost == 0
    x = torch.cat([X, torch.ones(60, 1).double()], 1)
    truth = torch.linalg.lstsq(x, problem.y[:, None]).solution[:, 0]
    assert region.theta.tolist() == pytest.approx(truth.tolist(), abs=1e-6)
    assert trust_region.approach(problem, region, 5) is region
    lost = replace(region, value=math.nan, done=False)
    assert trust_region.approach(problem, lost, 5) is lost
    again = trust_region._stepped(problem, replace(region, done=False))
    assert again.done
    first = trust_region.approach(problem, trust_region.begin(problem, problem.flat), 1)
    assert not first.done
    assert first.value < trust_region.begin(problem, problem.flat).value


LINE: Any = SimpleNamespace(
    outputs=torch.zeros(1, 1).double(), jacobian=torch.ones(1, 1, 1).double(), bend=torch.ones(1, 1, 1).double()
)


def lowered(radius: float, share: float, value: float = 1.0, first: float | None = None) -> tuple[Any, float, int]:
    """One step of a line from 0, undamped 1 long, that gains so much of what is foretold: the region, the step, points asked for.

    first: what is gained of it by the first step that is tried, where that is another.
    """
    here, asked = replace(bowl((-1.0,), (1.0,)), linear=LINE), [0.0]

    def at(theta: Tensor) -> float:
        step = float(theta)
        asked.append(step)
        gains = first if first is not None and step == asked[1] else share
        return value - gains * (step - step**2 / 2)

    problem: Any = SimpleNamespace(free=lambda theta: theta[:, None], value=at)
    region = trust_region.Region(torch.zeros(1).double(), value, torch.ones(1).double(), radius)
    found = trust_region._lower(problem, region, here)
    return found, float(found.theta), len(asked) - 1


@pytest.mark.parametrize(("radius", "share", "becomes"), [
    (0.5, 1.0, "twice the step"), (0.5, 0.8, "twice the step"), (0.5, 0.7, "itself"), (0.5, 0.3, "itself"),
    (0.5, 0.2, "less"), (4.0, 1.0, "twice the step"), (4.0, 0.5, "twice the step"), (4.0, 0.2, "less"),
])  # fmt: skip
def test_a_region_grows_with_steps_that_keep_their_word_and_with_those_that_it_did_not_hold_back(
    radius: float, share: float, becomes: str
) -> None:
    found, step, asked = lowered(radius, share)
    assert step == pytest.approx(min(radius, 1.0), rel=0.11)
    assert asked == 2, "once straight and once along the curve"
    assert not found.done
    if becomes == "less":
        assert found.radius < 0.6 * radius
    else:
        assert found.radius == (2 * step if becomes == "twice the step" else radius)


@pytest.mark.parametrize(("share", "value", "done"), [
    (1.0, 1.0, False), (1.0, 1e13, True), (0.1, 2e11, False), (100.0, 1e13, False), (-1e-9, 1e13, True),
])  # fmt: skip
def test_the_last_step_gains_nothing_beside_the_value_and_was_to_gain_nothing(
    share: float, value: float, done: bool
) -> None:
    """Half a nat is foretold; a 1e-12th of 1e13 is 10."""
    found, _, asked = lowered(4.0, share, value)
    assert found.done == done
    assert asked == 2


@pytest.mark.parametrize("first", [1e-5, -1.0, math.nan, -math.inf])
def test_a_step_that_gains_too_little_is_made_shorter(first: float) -> None:
    found, step, asked = lowered(4.0, 1.0, first=first)
    assert 0 < step < 1
    assert not found.done
    assert 2 < asked < 20
    assert found.lost == (not math.isfinite(first))


def test_the_turn_is_that_of_the_curve() -> None:
    """Outputs θ² at θ = 1: a step δ along the tangent moves them by 2δ + δ², and −δ²/2 more takes the square off again."""
    there = torch.ones(1).double()
    line: Any = SimpleNamespace(outputs=there[:, None], jacobian=2 * torch.ones(1, 1, 1).double(), bend=LINE.bend)
    here = replace(bowl((-1.0,), (4.0,)), linear=line, columns=2 * torch.ones(1, 1).double())
    problem: Any = SimpleNamespace(free=lambda theta: theta[:, None] ** 2)
    for size in (0.1, 0.5):
        turn = here.turn(problem, there, torch.tensor([size]).double(), 0.0)
        assert turn is not None
        assert float(turn) == pytest.approx(-(size**2) / 2)
    assert here.turn(problem, there, torch.tensor([0.8]).double(), 0.0) is None


@pytest.mark.parametrize("part", ["rows", "jacobian"])
def test_no_step_is_made_from_numbers_that_are_not_finite(monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    problem = exact()
    whole = trust_region.linear_at(problem, problem.flat)
    spoilt = getattr(whole, part).clone()
    spoilt[(0,) * spoilt.ndim] = math.inf
    region = trust_region.begin(problem, problem.flat)
    monkeypatch.setattr(trust_region, "linear_at", lambda *_: replace(whole, **{part: spoilt}))
    assert trust_region._stepped(problem, region).done
    assert trust_region._stepped(problem, region).radius == region.radius == math.inf


@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e6])
def test_no_unit_of_the_target_ends_a_descent_before_it_began(scale: float) -> None:
    """From 0 the first region is 1 wide; a gradient is small beside its own terms only."""
    problem = exact(scale)
    begun = trust_region.begin(problem, torch.zeros(3).double())
    found = trust_region._stepped(problem, begun)
    assert found.value < begun.value
    length = float((found.scale * found.theta).norm())
    assert length == pytest.approx(min(1.0, length), rel=0.11)
    assert (length > 0.8) == (scale > 1e-3)


# What runs away.
@pytest.mark.parametrize(("farthest", "step", "doubted"), [
    (11.9, 1.0, False), (12.1, 1.0, True), (-12.1, 1.0, True), (1.0, 11.9, False), (1.0, 12.1, True), (1.0, None, False),
    (12.1, None, True), (11.9, None, False), (1.0, 0.0, False),
])  # fmt: skip
def test_a_maximum_far_out_is_doubted(
    farthest: float, step: float | None, doubted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuts = {None: None, 0.0: torch.zeros(1)}.get(step, torch.tensor([0.0, 1.0, 1.0 + (step or 0.0)]))
    monkeypatch.setattr(parts, "linear", lambda *_: torch.tensor([[0.0], [farthest]]))
    likelihood = SimpleNamespace(cuts=lambda _: cuts)
    found = SimpleNamespace(design=None, beta=torch.zeros(1, 1), family=SimpleNamespace(likelihood=likelihood))
    assert parts.doubtful(found) == doubted  # type: ignore[arg-type]


# Where Newton's method starts.
def test_a_sample_is_asked_where_it_has_a_hundred_rows_a_coefficient(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def sampled(_family: Any, sample: Design, *_: Any, **__: Any) -> Any:
        asked.append(len(sample.y))
        raise DataError("no maximum")

    x = torch.randn(17 * 300 + 17, 2, generator=DRAWS, dtype=f64)
    monkeypatch.setattr(start, "newton", sampled)
    for rows, tried in ((17 * 300, True), (17 * 299, False)):
        y = (x[:rows, 0] > 0).double()
        begun = start.start(family_of("bernoulli"), design_of((x[:rows], y), family_of("bernoulli"), True, None)[0])
        assert asked == [300] * tried
        assert begun[-1] == pytest.approx(math.log(float(y.mean()) / (1 - float(y.mean()))))
        asked.clear()
    start.start(family_of("normal"), design_of((x, x[:, 0]), family_of("normal"), True, None)[0])
    assert not asked, "of squares there is one step"


def test_a_constant_is_moved_against_the_offset() -> None:
    offset = torch.linspace(-30, 30, 60, dtype=f64)
    design = replace(designed(COUNTS, "poisson"), offset=offset)
    found = start.beside_offset(family_of("poisson"), design, torch.zeros(3, 1, dtype=f64))
    assert -found[-1, 0] in offset.quantile(torch.linspace(0, 1, start.LEVELS, dtype=f64))
    assert float(found[-1, 0]) < -15, "the largest offsets weigh most"
    alone = torch.zeros(3, 1, dtype=f64)
    assert start.beside_offset(family_of("poisson"), designed(COUNTS, "poisson"), alone) is alone


# Somebody's own likelihood at the door.
class Own(Likelihood):
    """A density times a number, over reals; `shape`, `coupled`, `straight`, `detached` as they say."""

    def __init__(self, level: float = 0.0, way: str = "") -> None:
        self.level, self.way = level, way

    def nll(self, output: Tensor, target: Real) -> Tensor:
        rows = Normal().nll(output, target) - self.level
        return {
            "sum": rows.sum(),
            "coupled": rows + rows.mean() - rows.detach().mean() + 1e-6 * rows.detach().mean(),
            "straight": output * target,
            "detached": rows.detach(),
            "few": rows[:1],
            "number": 3.0,
        }.get(self.way, rows)  # type: ignore[return-value]


def own(of: type[Any], level: float, way: str = "") -> Any:
    return of(level, way)


@pytest.mark.parametrize(("level", "way", "words"), [
    (0.0, "", None), (0.9e-2, "", None), (1.1e-2, "", "not normalised"), (-1.1e-2, "", "not normalised"),
    (0.0, "sum", "gave shape"),
    (0.0, "coupled", "couples the rows"), (0.0, "straight", "straight line"),
    (0.0, "detached", "does not depend on the raw output"),
    (0.0, "few", r"gave shape \(1,\)"), (0.0, "number", "gave float"),
])  # fmt: skip
def test_a_strangers_density_is_normalised_to_a_hundredth(level: float, way: str, words: str | None) -> None:
    family = family_of(Own(level, way), TargetSpace("real"))
    if words is None:
        assert check_nll(family, NOISE) is family
        return
    with pytest.raises(ConfigError, match=words):
        check_nll(family, NOISE)


class OwnLabels(Likelihood):
    def __init__(self, level: float = 0.0) -> None:
        self.level = level

    def nll(self, output: Tensor, target: Binary) -> Tensor:
        return torch.nn.functional.softplus(output) - target * output - self.level


class OwnCounts(Likelihood):
    def __init__(self, level: float = 0.0, tail: float = 0.0) -> None:
        self.level, self.tail = level, tail

    def nll(self, output: Tensor, target: Counts) -> Tensor:
        if self.tail:
            return self.tail * torch.log1p(target) + 0 * output
        return torch.exp(output) - target * output + torch.lgamma(target + 1) - self.level


class OwnPositive(Likelihood):
    def __init__(self, level: float = 0.0) -> None:
        self.level = level

    def nll(self, output: Tensor, target: Positive) -> Tensor:
        return output + target * torch.exp(-output) - self.level


@pytest.mark.parametrize(("likelihood", "space", "y", "known"), [
    (OwnLabels(0.9e-6), "binary", HARD, None), (OwnLabels(1.1e-6), "binary", HARD, math.exp(1.1e-6)),
    (OwnLabels(-1.1e-6), "binary", HARD, math.exp(-1.1e-6)), (OwnCounts(0.9e-6), "counts", COUNTS, None),
    (OwnCounts(1.1e-6), "counts", COUNTS, math.exp(1.1e-6)), (OwnCounts(0.0, 1.5), "counts", COUNTS, None),
    (OwnCounts(0.0, -0.1), "counts", COUNTS, math.inf), (OwnCounts(0.0, 1e-9), "counts", COUNTS, None),
    (OwnPositive(0.9e-2), "positive", COUNTS + 0.5, None), (OwnPositive(0.1), "positive", COUNTS + 0.5, math.exp(0.1)),
    (Own(0.5), "real", NOISE, math.exp(0.5)), (Own(0.5), "real", 30 * NOISE, math.exp(0.5)),
    (Own(0.5), "real", NOISE[:1], math.exp(0.5)),
    (Own(0.5), "real", 1e-3 * NOISE + 0.2, math.exp(0.5)), (Own(0.5), "real", math.nan * NOISE, None),
    (OwnPositive(0.1), "positive", 1e5 * (COUNTS + 0.5), math.exp(0.1)),
])  # fmt: skip
def test_what_a_strangers_probabilities_add_up_to(likelihood: Any, space: str, y: Tensor, known: float | None) -> None:
    family = family_of(likelihood, TargetSpace(space))
    found = _total(family, torch.zeros(1, 1, dtype=f64), y)
    assert found == (None if known is None else pytest.approx(known, rel=1e-5))


def test_a_density_that_half_of_the_places_tell_otherwise_is_not_known() -> None:
    class Narrow(Likelihood):
        def nll(self, output: Tensor, target: Real) -> Tensor:
            return 0.5 * ((target - 0.02 - output) / 1e-3) ** 2

    assert _total(family_of(Narrow(), TargetSpace("real")), torch.zeros(1, 1, dtype=f64), 30 * NOISE) is None


class OwnClasses(Likelihood):
    outputs = 3

    def __init__(self, lean: float = 0.0) -> None:
        self.lean = lean

    def nll(self, output: Tensor, target: Classes) -> Tensor:
        lifted = output + self.lean * output.detach().sum(1, keepdim=True) * torch.tensor(
            [1.0, 0.0, 0.0], dtype=output.dtype
        )
        return torch.nn.functional.cross_entropy(lifted, target.long(), reduction="none")


@pytest.mark.parametrize(("lean", "held"), [(0.0, True), (1e-11, True), (1e-6, False)])
def test_a_class_is_held_at_0_where_nothing_tells_raw_outputs_from_the_same_plus_a_constant(
    lean: float, held: bool
) -> None:
    family = family_of(OwnClasses(lean), TargetSpace("classes", 3))
    found = check_nll(family, LABELS)
    assert found.likelihood.baseline == held
    assert (found is family) == (not held)


def test_several_numbers_beside_a_model_are_refused() -> None:
    check_one_number(family_of("normal"))
    check_one_number(family_of("poisson"))
    several = SimpleNamespace(several=("df", "sigma"), name="t")
    with pytest.raises(ConfigError, match="several numbers to estimate"):
        check_one_number(several)  # type: ignore[arg-type]


# What may be chosen.
@pytest.mark.parametrize(("choices", "words"), [
    (("unbiased", "observed", None, 1), None), (("ml", "HC0", "firth", 100), None), (("mL", "observed", None, 1), "dispersion"),
    (("ml", "HC9", None, 1), "cov"), (("ml", "observed", "ridge", 1), "penalty"), (("ml", "observed", None, 0), "max_iter"),
    (("ml", "observed", None, True), "max_iter"), (("ml", "observed", None, 1.0), "max_iter"),
    (("ml", "observed", None, np.int64(5)), None),
])  # fmt: skip
def test_every_choice_is_one_of_its_words(choices: tuple[Any, ...], words: str | None) -> None:
    if words is None:
        check_choices(*choices)
        return
    with pytest.raises(ConfigError, match=f"^{words}: "):
        check_choices(*choices)


@pytest.mark.parametrize(("given", "words"), [
    ({}, None), ({"intercept": False}, "intercept: False"), ({"max_iter": 99}, "max_iter: 99"),
    ({"penalty": "firth"}, "penalty: 'firth'"),
    ({"constant": "mean"}, "constant: 'mean'"), ({"constant": ()}, None), ({"cov": "HC3"}, "HC3"),
    ({"intercept": False, "max_iter": 99}, "intercept: False"), ({"intercept": 1}, "intercept: 1"),
])  # fmt: skip
def test_what_is_for_the_linear_estimate_is_refused_beside_a_model(given: dict[str, Any], words: str | None) -> None:
    asked: dict[str, Any] = {
        "cov": "observed",
        "intercept": True,
        "penalty": None,
        "constant": (),
        "max_iter": 100,
    } | given
    if words is None:
        check_beside_model(**asked)
        return
    with pytest.raises(ConfigError, match=words):
        check_beside_model(**asked)


@pytest.mark.parametrize(("value", "least", "words"), [
    (3, None, None), (3, 3, None), (2, 3, "at least 3"), (True, None, "whole number"), (2.0, None, "whole number"),
    ("2", None, "whole number"), (np.int8(2), None, None), (-1, None, None), (0, 0, None), (-1, 0, "at least 0"),
])  # fmt: skip
def test_a_whole_number_is_read(value: Any, least: int | None, words: str | None) -> None:
    if words is None:
        assert whole("n", value, least) == int(value)
        assert type(whole("n", value, least)) is int
        return
    with pytest.raises(ConfigError, match=f"^n: .*{words}"):
        whole("n", value, least)


# Two fits side by side.
SMALL = mlnn.estimate("poisson", (X[:, :1], COUNTS))
LARGE = mlnn.estimate("poisson", (X, COUNTS))
GAUSS = [mlnn.estimate("normal", (part, NOISE)) for part in (X[:, :1], X)]


def test_the_test_of_a_likelihood_ratio_is_that_of_a_chi2() -> None:
    found = mlnn.compare_fits(SMALL, LARGE)
    assert (found.smaller, found.larger, found.df) == ("a", "b", 1)
    assert found.llr == pytest.approx(2 * (LARGE.llf - SMALL.llf))
    assert found.pvalue == pytest.approx(float(scipy.stats.chi2.sf(found.llr, 1)))
    turned = mlnn.compare_fits(LARGE, SMALL)
    assert (turned.smaller, turned.larger) == ("b", "a")
    assert turned.pvalue == found.pvalue
    exact_f = mlnn.compare_fits(*GAUSS)
    assert exact_f.test is not None
    assert (exact_f.test.distribution, exact_f.df, exact_f.test.df_resid) == ("F", 1, 57)
    assert exact_f.statistic == pytest.approx((deviance(GAUSS[0].rows) - deviance(GAUSS[1].rows)) / GAUSS[1].dispersion)
    ml = [mlnn.estimate("normal", (part, NOISE), dispersion="ml") for part in (X[:, :1], X)]
    assert mlnn.compare_fits(*ml).test.distribution == "chi2"  # type: ignore[union-attr]
    assert mlnn.compare_fits(GAUSS[0], ml[1]).test.distribution == "chi2"  # type: ignore[union-attr]


@pytest.mark.parametrize(("llr", "df", "pvalue"), [
    (0.0, 1, 1.0), (3.0, 1, 0.0416322), (3.0, 2, 0.5 * 0.0832645 + 0.5 * 0.2231302), (0.0, 2, 1.0),
])  # fmt: skip
def test_at_an_end_of_a_numbers_range_half_of_chance_is_nothing(llr: float, df: int, pvalue: float) -> None:
    sides = [
        SimpleNamespace(size=size, fit=SimpleNamespace(dispersion_kind="fixed", dispersion=None))
        for size in (3, 3 + df)
    ]
    found = nested._test(*sides, llr, True)  # type: ignore[arg-type]
    assert found.pvalue == pytest.approx(pvalue, rel=1e-5)
    assert found.distribution == f"½chi2({df - 1}) + ½chi2({df})"


@pytest.mark.parametrize(("off", "inside"), [(0.0, True), (1e-10, True), (1e-6, False)])
def test_columns_are_spanned_to_a_hundred_millionth_of_their_length(off: float, inside: bool) -> None:
    odd = torch.stack([X[:, 0] + X[:, 1] + off * NOISE], 1)
    found = mlnn.compare_fits(mlnn.estimate("poisson", (odd, COUNTS)), LARGE)
    assert (found.test is not None) == inside
    assert inside or "x0 of a is no combination of the columns of b" in found.sentence


def test_rows_that_are_not_the_same_are_refused() -> None:
    moved = COUNTS.clone()
    moved[7] += 1
    cases: list[tuple[Any, type[Exception], str]] = [
        (mlnn.estimate("poisson", (X, moved)), DataError, "y of row 7"),
        (mlnn.estimate("poisson", (X[:59], COUNTS[:59])), DataError, "a is of 60 rows and b of 59"),
        (mlnn.estimate("poisson", (X, COUNTS), weights=torch.full((60,), 2.0)), DataError,
         "the weight of row 0 is 1 in a and 2 in b"),
        (GAUSS[1], ConfigError, "is of probabilities and b"), ("fit", ConfigError, "b must be a fit"),
        (replace(LARGE, rows=None), ConfigError, "holds no rows"),
        (replace(LARGE, separation="quasi"), ConfigError, "no finite maximum"),
        (replace(LARGE, penalty="firth"), ConfigError, "the penalty of b"),
    ]  # fmt: skip
    for other, kind, words in cases:
        with pytest.raises(kind, match=words):
            mlnn.compare_fits(SMALL, other)
    ones = mlnn.estimate("poisson", (X, COUNTS), weights=torch.ones(60))
    assert mlnn.compare_fits(SMALL, ones).test is not None, "weights of 1 are none"


def test_why_there_is_no_test() -> None:
    same = mlnn.compare_fits(SMALL, mlnn.estimate("poisson", (X[:, 1:], COUNTS)))
    assert "both estimate as many numbers" in same.sentence
    wild = (COUNTS + 1) * (1 + 4 * (NOISE > 0.8))
    within, beyond = mlnn.estimate("poisson", (X[:, :1], wild)), mlnn.estimate("negative_binomial", (X, wild))
    limit = mlnn.compare_fits(within, beyond)
    assert limit.test is not None
    assert limit.test.distribution == "½chi2(1) + ½chi2(2)"
    assert any(note == "aic and bic count every estimated number here, which b by itself does not" for note in limit.notes) == (
        not beyond.rows.family.counted
    )  # fmt: skip
    given = mlnn.estimate(NegativeBinomial(theta=3.0), (X[:, :1], wild))
    assert mlnn.compare_fits(given, beyond).df == 2
    more = torch.cat([X, X[:, :1] ** 2], 1)
    free = mlnn.estimate("negative_binomial", (X[:, :1], wild))
    told = mlnn.estimate(NegativeBinomial(theta=3.0), (more, wild))
    assert "a estimates theta, which b was given" in mlnn.compare_fits(free, told).sentence
    others = [mlnn.estimate(NegativeBinomial(theta=theta), (part, wild)) for theta, part in ((3.0, X[:, :1]), (2.0, X))]
    assert "were given other numbers, theta = 3 and theta = 2" in mlnn.compare_fits(*others).sentence
    other = mlnn.compare_fits(mlnn.estimate("laplace", (X[:, :1], NOISE)), GAUSS[1])
    assert other.test is None
    assert "is not known to be a case of" in other.sentence


@pytest.mark.parametrize(
    ("a", "b", "told"),
    [(1.0, 2.0, "AIC is lower for a by 1"), (2.0, 1.0, "AIC is lower for b by 1"), (1.0, 1.0, "AIC is equal")],
)
def test_which_side_the_criteria_prefer(a: float, b: float, told: str) -> None:
    sides = [Side(name, "poisson", 0.0, 1, aic, 5.0) for name, aic in (("a", a), ("b", b))]
    found = FitComparison(*sides, smaller="a", larger="b", llr=0.0, sentence="")
    assert nested._criteria(found) == f"{told}; BIC is equal"


# The axis of a lesson.
@pytest.mark.parametrize(("off", "line"), [(0.9e-6, True), (3e-6, False)])
def test_loss_and_log_likelihood_lie_on_a_line_to_a_millionth(
    off: float, line: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = [(1.0, -5.0), (2.0, -10.0), (3.0, -15.0 + 10 * off)]
    monkeypatch.setattr(axis, "_asked", lambda *_: iter([points[0], points[2], (1.5, -7.5), points[1]]))
    nothing: Any = None
    target = torch.zeros(5)
    assert (axis._line(nothing, nothing, target, target) is not None) == line
    monkeypatch.setattr(axis, "_asked", lambda *_: iter([(1.0, -15.0), (3.0, -5.0)]))
    assert axis._line(nothing, nothing, target, target) is None, "the likelihood would grow with the loss"
    monkeypatch.setattr(axis, "_asked", lambda *_: iter([(1.0, -5.0), (1.0, -5.0)]))
    assert axis._line(nothing, nothing, target, target) is None
    monkeypatch.setattr(axis, "_asked", lambda *_: iter([(1.0, -5.0), (3.0, math.inf)]))
    assert axis._line(nothing, nothing, target, target) is None
    monkeypatch.setattr(axis, "_asked", lambda *_: iter([(1.0, -5.0), (math.nan, -6.0)]))
    assert axis._line(nothing, nothing, target, target) is None


@pytest.mark.parametrize(("at", "rate", "plain"), [
    (0.9e-5, 10.0, True), (1.1e-5, 10.0, False), (0.0, 10 * (1 + 0.9e-6), True), (0.0, 10 * (1 + 2e-6), False),
    (-0.9e-5, 10.0, True),
])  # fmt: skip
def test_an_axis_is_plain_but_for_rounding(at: float, rate: float, plain: bool) -> None:
    found = axis._plain(at, rate, 10, 1.0)
    assert found == (Axis(0.0, 10.0) if plain else Axis(at, rate))


def test_loss_and_likelihood_are_asked_half_a_unit_above_their_shares() -> None:
    seen: list[float] = []

    def loss(output: Tensor, target: Tensor) -> Tensor:
        seen.append(float(output.detach()[0]))
        return 0.5 * ((output - target) ** 2).mean()

    objective = Objective.of(loss, TargetSpace("real"))
    for size in (2.0, 40.0):
        seen.clear()
        axis.axis_of(objective, Normal(), torch.tensor([size, 0.0]), torch.tensor([0.3, 0.1]))
        assert size in seen
        for share in (0.0, 0.5, -0.25, 0.75):
            assert any(abs(one - share * size - 0.5) < 1e-9 for one in seen)
        assert max(map(abs, seen)) == size, "no further out than the raw outputs are"
    seen.clear()
    cosh = Objective.of(
        lambda output, target: loss(output, target) + torch.relu(output.abs() - 10).mean(), TargetSpace("real")
    )
    found = axis.axis_of(cosh, Normal(), torch.tensor([40.0, 0.0]), torch.tensor([0.3, 0.1]))
    assert found is not None, "asked at smaller outputs"
    assert found.rate == pytest.approx(2.0)
    assert any(abs(one - 4.0) < 1e-9 for one in seen)
    assert axis_of_constants(2.0, {0.0: 1.0, 1.0: 3.0}, torch.tensor([0, 1, 1])) == Axis(3.5, 1.5)


# What is drawn of a fit.
@pytest.mark.parametrize(("kinked", "quantile", "classes", "words"), [
    (True, 0.5, 0, "median"), (True, 0.25, 0, "0.25 quantile"), (False, None, 2, "probability of being 1"),
    (False, None, 3, "mean"),
    (False, None, 0, "mean"), (True, 0.51, 2, "0.51 quantile"),
])  # fmt: skip
def test_what_of_a_target_is_drawn(kinked: bool, quantile: float | None, classes: int, words: str) -> None:
    likelihood = SimpleNamespace(kinked=kinked, quantile=quantile)
    assert fit._centre(likelihood, classes) == words  # type: ignore[arg-type]


def test_a_box_leaves_a_margin_and_lines_stay_inside() -> None:
    rows = np.array([[0.0, 5.0], [10.0, 5.0]])
    box = fit._box(rows)
    assert box == pytest.approx(np.array([[-0.6, 10.6], [4.94, 5.06]]))
    x, y = fit._straight(np.array([1.0, 0.0]), -3.0, np.array([[0.0, 10.0], [0.0, 1.0]]))
    assert x == pytest.approx(np.full(fit.GRID, 3.0))
    assert (y[0], y[-1]) == (0.0, 1.0)
    x, y = fit._straight(np.array([0.0, 2.0]), -1.0, np.array([[0.0, 10.0], [0.0, 1.0]]))
    assert y == pytest.approx(np.full(fit.GRID, 0.5))
    x, y = fit._straight(np.array([1.0, 10.0]), -5.0, np.array([[0.0, 10.0], [0.0, 1.0]]))
    assert np.isnan(y).sum() == (x > 5 + 1e-9).sum()
    x, y = fit._straight(np.array([0.0, 1.0]), 1.0, np.array([[0.0, 10.0], [0.0, 1.0]]))
    assert np.isnan(y).all()


def test_boundaries_are_drawn_where_no_third_label_is_likelier() -> None:
    weights = np.array([[1.0, -1.0], [0.0, 0.0], [0.0, 0.0]])  # labels 0, 1, 2 with outputs 0, x, −x
    rows = np.array([[-1.0, -1.0], [1.0, 1.0]])
    nothing: Callable[[np.ndarray], np.ndarray] = np.asarray
    lines = {line.label: line for line in fit._boundaries(weights, nothing, rows, True)}
    assert list(lines) == ["between 0 and 1", "between 0 and 2", "between 1 and 2"]
    assert all(not np.isnan(line.y).any() for line in lines.values()), "all three meet at x = 0"
    lifted = np.array([[1.0, -1.0], [0.0, 0.0], [-0.5, -0.5]])
    told = {line.label: np.isnan(line.y).all() for line in fit._boundaries(lifted, nothing, rows, True)}
    assert told == {"between 0 and 1": False, "between 0 and 2": False, "between 1 and 2": True}


def test_lines_of_equal_mean_are_where_it_is() -> None:
    rows = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 0.5]])
    weights = np.array([[2.0], [0.0], [-1.0]])
    logistic: Callable[[np.ndarray], np.ndarray] = lambda eta: 1 / (1 + np.exp(-eta))  # noqa: E731
    lines = fit._levels(weights, logistic, rows, True)
    assert [line.label for line in lines] == ["0.1", "0.5", "0.9"]
    for line, share in zip(lines, (0.1, 0.5, 0.9), strict=True):
        place = (1 + math.log(share / (1 - share))) / 2
        inside = -0.12 <= place <= 2.12
        assert np.isnan(line.x).all() != inside
        if inside:
            assert line.x == pytest.approx(np.full(fit.GRID, place), abs=1e-4)
    assert len(fit._levels(weights, lambda eta: eta, rows, False)) == 5


def test_the_numbers_in_the_pictures_of_the_limits() -> None:
    told = {one.heading: one.sentence for one in limits()}
    assert "from z ≈ 16.6 on" in told["Rounding"]
    assert "costs 100 whatever z is, with gradient 0" in told["Rounding"]
    assert "runs from 0.74 to 1.14" in told["A loss that is no likelihood"]
    assert "(5.69 after t = 300)" in told["No maximum"]
    assert "With weight decay 0.1 the network ends at w = 0.90" in told["Weight decay"]
    assert "estimate 1.35" in told["Weight decay"]
    assert "standard deviation 1.29" in told["Weight decay"]
    drawn = {one.heading: {line.name: line for line in one.lines} for one in limits()}
    mle = drawn["Weight decay"]["MLE"].x[0]
    x, y = np.array([-2.0, -1.0, -0.5, 0.5, 1.0, 2.0]), np.array([0.0, 0.0, 1.0, 0.0, 1.0, 1.0])
    assert x @ (y - 1 / (1 + np.exp(-mle * x))) == pytest.approx(0, abs=1e-7)
    last = [line for line in limits()[3].lines if line.mark][1].x[0]
    assert x @ (y - 1 / (1 + np.exp(-last * x))) == pytest.approx(0.1 * 6 * last, abs=1e-6)


# What is handed in, and what is handed over.
def test_the_offset_is_the_data_sets_own_or_the_one_that_is_given() -> None:
    data = Dataset("rows", X, COUNTS, TargetSpace("counts"), X[:0], COUNTS[:0])
    offset = torch.linspace(0, 1, 60, dtype=f64)
    with_own = replace(data, extras={"offset": offset})
    direct = mlnn.estimate("poisson", (X, COUNTS), offset=offset)
    for found in (mlnn.estimate("poisson", with_own), mlnn.estimate("poisson", data, offset=offset)):
        assert found.params.tolist() == direct.params.tolist()
    assert mlnn.estimate("poisson", data).params.tolist() == LARGE.params.tolist() != direct.params.tolist()
    with pytest.raises(ConfigError, match="offset: rows has one of its own"):
        mlnn.estimate("poisson", with_own, offset=offset)


def test_of_one_coefficient_there_is_nothing_to_agree_and_of_two_there_is() -> None:
    one = check_estimate(mlnn.estimate("poisson", (X[:, :1], COUNTS), intercept=False))
    two = check_estimate(mlnn.estimate("poisson", (X[:, :1], COUNTS)))
    assert one is not None
    assert two is not None
    assert (len(one.eigenvalues), one.p_value) == (1, 1.0)
    assert len(two.eigenvalues) == 2
    assert 0 < two.p_value < 1
    assert (one.draws, two.draws) == (200, 200)


@pytest.mark.parametrize(("off", "error", "words"), [
    (0.0, 0.0, None), (0.5e-8, 0.0, None), (2e-8, 0.0, "log-likelihood"), (0.0, 0.9e-4, None), (0.0, 1.2e-4, "standard errors"),
])  # fmt: skip
def test_a_fit_is_handed_over_where_it_is_the_same(off: float, error: float, words: str | None) -> None:
    family = SimpleNamespace(likelihood=SimpleNamespace(kinked=False), dispersion=1.0)
    found: Any = SimpleNamespace(
        rows=SimpleNamespace(family=family), llf=-50.0, bse=np.array([1.0, 2.0]), cov="expected"
    )
    theirs = SimpleNamespace(llf=-50.0 * (1 + off), bse=np.array([1.0, 2.0 * (1 + error), 9.0]))
    if words is None:
        handover._check_same(found, theirs)
    else:
        with pytest.raises(ConfigError, match=words):
            handover._check_same(found, theirs)
    scaled = SimpleNamespace(**vars(theirs), llf_scaled=lambda dispersion: -49.0 - dispersion)
    scaled.bse = found.bse
    handover._check_same(found, scaled)
    family.likelihood.kinked = True
    handover._check_same(found, SimpleNamespace(llf=0.0, bse=np.zeros(2)))


@pytest.mark.parametrize(("likelihood", "fit_of", "told", "maker"), [
    ({"squares": True}, {}, {}, "_least_squares"), ({"squares": True}, {"weighted": True}, {}, "_glm"),
    ({"squares": True}, {"shifted": True}, {}, "_glm"),
    ({"squares": True}, {"unbiased": False}, {}, "_glm"), ({"kinked": True}, {}, {}, "_quantile"), ({}, {}, {}, "_own"),
    ({}, {"weighted": True}, {}, "_glm"),
    ({}, {"cov": "expected"}, {}, "_own"), ({"canonical": False}, {"cov": "expected"}, {}, "_glm"),
    ({"canonical": False}, {"cov": "observed"}, {}, "_own"),
    ({}, {}, {"extra": 1.0}, "_glm"), ({}, {"free": "theta"}, {"extra": 1.0}, "_own"), ({}, {}, {"own": ""}, "_glm"),
    ({}, {"weighted": True}, {"family": ""}, "_own"),
])  # fmt: skip
def test_which_of_statsmodels_models_a_fit_is_handed_to(
    likelihood: dict[str, Any], fit_of: dict[str, Any], told: dict[str, Any], maker: str
) -> None:
    own = SimpleNamespace(**({"squares": False, "kinked": False, "canonical": True} | likelihood))
    fitted = {"weighted": False, "shifted": False, "unbiased": True, "cov": "observed"} | fit_of
    family = SimpleNamespace(likelihood=own, free=fitted.pop("free", None))
    found: Any = SimpleNamespace(rows=SimpleNamespace(family=family), **fitted)
    counterpart: Any = SimpleNamespace(**({"extra": None, "family": "Poisson", "own": "discrete.Poisson"} | told))
    assert handover._maker(found, counterpart).__name__ == maker


@pytest.mark.parametrize(("cov", "known", "named"), [
    ("expected", (), "nonrobust"), ("observed", (), "nonrobust"), ("robust", ("robust", "HC0"), "HC0"),
    ("HC0", ("robust", "HC0"), "HC0"),
    ("HC3", ("HC3",), "HC3"), ("HC3", ("robust", "HC0"), None),
])  # fmt: skip
def test_a_covariance_is_called_as_statsmodels_calls_it(cov: str, known: tuple[str, ...], named: str | None) -> None:
    found: Any = SimpleNamespace(cov=cov, rows=SimpleNamespace(family=SimpleNamespace(name="poisson")))
    if named is None:
        with pytest.raises(ConfigError, match="HC0 under another name"):
            handover._cov_type(found, known)
        return
    assert handover._cov_type(found, known) == named


def test_residuals_add_up_to_what_they_are_of() -> None:
    response, pearson, deviances = (LARGE.residuals(kind) for kind in ("response", "pearson", "deviance"))
    y, mean = COUNTS.numpy(), LARGE.fitted
    assert response == pytest.approx(y - mean)
    assert pearson == pytest.approx((y - mean) / np.sqrt(mean))
    assert float((deviances**2).sum()) == pytest.approx(LARGE.deviance)
    assert np.sign(deviances).tolist() == np.sign(response).tolist()
    with pytest.raises(ConfigError, match="residuals: "):
        LARGE.residuals("working")
    shares, trials = torch.where(HARD > 0, 0.75, 0.25), torch.full((60,), 4.0, dtype=f64)
    table = mlnn.estimate("bernoulli", (X, shares), weights=trials)
    assert table.residuals() == pytest.approx(4 * (shares.numpy() - table.fitted))
    away, spread = shares.numpy() - table.fitted, np.sqrt(table.fitted * (1 - table.fitted))
    assert table.residuals("pearson") == pytest.approx(2 * away / spread)
    hard = mlnn.estimate("bernoulli", (X, HARD), weights=trials)
    away, spread = HARD.numpy() - hard.fitted, np.sqrt(hard.fitted * (1 - hard.fitted))
    assert hard.residuals("pearson") == pytest.approx(away / spread)
    labels = mlnn.estimate("categorical", (X, LABELS))
    assert labels.residuals().sum(1) == pytest.approx(np.zeros(60), abs=1e-12)
    with pytest.raises(ConfigError, match="one sign a row"):
        labels.residuals("pearson")


@pytest.mark.parametrize("place", [0.3, -2.7, 3.0])
def test_the_number_of_a_likelihood_is_found_to_the_last_digits(place: float) -> None:
    """Of a score of which the sign alone tells anything, a search ends as far from the root as it may."""

    def score(at: Family) -> float:
        return math.copysign(1.0, math.log(at.numbers["theta"]) - place)

    found = ancillary.root_of(family_of("negative_binomial"), score)
    assert math.log(found.numbers["theta"]) == pytest.approx(place, abs=2e-12)
    for away in (1.0, -1.0):
        with pytest.raises(ancillary.NoNumberError):
            ancillary.root_of(family_of("negative_binomial"), lambda _, away=away: away)


# Covariances.
def test_sandwiches_are_those_of_their_formulas() -> None:
    x, y = np.c_[X.numpy(), np.ones(60)], NOISE.numpy()
    found = mlnn.estimate("normal", (X, NOISE))
    bread, residual = np.linalg.inv(x.T @ x), y - found.fitted
    leverage = np.einsum("ij,jk,ik->i", x, bread, x)
    for kind, weight in (("HC0", 1.0), ("HC1", 60 / 57), ("HC2", 1 / (1 - leverage)), ("HC3", 1 / (1 - leverage) ** 2)):
        truth = bread @ (x.T * (residual**2 * weight)) @ x @ bread
        assert np.asarray(found.cov_params(kind)) == pytest.approx(truth, rel=1e-9)
    assert np.asarray(found.cov_params("robust")) == pytest.approx(np.asarray(found.cov_params("HC0")))
    assert np.asarray(found.cov_params("expected")) == pytest.approx(bread * (residual**2).sum() / 57, rel=1e-9)
    logit = mlnn.estimate("bernoulli", (X, HARD))
    mean = logit.fitted
    inverse = np.linalg.inv((x.T * (mean * (1 - mean))) @ x)
    truth = inverse @ (x.T * (HARD.numpy() - mean) ** 2) @ x @ inverse
    assert np.asarray(logit.cov_params("HC0")) == pytest.approx(truth, rel=1e-7)
    with pytest.raises(ConfigError, match="raw outputs is a matrix"):
        mlnn.estimate("categorical", (X, LABELS)).cov_params("HC3")


def test_a_row_that_is_met_whatever_its_target_has_no_variance_and_few_rows_no_hc1() -> None:
    alone = torch.cat([X, (torch.arange(60) == 7).double()[:, None]], 1)
    found = mlnn.estimate("normal", (alone, NOISE))
    for kind in ("HC2", "HC3"):
        with pytest.raises(ConfigError, match="a row has leverage 1"):
            found.cov_params(kind)
    assert np.isfinite(np.asarray(found.cov_params("HC1"))).all()
    few = mlnn.estimate("poisson", (X[:3], torch.tensor([1.0, 2.0, 4.0])))
    with pytest.raises(ConfigError, match="3 rows for 3"):
        few.cov_params("HC1")
    assert np.asarray(few.cov_params("HC0")) == pytest.approx(np.zeros((3, 3)), abs=1e-9)
    more = mlnn.estimate("poisson", (X[:4], torch.tensor([1.0, 2.0, 4.0, 1.0])))
    assert np.asarray(more.cov_params("HC1")) == pytest.approx(4 * np.asarray(more.cov_params("HC0")))


def test_a_row_of_a_binomial_table_is_so_many_trials() -> None:
    y = torch.tensor([0.25, 1.0], dtype=f64)
    for name, told in (("bernoulli", [([1, 1], [0.25, 1]), ([0, 0], [0.75, 0])]), ("poisson", [([0.25, 1], [1, 1])])):
        found = inference.trials(family_of(name), y)
        assert [(target.tolist(), share.tolist()) for target, share in found] == told
    shares = torch.where(HARD > 0, 0.75, 0.25)
    table = mlnn.estimate("bernoulli", (X, shares), weights=torch.full((60,), 4.0, dtype=f64))
    hits = (torch.arange(4) < 4 * shares[:, None]).double().reshape(-1)
    single = mlnn.estimate("bernoulli", (X.repeat_interleave(4, 0), hits))
    assert np.asarray(table.cov_params("HC0")) == pytest.approx(np.asarray(single.cov_params("HC0")), rel=1e-7)


# A network beside its estimate.
def beside(y: Tensor, name: str) -> Any:
    torch.manual_seed(0)
    data = Dataset("rows", X, y, TargetSpace("binary"), X[:0], y[:0])
    layer = torch.nn.Linear(2, 1)
    found = classical.classical_estimate(layer, family_of(name).likelihood, data)
    assert found is not None
    return found.beside(layer)


def test_what_there_is_to_say_of_a_network_beside_an_estimate() -> None:
    there, nowhere = beside(HARD, "bernoulli"), beside((X[:, 0] > 0).double(), "bernoulli")
    assert len(there.coefficients) == 3
    assert nowhere.coefficients == ()
    assert (there.separation, nowhere.separation) == ("none", "complete")
    assert there.lr_pvalue is not None
    assert (nowhere.lr_pvalue, nowhere.summary) == (None, None)
    assert there.summary is not None
    assert "There is no maximum to reach: complete separation. The likelihood grows towards 1" in nowhere.sentence
    assert "digits of the MLE" in there.sentence


@pytest.mark.parametrize(("rows", "kept"), [(6, True), (2, False)])
def test_data_too_few_or_too_large_for_an_estimate_have_none(
    rows: int, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    y = (torch.arange(rows) % 2).double()
    data = Dataset("rows", X[:rows], y, TargetSpace("binary"), X[:0], y[:0])
    assert (classical._design("bernoulli", data, True) is not None) == kept
    monkeypatch.setattr(classical, "LARGE", 3 * rows)
    assert (classical._design("bernoulli", data, True) is not None) == kept
    monkeypatch.setattr(classical, "LARGE", 3 * rows - 1)
    assert classical._design("bernoulli", data, True) is None


class Halves(torch.nn.Module):
    """A slope and a constant, each learned or not."""

    def __init__(self, slope: bool, constant: bool, level: float = 0.5) -> None:
        super().__init__()
        self.slope = torch.nn.Parameter(torch.tensor([0.0, 0.0]), requires_grad=slope)
        self.level = torch.nn.Parameter(torch.tensor(level), requires_grad=constant)

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.slope.to(x.dtype) + self.level


@pytest.mark.parametrize(("slope", "learned", "level", "constant"), [
    (True, True, 0.5, True), (True, True, 0.0, True), (True, False, 0.5, None), (True, False, 0.0, False),
    (False, True, 0.5, None),
    (False, False, 0.5, None),
])  # fmt: skip
def test_whether_a_module_is_a_linear_model_and_has_a_constant(
    slope: bool, learned: bool, level: float, constant: bool | None
) -> None:
    assert classical._constant(Halves(slope, learned, level), X) is constant


def test_a_model_without_features_begins_at_the_shares_of_its_classes() -> None:
    shares = torch.tensor([0.5, 0.3, 0.2]).double()
    y = torch.repeat_interleave(torch.arange(3), torch.tensor([30, 18, 12]))
    for likelihood, told in ((OwnClasses(), shares.log()), ("categorical", (shares[1:] / shares[0]).log())):
        family = family_of(likelihood, TargetSpace("classes", 3))
        design, family = design_of((X, y), family, True, None)
        assert start._constant(family, design).tolist() == pytest.approx(told.tolist())
    family = family_of("poisson")
    assert start._constant(family, designed(COUNTS, "poisson")).reshape(-1).tolist() == pytest.approx(
        [float(COUNTS.mean().log())]
    )


@pytest.mark.parametrize(
    ("knows", "jointly", "asked"), [(True, False, False), (False, True, False), (False, False, True)]
)
def test_a_likelihood_of_the_catalogue_is_not_asked_at_the_door(
    knows: bool, jointly: bool, asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    for name in ("_check_shape", "_check_alone", "_check_total", "_with_baseline"):
        monkeypatch.setattr(door, name, lambda family, _y, name=name: (calls.append(name), family)[1])
    family: Any = SimpleNamespace(knows_information=knows, likelihood=SimpleNamespace(jointly=jointly))
    assert door.check_nll(family, NOISE) is family
    assert bool(calls) == asked


def test_a_direction_is_followed_ever_farther() -> None:
    assert list(existence.FAR) == sorted(set(existence.FAR))
    assert [round(math.log10(far)) for far in existence.FAR[-4:]] == [4, 6, 8, 10]


@pytest.mark.parametrize(("kind", "target", "extreme"), [("binary", HARD, True), ("counts", COUNTS, False)])
def test_rows_that_may_run_are_hard_labels_and_zero_counts(kind: str, target: Tensor, extreme: bool) -> None:
    family = family_of({"binary": "bernoulli", "counts": "poisson"}[kind])
    runs = existence._can_run(family, target)
    assert bool(runs.all()) == extreme
    assert torch.equal(runs, (target == 0) | (kind == "binary"))
    y, space = existence._pinning(family, designed(target, family.name))
    assert space.kind == ("unit" if kind == "binary" else "counts")
    assert float(y.max()) == 1.0
