"""What an estimate is handed, as it is taken: data sets, pairs, frames, text, and rows that miss a value."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import mlnn
from mlnn.data import Dataset, from_arrays
from mlnn.data.formula import read_formula
from mlnn.errors import ConfigError, DataError
from mlnn.estimating import given as module
from mlnn.estimating.given import Given, given
from mlnn.likelihoods import Bernoulli

X = np.array([[1.0, 5.0], [2.0, 3.0], [4.0, 4.0], [7.0, 0.0], [5.0, 1.0]])
Y = np.array([0.0, 1.0, 0.0, 1.0, 1.0])
FRAME = pd.DataFrame(X, columns=["a", "b"]).assign(y=Y, w=[1, 2, 1, 1, 3], o=[0.1, 0.2, 0.3, 0.4, 0.5])
HOLED = FRAME.assign(a=[1, np.nan, 4, 7, 5], o=[0.1, 0.2, 0.3, 0.4, np.nan])
LABELS = ["no", "yes", "no", "yes", "yes"]


def taken(data: Any, frame: Any = None, name: Any = "bernoulli", missing: str = "refuse", **how: Any) -> Given:
    asked: dict[str, Any] = {"intercept": True, "weights": None, "offset": None} | how
    return given(name, data, frame, how_missing=missing, **asked)


def said_by_formula(**extras: Any) -> Dataset:
    data = from_arrays(X, Y, "binary", extras=extras or None)
    return replace(data, terms=read_formula("y ~ a + b - 1", FRAME).terms, dropped=2)


@pytest.mark.parametrize(("dropped", "problem", "told"), [
    (2, "x: row 3 is inf", "x: row 3 is inf (rows are counted without the 2 that were left out)"),
    (0, "x: row 3 is inf", "x: row 3 is inf"), (2, "x: column 'a' is constant", "x: column 'a' is constant"),
])  # fmt: skip
def test_an_error_says_how_rows_are_counted_where_some_were_left_out(dropped: int, problem: str, told: str) -> None:
    with pytest.raises(DataError) as caught, Given(None, dropped=dropped).counted():
        raise DataError(problem)
    assert str(caught.value) == told


@pytest.mark.parametrize("model", [None, lambda: nn.Linear(2, 1)])
def test_an_answer_keeps_what_is_known_of_its_rows_where_it_has_any(model: Any) -> None:
    found = mlnn.estimate("normal", (X, Y), model=model)
    terms = read_formula("y ~ a + b", FRAME).terms
    known = Given(None, terms=terms, labels=("no", "yes"), target="what", notes=("more",)).told(found)
    assert known.rows is not None
    assert (known.rows.terms, known.rows.classes, known.terms) == (terms, ("what=no", "what=yes"), terms)
    assert known.notes == (*found.notes, "more")
    assert Given(None).told(replace(found, rows=None)).rows is None


def test_what_is_no_pair_goes_on_as_it_is() -> None:
    for data in (7, (X, Y, Y), [X], {"a": X}):
        found = taken(data, weights=[1], offset=[2], intercept=False)
        assert found.data is data
        assert (found.weights, found.offset, found.intercept) == ([1], [2], False)
    assert taken([X, Y]).data[0] is X
    for other in ((X, Y), 7):
        with pytest.raises(ConfigError, match="it goes with a formula"):
            taken(other, FRAME)


def test_a_data_set_has_its_own_offset_formula_and_notes() -> None:
    plain, moved = from_arrays(X, Y, "binary"), from_arrays(X, Y, "binary", extras={"offset": Y})
    assert taken(plain).offset is None
    assert taken(plain, offset=[1, 2]).offset == [1, 2]
    assert torch.equal(taken(moved).offset, torch.from_numpy(Y))
    assert taken(plain).notes == ()
    assert taken(plain, intercept=False).intercept is False
    with pytest.raises(ConfigError, match="one of its own"):
        taken(moved, offset=[1, 2])
    found = taken(said_by_formula())
    assert (found.intercept, found.offset, found.terms is None) == (False, None, False)
    assert found.notes == ("2 of 7 rows left out: a value that is used is missing there",)
    assert taken(said_by_formula(), offset=[1, 2]).offset == [1, 2]
    assert torch.equal(taken(said_by_formula(offset=Y)).offset, torch.from_numpy(Y))
    with pytest.raises(ConfigError, match="which says it itself"):
        taken(said_by_formula(), intercept=False)


@pytest.mark.parametrize(("data", "frame", "how", "error", "words"), [
    ("y ~ a", None, {}, ConfigError, "needs a frame"),
    ("y ~ a", FRAME, {"intercept": False}, ConfigError, "says it itself"),
    ("y ~ a", FRAME[:0], {}, DataError, "the frame has no rows"), ("~ a", FRAME, {}, ConfigError, "has no target"),
    ("y ~ a", HOLED, {}, DataError, "row 1, column 'a' is missing"),
    ("y ~ b", FRAME, {"weights": "c"}, DataError, "weights: "),
    ("y ~ b", FRAME, {"offset": "c"}, DataError, "offset: "),
    ((X, Y), None, {"weights": "c"}, DataError, "weights must hold numbers; 'c' would"),
    ((X, Y), None, {"offset": "c"}, DataError, "offset must hold numbers; 'c' would"),
    ((FRAME, "y"), None, {}, ConfigError, "'y' names a column"),
    ((FRAME.assign(a=list("pqrst")), Y), None, {}, DataError, r"column 'a' holds text \('p'\)"),
    ((FRAME.assign(a=[1, None, 2, "p", 3]), Y), None, {}, DataError, r"column 'a' holds text \('p'\)"),
    ((FRAME.assign(a=pd.Categorical(list("pqrst"))), Y), None, {}, DataError, "column 'a' holds levels"),
    ((FRAME.assign(a=pd.date_range("2020-01-01", periods=5)), Y), None, {}, DataError, "column 'a' holds datetime"),
    ((FRAME.assign(a=pd.to_timedelta(Y, "D")), Y), None, {}, DataError, "column 'a' holds timedelta"),
    ((X * np.nan, Y), None, {"missing": "drop"}, DataError, "every one of the 5 rows misses"),
    ((X, LABELS), None, {"name": "poisson"}, DataError,
    r"\('no', 'yes'\); say which one counts as 1: I\(y == 'yes'\)"),
    ((X, list("abcde")), None, {"name": "poisson"}, DataError, r"'d', …\); numbers are needed$"),
    ((X, list("abcda")), None, {"name": Bernoulli()}, DataError, r"'d'\); numbers are needed$"),
    ((X, LABELS), None, {"name": "ordinal"}, DataError, "no order of its own"),
])  # fmt: skip
def test_what_is_not_taken(data: Any, frame: Any, how: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        taken(data, frame, **how)


def test_a_formula_takes_its_columns_and_leaves_out_rows_that_miss_one() -> None:
    whole = taken("y ~ a", FRAME, weights="w", offset="o")
    assert (whole.dropped, whole.notes, whole.intercept, whole.constant) == (0, (), True, "Intercept")
    assert (list(whole.weights), list(whole.offset)) == ([1, 2, 1, 1, 3], [0.1, 0.2, 0.3, 0.4, 0.5])
    assert taken("y ~ b", HOLED).dropped == 0, "of the columns that are used none misses a value"
    found = taken("y ~ a", HOLED, missing="drop", weights="w", offset="o")
    assert found.data[0][:, 0].tolist() == [1, 4, 7]
    assert (list(found.data[1]), list(found.weights), list(found.offset)) == ([0, 0, 1], [1, 1, 1], [0.1, 0.3, 0.4])
    assert found.dropped == 2
    assert found.notes == ("2 of 5 rows left out: a value that is used is missing there (missing='drop')",)
    assert taken("y ~ 1", FRAME).data[0].shape == (5, 0)


def test_a_pair_leaves_out_rows_in_which_any_part_misses_a_value() -> None:
    x = X.copy()
    x[0, 1] = np.nan
    found = taken((x, [0, None, 1, 1, 0]), missing="drop", weights=[1, 2, 3, 4, 5], offset=[0, 0, 0, np.nan, 1])
    assert (found.data[0][:, 0].tolist(), found.data[1].tolist()) == ([4, 5], [1, 0])
    assert (found.weights.tolist(), found.offset.tolist(), found.dropped) == ([3, 5], [0, 1], 3)
    assert found.notes[0].startswith("3 of 5 rows left out")
    for missing, data in (("refuse", (x, Y)), ("drop", (X, Y)), ("drop", (x, Y[:4])), ("drop", (x, 1.0))):
        kept = taken(data, missing=missing)
        assert kept.data[0] is data[0], "whole, or refused further on"
        assert (kept.dropped, kept.notes) == (0, ())
    frame = taken((FRAME, Y), weights="w", offset="o")
    assert list(frame.data[0].columns) == ["a", "b", "y"]
    assert (list(frame.weights), list(frame.offset)) == ([1, 2, 1, 1, 3], [0.1, 0.2, 0.3, 0.4, 0.5])
    assert list(taken((FRAME, Y)).data[0].columns) == ["a", "b", "y", "w", "o"]
    assert taken((FRAME["a"].astype(object), Y)).data[0].tolist() == X[:, 0].tolist(), "a column alone is no table"
    assert list(taken((FRAME.assign(a=pd.Series([1, 2, 3, 4, 5], dtype=object)), Y)).data[0]["a"]) == [1, 2, 3, 4, 5]


def classes(*labels: str, ordered: bool = False) -> pd.Categorical:
    return pd.Categorical(LABELS, categories=list(labels), ordered=ordered)


@pytest.mark.parametrize(("y", "name", "labels", "codes", "target"), [
    (LABELS, "categorical", ("no", "yes"), [0, 1, 0, 1, 1], "y"),
    (np.array(LABELS), "categorical", ("no", "yes"), [0, 1, 0, 1, 1], "y"),
    (np.array(LABELS, dtype=object), "categorical", ("no", "yes"), [0, 1, 0, 1, 1], "y"),
    (pd.Series(LABELS, name="did"), "categorical", ("no", "yes"), [0, 1, 0, 1, 1], "did"),
    (classes("yes", "perhaps", "no"), "categorical", ("yes", "no"), [1, 0, 1, 0, 0], "y"),
    (pd.Series(classes("yes", "no", ordered=True)), "ordinal", ("yes", "no"), [1, 0, 1, 0, 0], "y"),
])  # fmt: skip
def test_classes_that_are_text_are_numbered(
    y: Any, name: str, labels: tuple[str, ...], codes: Any, target: str
) -> None:
    found = taken((X, y), name=name)
    assert (found.labels, list(found.data[1]), found.target) == (labels, codes, target)
    first = "" if name == "ordinal" else ", the first the baseline"
    assert found.notes == (f"classes of {target}, in order{first}: {', '.join(labels)}",)


def test_numbers_of_classes_keep_the_index_of_their_column() -> None:
    column = pd.Series(LABELS, index=[4, 3, 2, 1, 0])
    assert list(taken((X, column), name="categorical").data[1].index) == [4, 3, 2, 1, 0]
    assert isinstance(taken((X, LABELS), name="categorical").data[1], np.ndarray)
    many = [f"c{k}" for k in range(9)]
    assert taken((np.arange(9.0), many), name="categorical").notes[0].endswith("c6, c7, …")
    assert taken((np.arange(8.0), many[:8]), name="categorical").notes[0].endswith("c6, c7")


@pytest.mark.parametrize(("make", "told"), [
    (lambda: Y, None), (lambda: np.array([1, 2], dtype=object), None), (lambda: ["a", None], None),
    (lambda: ("a", "b"), ["a", "b"]),
    (lambda: np.array([b"a", b"b"]), None), (lambda: torch.ones(2), None), (lambda: "ab", None), (list, None),
    (lambda: pd.Series(["a", "b"]), ["a", "b"]), (lambda: pd.Series([1, 2]), None), (lambda: np.array(["a"]), ["a"]),
])  # fmt: skip
def test_what_holds_text(make: Callable[[], Any], told: Any) -> None:
    assert module._texts(make()) == told


class Labelled:
    def nll(self, output: Any, target: Any) -> Any: ...


@pytest.mark.parametrize(("likelihood", "of_classes", "ordered"), [
    ("categorical", True, False), ("ordinal", True, True), ("normal", False, False), (Bernoulli(), False, False),
    (Labelled(), False, False),
])  # fmt: skip
def test_which_likelihoods_are_for_classes(likelihood: Any, of_classes: bool, ordered: bool) -> None:
    assert (module._of_classes(likelihood), module._ordered(likelihood)) == (of_classes, ordered)
    assert module._kinds(Labelled()) == ()
