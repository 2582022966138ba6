"""The columns of a table file as its formula, which may come with somebody's config, makes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mlnn.data.columns import bad_cell
from mlnn.data.formula import Terms, read_formula, used
from mlnn.data.permitted import Levels, check_permitted
from mlnn.data.table_size import NUMBER, Limits
from mlnn.errors import ConfigError, DataError
from mlnn.visible import shown


@dataclass(frozen=True)
class Made:
    """Features x (n, d) with their names, the target's column, and how a formula made them, if one did."""

    x: Tensor
    names: Sequence[str]
    target: Any
    terms: Terms | None = None


def columns_of(formula: Any, frame: Any, name: str, target: str | None, features: object, limits: Limits) -> list[str]:
    """The columns of a frame that a formula uses, its target too. Raises ConfigError for what a config may not say or contradicts
    itself, DataError where it would make more columns than `limits` allow."""
    if features is not None:
        raise ConfigError("data.features: named beside data.formula; one of them says what the features are")
    widest = check_permitted(formula, _levels(frame), limits.columns)
    if len(frame) * widest * NUMBER > limits.bytes:
        raise limits.exceeded("bytes", name, f"bytes of a design ({len(frame):,} rows of up to {widest:,.0f} columns)")
    columns = list(used(formula, frame))
    return columns if target is None else [*columns, *([str(target)] if str(target) not in columns else [])]


def made_by(formula: str, frame: Any, name: str, target: str | None) -> Made:
    """What a formula makes of a frame. Raises DataError, by file and row, for what is missing or not finite."""
    for column in used(formula, frame):
        missing = frame[column].isna().to_numpy()
        if missing.any():
            raise bad_cell(
                frame[column], missing, name, "is missing; fill it, or leave such rows out: data.missing=drop"
            )
    read = read_formula(formula, frame)
    labels = _target(read.target, frame, formula, target)
    for place, called in enumerate(read.terms.names):
        bad = ~torch.isfinite(read.x[:, place]).numpy()
        if bad.any():
            value = float(read.x[int(np.argmax(bad)), place])
            raise bad_cell(
                frame.iloc[:, 0].rename(called), bad, name, f"is {value:g}; the formula makes no number of that row"
            )
    if not read.terms.names:
        raise ConfigError(f"data.formula: '{shown(formula)}' makes no column besides the constant")
    return Made(read.x, read.terms.names, labels, read.terms)


def _target(own: Any, frame: Any, formula: str, target: str | None) -> Any:
    """The target that the formula or `data.target` names; both may, if they name the same."""
    if own is None and target is None:
        raise ConfigError(f"data.formula: '{shown(formula)}' has no target; write 'y ~ …', or name data.target")
    if own is None:
        return frame[str(target)]
    if target is not None and str(own.name) != str(target):
        raise ConfigError(
            f"data.target: '{shown(str(target))}' beside a formula whose target is '{shown(str(own.name))}'"
        )
    return own


def _levels(frame: Any) -> Mapping[str, Levels]:
    """How many columns each one of a frame becomes, counted once where it is asked."""

    def width(name: str, coded: bool) -> int:
        numbers = frame[name].dtype.kind in "biufmM"
        if numbers and not coded:
            return 1
        try:
            return max(1, int(frame[name].nunique()))
        except TypeError:  # what is a list or a dict equals nothing for good
            raise DataError(f"column '{shown(name)}' holds lists or records; numbers or text are needed") from None

    counted = cache(width)
    return {name: partial(counted, name) for name in frame.columns}


def left(frame: Any, columns: Sequence[str], drop: bool, name: str) -> Any:
    """The rows of a frame that miss no value in these columns, where they are to be dropped; else all. DataError for none."""
    if not len(frame):
        raise DataError(f"{name}: the table has a header and no rows")
    if not drop:
        return frame
    rest = frame[frame[list(columns)].notna().all(axis=1)]
    if not len(rest):
        raise DataError(f"{name}: every one of the {len(frame):,} rows misses a value that is used; none is left")
    return rest
