"""What a recording keeps of a function, operation by operation: what is needed, what is the same at every call, what is idle."""

import weakref
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from mlnn.training.stacking.replay import _binding, _constants, _copies, _idle, _needed, recorded

f64 = torch.float64


def op(gave: Sequence[int], given: Sequence[int] = (), *, writes: bool = False, draws: bool = False,
       name: str = "aten.mul.Tensor") -> Any:  # fmt: skip
    found = [torch.tensor(float(number)) for number in gave]
    return SimpleNamespace(given=tuple(given), gave=tuple(gave), writes=writes, draws=draws, function=name, found=found)


def test_what_nothing_depends_on_is_left_out_unless_it_writes_or_draws() -> None:
    first, second, idle = op([1], [0]), op([2], [1]), op([3], [0])
    writing, drawing = op([0], [0], writes=True), op([4], draws=True)
    assert _needed([first, second, idle, writing, drawing], [2]) == [first, second, writing, drawing]
    assert _needed([first, second, idle], [3]) == [idle]
    assert _needed([first, second, idle], []) == []


def test_what_is_the_same_at_every_call_comes_of_no_input_and_stays_as_it_is() -> None:
    """0 is an input."""
    ops = [
        op([1], [0], name="aten.zeros_like.default"),  # of its shape alone
        op([2]),
        op([3], [0]),
        op([4], [1, 2]),
        op([5]), op([5], [5], writes=True),
        op([6], draws=True),
        op([7]),  # returned
        op([8]), op([9], [8]),  # returned, and perhaps a view of what it was made of
        op([10], [2, 3]),
    ]  # fmt: skip
    found = _constants(ops, [7, 9])
    assert found.keys() == {1, 2, 4}
    assert [float(found[number]) for number in (1, 2, 4)] == [1.0, 2.0, 4.0]


X = torch.arange(6.0).reshape(2, 3)
EMPTY = torch.empty(0)


@pytest.mark.parametrize(
    ("found", "args", "mutable", "idle"),
    [
        (X, (X,), False, True),
        (X, (X,), True, False),
        (X.detach(), (X,), False, True),
        (X.view(2, 3), (X, [2, 3]), False, True),
        (X.clone(), (X,), False, False),
        (X.view(3, 2), (X,), False, False),
        (X[:1], (X,), False, False),
        (X.view(torch.int32), (X,), False, False),
        (EMPTY.detach(), (EMPTY,), False, False),
        ([X], (X,), False, False),
        (X, ([X],), False, False),
        (X, (), False, False),
    ],
)
def test_an_idle_operation_gives_what_it_was_given_first(found: Any, args: Any, mutable: bool, idle: bool) -> None:
    function = SimpleNamespace(_schema=SimpleNamespace(is_mutable=mutable))
    assert _idle(function, found, args) is idle


def test_copies_lie_in_memory_as_the_originals_do() -> None:
    wide = torch.arange(20.0).reshape(2, 10)
    gaps, turned, spread = wide[:, :4], wide.T, torch.ones(3, 1).expand(3, 4)
    found = _copies([gaps, turned, spread])
    assert [part.stride() for part in found[:2]] == [(10, 1), (1, 10)]
    assert all(torch.equal(*pair) for pair in zip(found, (gaps, turned, spread), strict=True))
    found[0].add_(1)
    assert gaps[0, 0] == 0


def test_an_operation_is_bound_to_torch_s_own_function_or_method() -> None:
    aten = torch.ops.aten
    assert _binding(aten.add.Tensor) is torch.add
    assert _binding(aten.view.default) is Tensor.view
    elsewhere = SimpleNamespace(overloadpacket=SimpleNamespace(__name__="add"), namespace="mine")
    for kept in (aten._softmax.default, elsewhere, object()):
        assert _binding(kept) is kept


