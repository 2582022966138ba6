"""The trace of a comparison: one row per step, and the columns in memory, 8 bytes a number, so that no disk can lose them."""

import math
from array import array
from collections.abc import Mapping

import numpy as np

from mlnn.comparing.gaps import NAN, CommonGap, relative, ulps, weight_gap
from mlnn.targets import TargetSpace
from mlnn.training import LaneStep, Recipe, StepRecord, dtype_name

Row = dict[str, float]


def trace_row(record: StepRecord, gaps: Mapping[str, CommonGap], recipe: Recipe, targets: TargetSpace) -> Row:
    """Every gap of one step, by column. `gaps`: at common weights, by precision; `targets`: the space that left reads."""
    lanes, own = record.lanes, dtype_name(recipe.dtype)
    row: Row = {"step": record.step}
    row |= {f"loss_{name}": lane.answer.loss if record.ran(name) else NAN for name, lane in lanes.items()}
    row["abs_loss_gap"] = abs(row["loss_right"] - row["loss_left"])
    for name in (own, *(name.removeprefix("left_") for name in lanes if name.startswith("left_"))):
        row["gradient_gap" if name == own else f"gradient_gap_{name}"] = gaps[name].gradient if name in gaps else NAN
    row["gradient_gap_free"] = _free_gap(record, own)
    row["saturated_fraction"] = _saturated(lanes["left"], targets)
    row |= {f"non_finite_{side}": _non_finite(lanes[side]) for side in ("left", "right")}
    return row | _weight_gaps(record, recipe) | _null_band(record)


def _free_gap(record: StepRecord, own: str) -> float:
    """How far right's own gradient is from left's, each at its own weights."""
    if not all(record.ran(side) and record.lanes[side].answer.stop is None for side in ("left", "right")):
        return NAN
    left, right = record.common[own].gradient, record.lanes["right"].answer.gradient
    return relative(right - left, left)


def _weight_gaps(record: StepRecord, recipe: Recipe) -> Row:
    """After the step: right's weights against left's, in each precision, and predictions on the probe rows."""
    lanes = record.lanes
    left, right = lanes["left"], lanes["right"]
    alive = left.alive and right.alive
    row: Row = {
        "weight_gap": weight_gap(left, right),
        "weight_gap_ulps": ulps(left.shared, right.after, recipe.dtype) if alive else NAN,
        "prediction_gap": NAN,
    }
    if record.predictions is not None:
        one, two = record.predictions
        row["prediction_gap"] = float((one - two).abs().max())
    for name in (name.removeprefix("left_") for name in lanes if name.startswith("left_")):
        row[f"weight_gap_{name}"] = weight_gap(lanes[f"left_{name}"], lanes[f"right_{name}"])
    return row


def _null_band(record: StepRecord) -> Row:
    """How far rounding alone has driven left: the gap of each null twin, the least and the largest."""
    lanes = record.lanes
    row = {f"weight_gap_{name}": weight_gap(lanes["left"], lanes[name]) for name in lanes if name.startswith("null_")}
    known = [gap for gap in row.values() if gap == gap]
    low, high = (min(known), max(known)) if known else (NAN, NAN)
    return row | {"null_low": low, "null_high": high}


def _saturated(lane: LaneStep, targets: TargetSpace) -> float:
    """Fraction of rows whose probability has rounded to 0 or 1; 0 for target spaces without probabilities."""
    if targets.facts.means != (0.0, 1.0):
        return 0.0
    p = targets.link(lane.answer.output)
    full = (p == 1) | (p == 0) if p.ndim == 1 else (p == 1).any(1)
    return float(full.double().mean())


def _non_finite(lane: LaneStep) -> float:
    """How many entries of the loss and the gradient are not finite."""
    return float(not math.isfinite(lane.answer.loss)) + float((~lane.answer.gradient.isfinite()).sum())


class Trace:
    """Rows of numbers, name → int or float; a column is int64 where every entry was whole, else float64."""

    def __init__(self) -> None:
        self._columns: dict[str, array[float]] = {}
        self._whole: dict[str, bool] = {}

    def append(self, row: Mapping[str, float]) -> None:
        """Add one row; KeyError if its names are not those of the first row."""
        if not self._columns:
            self._columns = {name: array("d") for name in row}
            self._whole = dict.fromkeys(row, True)
        if row.keys() != self._columns.keys():
            raise KeyError(f"a row differs from the first in: {', '.join(sorted(row.keys() ^ self._columns.keys()))}")
        for name, value in row.items():
            self._columns[name].append(value)
            self._whole[name] &= isinstance(value, int | np.integer)

    def arrays(self) -> dict[str, np.ndarray]:
        """The columns by name, (rows,) each."""
        return {
            name: np.array(column, dtype=np.int64 if self._whole[name] else np.float64)
            for name, column in self._columns.items()
        }


def rows(trace: Mapping[str, np.ndarray]) -> list[dict[str, float]]:
    """A finished trace's rows, in their order."""
    return [dict(zip(trace, row, strict=True)) for row in zip(*(c.tolist() for c in trace.values()), strict=True)]
