"""Lanes in lockstep: same weights, batches and masks for all; what control, twins and followers are."""

import pytest
import torch
from torch import Tensor, nn
from training_cases import ADAM, SGD, X, Y, advance, lane_recipe, network, recipe, with_batch_norm, with_dropout

from mlnn.comparing.gaps import flat, same_bits
from mlnn.objectives import bce, bernoulli_nll_log1p
from mlnn.training import batches, make_lockstep

log1p = bernoulli_nll_log1p


@pytest.mark.parametrize("model", [network, with_dropout, with_batch_norm])
@pytest.mark.parametrize("optimizer", [SGD, ADAM])
def test_the_control_is_left_bit_for_bit_and_right_is_not(model: object, optimizer: object) -> None:
    lanes = advance(recipe(model=model), lane_recipe(bce, optimizer), lane_recipe(log1p, optimizer)).lanes
    assert same_bits(lanes["left"].weights, lanes["control"].weights)
    assert lanes["left"].loss == lanes["control"].loss
    assert not same_bits(lanes["left"].weights, lanes["right"].weights)


class Watched(nn.Module):
    """Keeps what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 1)
        self.drop = nn.Dropout(0.5)
        self.seen: list[Tensor] = []
        self.masks: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.detach().clone())
        dropped = self.drop(torch.ones_like(x))
        self.masks.append(dropped.detach() != 0)
        return self.head(dropped * x)


def test_all_lanes_see_the_same_batches_and_dropout_masks_in_every_precision() -> None:
    lockstep = advance(recipe(model=Watched), lane_recipe(bce), lane_recipe(log1p))
    left, *others = [lane.module for lane in (*lockstep.lanes.values(), *lockstep.followers.values())]
    assert {lane.dtype for lane in lockstep.lanes.values()} == {torch.float32, torch.float64}
    assert len(left.seen) == 6
    for other in others:
        for step in range(-6, 0):
            assert torch.equal(other.seen[step].float(), left.seen[step])
            assert torch.equal(other.masks[step], left.masks[step])
    drawn = torch.stack([mask.double().mean() for mask in left.masks[-6:]])
    assert ((drawn > 0.3) & (drawn < 0.7)).all()
    assert not torch.equal(left.masks[-1], left.masks[-2])


def test_null_twins_start_one_ulp_away_or_read_the_rows_in_another_order() -> None:
    lockstep = make_lockstep(recipe(), lane_recipe(), lane_recipe())
    left, permuted, nudged = (lockstep.lanes[name] for name in ("left", "null_1", "null_2"))
    assert set(lockstep.permuted) == {"null_1", "null_3"}
    assert same_bits(left.weights, permuted.weights)
    for mine, theirs in zip(left.weights, nudged.weights, strict=True):
        steps = mine.detach().view(torch.int32) - theirs.detach().view(torch.int32)
        assert (steps.abs() == 1).all()
    lockstep.evaluate(next(batches(recipe())))
    for twin in (permuted, nudged):
        assert twin.loss == pytest.approx(left.loss, rel=1e-6, abs=0)
        difference = (flat(twin.gradients) - flat(left.gradients)).norm() / flat(left.gradients).norm()
        assert 0 < difference < 1e-5
    assert not set(make_lockstep(recipe(model=with_dropout), lane_recipe(), lane_recipe()).permuted)
    assert not [n for n in make_lockstep(recipe(), lane_recipe(), lane_recipe(), 0).lanes if n.startswith("null")]


@pytest.mark.parametrize("model", [network, with_batch_norm])
def test_followers_stand_at_the_weights_of_the_left_lane_of_their_precision(model: object) -> None:
    shared = recipe(model=model)
    lockstep = make_lockstep(shared, lane_recipe(), lane_recipe(lambda z, y: 3 * log1p(z, y)))
    for batch in batches(shared):
        lockstep.evaluate(batch)
        for dtype, follower in lockstep.followers.items():
            leader = lockstep.leader(dtype)
            assert same_bits(leader.weights, follower.weights)
            assert follower.loss == pytest.approx(3 * leader.loss, rel=1e-6)
            assert torch.equal(leader.output, follower.output)
        if batch.step:
            assert not same_bits(lockstep.lanes["right"].weights, lockstep.followers["float32"].weights)
        lockstep.update()


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (torch.float64, {"float64", "float32"}),
        (torch.float32, {"float32", "float64"}),
        (torch.bfloat16, {"bfloat16", "float32", "float64"}),
    ],
)
def test_every_precision_has_a_left_a_right_and_a_follower(dtype: torch.dtype, expected: set[str]) -> None:
    lockstep = make_lockstep(recipe(dtype=dtype), lane_recipe(), lane_recipe())
    assert set(lockstep.followers) == expected
    starts = {name: flat(lockstep.leader(name).weights) for name in expected}
    assert all(torch.equal(start, starts["float64"]) for start in starts.values())  # rounded to the run's dtype first


def test_the_data_are_in_order() -> None:
    assert X.shape == (96, 4)
    assert 0.3 < float(Y.mean()) < 0.7
