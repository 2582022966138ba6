"""What is read off two steps around their first weights: a factor, a shift, raw outputs; each on both sides of its line."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from training_cases import SGD, recipe

import mlnn
from mlnn.comparing.evidence import allowed
from mlnn.comparing.gaps import CommonGap, gap_between
from mlnn.comparing.local_probe import _factor, _shift, _told, _unsteady, _words, local_probe
from mlnn.errors import ConfigError
from mlnn.training import LaneRecipe, Lockstep, make_lockstep

BCE = nn.BCEWithLogitsLoss()
LEFT = torch.tensor([3.0, -4.0], dtype=torch.float64)


def here(right: Tensor, coarse: float = 1e-7, finite: bool = True) -> dict[str, CommonGap]:
    """Two gradients, left's (3, −4); `coarse`: their relative gap in float32."""
    exact = gap_between(1.0 if finite else math.nan, 1.0, LEFT, right)
    off = gap_between(1.0, 1.0, LEFT, LEFT * (1 + coarse))
    return {"float32": off, "float64": exact}


@pytest.mark.parametrize(("right", "factor"), [
    (2 * LEFT, 2.0), (0.25 * LEFT, 0.25), (-2 * LEFT, 1.0), (0 * LEFT, 1.0), (LEFT, 1.0),
    ((1 + 0.5 * 1e-12) * LEFT, 1.0), (torch.tensor([4.0, 3.0], dtype=torch.float64), 1.0),
    (2 * LEFT + torch.tensor([0.4, 0.3], dtype=torch.float64), 1.0),  # not parallel
])  # fmt: skip
def test_a_factor_is_one_where_the_two_are_parallel(right: Tensor, factor: float) -> None:
    assert _factor(here(right)) == pytest.approx(factor, rel=1e-12)
    assert _factor({}) == 1.0


def test_a_factor_is_told_from_rounding_by_what_float32_shows() -> None:
    line = allowed(1e-4)
    assert line > 1e-12
    assert _factor(here((1 + 0.9 * line) * LEFT, coarse=1e-4)) == 1.0
    assert _factor(here((1 + 1.1 * line) * LEFT, coarse=1e-4)) == pytest.approx(1 + 1.1 * line, rel=1e-12)


def step_of(loss: Any) -> mlnn.Step:
    return mlnn.Step(lambda model, batch: loss(model(batch[0]).squeeze(-1), batch[1].to(batch[0].dtype)))


def smooth() -> nn.Module:
    return nn.Linear(4, 1)


def lockstep(left: Any, right: Any, **options: Any) -> Lockstep:
    return make_lockstep(recipe(**options), LaneRecipe(step_of(left), SGD), LaneRecipe(step_of(right), SGD))


@pytest.mark.parametrize(("right", "shift"), [
    (lambda z, y: BCE(z, y) + 3.0, 3.0), (lambda z, y: BCE(z, y) - 0.01, -0.01), (BCE, 0.0),
    (lambda z, y: BCE(z, y) + 1e-17, 0.0), (lambda z, y: BCE(z, y) + z.square().mean(), 0.0),
    (lambda z, y: BCE(z, y) + 3.0 + 1e-7 * z.square().mean(), 0.0),
    (lambda z, y: BCE(z, y) + 3.0 + 1e-12 * z.square().mean(), 3.0),
])  # fmt: skip
def test_a_shift_is_one_number_at_all_places(right: Any, shift: float) -> None:
    found = local_probe(lockstep(BCE, right))
    assert found.shift[0.0] == pytest.approx(shift, rel=1e-7)


@pytest.mark.parametrize(("added", "read"), [(2e-15, False), (1e-12, True), (-1e-12, True)])
def test_a_shift_is_told_from_the_rounding_of_a_loss_of_less_than_a_nat(added: float, read: bool) -> None:
    lanes = lockstep(BCE, lambda z, y: BCE(z, y) + added)
    found = local_probe(lanes).shift[0.0]
    assert found == (pytest.approx(added, rel=1e-2, abs=0) if read else 0.0)


def test_no_shift_is_read_where_a_value_is_not_finite() -> None:
    lanes = lockstep(BCE, lambda z, y: BCE(z, y) + 3.0)
    assert _shift(lanes, here(LEFT, finite=False), 1.0) == 0.0
    assert _shift(lanes, {}, 1.0) == 0.0


def test_raw_outputs_are_told_where_both_losses_move_with_them() -> None:
    assert _told(lockstep(BCE, BCE))
    assert not _told(lockstep(BCE, lambda z, y: BCE(z.detach(), y).detach() + 0 * z.sum() - BCE(z, y).detach()))
    assert not _told(lockstep(lambda z, y: 0 * BCE(z, y), BCE))
    assert "raw outputs ×" in _words(True)
    assert "the last matrix ×" in _words(False)
    assert "±0" not in _words(True)
    assert "±0 " not in _words(False)
    assert "±-" not in _words(True) + _words(False)
    assert "moved together by ±" in _words(True)


