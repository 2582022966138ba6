"""Which rows each step sees, and what the seed decides: nothing outside a run moves it, and it moves nothing outside."""

from itertools import chain

import pytest
import torch
from torch import Tensor, nn
from training_cases import SGD, X, Y, lane_recipe, network, recipe, same_bits, with_batch_norm, with_dropout

import mlnn
from mlnn.objectives import bce, bernoulli_nll_log1p
from mlnn.training import Recipe, batches, initial_model, train


def order(shared: Recipe) -> list[list[int]]:
    return [batch.rows.tolist() for batch in batches(shared)]


def epochs(rows: list[list[int]], per_epoch: int) -> list[list[int]]:
    return [list(chain(*rows[start : start + per_epoch])) for start in range(0, len(rows), per_epoch)]


def check_epochs(rows: list[list[int]], per_epoch: int, count: int) -> None:
    """Each epoch shows every row once, and no two epochs in the same order."""
    seen = epochs(rows, per_epoch)
    assert all(sorted(epoch) == list(range(count)) for epoch in seen)
    assert len({tuple(epoch) for epoch in seen}) == len(seen)


@pytest.mark.parametrize(
    ("rows", "batch_size", "sizes"),
    [
        (96, 32, [32, 32, 32]),
        (86, 32, [32, 32, 22]),
        (65, 32, [32, 33]),  # one row alone has no variance: it joins the batch before
        (66, 32, [32, 32, 2]),
        (33, 32, [33]),
        (32, 32, [32]),
        (5, 1, [1, 1, 1, 1, 1]),
        (5, 2, [2, 3]),
    ],
)
def test_every_epoch_is_a_new_permutation(rows: int, batch_size: int, sizes: list[int]) -> None:
    found = order(recipe(rows, steps=3 * len(sizes), batch_size=batch_size))
    assert [len(batch) for batch in found] == 3 * sizes
    check_epochs(found, len(sizes), rows)


def test_the_check_of_the_epochs_fails_on_a_wrong_order() -> None:
    good = order(recipe(steps=6))
    check_epochs(good, 3, 96)
    for bad in (good[:3] * 2, [*good[:5], good[4]], [batch[1:] for batch in good]):
        with pytest.raises(AssertionError):
            check_epochs(bad, 3, 96)


def test_the_full_batch_keeps_the_order_of_the_data() -> None:
    assert order(recipe(steps=2, batch_size=None)) == [list(range(96))] * 2


def test_a_batch_is_a_fresh_contiguous_copy_rounded_to_the_dtype_of_the_run() -> None:
    batch = next(batches(recipe()))
    for dtype in (torch.float32, torch.float64):
        x, y = batch.at(dtype).x, batch.at(dtype).y
        assert (x.dtype, y.dtype) == (dtype, dtype)
        assert x.is_contiguous()
        assert x.data_ptr() != X.data_ptr()
        assert torch.equal(x.double(), X[batch.rows].float().double())
        assert torch.equal(y.double(), Y[batch.rows])
    again = batch.permuted(torch.arange(31, -1, -1))
    assert torch.equal(again.at(torch.float32).x, batch.at(torch.float32).x.flip(0))


@pytest.mark.parametrize("model", [network, with_dropout])
def test_every_seed_counts_and_each_repeats_itself(model: object) -> None:
    def run(seed: int) -> tuple[list[list[int]], list[Tensor], list[Tensor]]:
        shared = recipe(seed=seed, model=model, steps=3)
        return (
            order(shared),
            list(initial_model(shared).parameters()),
            train(shared, lane_recipe(), lambda _: None).weights,
        )

    zero, again, one = run(0), run(0), run(1)
    assert zero[0] == again[0] != one[0]
    for part in (1, 2):
        assert same_bits(zero[part], again[part])
        assert not same_bits(zero[part], one[part])


def test_the_first_weights_depend_on_the_seed_and_on_nothing_else() -> None:
    torch.manual_seed(5)
    first = initial_model(recipe())
    torch.manual_seed(6)
    other = initial_model(recipe(steps=9, batch_size=7, dtype=torch.float32))
    assert same_bits(list(first.parameters()), list(other.parameters()))
    coarse = initial_model(recipe(dtype=torch.bfloat16))
    assert all(torch.equal(a.bfloat16(), b) for a, b in zip(first.parameters(), coarse.parameters(), strict=True))


@pytest.mark.sampled(4)
@pytest.mark.parametrize("model", [network, with_dropout, with_batch_norm])
def test_a_comparison_leaves_the_callers_random_stream_as_it_was_and_does_not_read_it(model: object) -> None:
    losses = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        state = torch.get_rng_state()
        found = mlnn.compare(model, bce, bernoulli_nll_log1p, (X, Y), optimizer=SGD, steps=3, batch_size=32)
        assert torch.equal(torch.get_rng_state(), state)
        losses.append(found.trace["loss_right"].tolist())
    assert losses[0] == losses[1]


def test_training_alone_leaves_the_callers_random_stream_as_it_was() -> None:
    state = torch.get_rng_state()
    train(recipe(model=with_dropout), lane_recipe(), lambda _: None)
    assert torch.equal(torch.get_rng_state(), state)
    nn.Dropout()(torch.ones(3))  # which the check would notice
    assert not torch.equal(torch.get_rng_state(), state)
