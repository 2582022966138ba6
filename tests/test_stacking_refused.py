"""What cannot be a row of a stack: each reason is told, and the lanes are then trained one by one."""

import random
from functools import partial

import numpy as np
import pytest
import torch
from objective_cases import binary
from stacking_cases import bce, log1p, played, why
from torch import Tensor, nn
from training_cases import ADAM, SGD, X, Y, compare, lane_recipe, network, recipe

import mlnn
from mlnn.errors import ConfigError
from mlnn.training import LaneRecipe, UnstackableError, make_lockstep, stacked
from mlnn.training.stacking import lockstep as stacked_lockstep
from mlnn.training.stacking import stack


class Subclass(torch.optim.SGD):
    """Its step may do anything."""


def scheduled(weights: object) -> torch.optim.Optimizer:
    made = torch.optim.SGD(weights, lr=0.1)
    made.schedule = torch.optim.lr_scheduler.StepLR(made, 2)
    return made


def hooked(weights: object) -> torch.optim.Optimizer:
    made = torch.optim.SGD(weights, lr=0.1)
    made.register_step_post_hook(lambda *_: None)
    return made


def stepped(weights: object) -> torch.optim.Optimizer:
    weights = list(weights)
    made = torch.optim.Adam(weights, lr=0.1)
    for weight in weights:
        weight.grad = torch.zeros_like(weight)
    made.step()
    return made


OPTIMIZERS = {
    "LBFGS is not one of": torch.optim.LBFGS,
    "Subclass is not one of": partial(Subclass, lr=0.1),
    "SGD has a schedule, hooks or a state": scheduled,
    "SGD has a schedule, hooks": hooked,
    "Adam has a schedule, hooks or a state of its own": stepped,
    "Adam: a leaf Variable": partial(torch.optim.Adam, lr=0.1, differentiable=True),
}


@pytest.mark.parametrize("reason", OPTIMIZERS)
def test_optimizers_that_do_not_step_rows(reason: str) -> None:
    if "leaf" in reason:  # no lane takes it: the step that a stack is held to is left's alone
        with pytest.raises((UnstackableError, ConfigError), match="leaf Variable"):
            played(recipe(24, batch_size=12), lane_recipe(bce, OPTIMIZERS[reason]), lane_recipe(log1p), stacks=True)
        return
    assert reason in why(optimizer=OPTIMIZERS[reason])
    assert reason in why(right=lane_recipe(log1p, OPTIMIZERS[reason]))


def update(model: nn.Module, optimizer: torch.optim.Optimizer, batches: list[tuple[Tensor, Tensor]]) -> Tensor:
    optimizer.zero_grad()
    loss = sum(bce(model(x).squeeze(-1), y) for x, y in batches)
    loss.backward()
    optimizer.step()
    return loss


def other_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return state


