"""Does `table` read a user's own file, and name the row and column of whatever is wrong with it?"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf
from omegaconf.errors import MissingMandatoryValue

import mlnn.data
from mlnn.data import spector, table
from mlnn.errors import ConfigError, DataError

FRAME = pd.DataFrame(
    {
        "age": [31, 45, 28, 60, 52, 39],
        "dose": [0.1, 0.25, 1 / 3, 1e-17, 2.0, 123456.789012345678],
        "smoker": [True, False, False, True, True, False],
        "cured": ["no", "yes", "yes", "no", "yes", "no"],
    }
)


@pytest.fixture
def csv(tmp_path):
    """Write text as a CSV file and return its path."""

    def write(text, name="patients.csv"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_config_loads_a_file(tmp_path, suffix):
    path = tmp_path / f"patients.{suffix}"
    FRAME.to_csv(path, index=False) if suffix == "csv" else FRAME.to_parquet(path)
    config = OmegaConf.load(Path(__file__).parent.parent / "configs" / "data" / "table.yaml")
    with pytest.raises(MissingMandatoryValue):
        OmegaConf.to_container(config, throw_on_missing=True)
    config = OmegaConf.merge(
        {"seed": 0, "data": config}, {"data": {"path": str(path), "target": "cured", "positive": "yes", "held_out": 0}}
    )
    arguments = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)["data"]
    assert arguments.pop("_target_") == "mlnn.data.table"
    data = mlnn.data.table(**arguments)
    assert data.name == "patients"
    assert data.features == ("age", "dose", "smoker")
    assert data.y.tolist() == [0, 1, 1, 0, 1, 0]
    assert data.standardised["mean"][0] == 42.5
    assert data.notes == {"file": path.name, "target": "cured", "labels": {"no": 0, "yes": 1}}
    raw = table(**(arguments | {"standardize": False}))
    assert raw.x[:, 1].tolist() == FRAME["dose"].tolist()  # to the last bit, from text too
    assert raw.x[:, 2].tolist() == [1, 0, 0, 1, 1, 0]


def test_features_chosen_and_held_out(csv):
    path = csv(FRAME.to_csv(index=False))
    data = table(path=path, target="cured", positive="no", features=["dose"], held_out=1 / 3)
    assert data.features == ("dose",)
    assert (len(data), len(data.x_held_out)) == (4, 2)
    assert table(path=path, target="age", features="dose", targets="counts").features == ("dose",)


@pytest.mark.parametrize(
    ("labels", "arguments", "space", "y"),
    [
        ("0 1 1 0", {}, "binary", [0, 1, 1, 0]),
        ("0.0 1.0 1.0 0.0", {}, "binary", [0, 1, 1, 0]),
        ("True False True False", {}, "binary", [1, 0, 1, 0]),
        ("1 2 2 1", {"positive": 2}, "binary", [0, 1, 1, 0]),
        ("1.0 2.0 2.0 1.0", {"positive": "1"}, "binary", [1, 0, 0, 1]),
        ("True False True False", {"positive": False}, "binary", [0, 1, 0, 1]),
        ("b a c a", {}, "classes(3)", [1, 0, 2, 0]),
        ("b a a b", {"targets": "classes(2)"}, "classes(2)", [1, 0, 0, 1]),
        ("0 2 1 1", {"targets": "classes(3)"}, "classes(3)", [0, 2, 1, 1]),
        ("0 2 1 7", {"targets": "counts"}, "counts", [0, 2, 1, 7]),
        ("0.5 2 1 7", {}, "real", [0.5, 2, 1, 7]),
        ("-1 2 1 7", {}, "real", [-1, 2, 1, 7]),
        ("0 0.25 1 0.5", {"targets": "unit"}, "unit", [0, 0.25, 1, 0.5]),
    ],
)
def test_target_columns(csv, labels, arguments, space, y):
    path = csv("x,y\n" + "\n".join(f"{k},{label}" for k, label in enumerate(labels.split())))
    data = table(path=path, target="y", held_out=0, **arguments)
    assert str(data.targets) == space
    assert data.y.tolist() == y
    assert data.y.dtype == (torch.int64 if space.startswith("classes") else torch.float64)


GOOD = "a,b,y\n1,2,0\n3,4,1\n5,6,1\n7,8,0\n"


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        (GOOD, {"target": "z"}, "patients.csv: unknown column 'z'.* Choices: a, b, y"),
        (GOOD, {"features": ["aa"]}, "unknown column 'aa'. Did you mean 'a'"),
        ("a,b,y\n", {}, "the table has a header and no rows"),
        ("", {}, "cannot be read as CSV: No columns"),
        ('a,b,y\n"1,2,0\n', {}, "cannot be read as CSV"),
        ("a,y\n1,2,0\n3,4,1\n", {}, "rows have more fields than the header has names"),
        (
            "a,b,y\n1,2,0\n3,,1\n5,6,1\n7,,0\n",
            {},
            r"row 2 after the header \(the first of 2 such rows\), column 'b' is missing",
        ),
        ("a,b,y\n1,2,0\n3,4,1\n5,inf,1\n", {}, "row 3 after the header, column 'b' is inf; correct"),
        ("a,b,y\n1,2,0\n3,tall,1\n", {}, "row 2 after the header, column 'b' is 'tall', not a number"),
        ("a,b,y\n1,2,0\n3,4,\n", {}, r"row 2 after the header, column 'y' \(the target\) is missing"),
        ("a,b,y\n1,2,0\n3,4,inf\n5,6,1\n", {}, "row 2 after the header, column 'y' is inf"),
        ("a,y\n1,0\n2,?\n3,1\n", {}, r"row 2 after the header, column 'y' is '\?', not a number"),
        ("a,y\n1,1\n2,1\n", {}, "all 2 training targets are 1"),
        ("a,y\n1,5\n2,5\n", {}, "target 'y': all 2 rows are 5"),
        ("a,y\n1,no\n2,no\n", {}, "target 'y': all 2 rows are 'no'; two classes"),
        ("a,y\n1,no\n2,yes\n", {}, "holds text labels .'no', 'yes'.; say which one counts as 1 with positive="),
        ("a,y\n1,no\n2,yes\n", {"targets": "real"}, "row 1 after the header .*, column 'y' is 'no', not a number"),
        ("a,y\n1,no\n2,yes\n", {"positive": "Yes"}, "has no label 'Yes' for positive=; its labels are 'no', 'yes'"),
        ("a,y\n1,no\n2,yes\n3,maybe\n", {"positive": "yes"}, "has 3 labels .'maybe', 'no', 'yes'.; .* exactly two"),
        ("a,y\n1,a\n2,b\n3,c\n", {"targets": "classes(4)"}, r"holds 3 labels .*, but targets=classes\(4\)"),
        (
            "a,y\n" + "".join(f"{k},name{k}\n" for k in range(30)),
            {},
            r"holds 30 different texts .*targets=classes\(30\)",
        ),
        ("a,y\n1,1\n2,2\n3,2\n", {}, "holds two values .1, 2.; if they are labels"),
        ("a,y\n1,0\n2,1\n3,2\n", {}, r"whole numbers from 0 to 2: .* targets='classes\(3\)', targets=counts"),
        (
            "a,y\n1,1\n2,2\n3,2\n",
            {"targets": "binary"},
            r"row 2 .* is 2, not in the target space 'binary'; .*positive=",
        ),
        ("a,y\n1,0\n2,1\n3,3\n", {"targets": "classes(3)"}, r"row 3 .* is 3, not in the target space 'classes\(3\)'"),
        ("a,y\n1,0\n2,1\n3,-3\n", {"targets": "counts"}, "row 3 after the header, .* is -3, not in"),
    ],
)
def test_bad_tables(csv, text, arguments, message):
    with pytest.raises(DataError, match=message):
        table(**({"path": csv(text), "target": "y"} | arguments))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"features": ["a", "y"]}, "data.features: holds the target 'y'"),
        ({"features": ["a", "a"]}, "data.features: a column is named twice"),
        ({"features": []}, "data.features: no feature column besides the target 'y'"),
        ({"positive": 1, "targets": "real"}, "data.positive: only a binary target .* targets=real"),
        ({"targets": "classes"}, "classes are written"),
    ],
)
def test_arguments_that_contradict(csv, arguments, message):
    with pytest.raises(ConfigError, match=message):
        table(path=csv(GOOD), target="y", **arguments)


def test_bad_files(tmp_path, csv):
    with pytest.raises(DataError, match=r"data.path: there is no file '.*gone.csv'"):
        table(path=tmp_path / "gone.csv", target="y")
    with pytest.raises(DataError, match=r"neither CSV nor Parquet; its name must end in .csv"):
        table(path=csv(GOOD, "patients.xlsx"), target="y")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        table(path=csv(GOOD, "patients.parquet"), target="y")


def test_dates_are_not_numbers(tmp_path):
    path = tmp_path / "patients.parquet"
    FRAME.assign(visit=pd.date_range("2020-01-01", periods=6)).to_parquet(path)
    with pytest.raises(DataError, match=r"row 1 after the header .* column 'visit' is Timestamp.*, not a number"):
        table(path=path, target="cured", positive="yes")


def test_parquet_with_missing_integers(tmp_path):
    path = tmp_path / "patients.parquet"
    FRAME.assign(visits=pd.array([1, 2, None, 4, 5, 6], dtype="Int64")).to_parquet(path)
    with pytest.raises(DataError, match="row 3 after the header, column 'visits' is missing"):
        table(path=path, target="cured", positive="yes")


def test_one_class_left_after_the_split(csv):
    path = csv("a,y\n" + "".join(f"{k},{int(k == 0)}\n" for k in range(20)))
    with pytest.raises(DataError, match="all 2 training targets are 0"):
        table(path=path, target="y", held_out=0.9, seed=1)


@pytest.mark.parametrize(("package", "load"), [("pandas", table), ("pyarrow", table), ("statsmodels", spector)])
def test_missing_extra(monkeypatch, tmp_path, package, load):
    monkeypatch.setitem(sys.modules, package, None)
    for module in [name for name in sys.modules if name.startswith(f"{package}.")]:
        monkeypatch.delitem(sys.modules, module)
    (tmp_path / "patients.parquet").write_text("")
    arguments = {"path": tmp_path / "patients.parquet", "target": "y"} if load is table else {}
    with pytest.raises(ConfigError, match=rf"needs {package}, which is not installed: pip install 'mlnn\[data\]'"):
        load(**arguments)


def test_row_of_a_large_table_is_found(csv):
    values = np.arange(5000.0)
    text = "a,y\n" + "".join(f"{v},{v % 2:g}\n" for v in values)
    with pytest.raises(DataError, match="row 4321 after the header, column 'a' is 'oops'"):
        table(path=csv(text.replace("\n4320.0,", "\noops,")), target="y")


def test_record_is_plain_json(csv):
    data = table(path=csv("a,y\n1,no\n2,yes\n3,no\n"), target="y", positive="yes", held_out=0)
    assert json.loads(json.dumps(data.to_dict())) == data.to_dict()
    assert {type(key) for key in data.notes["labels"]} == {str}


def test_parquet_categories_and_text_numbers(tmp_path):
    path = tmp_path / "patients.parquet"
    FRAME.assign(cured=FRAME["cured"].astype("category"), age=FRAME["age"].astype(str)).to_parquet(path)
    data = table(path=path, target="cured", positive="yes", held_out=0, standardize=False)
    assert data.x[:, 0].tolist() == FRAME["age"].tolist()
    assert data.y.tolist() == [0, 1, 1, 0, 1, 0]
