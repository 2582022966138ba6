"""Interactive picture of the probe: value and gradient of both objectives against the raw output, per target."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from mlnn.report import draw
from mlnn.report.words import FAINT, plain

# Beyond this the extremes of a probe (±1e4 and more) would press everything else into one pixel; dragging shows them.
_SHOWN = 60.0
_MOST_TARGETS = 4
# Fewer points than this are marked one by one: between them the line is only drawn, not probed.
_DENSE = 100


def probe_figure(probe: Mapping[str, Any] | None, domain: Any, about: Mapping[str, Any]) -> go.Figure | None:
    """Value (top) and gradient (below), a column per target, the domain of agreement shaded.

    None where there is no probe, or the raw output is not one number per row.
    """
    targets = list((probe or {}).get("targets") or [])
    output = np.asarray((probe or {}).get("output", []), dtype=float)
    if not targets or output.ndim != 1 or not len(output):
        return None
    if len(targets) > _MOST_TARGETS:
        targets = [targets[i] for i in np.linspace(0, len(targets) - 1, _MOST_TARGETS).round().astype(int)]
    order, figure = np.argsort(output), draw.blank("", height=520)
    output = output[order]
    reach = min(_SHOWN, float(np.abs(output[np.isfinite(output)]).max(initial=1.0)))
    for column, target in enumerate(targets):
        for row, kind in enumerate(("value", "gradient")):
            cell = row * len(targets) + column
            seen = _curves(figure, output, target, kind, order, cell, about)
            _axes(figure, cell, (row, column, len(targets)), _span(seen, output, reach), reach)
            _title(figure, _key("yaxis", cell), ("value (nats)", "gradient")[row] if column == 0 else "")
        _title(figure, _key("xaxis", column), f"target {escape(plain(target.get('target')))}")
        figure.layout[_key("xaxis", column)].update(side="top", showticklabels=False, ticks="")
        _title(figure, _key("xaxis", len(targets) + column), "raw output")
    _shade(figure, domain, reach, 2 * len(targets))
    figure.update_layout(legend={"y": 1.17}, margin={"t": 112})
    return figure


def _key(axis: str, cell: int) -> str:
    return axis if cell == 0 else f"{axis}{cell + 1}"


def _title(figure: go.Figure, axis: str, text: str) -> None:
    figure.layout[axis].title = {"text": text, "standoff": 6, "font": {"size": 13}}


def _curves(
    figure: go.Figure, output: NDArray, target: Mapping[str, Any], kind: str, order: NDArray, cell: int, about: Any
) -> list[NDArray]:
    seen = []
    for side, look in draw.PAIR.items():
        values = np.asarray(target.get(f"{kind}_{side}", []), dtype=float)
        if values.shape != output.shape:
            continue
        seen.append(values[order])
        draw.line(figure, output, values[order], str(about.get(side, side)), **look)
        figure.data[-1].update(
            xaxis=_key("x", cell),
            yaxis=_key("y", cell),
            showlegend=cell == 0,
            legendgroup=side,
            mode="lines+markers" if len(output) < _DENSE else "lines",
            marker={"size": 4},
            hovertemplate="raw output %{x}: %{text}",
        )
    return seen


def _span(seen: Sequence[NDArray], output: NDArray, reach: float) -> list[float]:
    """Range of y over what is shown of x."""
    values = np.concatenate([curve[np.abs(output) <= reach] for curve in seen] or [np.zeros(1)])
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    margin = 0.08 * (high - low) or 0.5
    return [low - margin, high + margin]


def _axes(figure: go.Figure, cell: int, place: tuple[int, int, int], span: list[float], reach: float) -> None:
    row, column, columns = place
    space = 0.07 if columns > 1 else 0.0
    width = (1 - space * (columns - 1)) / columns
    left = column * (width + space)
    x = {**draw.AXIS, "domain": [left, left + width], "anchor": _key("y", cell), "range": [-reach, reach]}
    x |= {"showgrid": False} | ({"matches": _key("x", column)} if row else {})  # both rows of a column move together
    y = {**draw.AXIS, "domain": [0, 0.46] if row else [0.54, 1], "anchor": _key("x", cell), "range": span}
    figure.update_layout({_key("xaxis", cell): x, _key("yaxis", cell): y})


def _shade(figure: go.Figure, domain: Any, reach: float, cells: int) -> None:
    """Shade where the objectives agree: everywhere for `all`, an interval, or nowhere for `none`."""
    if domain is None or domain == "none":
        return
    low, high = (-reach, reach) if isinstance(domain, str) else map(float, domain)
    for cell in range(cells):
        figure.add_shape(
            type="rect", xref=_key("x", cell), yref=_key("y", cell) + " domain",
            x0=max(low, -1e6), x1=min(high, 1e6), y0=0, y1=1,
            fillcolor="rgba(0, 158, 115, 0.09)", line={"color": FAINT, "width": 1}, layer="below",
        )  # fmt: skip
