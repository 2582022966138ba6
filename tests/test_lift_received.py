"""A lifted objective as plain data: there and back bit for bit, and from somebody else nothing but an error, or a number."""

import copy
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from lift_cases import CASES, made

import mlnn
from mlnn.errors import DataError
from mlnn.lifting.carried import from_data, to_data
from mlnn.lifting.lifted import Lifted
from mlnn.lifting.operations import is_liftable, resolved
from mlnn.lifting.rows import BatchLoss, RowLoss

LIFTED = [name for name in CASES if name not in ("fused", "past the model", "noise")]


def inside(name: str) -> Lifted:
    function = mlnn.lift(*made(name)).function
    assert isinstance(function, RowLoss | BatchLoss)
    return function.lifted


@pytest.mark.parametrize("name", LIFTED)
def test_there_and_back_it_is_the_same_to_the_bit(name: str) -> None:
    before = inside(name)
    data, tensors = to_data(before)
    after = from_data(json.loads(json.dumps(data)), tensors)
    given = [entry.value for entry in before.outputs]
    assert torch.equal(after(*given), before(*given))
    assert to_data(after)[0] == data
    assert after.notes == before.notes


def call(name: str, *args: Any, gave: int = 2, **kwargs: Any) -> dict[str, Any]:
    return {"name": name, "args": list(args), "kwargs": kwargs, "gave": [gave], "gradient": True}


def place(at: int) -> dict[str, int]:
    return {"place": at}


def sent(*operations: Any, **others: Any) -> tuple[Any, dict[str, torch.Tensor]]:
    """Data with one raw output (4,) and one constant (4,), and their sum of squares, with operations before it."""
    square = call("aten.mul.Tensor", place(0), place(0), gave=2 + len(operations))
    total = call("aten.sum.default", place(2 + len(operations)), gave=3 + len(operations))
    data = {
        "outputs": [{"name": "z", "tensor": "z", "order": [0]}],
        "constants": [{"name": "y", "tensor": "y", "order": [0]}],
        "operations": [*operations, square, total],
        "loss": 3 + len(operations),
        "notes": [],
    }
    return {**data, **others}, {"z": torch.arange(4.0), "y": torch.zeros(4)}


def test_what_is_sent_in_good_faith_is_taken() -> None:
    found = from_data(*sent(call("aten.exp.default", place(1))))
    assert float(found(torch.full((4,), 2.0))) == 16.0


