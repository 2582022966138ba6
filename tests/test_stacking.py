"""Lanes as rows of one computation: the records of lanes alone, and, part by part, what rows are made of and who is refused."""

import math
import random
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import vmap
from training_cases import ADAM, SGD, lane_recipe, network, recipe, with_batch_norm, with_dropout

from mlnn.objectives import bce, bernoulli_nll_log1p
from mlnn.training import Lane, Lockstep, StepRecord, UnstackableError, initial_model, make_lockstep, stacked
from mlnn.training.batches import Rows
from mlnn.training.stacking.checking import near
from mlnn.training.stacking.linear import RowsOfLinear
from mlnn.training.stacking.optimizer import RowsOptimizer, check_optimizer
from mlnn.training.stacking.recurrent import WrittenOut, written_out
from mlnn.training.stacking.replay import recorded
from mlnn.training.stacking.stack import _parts

f64 = torch.float64


def made(left: Any = None, right: Any = None, null_twins: int = 2, **options: Any) -> Lockstep:
    return make_lockstep(
        recipe(**options), left or lane_recipe(bce), right or lane_recipe(bernoulli_nll_log1p), null_twins
    )


def grouped(model: nn.Module, kind: Any) -> torch.optim.Optimizer:
    parts = list(model.parameters())
    return kind(
        [{"params": [parts[0], parts[3]], "lr": 0.3}, {"params": [parts[1], parts[2]], "weight_decay": 0.1}], lr=0.05
    )


def by_group(model: nn.Module) -> torch.optim.Optimizer:
    return grouped(model, torch.optim.Adam)


# The records are those of lanes alone.
def close(one: Tensor, two: Tensor) -> bool:
    eps = torch.finfo(one.dtype).eps
    return bool((one - two).double().norm() <= 300 * eps * (1 + two.double().norm()))


def same_step(one: StepRecord, two: StepRecord) -> None:
    """Everything that a record holds, up to rounding; where lanes stand, and which have stopped, exactly."""
    assert one.lanes.keys() == two.lanes.keys()
    assert one.common.keys() == two.common.keys()
    assert (one.asked, one.settings_apart, one.rates) == (two.asked, two.settings_apart, two.rates)
    for name, lane in one.lanes.items():
        other = two.lanes[name]
        assert (one.ran(name), lane.alive) == (two.ran(name), other.alive)
        if not lane.alive and lane.stop is not None and other.stop is not None:
            assert (lane.stop.step, lane.stop.what, lane.stop.row) == (other.stop.step, other.stop.what, other.stop.row)
        if lane.alive:
            assert close(lane.after, other.after)
            assert close(lane.before, other.before)
            assert close(lane.answer.gradient, other.answer.gradient)
            assert lane.answer.loss == pytest.approx(other.answer.loss, rel=1e-4)
    for dtype, common in one.common.items():
        other_common = two.common[dtype]
        assert (common.stride is None) == (other_common.stride is None)
        assert (common.right.stop is None) == (other_common.right.stop is None)
        if common.right.stop is None:
            assert close(common.right.gradient, other_common.right.gradient)
        if common.stride is not None and other_common.stride is not None:
            assert close(common.stride.right, other_common.stride.right)
    assert (one.predictions is None) == (two.predictions is None)
    if one.predictions is not None and two.predictions is not None:
        assert all(close(*pair) for pair in zip(one.predictions, two.predictions, strict=True))


def both(looks: Any = (0, 3), asked: Any = None, **options: Any) -> list[StepRecord]:
    """The records of lanes alone, which those of rows are held to."""
    alone, rows = list(made(**options).steps(looks, asked)), list(stacked(made(**options)).steps(looks, asked))
    for one, two in zip(rows, alone, strict=True):
        same_step(one, two)
        assert (one.look is None) == (two.look is None)
    return rows


def partly_frozen() -> nn.Module:
    model = network()
    model[0].weight.requires_grad_(requires_grad=False)
    return model


@pytest.mark.parametrize("model", [network, with_dropout, with_batch_norm, partly_frozen])
def test_rows_leave_the_records_of_lanes_alone(model: Callable[[], nn.Module]) -> None:
    records = both(model=model)
    assert all(torch.equal(r.lanes["control"].after, r.lanes["left"].after) for r in records)


