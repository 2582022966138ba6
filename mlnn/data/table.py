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
from mlnn.data.frames import check_way
from mlnn.data.labels import read_labels
from mlnn.data.prepare import prepare
from mlnn.data.table_file import find, read
from mlnn.data.table_formula import Made, columns_of, left, made_by
from mlnn.data.table_size import Limits
from mlnn.errors import ConfigError, DataError, unknown
from mlnn.targets import OFFSET
from mlnn.visible import shown


def table(
    *,
    path: str | Path,
    target: str | None = None,
    features: Sequence[str] | str | None = None,
    formula: str | None = None,
    offset: str | None = None,
    missing: str = "refuse",
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
    formula: in place of features (and of target), "outcome ~ C(group) + log(dose)": x are the columns of its right side, the
    constant left out, which a model has for itself; means, levels and knots are those of all rows. It may say what
    `mlnn.data.permitted` lists, as it may come with somebody's config. offset: a column that is added to the raw output.
    missing: "refuse" rows with a missing value among the columns used, or "drop" them (`dropped` counts them).
    A table of more than `most_rows` rows or `most_columns` columns is refused before it is read; so is one of more than
    `most_bytes` bytes, counted three times: the file, its text unpacked, and its cells at 8 bytes each. A formula may make
    no more columns and bytes either.
    Raises DataError for a missing file or column, what is no plain file or too large, an empty table, a value that is
    missing, infinite or not a number (row and column named), one class only, or labels outside the space; ConfigError
    for columns that contradict each other and where pandas or pyarrow is not installed.
    """
    drop = check_way("data.missing", missing)
    target, features, offset = _name("target", target), _names(features), _name("offset", offset)
    limits = Limits(most_rows, most_columns, most_bytes)
    file = find(path)
    name, frame = shown(file.name), _named(file, limits)
    beside = [] if offset is None else [offset]
    if formula is None:
        used = [target or "", *_feature_columns(frame, name, target, features, beside)]
    else:
        used = columns_of(formula, frame, name, target, features, limits)
    _check_there(frame, name, [*used, *beside])
    rows = left(frame, [*used, *beside], drop, name)
    made = _made(rows, name, used) if formula is None else made_by(formula, rows, name, target)
    y, space, names = read_labels(made.target, name, positive, targets)
    return prepare(
        name.split(".")[0],
        made.x,
        y,
        space,
        standardize=standardize,
        held_out=held_out,
        seed=seed,
        features=made.names,
        notes={"file": file.name, "target": str(made.target.name)} | ({"labels": names} if names else {}),
        extras={OFFSET: torch.tensor(finite_numbers(rows[beside[0]], name))} if beside else {},
        terms=made.terms,
        dropped=len(frame) - len(rows),
    )


def _name(key: str, value: object) -> str | None:
    """The name of a column as text: in a config a column called 1 is written without quotes."""
    if value is not None and not isinstance(value, str | int | float):
        raise ConfigError(f"data.{key}: {shown(value)} is not the name of a column")
    return None if value is None else str(value)


def _names(features: object) -> list[str] | None:
    """The names of several columns, or of one."""
    named = [features] if isinstance(features, str) else features
    if named is None:
        return None
    if not isinstance(named, Sequence) or isinstance(named, bytes):
        raise ConfigError(f"data.features: {shown(named)}; names of columns are needed, e.g. [age, dose]")
    return [_name("features", one) or "" for one in named]


def _named(file: Path, limits: Limits) -> Any:
    """The frame of a file, its columns called by text, each once, and its rows by their place in the file."""
    frame = read(file, limits)
    frame.columns = [str(column) for column in frame.columns]
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise DataError(f"{shown(file.name)}: two columns are called '{shown(twice)}'; rename one")
    return frame.reset_index(drop=True)


def _made(frame: Any, name: str, used: Sequence[str]) -> Made:
    """The columns themselves, the target first."""
    target, *columns = used
    x = np.stack([finite_numbers(frame[column], name) for column in columns], axis=1)
    return Made(torch.from_numpy(x), columns, frame[target])


def _check_there(frame: Any, name: str, columns: Sequence[str]) -> None:
    missing = next((column for column in columns if column not in frame.columns), None)
    if missing is not None:
        raise DataError(f"{name}: " + unknown("column", missing, frame.columns))


def _feature_columns(
    frame: Any, name: str, target: str | None, features: Sequence[str] | None, beside: Sequence[str]
) -> list[str]:
    """The names of the feature columns, all of them there and none of them the target, or `beside` the features."""
    if target is None:
        raise ConfigError(
            "data.target: none is named; say which column is the target, or give data.formula='y ~ a + b'"
        )
    others = frame.columns.drop([target, *beside], errors="ignore")
    columns = list(others if features is None else features)
    _check_there(frame, name, [target, *columns])
    if target in columns:
        raise ConfigError(f"data.features: holds the target '{shown(target)}'; take it out")
    if any(column in columns for column in beside):
        raise ConfigError(f"data.offset: '{shown(beside[0])}' is among the features too; take it out of one of them")
    if len(set(columns)) < len(columns):
        raise ConfigError(f"data.features: a column is named twice in {shown(columns)}")
    if not columns:
        raise ConfigError(f"data.features: no feature column besides the target '{shown(target)}'")
    return columns
