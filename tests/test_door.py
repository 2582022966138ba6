"""What `compare`, the gate and `from_arrays` refuse, each in a few lines with a way out, and what they read right."""

import math
import threading
import time
import warnings
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from training_cases import SGD, X, Y, compare, lane_recipe, network, recipe

import mlnn
from mlnn.data import Dataset, from_arrays
from mlnn.errors import ConfigError, DataError, MlnnError
from mlnn.objectives import bce, bernoulli_nll_log1p
from mlnn.seeding import derive
from mlnn.targets import TargetSpace
from mlnn.testing import assert_same_objective
from mlnn.training import LaneRecipe, train

log1p = bernoulli_nll_log1p
XN, YN = X.numpy(), Y.numpy().astype(int)
FRAME, BEYOND = pd.DataFrame(XN), 2**63


def small(left: Any = bce, right: Any = log1p, data: Any = (X, Y), **options: Any) -> mlnn.Comparison:
    return compare(left, right, data, **({"steps": 1, "null_twins": 0} | options))


def refused(call: Callable[[], Any], words: str, kind: type[MlnnError] = ConfigError) -> None:
    """The call raises an error of the kind, with the words, in at most four short lines."""
    with pytest.raises(kind, match=words) as caught:
        call()
    assert len(str(caught.value)) < 600
    assert str(caught.value).count("\n") < 4


WORDS: dict[str, tuple[Any, ...]] = {
    "steps": ("3", 2.5, None, True, 0, -1, math.nan, math.inf, np.float64(3), [3], torch.tensor(True)),
    "batch_size": ("3", 2.5, True, 0, -1, 97, 10**30, math.nan),
    "seed": (1.5, True, "0", None, math.nan, 10**30, np.float32(1), np.True_),
    "null_twins": (-1, True, None, "1", 1.0, 10**9),
    "threads": (0, -1, True, None, "1", 1.0, 10**9),
    "dtype": (3, None, [1], torch.int32, torch.complex64, np.float32, "float23"),
    "device": (None, 1.5, True, "meta", "meat", "cuda:99"),
    "targets": (3, b"binary", "classes(1)", "classes(1000000000)", "classes(" + "9" * 5000 + ")", ["binary"]),
    "outputs": (None, 3, ("raw",), ("raw", "raw", "raw"), ("raw", 3), "logits"),
    "require": (3, [], "different", True),
    "domain": (3, (1,), (1, 2, 3), ("a", "b"), (2, 1), (1, 1), (math.nan, 1), (True, 2), "ab"),
    "progress": (3, "yes"),
    "sink": (3, "yes", object()),
    "about": (3, {1: 2}),
    "model": (None, 3, network(), lambda: 3, nn.Linear, lambda: None),
    "optimizer": (None, "adam", torch.optim.SGD(network().parameters(), lr=0.1), lambda _: None, lambda _: 1 / 0),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WORDS.items() for value in values])
def test_an_argument_that_is_none_is_refused_by_its_name(name: str, value: Any) -> None:
    refused(lambda: small(**{name: value}), f"^{name}")


@pytest.mark.rest
def test_whole_numbers_of_numpy_and_torch_are_whole_numbers() -> None:
    plain = small(steps=2, seed=3).trace
    for whole in (np.int64, np.uint8, lambda number: torch.tensor(number)):
        found = small(steps=whole(2), batch_size=whole(32), seed=whole(3), null_twins=whole(0), threads=whole(1))
        assert all(found.trace[name].tobytes() == column.tobytes() for name, column in plain.items())
        assert (found.about["seed"], type(found.about["steps"])) == (3, int)
    assert derive(np.int64(7), "x") == derive(7, "x") != derive(-7, "x")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("accumulate", "2"),
        ("accumulate", 1.5),
        ("accumulate", True),
        ("accumulate", 0),
        ("prior", "1"),
        ("prior", None),
        ("prior", True),
        ("prior", 10**400),
        ("prior", 1j),
        ("prior", -1e-9),
        ("prior", math.inf),
        ("compile", "no"),
        ("compile", 1),
        ("mapping", 3),
        ("model", network()),
        ("optimizer", torch.optim.SGD(network().parameters(), lr=0.1)),
    ],
)
def test_an_option_of_a_lane_is_refused_by_its_name(name: str, value: Any) -> None:
    refused(lambda: LaneRecipe(**({"objective": log1p, "optimizer": SGD} | {name: value})), f"^{name}")
    assert LaneRecipe(log1p, SGD, np.int64(2), prior=np.float32(0.5)).accumulate == 2


