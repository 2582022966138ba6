"""What an interactive session shows of an estimate: a few lines and a small table, no tensors."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from mlnn.report.brief import Brief
from mlnn.visible import visible

MOST_BRIEF = 12
"""Coefficients in the table: a screenful; `summary()` has them all."""
WIDEST_NAME = 28
"""Characters of a name, so that a line with two numbers behind it fits a terminal of 80."""


def brief(
    title: str,
    sentence: str,
    *,
    likelihood: str,
    rows: float,
    llf: float,
    separation: str,
    supremum: bool,
    ancillary: Mapping[str, float],
    table: list[list[str]],
    ancillary_bse: Mapping[str, float] = MappingProxyType({}),
) -> Brief:
    """A title, the log-likelihood (`supremum`: which nothing reaches), the separation and the likelihood's own numbers."""
    facts = [("log-likelihood", f"{llf:.6g}" + (", the supremum" if supremum else "")), ("separation", separation)]
    facts += [(name, with_error(value, ancillary_bse.get(name))) for name, value in ancillary.items()]
    return Brief(f"{title}: {likelihood}, {rows:g} rows", sentence, facts, table)


def with_error(value: float, error: float | None) -> str:
    """A number, and in brackets its standard error where it has one."""
    return f"{value:.6g}" if error is None else f"{value:.6g} ({error:.4g})"


def coefficient_table(names: Sequence[str], params: np.ndarray, bse: np.ndarray | None) -> list[list[str]]:
    """The first coefficients with their standard errors, if any is known; the first row is the head."""
    errors = bse if bse is not None and bool(np.isfinite(bse).any()) else None
    rows = [["", "coef"] + ["std err"] * (errors is not None)]
    for place, name in enumerate(names[:MOST_BRIEF]):
        clean = visible(name, keep="")
        short = clean if len(clean) <= WIDEST_NAME else clean[: WIDEST_NAME - 1] + "…"
        rows.append([short, f"{params[place]:.6g}"] + ([] if errors is None else [f"{errors[place]:.4g}"]))
    if len(names) > MOST_BRIEF:
        rows.append([f"… and {len(names) - MOST_BRIEF} more", *[""] * (len(rows[0]) - 1)])
    return rows
