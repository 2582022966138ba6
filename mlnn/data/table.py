"""Your own CSV or Parquet file as a `Dataset`: which columns, and are they numbers?

Rows in messages are counted from 1 after the header.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mlnn.data.columns import finite_numbers
from mlnn.data.dataset import Dataset
from mlnn.data.extras import optional
from mlnn.data.labels import read_labels
from mlnn.data.prepare import prepare
from mlnn.errors import ConfigError, DataError, unknown

PARQUET = (".parquet", ".pq")
CSV = (".csv", ".csv.gz")


def table(
    *,
    path: str | Path,
    target: str,
    features: Sequence[str] | str | None = None,
    positive: str | float | bool | None = None,
    targets: str | None = None,
    standardize: bool = True,
    held_out: float = 0.2,
    seed: int = 0,
) -> Dataset:
    """A table with a header: column `target` is `y`, `features` (default: all other columns) are `x` (n, features).

    `positive` is the label that counts as 1 when the target has two; `targets` names the target space, which is
    inferred where the values leave no doubt. Text classes are numbered in sorted order, see `notes["labels"]`.
    Raises DataError for a missing file or column, an empty table, a value that is missing, infinite or not a number
    (row and column named), one class only, or labels outside the space; ConfigError for columns that contradict each
    other and where pandas or pyarrow is not installed.
    """
    file = Path(path).expanduser()
    frame = _read(file)
    columns = _feature_columns(frame, file.name, target, features)
    if len(frame) == 0:
        raise DataError(f"{file.name}: the table has a header and no rows")
    x = np.stack([finite_numbers(frame[column], file.name) for column in columns], axis=1)
    y, space, names = read_labels(frame[target], file.name, positive, targets)
    return prepare(
        file.name.split(".")[0],
        torch.from_numpy(x),
        y,
        space,
        standardize=standardize,
        held_out=held_out,
        seed=seed,
        features=columns,
        notes={"file": file.name, "target": target} | ({"labels": names} if names else {}),
    )


def _read(file: Path) -> Any:
    """The pandas frame of a file."""
    kind = "Parquet" if file.name.lower().endswith(PARQUET) else "CSV"
    if kind == "CSV" and not file.name.lower().endswith(CSV):
        raise DataError(
            f"data.path: '{file}' is neither CSV nor Parquet; its name must end in {', '.join(CSV + PARQUET)}"
        )
    if not file.is_file():
        raise DataError(f"data.path: there is no file '{file}'")
    pandas = optional("pandas", "data=table")
    try:
        if kind == "Parquet":
            optional("pyarrow", "a Parquet file")
            frame = pandas.read_parquet(file, engine="pyarrow")
        else:
            frame = _read_csv(file, pandas)
    except (ValueError, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"data.path: '{file}' cannot be read as {kind}: {reason}") from error
    frame.columns = [str(column) for column in frame.columns]
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise DataError(f"{file.name}: two columns are called '{twice}'; rename one")
    return frame


def _read_csv(file: Path, pandas: Any) -> Any:
    # Before 3.1 the default parser of numbers can miss the nearest float64; since 3.1 asking for better warns.
    old = tuple(int(part) for part in pandas.__version__.split(".")[:2]) < (3, 1)
    exact = {"float_precision": "round_trip"} if old else {}
    with warnings.catch_warnings():
        # Rows longer than the header: pandas would take the first column for row names, or drop the last.
        warnings.simplefilter("error", pandas.errors.ParserWarning)
        try:
            return pandas.read_csv(file, low_memory=False, index_col=False, **exact)
        except pandas.errors.ParserWarning as error:
            raise DataError(
                f"{file.name}: rows have more fields than the header has names; name every column"
            ) from error


def _feature_columns(frame: Any, name: str, target: str, features: Sequence[str] | str | None) -> list[str]:
    """The names of the feature columns, all of them there and none of them the target."""
    chosen = [features] if isinstance(features, str) else features
    columns = [column for column in frame.columns if column != target] if chosen is None else [str(c) for c in chosen]
    for column in [target, *columns]:
        if column not in frame.columns:
            raise DataError(f"{name}: " + unknown("column", column, frame.columns))
    if target in columns:
        raise ConfigError(f"data.features: holds the target '{target}'; take it out")
    if len(set(columns)) < len(columns):
        raise ConfigError(f"data.features: a column is named twice in {columns}")
    if not columns:
        raise ConfigError(f"data.features: no feature column besides the target '{target}'")
    return columns
