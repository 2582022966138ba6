"""Comparisons of several seeds as rows of the same stacks: each as it is alone, to the bit where that can be, or refused."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import pytest
import torch
from stacking_cases import LABELS, bce, binary, log1p, on
from torch import Tensor, nn
from torch.nn import functional
from training_cases import ADAM, SGD, X, Y, network, with_batch_norm, with_dropout

import mlnn
from mlnn.comparing.plan import Plan, planned
from mlnn.comparing.together import compare_together
from mlnn.comparing.watched import Watched
from mlnn.data import from_arrays
from mlnn.models import MLP, Conv, SigmoidNode, Transformer
from mlnn.objectives import Objective, bce_with_logits, bernoulli_nll_log1p
from mlnn.targets import TargetSpace
from mlnn.training import (
    LaneRecipe,
    Lockstep,
    Recipe,
    UnstackableError,
    known,
    make_lockstep,
    stacked,
    stacked_together,
)
from mlnn.training.stacking import stack
from mlnn.training.step import StepRecord

SEEDS = (3, 0, 11)
MOMENTUM = partial(torch.optim.SGD, lr=0.1, momentum=0.9)
IMAGES = torch.randn(24, 1, 6, 6, generator=torch.Generator().manual_seed(2))
ZOO: dict[str, tuple[Tensor, Callable[[], nn.Module]]] = {
    "node": (X[:24], lambda: SigmoidNode((4,), 1)),
    "mlp": (X[:24], lambda: MLP((4,), 1, depth=3, width=16, activation="tanh")),
    "batch norm": (X[:24], lambda: MLP((4,), 1, depth=2, width=8, norm="batch")),
    "conv": (IMAGES, lambda: Conv((1, 6, 6), 1, width=2, hidden=4)),
    "transformer": (X.reshape(-1, 8, 2)[:24], lambda: Transformer((8, 2), 1, depth=1, width=8, heads=2)),
}


def lanes_of(shared: Recipe, left: LaneRecipe, right: LaneRecipe, twins: int) -> list[Lockstep]:
    return [make_lockstep(replace(shared, seed=seed), left, right, twins) for seed in SEEDS]


def records(locksteps: Sequence[Lockstep], looks: Sequence[int] = ()) -> list[list[StepRecord]]:
    """Of each seed all records, of training them together."""
    return [list(own) for own in zip(*stacked_together(locksteps).together(looks), strict=True)]


def assert_as_alone(
    *given: object, twins: int = 2, looks: Sequence[int] = (0, 3), units: float = 0.0
) -> list[list[StepRecord]]:
    """Together each seed's lanes have the bits that they have alone, or are `units` of rounding away; null twins and right at
    left's weights are there to rounding, and the control is left."""
    alone = [list(stacked(lockstep).steps(looks)) for lockstep in lanes_of(*given, twins)]
    together = records(lanes_of(*given, twins), looks)
    for one, other in zip(alone, together, strict=True):
        assert len(one) == len(other)
        for mine, theirs in zip(one, other, strict=True):
            _same(mine, theirs, units)
    first, second = (own[0].lanes["left"].answer for own in together[:2])
    assert not torch.equal(first.gradient, second.gradient), "seeds have weights or rows of their own"
    return together


def _same(one: StepRecord, other: StepRecord, units: float) -> None:
    assert list(one.lanes) == list(other.lanes)
    for name, lane in one.lanes.items():
        mine, theirs = lane.answer, other.lanes[name].answer
        assert mine.batch.rows.tolist() == theirs.batch.rows.tolist(), name
        allowed = max(units, 64.0) if name.startswith("null") else units
        assert (lane.stop is None) == (other.lanes[name].stop is None)
        if mine.stop is None:
            assert mine.loss == pytest.approx(theirs.loss, rel=allowed * torch.finfo(mine.gradient.dtype).eps, abs=0)
            _near(mine.gradient, theirs.gradient, allowed)
            _near(lane.after, other.lanes[name].after, allowed)
    for dtype, common in one.common.items():
        _near(common.left.gradient, other.common[dtype].left.gradient, units)
        _near(common.right.gradient, other.common[dtype].right.gradient, max(units, 8.0))
    left, control = other.lanes["left"], other.lanes["control"]
    assert torch.equal(left.after, control.after)
    assert (one.predictions is None) == (other.predictions is None)
    for a, b in zip(one.predictions or (), other.predictions or (), strict=True):
        _near(a, b, units)
    assert (one.look is None) == (other.look is None)
    assert (one.rates, one.settings_apart) == (other.rates, other.settings_apart)


