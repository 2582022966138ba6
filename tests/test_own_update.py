"""Lanes with an update of their own: clipping, divisors, schedules, scalers, averages, and where state belongs."""

import copy
import math
import threading
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from training_cases import ADAM, SGD, X, Y, network

import mlnn
from mlnn.comparing.verdict import Verdict
from mlnn.errors import ConfigError
from mlnn.testing import assert_same_step
from mlnn.training import Recipe, make_lockstep

_draws = torch.Generator().manual_seed(3)
BATCHES = [(torch.randn(16, 5, generator=_draws), torch.randint(0, 4, (16,), generator=_draws)) for _ in range(5)]
ADAMW = partial(torch.optim.AdamW, lr=1e-2)


def model(drop: float = 0.0) -> nn.Module:
    return nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Dropout(drop), nn.Linear(16, 4))


class Loop:
    """A loop as people write it: warmup, clipping, accumulation, an average of the weights; `how` says what is wrong with it."""

    def __init__(self, **how: Any) -> None:
        self.how, self.schedule, self.average = how, None, None

    def __call__(self, net: nn.Module, optimizer: torch.optim.Optimizer, batches: list[Any]) -> float:
        if self.schedule is None:
            start = self.how.get("start", 1)
            self.schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + start) / 4))
            self.average = copy.deepcopy(net)
        if self.how.get("zero", True):
            optimizer.zero_grad()
        total = 0.0
        for x, y in batches:
            loss = F.cross_entropy(net(x), y) / self.how.get("divisor", len(batches))
            loss.backward()
            if self.how.get("clip") == "micro":
                nn.utils.clip_grad_norm_(net.parameters(), 0.05)
            total += loss.item()
        if self.how.get("clip", "window") == "window":
            nn.utils.clip_grad_norm_(net.parameters(), 0.05)
        if self.how.get("clip") == "value":
            nn.utils.clip_grad_value_(net.parameters(), 0.05)
        optimizer.step()
        self.schedule.step()
        with torch.no_grad():
            for mean, weight in zip(self.average.parameters(), net.parameters(), strict=True):
                mean.lerp_(weight, 0.1)
        return total


def plain(net: nn.Module, optimizer: torch.optim.Optimizer, batches: list[Any]) -> Tensor:
    """A plain window by hand: the same loss in other words."""
    optimizer.zero_grad()
    loss = torch.zeros(())
    for x, y in batches:
        part = -net(x).log_softmax(1).gather(1, y[:, None]).mean() / len(batches)
        part.backward()
        loss = loss + part.detach()
    optimizer.step()
    return loss


def lane(update: Any, optimizer: Any = SGD, accumulate: int = 4) -> mlnn.LaneRecipe:
    return mlnn.LaneRecipe(optimizer=optimizer, update=update, accumulate=accumulate)


def verdict(left: Any, right: Any, net: Any = model, **options: Any) -> Verdict:
    standard = {"optimizer": SGD, "steps": len(BATCHES), "batch_size": None, "null_twins": 0}
    return mlnn.compare(net, left, right, BATCHES, **standard | options).verdict


STEP = mlnn.Step(lambda net, batch: F.cross_entropy(net(batch[0]), batch[1]))


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("left", "right", "relation"),
    [
        (lane(Loop()), lane(Loop()), "bitwise"),
        (lane(plain), lane(partial(plain)), "bitwise"),
        (mlnn.LaneRecipe(STEP, SGD, accumulate=4), lane(plain), "equal"),
        (lane(plain), mlnn.LaneRecipe(STEP, SGD, accumulate=4), "equal"),
        (lane(plain, ADAMW), mlnn.LaneRecipe(STEP, ADAMW, accumulate=4), "equal"),
        (lane(Loop(clip=None), ADAM), lane(Loop(clip=None, divisor=4), ADAM), "bitwise"),
    ],
    ids=[
        "the same loop",
        "the same function",
        "a step and its loop",
        "a loop and its step",
        "AdamW",
        "the same divisor",
    ],
)
def test_loops_that_do_the_same_are_the_same(left: Any, right: Any, relation: str) -> None:
    found = verdict(left, right)
    assert found.relation == relation, found.sentence
    assert found.resolution is not None
    assert found.resolution <= 1e-11
    assert verdict(left, right, net=partial(model, 0.3)).relation in ("bitwise", "equal"), (
        "dropout meets the same masks"
    )


