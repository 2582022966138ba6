"""Specimens of the tables that mlnn reads: CSV, packed CSV, Parquet with what pandas writes beside it."""

import contextlib
import gzip
import json
from collections.abc import Callable
from pathlib import Path

from fuzzing.specimen import Specimen, unfit
from mlnn.data import table
from mlnn.errors import MlnnError

TEXT = "a,b,y\n" + "".join(f"{row},{row % 3},{row % 2}\n" for row in range(12))
FORMULA = "y ~ C(b, Treatment(1)) + bs(a, df=4) + a:C(b) + I(a**2) + log(a + 1) - 1"
FRAME = {"a": [float(row) for row in range(12)], "b": ["u", "v", "w"] * 4, "y": [0, 1] * 6}


def _read(name: str, **options: str) -> Callable[[Path], str]:
    """Read as numbers, and by a formula; an error is a few words."""

    def read(_folder: Path) -> str:
        told = ""
        for given in ({"target": "y", **options}, {"formula": "y ~ C(b)"}, {"formula": "y ~ a", "missing": "drop"}):
            try:
                table(path=name, **given)  # type: ignore[arg-type]
            except MlnnError as problem:
                told = told or unfit(str(problem))
        return told

    return read


def _parquet(folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    told = json.loads((folder / "table.json").read_text(encoding="utf-8", errors="surrogatepass"))
    frame = pa.table({str(name): _column(values) for name, values in told["columns"].items()})
    notes = {"pandas": json.dumps(told["pandas"]).encode()}
    pq.write_table(frame.replace_schema_metadata(notes), folder / "table.parquet")


def _column(values: object) -> object:
    import pyarrow as pa

    found = values if isinstance(values, list) and values else [values] * 12
    try:
        return pa.array(found)
    except (pa.ArrowException, OverflowError):
        return pa.array([str(value) for value in found])


def _described(folder: Path) -> None:
    import pandas as pd
    import pyarrow as pa

    notes = json.loads(pa.Table.from_pandas(pd.DataFrame(FRAME)).schema.metadata[b"pandas"])
    (folder / "table.json").write_text(json.dumps({"columns": FRAME, "pandas": notes}))
    _parquet(folder)


def _written(folder: Path) -> None:
    """The Parquet file of what the description says now, if it can be written at all."""
    with contextlib.suppress(Exception):  # what pyarrow does not write, nobody can send
        _parquet(folder)


def _read_formula(folder: Path) -> str:
    """A formula of somebody's as a config holds it, over a table that is sound."""
    formula = (folder / "formula").read_bytes().decode("utf-8", "surrogatepass")
    told = ""
    for missing in ("refuse", "drop"):
        try:
            table(path="table.csv", formula=formula, missing=missing)
        except MlnnError as problem:
            told = told or unfit(str(problem))
    return told


def _formula(folder: Path) -> None:
    (folder / "formula").write_text(FORMULA)
    (folder / "table.csv").write_text(TEXT)


def tables() -> dict[str, Specimen]:
    """By name."""
    return {
        "csv": Specimen(
            lambda folder: (folder / "table.csv").write_text(TEXT), {"table.csv": ("csv", "bytes")}, _read("table.csv")
        ),
        "packed csv": Specimen(
            lambda folder: (folder / "table.csv.gz").write_bytes(gzip.compress(TEXT.encode(), mtime=0)),
            {"table.csv.gz": ("bytes",)},
            _read("table.csv.gz"),
        ),
        "formula": Specimen(_formula, {"formula": ("formula",)}, _read_formula),
        "parquet": Specimen(_described, {"table.json": ("json",)}, _read("table.parquet", features="a"), _written),
        "parquet bytes": Specimen(_described, {"table.parquet": ("bytes",)}, _read("table.parquet", features="a")),
    }