def test_a_lane_takes_a_plain_loss() -> None:
    plain, clipped = nn.BCEWithLogitsLoss(), nn.BCELoss()
    found = small(LaneRecipe(plain, SGD), LaneRecipe(clipped, SGD, accumulate=2), outputs=("raw", "probabilities"))
    assert found.verdict.relation == "equal"
    assert (found.about["left"], found.about["right"]) == ("BCEWithLogitsLoss", "BCELoss")
    rows: list[dict[str, float]] = []
    train(recipe(steps=2), LaneRecipe(plain, SGD), rows.append)
    kept = list(rows)
    rows.clear()
    train(recipe(steps=2), lane_recipe(plain), rows.append)
    assert repr(kept) == repr(rows)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (TensorDataset(X, Y), r"TensorDataset; a TensorDataset has them as its \.tensors"),
        ((X, Y, Y, Y), "4 items"),
        ((X,), "1 items"),
        ({"x": X, "y": Y}, "dict"),
        (X[:2], "Tensor"),
        (XN[:2], "ndarray"),
        (FRAME[:2], "DataFrame"),
        (None, "None"),
        ("xy", "'xy'"),
    ],
)
def test_data_is_a_dataset_or_a_pair(data: Any, found: str) -> None:
    refused(lambda: small(data=data), rf"a Dataset or a pair \(x, y\).*found.*{found}", DataError)


def test_batches_are_taken_as_they_come() -> None:
    for batches in (DataLoader(TensorDataset(X, Y)), iter((X, Y))):
        refused(lambda batches=batches: small(data=batches), "batches already, one a step; give batch_size=None")
    refused(lambda: small(data=(X, Y, Y)), r"data: the third part: .* a dict by names is needed")


class Masked(list):
    pass


def masked(values: Any, *places: Any) -> Any:
    found = np.ma.array(values, mask=False)
    for place in places:
        found[place] = np.ma.masked
    return found


def missing(dtype: str) -> pd.Series:
    return pd.Series([None, *(int(v) for v in YN[1:])], dtype=dtype)


