"""How lanes and their first weights are said: objectives and updates, sizes of batches, whole numbers, mappings, ulps."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from training_cases import data, lane_recipe, network, recipe

from mlnn.data import from_arrays
from mlnn.errors import ConfigError
from mlnn.objectives import Objective, Step
from mlnn.training import LaneRecipe, parse_device
from mlnn.training.descent import SGD
from mlnn.training.first import initial_model, mapped, mapped_model, nudged, with_inputs_for
from mlnn.training.step import flat


def update(*_: Any) -> float:
    return 0.0


plain: Any = partial(SGD, lr=0.1)


def test_a_lane_has_an_objective_or_an_update_of_its_own() -> None:
    step = Step(lambda model, batch: model(batch[0]).sum())
    assert [LaneRecipe(*given).rowwise for given in ((torch.sub, plain), (step, plain))] == [True, False]
    own = LaneRecipe(torch.sub, plain, update=update)
    assert not own.rowwise
    assert isinstance(own.wrapped(data(8)).objective, Objective)
    alone = LaneRecipe(None, plain, update=update).wrapped(data(8))
    assert isinstance(alone.objective, Step)
    assert alone.objective.name == "update"
    assert LaneRecipe(step, plain).wrapped(data(8)).objective is step
    for given, words in (
        ({}, "objective: none is given"),
        ({"update": update, "prior": 0.1}, "prior and autocast belong inside it"),
        ({"update": update, "autocast": "bfloat16"}, "prior and autocast belong inside it"),
        ({"update": 3}, "update: "),
        ({"objective": torch.sub, "model": nn.Linear(2, 1)}, "model: a Linear itself"),
        ({"objective": torch.sub, "mapping": 3}, "mapping: "),
        ({"objective": torch.sub, "autocast": "float32"}, "computes in bfloat16 or float16, not in float32"),
    ):
        with pytest.raises(ConfigError, match=words):
            LaneRecipe(optimizer=plain, **given)  # type: ignore[arg-type]
    assert LaneRecipe(torch.sub, plain, autocast="float16").autocast is torch.float16  # type: ignore[arg-type]
    assert LaneRecipe(torch.sub, plain).autocast is None


@pytest.mark.parametrize(("size", "fits"), [(None, True), (1, True), (8, True), (9, False), (0, False)])
def test_a_batch_has_a_row_and_no_more_than_there_are(size: int | None, fits: bool) -> None:
    if fits:
        assert recipe(8, batch_size=size).batch_size == size
    else:
        with pytest.raises(ConfigError, match=f"batch_size: {size} with 8 training rows"):
            recipe(8, batch_size=size)
    with pytest.raises(ConfigError, match="device: 3 is no device"):
        parse_device(3)  # type: ignore[arg-type]
    assert parse_device("cpu") == parse_device(torch.device("cpu")) == torch.device("cpu")


class Table(nn.Module):
    """Takes whole numbers alone, or floats alone, or both."""

    def __init__(self, takes: tuple[bool, ...]) -> None:
        super().__init__()
        self.takes, self.head = takes, nn.Linear(1, 1)

    def forward(self, x: Tensor) -> Tensor:
        if x.is_floating_point() not in self.takes:
            raise TypeError("not these")
        out: Tensor = self.head(x.float())
        return out


@pytest.mark.parametrize(
    ("takes", "whole", "tokens"),
    [((False,), True, True), ((True,), True, False), ((True, False), True, False), ((), True, False),
     ((False,), False, False)],
)  # fmt: skip
def test_whole_numbers_stay_so_where_the_model_refuses_them_as_floats(
    takes: tuple[bool, ...], whole: bool, tokens: bool
) -> None:
    x = torch.arange(8).reshape(8, 1)
    shared = recipe(8, batch_size=8)
    object.__setattr__(shared, "dataset", from_arrays(x if whole else x + 0.5, (x[:, 0] % 2).double()))
    assert with_inputs_for(shared, Table(takes)).tokens is tokens


def test_first_weights_are_the_models_or_mapped_ones_or_an_ulp_away() -> None:
    shared = recipe(8, batch_size=8)
    model = initial_model(shared)
    assert mapped_model(lane_recipe(torch.sub, plain), model, shared) is model
    other = lane_recipe(torch.sub, plain, model=network, mapping=lambda state: {k: -v for k, v in state.items()})
    assert torch.equal(flat([*mapped_model(other, model, shared).parameters()]), -flat([*model.parameters()]))
    state = model.state_dict()
    assert mapped(lane_recipe(torch.sub, plain), state) is state
    twin, here = flat([*nudged(model, 0, "one").parameters()]), flat([*model.parameters()])
    up = torch.nextafter(here, torch.tensor(torch.inf))
    down = torch.nextafter(here, torch.tensor(-torch.inf))
    assert ((twin == up) | (twin == down)).all()
    assert 0.2 < float((twin == up).double().mean()) < 0.8
    with pytest.raises(ConfigError, match="ReLU has no trainable parameters"):
        initial_model(recipe(8, nn.ReLU, batch_size=8))
