"""What does the target column of a table mean: which target space, and which number is each label?"""

import bisect
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mlnn.data.columns import bad_cell, finite_numbers, to_numbers
from mlnn.errors import ConfigError, DataError
from mlnn.targets import TargetSpace
from mlnn.visible import shown

MOST_TEXT_CLASSES = 20  # more distinct texts than this are likely names or free text, not classes


def read_labels(
    series: Any, file: str, positive: str | float | bool | None, targets: str | None
) -> tuple[Tensor, TargetSpace, dict[str, int]]:
    """Targets (n,), their space, and for text or `positive` labels the number each one got.

    Raises DataError naming the first row that is missing or does not fit, and wherever the space is in doubt.
    """
    space = None if targets is None else TargetSpace.parse(targets)
    missing = series.isna().to_numpy()
    if missing.any():
        raise bad_cell(
            series, missing, file, "(the target) is missing; fill it, or leave such rows out: data.missing=drop"
        )
    if positive is not None:
        if space is not None and space.kind != "binary":
            raise ConfigError(f"data.positive: only a binary target has a positive label, but targets={space}")
        return _two_labels(series, file, positive)
    text = np.isnan(to_numbers(series))
    if text.all() and (space is None or space.finite):
        return _text_classes(series, file, space)
    values = finite_numbers(series, file)
    space = space or _infer(values, f"{file}: target '{shown(series.name)}'")
    y = torch.tensor(values)
    _check_rows(series, y, space, file)
    return y, space, {}


def _two_labels(series: Any, file: str, positive: str | float | bool) -> tuple[Tensor, TargetSpace, dict[str, int]]:
    """A column of exactly two labels, `positive` being 1."""
    names = [_label(cell) for cell in series]
    found = sorted(set(names))
    where = f"{file}: target '{shown(series.name)}'"
    if len(found) != 2:
        raise DataError(f"{where} has {len(found)} labels ({_some(found)}); a positive label needs exactly two")
    if _label(positive) not in found:
        raise DataError(
            f"{where} has no label '{shown(_label(positive))}' for positive=; its labels are {_some(found)}"
        )
    numbers = {name: int(name == _label(positive)) for name in found}
    return torch.tensor([numbers[name] for name in names]), TargetSpace("binary"), numbers


def _text_classes(series: Any, file: str, space: TargetSpace | None) -> tuple[Tensor, TargetSpace, dict[str, int]]:
    """A column of text as classes(K), numbered in sorted order."""
    names = [_label(cell) for cell in series]
    found = sorted(set(names))
    count, where = len(found), f"{file}: target '{shown(series.name)}'"
    if count == 1:
        raise DataError(f"{where}: all {len(names)} rows are '{shown(found[0])}'; two classes or more are needed")
    space = space or _guessed(count)
    if space is None:
        raise DataError(
            f"{where} holds {count} different texts ({_some(found)}); if they are classes: targets=classes({count})"
        )
    if space.kind == "binary":
        raise DataError(f"{where} holds text labels ({_some(found)}); say which one counts as 1 with positive=…")
    if space.classes != count:
        raise DataError(f"{where} holds {count} labels ({_some(found)}), but targets={space}")
    numbers = {name: k for k, name in enumerate(found)}
    return torch.tensor([numbers[name] for name in names]), space, numbers


def _guessed(count: int) -> TargetSpace | None:
    """What so many different texts are, where nobody says; None where they may be anything."""
    if count == 2:
        return TargetSpace("binary")
    return TargetSpace("classes", count) if count <= MOST_TEXT_CLASSES else None


def _infer(values: np.ndarray, where: str) -> TargetSpace:
    """The only target space that numbers can mean: 0 and 1 are binary, fractions and negative numbers are real."""
    found = np.unique(values)
    if np.isin(found, (0, 1)).all():
        return TargetSpace("binary")
    if len(found) == 1:
        raise DataError(f"{where}: all {len(values)} rows are {found[0]:g}, so there is nothing to predict")
    if len(found) == 2:
        raise DataError(
            f"{where} holds two values ({_some(found)}); if they are labels, say which counts as 1 with positive=…,"
            " if they are measurements: targets=real"
        )
    if (values != np.round(values)).any() or (values < 0).any():
        return TargetSpace("real")
    raise DataError(
        f"{where} holds whole numbers from {int(found[0])} to {int(found[-1])}: classes, counts or measurements?"
        f" Say which: targets='classes({int(found[-1]) + 1})', targets=counts or targets=real"
    )


def _check_rows(series: Any, y: Tensor, space: TargetSpace, file: str) -> None:
    """Refuse the first row outside the space, by its row in the file."""
    if _fits(y, space):
        return
    row = bisect.bisect_left(range(len(y)), True, key=lambda last: not _fits(y[: last + 1], space))
    cure = "; for two other labels, say which one counts as 1 with positive=…" if space.kind == "binary" else ""
    sentence = f"(the target) is {y[row].item():g}, not in the target space '{space}'{cure}"
    raise bad_cell(series, np.arange(len(y)) == row, file, sentence)


def _fits(y: Tensor, space: TargetSpace) -> bool:
    try:
        space.check(y)
    except DataError:
        return False
    return True


def _label(cell: Any) -> str:
    """A label as one would type it: 1 for 1.0, True for a bool."""
    if isinstance(cell, float | np.floating) and float(cell).is_integer():
        return str(int(cell))
    return str(cell)


def _some(labels: Any) -> str:
    first = [f"'{shown(label)}'" if isinstance(label, str) else f"{label:g}" for label in labels[:6]]
    return ", ".join(first) + (", …" if len(labels) > 6 else "")
