"""Which columns a trace holds: precision twins by their dtype, null twins by number, where a lane stopped."""

import re
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Trace = Mapping[str, NDArray]


def twins(trace: Trace, column: str) -> dict[str, str]:
    """dtype → column name, for each precision twin of `column` (`weight_gap_float64` is float64's)."""
    found = ((re.fullmatch(rf"{re.escape(column)}_(b?float\d+)", name), name) for name in trace)
    return {match[1]: name for match, name in found if match}


def null_twins(trace: Trace, column: str) -> list[str]:
    """Names of the columns of `column` that belong to null twins, in order."""
    return [name for name in trace if re.fullmatch(rf"{re.escape(column)}_null_\d+", name)]


def breaks(trace: Trace) -> dict[str, int]:
    """First step at which `left` or `right` is non-finite, for each side where that happens."""
    found = {}
    for side in ("left", "right"):
        bad = np.zeros(len(trace["step"]), dtype=bool)
        if f"loss_{side}" in trace:
            bad |= ~np.isfinite(trace[f"loss_{side}"])
        if f"non_finite_{side}" in trace:
            count = trace[f"non_finite_{side}"]
            bad |= np.isnan(count) | (count > 0)
        if bad.any():
            found[side] = int(trace["step"][int(bad.argmax())])
    return found
