"""Formulas over frames: columns and coefficients as statsmodels has them, frames of every make, text, missing rows, new rows."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
import torch

import mlnn
from mlnn.errors import ConfigError, DataError

DRAWS = np.random.default_rng(0)
ROWS = 200
FRAME = pd.DataFrame(
    {
        "y": DRAWS.integers(0, 2, ROWS),
        "x": DRAWS.normal(size=ROWS),
        "g": DRAWS.choice(["c", "a", "b"], ROWS),
        "k": DRAWS.integers(1, 4, ROWS),
        "flag": DRAWS.random(ROWS) > 0.5,
        "a b": DRAWS.random(ROWS),
        "mean.x": DRAWS.random(ROWS),
        "dose": DRAWS.random(ROWS) + 0.1,
        "count": DRAWS.poisson(3, ROWS),
    }
)
FRAME["h"] = pd.Categorical(FRAME.g, categories=["b", "c", "a", "never"])
FRAME["answer"] = np.where(FRAME.y == 1, "yes", "no")
log = np.log
FORMULAS = (
    "y ~ C(g) + log(dose)",
    "y ~ g*x",
    "y ~ C(k)",
    "y ~ Q('a b')",
    "y ~ bs(x, df=4)",
    "y ~ cr(x, df=3) - 1",
    "y ~ center(x)*g",
    "y ~ standardize(x) + k:dose",
    "y ~ C(g, Treatment('b'))",
    "y ~ C(g, Sum)",
    "y ~ C(g, Helmert)",
    "y ~ C(g) - 1",
    "y ~ 0 + x",
    "y ~ x + I(x**2)",
    "y ~ np.sqrt(dose)",
    "y ~ (x + k)**2",
)


@pytest.mark.parametrize("formula", FORMULAS)
def test_coefficients_are_those_of_statsmodels(formula: str) -> None:
    found = mlnn.estimate("bernoulli", formula, FRAME)
    theirs = smf.glm(formula, FRAME, family=sm.families.Binomial()).fit(tol=1e-14, maxiter=100)
    assert abs(found.llf - theirs.llf) < 1e-11
    assert np.abs(np.sort(found.params) - np.sort(theirs.params)).max() < 1e-12
    assert found.intercept == ("Intercept" in theirs.params)
    if "bs(" not in formula and "cr(" not in formula:  # patsy counts from 0, and a natural spline has another basis
        assert set(found.names) == set(theirs.params.index)


def test_a_bare_flag_is_a_number_and_levels_keep_their_order() -> None:
    assert mlnn.estimate("bernoulli", "y ~ flag", FRAME).names == ("flag", "Intercept")
    assert mlnn.estimate("bernoulli", "y ~ h", FRAME).names == ("h[T.c]", "h[T.a]", "Intercept")
    assert mlnn.estimate("bernoulli", "y ~ `mean.x` + center(`a b`)", FRAME).names[0] == "mean.x"


def polars() -> pl.DataFrame:
    """Made in the test: polars keeps threads, and what is imported here may be forked before a test runs."""
    return pl.from_pandas(FRAME.drop(columns="h"))


FRAMES: dict[str, Callable[[], Any]] = {
    "polars": polars,
    "polars categorical": lambda: polars().with_columns(pl.col("g").cast(pl.Categorical)),
    "arrow": lambda: pa.Table.from_pandas(FRAME.drop(columns="h")),
    "record batch": lambda: pa.Table.from_pandas(FRAME.drop(columns="h")).to_batches()[0],
    "columns": lambda: {name: FRAME[name].tolist() for name in FRAME},
    "columns of tensors": lambda: {"y": torch.tensor(FRAME.y), "x": FRAME.x.to_numpy(), "g": FRAME.g, "k": FRAME.k},
    "nullable": lambda: FRAME.convert_dtypes(),
    "arrow-backed": lambda: FRAME.convert_dtypes(dtype_backend="pyarrow"),
    "objects": lambda: FRAME.astype(object),
    "another index": lambda: FRAME.set_index("x", drop=False),
}


@pytest.mark.parametrize("make", FRAMES)
def test_frames_of_every_make_give_the_same_estimate(make: str) -> None:
    want = mlnn.estimate("bernoulli", "y ~ C(g)*x + k", FRAME)
    found = mlnn.estimate("bernoulli", "y ~ C(g)*x + k", FRAMES[make]())
    assert found.names == want.names
    assert np.array_equal(found.params, want.params)


@pytest.mark.parametrize("make", ["polars", "arrow", "record batch", "columns"])
def test_without_a_formula_names_are_kept(make: str) -> None:
    want = mlnn.estimate("bernoulli", (FRAME[["x", "k", "flag"]], FRAME.y))
    table = FRAMES[make]()
    x = (
        {name: table[name] for name in ("x", "k", "flag")}
        if isinstance(table, dict)
        else table.select(["x", "k", "flag"])
    )
    found = mlnn.estimate("bernoulli", (x, table["y"]))
    assert found.names == want.names == ("x", "k", "flag", "const")
    assert np.array_equal(found.params, want.params)


def test_columns_may_be_called_as_functions_are() -> None:
    frame = FRAME.assign(C=FRAME.g, log=FRAME.dose, const=FRAME.x, z=pd.arrays.SparseArray(FRAME.k))
    assert mlnn.estimate("bernoulli", "y ~ C + x", frame).names == ("C[T.b]", "C[T.c]", "x", "Intercept")
    assert mlnn.estimate("bernoulli", "y ~ C(g) + log(dose)", frame).names[2] == "log(dose)"
    assert mlnn.estimate("bernoulli", "y ~ const + z", frame).names == ("const", "z", "Intercept")
    with pytest.raises(ConfigError, match="not callable"):
        mlnn.estimate("bernoulli", "y ~ log + log(dose)", frame)
    with pytest.raises(DataError, match="'Intercept'; rename"):
        mlnn.estimate("bernoulli", "y ~ Intercept", frame.assign(Intercept=1.0))


def test_whole_numbers_do_not_overflow() -> None:
    big = pd.DataFrame({"y": [0.0, 1.0, 3.0] * 4, "x": np.arange(12) * 10**6})
    terms = mlnn.estimate("normal", "y ~ I(x**4)", big).terms
    assert terms is not None
    assert float(terms.design_for(big)[-1, 0]) == pytest.approx(1.1e7**4, rel=1e-15)


def test_new_rows_get_the_columns_of_the_estimate() -> None:
    terms = mlnn.estimate("bernoulli", "y ~ C(g) + center(x) + bs(dose, df=4) + scale(x):flag", FRAME).terms
    assert terms is not None
    assert terms.columns == ("dose", "flag", "g", "x")
    whole = terms.design_for(FRAME)
    assert torch.equal(terms.design_for(polars()[:7]), whole[:7])
    assert whole.shape == (ROWS, len(terms.names))
    with pytest.raises(DataError, match=r"levels \{'q'\} are none"):
        terms.design_for(FRAME.assign(g="q"))
    with pytest.raises(DataError, match="unknown column 'x'"):
        terms.design_for(FRAME.drop(columns="x"))
    with pytest.raises(DataError, match="row 2, column 'g' is missing"):
        terms.design_for(FRAME.assign(g=[*FRAME.g[:2], None, *FRAME.g[3:]]))
    with pytest.raises(DataError, match="bounds"):
        terms.design_for(FRAME.assign(dose=9.0))


def twice(column: "pd.Series[float]") -> "pd.Series[float]":
    return 2 * column


def test_a_formula_may_call_what_its_caller_has() -> None:
    knots = [0.4, 0.8]
    assert len(knots) == 2
    found = mlnn.estimate("bernoulli", "y ~ twice(x) + bs(dose, knots=knots)", FRAME)
    assert found.params[0] * 2 == pytest.approx(
        mlnn.estimate("bernoulli", "y ~ x + bs(dose, knots=[0.4, 0.8])", FRAME).params[0], rel=1e-9
    )
    with pytest.raises(DataError, match="unknown column 'knots'"):
        mlnn.estimate("bernoulli", "y ~ knots", FRAME)


def test_text_targets_are_classes_or_a_question() -> None:
    found = mlnn.estimate("categorical", "g ~ x", FRAME)
    assert found.outputs == ("g=b", "g=c")
    assert "a, b, c" in found.notes[-1]
    assert np.array_equal(
        found.params, mlnn.estimate("categorical", (FRAME.x, FRAME.g.map({"a": 0, "b": 1, "c": 2}))).params
    )
    assert mlnn.estimate("categorical", (FRAME.x, FRAME.h)).outputs == ("h=c", "h=a")
    assert mlnn.estimate("bernoulli", "I(answer == 'yes') ~ x", FRAME).params[0] == pytest.approx(
        mlnn.estimate("bernoulli", "y ~ x", FRAME).params[0]
    )
    for data in (("answer ~ x", FRAME), ((FRAME.x, FRAME.answer), None), ((FRAME.x, FRAME.answer.tolist()), None)):
        with pytest.raises(DataError, match=r"holds text \('no', 'yes'\); say which one counts as 1: I\("):
            mlnn.estimate("bernoulli", *data)
    with pytest.raises(DataError, match="numbers are needed"):
        mlnn.estimate("poisson", "g ~ x", FRAME)


MISSING = FRAME.astype({"k": "Int64", "flag": "boolean"}).drop(columns="h")
MISSING.loc[3, "x"] = np.nan
MISSING.loc[5, "g"] = None
MISSING.loc[7, "k"] = pd.NA
MISSING.loc[9, "y"] = np.nan
MISSING.loc[11, "dose"] = np.nan
MISSING.loc[13, "flag"] = pd.NA


@pytest.mark.parametrize(
    ("formula", "row", "column"),
    [
        ("y ~ g", 5, "g"),
        ("count ~ C(g)", 5, "g"),
        ("count ~ log(dose)", 11, "dose"),
        ("count ~ flag", 13, "flag"),
        ("count ~ k", 7, "k"),
        ("y ~ count", 9, "y"),
    ],
)
@pytest.mark.parametrize("make", ["pandas", "polars"])
def test_missing_rows_are_refused_by_place_or_dropped_and_counted(
    formula: str, row: int, column: str, make: str
) -> None:
    frame = MISSING if make == "pandas" else pl.from_pandas(MISSING)
    family = "poisson" if formula.startswith("count") else "bernoulli"
    with pytest.raises(DataError, match=rf"row {row}.*column '{column}' is missing; .*missing='drop'"):
        mlnn.estimate(family, formula, frame)
    found = mlnn.estimate(family, formula, frame, missing="drop")
    used = [name for name in ("y", "g", "count", "dose", "flag", "k") if re.search(rf"\b{name}\b", formula)]
    complete = MISSING[MISSING[used].notna().all(axis=1)]
    assert np.array_equal(found.params, mlnn.estimate(family, formula, complete).params)
    assert f"{ROWS - len(complete)} of {ROWS} rows left out" in found.notes[-1]
    assert found.nobs == len(complete)


def test_missing_entries_of_arrays_are_dropped_too() -> None:
    x = FRAME.x.to_numpy().copy()
    x[4] = np.nan
    kept = np.arange(ROWS) != 4
    want = mlnn.estimate("bernoulli", (x[kept], FRAME.y.to_numpy()[kept]))
    none = [None if np.isnan(one) else one for one in x]
    for given in (x, torch.tensor(x), np.ma.masked_invalid(x), none, pl.Series(x, nan_to_null=True)):
        found = mlnn.estimate("bernoulli", (given, FRAME.y.tolist()), missing="drop")
        assert np.array_equal(found.params, want.params)
        assert f"1 of {ROWS} rows left out" in found.notes[-1]
    weights = FRAME.dose.where(FRAME.index != 4)
    found = mlnn.estimate("bernoulli", (FRAME[["x"]], FRAME.y), weights=weights, missing="drop")
    want = mlnn.estimate("bernoulli", (FRAME.x[kept], FRAME.y[kept]), weights=weights[kept])
    assert np.array_equal(found.params, want.params)
    assert mlnn.estimate("bernoulli", (FRAME.x, FRAME.y), missing="drop").notes == ()


def test_rows_are_counted_among_those_that_are_left() -> None:
    x = FRAME.x.to_numpy().copy()
    x[4], x[6] = np.nan, np.inf
    with pytest.raises(DataError, match=r"row 5, column 'x0' is inf.*without the 1 that were left out"):
        mlnn.estimate("bernoulli", (x, FRAME.y), missing="drop")


REFUSED = {
    "no frame": (("y ~ x",), {}, ConfigError, "needs a frame"),
    "frame without a formula": (((FRAME.x, FRAME.y), FRAME), {}, ConfigError, "goes with a formula"),
    "no table": (("y ~ x", FRAME.x), {}, DataError, "found Series"),
    "ragged": (("y ~ x", {"y": [0, 1], "x": [1.0]}), {}, DataError, "do not line up"),
    "no rows": (("y ~ x", FRAME[:0]), {}, DataError, "no rows"),
    "two columns of a name": (("y ~ x", FRAME[["y", "x", "x"]]), {}, DataError, "two columns are called 'x'"),
    "unknown column": (("y ~ nope", FRAME), {}, DataError, "unknown column 'nope'"),
    "unknown inside": (("y ~ bs(nope, df=4)", FRAME), {}, DataError, "unknown column 'nope'"),
    "unknown function": (("y ~ nope(x)", FRAME), {}, ConfigError, r"nothing is called nope\("),
    "offset term": (("y ~ x + offset(dose)", FRAME), {}, ConfigError, "give it beside the formula"),
    "no target": (("~ x", FRAME), {}, ConfigError, "no target"),
    "two targets": (("y + count ~ x", FRAME), {}, ConfigError, "2 targets"),
    "several parts": (("y ~ x | g", FRAME), {}, ConfigError, "several parts"),
    "no formula": (("y ~ x +", FRAME), {}, ConfigError, "formula: 'y ~ x \\+'"),
    "text in a function": (("y ~ log(g)", FRAME), {}, ConfigError, "log"),
    "no number": (("y ~ log(x)", FRAME), {}, DataError, r"column 'log\(x\)' is nan"),
    "no number compared": (("y ~ I(log(x) > 0)", FRAME), {}, ConfigError, "invalid value"),
    "named levels": (("y ~ C(g, levels=['a', 'b'])", FRAME), {}, DataError, "{'c'} are none"),
    "dates": (("y ~ d", FRAME.assign(d=pd.Timestamp("2020-01-01"))), {}, DataError, "column 'd' holds datetime"),
    "mixed": (("y ~ o", FRAME.assign(o=[1, "a"] * (ROWS // 2))), {}, DataError, "text and numbers"),
    "a slip": (("y ~ o", FRAME.assign(o=["1,5", *["2.5"] * (ROWS - 1)])), {}, DataError, "row 0 is '1,5'"),
    "inexact": (("y ~ o", FRAME.assign(o=2**60 + 1)), {}, DataError, "2\\^53"),
    "constant said twice": (("y ~ x", FRAME), {"intercept": False}, ConfigError, "says it itself"),
    "text column": (((FRAME[["x", "g"]], FRAME.y),), {}, DataError, "column 'g' holds text .*formula"),
    "levels": (((FRAME[["x", "h"]], FRAME.y),), {}, DataError, "column 'h' holds levels"),
    "way": (((FRAME.x, FRAME.y),), {"missing": "omit"}, ConfigError, "missing: unknown way"),
    "nothing left": (((FRAME.x * np.nan, FRAME.y),), {"missing": "drop"}, DataError, "none is left"),
    "no such weights": (("y ~ x", FRAME), {"weights": "nope"}, DataError, "weights: unknown column"),
    "y by name": (((FRAME, "y"),), {}, ConfigError, "names a column"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_formula_or_no_frame_is_refused_with_a_sentence(case: str) -> None:
    given, how, kind, sentence = REFUSED[case]
    with pytest.raises(kind, match=sentence) as caught:
        mlnn.estimate("bernoulli", *given, **how)
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_a_frame_that_is_not_computed_yet_is_refused_with_what_to_call() -> None:
    with pytest.raises(DataError, match="collect"):
        mlnn.estimate("bernoulli", "y ~ x", polars().lazy())


def test_a_model_takes_the_columns_of_a_formula() -> None:
    linear = mlnn.estimate("bernoulli", "y ~ C(g) + x", FRAME)
    found = mlnn.estimate("bernoulli", "y ~ C(g) + x", FRAME, model=lambda: torch.nn.Linear(3, 1))
    assert np.abs(found.params - linear.params).max() < 1e-9
    assert found.terms is not None
    assert found.terms.names == ("C(g)[T.b]", "C(g)[T.c]", "x")


def test_data_sets_take_frames_of_every_make() -> None:
    want = mlnn.data.from_arrays(FRAME[["x", "k"]], FRAME.y)
    for table in (polars(), FRAMES["arrow"]()):
        found = mlnn.data.from_arrays(table.select(["x", "k"]), table["y"])
        assert found.fingerprint() == want.fingerprint()
    with pytest.raises(DataError, match="column 'k': row 3 is missing"):
        mlnn.data.from_arrays(pl.from_pandas(MISSING).select(["x", "k"])[4:], polars()["y"][4:])
