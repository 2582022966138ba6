"""Numbers that somebody hands to an estimate are read where they lie, or copied where torch cannot read them there."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from mlnn.errors import DataError
from mlnn.estimating import reading
from mlnn.estimating.reading import own, view

HIDDEN = np.ma.masked


def same_memory(array: Any) -> bool:
    return bool(view(array, "x").data_ptr() == array.__array_interface__["data"][0])


@pytest.mark.parametrize(("array", "there", "dtype"), [
    (np.ones(3), True, torch.float64), (np.ones(3, dtype=np.float32), True, torch.float32),
    (np.ones((4, 2))[::2], True, torch.float64),
    (np.ones(3, dtype=np.int32), True, torch.int32), (np.ones(3, dtype=np.uint8), True, torch.uint8),
    (np.ones(3, dtype=bool), True, torch.bool), (np.ones(3, dtype=">f8"), False, torch.float64),
    (np.ones(3)[::-1], False, torch.float64), (np.ones((2, 3))[:, ::-1], False, torch.float64),
    (np.ones(3, dtype=np.longdouble), False, torch.float64), (np.ones(3, dtype=np.uint16), False, torch.float64),
    (np.ones(3, dtype=np.uint64), False, torch.float64), (np.ones(3, dtype=">i2"), False, torch.float64),
])  # fmt: skip
def test_an_array_is_read_in_place_where_torch_can(array: np.ndarray, there: bool, dtype: torch.dtype) -> None:
    found = view(array, "x")
    assert found.dtype == dtype
    assert found.tolist() == array.tolist()
    assert same_memory(array) == there


def test_a_tensor_is_read_in_place_and_wide_unsigned_ones_become_floats() -> None:
    for dtype, becomes in (
        (torch.float32, torch.float32), (torch.int64, torch.int64), (torch.uint8, torch.uint8),
        (torch.uint16, torch.float64),
        (torch.uint32, torch.float64), (torch.uint64, torch.float64),
    ):  # fmt: skip
        given = torch.ones(3, dtype=dtype)
        found = view(given, "x")
        assert found.dtype == becomes
        assert (found.data_ptr() == given.data_ptr()) == (dtype == becomes)
    with torch.inference_mode():
        frozen = torch.ones(3)
    assert not own(frozen).is_inference()
    plain = torch.ones(3)
    assert own(plain) is plain


@pytest.mark.parametrize(("values", "words"), [
    (torch.tensor(1.0), r"must be rows of real numbers, found torch.float32 of shape \(\)"),
    (3.0, "must be rows of real numbers"),
    (torch.ones(2) + 1j, "found torch.complex64"),
    (np.array([2**60 + 1, 2.0], dtype=object), "must hold numbers, found dtype object"),
    (torch.tensor([2**60 + 1]), "x"), (np.array([2**60 + 1]), "x"), (["a", "b"], "must hold numbers, found dtype"),
    (np.array([1.0, None], dtype=object), "row 1 is missing"),
    (np.array([[1.0, None]], dtype=object), "row 0, column 1 is missing"),
    ([[1.0], [1.0, 2.0]], "not a rectangular array"), (torch.ones(2, 2).to_sparse(), "a sparse tensor"),
    (torch.empty(2, device="meta"), "on the meta device"),
    (torch.nested.nested_tensor([torch.ones(1), torch.ones(2)], layout=torch.jagged), "nested"),
    (HIDDEN, "^x: the entry is masked"), (np.ma.MaskedArray(1.0, True), "^x: the entry is masked"),
    ([1.0, HIDDEN], "^x: row 1 is masked"), ([[1.0, HIDDEN]], "^x: row 0, column 1 is masked"),
    ([[[1.0, HIDDEN]]], "^x: row 0, column 0,1 is masked"),
    ([[[[1.0, HIDDEN]]]], "^x: row 0, column 0,0,1 is masked"),
    ([1, np.ma.MaskedArray([1.0, 2.0], [False, True])], "^x: row 1, column 1 is masked"),
    ((1.0, HIDDEN), "^x: row 1 is masked"), ((1.0, (2.0, HIDDEN)), "^x: row 1, column 1 is masked"),
])  # fmt: skip
def test_what_is_not_read(values: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        view(values, "x")


def test_masks_are_looked_for_in_lists_of_lists_and_no_deeper() -> None:
    reading._check_mask([[[[[1.0, HIDDEN]]]]], "x")
    reading._check_mask(np.ma.MaskedArray([1.0, 2.0], [False, False]), "x")
    assert view(np.ma.MaskedArray([1.0, 2.0]), "x").tolist() == [1, 2]
    assert view([[1, 2], [3, 4]], "x").tolist() == [[1, 2], [3, 4]]


class Sparse:
    """What scipy's matrices are like; `dense`: also an array."""

    def toarray(self) -> np.ndarray:
        return np.ones(2)


class Dense(Sparse):
    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.ones(2)


def test_a_sparse_matrix_is_refused_and_what_is_an_array_besides_is_not() -> None:
    assert view(Dense(), "x").tolist() == [1, 1]
    with pytest.raises(DataError, match=r"x\.toarray\(\)"):
        view(Sparse(), "x")


@pytest.mark.parametrize(("table", "read"), [
    (pd.DataFrame({"a": [1.0, 2.0], "b": [True, False]}), [[1, 1], [2, 0]]),
    (pd.Series([1, None], dtype="Int64"), [1, math.nan]), (pd.Series([1.0, 2.0]), [1, 2]),
    (pd.DataFrame({"a": pd.Series([1, None], dtype="Int64")}), [[1], [math.nan]]),
    (pd.DataFrame({"a": [1, 2]}), [[1, 2][0:1], [2]]),
])  # fmt: skip
def test_a_frame_of_numbers_is_read_as_numbers(table: Any, read: Any) -> None:
    found = view(table, "x")
    assert torch.equal(found.double().nan_to_num(-1.0), torch.tensor(read, dtype=torch.float64).nan_to_num(-1.0))


def test_a_frame_that_holds_more_than_numbers_is_left_as_it_is() -> None:
    for odd in (
        pd.DataFrame({"a": ["p", "q"], "b": [1.0, 2.0]}),
        pd.Series(["p", "q"]),
        pd.DataFrame({"a": [1.0, 2.0]}),
    ):
        assert reading._numbers(odd) is odd
    plain: Tensor = torch.ones(2)
    assert reading._numbers(plain) is plain