def test_rows_in_another_order_micro_batches_and_a_short_last_batch() -> None:
    both(batch_size=40, null_twins=3, left=lane_recipe(bce, accumulate=3), right=lane_recipe(bce, accumulate=3))


@pytest.mark.parametrize(("left", "right"), [
    (lane_recipe(bce, ADAM), lane_recipe(bernoulli_nll_log1p, ADAM)),
    (lane_recipe(bce, ADAM), lane_recipe(bernoulli_nll_log1p, SGD)),
    (lane_recipe(bce, SGD), lane_recipe(bce, partial(torch.optim.SGD, lr=0.2))),
    (lane_recipe(bce, prior=0.1), lane_recipe(bce, prior=0.1)),
    (lane_recipe(bce, prior=0.1), lane_recipe(bce)),
    (lane_recipe(bce, by_group), lane_recipe(bernoulli_nll_log1p, by_group)),
])  # fmt: skip
def test_optimisers_of_one_kind_or_two(left: Any, right: Any) -> None:
    both(left=left, right=right)


def test_right_is_asked_at_some_steps_only() -> None:
    assert [bool(record.common) for record in both(asked=[0, 4])] == [True, False, False, False, True, False]


def flat_start() -> nn.Module:
    """A logistic regression whose raw outputs spread from 0."""
    model = nn.Linear(4, 1)
    for weight in model.parameters():
        nn.init.zeros_(weight)
    return model


def poisoned(what: str) -> Any:
    """The NLL; NaN in the value, or in the gradient alone, of a row whose raw output is far out."""

    def loss(z: Tensor, y: Tensor) -> Tensor:
        value, far = bernoulli_nll_log1p(z, y), z.detach() < -0.15
        if what == "loss":
            return torch.where(far, math.nan, value)
        return value + 0 * torch.where(far, z - z.detach(), 1.0).abs().sqrt()

    return loss


@pytest.mark.sampled(2)
@pytest.mark.parametrize("what", ["loss", "gradient"])
@pytest.mark.parametrize("side", ["left", "right", "both"])
def test_a_row_that_goes_non_finite_stops_where_a_lane_alone_does_and_the_others_go_on(what: str, side: str) -> None:
    bad = lane_recipe(poisoned(what))
    sides = {name: bad for name in ("left", "right") if side in (name, "both")}
    records = both(model=flat_start, batch_size=None, steps=8, **sides)
    stops = [(name, lane.stop.step) for name, lane in records[-1].lanes.items() if lane.stop is not None]
    assert stops
    assert all(0 < step < 7 for _, step in stops)
    assert (len(records) < 8) == (side == "both"), "nobody goes on where both have stopped"
    assert any(lane.alive for lane in records[-1].lanes.values()) == (side != "both")


