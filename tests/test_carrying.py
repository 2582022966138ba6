"""A lane put where another stands: weights, buffers, plain attributes, and what its optimiser keeps; and what cannot be."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from training_cases import ADAM, SGD, lane_recipe, network, recipe, same_bits, with_batch_norm

from mlnn.training import Lane, batches, initial_model
from mlnn.training.carrying import carry, idle, stand

f32, f64 = torch.float32, torch.float64


def lane(
    optimizer: Any = ADAM, model: Callable[[], nn.Module] = network, dtype: torch.dtype = f32, **options: Any
) -> Lane:
    return Lane("lane", lane_recipe(optimizer=optimizer, **options), initial_model(recipe(model=model)), dtype)


def trained(one: Lane, steps: int = 3) -> Lane:
    for batch in batches(recipe(steps=steps)):
        one.update(one.evaluate(batch))
    return one


class Counting(nn.Module):
    """Counts its calls, in a number, a list and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.calls, self.name = nn.Linear(4, 1), 0, "counting"
        self.seen: list[int] = []
        self.register_buffer("total", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.seen.append(len(x))
        self.total += 1
        out: Tensor = self.head(x)
        return out


def test_a_lane_stands_where_its_leader_does_with_all_that_a_module_keeps() -> None:
    for model in (network, with_batch_norm, Counting):
        leader, follower = trained(lane(model=model)), lane(model=model, dtype=f64)
        follower.stopped = "earlier"  # type: ignore[assignment]
        stand(follower, leader)
        assert follower.stopped is None
        mine, theirs = follower.module.state_dict(), leader.module.state_dict()
        assert same_bits([part.float() for part in mine.values()], [part.float() for part in theirs.values()])
    assert (follower.module.calls, follower.module.name, follower.module.seen) == (3, "counting", [])
    assert leader.module.training
    leader.module.eval()
    stand(follower, leader)
    assert follower.module.training, "what every module keeps is not carried"


def test_plain_attributes_go_from_a_part_to_one_of_its_own_kind_alone() -> None:
    leader = trained(lane(model=lambda: nn.Sequential(Counting())))
    other = lane(model=lambda: nn.Sequential(nn.Linear(4, 1)))
    leader.module[0].in_features = 7
    other.wanted = lambda _: {}  # type: ignore[method-assign, assignment]
    other.take_over = lambda _: None  # type: ignore[method-assign]
    stand(other, leader)
    assert other.module[0].in_features == 4
    assert not hasattr(other.module[0], "calls")


def test_a_mapped_lane_takes_over_the_mapped_weights_and_no_attributes() -> None:
    leader = trained(lane(model=Counting))
    follower = lane(model=Counting, mapping=dict)
    stand(follower, leader)
    assert same_bits(follower.weights, leader.weights)
    assert follower.module.calls == 0


def test_an_optimiser_goes_on_from_what_its_leader_kept() -> None:
    """Carried, it takes the leader's next step, in the leader's bits or in another precision; alone, it takes its first."""
    leader = trained(lane())
    same, higher, fresh = (Lane("other", leader.recipe, leader.module, dtype) for dtype in (f32, f64, f32))
    for one in (same, higher):
        stand(one, leader)
        assert carry(one, leader) is None
    (batch,) = batches(recipe(steps=1))
    steps = [one.update(one.evaluate(batch)) for one in (leader, same, higher, fresh)]
    assert torch.equal(steps[0], steps[1])
    assert float((steps[0].double() - steps[2]).norm() / steps[2].norm()) < 1e-6
    assert not torch.allclose(steps[0], steps[3], rtol=1e-5)
    kept, counts = higher.optimizer.state[higher.weights[0]], leader.optimizer.state[leader.weights[0]]
    assert (kept["exp_avg"].dtype, kept["step"].dtype) == (f64, counts["step"].dtype)
    same.optimizer.state[same.weights[0]]["exp_avg"].zero_()
    assert leader.optimizer.state[leader.weights[0]]["exp_avg"].any(), "the leader's own is not shared"


def test_a_state_that_right_has_and_left_has_not_is_named() -> None:
    leader, follower = trained(lane(partial(torch.optim.RMSprop, lr=0.1))), trained(lane())
    assert carry(follower, leader) == "right's optimizer keeps exp_avg, exp_avg_sq, which left's does not"


def test_of_a_leader_that_has_not_stepped_there_is_nothing_to_lack() -> None:
    follower = trained(lane())
    assert carry(follower, lane(SGD)) is None
    assert not any(follower.optimizer.state[weight] for weight in follower.weights)


def test_right_keeps_its_own_state_where_a_leader_has_stepped_and_keeps_none() -> None:
    follower = trained(lane(partial(SGD, momentum=0.9)))
    assert carry(follower, trained(lane(SGD)), started=True) is None
    assert all("momentum_buffer" in follower.optimizer.state[weight] for weight in follower.weights)


def test_of_two_recipes_only_what_right_keeps_is_carried() -> None:
    amsgrad = partial(torch.optim.Adam, lr=1e-2, amsgrad=True)
    leader, follower = trained(lane(amsgrad)), trained(lane())
    assert carry(follower, leader) is None
    mine, theirs = follower.optimizer.state[follower.weights[0]], leader.optimizer.state[leader.weights[0]]
    assert (mine.keys(), theirs.keys() - mine.keys()) == ({"step", "exp_avg", "exp_avg_sq"}, {"max_exp_avg_sq"})
    assert torch.equal(mine["exp_avg"], theirs["exp_avg"])


class Turned(nn.Module):
    """A linear node whose weight lies the other way."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(4, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight


def straight() -> nn.Module:
    return nn.Linear(4, 1, bias=False)


def turned_round(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {"weight": state["weight"].T}


def test_a_mapping_turns_what_an_optimiser_keeps_as_it_turns_the_weights() -> None:
    follower = trained(lane(model=Turned, mapping=turned_round))
    leader = trained(lane(model=straight))
    assert carry(follower, leader) is None
    mine, theirs = follower.optimizer.state[follower.weights[0]], leader.optimizer.state[leader.weights[0]]
    assert torch.equal(mine["exp_avg"], theirs["exp_avg"].T)
    assert float(mine["step"]) == float(theirs["step"]) == 3


@pytest.mark.parametrize("kept", [{"scale": [torch.ones(3), 2.0]}, {"scale": [1.0, 2.0]}])
def test_what_is_neither_of_the_shape_of_the_weights_nor_the_same_for_all_cannot_be_mapped(kept: Any) -> None:
    def biased(state: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"weight": state["weight"], "bias": state["bias"]}

    node = lambda: nn.Linear(4, 1)  # noqa: E731
    follower, leader = lane(model=node, mapping=biased), lane(model=node)
    for one in (follower, leader):
        for weight, value in zip(one.weights, kept["scale"], strict=True):
            one.optimizer.state[weight] = {"scale": value}
    assert (
        carry(follower, leader) == "what left's optimizer keeps has not the shape of its weights, and cannot be mapped"
    )


class Own(torch.optim.SGD):
    """Somebody's own optimiser, which counts its steps."""

    times = 0

    def step(self, closure: Any = None) -> Any:
        self.times += 1
        return super().step(closure)


class Needing(torch.optim.SGD):
    def step(self, _closure: Any = None) -> Any:
        raise RuntimeError("no gradient")


def test_an_optimiser_that_counts_is_stepped_without_gradients_and_torchs_own_is_left_alone() -> None:
    own = trained(lane(partial(Own, lr=0.1)))
    weights = [weight.detach().clone() for weight in own.weights]
    assert idle(own, 4) is None
    assert own.optimizer.times == 7
    assert same_bits(weights, own.weights), "there was no gradient to step by"
    plain = trained(lane())
    assert idle(plain, 4) is None
    assert all(weight.grad is not None for weight in plain.weights)
    assert float(plain.optimizer.state[plain.weights[0]]["step"]) == 3


@pytest.mark.parametrize("what", ["register_step_pre_hook", "register_step_post_hook", "step"])
def test_a_hook_or_a_wrapped_step_counts(what: str) -> None:
    one, seen = trained(lane()), []
    if what == "step":
        step = one.optimizer.step
        one.optimizer.step = lambda *given: (seen.append(1), step(*given))  # type: ignore[assignment]
    else:
        getattr(one.optimizer, what)(lambda *_: seen.append(1))
    assert idle(one, 2) is None
    assert len(seen) == 2


def test_an_optimiser_that_needs_gradients_says_so() -> None:
    assert idle(lane(partial(Needing, lr=0.1)), 1) == "Needing cannot be stepped without gradients (RuntimeError)"


class Tempered(nn.Module):
    """A head and one number that its output is divided by."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.temperature = nn.Linear(4, 1), nn.Parameter(torch.tensor(1.5))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(x) / self.temperature
        return out


def test_what_is_kept_of_a_weight_that_is_a_single_number_is_in_the_lanes_precision_and_a_count_in_its_own() -> None:
    leader = trained(lane(model=Tempered))
    follower = Lane("follower", leader.recipe, initial_model(recipe(model=Tempered)), f64)
    assert carry(follower, leader) is None
    state = follower.optimizer.state[follower.module.temperature]
    assert {name: part.dtype for name, part in state.items()} == {"step": f32, "exp_avg": f64, "exp_avg_sq": f64}
    assert trained(follower).stopped is None
