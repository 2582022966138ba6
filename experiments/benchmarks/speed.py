"""Logistic regression side by side: time of a fit and of a process's first one, memory beyond the data, how near the answers are.

Each fit is in a process of its own. "Warm": after a small fit, whose imports and compilations are then nobody's. "First": the
data are there and nothing else is, so that imports, thread pools and what a library makes ready count.
"""

import importlib.util
import multiprocessing
import resource
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from mlnn.errors import ConfigError, unknown
from mlnn.report.said import said
from mlnn.report.words import number

Fitted = tuple[np.ndarray, np.ndarray | None]
WARM = 20_000
"""Rows of a first, untimed fit: imports and compilations are nobody's speed."""


def _mlnn(x: np.ndarray, y: np.ndarray) -> Fitted:
    from mlnn.estimating import estimate

    found = estimate("bernoulli", (x, y))
    return found.params, found.bse


def _sklearn(x: np.ndarray, y: np.ndarray, tolerance: float = 1e-4) -> Fitted:
    from sklearn.linear_model import LogisticRegression

    found = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=tolerance).fit(x, y)
    return np.append(found.coef_[0], found.intercept_), None


def _sklearn_tight(x: np.ndarray, y: np.ndarray) -> Fitted:
    return _sklearn(x, y, 1e-8)


def _statsmodels(x: np.ndarray, y: np.ndarray, glm: bool) -> Fitted:
    import statsmodels.api as sm

    design = np.column_stack([x, np.ones(len(x))])
    model = sm.GLM(y, design, family=sm.families.Binomial()) if glm else sm.Logit(y, design)
    found = model.fit() if glm else model.fit(method="newton", disp=0)
    return found.params, found.bse


def _statsmodels_glm(x: np.ndarray, y: np.ndarray) -> Fitted:
    return _statsmodels(x, y, True)


def _statsmodels_logit(x: np.ndarray, y: np.ndarray) -> Fitted:
    return _statsmodels(x, y, False)


def _glum(x: np.ndarray, y: np.ndarray) -> Fitted:
    from glum import GeneralizedLinearRegressor

    found = GeneralizedLinearRegressor(family="binomial", alpha=0).fit(x, y)
    errors = found.std_errors(x, y)
    return np.append(found.coef_, found.intercept_), np.append(errors[1:], errors[0])


# (fit, the package it needs, whether its standard errors come with it)
CONTENDERS: dict[str, tuple[Callable[[np.ndarray, np.ndarray], Fitted], str]] = {
    "mlnn": (_mlnn, "mlnn"),
    "sklearn": (_sklearn, "sklearn"),
    "sklearn_tight": (_sklearn_tight, "sklearn"),
    "statsmodels_glm": (_statsmodels_glm, "statsmodels"),
    "statsmodels_logit": (_statsmodels_logit, "statsmodels"),
    "glum": (_glum, "glum"),
}


def race(
    rows: int, columns: int, correlation: float, repeats: int, rivals: Sequence[str], seed: int,
    progress: Callable[[int, int], None],
) -> list[dict[str, Any]]:  # fmt: skip
    """One dict per contender, mlnn first, see `_against`: seconds of each repeat, warm and first, memory, how far it is away.

    Contenders alternate, so that a change of the machine's load meets all. Raises ConfigError for an unknown rival, or sizes
    below 1.
    """
    for key, value in (("rows", rows), ("columns", columns), ("repeats", repeats)):
        if value < 1:
            raise ConfigError(f"{key}: {value}; at least 1 is needed")
    if not 0 <= correlation < 1:
        raise ConfigError(f"correlation: {correlation}; at least 0 and below 1 is needed")
    for name in rivals:
        if name not in CONTENDERS:
            raise ConfigError("rivals: " + unknown("rival", str(name), CONTENDERS))
    names = [name for name in ("mlnn", *rivals) if importlib.util.find_spec(CONTENDERS[name][1])]
    spawn = multiprocessing.get_context("spawn")
    rounds = [(name, first) for _ in range(repeats) for first in (False, True) for name in names]
    found: dict[str, list[Once]] = {name: [] for name in names}
    for done, (name, first) in enumerate(rounds):
        with ProcessPoolExecutor(1, mp_context=spawn) as pool:
            found[name].append(pool.submit(_once, name, rows, columns, correlation, seed, first).result())
        progress(done + 1, len(rounds))
    return [_against(name, fits, found["mlnn"]) for name, fits in found.items()]