def _near(one: Tensor, other: Tensor, units: float) -> None:
    """Entries are those of the other, bit for bit or within units of rounding of the largest."""
    apart, most = (one - other).nan_to_num().abs().max(), one.nan_to_num().abs().max()
    assert float(apart) <= units * torch.finfo(one.dtype).eps * float(most)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("optimizer", [MOMENTUM, ADAM], ids=["momentum", "Adam"])
@pytest.mark.parametrize("name", ZOO)
def test_each_seed_is_trained_as_alone(name: str, optimizer: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "WORTH", 2 if optimizer is ADAM else 12)  # recorded, and not
    x, model = ZOO[name]
    units = 256.0 if name == "batch norm" else 0.0  # torch lays all rows' channels side by side
    assert_as_alone(*on(from_arrays(x, LABELS), model, bce, log1p, optimizer, steps=5, batch_size=10), units=units)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_in_other_precisions(dtype: torch.dtype) -> None:
    assert_as_alone(*on(binary(), network, steps=3, dtype=dtype), twins=1)


def test_micro_batches_a_prior_and_extras() -> None:
    def left(z: Tensor, y: Tensor, weight: Tensor) -> Tensor:
        return bce(z, y, weight=weight)

    def right(z: Tensor, y: Tensor, weight: Tensor) -> Tensor:
        return (weight * log1p(z, y)).mean()

    data = from_arrays(X[:24], LABELS, extras={"weight": torch.rand(24, generator=torch.Generator().manual_seed(5))})
    assert_as_alone(
        *on(data, with_batch_norm, left, right, ADAM, steps=4, batch_size=12, accumulate=3, prior=0.01), units=256.0
    )


def test_two_optimisers_step_each_their_own_side() -> None:
    shared, left, right = on(binary(), network, steps=4)
    together = assert_as_alone(shared, left, replace(right, optimizer=ADAM))
    stride = together[1][1].common["float32"].stride
    assert stride is not None
    assert not torch.equal(stride.left, stride.right)


def test_a_lane_that_stops_leaves_the_others() -> None:
    def naive(z: Tensor, y: Tensor) -> Tensor:
        p = z.sigmoid()
        return -(y * p.log() + (1 - y) * (1 - p).log())

    data = from_arrays(40 * X, (X[:, 0] > 0).double())
    together = assert_as_alone(*on(data, network, bce, naive, partial(SGD, lr=1.0), steps=12, batch_size=32), looks=())
    assert all(len(own) == 12 for own in together)
    assert any(own[-1].lanes["right"].stop is not None for own in together)


class Sometimes(nn.Module):
    """A line that overflows at once with some seeds."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(4, 1)
        with torch.no_grad():
            self.line.weight.mul_(1e38 if torch.rand(()) < 0.5 else 1.0)

    def forward(self, x: Tensor) -> Tensor:
        return self.line(x)


def refused(*given: object) -> str:
    with pytest.raises(UnstackableError) as told:
        records(lanes_of(*given, 1))
    return str(told.value)


def test_a_seed_that_ends_early_is_not_shared() -> None:
    assert "ended before the others" in refused(*on(from_arrays(X, X[:, 0] * 3, "real"), Sometimes, functional.mse_loss,
                                                    lambda z, y: (z - y) ** 2, steps=4))  # fmt: skip


def test_what_draws_is_not_shared() -> None:
    def noisy(z: Tensor, y: Tensor) -> Tensor:
        return log1p(z + 1e-3 * torch.rand(z.shape), y)

    assert "draws random numbers" in refused(*on(binary(), with_dropout))
    assert "draws random numbers" in refused(*on(binary(), network, bce, noisy))
    assert "draws random numbers" in refused(*on(binary(), network, noisy, log1p))


def test_a_row_that_answers_otherwise_than_alone_is_found_in_any_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Seeded(nn.Module):
        """A factor of its own, drawn in Python when it is made: of many seeds the first one's would count for all."""

        def __init__(self) -> None:
            super().__init__()
            self.line, self.factor = nn.Linear(4, 1), float(torch.rand(()))

        def forward(self, x: Tensor) -> Tensor:
            return self.factor * self.line(x)

    assert "not that of a lane alone" in refused(*on(binary(), Seeded))
    monkeypatch.setattr(
        "mlnn.training.stacking.lockstep.control_is_left", lambda record: record.batch.recipe.seed != 11
    )
    assert "the control" in refused(*on(binary(), network))


