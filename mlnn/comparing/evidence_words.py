"""What a verdict rests on, in words and rounded numbers: the yardsticks, the details, the plain evidence."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlnn.comparing.series import Trace, breaks, twins
from mlnn.report.words import number, plain


def verdict_lines(verdict: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(word, value) for each part of the verdict that is there, in a fixed order."""
    lines = [
        (word, plain(verdict[key]))
        for word, key in (("value", "value_relation"), ("gradient", "gradient_relation"), ("domain", "domain"))
        if verdict.get(key) is not None
    ]
    if verdict.get("left_domain") is not None:
        lines.append(("rows outside the domain", f"{100 * float(verdict['left_domain']):.3g} %"))
    for word, key in (("factor", "scale"), ("shift", "shift"), ("control", "control"), ("shrink", "shrink")):
        if verdict.get(key) is not None:
            lines.append((word, plain(verdict[key])))
    lines.append(("resolution", _resolution(verdict.get("resolution"))))
    lines.append(("first bits that differ", _first_difference(verdict.get("first_difference"))))
    return lines


def _resolution(value: object) -> str:
    return "not measured" if value is None else f"{number(value)} (the smallest planted fault that this check catches)"


def _first_difference(found: Mapping[str, Any] | None) -> str:
    if not found:
        return "none"
    return ", ".join(f"{key} {plain(value)}" for key, value in found.items() if value is not None)


def yardsticks(verdict: Mapping[str, Any], trace: Trace) -> list[dict[str, str]]:
    """Cards {name, value, note}: control, null band, gradient at common weights, precision twin, resolution."""
    cards = [
        _card("Control", plain(verdict.get("control")), "left against left; must be bitwise"),
        _null_card(trace),
        _gradient_card(trace),
        _shrink_card(verdict.get("shrink"), trace),
        _card("Resolution", number(verdict.get("resolution"), 2), "smallest planted fault that would have been caught"),
    ]
    return [card for card in cards if card]


def _card(name: str, value: str, note: str) -> dict[str, str]:
    return {"name": name, "value": value, "note": note}


def _null_card(trace: Trace) -> dict[str, str]:
    if "weight_gap" not in trace:
        return {}
    step, gap = _last(trace, "weight_gap")
    note = f"at step {number(step)}" if step is not None else "never finite"
    if step is not None and {"null_low", "null_high"} <= set(trace):
        at = int(np.flatnonzero(trace["step"] == step)[0])
        low, high = float(trace["null_low"][at]), float(trace["null_high"][at])
        side = "inside" if low <= gap <= high else "above" if gap > high else "below" if gap < low else "beside"
        note += f", {side} the null band {number(low, 2)} … {number(high, 2)}"
    return _card("Weight gap", number(gap, 2), note)


def _gradient_card(trace: Trace) -> dict[str, str]:
    if "gradient_gap" not in trace:
        return {}
    higher = [
        f"{dtype}: {number(_largest(trace[column]), 2)}" for dtype, column in twins(trace, "gradient_gap").items()
    ]
    note = "largest relative gap at common weights" + (f"; {', '.join(higher)}" if higher else "")
    return _card("Gradient gap", number(_largest(trace["gradient_gap"]), 2), note)


def _shrink_card(shrink: float | None, trace: Trace) -> dict[str, str]:
    if shrink is None and not twins(trace, "weight_gap"):
        return {}
    note = "how much the precision twin shrinks the gap; rounding shrinks 5.4e8 times from float32 to float64"
    return _card("Precision twin", f"{number(shrink, 2)}×" if shrink is not None else "–", note)


def _largest(values: NDArray) -> float:
    """Largest value that was reached; NaN only if there was none (a lane that stopped is told by `breaks`)."""
    known = values[~np.isnan(values)]
    return float(known.max()) if len(known) else float("nan")


def _last(trace: Trace, column: str) -> tuple[int | None, float]:
    known = np.flatnonzero(~np.isnan(trace[column]))
    return (int(trace["step"][known[-1]]), float(trace[column][known[-1]])) if len(known) else (None, float("nan"))


def trace_notes(trace: Trace) -> list[str]:
    """Sentences that the curves cannot say: where a lane stopped being finite, how many rows were saturated."""
    notes = [
        f"The {side} objective is no longer finite from step {number(step)}." for side, step in breaks(trace).items()
    ]
    if "saturated_fraction" in trace and len(trace["step"]):
        most = _largest(trace["saturated_fraction"])
        if most != 0:
            notes.append(f"Rows saturated, at most: {100 * most:.3g} % of a batch.")
    return notes


def table(values: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """A dict of plain numbers and short texts as (word, value) pairs."""
    return [(str(key).replace("_", " "), plain(value)) for key, value in (values or {}).items()]