@pytest.mark.sampled(3)
@pytest.mark.parametrize("optimizer", [SGD, ADAMW], ids=["SGD", "AdamW"])
@pytest.mark.parametrize(
    ("how", "relation", "words"),
    [
        ({"clip": "micro"}, "different", "gradients differ by"),
        ({"clip": "value"}, "different", "gradients differ by"),
        (
            {"start": 2},
            "different",
            "gradients agree, but from the same weights, gradient and state the optimizers take steps",
        ),
        ({"zero": False, "clip": None}, "different", "gradients"),
        ({"clip": None, "divisor": 3}, "different", "gradients differ by"),
    ],
    ids=["clip of each micro-batch", "clip by value", "schedule off by one", "never zeroed", "divisor, and no clip"],
)
def test_faults_of_loops_are_found_in_the_gradient_or_in_the_step_alone(
    optimizer: Any, how: dict[str, Any], relation: str, words: str
) -> None:
    found = verdict(lane(Loop(), optimizer), lane(Loop(**how), optimizer))
    assert found.relation == relation, found.sentence
    assert words in found.sentence


@pytest.mark.rest
def test_a_lower_precision_inside_a_loop_is_a_finding() -> None:
    def coarse(net: nn.Module, optimizer: torch.optim.Optimizer, batches: list[Any]) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return plain(net, optimizer, batches)

    found = verdict(lane(plain), lane(coarse))
    assert (found.relation, found.computes_in) == ("indistinguishable", {"right": "bfloat16"}), found.sentence
    assert verdict(lane(coarse), lane(partial(coarse))).relation == "bitwise"


@pytest.mark.rest
def test_groups_may_be_made_by_name() -> None:
    def grouped(model: nn.Module, decay: float) -> torch.optim.Optimizer:
        bias = [weight for name, weight in model.named_parameters() if "bias" in name]
        rest = [weight for name, weight in model.named_parameters() if "bias" not in name]
        return torch.optim.AdamW(
            [{"params": rest, "weight_decay": decay}, {"params": bias, "weight_decay": 0.0}], lr=1e-2
        )

    same, other = partial(grouped, decay=0.1), partial(grouped, decay=0.2)
    assert verdict(lane(plain, same), mlnn.LaneRecipe(STEP, same, accumulate=4)).relation == "equal"
    found = verdict(lane(plain, same), lane(plain, other))
    assert "gradients agree, but" in found.sentence


def test_a_divisor_scales_the_gradient_whatever_the_optimiser_hides() -> None:
    for optimizer in (SGD, ADAM):
        found = verdict(lane(Loop(clip=None), optimizer), lane(Loop(clip=None, divisor=3), optimizer))
        assert found.relation == "scaled", found.sentence
        assert found.scale == pytest.approx(4 / 3)
    late = lane(Loop(clip=None, divisor=3, start=2), SGD)
    assert "agree up to a factor of 1.33333" in verdict(lane(Loop(clip=None)), late).sentence


