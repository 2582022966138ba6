"""One row of the trace: every gap of a step, a function of its record."""

import math
from collections.abc import Collection, Mapping

from mlnn.comparing.gaps import NAN, CommonGap, relative, ulps, weight_gap
from mlnn.targets import TargetSpace
from mlnn.training import Evaluated, LaneStep, Recipe, StepRecord, dtype_name

Row = dict[str, float]


def trace_row(
    record: StepRecord,
    gaps: Mapping[str, CommonGap],
    recipe: Recipe,
    targets: TargetSpace | None,
    names: Collection[str],
) -> Row:
    """Every gap of one step, by column. `gaps`: at common weights, by precision; `targets`: what left reads, None for a step.

    `names`: the lanes that a record may have. Without right among them, right's loss is that at left's weights, and what two lanes
    that train apart would show has no column.
    """
    lanes, own, trains = record.lanes, dtype_name(recipe.dtype), "right" in names
    row: Row = {"step": record.step}
    for name in names if trains else ("left", "right", *(name for name in names if name != "left")):
        row[f"loss_{name}"] = lanes[name].answer.loss if record.ran(name) else NAN
    if not trains:
        row["loss_right"] = NAN if record.right is None else record.right.loss
    row["abs_loss_gap"] = abs(row["loss_right"] - row["loss_left"])
    for name in (own, *(name.removeprefix("left_") for name in names if name.startswith("left_"))):
        row["gradient_gap" if name == own else f"gradient_gap_{name}"] = gaps[name].gradient if name in gaps else NAN
    if trains:
        row["gradient_gap_free"] = _free_gap(record, own)
    row["saturated_fraction"] = _saturated(lanes["left"], targets)
    row["non_finite_left"] = _non_finite(lanes["left"].answer)
    row["non_finite_right"] = _non_finite(record.right)
    return row | _weight_gaps(record) | _null_band(record) if trains else row


def _free_gap(record: StepRecord, own: str) -> float:
    """How far right's own gradient is from left's, each at its own weights."""
    if not all(record.ran(side) and record.lanes[side].answer.stop is None for side in ("left", "right")):
        return NAN
    found = record.common[own].gradient if own in record.common else record.gradient
    assert found is not None
    left, right = found.double(), record.lanes["right"].answer.gradient.double()
    return relative(right - left, left)


def _weight_gaps(record: StepRecord) -> Row:
    """After the step: right's weights against left's, in each precision, and predictions on the probe rows."""
    lanes = record.lanes
    left, right = lanes["left"], lanes["right"]
    alive = left.alive and right.alive
    row: Row = {
        "weight_gap": weight_gap(record, "left", "right"),
        "weight_gap_ulps": ulps(left.shared, right.after) if alive else NAN,
        "prediction_gap": NAN,
    }
    if record.predictions is not None:
        one, two = record.predictions
        row["prediction_gap"] = float((one - two).abs().max())
    for name in (name.removeprefix("left_") for name in lanes if name.startswith("left_")):
        row[f"weight_gap_{name}"] = weight_gap(record, f"left_{name}", f"right_{name}")
    return row


def _null_band(record: StepRecord) -> Row:
    """How far rounding alone has driven left: the gap of each null twin, the least and the largest."""
    nulls = [name for name in record.lanes if name.startswith("null_")]
    row = {f"weight_gap_{name}": weight_gap(record, "left", name) for name in nulls}
    known = [gap for gap in row.values() if gap == gap]
    low, high = (min(known), max(known)) if known else (NAN, NAN)
    return row | {"null_low": low, "null_high": high}


def _saturated(lane: LaneStep, targets: TargetSpace | None) -> float:
    """Fraction of rows whose probability has rounded to 0 or 1; 0 for target spaces without probabilities."""
    if targets is None or targets.facts.means != (0.0, 1.0):
        return 0.0
    p = targets.link(lane.answer.output)
    full = (p == 1) | (p == 0) if p.ndim == 1 else (p == 1).any(1)
    return float(full.double().mean())


def _non_finite(answer: Evaluated | None) -> float:
    """How many entries of the loss and the gradient are not finite; NaN where none was given."""
    if answer is None:
        return NAN
    return float(not math.isfinite(answer.loss)) + float((~answer.gradient.isfinite()).sum())
