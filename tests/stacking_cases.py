"""Lanes trained one by one and as rows of stacks, and what it is for the two to agree."""

import math
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from training_cases import SGD, X, Y, lane_recipe, network, recipe

from mlnn.data import Dataset, from_arrays
from mlnn.objectives import bernoulli_nll_log1p
from mlnn.training import LaneRecipe, Recipe, UnstackableError, make_lockstep, stacked
from mlnn.training.step import StepRecord

DRAWS = torch.Generator().manual_seed(1)
LABELS = (torch.rand(24, generator=DRAWS) < 0.5).double()
bce = functional.binary_cross_entropy_with_logits


def log1p(z: Tensor, y: Tensor) -> Tensor:
    return bernoulli_nll_log1p(z, y)


def on(
    data: Dataset,
    model: Callable[[], nn.Module],
    left: object = bce,
    right: object = log1p,
    optimizer: object = SGD,
    steps: int = 3,
    **options: object,
) -> tuple[Recipe, LaneRecipe, LaneRecipe]:
    lane = {name: options.pop(name) for name in ("accumulate", "prior") if name in options}
    sides = [LaneRecipe(side, optimizer, **lane).wrapped(data) for side in (left, right)]
    return Recipe(data, model, steps, options.pop("batch_size", 10), **options), *sides


def binary(x: Tensor = X[:24], **extras: Tensor) -> Dataset:
    return from_arrays(x, LABELS if len(x) == 24 else Y, extras=extras) if extras else from_arrays(x, LABELS)


NEAR = {torch.float64: 1e-10, torch.float32: 1e-3, torch.bfloat16: 0.2, torch.float16: 0.05}
"""How far apart, relative, two ways to a gradient or to weights may be after a few steps: some hundred to a million roundings."""


def played(
    shared: Recipe, left: LaneRecipe, right: LaneRecipe, stacks: bool, twins: int = 1, looks: Sequence[int] = ()
) -> list[StepRecord]:
    """The records of all steps, by either engine."""
    lockstep = make_lockstep(shared, left, right, twins)
    return list((stacked(lockstep) if stacks else lockstep).steps(looks))


def assert_agree(
    shared: Recipe | Callable[[], Recipe], left: LaneRecipe, right: LaneRecipe, twins: int = 1
) -> tuple[list[StepRecord], list[StepRecord]]:
    """Both engines' records of a training, once they were seen to tell the same."""
    plain, rows = (played(shared() if callable(shared) else shared, left, right, way, twins) for way in (False, True))
    assert len(plain) == len(rows)
    for one, other in zip(plain, rows, strict=True):
        assert list(one.lanes) == list(other.lanes)
        for name, lane in one.lanes.items():
            _same_lane(lane, other.lanes[name], name)
        _same_common(one, other)
        if (one.predictions is None) is False:
            for a, b in zip(one.predictions, other.predictions, strict=True):
                _near(a, b, "predictions")
        left_row, control = other.lanes["left"], other.lanes["control"]
        if left_row.alive:
            assert left_row.answer.loss == control.answer.loss
            assert torch.equal(left_row.answer.gradient, control.answer.gradient)
            assert torch.equal(left_row.after, control.after)
        assert (one.rates, one.settings_apart) == (other.rates, other.settings_apart)
    return plain, rows


def _same_lane(one: object, other: object, name: str) -> None:
    assert _where(one.stop) == _where(other.stop), name
    if one.answer.stop is None:
        assert math.isclose(one.answer.loss, other.answer.loss, rel_tol=_tolerance(one.after), abs_tol=1e-6), name
        _near(one.answer.gradient, other.answer.gradient, f"gradient of {name}")
        _near(one.answer.output, other.answer.output, f"raw outputs of {name}")
        assert torch.equal(one.answer.target, other.answer.target)
        assert torch.equal(one.answer.batch.rows, other.answer.batch.rows)
    if one.stop is not None and one.stop.what != "weights":
        assert torch.equal(other.before, other.after), f"{name} went on"
    if one.alive:
        _near(one.after - one.before, other.after - other.before, f"step of {name}", 10.0)


def _same_common(one: StepRecord, other: StepRecord) -> None:
    assert one.common.keys() == other.common.keys()
    for dtype, told in one.common.items():
        met = other.common[dtype]
        for mine, theirs in ((told.left, met.left), (told.right, met.right)):
            assert _where(mine.stop) == _where(theirs.stop)
            if mine.stop is None:
                _near(mine.gradient, theirs.gradient, f"gradient at left's weights in {dtype}")
        assert (told.stride is None) == (met.stride is None)
        if told.stride is not None:
            _near(told.stride.right, met.stride.right, f"right's step from left's weights in {dtype}")


def _where(stop: object) -> object:
    return None if stop is None else (stop.step, stop.what, stop.row)


def _tolerance(part: Tensor) -> float:
    return NEAR[part.dtype]


def _near(one: Tensor, other: Tensor, what: str, more: float = 1.0) -> None:
    apart, size = float((one - other).double().norm()), float(one.double().norm())
    assert apart <= more * _tolerance(one) * size + 1e-7 * _tolerance(one), f"{what}: {apart:.1e} of {size:.1e}"


def why(
    left: object = bce, right: object = log1p, model: Callable[[], nn.Module] = network, steps: int = 4, **lane: object
) -> str:
    """The reason why lanes cannot be rows."""
    sides = [side if isinstance(side, LaneRecipe) else lane_recipe(side, **lane) for side in (left, right)]
    with pytest.raises(UnstackableError) as told:
        played(recipe(24, model, steps, batch_size=12), *sides, stacks=True, looks=range(steps))
    return str(told.value)