REFUSED: dict[str, tuple[Any, Any, str]] = {
    "uint64": (XN, YN.astype(np.uint64) + np.uint64(BEYOND), "y holds 9223372036854775809, a whole number beyond"),
    "uint64 in x": (np.array([BEYOND, 1] * 48, np.uint64), YN, "x holds 9223372036854775808"),
    "uint64 of torch": (torch.tensor([BEYOND, 1] * 48, dtype=torch.uint64), YN, "x holds 9223372036854775808"),
    "uint64 from a list": ([BEYOND] * 96, YN, "x holds 9223372036854775808"),
    "uint64 of pandas": (XN, pd.Series([BEYOND, 1] * 48, dtype="UInt64"), "y holds 9223372036854775808"),
    "int64 beyond 2^53": (
        XN,
        np.where(YN > 0, 2**53 + 1, 0),
        "y: row .* holds 9007199254740993, a whole number beyond",
    ),
    "int64 of torch": (torch.tensor([[2**60 + 1], [0]] * 48), YN, "row 0, column 0 holds 1152921504606846977"),
    "other index": (FRAME.sample(frac=1, random_state=1), pd.Series(YN), "the indexes of x and y differ"),
    "int of 70 bits": ([2**70] * 96, YN, "found dtype object"),
    "mask": (masked(XN, (3, 1)), YN, r"x: 1 of 384 entries are masked, the first at \[3, 1\]"),
    "mask of y": (XN, masked(YN, 5, 6), r"y: 2 of 96 entries are masked, the first at \[5\]"),
    "masks in a list": (list(masked(XN, (3, 1))), YN, "x: 1 of 4 entries are masked"),
    "masks in a tuple of lists": (tuple([row] for row in masked(XN, (3, 1))), YN, "entries are masked"),
    "masks in a list of a kind": (Masked(masked(XN, (3, 1))), YN, "entries are masked"),
    "the masked": (XN, [np.ma.masked, *YN[1:]], "y: 1 of 1 entries are masked"),
    "structured": (np.zeros(96, [("a", "f8")]), YN, "found dtype"),
    "object": (XN.astype(object), YN, "found dtype object"),
    "decimal": (XN, [Decimal(1)] * 96, "found dtype object"),
    "dates": (XN.astype("M8[s]"), YN, "found dtype datetime64"),
    "times": (XN.astype("m8[s]"), YN, "found dtype timedelta64"),
    "text": (XN, [str(v) for v in YN], "found dtype <U1"),
    "bytes": (b"abc", YN, "found dtype"),
    "complex": (XN + 0j, YN, "found dtype complex128"),
    "complex of torch": (X.to(torch.complex64), Y, "must hold real numbers"),
    "complex in a list": (list(X.to(torch.complex64)), Y, "must hold real numbers"),
    "too long": (XN.astype(np.longdouble) * np.longdouble("1e400"), YN, "too large for float64"),
    "ragged": ([[1.0, 2.0], [3.0]] * 48, YN, "not a rectangular array"),
    "ragged tensors": ([X[0], X[1][:2]] * 48, YN, "not a rectangular array"),
    "sparse": (X.to_sparse(), Y, r"x is sparse \(sparse_coo\); give .to_dense"),
    "sparse in a list": ([X[0].to_sparse()] * 96, Y, "x is sparse"),
    "meta": (X.to("meta"), Y, "x is on the device 'meta'"),
    "NA": (FRAME.astype("Float64").where(FRAME > -1), YN, "x, column '0': row 0 is missing"),
    "NA of whole numbers": (XN, missing("Int64"), "y: row 0 is missing"),
    "NA of truth values": (XN, missing("boolean"), "y: row 0 is missing"),
    "NaN": (FRAME.where(FRAME > -1), YN, "row 0 is missing"),
    "no number": (pd.NA, YN, "x must hold numbers"),
    "categories": (XN, pd.Series(["a", "b"] * 48, dtype="category"), "found dtype category"),
    "date column": (pd.DataFrame({"when": pd.date_range("2020", periods=96)}), YN, "column 'when' must hold numbers"),
    "text column": (pd.DataFrame({"a": XN[:, 0], "b": ["x"] * 96}), YN, "column 'b' must hold numbers"),
    "set": ({1, 2}, YN, "found dtype object"),
    "dict": ({"a": XN}, YN, "found dtype object"),
    "generator": ((v for v in XN), YN, "found dtype object"),
    "None": (None, YN, "found dtype object"),
    "empty": (XN[:0], YN[:0], "no rows or no features"),
    "no columns": (FRAME.iloc[:, :0], YN, "no rows or no features"),
    "number": (np.array(3.0), np.array(1), r"found shape \(\)"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_arrays_that_cannot_be_read_right_are_refused(case: str) -> None:
    x, y, words = REFUSED[case]
    refused(lambda: from_arrays(x, y), words, DataError)


def test_odd_tensors_and_a_list_in_itself_are_refused() -> None:
    itself: list[Any] = []
    itself.append(itself)
    refused(lambda: from_arrays(itself, YN), "more than 32 deep", DataError)
    with warnings.catch_warnings():  # torch says that these are prototypes, or on their way out
        warnings.simplefilter("ignore")
        nested = [torch.nested.nested_tensor([X[0], X[1]], layout=kind) for kind in (torch.strided, torch.jagged)]
        quantized = torch.quantize_per_tensor(X.float(), 0.1, 0, torch.qint8)
        csr = X.to_sparse_csr()
        masked = torch.masked.masked_tensor(X, X > 0)
    for tensor in nested:
        refused(lambda tensor=tensor: from_arrays(tensor, YN), "nested tensor", DataError)
    refused(lambda: from_arrays(quantized, YN), "x is quantized.*dequantize", DataError)
    refused(lambda: from_arrays(csr, YN), r"x is sparse \(sparse_csr\)", DataError)
    refused(lambda: from_arrays(masked, YN), "x is a masked tensor", DataError)


ROUND = (XN * 8).round()
READ: dict[str, tuple[Any, Any]] = {
    "numpy": (ROUND, YN),
    "tuple": (tuple(map(tuple, ROUND)), tuple(YN)),
    "pandas": (pd.DataFrame(ROUND, index=range(96, 0, -1)), pd.Series(YN, index=range(96, 0, -1))),
    "nullable": (pd.DataFrame(ROUND).astype("Int64"), pd.Series(YN, dtype="boolean")),
    "a column": (pd.DataFrame(ROUND), pd.DataFrame({"y": YN})),
    "categories": (pd.DataFrame(ROUND), pd.Series(YN).astype("category")),
    "mixed columns": (pd.DataFrame(ROUND).astype({0: "Int32", 1: "int8", 2: "float32"}), YN.astype(bool)),
    "mask with nothing masked": (np.ma.array(ROUND, mask=False), np.ma.array(YN)),
    "big-endian": (ROUND.astype(">f4"), YN.astype(">i2")),
    "long": (ROUND.astype(np.longdouble), YN.astype(np.uint64)),
    "half": (ROUND.astype(np.float16), torch.from_numpy(YN).to(torch.uint16)),
    "matrix": (ROUND.view(np.matrix), torch.from_numpy(YN).to(torch.uint64)),
    "bfloat16": (torch.from_numpy(ROUND).bfloat16(), torch.from_numpy(YN).bool()),
    "with gradients": (torch.from_numpy(ROUND).requires_grad_(), Y),
    "list of tensors": ([row.requires_grad_() for row in torch.from_numpy(ROUND.copy())], list(Y)),
    "list of float32 scalars": ([[np.float32(v) for v in row] for row in ROUND], list(YN)),
    "reversed": (ROUND[::-1][::-1], YN[::-1][::-1]),
}


@pytest.mark.parametrize("case", READ)
def test_arrays_of_many_kinds_are_read_as_the_same_numbers(case: str) -> None:
    x, y = READ[case]
    found = from_arrays(x, y)
    assert np.array_equal(found.x.numpy(), ROUND)
    assert np.array_equal(found.y.numpy(), YN)
    assert from_arrays(x, y, None).targets == TargetSpace("binary")


def test_numpy_and_pandas_pairs_compare_as_tensors_do() -> None:
    plain = small(data=(X, Y)).trace
    for pair in ((XN, YN), (FRAME, pd.Series(YN)), [FRAME, pd.Series(YN, dtype="boolean")], (XN.tolist(), YN.tolist())):
        found = small(data=pair)
        assert found.verdict.relation == "equal"
        assert all(found.trace[name].tobytes() == column.tobytes() for name, column in plain.items())


@pytest.mark.parametrize(
    ("name", "value"),
    [("held_out", "0.2"), ("held_out", None), ("held_out", True), ("held_out", math.nan), ("held_out", 1),
     ("standardize", "false"), ("standardize", 1), ("seed", 1.5), ("seed", "0"), ("targets", 3), ("targets", "classes")],
)  # fmt: skip
def test_other_arguments_of_from_arrays_are_refused_by_name(name: str, value: Any) -> None:
    refused(lambda: from_arrays(X, Y, **{name: value}), f"^{name}")


def test_a_dataset_made_by_hand_is_checked_too() -> None:
    for x in (X.to_sparse(), XN, X.to("meta"), X.to(torch.complex64)):
        refused(lambda x=x: Dataset("mine", x, Y, TargetSpace("binary"), X[:0], Y[:0]), "mine: x", DataError)
    refused(lambda: mlnn.training.Recipe((X, Y), network, 1, None), "from_arrays")  # type: ignore[arg-type]


def test_many_classes_are_refused_at_once_or_cost_no_square_of_memory() -> None:
    begun = time.perf_counter()
    for text in ("classes(1000000000)", "classes(999999999999999999999999)"):
        refused(lambda text=text: assert_same_objective(nn.CrossEntropyLoss(), bce, text), "2 to 1048576")
        refused(lambda text=text: mlnn.audit(nn.CrossEntropyLoss(), text), "2 to 1048576")
    refused(lambda: TargetSpace("classes", 10**9), "2 to 1048576")
    refused(lambda: TargetSpace("clases", 3), "Did you mean 'classes'")
    refused(lambda: TargetSpace("counts", 3), "only classes")
    assert time.perf_counter() - begun < 1
    grid = mlnn.objectives.grid.make_grid(TargetSpace("classes", 40_000))
    assert grid.output.numel() < 2_000_000
    assert grid.output[0].count_nonzero() == 1
    assert int(grid.moderate.sum()) >= 6


class Returning(nn.Module):
    """A linear model whose output is made into something else."""

    def __init__(self, make: Callable[[Tensor], Any], keep: Any = None) -> None:
        super().__init__()
        self.linear, self.make, self.keep = nn.Linear(4, 1), make, keep

    def forward(self, x: Tensor) -> Any:
        return self.make(self.linear(x))


@pytest.mark.sampled(6)
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda z: (z, z), "returned tuple of 2 entries"),
        (lambda z: {"loss": z}, "returned dict of 1 entries"),
        (lambda _: None, "returned NoneType"),
        (lambda z: z.detach().numpy(), "returned ndarray"),
        (lambda z: z.to(torch.complex64), "output is complex"),
        (lambda z: z.to_sparse(), "output is sparse"),
        (lambda z: z.long(), "of dtype int64"),
        (lambda z: z[:-1], r"shape \(31,\) for 32 rows"),
        (lambda z: z.expand(-1, 2), r"shape \(32, 2\).*\(32,\) or \(32, 1\)"),
        (lambda z: z[:, :, None], r"shape \(32, 1, 1\)"),
        (lambda z: z.sum(), r"shape \(\)"),
        (lambda _: 1 / 0, "raised ZeroDivisionError"),
    ],
)
def test_a_model_that_returns_something_else_is_refused(make: Callable[[Tensor], Any], words: str) -> None:
    refused(lambda: small(model=lambda: Returning(make)), f"^model.*{words}")
    refused(lambda: train(recipe(model=lambda: Returning(make)), lane_recipe(), lambda _: None), f"^model.*{words}")


