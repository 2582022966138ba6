"""Many seeds at once: each as it is alone, one that breaks leaves the others as they were, and why some are trained plain."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from training_cases import ADAM, SGD, X, Y, data, lane_recipe, network, recipe, with_batch_norm, with_dropout

from mlnn.data import from_arrays
from mlnn.errors import ConfigError
from mlnn.models import MLP, Conv, Free, Logistic, Recurrent, ResMLP, ResNet, SigmoidNode, Transformer
from mlnn.objectives import bce_with_logits
from mlnn.objectives import bernoulli_nll_log1p as log1p
from mlnn.training import LaneRecipe, Recipe, Trained, flat, train, train_many
from mlnn.training.stacking import stack

SEEDS = (3, 0, 11)
IMAGES = torch.cat([X, X.flip(0), X.roll(1, 0), X.roll(7, 0)], 1).reshape(96, 1, 4, 4)
ZOO = {
    "node": partial(SigmoidNode, (4,), 1), "logistic": partial(Logistic, (4,), 1), "free": partial(Free, (4,), 1),
    "mlp": partial(MLP, (4,), 1, depth=3, width=8, norm="layer"), "batch_norm": partial(MLP, (4,), 1, width=8, norm="batch"),
    "resmlp": partial(ResMLP, (4,), 1, width=8), "conv": partial(Conv, (1, 4, 4), 1, width=2, hidden=8),
    "resnet": partial(ResNet, (1, 4, 4), 1, width=2), "recurrent": partial(Recurrent, (1, 4, 4), 1, width=8),
    "transformer": partial(Transformer, (1, 4, 4), 1, width=8, heads=2),
}  # fmt: skip
OPTIMIZERS = {
    "sgd": SGD, "momentum": partial(SGD, momentum=0.9, nesterov=True), "adam": ADAM,
    "adamw": partial(torch.optim.AdamW, lr=1e-2, weight_decay=0.1), "rmsprop": partial(torch.optim.RMSprop, lr=1e-3),
    "adamax": partial(torch.optim.Adamax, lr=1e-2),
}  # fmt: skip


@pytest.fixture
def records(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recordings are made from the first step on, however few are to come."""
    monkeypatch.setattr(stack, "WORTH", 0)


def alone(shared: Recipe, lanes: LaneRecipe, seed: int) -> tuple[nn.Module, list[float], object]:
    """The module, losses and stop of one ordinary training run."""
    losses: list[float] = []
    lane = train(replace(shared, seed=seed), lanes, lambda row: losses.append(row["loss"]), threads=1)
    return lane.module, losses, lane.stopped


def assert_as_alone(found: Trained, shared: Recipe, lanes: LaneRecipe, near: float) -> None:
    """Every seed's losses, weights, buffers and stop are those of the run with that seed alone."""
    assert len(found.lanes) == len(found.losses) == len(found.seeds)
    for seed, lane, losses in zip(found.seeds, found.lanes, found.losses, strict=True):
        module, told, stopped = alone(shared, lanes, seed)
        assert lane.stopped == stopped or (lane.stopped is not None and lane.stopped.step == stopped.step)  # type: ignore[attr-defined]
        assert losses.dtype == shared.dtype
        assert losses[: len(told)].tolist() == pytest.approx(told, rel=near, abs=near, nan_ok=True)
        assert losses[len(told) :].isnan().all()
        for name, part in module.state_dict().items():
            torch.testing.assert_close(lane.module.state_dict()[name], part, rtol=near, atol=near, equal_nan=True)


@pytest.mark.sampled(2)
@pytest.mark.usefixtures("records")
@pytest.mark.parametrize("name", ZOO)
def test_every_architecture_trains_as_it_does_alone(name: str) -> None:
    inputs = X if ZOO[name].args[0] == (4,) else IMAGES
    shared = Recipe(from_arrays(inputs, Y), ZOO[name], 5, 48, torch.float64)
    lanes = LaneRecipe(bce_with_logits, ADAM)
    found = train_many(shared, lanes, SEEDS, threads=1)
    assert found.engine == "stacked"
    assert_as_alone(found, shared, lanes, 1e-9)
    ends = [flat(lane.weights) for lane in found.lanes]
    assert not torch.allclose(ends[0], ends[1], rtol=1e-3), "each seed has first weights of its own"


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_elementwise_optimizer_steps_as_it_does_alone(name: str) -> None:
    shared = recipe(rows=80, model=with_batch_norm, steps=8)  # epochs of 32, 32 and 16 rows
    lanes = lane_recipe(optimizer=OPTIMIZERS[name], prior=0.01, accumulate=2)
    found = train_many(shared, lanes, SEEDS, threads=1)
    assert found.engine == "stacked"
    assert_as_alone(found, shared, lanes, 2e-4)


def test_the_full_batch_is_the_same_rows_at_every_step() -> None:
    shared = recipe(batch_size=None, steps=5, dtype=torch.float64)
    found = train_many(shared, lane_recipe(), SEEDS)
    assert found.engine == "stacked"
    assert_as_alone(found, shared, lane_recipe(), 1e-12)


