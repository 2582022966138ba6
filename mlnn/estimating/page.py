"""The pages of an estimate, and of the race of optimisers towards one."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from rich import box
from rich.table import Table

from mlnn.estimating.classical_page import NORM, coefficients, course_figure, norm_figure, own_scale
from mlnn.report import draw
from mlnn.report.html import picture, render
from mlnn.report.said import said
from mlnn.report.words import LEFT, facts, number

_COEFFICIENTS = (
    "Each coefficient in its own standard errors: the estimate, with its 95 % interval. Away from 0 is evidence."
)
_COURSE = "A network of the same form, trained beside it. The digits of its worst coefficient, and of the median one."
_RACE = "Passes count every row that the optimiser asked for, line searches included. Digits of the worst coefficient."
_DIGITS = (2, 4, 6, 8)


def estimate_page(told: Mapping[str, Any], summary: str) -> str:
    """The page of one estimate. `told`: `Estimate.to_dict` and what stands beside it; `summary`: the table as text."""
    name = str(told.get("likelihood", "model"))
    exists = told.get("separation", "none") in (
        "none",
        "unknown",
    )  # the summary says what there is to say of the unknown
    course = {"": told.get("course") or []}
    return render(
        "estimate.html",
        [],
        title=f"The {name} estimate of {told.get('data', 'the data')}",
        exists=exists,
        separation=told.get("separation", "none"),
        summary=summary,
        sentences=told.get("sentences") or [],
        mle=(told.get("beside") or {}).get("found"),
        rows=coefficients((told.get("beside") or {}).get("found")),
        own_scale=own_scale((told.get("beside") or {}).get("found")),
        pictures=[
            *picture("Coefficients", _COEFFICIENTS, forest_figure(told) if exists else None),
            *picture("How near training comes", _COURSE, course_figure(course)),
            *picture("Norm of the weights", NORM, norm_figure(course)),
        ],
    )


def forest_figure(told: Mapping[str, Any]) -> go.Figure | None:
    """Estimates over their standard errors with 95 % intervals, one row per coefficient, at most 40."""
    if not told.get("bse") or told.get("conf_int") is None:
        return None
    params, bse = (np.asarray(told[key], dtype=float).T.reshape(-1) for key in ("params", "bse"))
    if not (np.isfinite(bse) & (bse > 0)).all():
        return None
    outputs = told.get("outputs") or [""]
    names = [f"{output}: {name}" if output else name for output in outputs for name in told["names"]][:40]
    size = (params / bse)[: len(names)]
    half = (np.moveaxis(np.asarray(told["conf_int"], dtype=float), -1, 0)[1].T.reshape(-1) - params)[: len(names)]
    figure = draw.blank("", "estimate, in standard errors", max(260, 90 + 26 * len(names)))
    figure.add_vline(x=0, line={"color": "#8A94A0", "width": 1})
    figure.add_scatter(
        x=draw.listed(size), y=names, mode="markers", marker={"color": LEFT, "size": 9}, showlegend=False,
        error_x={"type": "data", "array": draw.listed(half / bse[: len(names)]), "color": LEFT, "thickness": 1.6},
        hovertemplate="%{y}: %{x:.3f} standard errors<extra></extra>",
    )  # fmt: skip
    figure.update_yaxes(autorange="reversed", showgrid=False, automargin=True, title=None)
    return figure


def estimator_page(found: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> str:
    """The page of the race: `found` as `mlnn.estimating.race.race` gives it, one per optimiser and seed."""
    many = len({one["row"]["seed"] for one in found}) > 1
    courses = {f"{one['name']}, seed {one['row']['seed']}" if many else one["name"]: one["course"] for one in found}
    exists = bool(found[0]["found"]["coefficients"])
    return render(
        "estimator.html",
        [],
        title="Which optimiser reaches the maximum-likelihood estimate?",
        exists=exists,
        lead=_lead(found) if exists else found[0]["found"]["sentence"],
        facts=facts(about),
        rows=[[one["name"], *_cells(one["row"])] for one in found],
        digits=_DIGITS,
        pictures=[
            *picture("Digits against passes", _RACE, course_figure(courses, "passes", "passes over the data")),
            *picture("Norm of the weights", NORM, norm_figure(courses)),
        ],
    )


def race_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """One line per optimiser and seed: passes made, digits reached, and the passes that 2, 4, 6 and 8 digits took."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("optimiser")
    for name in ("passes", "digits", "std errors", "2 (ll−ll)", *(f"to {digits}" for digits in _DIGITS)):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(said(str(row["name"])), *_cells(row))
    return table


def _cells(row: Mapping[str, Any]) -> list[str]:
    reached = [row[f"passes_to_{digits}"] for digits in _DIGITS]
    least = row["digits_least"]
    return [
        number(row["passes"], 4), number(least, 3) if np.isfinite(least) else "–", _size(row["standard_errors"]),
        _size(row["lr"]), *("–" if at is None else number(at, 4) for at in reached),
    ]  # fmt: skip


def _size(value: float) -> str:
    return number(value, 2) if np.isfinite(value) else "–"


def _lead(found: Sequence[Mapping[str, Any]]) -> str:
    best = max(found, key=lambda one: one["row"]["digits_least"])
    least = [one for one in found if one["row"]["passes_to_4"] is None]
    text = f"{best['name']} comes nearest: {best['row']['digits_least']:.1f} digits after {best['row']['passes']:.0f} passes."
    if least:
        names = ", ".join(dict.fromkeys(one["name"] for one in least))
        text += f" Not four digits within the passes: {names}."
    return text