def test_a_schedule_that_parts_late_is_found_late() -> None:
    class Late:
        def __init__(self, at: int | None) -> None:
            self.at, self.step = at, 0

        def __call__(self, net: nn.Module, optimizer: torch.optim.Optimizer, batches: list[Any]) -> Tensor:
            optimizer.param_groups[0]["lr"] = 0.05 if self.step == self.at else 0.1
            self.step += 1
            return plain(net, optimizer, batches)

    long = BATCHES * 8
    standard = {"optimizer": SGD, "steps": len(long), "batch_size": None, "null_twins": 0}
    found = mlnn.compare(model, lane(Late(None), SGD, 1), lane(Late(36), SGD, 1), long, **standard).verdict
    assert found.relation == "different"
    assert "step 36" in found.sentence
    assert "gradients agree" in found.sentence


class Scaled:
    """Loss scaling, which leaves the gradient that is stepped with as it was."""

    def __init__(self) -> None:
        self.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)

    def __call__(self, net: nn.Module, optimizer: torch.optim.Optimizer, batches: list[Any]) -> float:
        optimizer.zero_grad()
        total = 0.0
        for x, y in batches:
            loss = F.cross_entropy(net(x), y) / len(batches)
            self.scaler.scale(loss).backward()
            total += loss.item()
        self.scaler.step(optimizer)
        self.scaler.update()
        return total


@pytest.mark.rest
def test_a_scaler_is_no_difference_and_a_step_for_each_micro_batch_is() -> None:
    assert verdict(lane(plain), lane(Scaled())).relation == "equal"

    def impatient(net: nn.Module, optimizer: torch.optim.Optimizer, batches: list[Any]) -> float:
        return sum(float(plain(net, optimizer, [one])) for one in batches) / len(batches)

    assert verdict(lane(plain), lane(impatient)).relation == "different"


def test_an_optimiser_that_is_given_a_closure_has_the_gradient_of_its_first_call() -> None:
    def search(net: nn.Module, optimizer: torch.optim.Optimizer, batches: list[Any], twice: float = 1.0) -> Tensor:
        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = twice * torch.stack([F.cross_entropy(net(x), y) for x, y in batches]).mean()
            loss.backward()
            return loss

        return optimizer.step(closure)

    lbfgs = partial(torch.optim.LBFGS, lr=0.1, max_iter=3)
    found = verdict(lane(search, lbfgs), lane(partial(search), lbfgs))
    assert found.relation == "bitwise"
    assert found.evidence["steps_judged"] == len(BATCHES)
    assert verdict(lane(search, lbfgs), lane(partial(search, twice=2.0), lbfgs), steps=2).scale == pytest.approx(2)


def test_state_in_a_closure_is_said_to_be_shared() -> None:
    calls = [0]

    def counting(net: nn.Module, optimizer: torch.optim.Optimizer, batches: list[Any]) -> Tensor:
        calls[0] += 1
        optimizer.param_groups[0]["lr"] = 0.1 / calls[0]
        return plain(net, optimizer, batches)

    found = verdict(lane(counting), lane(counting))
    assert found.relation == "undecided"
    assert "closure shares it between lanes: keep it in an object" in found.sentence

    def growing(net: nn.Module, optimizer: torch.optim.Optimizer, batches: list[Any]) -> float:
        calls[0] += 1
        return float(plain(net, optimizer, batches)) * calls[0]

    found = verdict(lane(plain), lane(growing))
    assert found.relation == "undecided"
    assert "belongs in an object" in found.sentence


def test_the_callers_own_object_and_the_first_weights_are_left_alone() -> None:
    loop = Loop()
    recipe = Recipe(mlnn.data.from_steps(BATCHES, 3), model, 3, None)
    left = lane(loop).wrapped(recipe.dataset)
    lockstep = make_lockstep(recipe, left, left, 0)
    assert loop.schedule is None
    objects = [one.own.update for one in lockstep.lanes.values() if one.own is not None]
    assert len({id(one) for one in objects}) == len(lockstep.lanes)
    records = list(lockstep.steps())
    assert [record.lanes["left"].answer.loss > 0 for record in records] == [True] * 3
    assert torch.equal(records[1].lanes["left"].before, records[0].lanes["left"].after)
    assert not torch.equal(records[0].lanes["left"].before, records[0].lanes["left"].after)
    schedules = [one.own.update.schedule for one in lockstep.lanes.values() if one.own is not None]
    assert {schedule.last_epoch for schedule in schedules} == {3}, (
        "taken back and kept: one step of the schedule a step"
    )
    follower = lockstep.followers["float64"]
    assert follower.own is not None
    assert follower.own.update.schedule.last_epoch == 3


