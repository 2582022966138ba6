"""An output that is worse than another for every target: where it is looked for, and what speaks against it, one at a time."""

import math
from typing import Any

import pytest
import torch
from asked_cases import Function, asked, f64, normal, numbers
from torch import Tensor

from mlnn.auditing import dominated
from mlnn.auditing.ask import Loss
from mlnn.auditing.dominated import _targets, _way_down, _with_valleys, _witness, worse_of_two

HERE, THERE = numbers(1.0, 0.3), numbers(0.0, 0.3)


def heavy(o: Tensor, y: Tensor) -> Tensor:
    """Of a tail that no output moves, and as much larger as the first entry is."""
    return 2 * torch.log1p(y.abs()) + o[:, 0] + 0 * o[:, 1]


def test_from_every_start_steps_of_two_down_to_a_hundredth_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    starts: list[float] = []
    steps: list[float] = []

    def way(_loss: Loss, start: Tensor) -> Tensor | None:
        starts.append(float(start.abs().max()))
        return numbers(0.6, 0.8) if len(starts) % 2 else None

    def witness(_loss: Loss, bad: Tensor, good: Tensor) -> Any:
        steps.append(float((good - bad).norm()))
        return "found" if len(steps) == 40 else None

    monkeypatch.setattr(dominated, "_way_down", way)
    monkeypatch.setattr(dominated, "_witness", witness)
    loss = asked(normal, "real(raw=2)")
    assert dominated.dominated(loss, numbers()) == "found"
    assert steps == pytest.approx(([2.0, 1.0, 0.5, 0.2, 0.05, 0.01] * 7)[:40])
    monkeypatch.setattr(dominated, "_way_down", lambda _, start: starts.append(float(start.abs().max())))
    starts.clear()
    assert dominated.dominated(loss, numbers()) is None
    assert [round(size, 1) for size in starts[6:]] == [3.0] * 8 + [5.0] * 8
    assert max(starts[:6]) < 3


@pytest.mark.parametrize(("targets", "low", "high"), [
    ("positive(raw=2)", -600.0, 600.0), ("unit(raw=2)", -600.0, 34.0), ("real(raw=2)", -1e30, 1e30),
])  # fmt: skip
def test_targets_end_short_of_where_float64_has_none(targets: str, low: float, high: float) -> None:
    loss = asked(normal, targets)
    found, along = _targets(loss, numbers(0.3, 1.7)), loss.space.coordinate
    assert along is not None
    assert bool((found.diff() >= 0).all())
    assert bool(torch.isfinite(found).all())
    v = along.back(found)
    assert (float(v[0]), float(v[-1])) == (pytest.approx(low), pytest.approx(high, rel=0.1))
    assert float(v[(v > -33) & (v < 20)].diff().max()) < 0.31, "dense about 0"
    for place in (0.3 - 1e-6, 0.3 + 1e-6, 1.7 + 0.1):
        assert float((v - place).abs().min()) < 1e-9


@pytest.mark.parametrize(("loss", "shown"), [
    (heavy, True),
    (lambda o, y: heavy(o, y) + torch.where((y > 3) & (y < 4) & (o[:, 0] < 0.5), math.nan, 0.0), False),
    (lambda o, y: heavy(o, y) + torch.where((y > 3) & (y < 4) & (o[:, 0] > 0.5), math.nan, 0.0), False),
    (lambda o, y: heavy(o, y) - 0.01 * o[:, 0] * torch.log10(1 + y.abs()), False),  # the excess falls on at both ends
    (lambda o, y: heavy(o, y) - 0.01 * o[:, 0] * torch.log10(1 + torch.relu(y)), False),
    (lambda o, y: heavy(o, y) - 0.01 * o[:, 0] * torch.log10(1 + torch.relu(-y)), False),
    (lambda o, y: heavy(o, y) + 0.01 * o[:, 0] * torch.log10(1 + y.abs()), True),
    (lambda o, y: heavy(o, y) - (1 + 1e-10) * o[:, 0] * ((y - 3).abs() < 0.5), False),
    (lambda o, y: heavy(o, y) - (1 + 1e-14) * o[:, 0] * ((y - 3).abs() < 0.5), True),
])  # fmt: skip
def test_what_speaks_against_a_worse_output(loss: Function, shown: bool) -> None:
    assert (_witness(asked(loss, "real(raw=2)"), HERE, THERE) is not None) == shown


@pytest.mark.parametrize(("flat", "shown"), [(0.0, True), (1.0, False)])
def test_nothing_is_said_where_fractions_near_1_have_much_of_the_weight(flat: float, shown: bool) -> None:
    loss = asked(lambda o, y: o[:, 0] + 0 * o[:, 1] + flat * (y.log() + torch.log1p(-y)), "unit(raw=2)")
    assert (_witness(loss, HERE, THERE) is not None) == shown