class Blowing(nn.Module):
    """A node of steep outputs: one step takes its weights out of float32, not out of float64."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 1)
        nn.init.ones_(self.head.weight)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = 1000 * self.head(x)
        return out


def test_weights_that_overflow_stop_their_row_after_the_step() -> None:
    huge = partial(torch.optim.SGD, lr=3e38)
    records = both(model=Blowing, left=lane_recipe(optimizer=huge), right=lane_recipe(optimizer=huge), steps=3)
    stops = {name: lane.stop.what for name, lane in records[0].lanes.items() if lane.stop is not None}
    assert stops["left"] == stops["right"] == stops["control"] == "weights"
    assert records[0].lanes["left_float64"].alive


# Who is refused, and why.
class OwnWeight(nn.Parameter):
    """A weight of a kind of its own."""


def of_its_own_kind() -> nn.Module:
    model = network()
    model[0].weight = OwnWeight(model[0].weight.data)
    return model


def with_an_idle_weight() -> nn.Module:
    model = network()
    model.register_parameter("idle", nn.Parameter(torch.zeros(3)))
    return model


@pytest.mark.parametrize(("sides", "options", "words"), [
    ({"right": lane_recipe(bce, autocast=torch.bfloat16)}, {}, "right has autocast"),
    ({"right": lane_recipe(bce, model=network)}, {}, "right has a model of its own"),
    ({"right": lane_recipe(bce, mapping=dict)}, {}, "right has a model of its own"),
    ({"left": lane_recipe(bce, accumulate=2)}, {}, "the two sides cut a batch into different numbers"),
    ({"left": lane_recipe(bce, torch.optim.LBFGS)}, {}, "LBFGS is not one of torch's elementwise optimisers"),
    ({}, {"model": of_its_own_kind}, "weight '0.weight' has hooks, or is of a kind of its own"),
])  # fmt: skip
def test_lanes_that_are_no_rows_are_refused_with_the_reason(sides: Any, options: Any, words: str) -> None:
    with pytest.raises(UnstackableError, match=words):
        stacked(made(**sides, **options))
    stacked(made())


def test_a_weight_that_a_batch_does_not_use_is_refused_at_the_first_step() -> None:
    with pytest.raises(UnstackableError, match="weights that a batch does not use"):
        next(stacked(made(model=with_an_idle_weight)).steps())


def hooked(optimizer: torch.optim.Optimizer) -> None:
    optimizer.register_step_post_hook(lambda *_: None)


def wrapped(optimizer: torch.optim.Optimizer) -> None:
    optimizer.step = lambda *_: None  # type: ignore[assignment]


def started(optimizer: torch.optim.Optimizer) -> None:
    optimizer.state[optimizer.param_groups[0]["params"][0]] = {"step": torch.tensor(1.0)}


@pytest.mark.parametrize("change", [hooked, wrapped, started])
def test_an_optimiser_with_something_of_its_own_is_refused(change: Callable[[torch.optim.Optimizer], None]) -> None:
    lane = Lane("lane", lane_recipe(bce, SGD), initial_model(recipe()), torch.float32)
    check_optimizer(lane)
    change(lane.optimizer)
    with pytest.raises(UnstackableError, match="SGD has a schedule, hooks or a state of its own"):
        check_optimizer(lane)


# An optimiser for rows.
@pytest.mark.parametrize("kind", [
    torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.Adamax, torch.optim.NAdam, torch.optim.RAdam,
    torch.optim.RMSprop, torch.optim.Adadelta, torch.optim.ASGD,
    partial(torch.optim.Adam, foreach=True), partial(torch.optim.Adam, fused=True), partial(torch.optim.SGD, momentum=0.9),
    partial(torch.optim.Adam, differentiable=False, maximize=True),
])  # fmt: skip
def test_rows_are_stepped_as_each_lane_would_be_group_by_group(kind: Any) -> None:
    def factory(model: nn.Module) -> torch.optim.Optimizer:
        return grouped(model, kind)

    start = initial_model(recipe())
    lanes = [Lane(f"{k}", lane_recipe(bce, factory), start, torch.float32) for k in range(3)]
    rows = torch.stack([torch.cat([w.detach().flatten() for w in lane.weights]) for lane in lanes])
    optimizer = RowsOptimizer(lanes[0], {"float32": slice(0, 2)})
    draws, untouched = torch.Generator().manual_seed(0), rows[2].clone()
    for _ in range(3):
        slopes = torch.randn(rows.shape, generator=draws)
        optimizer.step({"float32": rows}, {"float32": slopes})
        for lane, slope in zip(lanes[:2], slopes, strict=False):
            for weight, part in zip(lane.weights, slope.split([w.numel() for w in lane.weights]), strict=True):
                weight.grad = part.view_as(weight)
            lane.optimizer.step()
    for lane, row in zip(lanes[:2], rows, strict=False):
        assert torch.allclose(torch.cat([w.detach().flatten() for w in lane.weights]), row, rtol=1e-5, atol=1e-6)
    assert torch.equal(rows[2], untouched)


def test_torchs_one_kernel_is_taken_where_the_choice_is_left_to_it() -> None:
    def fused(**settings: Any) -> Any:
        lane = Lane(
            "lane", lane_recipe(bce, partial(torch.optim.Adam, **settings)), initial_model(recipe()), torch.float32
        )
        rows = RowsOptimizer(lane, {"float32": slice(None)})
        rows.step({"float32": torch.zeros(1, 64)}, {"float32": torch.zeros(1, 64)})
        return rows.optimizer.param_groups[0]["fused"]

    assert fused() is True, "the columns of a row have no gaps"
    assert fused(fused=False) is False
    assert not fused(foreach=True)
    assert not fused(differentiable=True)


def columns(groups: Callable[[list[nn.Parameter]], list[list[nn.Parameter]]]) -> Any:
    def factory(model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.SGD([{"params": group} for group in groups(list(model.parameters()))], lr=0.1)

    lane = Lane("lane", lane_recipe(bce, factory), initial_model(recipe()), torch.float32)
    return RowsOptimizer(lane, {"float32": slice(None)}).columns


def test_weights_of_a_group_that_are_neighbours_are_one_piece() -> None:
    assert columns(lambda w: [w]) == [[slice(None)]]
    assert columns(lambda w: [w[:3]]) == [[slice(0, 48)]], "of all 49 one is not stepped"
    assert columns(lambda w: [w[2:], w[:2]]) == [[slice(40, 49)], [slice(0, 40)]]
    assert columns(lambda w: [[w[3], w[0]], [w[2], w[1]]]) == [[slice(0, 32), slice(48, 49)], [slice(32, 48)]]


# A linear layer for rows.
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("shape", [(5, 3), (2, 5, 3)])
def test_a_linear_layer_of_rows_is_that_of_each_row(bias: bool, shared: bool, shape: tuple[int, ...]) -> None:
    draws = torch.Generator().manual_seed(0)
    x = torch.randn(4, *shape, generator=draws, dtype=f64, requires_grad=True)
    weight, more = (torch.randn(4, *s, generator=draws, dtype=f64, requires_grad=True) for s in ((2, 3), (2,)))

    def one(part: Tensor, w: Tensor, b: Tensor) -> Tensor:
        return nn.functional.linear(part, w, b if bias else None)

    with RowsOfLinear():
        out = vmap(one, in_dims=(None if shared else 0, 0, 0))(x[0] if shared else x, weight, more)
    wanted = torch.stack([one(x[0] if shared else x[k], weight[k], more[k]) for k in range(4)])
    torch.testing.assert_close(out, wanted)
    parts = [x, weight, *([more] if bias else [])]
    slope = torch.randn(wanted.shape, generator=draws, dtype=f64)
    for mine, theirs in zip(
        torch.autograd.grad(out, parts, slope), torch.autograd.grad(wanted, parts, slope), strict=True
    ):
        torch.testing.assert_close(mine, theirs)


def test_a_linear_layer_that_is_no_batched_product_stays_torchs_own() -> None:
    calls = []

    class Counted(RowsOfLinear):
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            calls.append(function)
            return super().__torch_function__(function, types, args, kwargs)

    weight, x = torch.ones(4, 2, 3), torch.ones(4, 3)
    with Counted():
        out = vmap(nn.functional.linear)(x, weight)
        assert vmap(torch.relu)(x).shape == (4, 3)
    assert torch.equal(out, torch.full((4, 2), 3.0))
    assert nn.functional.linear in calls


# Recurrent layers, written out.
@pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM, nn.RNN, partial(nn.RNN, nonlinearity="relu")])
@pytest.mark.parametrize("options", [{}, {"num_layers": 2}, {"batch_first": True}, {"bias": False}])
@pytest.mark.parametrize("given", [False, True])
def test_a_recurrent_layer_written_out_is_torchs(kind: Any, options: Any, given: bool) -> None:
    torch.manual_seed(0)
    layer = kind(3, 5, **options).double()
    x = torch.randn(4, 6, 3, dtype=f64)
    n = 4 if options.get("batch_first") else 6
    state = torch.randn(options.get("num_layers", 1), n, 5, dtype=f64)
    start = ((state, -state) if isinstance(layer, nn.LSTM) else state) if given else None
    wanted, last = layer(x, start)
    made_of = written_out(layer)
    assert isinstance(made_of, WrittenOut)
    assert [name for name, _ in made_of.named_parameters()] == [name for name, _ in layer.named_parameters()]
    found, ends = made_of(x, start)
    torch.testing.assert_close(found, wanted)
    assert isinstance(ends, tuple) == isinstance(last, tuple)
    torch.testing.assert_close(ends, last)


def test_parts_that_are_recurrent_are_replaced_where_they_are_plain() -> None:
    class Deep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.ModuleList([nn.LSTM(3, 2), nn.Linear(2, 2), nn.LSTM(2, 2, bidirectional=True)])
            self.more = nn.GRU(2, 2, num_layers=2, dropout=0.5)
            self.projected = nn.LSTM(2, 3, proj_size=2)

    deep = written_out(Deep())
    kinds = [type(part) for part in (*deep.inner, deep.more, deep.projected)]
    assert kinds == [WrittenOut, nn.Linear, nn.LSTM, nn.GRU, nn.LSTM]
    assert isinstance(written_out(nn.Linear(2, 2)), nn.Linear)


# Recordings.
def test_a_recording_gives_the_bits_of_what_was_recorded() -> None:
    def function(parts: Any) -> list[Tensor]:
        x, y, counts = parts
        counts += 1
        wide = x.expand(3, 2, 4).reshape(6, 4)
        drawn = torch.nn.functional.dropout(x, 0.5)
        kept = x.detach().view(2, 4) @ y.T
        pieces = torch.cat([wide.sum(0), *kept.unbind(1)])
        return [
            pieces,
            drawn + torch.full_like(x, 2.0).clamp(max=1.5),
            x.softmax(1).argmax(1),
            torch.where(x > 0, x, y[:2]),
        ]

    draws = torch.Generator().manual_seed(0)
    inputs = [torch.randn(2, 4, generator=draws), torch.randn(3, 4, generator=draws), torch.zeros(1)]
    recording = recorded(function, inputs)
    play = recording.play
    assert recording.draws
    assert float(inputs[2]) == 0.0, "a recording is made of copies"
    for scale in (1.0, -2.0):
        given = [scale * inputs[0], inputs[1] + scale, torch.zeros(1)]
        other = [part.clone() for part in given]
        torch.manual_seed(1)
        wanted = function(other)
        torch.manual_seed(1)
        found = play(given)
        assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))
        assert float(given[2]) == 1.0, "what a function changes in place is changed"
        assert not any(
            part.requires_grad for part in play([part.requires_grad_() for part in given[:2]] + [torch.zeros(1)])
        )


def test_what_is_the_same_at_every_call_stays_so_when_it_is_written_into() -> None:
    def function(parts: Any) -> list[Tensor]:
        (x,) = parts
        summed, ones, fresh = torch.zeros_like(x), torch.ones_like(x), torch.zeros(2, 3)
        summed += x
        fresh.view(6)[:2].add_(x[0, :2])
        return [summed, fresh, ones * 2 + x.permute(0, 1), ones, torch.arange(3) * 2.0 - x]

    recording = recorded(function, [torch.ones(2, 3)])
    assert not recording.draws
    for scale in (1.0, 2.0, 3.0):
        given = scale * torch.arange(6.0).view(2, 3)
        first = recording.play([given])
        assert all(torch.equal(a, b) for a, b in zip(first, function([given]), strict=True))
        first[3].zero_()


def test_what_a_recording_raises_is_raised() -> None:
    def failing(_parts: Any) -> list[Tensor]:
        raise ValueError("of somebody's own")

    with pytest.raises(ValueError, match="of somebody's own"):
        recorded(failing, [torch.zeros(1)])


# How near two ways to a gradient are.
@pytest.mark.parametrize(("dtype", "least", "most"), [(torch.float32, 1e-4, 1e-3), (f64, 1e-9, 1e-7)])
def test_two_ways_to_a_gradient_may_differ_by_rounding_alone(dtype: torch.dtype, least: float, most: float) -> None:
    slope = torch.linspace(-3, 5, 9, dtype=dtype)
    assert near(slope, slope)
    assert near(slope, slope * (1 + least))
    assert not near(slope, slope * (1 + most))
    assert not near(slope, torch.zeros_like(slope))
    assert near(torch.zeros_like(slope), torch.zeros_like(slope))
    assert near(torch.tensor([1.0, math.nan]), torch.tensor([1.0, math.inf]))


# What is recorded, and held to what was recorded.
@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recordings of whatever is met with two steps to come."""
    monkeypatch.setattr("mlnn.training.stacking.stack.WORTH", 2)