LANES = {
    "a step or an update of its own": LaneRecipe(None, SGD, update=update).wrapped(mlnn.data.from_arrays(X, Y)),
    "autocast": lane_recipe(log1p, autocast=torch.bfloat16),
    "a model of its own": lane_recipe(log1p, model=network, mapping=other_names),
    "a compiled model": lane_recipe(log1p, compile=True),
    "different numbers of micro-batches": lane_recipe(log1p, accumulate=2),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own, where it loads its compiler
@pytest.mark.parametrize("reason", LANES)
def test_lanes_that_do_more_than_rows_can(reason: str) -> None:
    told = why(right=LANES[reason])
    assert reason in told
    assert told.startswith("right has") or "different" in reason


def test_kernels_that_are_judged_against_draws_of_rounding() -> None:
    lockstep = make_lockstep(recipe(24, batch_size=12), lane_recipe(bce), lane_recipe(log1p), 1)
    mirrored = lockstep.__class__(lockstep.recipe, lockstep.lanes, lockstep.followers, null_eps=1e-7)
    with pytest.raises(UnstackableError, match="judged against draws"):
        stacked(mirrored)
    stacked(lockstep)


def clipped(weights: list[nn.Parameter]) -> torch.optim.Optimizer:
    for weight in weights:
        weight.register_hook(lambda slope: slope.clamp(-1e-3, 1e-3))
    return torch.optim.SGD(weights, lr=0.1)


def clipped_late(weights: list[nn.Parameter]) -> torch.optim.Optimizer:
    for weight in weights:
        weight.register_post_accumulate_grad_hook(lambda weight: weight.grad.clamp_(-1e-3, 1e-3))
    return torch.optim.SGD(weights, lr=0.1)


def test_weights_with_hooks() -> None:
    for optimizer in (clipped, clipped_late):
        assert "weight '0.weight' has hooks" in why(optimizer=optimizer)


class Kind(nn.Parameter):
    """A weight of a kind of its own."""


def with_odd_weight() -> nn.Module:
    made = network()
    made[0].weight = Kind(made[0].weight.detach())
    return made


class Wraps(nn.Module):
    """A network, and something around it."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.spare = network(), nn.Linear(1, 1, bias=False)
        self.register_buffer("seen", torch.zeros(()))
        self._calls, self.draws, self.table = 0, random.Random(0), torch.zeros(())


class Unused(Wraps):
    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class Replaces(Wraps):
    def forward(self, x: Tensor) -> Tensor:
        self.seen = self.seen + 1
        return self.net(x) * self.seen + self.spare.weight


class Branches(Wraps):
    def forward(self, x: Tensor) -> Tensor:
        output = self.net(x) * self.spare.weight
        return output if output.mean() > 0 else 2 * output


class Hooks(Wraps):
    def forward(self, x: Tensor) -> Tensor:
        output = self.net(x) * self.spare.weight
        if output.requires_grad:
            output.register_hook(lambda slope: slope.clamp(-1e-3, 1e-3))
        return output


class Counts(Wraps):
    def forward(self, x: Tensor) -> Tensor:
        self._calls += self.training
        return self.net(x) * self.spare.weight * 1.1**self._calls


MODELS = {
    "weight '0.weight' has hooks, or is of a kind": with_odd_weight,
    "weights that a batch does not use": Unused,
    "in the place of its buffer 'seen'": Replaces,
    "data-dependent control flow": Branches,
    "a row's gradient is not that of a lane alone": Hooks,
}


@pytest.mark.parametrize("reason", MODELS)
def test_models_that_see_more_than_a_row(reason: str) -> None:
    assert reason in why(model=MODELS[reason])


def test_a_model_that_counts_its_calls_is_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "WORTH", 1)

    class Draws(Wraps):
        def forward(self, x: Tensor) -> Tensor:
            return self.net(x) * self.spare.weight * (1 + 1e-9 * self.draws.random())

    class Keeps(Wraps):
        def forward(self, x: Tensor) -> Tensor:
            self.table.add_(1)
            return self.net(x) * self.spare.weight

    def hooked() -> nn.Module:
        made = network()
        made[0].register_forward_hook(lambda *told: 2 * told[-1])
        return made

    for model, records in ((network, True), (hooked, False), (Counts, False), (Draws, False), (Keeps, False)):
        lockstep = make_lockstep(recipe(24, model, batch_size=12), lane_recipe(bce), lane_recipe(log1p), 1)
        assert all((one.plays is not None) is records for one in stacked(lockstep).stacks.values()), model
    assert "not that of a lane alone" in why(model=Counts)


def test_a_control_that_has_other_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stacked_lockstep, "control_is_left", lambda record: record.step < 2)
    assert why() == "the control, a row beside left's, has other bits"


def test_a_step_that_is_not_that_of_a_lane_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    keep = torch.optim.Adam.step

    def odd(self: torch.optim.Adam) -> object:
        told = keep(self)
        if self.param_groups[0]["params"][0].shape == (8, 4):  # a lane's own, not that of rows
            with torch.no_grad():
                self.param_groups[0]["params"][0].add_(0.1)
        return told

    monkeypatch.setattr(torch.optim.Adam, "step", odd)
    assert why(optimizer=ADAM) == "Adam: a row's step is not that of a lane alone"


def test_inputs_by_name() -> None:
    class Named(Wraps):
        def forward(self, features: Tensor) -> Tensor:
            return self.net(features) * self.spare.weight

    batches = [{"features": X[at : at + 8], "labels": Y[at : at + 8]} for at in range(0, 32, 8)]
    found = compare(bce, log1p, batches, model=Named, batch_size=None, steps=4)
    assert found.run.engine == "plain: the model takes its inputs by name"


class Anneals:
    """A rate that somebody changes from outside."""

    def __init__(self) -> None:
        self.made: list[torch.optim.Optimizer] = []

    def optimizer(self, weights: object) -> torch.optim.Optimizer:
        self.made.append(torch.optim.SGD(weights, lr=0.1))
        return self.made[-1]

    def progress(self, done: int, steps: int) -> None:
        for one in self.made:
            one.param_groups[0]["lr"] = 0.1 * (1 - done / steps)


FALLING_BACK = {
    "SGD: its settings were changed": lambda: {"optimizer": (own := Anneals()).optimizer, "progress": own.progress},
    "LBFGS is not one of torch's elementwise optimisers": lambda: {"optimizer": torch.optim.LBFGS, "batch_size": None},
    "the model puts another tensor in the place": lambda: {"model": Replaces},
}


@pytest.mark.sampled(2)
@pytest.mark.parametrize("reason", FALLING_BACK)
def test_auto_gives_the_plain_run_and_says_why(reason: str) -> None:
    make = FALLING_BACK[reason]
    plain, auto = (compare(bce, log1p, steps=3, engine=engine, **make()) for engine in ("plain", "auto"))
    assert plain.run.engine == "plain"
    assert auto.run.engine.startswith(f"plain: {reason}")
    assert auto.verdict.to_dict() == plain.verdict.to_dict()
    assert all(np.array_equal(auto.trace[name], plain.trace[name], equal_nan=True) for name in plain.trace)
    with pytest.raises(ConfigError, match=f"engine: 'stacked' does not take these lanes: {reason}"):
        compare(bce, log1p, steps=3, engine="stacked", **make())


def test_a_loss_that_nobody_can_answer_is_told_as_ever() -> None:
    def refuses(z: Tensor, y: Tensor) -> Tensor:
        if len(z) == 12:
            raise ValueError("twelve rows")
        return log1p(z, y)

    with pytest.raises(ConfigError, match="twelve rows"):
        compare(bce, refuses, batch_size=12)


def test_engines_are_words() -> None:
    for engine in ("fast", None, 1):
        with pytest.raises(ConfigError, match="engine"):
            compare(bce, log1p, engine=engine)
    assert binary(log1p).name == "log1p"
