"""Your own CSV or Parquet file as a `Dataset`: which columns, and are they numbers?

Rows in messages are counted from 1 after the header.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mlnn.data.columns import finite_numbers
from mlnn.data.dataset import Dataset
from mlnn.data.labels import read_labels
from mlnn.data.prepare import prepare
from mlnn.data.table_file import find, read
from mlnn.data.table_size import Limits
from mlnn.errors import ConfigError, DataError, unknown
from mlnn.visible import shown


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
    most_rows: int = 10_000_000,
    most_columns: int = 10_000,
    most_bytes: int = 2_000_000_000,
) -> Dataset:
    """A table with a header: column `target` is `y`, `features` (default: all other columns) are `x` (n, features).

    `positive` is the label that counts as 1 when the target has two; `targets` names the target space, which is
    inferred where the values leave no doubt. Text classes are numbered in sorted order, see `notes["labels"]`.
    A table of more than `most_rows` rows or `most_columns` columns is refused before it is read; so is one of more than
    `most_bytes` bytes, counted three times: the file, its text unpacked, and its cells at 8 bytes each.
    Raises DataError for a missing file or column, what is no plain file or too large, an empty table, a value that is
    missing, infinite or not a number (row and column named), one class only, or labels outside the space; ConfigError
    for columns that contradict each other and where pandas or pyarrow is not installed.
    """
    limits = Limits(most_rows, most_columns, most_bytes)
    file = find(path)
    name, frame = shown(file.name), read(file, limits)
    frame.columns = [str(column) for column in frame.columns]
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise DataError(f"{name}: two columns are called '{shown(twice)}'; rename one")
    columns = _feature_columns(frame, name, target, features)
    if len(frame) == 0:
        raise DataError(f"{name}: the table has a header and no rows")
    x = np.stack([finite_numbers(frame[column], name) for column in columns], axis=1)
    y, space, names = read_labels(frame[target], name, positive, targets)
    return prepare(
        name.split(".")[0],
        torch.from_numpy(x),
        y,
        space,
        standardize=standardize,
        held_out=held_out,
        seed=seed,
        features=columns,
        notes={"file": file.name, "target": target} | ({"labels": names} if names else {}),
    )


def _feature_columns(frame: Any, name: str, target: str, features: Sequence[str] | str | None) -> list[str]:
    """The names of the feature columns, all of them there and none of them the target."""
    named = [features] if isinstance(features, str) else features
    columns = list(frame.columns.drop(target, errors="ignore")) if named is None else list(map(str, named))
    missing = next((column for column in [target, *columns] if column not in frame.columns), None)
    if missing is not None:
        raise DataError(f"{name}: " + unknown("column", missing, frame.columns))
    if target in columns:
        raise ConfigError(f"data.features: holds the target '{shown(target)}'; take it out")
    if len(set(columns)) < len(columns):
        raise ConfigError(f"data.features: a column is named twice in {shown(columns)}")
    if not columns:
        raise ConfigError(f"data.features: no feature column besides the target '{shown(target)}'")
    return columns
