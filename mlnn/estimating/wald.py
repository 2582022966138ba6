"""Wald's test of some coefficients."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from mlnn.errors import ConfigError, unknown


@dataclass(frozen=True)
class Wald:
    """A Wald test that some coefficients have given values. `distribution`: "chi2", or "F" (the statistic over its df)."""

    statistic: float
    df: int
    pvalue: float
    distribution: str


def wald(
    params: np.ndarray,
    covariance: np.ndarray,
    rows: Sequence[int],
    value: float | Sequence[float],
    df_resid: float | None,
) -> Wald:
    """Test that the coefficients `rows` of params (k,) have these values; F where the residuals have `df_resid` degrees."""
    away = params[rows] - _values(value, len(rows))
    statistic = float(away @ np.linalg.solve(covariance[np.ix_(rows, rows)], away))
    if df_resid is not None:
        ratio = statistic / len(rows)
        return Wald(ratio, len(rows), float(scipy.stats.f.sf(ratio, len(rows), df_resid)), "F")
    return Wald(statistic, len(rows), float(scipy.stats.chi2.sf(statistic, len(rows))), "chi2")


def rows_of(wanted: str | Sequence[str], names: Sequence[str], labels: Sequence[str]) -> list[int]:
    """Where the named coefficients, a name (all its outputs) or a label, stand in `labels`, output after output."""
    asked = [wanted] if isinstance(wanted, str) else list(wanted) if isinstance(wanted, Iterable) else [wanted]
    rows: list[int] = []
    for name in asked:
        found = [k for k, label in enumerate(labels) if name in (label, names[k % len(names)])]
        if not found:
            raise ConfigError("wald_test: " + unknown("coefficient", str(name), {*names, *labels}))
        rows += [row for row in found if row not in rows]
    if not rows:
        raise ConfigError("wald_test: name at least one coefficient")
    return rows


def _values(value: float | Sequence[float], count: int) -> np.ndarray:
    """The hypothesised values (count,) of a Wald test."""
    try:
        values = np.asarray(value, dtype=float)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"wald_test: value must be numbers, found {value!r}") from error
    if values.shape not in ((), (1,), (count,)) or not np.isfinite(values).all():
        raise ConfigError(
            f"wald_test: value must be one finite number or {count}, one per coefficient; found {value!r}"
        )
    return np.broadcast_to(values, (count,))
