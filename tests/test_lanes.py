"""Lanes that differ in more than the objective: accumulation, optimisers, another model, autocast, compilation."""

from functools import partial

import pytest
import torch
from torch import Tensor, nn
from training_cases import ADAM, SGD, lane_recipe, recipe, verdict

from mlnn.errors import ConfigError
from mlnn.objectives import bce
from mlnn.training import make_lockstep


class Renamed(nn.Module):
    """`network()` with other names, and its hidden units in another order."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 8), nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.first(x)))


ORDER = torch.tensor([3, 1, 0, 7, 6, 2, 5, 4])


def mapping(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        "first.weight": state["0.weight"][ORDER],
        "first.bias": state["0.bias"][ORDER],
        "last.weight": state["2.weight"][:, ORDER],
        "last.bias": state["2.bias"],
    }


def unpermuted(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return mapping(state) | {"last.weight": state["2.weight"]}


def test_another_implementation_with_a_weight_mapping_is_equal() -> None:
    right = lane_recipe(model=Renamed, mapping=mapping)
    found = verdict(lane_recipe(), right)
    assert found.relation == "equal"
    assert found.first_difference is not None
    assert found.first_difference["parameter"] in ("first.weight", "first.bias", "last.weight", "last.bias")


def test_a_mapping_that_forgets_a_permutation_is_different() -> None:
    assert verdict(lane_recipe(), lane_recipe(model=Renamed, mapping=unpermuted)).relation == "different"


def test_a_mapping_that_does_not_fit_says_so() -> None:
    with pytest.raises(ConfigError, match=r"mapping: left's weights do not fit Renamed"):
        verdict(lane_recipe(), lane_recipe(model=Renamed))


@pytest.mark.sampled(2)
@pytest.mark.parametrize("parts", [2, 3, 5])
def test_accumulation_done_right_is_equal(parts: int) -> None:
    assert verdict(lane_recipe(), lane_recipe(accumulate=parts)).relation == "equal"


def test_accumulation_under_batch_norm_is_different() -> None:
    def model() -> nn.Module:
        return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1))

    assert verdict(lane_recipe(), lane_recipe(accumulate=2), model=model).relation == "different"


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", ["foreach", "fused"])
@pytest.mark.parametrize("optimizer", [SGD, ADAM, partial(SGD, momentum=0.9)], ids=["SGD", "Adam", "momentum"])
def test_another_implementation_of_the_optimizer_is_the_same_training(name: str, optimizer: partial) -> None:  # type: ignore[type-arg]
    plain = lane_recipe(optimizer=partial(optimizer, foreach=False))
    found = verdict(plain, lane_recipe(optimizer=partial(optimizer, **{name: True})))
    assert found.relation in ("bitwise", "equal")


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("left", "right"),
    [
        (ADAM, partial(ADAM, lr=1.001e-2)),
        (ADAM, partial(ADAM, eps=1e-7)),
        (ADAM, partial(ADAM, betas=(0.9, 0.9))),
        (partial(torch.optim.AdamW, weight_decay=0.01), partial(torch.optim.Adam, weight_decay=0.01)),
        (SGD, partial(SGD, momentum=0.5)),
        (partial(SGD, momentum=0.9), partial(SGD, momentum=0.9, nesterov=True)),
        (SGD, ADAM),
    ],
    ids=["lr", "eps", "betas", "decay", "momentum", "nesterov", "class"],
)
def test_an_optimizer_that_steps_differently_is_different(left: partial, right: partial) -> None:  # type: ignore[type-arg]
    found = verdict(lane_recipe(optimizer=left), lane_recipe(optimizer=right))
    assert found.relation == "different"
    assert "optimizers take steps that differ" in found.sentence


def test_a_lower_precision_inside_is_told_from_rounding() -> None:
    found = verdict(lane_recipe(), lane_recipe(autocast=torch.bfloat16))
    assert found.relation == "different"
    assert "more than its rounding explains" in found.sentence


def test_accumulate_must_be_positive() -> None:
    with pytest.raises(ConfigError, match="accumulate: 0"):
        lane_recipe(accumulate=0)


def test_a_mapping_that_leaves_a_weight_out_is_refused() -> None:
    """Right's own weights fit, and left trains one more."""
    one = partial(nn.Linear, 4, 1)
    right = lane_recipe(bce, model=partial(one, bias=False), mapping=lambda state: {"weight": state["weight"]})
    with pytest.raises(ConfigError, match="model: left trains 5 weights in 2 tensors, right 4 in 1"):
        make_lockstep(recipe(model=one), lane_recipe(bce), right)