class Counted(TorchDispatchMode):
    """The names of the operations that happen."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen.append(str(function.overloadpacket))
        return function(*args, **(kwargs or {}))


def happening(function: Callable[[list[Tensor]], list[Tensor]], *inputs: Tensor) -> list[str]:
    """The operations of a recording when it is played, which is seen to give what the function gives."""
    made = recorded(function, [part.clone() for part in inputs])
    assert made is not None
    others = [part + 1 for part in inputs]
    mine, theirs = [part.clone() for part in others], [part.clone() for part in others]
    with Counted() as counted:
        found = made.play(mine)
    wanted = function(theirs)
    assert [part.dtype for part in found] == [part.dtype for part in wanted]
    assert all(torch.equal(*pair) for pair in zip((*found, *mine), (*wanted, *theirs), strict=True))
    return counted.seen


WEIGHTS = torch.tensor([2.0, 5.0])


@pytest.mark.parametrize(
    ("function", "seen"),
    [
        (lambda parts: [parts[0] + torch.ones(2) * 3], ["aten.add"]),  # what is the same at every call is done once
        (lambda parts: [parts[0].detach().view(2) * 2, parts[0].exp().sum() * 0 + 1][:1], ["aten.mul"]),
        (lambda parts: [torch.zeros_like(parts[0]) + parts[0]], ["aten.add"]),
        (lambda parts: [parts[0] * WEIGHTS], ["aten.mul"]),
        (lambda parts: [(parts[0] * WEIGHTS + torch.full((2,), 0.5)).neg()], ["aten.mul", "aten.add", "aten.neg"]),
        (lambda parts: [parts[0].add_(1) * 2], ["aten.add_", "aten.mul"]),
        (lambda parts: [torch.sum(parts[0], dtype=f64)], ["aten.sum"]),  # an argument by its name
        (lambda parts: [one + 1 for one in parts[0].split(1)], ["aten.split", "aten.add", "aten.add"]),
        (lambda parts: [parts[0].max(0).values], ["aten.max"]),
        (lambda parts: [torch.cat([parts[0], parts[0]])], ["aten.cat"]),
    ],
)
def test_only_what_is_needed_happens_when_a_recording_is_played(
    function: Callable[[list[Tensor]], list[Tensor]], seen: list[str]
) -> None:
    assert happening(function, torch.tensor([1.0, -2.0])) == seen


class Alive(TorchDispatchMode):
    """Of each operation, how many results of earlier ones are held by anybody when it is called."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.given: list[weakref.ref[Tensor]] = []
        self.counts: list[int] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.counts.append(sum(one() is not None for one in self.given))
        found = function(*args, **(kwargs or {}))
        self.given.append(weakref.ref(found))
        return found


def test_what_is_used_no_more_is_let_go() -> None:
    made = recorded(lambda parts: [parts[0].exp().neg().sin().cos().tan().abs()], [torch.ones(2)])
    assert made is not None
    with Alive() as alive:
        made.play([torch.ones(2)])
    assert len(alive.counts) >= 6
    assert max(alive.counts) <= 2


def test_an_operation_that_gives_nothing_is_kept_for_what_it_writes() -> None:
    def function(parts: list[Tensor]) -> list[Tensor]:
        torch._foreach_add_(parts, 1.0)
        return [parts[0] * 2]

    assert "aten._foreach_add_" in happening(function, torch.ones(2), torch.zeros(3))


def test_a_norm_gives_more_than_it_writes() -> None:
    norm = nn.BatchNorm1d(2)

    def function(parts: list[Tensor]) -> list[Tensor]:
        x, mean, var = parts
        return [nn.functional.batch_norm(x, mean, var, norm.weight.detach(), norm.bias.detach(), training=True) * 3]

    assert len(happening(function, torch.randn(5, 2), torch.zeros(2), torch.ones(2))) >= 2


def test_what_writes_into_a_tensor_that_outlives_the_call_is_refused() -> None:
    kept = torch.zeros(2)
    with pytest.raises(RuntimeError, match="writes into a tensor that outlives the call"):
        recorded(lambda parts: [parts[0] + kept.add_(1)], [torch.ones(2)])
    assert not kept.any()


def test_rows_are_picked_by_numbers_and_not_by_masks_or_counts() -> None:
    x, at = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2, 0])
    assert recorded(lambda parts: [parts[0][parts[1]]], [x, at]) is not None
    for mask in (torch.tensor([True, False, True]), torch.tensor([1, 0, 1], dtype=torch.uint8)):
        assert recorded(lambda parts: [parts[0][parts[1]]], [x, mask]) is None
    assert recorded(lambda parts: [parts[0].nonzero()], [x]) is None


@pytest.mark.parametrize(
    ("function", "draws"),
    [
        (lambda parts: [parts[0] * 2], False),
        (lambda parts: [parts[0] + torch.rand(2)], True),
        (lambda parts: [nn.functional.dropout(parts[0])], True),
    ],
)
def test_a_recording_knows_whether_it_draws(function: Callable[[Any], Any], draws: bool) -> None:
    made = recorded(function, [torch.ones(2)])
    assert made is not None
    assert made.draws is draws