def test_extras_stay_with_their_rows() -> None:
    def weighted(output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        return weight * nn.functional.binary_cross_entropy_with_logits(output, target, reduction="none")

    rows = from_arrays(X, Y, extras={"weight": torch.arange(96).double()})
    shared, lanes = Recipe(rows, network, 6, 32, torch.float64), LaneRecipe(weighted, SGD)
    found = train_many(shared, lanes, SEEDS)
    assert found.engine == "stacked"
    assert_as_alone(found, shared, lanes, 1e-9)


def breaks(output: Tensor, target: Tensor) -> Tensor:
    """Not finite once a raw output has grown beyond 1.2."""
    return nn.functional.binary_cross_entropy_with_logits(output, target) + 0 * (1.2 - output).log().sum()


@pytest.mark.parametrize("optimizer", [SGD, ADAM], ids=["sgd", "adam"])
def test_a_seed_that_breaks_stops_where_it_is_and_leaves_the_others_alone(
    optimizer: Callable[..., torch.optim.Optimizer],
) -> None:
    shared = recipe(model=with_batch_norm, steps=14, dtype=torch.float64)
    lanes = lane_recipe(breaks, optimizer)
    found = train_many(shared, lanes, range(6))
    assert found.engine == "stacked"
    stops = [lane.stopped for lane in found.lanes]
    steps = [None if stop is None else stop.step for stop in stops]
    assert None in steps or len(set(steps)) > 1
    assert any(step is not None for step in steps)
    assert_as_alone(found, shared, lanes, 1e-9)
    first = next(place for place, step in enumerate(steps) if step is not None)
    stop, alone_stop = stops[first], alone(shared, lanes, first)[2]
    assert (stop.what, stop.row, stop.target) == (alone_stop.what, alone_stop.row, alone_stop.target)  # type: ignore[union-attr,attr-defined]


@pytest.mark.parametrize("steps", [1, 5])
def test_weights_that_overflow_stop_a_seed_with_the_weights_it_reached(steps: int) -> None:
    shared = recipe(steps=steps)
    lanes = lane_recipe(lambda z, y: 1e30 * log1p(z, y), partial(torch.optim.SGD, lr=1e12))
    found = train_many(shared, lanes, SEEDS)
    assert found.engine == "stacked"
    assert "weights" in {lane.stopped.what for lane in found.lanes if lane.stopped is not None}
    assert_as_alone(found, shared, lanes, 1e-5)


class Doubling:
    """A loss that is twice as large from some call on."""

    def __init__(self, calls: int) -> None:
        self.left = calls

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        self.left -= 1
        return (1 if self.left > 0 else 2) * nn.functional.binary_cross_entropy_with_logits(output, target)


class Counting(nn.Module):
    """A network that counts its calls in a plain attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.calls = network(), 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.inner(x) * (1 if self.calls < 4 else 2)


@pytest.mark.usefixtures("records")
@pytest.mark.parametrize(
    ("model", "lanes", "reason"),
    [
        (with_dropout, lane_recipe(), "draws random numbers"),
        (network, lane_recipe(optimizer=partial(torch.optim.LBFGS, max_iter=2)), "LBFGS is not one of"),
        (network, lane_recipe(autocast=torch.bfloat16), "has autocast"),
        (network, lane_recipe(lambda z, y: z.detach().sum().item() * (z - y).square()), ""),
    ],
    ids=["dropout", "lbfgs", "autocast", "item"],
)
def test_what_cannot_be_rows_is_trained_one_by_one_and_says_why(
    model: Callable[[], nn.Module], lanes: LaneRecipe, reason: str
) -> None:
    shared = recipe(model=model, steps=5)
    found = train_many(shared, lanes, SEEDS, threads=1)
    assert found.engine.startswith("plain: ")
    assert reason in found.engine
    assert_as_alone(found, shared, lanes, 0.0)


@pytest.mark.usefixtures("records")
def test_a_model_that_counts_its_calls_is_trained_as_it_is_alone() -> None:
    shared = recipe(model=Counting, steps=7, dtype=torch.float64)
    found = train_many(shared, lane_recipe(), SEEDS)
    assert_as_alone(found, shared, lane_recipe(), 1e-9)


@pytest.mark.usefixtures("records")
def test_an_objective_that_changes_is_not_played_from_a_recording() -> None:
    shared = recipe(steps=9)
    found = train_many(shared, lane_recipe(Doubling(12)), SEEDS)
    assert "answers otherwise than when it was recorded" in found.engine


def test_progress_counts_the_steps_of_all_seeds() -> None:
    for model in (network, with_dropout):
        told: list[tuple[int, int]] = []
        train_many(
            recipe(model=model, steps=4), lane_recipe(), SEEDS, lambda done, of, told=told: told.append((done, of))
        )  # type: ignore[misc]
        assert told[-1] == (12, 12)
        assert told == sorted(set(told))


def test_the_outside_is_left_as_it_was() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    train_many(recipe(steps=2), lane_recipe(), [0, 1])
    assert torch.equal(before, torch.get_rng_state())


def test_what_is_refused() -> None:
    with pytest.raises(ConfigError, match="seeds: none is given"):
        train_many(recipe(), lane_recipe(), [])
    with pytest.raises(ConfigError, match="a seed"):
        train_many(recipe(), lane_recipe(), [1.5])  # type: ignore[list-item]
    for seeds in (3, None):
        with pytest.raises(ConfigError, match="several whole numbers are needed"):
            train_many(recipe(), lane_recipe(), seeds)  # type: ignore[arg-type]
    wide = recipe(model=lambda: nn.Linear(4, 3))
    with pytest.raises(ConfigError, match="raw output of shape"):
        train_many(wide, lane_recipe(), [0, 1])
    assert len(data()) == 96
    assert not math.isnan(train_many(recipe(steps=1), lane_recipe(), [7]).losses.item())
