"""How a supposed cause is tested and its size sought: each line held on both of its sides, on numbers made by hand."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mlnn.comparing.explaining.cause import (
    PATIENCE,
    ROUNDS,
    _planted,
    _sizes,
    _sought,
    _vanished,
    _vanishes,
    drawn,
    find_cause,
)
from mlnn.comparing.explaining.repairs import Repair
from mlnn.comparing.explaining.side import Side
from mlnn.comparing.explaining.trial import Trial
from mlnn.comparing.sample import Sample
from mlnn.objectives import Objective, bce
from mlnn.targets import TargetSpace

BINARY, REAL = TargetSpace("binary"), TargetSpace("real")
f64 = torch.float64


def no_fault(side: Side, at: Sample, size: float) -> Tensor:
    return side.ask(at) * (1 + size)


def repair(**facts: object) -> Repair:
    return Repair("{side} {size}", no_fault, **facts)  # type: ignore[arg-type]


def trial(gap: float, value: float = 1.0, other: float = 1.0) -> Trial:
    """Gradients (1, 0) and (1, gap), a row each number."""
    at = Sample(torch.zeros(2, dtype=f64), torch.zeros(2, dtype=f64))
    return Trial(at, value, torch.tensor([1.0, 1.0], dtype=f64), other, torch.tensor([1.0, 1.0 + gap], dtype=f64))


def left(of: Trial, by: float) -> Tensor:
    """The other's gradient but for `by` in its second row."""
    return of.other_gradient + torch.tensor([0.0, by], dtype=f64)


@pytest.mark.parametrize(("function", "size"), [
    (lambda s: math.exp(s) - 2, math.log(2)), (lambda s: s**3 - 2, 2 ** (1 / 3)), (lambda s: 3 * s - 1, 1 / 3),
])  # fmt: skip
def test_a_size_is_found_to_rounding(function: Callable[[float], float], size: float) -> None:
    asked: list[float] = []

    def residual(at: float) -> Tensor:
        asked.append(at)
        return torch.tensor([function(at)], dtype=f64)

    assert _sought(repair(), 1.5, residual) == pytest.approx(size, rel=1e-12)
    assert len(asked) < ROUNDS  # two a round: it ends once the size has settled


def test_a_size_stays_between_its_bounds() -> None:
    def away(at: float) -> Tensor:
        return torch.tensor([math.exp(at) - 2], dtype=f64)

    assert _sought(repair(high=0.6), 0.1, away) == 0.6
    assert _sought(repair(low=0.8), 1.5, away) == 0.8