def test_one_output_too_many_or_too_few_for_the_classes_is_refused() -> None:
    entropy, y = nn.CrossEntropyLoss(), torch.arange(96) % 3
    for count in (2, 4):
        refused(lambda c=count: small(entropy, entropy, (X, y), model=lambda: nn.Linear(4, c)), r"\(32, 3\) is needed")
    assert small(entropy, entropy, (X, y), model=lambda: nn.Linear(4, 3)).verdict.relation == "bitwise"


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    ("factory", "words"),
    [
        (lambda: Returning(lambda z: z, threading.Lock()), "Returning cannot be copied.*lock"),
        (lambda: Returning(lambda z: z, torch.ones(1, requires_grad=True) * 2), "Returning cannot be copied"),
        (lambda: Returning(lambda z: z, (v for v in "ab")), "Returning cannot be copied.*generator"),
        (lambda: nn.Linear(4, 1, dtype=torch.complex64), "'weight' of Linear is complex"),
        (lambda: nn.Linear(4, 1, device="meta"), "'weight' of Linear is on the device 'meta'"),
        (lambda: nn.Sequential(nn.LazyConv2d(3, 3)), "raised RuntimeError"),
        (lambda: 1 / 0, "raised ZeroDivisionError"),
    ],
)
def test_a_model_that_no_lane_can_train_is_refused(factory: Callable[[], Any], words: str) -> None:
    refused(lambda: small(model=factory), f"^model.*{words}")
    refused(lambda: small(right=LaneRecipe(log1p, SGD, model=factory)), f"^model.*{words}")


