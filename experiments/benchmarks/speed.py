"""Logistic regression side by side: wall time, memory beyond the data, and how near the answers are. Each in its own process."""

import importlib.util
import multiprocessing
import resource
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
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
    """One dict per contender, mlnn first: name, seconds (each repeat), memory (largest, of the data), params, bse.

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
    found: dict[str, dict[str, Any]] = {name: {"name": name, "seconds": [], "memory": 0.0} for name in names}
    spawn = multiprocessing.get_context("spawn")
    for done in range(repeats * len(names)):
        name = names[done % len(names)]
        with ProcessPoolExecutor(1, mp_context=spawn) as pool:
            seconds, memory, params, bse = pool.submit(_once, name, rows, columns, correlation, seed).result()
        found[name]["seconds"].append(seconds)
        found[name]["memory"] = max(found[name]["memory"], memory)
        found[name] |= {"params": params, "bse": bse}
        progress(done + 1, repeats * len(names))
    return [_against(one, found["mlnn"]) for one in found.values()]


def _once(name: str, rows: int, columns: int, correlation: float, seed: int) -> tuple[float, float, Any, Any]:
    """(seconds, peak memory beyond the data over the data, params, bse) of one fit in this process."""
    warnings.simplefilter("ignore")
    x, y = draw(rows, columns, correlation, seed)
    fit = CONTENDERS[name][0]
    fit(x[:WARM], y[:WARM])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.perf_counter()
    params, bse = fit(x, y)
    seconds = time.perf_counter() - begun
    beyond = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    return seconds, beyond / x.nbytes, params, bse


def draw(rows: int, columns: int, correlation: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """x (rows, columns) normal with one correlation between all columns, y (rows,) Bernoulli with moderate coefficients."""
    noise = np.random.default_rng(seed)
    x = noise.standard_normal((rows, columns))
    if correlation:
        x *= np.sqrt(1 - correlation)
        x += np.sqrt(correlation) * noise.standard_normal((rows, 1))
    weights = noise.standard_normal(columns) / np.sqrt(columns)
    return x, (noise.random(rows) < 1 / (1 + np.exp(-(x @ weights - 0.5)))).astype(float)


def _against(one: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """The same with its ratio to mlnn's median time, and the largest difference from mlnn in standard errors."""
    off = np.abs((np.asarray(one["params"]) - own["params"]) / own["bse"]).max()
    seconds = float(np.median(one["seconds"]))
    return {
        "name": one["name"], "median": seconds, "ratio": seconds / float(np.median(own["seconds"])),
        "memory": one["memory"], "errors_apart": float(off), "standard_errors": one["bse"] is not None,
        "seconds": one["seconds"],
    }  # fmt: skip


def speed_table(found: Sequence[Mapping[str, Any]]) -> Table:
    """One line per contender: median time, its ratio to mlnn's, memory beyond the data, how far its answer is from mlnn's."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("fit")
    for name in ("seconds", "÷ mlnn", "memory ÷ data", "std errors apart"):
        table.add_column(name, justify="right")
    table.add_column("standard errors")
    for one in found:
        table.add_row(
            said(str(one["name"])), number(one["median"], 3), number(one["ratio"], 3), number(one["memory"], 2),
            number(one["errors_apart"], 2), "yes" if one["standard_errors"] else "no",
        )  # fmt: skip
    return table