@pytest.mark.parametrize(("start", "shown"), [(100, True), (200, False)])
def test_it_is_worse_at_half_of_the_targets(start: int, shown: bool) -> None:
    """Counts up to 300, and 43 beyond: from 172 on it is worse at half."""
    loss = asked(lambda o, y: 1e-2 * y + o[:, 0] * (y >= start) + 0 * o[:, 1], "counts(raw=2)")
    found = _witness(loss, HERE, THERE)
    assert (found is not None) == shown
    if found:
        assert found.targets == (0.0, 1.0, 2.0)
        assert found.excess == pytest.approx(1.0)


@pytest.mark.parametrize(("by", "shown"), [(2e-6, True), (0.5e-6, False)])
def test_it_is_worse_by_a_millionth(by: float, shown: bool) -> None:
    loss = asked(lambda o, y: 1.0 + by * o[:, 0] + 0.5 * o[:, 0] * (y == 0) + 0 * o[:, 1], "counts(raw=2)")
    assert (_witness(loss, HERE, THERE) is not None) == shown


def test_an_excess_counts_as_1_at_most_and_may_fall_towards_no_count() -> None:
    """A thousand nats where a density is nearly nothing are no more than one."""
    far = asked(lambda o, y: torch.where(y == 0, 2e-6 * o[:, 0], 1000 * o[:, 0] - 980) + 0 * o[:, 1], "counts(raw=2)")
    assert _witness(far, HERE, THERE) is None
    less = asked(lambda o, y: 1e-2 * y + o[:, 0] * (1 - 0.5 * (y == 0)) + 0 * o[:, 1], "counts(raw=2)")
    assert _witness(less, HERE, THERE) is not None


def test_an_excess_that_is_infinite_at_most_targets_is_told_by_its_least() -> None:
    loss = asked(lambda o, y: heavy(o, y) + torch.where((y < 2.5) | (o[:, 0] < 0.5), 0.0, math.inf), "counts(raw=2)")
    found = _witness(loss, HERE, THERE)
    assert found is not None
    assert found.excess == pytest.approx(1.0)
    assert found.loss[0] == pytest.approx((1.0, 1 + 2 * math.log(2), 1 + 2 * math.log(3)))
    line = _witness(asked(heavy, "real(raw=2)"), HERE, THERE)
    assert line is not None
    assert line.targets[0] < line.targets[1] < line.targets[2]


@pytest.mark.parametrize(("targets", "middle"), [("real(raw=2)", 0.3), ("positive(raw=2)", 0.3), ("unit(raw=2)", 0.7)])
def test_the_valleys_of_the_worse_loss_and_of_the_excess_are_followed_to_the_last_digits(
    targets: str, middle: float
) -> None:
    loss = asked(lambda o, y: (y - middle).abs() + o[:, 0] * (1 + (y - 0.9).abs()) + 0 * o[:, 1], targets)
    along = loss.space.coordinate
    assert along is not None
    grid = along.target(torch.linspace(-4, 4, 17, dtype=f64))
    both = torch.stack([0.25 * HERE, THERE])
    found = _with_valleys(loss, both, grid)
    for place, near in ((middle, 2e-15), (0.9, 1e-14)):
        assert float((found - place).abs().min()) < near
    assert (float(found.min()), float(found.max())) == pytest.approx((float(grid.min()), float(grid.max())))


def test_the_valleys_of_counts_are_whole_numbers_and_end_between_neighbours() -> None:
    asked_at: list[int] = []

    def loss(o: Tensor, y: Tensor) -> Tensor:
        asked_at.append(len(y))
        return (y - 37).abs() / 100 + o[:, 0] * (1 + (y - 80).abs()) + 0 * o[:, 1]

    counts = asked(loss, "counts(raw=2)")
    asked_at.clear()
    found = _with_valleys(counts, torch.stack([1e-6 * HERE, THERE]), torch.arange(0.0, 200.0, 10.0, dtype=f64))
    assert {37.0, 80.0} <= {*found.tolist()}
    assert found.tolist() == found.round().tolist()
    assert len(asked_at) < 14, "no further where no count lies between"


@pytest.mark.parametrize(("within", "there"), [(2.0, True), (1e60, False)])
def test_a_way_down_needs_the_gradients_of_half_of_the_targets(within: float, there: bool) -> None:
    loss = asked(lambda o, y: o[:, 0] * (y.abs() > within) + o[:, 0] * (y == 0) + 0 * o[:, 1], "real(raw=2)")
    assert (_way_down(loss, numbers(0.7, -0.4)) is not None) == there


def test_two_outputs_are_compared_where_none_is_better() -> None:
    outputs = torch.tensor([[0.5, -0.5], [0.1, 0.2]], dtype=f64)
    worse = asked(lambda o, y: heavy(o, y) - o[:, 0] + torch.relu(o[:, 0] - 0.4), "real(raw=2)")
    found = worse_of_two(worse, outputs)
    assert found is not None
    assert found.outputs[0] == (0.5, -0.5)
    crossing = asked(lambda o, y: heavy(o, y) - o[:, 0] + torch.relu(o[:, 0] - 0.4) * y.sign(), "real(raw=2)")
    assert worse_of_two(crossing, outputs) is None
    lost = asked(lambda o, y: torch.where(y.abs() < 1, math.nan, heavy(o, y)), "real(raw=2)")
    assert worse_of_two(lost, outputs) is None
