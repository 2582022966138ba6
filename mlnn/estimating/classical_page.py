"""A trained network beside its classical twin: the course of its distance, and the coefficients one by one."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from mlnn.report import draw
from mlnn.report.words import SERIES, number

Rows = Sequence[Mapping[str, float]]

DIGITS = "How many digits of the classical estimate the network's coefficients have, as training goes on."
NORM = (
    "There is no maximum to reach. Under gradient descent this is a straight line: growth like the logarithm of the steps. An"
    " optimiser that stops has met its own tolerance, not a maximum."
)


def course_figure(courses: Mapping[str, Rows], x: str = "step", words: str = "updates done") -> go.Figure | None:
    """Digits of the MLE against steps (or another column `x`), per name: of the worst coefficient; alone, of the median one too.

    rows: {"step", "digits_least", "digits_median", …}; None without digits.
    """
    drawn = {name: rows for name, rows in courses.items() if rows and np.isfinite(rows[-1]["digits_median"])}
    if not drawn:
        return None
    figure = draw.blank("digits that agree with the MLE", words, 380)
    for place, (name, rows) in enumerate(drawn.items()):
        seen = [row for row in rows if row[x] > 0]
        at = np.array([row[x] for row in seen], dtype=float)
        many = len(drawn) > 1
        lines = (("digits_least", "solid", name if many else "worst coefficient"), ("digits_median", "dot", "median"))
        for column, dash, label in lines[: 1 if many else 2]:
            digits = np.array([row[column] for row in seen], dtype=float)
            draw.line(figure, at, digits, label,
                      SERIES[place % len(SERIES)], dash=dash, width=2 if dash == "solid" else 1.3)  # fmt: skip
    figure.update_xaxes(type="log", exponentformat="power", dtick=1)
    figure.update_yaxes(rangemode="tozero")
    return figure


def norm_figure(courses: Mapping[str, Rows]) -> go.Figure | None:
    """|w| against steps where there is no MLE: a straight line on a log axis is growth like the logarithm of the steps."""
    drawn = {name: rows for name, rows in courses.items() if rows and not np.isfinite(rows[-1]["digits_median"])}
    if not drawn:
        return None
    figure = draw.blank("|w|, norm of the weights", "updates done", 380)
    for place, (name, rows) in enumerate(drawn.items()):
        at = np.array([row["step"] for row in rows if row["step"] > 0], dtype=float)
        norm = np.array([row["norm"] for row in rows if row["step"] > 0], dtype=float)
        draw.line(figure, at, norm, name or "|w|", SERIES[place % len(SERIES)])
    figure.update_xaxes(type="log", exponentformat="power", dtick=1)
    return figure


def coefficients(mle: Mapping[str, Any] | None, most: int = 40) -> list[list[str]]:
    """Rows for a table: name, MLE, standard error, network minus MLE in standard errors, digits that agree."""
    rows = mle["coefficients"][:most] if mle else []
    return [
        [row["name"], number(row["mle"], 8), number(row["se"], 5), number(row["errors"], 3), number(row["digits"], 3)]
        for row in rows
    ]


def own_scale(mle: Mapping[str, Any] | None, most: int = 40) -> list[list[str]]:
    """Rows for a table of the estimate on the data's own scale: name, MLE, standard error; [] where it is on that scale."""
    own = ((mle or {}).get("basis") or {}).get("own")
    rows = own["coefficients"][:most] if own else []
    return [[row["name"], number(row["mle"], 8), number(row["se"], 5)] for row in rows]


def distances(sides: Mapping[str, Mapping[str, Any]] | None) -> list[str]:
    """For a comparison: one sentence for both sides where they say the same, else one each, and once what both share."""
    found = dict(sides or {})
    told = {side: one["sentence"] for side, one in found.items()}
    if len(set(told.values())) == 1 and len(told) == 2:
        return [f"Both: {next(iter(told.values()))}"]
    bases = {(one.get("basis") or {}).get("sentence", "") for one in found.values()}
    shared = next(iter(bases)) if len(told) == 2 and len(bases) == 1 else ""
    lines = [f"{side.capitalize()}: {sentence.removesuffix(shared).rstrip()}" for side, sentence in told.items()]
    return lines + [f"Of both sides: {shared}"] * bool(shared)
