"""The look of every interactive picture: one empty figure, one line, one band, one log axis for gaps."""

from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from mlnn.report.logaxis import ZERO_NOTE, LogAxis
from mlnn.report.thin import MOST, thin
from mlnn.report.words import FAINT, INK, NULL, number

DIGITS = 6
"""Of a number on the page: more than can be seen."""
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
AXIS = {"gridcolor": "#ECEFF2", "linecolor": FAINT, "zeroline": False, "ticks": "outside", "tickcolor": FAINT}

COMMON: dict[str, Any] = {
    "template": go.layout.Template().to_plotly_json(),
    "margin": {"l": 72, "r": 24, "t": 48, "b": 52},
    "font": {"family": FONT, "size": 13, "color": INK},
    "paper_bgcolor": "white",
    "plot_bgcolor": "white",
    "hovermode": "closest",
    "legend": {"orientation": "h", "x": 0, "y": 1.03, "yanchor": "bottom", "font": {"size": 12.5}},
    "xaxis": {**AXIS, "title": {"standoff": 8, "font": {"size": 13}}, "showgrid": False},
    "yaxis": {**AXIS, "title": {"standoff": 10, "font": {"size": 13}}},
}
"""The layout that all pictures share: a page holds it once, and of each picture what is its own."""


def own(layout: Mapping[str, Any], common: Mapping[str, Any] = COMMON) -> dict[str, Any]:
    """What of a layout is not in the common one: merged again, part by part, the two are the layout."""
    kept = {}
    for key, value in layout.items():
        if key not in common:
            kept[key] = value
        elif isinstance(value, dict) and isinstance(common[key], dict):
            kept |= {key: inner} if (inner := own(value, common[key])) else {}
        elif value != common[key]:
            kept[key] = value
    return kept


def merged(layout: Mapping[str, Any], common: Mapping[str, Any] = COMMON) -> dict[str, Any]:
    """The whole layout again."""
    both = {
        key: merged(value, common[key]) if isinstance(value, dict) and isinstance(common.get(key), dict) else value
        for key, value in layout.items()
    }
    return {**common, **both}


def blank(y: str, x: str = "step", height: int = 340) -> go.Figure:
    """An empty figure with axis titles `x` and `y`, the legend above the plot."""
    figure = go.Figure(layout=COMMON)
    return figure.update_layout(height=height, xaxis={"title": {"text": x}}, yaxis={"title": {"text": y}})


def listed(values: ArrayLike, digits: int = DIGITS) -> list[float | None]:
    """Plain numbers for the page, None for what is not finite: a break in the line."""
    return [float(f"{v:.{digits}g}") if np.isfinite(v) else None for v in np.asarray(values, dtype=float)]


def _alone(y: np.ndarray) -> np.ndarray:
    """Which points (n,) have no finite neighbour: no line goes through them, so that they would not be seen."""
    known = np.pad(np.isfinite(y), 1)
    alone: np.ndarray = known[1:-1] & ~known[:-2] & ~known[2:]
    return alone


def line(
    figure: go.Figure,
    x: np.ndarray,
    y: np.ndarray,
    name: str,
    colour: str,
    axis: LogAxis | None = None,
    *,
    width: float = 2,
    dash: str = "solid",
    opacity: float | None = None,
    hidden: bool = False,
    faint: bool = False,
    most: int = MOST,
    at: str = "step",
    digits: int = DIGITS,
) -> None:
    """Add the curve (x, y), both (n,), thinned; with `axis` it is a gap, and hovering still says the true number.

    hidden: only in the legend until clicked; faint: no legend entry of its own; most: points that are drawn; at: what x is; digits:
    of its numbers.
    """
    x, y = thin(np.asarray(x), np.asarray(y, dtype=float), most)
    solid, single = 0.3 if faint else 1, _alone(y)
    figure.add_scatter(
        x=listed(x, digits),
        y=listed(axis.place(y) if axis else y, digits),
        name=escape(name),
        mode="lines+markers" if single.any() else "lines",
        marker={"size": np.where(single, 6, 0).tolist()} if single.any() else None,
        line={"color": colour, "width": width, "dash": dash},
        opacity=solid if opacity is None else opacity,
        visible="legendonly" if hidden else True,
        showlegend=not faint,
        hoverinfo="skip" if faint else None,
        # On the axis of gaps a point may stand elsewhere than its number, which is then told beside it.
        text=[number(v) for v in y] if axis and not faint else None,
        hovertemplate=None if faint else f"{at} %{{x}}: %{{{'text' if axis else 'y:.6g'}}}",
    )


def band(figure: go.Figure, x: np.ndarray, low: np.ndarray, high: np.ndarray, name: str, axis: LogAxis) -> None:
    """Fill between `low` and `high`, all (n,), where both are known."""
    known = np.isfinite(low) & np.isfinite(high)
    if not known.any():
        return
    upper, lower = thin(x[known], high[known]), thin(x[known], low[known])
    edge = {"color": NULL, "width": 0.6}
    common = {"mode": "lines", "line": edge, "hoverinfo": "skip", "legendgroup": "band"}
    figure.add_scatter(x=listed(upper[0]), y=listed(axis.place(upper[1])), showlegend=False, **common)
    figure.add_scatter(
        x=listed(lower[0]),
        y=listed(axis.place(lower[1])),
        name=name,
        fill="tonexty",
        fillcolor="rgba(138, 148, 160, 0.28)",
        **common,
    )


def spread(figure: go.Figure, x: np.ndarray, low: np.ndarray, high: np.ndarray, colour: str, most: int = MOST) -> None:
    """Fill between `low` and `high`, all (n,), in a pale colour, without an entry in the legend."""
    known = np.isfinite(low) & np.isfinite(high)
    if not known.any():
        return
    common = {"mode": "lines", "line": {"color": colour, "width": 0}, "hoverinfo": "skip", "showlegend": False}
    upper, lower = thin(x[known], high[known], most), thin(x[known], low[known], most)
    figure.add_scatter(x=listed(upper[0]), y=listed(upper[1]), **common)
    pale = f"rgba({int(colour[1:3], 16)}, {int(colour[3:5], 16)}, {int(colour[5:7], 16)}, 0.22)"
    figure.add_scatter(x=listed(lower[0]), y=listed(lower[1]), fill="tonexty", fillcolor=pale, **common)


def gap_axis(figure: go.Figure, axis: LogAxis, which: str = "y") -> None:
    """Make one axis the log axis of gaps: decades, and a floor marked `0` when some gap is exactly zero."""
    places, labels = axis.ticks()
    spec = {
        "type": "log",
        "range": [axis.low - 0.25, axis.high + (0.15 if which == "y" else 0.4)],
        "tickmode": "array",
        "tickvals": places,
        "ticktext": labels,
        "showgrid": True,
    }
    figure.update_layout({f"{which}axis": spec})
    if axis.zeros:
        floor = {"color": NULL, "width": 1, "dash": "dot"}
        (figure.add_hline if which == "y" else figure.add_vline)(10.0**axis.low, line=floor)
        place = {"x": 1, "y": axis.low, "xref": "paper", "xanchor": "right", "yanchor": "bottom"}
        if which == "x":
            place = {"y": 0, "x": axis.low, "yref": "paper", "xanchor": "left", "yanchor": "bottom"}
        figure.add_annotation(
            text=ZERO_NOTE, showarrow=False, font={"size": 11, "color": NULL}, bgcolor="rgba(255,255,255,0.8)", **place
        )