def test_a_gradient_is_what_stands_there_when_the_optimiser_steps() -> None:
    recipe = Recipe(mlnn.data.from_steps(BATCHES, 2), model, 2, None)
    clipped = make_lockstep(recipe, *[lane(Loop()).wrapped(recipe.dataset)] * 2, 0)
    norms = [float(record.lanes["left"].answer.gradient.norm()) for record in clipped.steps()]
    assert norms == [pytest.approx(0.05, rel=1e-4)] * 2

    def never(net: nn.Module, _optimizer: torch.optim.Optimizer, batches: list[Any]) -> float:
        F.cross_entropy(net(batches[0][0]), batches[0][1]).backward()
        return 1.0

    found = verdict(lane(never), lane(never))
    assert found.relation == "undecided"
    assert "never moved" in found.sentence


def test_a_loop_that_breaks_alone_is_broken() -> None:
    class Breaking:
        def __init__(self) -> None:
            self.step = 0

        def __call__(self, net: nn.Module, optimizer: torch.optim.Optimizer, batches: list[Any]) -> float:
            self.step += 1
            return float(plain(net, optimizer, batches)) + (math.nan if self.step == 4 else 0.0)

    found = verdict(lane(plain), lane(Breaking()))
    assert found.relation == "broken"
    assert "step 3" in found.sentence


def test_on_a_data_set_a_micro_batch_is_a_pair_and_the_gate_takes_lanes() -> None:
    def update(net: nn.Module, optimizer: torch.optim.Optimizer, batches: list[Any]) -> Tensor:
        (batch,) = batches
        optimizer.zero_grad()
        loss = F.binary_cross_entropy_with_logits(net(batch[0])[:, 0], batch[1])
        loss.backward()
        optimizer.step()
        return loss

    own = mlnn.LaneRecipe(optimizer=SGD, update=update)
    found = mlnn.compare(network, nn.BCEWithLogitsLoss(), own, (X, Y), optimizer=SGD, steps=6, batch_size=32)
    assert found.verdict.relation == "bitwise"
    assert found.run.right == "update"
    assert assert_same_step(model, lane(Loop()), lane(Loop()), BATCHES).relation == "bitwise"
    with pytest.raises(AssertionError, match="gradients agree, but"):
        assert_same_step(model, lane(Loop()), lane(Loop(start=2)), BATCHES)


class Locked(Loop):
    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lane(3), "update: 3 cannot be called"),
        (lambda: mlnn.LaneRecipe(optimizer=SGD), "objective: none is given"),
        (lambda: mlnn.LaneRecipe(STEP), "optimizer: None cannot be called"),
        (lambda: mlnn.LaneRecipe(optimizer=SGD, update=plain, prior=0.1), "prior and autocast belong inside it"),
        (lambda: mlnn.LaneRecipe(optimizer=SGD, update=plain, autocast=torch.bfloat16), "belong inside it"),
        (lambda: verdict(lane(plain), lane(lambda *_: None)), "returned NoneType; the loss of the step is needed"),
        (lambda: verdict(lane(plain), lane(lambda *_: torch.ones(2))), "the loss of the step is needed"),
        (lambda: verdict(lane(plain), lane(lambda _one, _two: 1.0)), "update raised TypeError"),
        (lambda: verdict(lane(plain), lane(Locked())), "each lane needs one of its own.*keep files, locks"),
    ],
)
def test_what_is_no_update_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        make()
    assert len(str(caught.value).splitlines()) <= 3