def test_a_search_that_does_not_come_near_is_given_up() -> None:
    calls = [0]

    def fleeing(at: float) -> Tensor:
        """Never nearer: where it would vanish moves on each round."""
        calls[0] += 1
        return torch.tensor([at - (calls[0] + 1) // 2], dtype=f64)

    assert _sought(repair(), 0.0, fleeing) is None
    assert calls[0] == 2 * (PATIENCE + 1)
    assert _sought(repair(), 1.0, lambda at: torch.tensor([0.4, at], dtype=f64)) == pytest.approx(0.0, abs=1e-9)
    assert _sought(repair(), 1.0, lambda _: torch.tensor([1.0], dtype=f64)) is None  # it changes nothing
    assert _sought(repair(), 1.0, lambda _: None) is None
    assert _sought(repair(), 1.0, lambda at: torch.tensor([at], dtype=f64) if at == 1.0 else None) is None


@pytest.mark.parametrize(("gap", "rest", "gone"), [
    (0.1, 0.9 * 1e-6 * 0.1, True), (0.1, 1.1 * 1e-6 * 0.1, False), (0.1, -1.1 * 1e-6 * 0.1, False),
    (1e-9, 0.9 * 1e-13 * math.sqrt(2), True), (1e-9, 1.2 * 1e-13 * math.sqrt(2), False),
])  # fmt: skip
def test_a_gap_has_vanished_where_a_millionth_or_rounding_is_left(gap: float, rest: float, gone: bool) -> None:
    one = trial(gap)
    assert _vanished(one, left(one, rest)) is gone
    found = _vanishes("words", [one], [(1.0, left(one, rest))])
    assert (found is not None) is gone
    assert found is None or (found.words, found.before, found.scales) == ("words", one.gap, False)


def test_what_is_left_is_measured_against_a_rows_own_gradient_too() -> None:
    """A row whose true gradient is far smaller than its gap has to come down to that."""
    at = Sample(torch.zeros(2, dtype=f64), torch.zeros(2, dtype=f64))
    one = Trial(at, 1.0, torch.tensor([1.0, 1.0], dtype=f64), 1.0, torch.tensor([1.0, 1e-5], dtype=f64))
    assert _vanished(one, left(one, 0.9 * 1e-6 * 1e-5))
    assert not _vanished(one, left(one, 1.1 * 1e-6 * 1e-5))


@pytest.mark.parametrize(("gap", "told"), [(1.1 * 1e-10, True), (0.9 * 1e-10, False)])
def test_a_gap_near_rounding_tells_no_cause(gap: float, told: bool) -> None:
    one = trial(math.sqrt(2) * gap)
    assert (_vanishes("words", [one], [(1.0, left(one, 0.0))]) is not None) is told


@pytest.mark.parametrize(("gap", "spread", "told"), [
    (0.1, 0.9, True), (0.1, 1.1, False), (1e-9, 0.9, True), (1e-9, 1.1, False),
])  # fmt: skip
def test_values_are_apart_by_one_constant_over_all_batches(gap: float, spread: float, told: bool) -> None:
    trials = [trial(gap, other=4.0), trial(gap, other=4.0)]
    line = max(1e-6 * trials[0].gap, 1e-12)
    values = (1.0, 1.0 + 4.0 * spread * line)  # relative to the other's value
    found = _vanishes("words", trials, [(value, left(one, 0.0)) for value, one in zip(values, trials, strict=True)])
    assert (found is not None) is told


def test_a_batch_on_which_a_fault_cannot_be_planted_refutes_it() -> None:
    one = trial(0.1)
    assert _vanishes("words", [one, one], [(1.0, left(one, 0.0)), None]) is None


def test_a_fault_that_is_not_finite_or_refused_is_not_planted() -> None:
    side = Side(Objective.of(bce, BINARY), BINARY)
    at = Sample(torch.tensor([0.5, -0.5], dtype=f64), torch.tensor([1.0, 0.0], dtype=f64))
    value, gradient = _planted(no_fault, 1.0, side, at) or (0.0, torch.zeros(0))
    assert value == pytest.approx(2 * float(side.ask(at)))
    assert gradient.shape == at.output.shape
    assert _planted(no_fault, math.inf, side, at) is None
    # a value that is finite, and a slope that is not; then the other way about
    assert _planted(lambda _s, at, _z: torch.sqrt(at.output - at.output.detach()).sum(), 1.0, side, at) is None
    assert _planted(lambda _s, at, _z: at.output.sum() + math.inf, 1.0, side, at) is None
    assert _planted(lambda _s, _at, _z: 1 / 0, 1.0, side, at) is None


def test_sizes_are_told_or_sought_or_tried() -> None:
    side = Side(Objective.of(bce, BINARY), BINARY)
    sample = drawn(side.objective, 7, 1.0)
    assert sample is not None
    double = Objective.of(lambda z, y: 2 * bce(z, y), BINARY)
    value, gradient = _planted(no_fault, 0.0, side, sample) or (0.0, torch.zeros(0))
    other, steep = _planted(no_fault, 0.0, Side(double, BINARY), sample) or (0.0, torch.zeros(0))
    trials = [Trial(sample, value, gradient, other, steep)]

    def sizes(**facts: object) -> list[float]:
        return list(_sizes(repair(**facts), side, side, trials))

    def refuses(_side: Side) -> float:
        raise ValueError

    assert sizes(told=lambda _: 3.0) == [3.0]
    assert sizes(told=lambda _: None) == sizes(told=refuses) == []
    assert sizes(sizes=(1.0, 2.0)) == [1.0, 2.0]
    assert sizes() == [0.0]
    assert sizes(starts=(0.5, 3.0)) == pytest.approx([1.0, 1.0])
    assert sizes(starts=(0.5,), low=0.5, high=2.0) == pytest.approx([1.0])


@pytest.mark.parametrize("space", ["classes(3)", "classes(8)", "real(2)"])
def test_a_sign_of_one_raw_output_is_named(space: str) -> None:
    targets = TargetSpace.parse(space)

    def loss(f: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(f, y) if targets.labels else ((f - y) ** 2).mean()

    def flipped(f: Tensor, y: Tensor) -> Tensor:
        signs = torch.ones(f.shape[-1], dtype=f.dtype)
        signs[-1] = -1.0
        return loss(f * signs, y)

    found = find_cause(Objective.of(loss, targets), Objective.of(flipped, targets), targets)
    last = targets.outputs - 1
    told = None if found is None else found.words
    assert told == (f"right flips the sign of raw output {last} of each row" if targets.labels else None)


def test_a_cause_is_sought_far_out_where_nothing_is_apart_nearer() -> None:
    """A clip at ±25, which no batch but the far one reaches."""
    plain = Objective.of(lambda f, y: torch.log(torch.cosh((f - y) / 8)).mean(), REAL)
    clipped = Objective.of(lambda f, y: torch.log(torch.cosh((f.clamp(-25, 25) - y) / 8)).mean(), REAL)
    found = find_cause(plain, clipped, REAL)
    assert found is not None
    assert "25" in found.words
    assert find_cause(plain, plain, REAL) is None
