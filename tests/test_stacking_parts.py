"""Parts of a stack beside what torch does: slopes of recurrent layers, recordings and where they lie in memory, priors."""

import math
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional
from training_cases import lane_recipe, network, recipe

from mlnn.objectives import Objective, bernoulli_nll_log1p
from mlnn.targets import TargetSpace
from mlnn.training import Batch, Lane
from mlnn.training.batches import Rows
from mlnn.training.lockstep import Lockstep, stride
from mlnn.training.stacking.checking import control_is_left, known, settled, still, terms
from mlnn.training.stacking.finite import finite_rows, stop_of
from mlnn.training.stacking.optimizer import RowsOptimizer
from mlnn.training.stacking.recurrent import WrittenOut, written_out
from mlnn.training.stacking.replay import recorded
from mlnn.training.stacking.stack import Answers
from mlnn.training.step import Stop

LANES = 3


def draws(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


LAYERS = {
    "GRU": partial(nn.GRU, 3, 4),
    "GRU of two layers": partial(nn.GRU, 3, 4, num_layers=2, batch_first=True),
    "LSTM": partial(nn.LSTM, 3, 4, batch_first=True),
    "LSTM without biases": partial(nn.LSTM, 3, 4, num_layers=2, bias=False),
    "RNN": partial(nn.RNN, 3, 4),
    "RNN with relu": partial(nn.RNN, 3, 4, nonlinearity="relu", batch_first=True),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("started", [False, True])
def test_recurrent_layers_written_out(name: str, started: bool) -> None:
    torch.manual_seed(0)
    own = LAYERS[name]().double()
    layer = written_out(nn.Sequential(own))[0]
    assert isinstance(layer, WrittenOut)
    assert [*dict(layer.named_parameters())] == [*dict(own.named_parameters())]
    x, slopes = draws(5, 6, 3), []
    rows = 5 if own.batch_first else 6
    states = tuple(draws(own.num_layers, rows, 4, seed=at) for at in (1, 2)) if started else None
    start = states if states is None or isinstance(own, nn.LSTM) else states[0]
    for one in (own, layer):
        given = x.clone().requires_grad_()
        seen, last = one(given, start) if started else one(given)
        ends = last if isinstance(last, tuple) else (last,)
        value = seen.square().sum() + sum((end * end.cos()).sum() for end in ends)
        slopes.append([seen, *ends, *torch.autograd.grad(value, [given, *one.parameters()])])
    for mine, theirs in zip(*slopes, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-11, atol=1e-12)


def played(function: object, *inputs: Tensor) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """What a recording leaves in its inputs and returns for others than it was made of, and what the function does."""
    play = recorded(function, [part.clone() for part in inputs]).play
    others = [part + 1 if part.is_floating_point() else part for part in inputs]
    found = []
    for one in (play, function):
        given = [part.clone() for part in others]
        torch.manual_seed(3)
        found.append([*one(given), *given])
    return found[0], found[1], others


def both_ways(function: object, *inputs: Tensor) -> list[Tensor]:
    mine, theirs, _ = played(function, *inputs)
    assert len(mine) == len(theirs)
    for one, other in zip(mine, theirs, strict=True):
        assert torch.equal(one, other)
    return mine


def test_a_recording_has_its_gradients() -> None:
    def function(parts: list[Tensor]) -> list[Tensor]:
        weight = parts[0].detach().requires_grad_()
        with torch.enable_grad():
            loss = functional.cross_entropy(parts[1] @ weight, parts[2])
        return [loss.detach(), *torch.autograd.grad(loss, weight)]

    found = both_ways(function, draws(4, 3), draws(6, 4), torch.arange(6) % 3)
    assert found[1].abs().sum() > 0
    assert not any(part.requires_grad for part in found)


def test_a_recording_writes_into_what_it_is_given() -> None:
    norm = nn.BatchNorm1d(2).double()

    def function(parts: list[Tensor]) -> list[Tensor]:
        x, mean, var, count = parts
        count.add_(1)
        mean.mul_(0.5)
        out = functional.batch_norm(x, mean, var, norm.weight.detach(), norm.bias.detach(), training=True)
        mean.view(-1)[0] = 7.0
        return [out + count]

    found = both_ways(function, draws(5, 2), torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64),
                      torch.tensor(0))  # fmt: skip
    assert found[2][0] == 7
    assert found[4] == 1


def test_a_recording_draws_anew_from_the_seed() -> None:
    def function(parts: list[Tensor]) -> list[Tensor]:
        return [functional.dropout(parts[0], 0.5), torch.rand(3) + 1, torch.randn_like(parts[0])]

    both_ways(function, draws(20, 2))
    made = recorded(function, [draws(20, 2)])
    assert made.draws
    torch.manual_seed(0)
    first, second = made.play([draws(20, 2)]), made.play([draws(20, 2)])
    assert not torch.equal(first[0], second[0])
    assert not torch.equal(first[1], second[1])


def test_what_is_returned_is_not_the_next_answer_s() -> None:
    made = recorded(lambda parts: [torch.zeros(3) + 1, parts[0] * 2], [draws(3)])
    first = made.play([draws(3)])
    kept = [part.clone() for part in first]
    for part in made.play([draws(3, seed=1)]):
        part.add_(5)
    assert all(torch.equal(a, b) for a, b in zip(first, kept, strict=True))
    assert torch.equal(made.play([draws(3)])[0], torch.ones(3))


def test_a_recording_is_for_inputs_as_they_lie_in_memory() -> None:
    def function(parts: list[Tensor]) -> list[Tensor]:
        return [parts[0].reshape(-1, 2).square(), parts[0].flatten()]

    wide = draws(3, 10)
    parts = wide[:, :4].view(3, 2, 2)  # rows with a gap between them
    made = recorded(function, [parts])
    for mine, theirs in zip(made.play([parts]), function([parts]), strict=True):
        assert torch.equal(mine, theirs)


def test_what_hangs_on_a_number_of_the_batch_is_not_recorded() -> None:
    assert recorded(lambda parts: [parts[0] if parts[0].sum() > 0 else -parts[0]], [draws(3)]) is None
    assert recorded(lambda parts: [parts[0] * float(parts[0].max())], [draws(3)]) is None
    assert recorded(lambda parts: [parts[0][parts[0] > 0].sum()], [draws(3)]) is None
    both_ways(lambda parts: [parts[0][torch.tensor([2, 0])], parts[0][parts[1]]], draws(3), torch.tensor([1, 1, 0]))


OPTIMIZERS = {
    "SGD": partial(torch.optim.SGD, lr=0.1, momentum=0.9),
    "Adam": partial(torch.optim.Adam, lr=0.1),
    "AdamW, fused": partial(torch.optim.AdamW, lr=0.1, fused=True),
    "RMSprop": partial(torch.optim.RMSprop, lr=0.1),
    "Adagrad": partial(torch.optim.Adagrad, lr=0.1, initial_accumulator_value=0.5),
    "groups": lambda weights: torch.optim.Adam(
        [{"params": weights[::2], "lr": 0.2}, {"params": weights[1:2], "weight_decay": 0.1}], lr=0.05
    ),
    "groups, fused": lambda weights: torch.optim.Adam([{"params": [one]} for one in weights], lr=0.05, fused=True),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("prior", [0.0, 0.3])
def test_rows_step_as_lanes_do(name: str, prior: float) -> None:
    model = network()
    lanes = [
        Lane(str(number), lane_recipe(functional.mse_loss, OPTIMIZERS[name], prior=prior), model, torch.float64)
        for number in range(LANES)
    ]
    size = sum(weight.numel() for weight in lanes[0].weights)
    weights = torch.zeros(LANES + 1, 64, dtype=torch.float64)
    weights[:, :size] = torch.cat([part.detach().flatten() for part in lanes[0].weights])
    weights[:LANES, :size] += 0.01 * draws(LANES, size)
    for lane, row in zip(lanes, weights, strict=False):
        _put(lane, row[:size])
    start, rows = weights.clone(), RowsOptimizer(lanes[0], {"float64": slice(0, LANES)})
    for step in range(4):
        slopes = torch.zeros_like(weights)
        slopes[:, :size] = draws(LANES + 1, size, seed=step)
        for lane, slope in zip(lanes, slopes, strict=False):
            for weight, part in zip(lane.weights, _split(lane, slope[:size]), strict=True):
                weight.grad = part + prior * weight.detach()
            lane.optimizer.step()
        rows.step({"float64": weights}, {"float64": slopes})
    for lane, row in zip(lanes, weights, strict=False):
        torch.testing.assert_close(
            row[:size], torch.cat([weight.detach().flatten() for weight in lane.weights]), rtol=1e-12, atol=1e-12
        )
    assert torch.equal(weights[LANES], start[LANES])  # a row that is not its own
    assert not torch.equal(weights[0, :size], start[0, :size])
    assert not weights[:, size:].any()


def _split(lane: Lane, vector: Tensor) -> list[Tensor]:
    sizes = [weight.numel() for weight in lane.weights]
    return [part.view_as(weight) for part, weight in zip(vector.split(sizes), lane.weights, strict=True)]


def _put(lane: Lane, vector: Tensor) -> None:
    with torch.no_grad():
        for weight, part in zip(lane.weights, _split(lane, vector), strict=True):
            weight.copy_(part)


def test_the_written_out_layer_is_stacked_by_vmap() -> None:
    torch.manual_seed(0)
    layer = written_out(nn.GRU(3, 4, batch_first=True).double())
    weights = {name: torch.stack([part, 2 * part]) for name, part in layer.named_parameters()}
    x = draws(5, 6, 3)
    rows = vmap(lambda own: functional_call(layer, own, (x,))[0])(weights)
    alone = functional_call(layer, {name: part[1] for name, part in weights.items()}, (x,))[0]
    torch.testing.assert_close(rows[1], alone, rtol=1e-12, atol=1e-12)


BIG, INF, NAN = 3e38, float("inf"), float("nan")


@pytest.mark.parametrize(
    ("loss", "output", "gradient", "finite"),
    [
        (1.0, (1.0, 2.0), (1.0, 2.0), True),
        (1.0, (BIG, BIG), (1.0, 2.0), True),  # each is finite; their sum in float32 is not
        (1.0, (1.0, 2.0), (BIG, BIG), True),
        (1.0, (BIG, BIG), (BIG, BIG), True),
        (INF, (1.0, 2.0), (1.0, 2.0), False),
        (NAN, (1.0, 2.0), (BIG, BIG), False),
        (1.0, (1.0, 2.0), (1.0, INF), False),
        (1.0, (1.0, 2.0), (NAN, 1.0), False),
        (1.0, (1.0, 2.0), (INF, -INF), False),
        (1.0, (INF, 1.0), (1.0, 2.0), None),
        (1.0, (1.0, NAN), (1.0, 2.0), None),
        (1.0, (INF, 1.0), (BIG, BIG), None),
    ],
)
def test_a_row_of_a_stack_is_finite_where_each_of_its_numbers_is(
    loss: float, output: tuple[float, float], gradient: tuple[float, float], finite: bool | None
) -> None:
    """None: a raw output is not, and there is no loss to tell."""
    plain = (1.0, 2.0)
    one = Answers(torch.tensor([loss, 0.5]), torch.tensor([output, plain]), torch.tensor([gradient, plain]))
    two = Answers(torch.tensor([0.25]).double(), torch.tensor([plain]).double(), torch.tensor([plain]).double())
    found = list(finite_rows([two, one]))
    assert [found[0], found[2]] == [(0.25, True), (0.5, True)]
    told, known = found[1]
    assert known is bool(finite)
    assert str(told) == str(NAN if finite is None else loss)


def test_a_lane_stops_at_the_row_where_its_objective_breaks() -> None:
    batch = Batch(4, torch.tensor([7, 3, 9]), 0, recipe())
    output, y = torch.tensor([0.1, -200.0, 0.2]), torch.tensor([0.0, 1.0, 1.0])

    def naive(z: Tensor, y: Tensor) -> Tensor:
        return -(y * torch.sigmoid(z).log() + (1 - y) * (1 - torch.sigmoid(z)).log())

    for objective, loss, stop in (
        (naive, INF, Stop(4, "loss", 3, -200.0, 1.0)),
        (naive, 1.0, Stop(4, "gradient", 3, -200.0, 1.0)),
        (bernoulli_nll_log1p, INF, Stop(4, "loss")),
        (bernoulli_nll_log1p, 1.0, Stop(4, "gradient")),
    ):
        lane: Any = SimpleNamespace(recipe=SimpleNamespace(objective=Objective.of(objective, TargetSpace("binary"))))
        assert stop_of(lane, batch, Rows(None, y, {}), output, loss) == stop


def smooth_l1(z: Tensor, y: Tensor, beta: object = 1.0) -> Tensor:
    return functional.smooth_l1_loss(z, y, beta=float(beta))  # type: ignore[arg-type]


def of_torch(**arguments: object) -> object:
    return partial(functional.smooth_l1_loss, **arguments)


@pytest.mark.parametrize(
    ("loss", "is_known", "is_settled"),
    [
        (functional.mse_loss, True, True),
        (bernoulli_nll_log1p, True, True),
        (nn.MSELoss(), True, False),  # whose settings can be changed from outside
        (smooth_l1, False, False),
        (of_torch(beta=2.0), True, True),
        (of_torch(beta=2, reduction="mean"), True, True),
        (partial(of_torch(beta=2.0), reduction="none"), True, True),  # type: ignore[arg-type]
        (of_torch(beta=torch.tensor(2.0)), False, False),  # which can be written into
        (of_torch(beta=[2.0]), False, False),
        (partial(smooth_l1, beta=2.0), False, False),
        (partial(of_torch(beta=[2.0]), reduction="none"), False, False),  # type: ignore[arg-type]
    ],
)
def test_code_that_does_the_same_at_every_call_is_torchs_or_ours(
    loss: object, is_known: bool, is_settled: bool
) -> None:
    asked: Any = SimpleNamespace(function=loss)
    assert (known(asked), settled(asked)) == (is_known, is_settled)


def test_a_function_from_a_module_that_begins_like_torch_is_not_torchs() -> None:
    def near_miss(z: Tensor, y: Tensor) -> Tensor:
        return z - y

    for home, found in (
        ("torchmetrics", False),
        ("torch", True),
        ("mlnn.likelihoods", True),
        (None, False),
    ):
        near_miss.__module__ = home  # type: ignore[assignment]
        assert known(SimpleNamespace(function=near_miss)) is found  # type: ignore[arg-type]


def test_what_a_vanished_gradient_is_held_to() -> None:
    first = torch.tensor([3.0, NAN, 4.0])
    assert terms(first, first) == 5.0
    assert terms(first.double(), first.double()) == 0.0


def record(control: dict[str, object], stops: tuple[object, object] = (None, None)) -> Any:
    """Left's step and the control's, the same but for what is given."""
    plain = {"gradient": torch.tensor([1.0, NAN]).nan_to_num(2.0), "after": torch.ones(2), "loss": 0.5}
    lanes = {
        name: SimpleNamespace(
            stop=stop, after=own["after"], answer=SimpleNamespace(gradient=own["gradient"], loss=own["loss"])
        )
        for name, own, stop in zip(("left", "control"), (plain, plain | control), stops, strict=True)
    }
    return SimpleNamespace(lanes=lanes)


@pytest.mark.parametrize(
    ("control", "stops", "same"),
    [
        ({}, (None, None), True),
        ({"loss": 0.5000001}, (None, None), False),
        ({"gradient": torch.tensor([1.0, 2.0000002])}, (None, None), False),
        ({"after": torch.tensor([1.0, 1.0000001])}, (None, None), False),
        ({"loss": 9.0}, (Stop(0, "loss"), Stop(0, "loss")), True),
        ({}, (Stop(0, "loss"), None), False),
        ({}, (None, Stop(0, "loss")), False),
    ],
)
def test_the_control_is_left_where_every_bit_is(
    control: dict[str, object], stops: tuple[object, object], same: bool
) -> None:
    assert control_is_left(record(control, stops)) is same


@pytest.mark.parametrize(("off", "holds"), [(0.0, True), (90.0, True), (110.0, False), (math.nan, False)])
def test_a_recorded_loss_is_still_the_objectives_within_a_hundred_roundoffs(off: float, holds: bool) -> None:
    output, target = torch.tensor([0.5, -0.25]).double(), torch.tensor([1.0, 0.0]).double()
    objective = Objective.of(functional.mse_loss, TargetSpace("real"))
    loss = float(functional.mse_loss(output, target)) * (1 + off * torch.finfo(torch.float64).eps)
    told: Any = SimpleNamespace(output=output, target=target, extras={}, loss=loss)
    assert still(objective, told) is holds
    refusing = Objective.of(lambda z, y: [][len(z) + len(y)], TargetSpace("real"))
    assert not still(refusing, told)


def test_a_lockstep_is_over_where_neither_side_goes_on() -> None:
    one: Any = object()
    for ended, over in (((), False), (("left",), False), (("right", "control"), False), (("left", "right"), True),
                        (("left", "control", "right"), True)):  # fmt: skip
        lanes: Any = Lockstep(recipe(), {}, {}, ended=dict.fromkeys(ended, one))
        assert lanes.over is over


def test_steps_are_compared_where_both_were_taken() -> None:
    here, there = torch.ones(2), torch.zeros(2)
    step: Any = SimpleNamespace(alive=True, shared=here)
    assert stride(step, None) is None
    assert stride(SimpleNamespace(alive=False, shared=here), there) is None  # type: ignore[arg-type]
    found = stride(step, there)
    assert found is not None
    assert (found.left is here, found.right is there) == (True, True)


@pytest.mark.parametrize(
    ("optimizer", "own", "prior", "compares"),
    [
        (torch.optim.SGD, None, 0.0, True),
        (torch.optim.LBFGS, None, 0.0, False),  # it asks its objective again
        (torch.optim.LBFGS, "an update", 0.0, True),
        (torch.optim.LBFGS, None, 0.1, True),  # settings differ
    ],
)
def test_optimizers_that_search_are_compared_where_something_differs(
    optimizer: Any, own: object, prior: float, compares: bool
) -> None:
    def lane(own: object, prior: float) -> Any:
        made = optimizer([torch.ones(1, requires_grad=True)], lr=0.1)
        return SimpleNamespace(optimizer=made, own=own, recipe=SimpleNamespace(prior=prior, rowwise=own is None))

    lockstep = Lockstep(recipe(), {"left": lane(None, 0.0), "right": lane(own, prior)}, {})
    assert lockstep.compares_steps is compares
    assert lockstep.own_updates is (own is not None)
    assert lockstep.rowwise is (own is None)
