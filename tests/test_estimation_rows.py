"""The rows of an estimate as a design holds them: what is read, refused, and handed out, on both sides of each rule."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from mlnn.data import from_arrays
from mlnn.errors import ConfigError, DataError
from mlnn.estimating.catalogue import family_of
from mlnn.estimating.linear import beside
from mlnn.estimating.linear.design import Design, _binomial, design_of, same_columns, shape_of

f64 = torch.float64
X = torch.tensor([[1.0, 5.0], [2.0, 3.0], [4.0, 4.0], [7.0, 0.0]], dtype=f64)
Y = torch.tensor([0.5, 1.5, -1.0, 2.0], dtype=f64)
COUNTS = torch.tensor([0.0, 2.0, 1.0, 3.0], dtype=f64)


def read(data: Any, name: Any = "normal", intercept: Any = True, weights: Any = None, **how: Any) -> Design:
    return design_of(data, family_of(name), intercept, weights, **how)[0]


def bare(x: Tensor, intercept: bool = True, **parts: Any) -> Design:
    names = tuple(f"x{j}" for j in range(x.shape[1]))
    made: dict[str, Any] = {"y": torch.zeros(len(x), dtype=f64), "weights": None} | parts
    shift = x.mean(0) if intercept else torch.zeros(x.shape[1], dtype=f64)
    return Design(x, made.pop("y"), made.pop("weights"), intercept, shift, names, **made)


def test_weights_and_offset_stand_beside_their_rows() -> None:
    weights, offset = torch.tensor([1.0, 2.0, 0.5, 3.0]).double(), torch.tensor([1.0, -1.0, 2.0, 0.0]).double()
    plain, both = bare(X), bare(X, weights=weights, offset=offset)
    assert (plain.nobs, both.nobs) == (4.0, 6.5)
    rows, beta = slice(1, 3), torch.tensor([[1.0], [10.0]]).double()
    values = torch.ones(2, 3).double()
    assert plain.weigh(rows, values) is values
    assert both.weigh(rows, values)[:, 0].tolist() == [2.0, 0.5]
    assert plain.raw(rows, X[rows], beta)[:, 0].tolist() == [32.0, 44.0]
    assert both.raw(rows, X[rows], beta)[:, 0].tolist() == [31.0, 46.0]
    some = both.every(2)
    assert some.weights is not None
    assert some.offset is not None
    assert (some.x[:, 0].tolist(), some.weights.tolist(), some.offset.tolist()) == ([1, 4], [1, 0.5], [1, 2])
    assert (plain.every(2).weights, plain.every(2).offset) == (None, None)


def test_a_constant_alone_has_a_row_for_each_target_unless_rows_have_an_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "MANY", 4)
    design = bare(X, y=torch.tensor([1.0, 0.0, 1.0, 1.0]).double())
    found = design.without_features()
    assert found.weights is not None
    assert (found.y.tolist(), found.weights.tolist(), found.intercept, found.width) == ([0, 1], [1, 3], True, 1)
    assert len(replace(design, offset=torch.arange(4).double()).without_features().y) == 4


@pytest.mark.parametrize(("many", "few", "y", "weights", "told"), [
    (4, 2, [1, 0, 1, 1], None, ([0, 1], [1, 3])), (5, 2, [1, 0, 1, 1], None, None), (4, 1, [1, 0, 1, 1], None, None),
    (4, 2, [1, 0, 1, 1], [1, 5, 1, 2], ([0, 1], [5, 4])), (2, 3, [1, 0, 1, 3], None, None),
    (2, 2, [1, 0, 1, 0], None, ([0, 1], [2, 2])),
])  # fmt: skip
def test_equal_targets_of_many_rows_are_counted(
    many: int, few: int, y: list[float], weights: list[float] | None, told: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of four rows with two or three different targets; the first `many` are looked through for them."""
    monkeypatch.setattr(beside, "MANY", many)
    monkeypatch.setattr(beside, "FEW_TARGETS", few)
    targets, counts = torch.tensor(y).double(), None if weights is None else torch.tensor(weights).double()
    found = beside.counted(targets, counts)
    if told is None:
        assert found[0] is targets
        assert found[1] is counts
    else:
        assert found[1] is not None
        assert (found[0].tolist(), found[1].tolist()) == told


@pytest.mark.parametrize(("weights", "words"), [
    ([1.0, 2.0], "one per row"), ([1, 2, 3, -1], "row 3 holds -1.0"), ([1, math.inf, 3, 1], "row 1 holds inf"),
    ([0, 0, 0, 0], "all are 0"), ([0, 0, 0, 1e-9], None), (None, None),
])  # fmt: skip
def test_what_a_weight_is(weights: Any, words: str | None) -> None:
    if words is None:
        found = beside.weights_of(weights, 4)
        assert (None if found is None else found.tolist()) == weights
    else:
        with pytest.raises(DataError, match=words):
            beside.weights_of(weights, 4)