@pytest.mark.rest
def test_a_lazy_model_is_made_under_the_seed_of_the_weights() -> None:
    def lazy() -> nn.Module:
        return nn.Sequential(nn.LazyLinear(8), nn.LazyBatchNorm1d(), nn.Dropout(0.5), nn.ReLU(), nn.LazyLinear(1))

    one, two, other = small(model=lazy, steps=2), small(model=lazy, steps=2), small(model=lazy, steps=2, seed=1)
    assert one.verdict.relation == "equal"
    assert one.trace["loss_left"].tobytes() == two.trace["loss_left"].tobytes() != other.trace["loss_left"].tobytes()
    both = small(log1p, LaneRecipe(log1p, SGD, model=lazy), model=lazy)
    assert both.verdict.relation == "bitwise"


def refusing(exception: Exception) -> Callable[[Tensor, Tensor], Tensor]:
    def loss(_z: Tensor, _y: Tensor) -> Tensor:
        raise exception

    return loss


class Speechless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("nothing to say")


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (lambda z, y: log1p(z, y).to(torch.complex64), "returned complex64"),
        (lambda _z, _y: 1.0, "returned float, not a tensor"),
        (lambda _z, _y: 1, "returned int, not a tensor"),
        (lambda _z, _y: None, "returned NoneType"),
        (lambda z, y: log1p(z, y).mean().item(), "returned float.*no gradient"),
        (lambda z, _y: (z > 0).long(), "returned int64"),
        (lambda z, y: log1p(z, y).to_sparse(), "sparse"),
        (lambda z, y: z[:, None] - y, "did it broadcast"),
        (lambda z, y: log1p(z, y).detach(), "does not depend on the raw output"),
        (lambda _z, _y: torch.tensor(1.0, requires_grad=True), "does not depend on the raw output"),
        (refusing(KeyError("a")), "raised KeyError"),
        (refusing(Speechless()), "raised Speechless"),
    ],
)
def test_an_objective_that_answers_something_else_is_refused(loss: Any, words: str) -> None:
    refused(lambda: small(right=loss), words)
    refused(lambda: small(left=loss), words)
    refused(lambda: train(recipe(), LaneRecipe(loss, SGD), lambda _: None), words)
    with pytest.raises(AssertionError, match=words) as caught:
        assert_same_objective(log1p, loss)
    assert caught.value.verdict is None
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


class Closing(torch.optim.SGD):
    """Takes its step from a closure, which it calls with gradients off and asks for a tensor."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor]) -> Tensor:  # type: ignore[override]
        first, again = closure().item(), closure().item()
        assert math.isfinite(first + again)
        return super().step()


class Plain(torch.optim.SGD):
    def step(self) -> None:  # type: ignore[override]
        super().step()


@pytest.mark.rest
def test_optimizers_with_and_without_a_closure_take_the_same_steps() -> None:
    plain = small(steps=3, engine="plain").trace
    for kind in (Closing, Plain):
        found = small(steps=3, optimizer=partial(kind, lr=0.1))
        assert found.verdict.relation == "equal"
        assert found.trace["loss_left"].tobytes() == plain["loss_left"].tobytes()


def test_an_optimizer_of_other_weights_or_that_fails_is_refused() -> None:
    shared = torch.optim.SGD(network().parameters(), lr=0.1)
    refused(lambda: small(optimizer=lambda _: shared), "^optimizer: .* of other weights")
    refused(lambda: small(optimizer=torch.optim.SparseAdam), "^optimizer raised RuntimeError")
    refused(lambda: small(optimizer=partial(torch.optim.SGD, lr=-1.0)), "^optimizer raised ValueError")
