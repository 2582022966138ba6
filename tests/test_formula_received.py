"""A formula that somebody sent: what it may say, what it may cost, and that nothing in it runs."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from docs_cases import runnable
from torch import nn

import mlnn
from mlnn.data import table
from mlnn.data.permitted import FUNCTIONS, check_permitted
from mlnn.errors import ConfigError, DataError
from mlnn.estimating import classical_estimate
from mlnn.likelihoods import Bernoulli
from mlnn.models import Logistic, SigmoidNode
from mlnn.targets import OFFSET

COLUMNS = ("y", "x", "g", "a b", "mean.x", "dose", "log", "größe")
LEVELS = {name: (lambda coded, name=name: 3 if coded or name == "g" else 1) for name in COLUMNS}
PERMITTED = (
    "y ~ C(g) + log(dose)", "y ~ g*x", "y ~ x - 1", "y ~ 0 + x", "y ~ (x + g)**2", "y ~ (x + g)^2", "y ~ Q('a b')",
    "y ~ `a b`:g", "y ~ `mean.x`", "y ~ größe", "y ~ bs(x, df=4) + poly(dose, 2)", "y ~ C(g, Treatment('b'))", "y ~ C(g, Sum)",
    "I(g == 'a') ~ x", "x", "y ~ .", "y ~ I(x**2) + I((x + dose)*2) + center(log(dose)) + I(x > 3)", "y ~ x/g",
    "y ~ C(g, levels=['a', 'b', 'c'])", "y ~ scale(x, ddof=1)", "log(dose) ~ x", "y ~ bs(x, knots=[1, 2.5], degree=1)",
    "y ~ C(Q('a b'))", "y ~ I(-x)", "y ~ I(x**-1)", "y ~ x +\n g", "y ~ C(g, contrasts=Treatment(reference='b'))",
    "y ~ bs(x, df=6)*bs(dose, df=6)*C(g)",
)  # fmt: skip
ATTACKS = (
    '__import__("os").system("touch here")', "open('here', 'w')", "x.__class__", "(lambda: 1)()", "I([a for a in x])", "eval('1')",
    "I(f'{x}')", "Q('__import__')", "Q(x)", "`__import__`", "I(I(__import__('os')))", "getattr(x, 'a')", "C(g, open)", "x[0]",
    "{x}", "x | g", "x in g", "I(x if x else x)", "I(x and x)", "I(x := 1)", "np.log(x)", "I(x)(x)", "I((1, 2))", "I(~x)", "x @ g",
    "log(x, out=x)", "log(*x)", "I(**x)", "exp(x, x)", "C(g, levels=range(10))", "C(g, levels=['a', 'b'][0])", "x; import os",
    "x\\", 'Q("a\\"b")', "'a'", "I('a'*9999999999)", "I('a'*x)", "1e5", "2", "x\x00", "I(1j)", "I(None)", "I(...)", "I(b'a')",
    "I(9**9**9)", "I(x**9**9)", "I(x**999)", "I(2**x)", "poly(x, 1000000)", "bs(x, df=10**9)", "bs(x, df=1000000)", "I(1e999)",
    "(x + g)**99999999", "I(10**1000)", "x**0", "x**2**2**2**2", "*".join(["x", "g"] * 20), "(" * 500 + "x" + ")" * 500,
    "(" * 5000 + "x" + ")" * 5000, "-" * 1900 + "x", "x" + "+x" * 10**6, "(x + g + dose + y)**16", "hashed(g, levels=10**9)",
    "lag(x, 10**9)", "poly(x, 90):poly(dose, 90):poly(y, 90)", "C(g, levels=[" + ",".join(["1"] * 1000) + "])**2", "x ~ g", "",
    "_every_", "_column_0_", "center(`_column_0_`)", "C(g, Treatment(open))", "C(g, Treatment(x))", "poly(x, degree=x)", "I()",
    "Treatment('a')", "I(x, y)", "x if x", "import os", "x\n;y", "I('a' == 'a' == 'a')", "I(x == [1])", "`a\nb`",
)  # fmt: skip


@pytest.mark.parametrize("formula", PERMITTED)
def test_what_a_config_may_say(formula: str) -> None:
    assert check_permitted(formula, LEVELS, 10_000) >= 1


@pytest.mark.parametrize("right", ATTACKS, ids=range(len(ATTACKS)))
def test_anything_else_is_refused_before_anything_runs(right: str) -> None:
    with pytest.raises(ConfigError, match=r"data\.formula: ") as caught:
        check_permitted("y ~ " + right, LEVELS, 10_000)
    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("given", [5, None, ["y ~ x"], {"y": "x"}, True])
def test_what_is_no_text_is_refused(given: object) -> None:
    with pytest.raises(ConfigError, match="is no formula"):
        check_permitted(given, LEVELS, 10_000)


def test_columns_are_counted_before_they_are_made() -> None:
    assert check_permitted("y ~ x + C(x):g", LEVELS, 10) == 1 + 9
    with pytest.raises(ConfigError, match="more than 9 columns"):
        check_permitted("y ~ x + C(x):g", LEVELS, 9)


ROWS = 60
DRAWS = np.random.default_rng(0)
TABLE = pd.DataFrame(
    {
        "y": DRAWS.integers(0, 2, ROWS),
        "x": DRAWS.normal(size=ROWS),
        "g": DRAWS.choice(["a", "b", "c"], ROWS),
        "dose": DRAWS.random(ROWS) + 0.1,
        "count": DRAWS.poisson(3, ROWS),
        'x")+__import__("os").system("touch here")#': DRAWS.normal(size=ROWS),
        "q' \") odd": DRAWS.random(ROWS),
        "id": [f"u{k}" for k in range(ROWS)],
    }
)
TABLE["answer"] = np.where(TABLE.y == 1, "yes", "no")
TABLE["log_dose"] = np.log(TABLE.dose)
Written = Callable[[pd.DataFrame], str]


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Written:
    monkeypatch.chdir(tmp_path)

    def write(frame: pd.DataFrame) -> str:
        frame.to_csv(tmp_path / "rows.csv", index=False)
        return "rows.csv"

    return write


PLAIN = {"held_out": 0.0, "standardize": False}


def test_a_table_by_its_formula_gives_the_estimate_of_the_frame(written: Written) -> None:
    path = written(TABLE)
    data = table(path=path, formula="y ~ C(g) + log(dose)", **PLAIN)
    want = mlnn.estimate("bernoulli", "y ~ C(g) + log(dose)", TABLE)
    found = mlnn.estimate("bernoulli", data)
    assert data.features == ("C(g)[T.b]", "C(g)[T.c]", "log(dose)")
    assert data.to_dict()["formula"] == "y ~ C(g) + log(dose)"
    assert found.names == want.names
    assert np.array_equal(found.params, want.params)
    assert found.to_dict()["formula"] == want.to_dict()["formula"] == "y ~ C(g) + log(dose)"
    text = table(path=path, formula="answer ~ C(g) + log(dose)", positive="yes", **PLAIN)
    assert np.array_equal(mlnn.estimate("bernoulli", text).params, want.params)
    bare = mlnn.estimate("bernoulli", table(path=path, formula="y ~ C(g) - 1", **PLAIN))
    assert bare.names == ("C(g)[a]", "C(g)[b]", "C(g)[c]")
    assert table(path=path, formula="x", target="y", **PLAIN).features == ("x",)


@pytest.mark.parametrize("formula", ["y ~ x + g", "y ~ x + dose - 1"])
@pytest.mark.parametrize("form", [Logistic, SigmoidNode])
def test_beside_a_training_the_model_says_whether_there_is_a_constant(
    written: Written, formula: str, form: type[nn.Module]
) -> None:
    data = table(path=written(TABLE), formula=formula, **PLAIN)
    found = classical_estimate(form(data.input_shape, 1), Bernoulli(), data)
    assert found is not None
    assert found.estimate is not None
    assert found.estimate.names == (*data.features, *["const"] * (form is Logistic))
    assert mlnn.estimate("bernoulli", data).names == (*data.features, *["Intercept"] * ("- 1" not in formula))
    with pytest.raises(ConfigError, match="says it itself"):
        mlnn.estimate("bernoulli", data, intercept=False)


def test_column_names_are_data(written: Written) -> None:
    path, odd = written(TABLE), ["`" + TABLE.columns[5] + "`", "`" + TABLE.columns[6] + "`"]
    for name in odd:
        for formula in (
            f"y ~ {name}",
            f"y ~ center({name})",
            f"y ~ bs({name}, df=4)",
            f"y ~ scale({name}):x",
            f"y ~ I({name}**2)",
        ):
            assert len(table(path=path, formula=formula, **PLAIN)) == ROWS
    assert not Path("here").exists()
    with pytest.raises(ConfigError, match="cannot be read as a formula"):
        table(path=path, formula='y ~ __import__("os").system("touch here")', **PLAIN)
    assert not Path("here").exists()


@pytest.mark.parametrize(
    ("how", "kind", "sentence"),
    [
        ({}, ConfigError, r"data\.target: none is named"),
        ({"formula": "x"}, ConfigError, "has no target"),
        ({"formula": "y ~ x", "target": "g"}, ConfigError, r"data\.target: 'g' beside a formula whose target is 'y'"),
        ({"formula": "y ~ x", "features": ["x"]}, ConfigError, r"data\.features: named beside"),
        ({"formula": "y ~ 1"}, ConfigError, "no column besides the constant"),
        ({"formula": "y ~ log(x)"}, DataError, r"rows\.csv: row \d+ after the header .*'log\(x\)' is nan"),
        ({"formula": "y ~ bs(x, df=-5)"}, ConfigError, "df"),
        ({"formula": "answer ~ x"}, DataError, "positive="),
        ({"formula": "y ~ C(id):C(x):C(dose)"}, ConfigError, "more than 10,000 columns"),
        ({"formula": "y ~ C(id)*C(x)", "most_bytes": 10**6}, DataError, "most_bytes"),
        ({"target": "y", "offset": "nope"}, DataError, "unknown column 'nope'"),
        ({"target": "y", "features": ["x", "dose"], "offset": "dose"}, ConfigError, r"data\.offset: 'dose' is among"),
        ({"target": "y", "missing": "omit"}, ConfigError, r"data\.missing"),
    ],
)
def test_what_contradicts_itself_is_refused(
    written: Written, how: dict[str, object], kind: type[Exception], sentence: str
) -> None:
    with pytest.raises(kind, match=sentence):
        table(path=written(TABLE), **PLAIN, **how)  # type: ignore[arg-type]


@pytest.mark.parametrize("how", [{"formula": "count ~ x + g"}, {"target": "count", "features": ["x", "dose"]}])
def test_missing_rows_of_a_table(written: Written, how: dict[str, object]) -> None:
    frame = TABLE.astype({"count": float})
    frame.loc[3, "x"], frame.loc[9, "count"], frame.loc[11, "answer"], frame.loc[20, "log_dose"] = (
        np.nan,
        np.nan,
        None,
        np.nan,
    )
    path = written(frame)
    with pytest.raises(DataError, match=r"row (4|10) after the header.*data\.missing=drop"):
        table(path=path, targets="counts", **PLAIN, **how)  # type: ignore[arg-type]
    data = table(path=path, targets="counts", offset="log_dose", missing="drop", **PLAIN, **how)  # type: ignore[arg-type]
    kept = frame.drop(index=[3, 9, 20])
    assert (len(data), data.dropped) == (ROWS - 3, 3)
    assert np.array_equal(data.y.numpy(), kept["count"])
    assert np.array_equal(data.extras[OFFSET].numpy(), kept.log_dose)
    assert data.to_dict()["left_out"] == data.left_out
    assert data.left_out.startswith(f"3 of {ROWS} rows left out")
    assert data.left_out in mlnn.estimate("poisson", data).notes
    with pytest.raises(DataError, match="none is left"):
        table(path=written(frame.assign(x=np.nan)), missing="drop", **PLAIN, **how)  # type: ignore[arg-type]


def test_rows_keep_their_place_in_the_file_where_some_are_dropped(written: Written) -> None:
    frame = TABLE.copy()
    frame.loc[3, "x"], frame.loc[7, "dose"] = np.nan, -1.0
    with pytest.raises(DataError, match="row 8 after the header"):
        table(path=written(frame), formula="y ~ x + log(dose)", missing="drop", **PLAIN)


def test_the_list_in_the_docs_is_the_list() -> None:
    page = (Path(__file__).parent.parent / "docs" / "formulas.md").read_text(encoding="utf-8")
    listed = page.split("and these functions: `")[1].split("`")[0].split()
    assert set(listed) == FUNCTIONS


@pytest.mark.parametrize("place", range(3))
def test_the_examples_of_the_docs_run(place: int) -> None:
    page = Path(__file__).parent.parent / "docs" / "formulas.md"
    blocks = runnable(page.read_text(encoding="utf-8"))
    assert len(blocks) == 3
    exec(compile(blocks[place], f"formulas.md, block {place}", "exec"), {"__name__": "example"})