@pytest.mark.parametrize(("name", "offset", "words"), [
    ("normal", None, None), ("normal", [1, 2, 3, 4], None), ("ordinal", [1, 2, 3, 4], None),
    ("categorical", [1, 2, 3, 4], "changes nothing"), ("categorical", None, None), ("normal", [1, 2], "one per row"),
    ("normal", [1, 2, math.nan, 4], "row 2 holds nan"),
])  # fmt: skip
def test_what_an_offset_is(name: str, offset: Any, words: str | None) -> None:
    if words is None:
        found = beside.offset_of(offset, 4, family_of(name))
        assert (None if found is None else found.tolist()) == offset
    else:
        with pytest.raises(ConfigError if "changes" in words else DataError, match=words):
            beside.offset_of(offset, 4, family_of(name))


def test_rows_of_no_weight_are_left_out_with_all_that_stands_beside_them() -> None:
    found = read((X, Y), weights=[1, 0, 2, 3], offset=[1, 2, 3, 4], enough=False)
    assert found.weights is not None
    assert found.offset is not None
    assert found.x[:, 0].tolist() == [1, 4, 7]
    assert (found.y.tolist(), found.weights.tolist()) == ([0.5, -1, 2], [1, 2, 3])
    assert found.offset.tolist() == [1, 3, 4]
    assert read((X, Y), weights=[1, 0, 2, 3]).offset is None
    for weights, words in (
        ([1, 1, 2, 3], "y: all 4 targets"),
        ([1, 0, 2, 3], r"y \(rows with a weight above 0\): all 3"),
    ):
        with pytest.raises(DataError, match=words):
            read((X, torch.ones(4)), "bernoulli", weights=weights)


def test_a_share_is_a_target_where_rows_have_weights() -> None:
    y = torch.tensor([0.5, 0.0, 1.0, 0.25]).double()
    assert read((X, y), "bernoulli", weights=[2, 1, 1, 4]).binomial
    with pytest.raises(DataError, match="'binary'"):
        read((X, y), "bernoulli")
    with pytest.raises(DataError, match="counts"):
        read((X, y), "poisson", weights=[2, 1, 1, 4])


