"""The pages of an estimate, and of the race of optimisers towards one."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from rich import box
from rich.table import Table

from mlnn.estimating.classical_page import MOST_ROWS, NORM, coefficients, course_figure, norm_figure, own_scale
from mlnn.estimating.configured import Estimated, EstimatedModel
from mlnn.estimating.race import DIGITS, Result, Runner
from mlnn.estimating.result import Estimate
from mlnn.report import draw
from mlnn.report.html import picture, render
from mlnn.report.said import said
from mlnn.report.words import LEFT, facts, number

_COEFFICIENTS = (
    "Each coefficient in its own standard errors: the estimate, with its 95 % interval. Away from 0 is evidence."
)
_COURSE = "A network of the same form, trained beside it. The digits of its worst coefficient, and of the median one."
_RACE = "Passes count every row that the optimiser asked for, line searches included. Digits of the worst coefficient."


def estimate_page(told: Estimated | EstimatedModel) -> str:
    """The page of one estimate, and of the network trained beside it."""
    linear = told if isinstance(told, Estimated) else None
    beside = linear.beside if linear else None
    course, found = {"": beside.course if beside else ()}, beside.found if beside else None
    return render(
        "estimate.html",
        [],
        title=f"The {told.found.likelihood} estimate of {told.data.name}",
        exists=told.found.separation in ("none", "unknown"),  # the summary says what there is to say of the unknown
        separation=told.found.separation,
        summary=told.found.summary(),
        sentences=told.sentences,
        rows=coefficients(found),
        own_scale=own_scale(found),
        pictures=[
            *picture("Coefficients", _COEFFICIENTS, forest_figure(linear.found) if linear else None),
            *picture("How near training comes", _COURSE, course_figure(course)),
            *picture("Norm of the weights", NORM, norm_figure(course)),
        ],
    )


def forest_figure(found: Estimate) -> go.Figure | None:
    """Estimates over their standard errors with 95 % intervals, one row per coefficient; None without standard errors."""
    if found.bse is None or not (np.isfinite(found.bse) & (found.bse > 0)).all():
        return None
    params, bse, upper = (
        part.T.reshape(-1)[:MOST_ROWS] for part in (found.params, found.bse, found.conf_int()[..., 1])
    )
    names = found.labels[:MOST_ROWS]
    figure = draw.blank("", "estimate, in standard errors", max(260, 90 + 26 * len(names)))
    figure.add_vline(x=0, line={"color": "#8A94A0", "width": 1})
    figure.add_scatter(
        x=draw.listed(params / bse), y=names, mode="markers", marker={"color": LEFT, "size": 9}, showlegend=False,
        error_x={"type": "data", "array": draw.listed((upper - params) / bse), "color": LEFT, "thickness": 1.6},
        hovertemplate="%{y}: %{x:.3f} standard errors<extra></extra>",
    )  # fmt: skip
    figure.update_yaxes(autorange="reversed", showgrid=False, automargin=True, title=None)
    return figure


def estimator_page(runners: Sequence[Runner], about: Mapping[str, Any]) -> str:
    """The page of the race, a runner per optimiser and seed."""
    many = len({one.result.seed for one in runners}) > 1
    courses = {f"{one.name}, seed {one.result.seed}" if many else one.name: one.course for one in runners}
    first = runners[0].found
    exists = bool(first.coefficients)
    return render(
        "estimator.html",
        [],
        title="Which optimiser reaches the maximum-likelihood estimate?",
        exists=exists,
        lead=_lead([one.result for one in runners]) if exists else first.sentence,
        facts=facts(about),
        rows=[[one.name, *_cells(one.result)] for one in runners],
        digits=DIGITS,
        pictures=[
            *picture("Digits against passes", _RACE, course_figure(courses, passes=True)),
            *picture("Norm of the weights", NORM, norm_figure(courses)),
        ],
    )


def race_table(results: Sequence[Result]) -> Table:
    """One line per optimiser and seed: passes made, digits reached, and the passes that 2, 4, 6 and 8 digits took."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("optimiser")
    for name in ("passes", "digits", "std errors", "2 (ll−ll)", *(f"to {digits}" for digits in DIGITS)):
        table.add_column(name, justify="right")
    for one in results:
        table.add_row(said(str(one.name)), *_cells(one))
    return table


def _cells(one: Result) -> list[str]:
    return [
        number(one.passes, 4), _size(one.distance.digits_least, 3), _size(one.distance.standard_errors, 2),
        _size(one.distance.lr, 2), *("–" if at is None else number(at, 4) for at in one.reached),
    ]  # fmt: skip


def _size(value: float, digits: int) -> str:
    return number(value, digits) if np.isfinite(value) else "–"


def _lead(results: Sequence[Result]) -> str:
    best = max(results, key=lambda one: one.distance.digits_least)
    text = f"{best.name} comes nearest: {best.distance.digits_least:.1f} digits after {best.passes:.0f} passes."
    least = list(dict.fromkeys(one.name for one in results if one.reached[DIGITS.index(4)] is None))
    return f"{text} Not four digits within the passes: {', '.join(least)}." if least else text
