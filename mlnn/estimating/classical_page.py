"""A trained network beside its classical estimate: the course of its distance, and the coefficients one by one."""

from collections.abc import Mapping, Sequence
from itertools import cycle
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
    drawn = _drawn(courses, digits=True)
    if not drawn:
        return None
    words = "passes over the data" if passes else "updates done"
    figure, alone = draw.blank("digits that agree with the MLE", words, HEIGHT), len(drawn) == 1
    for (name, looks), colour in zip(drawn.items(), cycle(SERIES), strict=False):
        seen = [(at, look.distance) for look in looks if (at := _at(look, passes)) > 0]
        least = [(at, distance.digits_least) for at, distance in seen]
        _curve(figure, least, "worst coefficient" if alone else name, colour)
        if alone:
            median = [(at, distance.digits_median) for at, distance in seen]
            _curve(figure, median, "median", colour, dash="dot", width=1.3)
    figure.update_xaxes(type="log", exponentformat="power", dtick=1)
    figure.update_yaxes(rangemode="tozero")
    return figure


def norm_figure(courses: Mapping[str, Looks]) -> go.Figure | None:
    """|w| against steps where there is no MLE: a straight line on a log axis is growth like the logarithm of the steps."""
    drawn = _drawn(courses, digits=False)
    if not drawn:
        return None
    figure = draw.blank("|w|, norm of the weights", "updates done", HEIGHT)
    for (name, looks), colour in zip(drawn.items(), cycle(SERIES), strict=False):
        _curve(figure, [(look.step, look.distance.norm) for look in looks if look.step > 0], name or "|w|", colour)
    figure.update_xaxes(type="log", exponentformat="power", dtick=1)
    return figure


def _drawn(courses: Mapping[str, Looks], digits: bool) -> dict[str, Looks]:
    """The courses that have digits of an MLE, or those that have none: one that has diverged had them on its way."""
    with_digits = {
        name for name, looks in courses.items() if any(np.isfinite(look.distance.digits_median) for look in looks)
    }

    def later(looks: Looks) -> bool:
        """Whether there is anything to draw but the first weights."""
        shown = ((look.step, look.distance.digits_median if digits else look.distance.norm) for look in looks)
        return any(step > 0 and np.isfinite(value) for step, value in shown)

    return {name: looks for name, looks in courses.items() if (name in with_digits) is digits and later(looks)}


def _at(look: Look, passes: bool) -> float:
    """Where a look stands on the axis."""
    return (look.passes or 0.0) if passes else look.step


def _curve(figure: go.Figure, points: Sequence[tuple[float, float]], name: str, colour: str, **look: Any) -> None:
    x, y = np.array(points, dtype=float).reshape(-1, 2).T
    draw.line(figure, x, y, name, colour, **look)


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
    if len(told) == 2 and len(set(told.values())) == 1:
        return [f"Both: {next(iter(told.values()))}"]
    shared = _shared([one.get("basis") for one in (sides or {}).values()])
    lines = [f"{side.capitalize()}: {sentence.removesuffix(shared).rstrip()}" for side, sentence in told.items()]
    return lines + [f"Of both sides: {shared}"] * bool(shared)


def _shared(bases: Sequence[Mapping[str, Any] | None]) -> str:
    """What two estimates stand for in the same words; nothing where they do not."""
    sentences = {basis["sentence"] if basis else "" for basis in bases}
    return sentences.pop() if len(bases) == 2 and len(sentences) == 1 else ""
