"""Interactive picture of the probe: value and gradient of both objectives against the raw output, per target."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import plotly.graph_objects as go

from mlnn.comparing.figures import PAIR
from mlnn.comparing.probed import Probe
from mlnn.comparing.records import RunInfo
from mlnn.report import draw
from mlnn.report.words import FAINT, plain

_NEAR = 40.0
# Beyond this the extremes of a probe (±1e4 and more) would press everything else into one pixel; dragging shows them.
_SHOWN = 60.0
_MOST_TARGETS = 4
# Fewer points than this are marked one by one: between them the line is only drawn, not probed.
_DENSE = 100


@dataclass(frozen=True)
class TargetCurves:
    """Both objectives at one target: per side, `value` and `gradient`, (n,) each, at the outputs of `ProbeCurves`."""

    target: float
    value: Mapping[str, np.ndarray]
    gradient: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class ProbeCurves:
    """What the page draws of a probe: raw outputs (n,), and the curves per target."""

    output: np.ndarray
    targets: Sequence[TargetCurves]


def probe_curves(probed: Probe) -> ProbeCurves:
    """The probe's curves inside [−40, 40]; with K outputs, along the first direction only."""
    grid = probed.grid
    near = grid.strength.abs() <= _NEAR
    if grid.output.ndim > 1:
        near &= grid.ray == 0
    sides = {"left": probed.left, "right": probed.right}
    curves = [
        TargetCurves(
            target,
            {side: np.array(at.value[near, column].tolist()) for side, at in sides.items()},
            {side: np.array(at.gradient[near, column, 0].tolist()) for side, at in sides.items()},
        )
        for column, target in enumerate(grid.labels)
    ]
    return ProbeCurves(np.array(grid.strength[near].tolist()), curves)


def probe_figure(probe: ProbeCurves | None, domain: str | tuple[float, float] | None, run: RunInfo) -> go.Figure | None:
    """Value (top) and gradient (below), a column per target, the domain of agreement shaded.

    None where there is no probe, or the raw output is not one number per row.
    """
    if probe is None or probe.output.ndim != 1 or not len(probe.output) or not probe.targets:
        return None
    order, figure, targets = np.argsort(probe.output), draw.blank("", height=520), _few(probe.targets)
    output = probe.output[order]
    reach = min(_SHOWN, float(np.abs(output[np.isfinite(output)]).max(initial=1.0)))
    for column, target in enumerate(targets):
        for row, (words, curves) in enumerate((("value (nats)", target.value), ("gradient", target.gradient))):
            cell = row * len(targets) + column
            drawn = {side: curve[order] for side, curve in curves.items()}
            _draw(figure, output, drawn, cell, run)
            _axes(figure, cell, (row, column, len(targets)), _span(list(drawn.values()), output, reach), reach)
            _title(figure, _key("yaxis", cell), "" if column else words)
        _title(figure, _key("xaxis", column), f"target {escape(plain(target.target))}")
        figure.layout[_key("xaxis", column)].update(side="top", showticklabels=False, ticks="")
        _title(figure, _key("xaxis", len(targets) + column), "raw output")
    _shade(figure, domain, reach, 2 * len(targets))
    figure.update_layout(legend={"y": 1.17}, margin={"t": 112})
    return figure


def _few(targets: Sequence[TargetCurves]) -> Sequence[TargetCurves]:
    """No more than can be drawn side by side, the first and the last among them."""
    if len(targets) <= _MOST_TARGETS:
        return targets
    return [targets[i] for i in np.linspace(0, len(targets) - 1, _MOST_TARGETS).round().astype(int)]


def _key(axis: str, cell: int) -> str:
    return axis if cell == 0 else f"{axis}{cell + 1}"


def _title(figure: go.Figure, axis: str, text: str) -> None:
    figure.layout[axis].title = {"text": text, "standoff": 6, "font": {"size": 13}}


def _draw(figure: go.Figure, output: np.ndarray, curves: Mapping[str, np.ndarray], cell: int, run: RunInfo) -> None:
    names = {"left": run.left, "right": run.right}
    for side, (colour, look) in PAIR.items():
        draw.line(figure, output, curves[side], names[side], colour, **look)
        figure.data[-1].update(
            xaxis=_key("x", cell),
            yaxis=_key("y", cell),
            showlegend=cell == 0,
            legendgroup=side,
            mode="lines+markers" if len(output) < _DENSE else "lines",
            marker={"size": 4},
            hovertemplate="raw output %{x}: %{text}",
        )


def _span(seen: Sequence[np.ndarray], output: np.ndarray, reach: float) -> list[float]:
    """Range of y over what is shown of x."""
    values = np.concatenate([curve[np.abs(output) <= reach] for curve in seen])
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


def _shade(figure: go.Figure, domain: str | tuple[float, float] | None, reach: float, cells: int) -> None:
    """Shade where the objectives agree: everywhere for `all`, an interval, or nowhere for `none`."""
    if domain is None or domain == "none":
        return
    low, high = (-reach, reach) if isinstance(domain, str) else domain
    for cell in range(cells):
        figure.add_shape(
            type="rect", xref=_key("x", cell), yref=_key("y", cell) + " domain",
            x0=max(low, -1e6), x1=min(high, 1e6), y0=0, y1=1,
            fillcolor="rgba(0, 158, 115, 0.09)", line={"color": FAINT, "width": 1}, layer="below",
        )  # fmt: skip
