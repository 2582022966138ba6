"""One row of the trace: every gap of a step, a function of its record."""

import math
from collections.abc import Collection

from mlnn.comparing.gaps import NAN
from mlnn.comparing.measures import Measures
from mlnn.training import Evaluated, StepRecord

Row = dict[str, float]


def trace_row(record: StepRecord, measures: Measures, own: str, names: Collection[str]) -> Row:
    """Every gap of one step, by column. own: the run's precision.

    `names`: the lanes that a record may have. Without right among them, right's loss is that at left's weights, and what two lanes
    that train apart would show has no column.
    """
    lanes, gaps, trains = record.lanes, measures.gaps, "right" in names
    row: Row = {"step": record.step}
    for name in names if trains else ("left", "right", *(name for name in names if name != "left")):
        row[f"loss_{name}"] = lanes[name].answer.loss if record.ran(name) else NAN
    if not trains:
        row["loss_right"] = NAN if record.right is None else record.right.loss
    row["abs_loss_gap"] = abs(row["loss_right"] - row["loss_left"])
    for name in (own, *(name.removeprefix("left_") for name in names if name.startswith("left_"))):
        row["gradient_gap" if name == own else f"gradient_gap_{name}"] = gaps[name].gradient if name in gaps else NAN
    if trains:
        row["gradient_gap_free"] = measures.free
    row["saturated_fraction"] = measures.saturated
    row["non_finite_left"] = _non_finite(lanes["left"].answer)
    row["non_finite_right"] = _non_finite(record.right)
    return row | _weight_gaps(record, measures) | _null_band(record, measures) if trains else row


def _weight_gaps(record: StepRecord, measures: Measures) -> Row:
    """After the step: right's weights against left's, in each precision, and predictions on the probe rows."""
    row: Row = {
        "weight_gap": measures.weights.get("right", NAN),
        "weight_gap_ulps": measures.ulps,
        "prediction_gap": measures.predictions,
    }
    for name in (name.removeprefix("left_") for name in record.lanes if name.startswith("left_")):
        row[f"weight_gap_{name}"] = measures.weights.get(f"right_{name}", NAN)
    return row


def _null_band(record: StepRecord, measures: Measures) -> Row:
    """How far rounding alone has driven left: the gap of each null twin, the least and the largest."""
    nulls = [name for name in record.lanes if name.startswith("null_")]
    row = {f"weight_gap_{name}": measures.weights.get(name, NAN) for name in nulls}
    known = [gap for gap in row.values() if gap == gap]
    low, high = (min(known), max(known)) if known else (NAN, NAN)
    return row | {"null_low": low, "null_high": high}


def _non_finite(answer: Evaluated | None) -> float:
    """How many entries of the loss and the gradient are not finite; NaN where none was given."""
    if answer is None:
        return NAN
    if answer.stop is None:
        return 0.0
    return float(not math.isfinite(answer.loss)) + float((~answer.gradient.isfinite()).sum())