def test_a_step_that_answers_the_same_call_differently_is_unsteady() -> None:
    calls = [0]

    def counting(z: Tensor, y: Tensor) -> Tensor:
        calls[0] += 1
        return BCE(z, y) * (1 + calls[0])

    def alternating(z: Tensor, y: Tensor) -> Tensor:
        calls[0] += 1
        return BCE(z, y) * (1 if calls[0] % 3 else 2)

    def bent(z: Tensor, y: Tensor) -> Tensor:  # its gradient alone
        calls[0] += 1
        return BCE(z, y) * calls[0] - (BCE(z, y) * (calls[0] - 1)).detach()

    assert _unsteady(lockstep(BCE, BCE)) is None
    for odd in (counting, alternating, bent):
        for sides, name in (((odd, BCE), "left"), ((BCE, odd), "right")):
            calls[0] = 0
            told = _unsteady(lockstep(*sides)) or ""
            assert told.startswith(f"{name}'s step ")
            assert "closure" not in told
    found = local_probe(lockstep(BCE, counting))
    assert (found.visited, found.value.relation, found.gradient.relation) == (None, "undecided", "undecided")
    assert str(found.unsteady).startswith("right's step ")


def test_a_step_that_answers_nan_each_time_is_steady() -> None:
    assert _unsteady(lockstep(BCE, lambda z, y: BCE(z, y) * math.nan)) is None


def test_a_step_that_changes_weights_is_refused() -> None:
    def moving(model: nn.Module, batch: Any) -> Tensor:
        with torch.no_grad():
            next(model.parameters()).add_(1.0)
        return BCE(model(batch[0]).squeeze(-1), batch[1].to(batch[0].dtype))

    lanes = make_lockstep(recipe(), LaneRecipe(step_of(BCE), SGD), LaneRecipe(mlnn.Step(moving), SGD))
    with pytest.raises(ConfigError, match="changes the model's weights"):
        local_probe(lanes)


def test_lanes_are_left_as_before_the_first_step() -> None:
    lanes = lockstep(BCE, lambda z, y: 2 * BCE(z, y))
    before = {name: [weight.detach().clone() for weight in lane.weights] for name, lane in lanes.lanes.items()}
    found = local_probe(lanes)
    assert found.factor == pytest.approx(2.0, rel=1e-12)
    assert str(found.visited).startswith("raw outputs × 0, 0.1, 3, 10, 100 (up to ")
    for name, lane in lanes.lanes.items():
        assert lane.stopped is None
        assert all(weight.grad is None for weight in lane.weights)
        assert all(map(torch.equal, lane.weights, before[name]))


def test_a_wrong_gradient_is_named_where_the_values_are_the_same_everywhere() -> None:
    def bent(z: Tensor, y: Tensor) -> Tensor:
        part = z.square().mean()
        return BCE(z, y) + part - part.detach()

    def elsewhere(z: Tensor, y: Tensor) -> Tensor:
        return bent(z, y) + (z.detach().abs() - 30).clamp(min=0).sum()

    named, silent, equal = (local_probe(lockstep(BCE, right, model=smooth)) for right in (bent, elsewhere, BCE))
    assert named.backward is not None
    assert named.backward.words.startswith("right's gradient is not the derivative of its value")
    assert (named.value.relation, silent.value.relation) == ("equal", "different")
    assert silent.backward is equal.backward is None
    mirrored = local_probe(lockstep(bent, BCE, model=smooth)).backward
    assert mirrored is not None
    assert mirrored.words.startswith("left's gradient")


def naive(z: Tensor, y: Tensor) -> Tensor:
    """It overflows from a raw output of 89 in float32, of 710 in float64."""
    return (torch.log(1 + z.exp()) - y * z).mean()


def test_how_far_both_sides_have_numbers_is_a_size_only_where_both_have_the_raw_outputs_that_were_moved() -> None:
    def around(model: nn.Linear, batch: Any) -> Tensor:
        z = nn.functional.linear(batch[0], model.weight, model.bias).squeeze(-1)
        return naive(z, batch[1].to(z.dtype))

    def probed(right: mlnn.Step) -> tuple[Any, str | None]:
        sides = LaneRecipe(step_of(BCE), SGD), LaneRecipe(right, SGD)
        found = local_probe(make_lockstep(recipe(model=smooth), *sides))
        return found.domain[0.0], found.broke

    (low, high), words = probed(step_of(naive))
    assert -low == high < 89
    assert words is None
    (low, high), words = probed(mlnn.Step(around))
    assert -low == high == math.inf
    assert words is not None
    assert words.endswith("right is not finite in float32 where the other side is")