class Moody(nn.Module):
    """A node that does something beside its output at every call."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.head, self.what, self.calls, self._calls = nn.Linear(4, 1), what, 0, 0

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(x)
        if self.what == "counts":
            self.calls += 1
        if self.what == "random":
            random.random()
        if self.what == "numpy":
            np.random.rand()  # noqa: NPY002
        if self.what == "hides":
            self._calls += 1
            out = out * (1.0 if self._calls < HIDDEN else 1.5)
        return out


HIDDEN = 8


@pytest.mark.parametrize(("model", "records"), [
    (network, True), (partial(Moody, "nothing"), True), (partial(Moody, "hides"), False), (partial(Moody, "counts"), False),
    (partial(Moody, "random"), False), (partial(Moody, "numpy"), False),
])  # fmt: skip
def test_a_model_that_does_something_beside_is_not_recorded(model: Callable[[], nn.Module], records: bool) -> None:
    stacks = stacked(made(model=model)).stacks.values()
    assert all((stack.plays is not None) == records for stack in stacks)


@pytest.mark.sampled(2)
@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("model", [network, with_dropout, with_batch_norm])
def test_recorded_steps_are_those_of_lanes_alone(model: Callable[[], nn.Module]) -> None:
    training = stacked(made(model=model, steps=9))
    for one, two in zip(training.steps([0, 8]), made(model=model, steps=9).steps([0, 8]), strict=True):
        same_step(one, two)
    for stack in training.stacks.values():
        assert stack.plays
    assert {shape[0] for shape in training.stacks["float32"].plays or ()} == {"predict", (6, 32, 4)}


def test_a_recording_is_made_where_enough_steps_of_its_kind_are_to_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three batches the last is short: one step in three has its shape, of 24 to come eight."""
    monkeypatch.setattr("mlnn.training.stacking.stack.WORTH", 12)
    training = stacked(made(batch_size=40, steps=24))
    for _ in training.steps():
        pass
    assert {shape[0] for shape in training.stacks["float32"].plays or ()} == {"predict", (6, 40, 4)}


