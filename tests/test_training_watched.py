"""Raw outputs as they pass inside a step, and updates of a lane's own: asked part by part."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn

from mlnn.errors import ConfigError
from mlnn.training.descent import SGD
from mlnn.training.outputs import Place, Told, _on_raw_outputs
from mlnn.training.own_update import OwnUpdate, _as_loss

ROWS = torch.arange(6.0).reshape(6, 1)


@pytest.mark.parametrize(
    ("calls", "count", "found"),
    [
        ([ROWS], 6, ROWS[:, 0]),
        ([ROWS[:, 0]], 6, ROWS[:, 0]),
        ([ROWS[:4], ROWS[4:]], 6, ROWS[:, 0]),  # micro-batches
        ([ROWS, 2 * ROWS[:, 0]], 6, torch.cat([ROWS, 2 * ROWS], 1)),  # two heads
        ([ROWS.reshape(3, 2), ROWS[:3]], 3, torch.cat([ROWS.reshape(3, 2), ROWS[:3]], 1)),
        ([ROWS.reshape(3, 2)], 3, ROWS.reshape(3, 2)),
        ([ROWS.reshape(3, 1, 2)], 3, ROWS.reshape(3, 1, 2)),
        ([ROWS[:4], ROWS[4:].reshape(1, 2)], 6, None),
        ([ROWS[:4], torch.tensor(1.0)], 6, None),
        ([torch.tensor(1.0)], 6, None),
        ([torch.tensor(1.0), torch.tensor(2.0)], 2, None),
        ([ROWS[:4]], 6, None),
        ([], 6, None),
    ],
)
def test_raw_outputs_of_several_calls_are_rows_where_they_can_be(calls: Any, count: int, found: Any) -> None:
    rows = Told(outputs=calls).as_rows(count)
    assert torch.equal(rows, torch.empty(0) if found is None else found)


class Pair(NamedTuple):
    logits: Any
    loss: Any = 7


@dataclass
class Kept:
    logits: Any
    loss: Any = 7


class Slotted:
    __slots__ = ("logits",)

    def __init__(self, logits: Any) -> None:
        self.logits = logits


def doubled(answer: Any) -> Any:
    return _on_raw_outputs(answer, lambda part: 2 * part)


def test_the_raw_outputs_of_an_answer_are_its_logits_or_all_its_numbers() -> None:
    assert torch.equal(doubled(ROWS), 2 * ROWS)
    told = doubled({"logits": ROWS, "loss": ROWS})
    assert torch.equal(told["logits"], 2 * ROWS)
    assert told["loss"] is ROWS
    named = doubled({"head": ROWS, "other": ROWS.long(), "loss": torch.tensor(3.0)})
    assert torch.equal(named["head"], 2 * ROWS)
    assert (named["other"].dtype, float(named["loss"])) == (torch.int64, 3.0)
    for kind in (Pair, Kept, lambda logits: SimpleNamespace(logits=logits, loss=7)):
        given = kind(ROWS)
        found = doubled(given)
        assert type(found) is type(given)
        assert torch.equal(found.logits, 2 * ROWS)
        assert found.loss == 7
        assert given.logits is ROWS
    assert doubled(Slotted(ROWS)).logits is ROWS  # which nothing can be put into
    assert doubled(Pair("words")).logits == "words"


def test_a_place_moves_raw_outputs_and_lets_gradients_come_as_they_do() -> None:
    z = torch.ones(3, 2, requires_grad=True)
    assert torch.equal(Place("here").put(z), z)
    found = Place("there", 0.0, 5.0).put(z)
    assert found.tolist() == [[5.0, 5.0]] * 3
    assert torch.equal(torch.autograd.grad(found.sum(), z)[0], torch.ones(3, 2))
    drawn = Place("drawn", 1.0, 0.0, 1.0).put(z)
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn, z)


@pytest.mark.parametrize(
    ("told", "loss"), [(torch.tensor(2.0), 2.0), (torch.tensor([2.0]), 2.0), (2, 2.0), (2.5, 2.5), (True, None),
                       (torch.ones(2), None), ("2", None), (None, None), (torch.empty(0), None)]
)  # fmt: skip
def test_the_loss_of_an_update_is_one_number(told: Any, loss: float | None) -> None:
    if loss is None:
        with pytest.raises(ConfigError, match="the loss of the step is needed, a number"):
            _as_loss(told)
    else:
        assert _as_loss(told) == loss


class Searching(SGD):
    """It calls what it is given so many times, then steps as ever."""

    def step(self, closure: Any = None, times: int = 1) -> None:  # type: ignore[override]
        for _ in range(times if closure else 0):
            closure()
        super().step()


def own(update: Any) -> tuple[OwnUpdate, nn.Parameter]:
    net = nn.Linear(1, 1, bias=False)
    SGD(
        net.parameters(), 0.1
    )  # from now on torch calls hooks in the step of this class, too, that another class's step calls
    nn.init.ones_(net.weight)
    return OwnUpdate(update, net, net, Searching([net.weight], 0.1)), net.weight


@pytest.mark.parametrize(("given", "arrives"), [(None, 0.7), ([torch.full((1, 1), 5.0)], 0.5)])
@pytest.mark.parametrize("asks", [False, True])
def test_an_update_is_run_taken_back_and_kept(given: Any, arrives: float, asks: bool) -> None:
    def update(net: Any, optimizer: Any, _parts: Any) -> float:
        def closure() -> None:
            net.weight.grad = torch.full((1, 1), 3.0)

        if asks:
            optimizer.step(closure, 2) if given is None else optimizer.step(closure)
        else:
            closure()
            optimizer.step()
        return 2.0

    made, weight = own(update)
    assert made.run([], given) == 2.0
    assert (weight.item(), made.calls) == (1.0, 1)
    assert [gradient.tolist() for gradient in made.gradients] == [[[3.0]]]
    assert weight.grad is not None
    assert weight.grad.tolist() == [[3.0]]
    made.keep()
    assert weight.item() == pytest.approx(arrives)


def test_what_stands_in_the_gradient_is_carried_from_run_to_run() -> None:
    seen: list[Any] = []

    def update(net: Any, _optimizer: Any, _parts: Any) -> float:
        seen.append(None if net.weight.grad is None else float(net.weight.grad))
        net.weight.grad = torch.full((1, 1), 3.0 + len(seen))
        return 0.0

    made, weight = own(update)
    for kept in (False, True, False):
        made.run([])
        assert (made.calls, [float(one) for one in made.gradients]) == (0, [0.0])  # it never stepped
        if kept:
            made.keep()
    assert seen == [None, None, 5.0]
    assert weight.grad is not None
