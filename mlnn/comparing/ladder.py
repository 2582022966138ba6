"""Interactive picture of growth: one rung per architecture, its weight gaps in both precisions and the null band."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from mlnn.comparing.rungs import Row, Rung, rungs, working_dtype
from mlnn.report import draw
from mlnn.report.logaxis import LogAxis, log_axis
from mlnn.report.words import RIGHT, TWIN, number

COLUMNS = ("weight_gap", "float64_weight_gap", "null_low", "null_high")


def ladder_axis(ladder: Sequence[Rung]) -> LogAxis:
    """The log axis that holds every gap and band of the ladder."""
    return log_axis([rung.values(column) for rung in ladder for column in COLUMNS])


def ladder_figure(rows: Sequence[Row], about: Mapping[str, Any]) -> go.Figure | None:
    """Weight gap after training (log axis) against architecture, first rung on top; one point per seed and precision.

    A gap of zero sits on the floor; one that is not finite is a cross at the right edge.
    """
    ladder = rungs(rows)
    if not any(rung.values(column) for rung in ladder for column in COLUMNS):
        return None
    axis = ladder_axis(ladder)
    figure = draw.blank("", "weight gap ÷ distance travelled, after training", height=130 + 34 * len(ladder))
    _bands(figure, ladder, axis)
    dtype = working_dtype(rows, about)
    _points(figure, ladder, "float64_weight_gap", "float64 twin", (TWIN, "diamond", 12), axis)
    _points(figure, ladder, "weight_gap", dtype, (RIGHT, "circle", 9), axis)
    draw.gap_axis(figure, axis, "x")
    figure.update_layout(
        yaxis={
            "tickmode": "array",
            "tickvals": list(range(len(ladder))),
            "ticktext": [escape(rung.label) + "  " for rung in ladder],
            "range": [len(ladder) - 0.4, -0.6],
            "automargin": True,
            "ticks": "",
        },
        margin={"l": 20, "t": 48},
    )
    return figure


def _bands(figure: go.Figure, ladder: Sequence[Rung], axis: LogAxis) -> None:
    shown = True
    for i, rung in enumerate(ladder):
        if rung.null_low is None or rung.null_high is None:
            continue
        figure.add_scatter(
            x=draw.listed(axis.place([rung.null_low, rung.null_high])),
            y=[i, i],
            mode="lines",
            line={"color": "rgba(138, 148, 160, 0.38)", "width": 15},
            name="null band",
            legendgroup="band",
            showlegend=shown,
            hoverinfo="text",
            text=f"null band {number(rung.null_low)} … {number(rung.null_high)}",
        )
        shown = False


def _points(
    figure: go.Figure, ladder: Sequence[Rung], column: str, name: str, look: tuple[str, str, int], axis: LogAxis
) -> None:
    points = [
        (i, row, float(row[column]))
        for i, rung in enumerate(ladder)
        for row in rung.rows
        if row.get(column) is not None
    ]
    if not points:
        return
    colour, symbol, size = look
    placed = axis.place([gap for _, _, gap in points])
    lost = placed != placed
    figure.add_scatter(
        # Not finite: a cross at the right edge, so that a broken seed is seen.
        x=[10.0**axis.high if gone else float(x) for x, gone in zip(placed, lost, strict=True)],
        y=[i for i, _, _ in points],
        mode="markers",
        name=escape(name),
        marker={
            "color": colour,
            "size": size,
            "symbol": ["x" if gone else symbol for gone in lost],
            "line": {"color": "white", "width": 1},
        },
        text=[f"seed {row.get('seed', '–')}: {number(gap)}, {row.get('relation', '')}" for _, row, gap in points],
        hovertemplate="%{text}",
    )