def plans(
    model: Callable[[], nn.Module], optimizer: object = MOMENTUM, right: object = bernoulli_nll_log1p
) -> list[Plan]:
    shared, *sides = on(from_arrays(X, Y), model, bce_with_logits, right, optimizer, steps=9, batch_size=24)
    first = planned(shared, *sides, 2, Watched(range(9), 1, None, None), 0)
    return [
        replace(first, recipe=replace(shared, seed=seed, dataset=from_arrays(X.roll(seed, 0), Y))) for seed in SEEDS
    ]


@pytest.mark.sampled(4)
@pytest.mark.parametrize("optimizer", [MOMENTUM, ADAM], ids=["momentum", "Adam"])
@pytest.mark.parametrize("name", ["node", "mlp", "batch norm"])
def test_verdict_trace_and_facts_are_those_of_each_comparison_alone(name: str, optimizer: object) -> None:
    model = ZOO[name][1]
    found = compare_together(plans(model, optimizer), 1)
    assert [comparison.run.seed for comparison in found] == list(SEEDS)
    assert len({comparison.trace["loss_left"].tobytes() for comparison in found}) == len(SEEDS)
    for seed, comparison in zip(SEEDS, found, strict=True):
        alone = mlnn.compare(model, bce_with_logits, bernoulli_nll_log1p, (X.roll(seed, 0), Y), optimizer=optimizer, steps=9,
                             batch_size=24, null_twins=2, seed=seed)  # fmt: skip
        assert comparison.run.engine == "stacked"
        assert replace(comparison.run, mle={}) == replace(alone.run, mle={})
        assert comparison.verdict.relation == alone.verdict.relation
        assert comparison.verdict.sentence == alone.verdict.sentence
        assert comparison.trained == alone.trained
        assert comparison.data == alone.data
        assert comparison.trace.keys() == alone.trace.keys()
        for column in ("loss_left", "loss_right", "weight_gap", "prediction_gap"):
            mine, other = comparison.trace[column], alone.trace[column]
            assert mine.tobytes() == other.tobytes() or (
                name == "batch norm" and mine == pytest.approx(other, abs=2e-6)
            ), column
        assert comparison.trace["null_high"] == pytest.approx(alone.trace["null_high"], abs=2e-6)
        assert comparison.trace["gradient_gap"] == pytest.approx(alone.trace["gradient_gap"], abs=2e-7)


def test_objectives_of_ones_own_are_not_shared() -> None:
    calls = []

    def counting(z: Tensor, y: Tensor) -> Tensor:
        calls.append(1)
        return log1p(z, y) * (1 + 1e-4 * len(calls))

    with pytest.raises(UnstackableError, match="of the user's own"):
        compare_together(plans(network, right=counting), 1)


def test_comparisons_of_other_shapes_are_not_shared() -> None:
    shared, left, right = on(binary(), network)
    fewer = replace(shared, dataset=from_arrays(X[:20], LABELS[:20]))
    with pytest.raises(UnstackableError, match="different shapes"):
        stacked_together([make_lockstep(own, left, right, 1) for own in (shared, fewer)])


def test_an_objective_with_some_arguments_given_is_known_for_what_it_is() -> None:
    def made(function: Callable[..., Tensor]) -> bool:
        return known(Objective.of(function, TargetSpace("binary")))

    assert made(partial(bce_with_logits))
    assert made(partial(partial(bce_with_logits)))
    assert made(partial(functional.binary_cross_entropy_with_logits, reduction="none"))
    assert not made(partial(functional.binary_cross_entropy_with_logits, weight=torch.ones(1))), (
        "which others may write into"
    )
    assert not made(partial(log1p))
