"""A trained network beside its classical estimate: the course of its distance, and the coefficients one by one."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from mlnn.estimating.distance import Finding
from mlnn.estimating.trajectory import Look
from mlnn.report import draw
from mlnn.report.words import SERIES, number

Looks = Sequence[Look]

DIGITS = "How many digits of the classical estimate the network's coefficients have, as training goes on."
NORM = (
    "There is no maximum to reach. Under gradient descent this is a straight line: growth like the logarithm of the steps. An"
    " optimiser that stops has met its own tolerance, not a maximum."
)
HEIGHT = 380
"""Pixels of a figure."""
MOST_ROWS = 40
"""Coefficients in a table or a figure: a screen or two."""


def course_figure(courses: Mapping[str, Looks], passes: bool = False) -> go.Figure | None:
    """Digits of the MLE against steps, or passes over the data, per name: of the worst coefficient; alone, of the median too.

    None without digits.
    """
    drawn = {name: looks for name, looks in courses.items() if looks and _has_digits(looks)}
    if not drawn:
        return None
    words = "passes over the data" if passes else "updates done"
    figure, alone = draw.blank("digits that agree with the MLE", words, HEIGHT), len(drawn) == 1
    for place, (name, looks) in enumerate(drawn.items()):
        seen = [look for look in looks if _at(look, passes) > 0]
        at, colour = np.array([_at(look, passes) for look in seen], dtype=float), SERIES[place % len(SERIES)]
        least = np.array([look.distance.digits_least for look in seen], dtype=float)
        draw.line(figure, at, least, "worst coefficient" if alone else name, colour)
        if alone:
            median = np.array([look.distance.digits_median for look in seen], dtype=float)
            draw.line(figure, at, median, "median", colour, dash="dot", width=1.3)
    figure.update_xaxes(type="log", exponentformat="power", dtick=1)
    figure.update_yaxes(rangemode="tozero")
    return figure


def norm_figure(courses: Mapping[str, Looks]) -> go.Figure | None:
    """|w| against steps where there is no MLE: a straight line on a log axis is growth like the logarithm of the steps."""
    drawn = {name: looks for name, looks in courses.items() if looks and not _has_digits(looks)}
    if not drawn:
        return None
    figure = draw.blank("|w|, norm of the weights", "updates done", HEIGHT)
    for place, (name, looks) in enumerate(drawn.items()):
        seen = [look for look in looks if look.step > 0]
        at = np.array([look.step for look in seen], dtype=float)
        norm = np.array([look.distance.norm for look in seen], dtype=float)
        draw.line(figure, at, norm, name or "|w|", SERIES[place % len(SERIES)])
    figure.update_xaxes(type="log", exponentformat="power", dtick=1)
    return figure


def _at(look: Look, passes: bool) -> float:
    """Where a look stands on the axis."""
    return (look.passes or 0.0) if passes else look.step


def _has_digits(looks: Looks) -> bool:
    """Whether there is an MLE to have digits of."""
    return bool(np.isfinite(looks[-1].distance.digits_median))


def coefficients(found: Finding | None) -> list[list[str]]:
    """Rows for a table: name, MLE, standard error, network minus MLE in standard errors, digits that agree."""
    return [
        [one.name, number(one.mle, 8), number(one.se, 5), number(one.errors, 3), number(one.digits, 3)]
        for one in (found.coefficients[:MOST_ROWS] if found else ())
    ]


def own_scale(found: Finding | None) -> list[list[str]]:
    """Rows for a table of the estimate on the data's own scale: name, MLE, standard error; [] where it is on that scale."""
    own = found.basis.own if found and found.basis else None
    return [[one.name, number(one.mle, 8), number(one.se, 5)] for one in (own.coefficients[:MOST_ROWS] if own else ())]


def distances(sides: Mapping[str, Mapping[str, Any]] | None) -> list[str]:
    """For a comparison: one sentence for both sides where they say the same, else one each, and once what both share.

    sides: `Finding.to_dict` of each, as a comparison keeps them; one of an older run has no basis.
    """
    told = {side: one["sentence"] for side, one in (sides or {}).items()}
    if len(set(told.values())) == 1 and len(told) == 2:
        return [f"Both: {next(iter(told.values()))}"]
    bases = {basis["sentence"] if (basis := one.get("basis")) else "" for one in (sides or {}).values()}
    shared = next(iter(bases)) if len(told) == 2 and len(bases) == 1 else ""
    lines = [f"{side.capitalize()}: {sentence.removesuffix(shared).rstrip()}" for side, sentence in told.items()]
    return lines + [f"Of both sides: {shared}"] * bool(shared)
