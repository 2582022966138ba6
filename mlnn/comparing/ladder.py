"""Interactive picture of growth: one rung per architecture, its weight gaps in both precisions and the null band."""

from collections.abc import Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go

from mlnn.comparing.records import GrowthRow, RunInfo
from mlnn.comparing.rungs import Gap, Rung, rungs
from mlnn.report import draw
from mlnn.report.logaxis import LogAxis, log_axis
from mlnn.report.words import RIGHT, TWIN, number

GAPS: tuple[Gap, ...] = (
    lambda row: row.weight_gap,
    lambda row: row.float64_weight_gap,
    lambda row: row.null_low,
    lambda row: row.null_high,
)


def ladder_axis(ladder: Sequence[Rung]) -> LogAxis | None:
    """The log axis that holds every gap and band of the ladder; None where nothing was measured."""
    found = [[size for _, size in rung.measured(gap)] for rung in ladder for gap in GAPS]
    return log_axis(found) if any(found) else None


def ladder_figure(rows: Sequence[GrowthRow], run: RunInfo) -> go.Figure | None:
    """Weight gap after training (log axis) against architecture, first rung on top; one point per seed and precision.

    A gap of zero sits on the floor; one that is not finite is a cross at the right edge.
    """
    ladder = rungs(rows)
    axis = ladder_axis(ladder)
    if axis is None:
        return None
    figure = draw.blank("", "weight gap ÷ distance travelled, after training", height=130 + 34 * len(ladder))
    _bands(figure, ladder, axis)
    _points(figure, ladder, lambda row: row.float64_weight_gap, "float64 twin", (TWIN, "diamond", 12), axis)
    _points(figure, ladder, lambda row: row.weight_gap, run.working_dtype, (RIGHT, "circle", 9), axis)
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
    figure: go.Figure, ladder: Sequence[Rung], gap: Gap, name: str, look: tuple[str, str, int], axis: LogAxis
) -> None:
    points = [(i, row, size) for i, rung in enumerate(ladder) for row, size in rung.measured(gap)]
    if not points:
        return
    colour, symbol, diameter = look
    placed = axis.place([size for _, _, size in points])
    lost = np.isnan(placed)
    figure.add_scatter(
        # Not finite: a cross at the right edge, so that a broken seed is seen.
        x=np.where(lost, 10.0**axis.high, placed).tolist(),
        y=[i for i, _, _ in points],
        mode="markers",
        name=escape(name),
        marker={
            "color": colour,
            "size": diameter,
            "symbol": np.where(lost, "x", symbol).tolist(),
            "line": {"color": "white", "width": 1},
        },
        text=[f"seed {row.seed}: {number(size)}, {row.relation}" for _, row, size in points],
        hovertemplate="%{text}",
    )
