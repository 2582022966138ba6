"""The resolution ladder: planted faults of falling size against the gap that each makes, and what counts as rounding."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from mlnn.report import draw
from mlnn.report.logaxis import LogAxis, log_axis
from mlnn.report.words import number

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
SYMBOLS = ("circle", "square", "diamond", "triangle-up")
Planted = Mapping[str, Sequence[tuple[float, float, float]]]
"""Per kind of fault, (size, gap, gap allowed as rounding) of each that was planted."""


def planted_figure(planted: Planted) -> go.Figure | None:
    """Gap against size per kind of fault; filled points were caught. None where nothing was planted."""
    if not planted:
        return None
    rows = {kind: np.asarray(points, dtype=float) for kind, points in planted.items()}
    floor = max(float(points[:, 2].max()) for points in rows.values())
    axis = log_axis([*(points[:, 1] for points in rows.values()), np.array([floor])])
    figure = draw.blank("gradient gap in float64, relative", "size of the planted fault, relative", 360)
    for (kind, points), colour, symbol in zip(rows.items(), COLOURS, SYMBOLS, strict=False):
        _faults(figure, kind, points, colour, symbol, axis)
    draw.gap_axis(figure, axis)
    figure.add_hrect(y0=10.0 ** (axis.low - 0.25), y1=floor, fillcolor="rgba(138, 148, 160, 0.22)", line_width=0)
    sizes = np.unique(np.concatenate([points[:, 0] for points in rows.values()])).tolist()
    spec = {
        "type": "log",
        "tickmode": "array",
        "tickvals": sizes[::2],
        "ticktext": [number(size) for size in sizes[::2]],
    }
    figure.update_layout(xaxis=spec)
    return figure


def _faults(figure: go.Figure, kind: str, points: np.ndarray, colour: str, symbol: str, axis: LogAxis) -> None:
    """The faults of one kind, points (n, 3) as `Planted` has them."""
    size, gap, allowed = points.T
    caught = gap > allowed
    figure.add_scatter(
        x=draw.listed(size),
        y=draw.listed(axis.place(gap)),
        name=kind,
        mode="lines+markers",
        line={"color": colour, "width": 1.2},
        marker={
            "symbol": symbol, "size": 8, "line": {"color": colour, "width": 1.5},
            "color": np.where(caught, colour, "white").tolist(),
        },
        text=[f"{number(one)}, {'caught' if seen else 'not seen'}" for one, seen in zip(gap, caught, strict=True)],
        hovertemplate=kind + " of %{x}: %{text}<extra></extra>",
    )  # fmt: skip
