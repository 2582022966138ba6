"""The resolution ladder: planted faults of falling size against the gap that each makes, and what counts as rounding."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from mlnn.report import draw
from mlnn.report.logaxis import log_axis
from mlnn.report.words import number

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
SYMBOLS = ("circle", "square", "diamond", "triangle-up")


def planted_figure(planted: Mapping[str, Sequence[tuple[float, float, float]]] | None) -> go.Figure | None:
    """Gap against size per kind of fault, (size, gap, gap allowed as rounding) each; filled points were caught."""
    if not planted:
        return None
    rows = {kind: np.asarray(points, dtype=float) for kind, points in planted.items()}
    floor = max(float(points[:, 2].max()) for points in rows.values())
    axis = log_axis([*(points[:, 1] for points in rows.values()), np.array([floor])])
    figure = draw.blank("gradient gap in float64, relative", "size of the planted fault, relative", 360)
    for (kind, points), colour, symbol in zip(rows.items(), COLOURS, SYMBOLS, strict=False):
        caught = points[:, 1] > points[:, 2]
        figure.add_scatter(
            x=draw.listed(points[:, 0]),
            y=draw.listed(axis.place(points[:, 1])),
            name=kind,
            mode="lines+markers",
            line={"color": colour, "width": 1.2},
            marker={
                "symbol": symbol, "size": 8, "line": {"color": colour, "width": 1.5},
                "color": [colour if seen else "white" for seen in caught],
            },
            text=[f"{number(gap)}, {'caught' if seen else 'not seen'}" for gap, seen in zip(points[:, 1], caught, strict=True)],
            hovertemplate=kind + " of %{x}: %{text}<extra></extra>",
        )  # fmt: skip
    draw.gap_axis(figure, axis)
    figure.add_hrect(y0=10.0 ** (axis.low - 0.25), y1=floor, fillcolor="rgba(138, 148, 160, 0.22)", line_width=0)
    sizes = sorted({float(size) for points in rows.values() for size in points[:, 0]})
    spec = {
        "type": "log",
        "tickmode": "array",
        "tickvals": sizes[::2],
        "ticktext": [number(size) for size in sizes[::2]],
    }
    figure.update_layout(xaxis=spec)
    return figure