HERE = {"device": "here"}
OPERATIONS: dict[str, Any] = {
    "a file": call("aten.from_file.default", "/etc/passwd", False, 10),
    "a save": call("aten.save.default", place(0)),
    "other memory": call("aten.set_.source_Tensor", place(0), place(1)),
    "past its memory": call("aten.as_strided.default", place(0), [10**6], [1]),
    "grown in place": call("aten.resize_.default", place(0), [10**9]),
    "memory as it is": call("aten.empty.memory_format", [10]),
    "random": call("aten.rand.default", [4]),
    "random in place": call("aten.bernoulli_.float", place(0), 0.5),
    "an attribute": call("aten.add.__class__", place(0), place(0)),
    "a packet's attribute": call("aten.__init__.default", place(0)),
    "another library": call("prims.add.default", place(0), place(0)),
    "no overload": call("aten.mul.nothing", place(0), place(0)),
    "a shell": call("os.system", "touch /tmp/x"),
    "a name that is none": call("aten.mul.Tensor\n", place(0), place(0)),
    "a huge range": call("aten.arange.default", 10**15),
    "a huge zero": call("aten.zeros.default", [2**20, 2**20]),
    "a huge view": call("aten.expand.default", place(0), [2**40, 4]),
    "a huge copy": call("aten.repeat.default", place(0), [2**30]),
    "a huge frame": call("aten.constant_pad_nd.default", place(0), [0, 2**40]),
    "a huge number of places": call("aten.linspace.default", 0, 1, 2**40),
    "a negative size": call("aten.zeros.default", [-5]),
    "a place to come": call("aten.neg.default", place(7)),
    "a place below": call("aten.neg.default", place(-1)),
    "a place that is true": call("aten.neg.default", place(True)),
    "a place left out": call("aten.neg.default", place(0), gave=4),
    "a place in 2^40": call("aten.neg.default", place(0), gave=2**40),
    "two results for one": {**call("aten.max.dim", place(0), 0), "gave": [2]},
    "a number beyond int64": call("aten.mul.Scalar", place(0), 2**80),
    "a long word": call("aten.div.Tensor_mode", place(0), place(0), rounding_mode="f" * 10**5),
    "another mode": call("aten.div.Tensor_mode", place(0), place(0), rounding_mode="up"),
    "another option": call("aten.mul.Tensor", place(0), place(0), out=place(1)),
    "complex": call("aten._to_copy.default", place(0), dtype={"dtype": "complex64"}),
    "a dtype's attribute": call("aten._to_copy.default", place(0), dtype={"dtype": "__class__"}),
    "another device": call("aten._to_copy.default", place(0), device={"device": "cuda"}),
    "a dict": call("aten.neg.default", {"place": 0, "dtype": "float32"}),
    "lists in lists": call("aten.zeros.default", [[[[[[1]]]]]]),
    "a word for a tensor": call("aten.neg.default", "z"),
    "a missing argument": call("aten.mul.Tensor", place(0)),
    "an index beyond": call("aten.select.int", place(0), 0, 99),
    "no arguments": {"name": "aten.neg.default", "kwargs": {}, "gave": [2], "gradient": True},
    "no name": {"args": []},
    "a number": 5,
    "gradient in words": {**call("aten.neg.default", place(0)), "gradient": "yes"},
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_that_no_loss_has_is_one_short_error(name: str) -> None:
    data, tensors = sent(OPERATIONS[name])
    start = time.process_time()
    with pytest.raises(DataError) as problem:
        from_data(data, tensors)
    assert time.process_time() - start < 1
    assert len(str(problem.value)) < 400
    assert "operation 0" in str(problem.value)
    assert tensors["z"].tolist() == [0, 1, 2, 3]


def doubling(times: int) -> list[Any]:
    return [call("aten.cat.default", [place(at), place(at)], gave=at + 1) for at in range(1, 1 + times)]


def products(times: int) -> list[Any]:
    grown = [
        call("aten.expand.default", place(1), [1000, 4], gave=2),
        call("aten.mm.default", place(2), place(2), gave=3),
    ]
    grown[0] = call("aten.zeros.default", [1900, 1900], dtype={"dtype": "float32"}, device=HERE, gave=2)
    return [grown[0], *(call("aten.mm.default", place(2), place(2), gave=at) for at in range(3, 3 + times))]


@pytest.mark.parametrize(
    "operations",
    [
        doubling(60),
        products(50),
        [call("aten.zeros.default", [2**22 - 1], dtype={"dtype": "float32"}, device=HERE),
         {**call("aten.split.Tensor", place(2), 1), "gave": list(range(3, 4000))}],
        [call("aten.zeros.default", [2**21], dtype={"dtype": "float32"}, device=HERE),
         *(call("aten.exp.default", place(2), gave=at) for at in range(3, 4000))],
        [call("aten.unsqueeze.default", place(0), 1, gave=2), call("aten.expand.default", place(2), [4, 2**20], gave=3),
         call("aten.unsqueeze.default", place(3), 1, gave=4), call("aten.unsqueeze.default", place(3), 0, gave=5),
         call("aten.add.Tensor", place(4), place(5), gave=6)],
    ],
)  # fmt: skip
def test_what_grows_step_by_step_is_stopped(operations: list[Any]) -> None:
    start = time.process_time()
    with pytest.raises(DataError, match=r"makes [\d,]+ numbers|parts"):
        from_data(*sent(*operations))
    assert time.process_time() - start < 3


def without(key: str) -> Callable[[dict[str, Any]], None]:
    return lambda data: data.pop(key)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.update(outputs=[]),
        lambda data: data.update(outputs="z" * 10),
        lambda data: data.update(outputs=[{"name": "z", "tensor": "gone", "order": [0]}]),
        lambda data: data["outputs"][0].update(order=[0, 1]),
        lambda data: data["outputs"][0].update(order=["0"]),
        lambda data: data["outputs"][0].update(name="z" * 1000),
        lambda data: data["outputs"][0].update(tensor=["z"]),
        lambda data: data.update(constants=[5]),
        lambda data: data.update(loss=-1),
        lambda data: data.update(loss=99),
        lambda data: data.update(loss=0),
        lambda data: data.update(loss="3"),
        lambda data: data.update(operations=data["operations"] * 5000),
        lambda data: data.update(operations={"name": "aten.neg.default"}),
        lambda data: data.update(notes=["n"] * 100),
        lambda data: data.update(notes=5),
        without("outputs"),
        without("loss"),
        without("operations"),
    ],
)
def test_damaged_data_is_one_short_error(change: Callable[[dict[str, Any]], None]) -> None:
    data, tensors = sent()
    change(data)
    with pytest.raises(DataError) as problem:
        from_data(data, tensors)
    assert len(str(problem.value)) < 400


@pytest.mark.parametrize("data", [None, 5, [], "x"])
def test_no_data_at_all(data: Any) -> None:
    with pytest.raises(DataError, match="a mapping is needed"):
        from_data(data, {})


@pytest.mark.parametrize(
    "tensor",
    [torch.arange(4), torch.zeros(4, dtype=torch.complex64), torch.zeros(4).to_sparse(), torch.zeros(4, device="meta")],
)
def test_raw_outputs_are_plain_real_numbers(tensor: torch.Tensor) -> None:
    data, tensors = sent()
    with pytest.raises(DataError):
        from_data(data, {**tensors, "z": tensor})


def test_words_that_were_sent_are_shown_harmless() -> None:
    data, tensors = sent()
    data["outputs"][0]["name"] = data["notes"] = ["\x1b[31mred"]
    data["outputs"][0]["name"] = "\x1b[31mred"
    found = from_data(data, tensors)
    assert "\x1b" not in repr(found) + "".join(found.notes)


def test_what_is_written_in_place_is_written_into_copies() -> None:
    data, tensors = sent(
        call("aten.mul_.Tensor", place(1), place(0), gave=1), call("aten.add_.Scalar", place(0), 1, gave=0)
    )
    for at, op in enumerate(data["operations"][2:]):
        op["gave"] = [2 + at]
        op["args"] = [place(0), place(0)] if not at else [place(2)]
    data["loss"] = 3
    found = from_data(data, copy.deepcopy(tensors))
    given = torch.ones(4)
    assert [float(found(given)), float(found(given))] == [16.0, 16.0]
    assert given.tolist() == [1, 1, 1, 1]
    assert torch.equal(found.constants[0].value, tensors["y"])


def test_the_list_holds_operations_of_this_torch_and_none_that_draws() -> None:
    assert is_liftable("aten.mul_.Tensor")
    for name in (
        "aten.rand.default",
        "aten.empty.memory_format",
        "aten.set_.source_Tensor",
        "aten.__or__.Tensor",
        "mul",
    ):
        assert not is_liftable(name)
        with pytest.raises(ValueError, match="none of the operations"):
            resolved(name)