@dataclass(frozen=True)
class Once:
    """One fit: wall and processor seconds, peak memory beyond what the process held before, over the data; its answer."""

    first: bool
    seconds: float
    processor: float
    memory: float
    params: np.ndarray
    bse: np.ndarray | None


def _once(name: str, rows: int, columns: int, correlation: float, seed: int, first: bool) -> Once:
    """One fit in this process."""
    warnings.simplefilter("ignore")
    x, y = draw(rows, columns, correlation, seed)
    fit = CONTENDERS[name][0]
    if not first:
        fit(x[:WARM], y[:WARM])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun, worked = time.perf_counter(), time.process_time()
    params, bse = fit(x, y)
    seconds, processor = time.perf_counter() - begun, time.process_time() - worked
    beyond = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    return Once(first, seconds, processor, beyond / x.nbytes, params, bse)


def draw(rows: int, columns: int, correlation: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """x (rows, columns) normal with one correlation between all columns, y (rows,) Bernoulli with moderate coefficients."""
    noise = np.random.default_rng(seed)
    x = noise.standard_normal((rows, columns))
    if correlation:
        x *= np.sqrt(1 - correlation)
        x += np.sqrt(correlation) * noise.standard_normal((rows, 1))
    weights = noise.standard_normal(columns) / np.sqrt(columns)
    return x, (noise.random(rows) < 1 / (1 + np.exp(-(x @ weights - 0.5)))).astype(float)


def _against(name: str, fits: Sequence[Once], own: Sequence[Once]) -> dict[str, Any]:
    """Plain data of a contender: warm median, least and processor seconds, first call's least, each over mlnn's; memory.

    errors_apart: the largest difference from mlnn's coefficients, in mlnn's standard errors.
    """
    last, other = fits[-1], own[-1]
    assert other.bse is not None
    taken, mine = _times(fits), _times(own)
    ratios = {f"{key}_ratio": value / mine[key] for key, value in taken.items()}
    return {
        "name": name, **taken, "ratio": ratios.pop("median_ratio"), **ratios,
        "memory": max(one.memory for one in fits if not one.first),
        "first_memory": max(one.memory for one in fits if one.first),
        "errors_apart": float(np.abs((last.params - other.params) / other.bse).max()),
        "standard_errors": last.bse is not None,
        "seconds": [one.seconds for one in fits if not one.first],
        "first_seconds": [one.seconds for one in fits if one.first],
    }  # fmt: skip


def _times(fits: Sequence[Once]) -> dict[str, float]:
    """Seconds: the median of the warm fits, the least, least of the processor's; the least of a first one."""
    warm, first = ([one for one in fits if one.first == kind] for kind in (False, True))
    return {
        "median": float(np.median([one.seconds for one in warm])),
        "least": min(one.seconds for one in warm),
        "processor": min(one.processor for one in warm),
        "first": min(one.seconds for one in first),
        "first_processor": min(one.processor for one in first),
    }


def speed_table(found: Sequence[Mapping[str, Any]]) -> Table:
    """One line per contender: least seconds of a warm fit and of a first one, over mlnn's; memory; how far its answer is off."""
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        caption="least seconds, and of the processor; memory beyond what was there, over the data; distance in standard errors",
    )
    table.add_column("fit")
    for column in ("warm", "÷ mlnn", "cpu", "first", "÷ mlnn", "cpu", "memory", "first", "apart", "errors"):
        table.add_column(column, justify="right")
    for one in found:
        seconds = (one[key] for key in ("least", "least_ratio", "processor", "first", "first_ratio", "first_processor"))
        table.add_row(
            said(str(one["name"])), *(number(value, 3) for value in seconds), number(one["memory"], 2),
            number(one["first_memory"], 2), number(one["errors_apart"], 2), "yes" if one["standard_errors"] else "no",
        )  # fmt: skip
    return table