@pytest.mark.parametrize(("data", "how", "error", "words"), [
    ((X, Y), {"intercept": "yes"}, ConfigError, "True or False"),
    ((X, Y[:3]), {}, DataError, "do not match"), ((X, torch.stack([Y, Y], 1)), {}, DataError, "do not match"),
    ((X[:0], Y[:0]), {}, DataError, "no rows"), ((X.reshape(2, 2, 2), Y[:2]), {}, DataError, "reshape"),
    ((X, Y, Y), {}, ConfigError, "tuple of 3"), (7, {}, ConfigError, "found int$"),
    ((X[:2], Y[:2]), {}, DataError, "2 rows for 3"),
    ((X[:, :0], Y), {"intercept": False}, ConfigError, "nothing to est"),
    ((pd.DataFrame(X.numpy(), columns=["a", "a"]), Y), {}, DataError, "two columns are named 'a'"),
    ((pd.DataFrame(X.numpy(), columns=["a", "const"]), Y), {}, DataError, "as the constant that is added"),
    ((pd.DataFrame(X.numpy(), index=[3, 4, 5, 6]), pd.Series(Y.numpy())), {}, DataError, "index"),
    ((X, 1e150 * Y), {}, DataError, "row 3 is 2e\\+150"), ((X, -1e151 * Y), {}, DataError, "row 3 is -2e\\+151"),
    ((X, torch.zeros(4)), {"name": "bernoulli"}, DataError, "all 4 targets are 0"),
    ((X, torch.ones(4)), {"name": "bernoulli"}, DataError, "all 4 targets are 1"),
    ((X, torch.zeros(4)), {"name": "poisson"}, DataError, "all counts are 0"),
    ((X, torch.tensor([0, 2, 2, 0])), {"name": "categorical"}, DataError, "no row of class 1"),
    ((X, torch.zeros(4).long()), {"name": "categorical"}, DataError, "no row of class 1"),
    ((X, torch.tensor([0.5, 0.2, 1.0, 0.1])), {"name": "beta"}, DataError, "row 2 is 1; a beta"),
    ((X / torch.tensor([[1, 1], [0, 1], [1, 1], [1, 1]]), Y), {}, DataError, "row 1, column 'x0' is inf"),
    ((torch.tensor([[0.0, 1e308]] * 4), Y), {}, DataError, "x: row 0, column 'x1' is inf"),
    ((torch.tensor([[0.0, 1e308]] * 4, dtype=f64), Y), {}, DataError, "column 'x1' overflows"),
])  # fmt: skip
def test_what_no_design_is_made_of(data: Any, how: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        read(data, **how)


@pytest.mark.parametrize(("make", "names", "width"), [
    (lambda: read((X, Y), intercept=np.True_), ("x0", "x1"), 3), (lambda: read((X, Y[:, None])), ("x0", "x1"), 3),
    (lambda: read((X[:, 0], Y)), ("x0",), 2), (lambda: read((X, Y), names=["a", "b"]), ("a", "b"), 3),
    (lambda: read((X, Y), names=["a"]), ("x0", "x1"), 3), (lambda: read((X, Y), intercept=False), ("x0", "x1"), 2),
    (lambda: read((pd.DataFrame(X.numpy(), columns=["a", "const"]), Y), intercept=False), ("a", "const"), 2),
    (lambda: read((X[:, :0], Y)), (), 1), (lambda: read((X[:3], Y[:3])), ("x0", "x1"), 3),
    (lambda: read((X[:2], Y[:2]), enough=False), ("x0", "x1"), 3),
    (lambda: read((X.reshape(2, 2, 2), Y[:2]), few=True), ("x0", "x1", "x2", "x3"), 5),
    (lambda: read((pd.DataFrame(X.numpy(), columns=["a", "a"]), Y), few=True), ("a", "a"), 3),
    (lambda: read(from_arrays(X[:, None, :], Y, "real"), enough=False), ("x0", "x1"), 3),
    (lambda: read((X, 0.9e150 * Y.clamp(max=1))), ("x0", "x1"), 3),
    (lambda: read((X, torch.full((4,), 0.5)), "bernoulli", weights=[1, 1, 1, 1]), ("x0", "x1"), 3),
    (lambda: read((X, torch.tensor([0, 2, 1, 0])), "categorical", enough=False), ("x0", "x1"), 3),
    (lambda: read((X, COUNTS), "poisson"), ("x0", "x1"), 3), (lambda: read((X, 0 * Y), "normal"), ("x0", "x1"), 3),
])  # fmt: skip
def test_what_a_design_is_made_of(make: Callable[[], Design], names: tuple[str, ...], width: int) -> None:
    found = make()
    assert (found.features, found.width) == (names, width)


def test_a_data_set_brings_its_offset_unless_one_is_given() -> None:
    data = from_arrays(X, COUNTS, "counts", extras={"offset": torch.arange(4.0)})
    own, other = read(data, "poisson"), read(data, "poisson", offset=[1, 1, 1, 1])
    assert own.offset is not None
    assert other.offset is not None
    assert (own.offset.tolist(), other.offset.tolist()) == ([0, 1, 2, 3], [1, 1, 1, 1])
    assert shape_of(data) == (2,)
    assert shape_of((X, Y)) == (2,)


@pytest.mark.parametrize(("name", "y", "counts", "told"), [
    ("bernoulli", [0.5, 1, 0], [2, 1, 1], True), ("normal", [0.5, 1, 0], [2, 1, 1], False),
    ("bernoulli", [0.5], None, False),
    ("bernoulli", [0, 1, 1], [2, 1, 1], False), ("bernoulli", [0.3, 1], [2, 1], False),
    ("bernoulli", [0.4], [2.5], False),
    ("bernoulli", [0.5 + 2.5e-8], [2], False), ("bernoulli", [0.5 + 5e-10], [2], True),
    ("bernoulli", [0.5, 0.3], [2, 1], False),
])  # fmt: skip
def test_a_binomial_table_holds_whole_successes_in_whole_trials(name: str, y: Any, counts: Any, told: bool) -> None:
    weights = None if counts is None else torch.tensor(counts, dtype=f64)
    assert _binomial(family_of(name), torch.tensor(y, dtype=f64), weights) == told


def test_columns_that_tell_the_same_are_named() -> None:
    a, b = torch.tensor([1.0, 1.0, 1.0, 1.0]).double(), torch.tensor([1.0, -1.0, 1.0, -1.0]).double()
    c = torch.tensor([1.0, 1.0, -1.0, -1.0]).double()

    def told(*columns: Tensor, intercept: bool = True) -> str:
        return same_columns(bare(torch.stack(columns, 1), intercept))

    assert told(b, c) == ""
    assert told(b, a) == "column x1 is constant"
    assert told(b, a, intercept=False) == ""
    assert told(b, 0 * a, intercept=False) == "column x1 is nothing but 0"
    assert told(b, -2 * b) == "columns x0 and x1 tell the same"
    assert told(b, a + 1e-12 * c) == "", "a trillionth of it moves"
    assert told(b, a + 1e-14 * c) == "column x1 is constant"
    assert told(b, b + 4e-6 * c) == "", "their cosine is 1 − 8e-12"
    assert told(b, b + 1e-7 * c) == "columns x0 and x1 tell the same"
    assert told(*[k * a for k in range(1, 6)]) == ", ".join(f"column x{k} is constant" for k in range(5))
    assert told(*[k * a for k in range(1, 8)]).endswith("column x4 is constant and 2 more")
