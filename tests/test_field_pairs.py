"""The labels of the field's pairs, proved without a verdict: value and gradient of both sides, or where both loops lead."""

import dataclasses
from collections.abc import Iterator

import pytest
import torch
from faults import PAIRS
from faults.pair import BITS, Batch, Pair
from faults.rows import draw_batch, draw_batches, draw_output
from torch import Tensor, nn

from mlnn.seeding import generator

FIELD = [pair for pair in PAIRS if pair.family == "field"]
BY_NAME = {pair.name: pair for pair in FIELD}
ROWS, SCALES = 11, (0.3, 1.0, 4.0)
ROUNDING = {"float64": 1e-12, "float32": 2e-6, "bfloat16": 3e-2}
"""What an equal side may be off by that computes in a precision of its own, relative to the batch's largest."""
LEAST = 10.0
"""A fault shows by this many times what rounding may do."""


@dataclasses.dataclass(frozen=True)
class Sides:
    """One question put to both sides: values, and gradients laid flat."""

    values: tuple[float, float]
    gradients: tuple[Tensor, Tensor]


def rounding(pair: Pair) -> float:
    return ROUNDING[min(pair.inside, key=lambda inside: BITS[inside])]


def asked(pair: Pair) -> Iterator[Sides]:
    """Both sides on random batches: of every scale and where the fault is said to show, plain and under random weights."""
    draws = generator(0, "field", pair.name)
    for scale in SCALES * 2:
        batch = draw_batch(pair, ROWS, draws)
        if pair.step:
            yield _of_step(pair, batch)
            continue
        z = draw_output(pair, ROWS, draws, scale)
        spots = [z] if pair.shows is None else [z, pair.shows(z)]
        for spot in spots:
            yield from _of_objective(pair, spot, batch, draws)


def _of_objective(pair: Pair, z: Tensor, batch: Batch, draws: torch.Generator) -> Iterator[Sides]:
    extras = {name: tensor for name, tensor in batch.items() if name not in ("x", "y")}
    free = [z.clone().requires_grad_() for _ in range(2)]
    given = zip((pair.left, pair.right), free, strict=True)
    left, right = (function(one.clone(), batch["y"].clone(), **extras) for function, one in given)  # type: ignore[misc]
    weights = [torch.tensor(1.0, dtype=torch.float64)]
    if left.ndim and left.shape == right.shape:
        weights.append(torch.rand(left.shape, generator=draws, dtype=torch.float64))
    for weight in weights:
        values = [(side * weight).double().mean() for side in (left, right)]
        slopes = [torch.autograd.grad(v, one, retain_graph=True)[0] for v, one in zip(values, free, strict=True)]
        yield Sides(tuple(v.item() for v in values), tuple(s.flatten() for s in slopes))  # type: ignore[arg-type]


def _of_step(pair: Pair, batch: Batch) -> Sides:
    model = _model(pair)
    values, slopes = [], []
    for function in (pair.left, pair.right):
        loss = function(model, batch)
        found = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True, materialize_grads=True)
        values.append(loss.item())
        slopes.append(torch.cat([slope.flatten() for slope in found]))
    return Sides((values[0], values[1]), (slopes[0], slopes[1]))


def _model(pair: Pair) -> nn.Module:
    assert pair.model is not None
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return pair.model().double()


def gaps(pair: Pair) -> tuple[float, float, float]:
    """(largest gap of a value, largest gap of a gradient, the same under the one factor that fits best), all relative."""
    found = list(asked(pair))
    value = max(abs(two - one) / (1 + abs(one)) for one, two in (sides.values for sides in found))
    ones, twos = [], []
    for one, two in (sides.gradients for sides in found):
        size = one.norm().clamp_min(1e-30)
        ones.append(one / size)
        twos.append(two / size)
    apart = max(float((two - one).norm()) for one, two in zip(ones, twos, strict=True))
    one, two = torch.cat(ones), torch.cat(twos)
    factor = (one @ two) / (one @ one)
    return value, apart, max(float((b - factor * a).norm()) for a, b in zip(ones, twos, strict=True))


def held(pair: Pair) -> str | None:
    """What is wrong with a pair's label; None if it holds."""
    if pair.update:
        apart = _loops(pair)
        return None if (apart < 1e-10) == (pair.kind == "equal") else f"weights are {apart:.1e} apart"
    value, slope, scaled = gaps(pair)
    same, told = rounding(pair), LEAST * rounding(pair)
    said = f"value {value:.1e}, gradient {slope:.1e}, under one factor {scaled:.1e}"
    if not all(gap == gap for gap in (value, slope, scaled)):
        return f"not finite: {said}"
    if pair.kind == "equal":
        fits = slope <= same and (value <= same or "shifted" in pair.relations)
        return None if fits else said
    if pair.relations == ("scaled",):
        return None if scaled <= same and slope > told else said
    parts = "scaled" in pair.relations or scaled > told or value > told  # else it is only a factor
    return None if max(value, slope) > told and parts else said


def _loops(pair: Pair) -> float:
    """How far apart, relative, the two loops' weights are in the end."""
    assert pair.update is not None
    ends = []
    for update in pair.update:
        model = _model(pair)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for batch in draw_batches(pair, pair.steps or 6, 16, generator(0, "loops")):
            assert torch.isfinite(torch.tensor(update(model, optimizer, [batch])))
        ends.append(torch.cat([weight.detach().flatten() for weight in model.parameters()]))
    return float((ends[1] - ends[0]).norm() / ends[0].norm())


@pytest.mark.parametrize("pair", FIELD, ids=lambda pair: pair.name)
def test_a_label_is_true(pair: Pair) -> None:
    assert held(pair) is None