class Tiring:
    """The NLL, a hundredth larger from some call on."""

    def __init__(self, calls: int) -> None:
        self.calls, self.__name__ = calls, "tiring"

    def __call__(self, z: Tensor, y: Tensor) -> Tensor:
        self.calls -= 1
        return bernoulli_nll_log1p(z, y) * (1.0 if self.calls > 0 else 1.01)


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("calls", [6, 12])
def test_an_objective_that_comes_to_answer_otherwise_is_found_at_once(calls: int) -> None:
    left = lane_recipe(Tiring(calls))
    with pytest.raises(UnstackableError, match="objective 'tiring' answers otherwise than when it was recorded"):
        list(stacked(made(left, null_twins=0, steps=12)).steps())


@pytest.mark.usefixtures("eager")
def test_a_model_that_comes_to_answer_otherwise_is_found_at_the_next_look() -> None:
    with pytest.raises(UnstackableError, match=r"a row.s gradient is not that of a lane alone"):
        list(stacked(made(model=partial(Moody, "hides"), null_twins=0, steps=16)).steps(range(16)))


def test_micro_batches_cut_what_goes_by_the_row_and_leave_what_belongs_to_the_batch() -> None:
    x, y = torch.arange(40.0).view(2, 5, 4), torch.arange(10.0).view(2, 5)
    extras = {"weight": y + 1, "table": torch.ones(2, 3), "number": torch.ones(2)}
    first, second = _parts(Rows(x, y, extras), 2)
    assert torch.equal(torch.cat([first.x, second.x], 1), x)
    assert torch.equal(torch.cat([first.y, second.y], 1), y)
    assert torch.equal(torch.cat([first.extras["weight"], second.extras["weight"]], 1), y + 1)
    assert [part.y.shape[1] for part in (first, second)] == [3, 2]
    for part in (first, second):
        assert part.y.is_contiguous()
        assert all(torch.equal(part.extras[name], extras[name]) for name in ("table", "number"))
    assert len(_parts(Rows(x, y, {}), 9)) == 5
