"""What a verdict rests on, in words and rounded numbers: the yardsticks, the details, the plain evidence."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mlnn.comparing.trace import Columns, breaks, twins
from mlnn.comparing.verdict import Verdict
from mlnn.report.words import number, plain


@dataclass(frozen=True)
class Card:
    """One yardstick: its name, its value, and what the value means."""

    name: str
    value: str
    note: str


def verdict_lines(verdict: Verdict) -> list[tuple[str, str]]:
    """(word, value) for each part of the verdict that is there, in a fixed order."""
    outside = None if verdict.left_domain is None else f"{100 * verdict.left_domain:.3g} %"
    lines = [
        ("value", verdict.value_relation),
        ("gradient", verdict.gradient_relation),
        ("domain", verdict.domain),
        ("rows outside the domain", outside),
        ("factor", verdict.scale),
        ("shift", verdict.shift),
        ("control", verdict.control),
        ("shrink", verdict.shrink),
        ("resolution", _resolution(verdict.resolution)),
        ("first bits that differ", _first_difference(verdict.first_difference)),
        ("on paper", verdict.proof and verdict.proof.says),
    ]
    return [(word, plain(value)) for word, value in lines if value is not None]


def _resolution(value: float | None) -> str:
    return "not measured" if value is None else f"{number(value)} (the smallest planted fault that this check catches)"


def _first_difference(found: Mapping[str, object] | None) -> str:
    return ", ".join(f"{key} {plain(value)}" for key, value in (found or {}).items() if value is not None) or "none"


def yardsticks(verdict: Verdict, trace: Columns, every: int | None = None) -> list[Card]:
    """Control, null band, gradient at common weights, precision twin, resolution; those that were measured.

    every: steps to a row of the trace, 1 where it is not said; thinned: whether there were rows at looks only.
    """
    cards = [
        Card("Control", verdict.control, "left against left; must be bitwise"),
        _null_card(trace, every or 1),
        _gradient_card(trace),
        _shrink_card(verdict.shrink, trace),
        Card("Resolution", number(verdict.resolution, 2), "smallest planted fault that would have been caught"),
    ]
    return [card for card in cards if card is not None]


def _null_card(trace: Columns, every: int) -> Card | None:
    if "weight_gap" not in trace:
        return None
    known = np.flatnonzero(~np.isnan(trace["weight_gap"]))
    if not len(known):
        return Card("Weight gap", number(float("nan")), "never finite")
    at = int(known[-1])
    gap, step = float(trace["weight_gap"][at]), int(trace["step"][at])
    first = int(trace["step"][at - 1]) + 1 if at and every > 1 else step
    note = f"at step {number(step)}" if first == step else f"largest of steps {number(first)} to {number(step)}"
    if {"null_low", "null_high"} <= trace.keys():
        low, high = float(trace["null_low"][at]), float(trace["null_high"][at])
        note += f", {_beside(gap, low, high)} the null band {number(low, 2)} … {number(high, 2)}"
    return Card("Weight gap", number(gap, 2), note)


def _beside(gap: float, low: float, high: float) -> str:
    """Where a gap lies; `beside` a band that has no ends."""
    if low <= gap <= high:
        return "inside"
    return "above" if gap > high else "below" if gap < low else "beside"


def _gradient_card(trace: Columns) -> Card | None:
    if "gradient_gap" not in trace:
        return None
    higher = [
        f"{dtype}: {number(_largest(trace[column]), 2)}" for dtype, column in twins(trace, "gradient_gap").items()
    ]
    note = "largest relative gap at common weights" + (f"; {', '.join(higher)}" if higher else "")
    return Card("Gradient gap", number(_largest(trace["gradient_gap"]), 2), note)


def _shrink_card(shrink: float | None, trace: Columns) -> Card | None:
    if shrink is None and not twins(trace, "weight_gap"):
        return None
    note = "how much the precision twin shrinks the gap; rounding shrinks 5.4e8 times from float32 to float64"
    return Card("Precision twin", f"{number(shrink, 2)}×" if shrink is not None else "–", note)


def _largest(values: np.ndarray) -> float:
    """Largest value that was reached; NaN only if there was none (a lane that stopped is told by `breaks`)."""
    known = values[~np.isnan(values)]
    return float(known.max()) if len(known) else float("nan")


def trace_notes(trace: Columns, every: int | None = None, *, thinned: bool = False) -> list[str]:
    """Sentences that the curves cannot say: where a lane stopped being finite, rows saturated at most, what a point stands for.

    every: steps to a row of the trace, 1 where it is not said.
    """
    notes = [
        f"The {side} objective is no longer finite from step {number(step)}." for side, step in breaks(trace).items()
    ]
    if "saturated_fraction" in trace and len(trace["step"]):
        most = _largest(trace["saturated_fraction"])
        if most != 0:
            notes.append(f"Rows saturated, at most: {100 * most:.3g} % of a batch.")
    if every is not None and every > 1:
        at = "at the first look of every" if thinned else "every"
        notes.append(
            f"Curves have a point {at} {number(every)} steps: a loss of its own step, a gap the largest since the point before."
        )
    return notes


def table(values: Mapping[str, object]) -> list[tuple[str, str]]:
    """Plain numbers and short texts by name as (word, value) pairs."""
    return [(key.replace("_", " "), plain(value)) for key, value in values.items()]
