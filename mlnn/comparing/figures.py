"""Interactive pictures of a trace. Each function gives a figure, or None where the trace has nothing for it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from mlnn.comparing.series import Trace, breaks, null_twins, twins
from mlnn.report import draw
from mlnn.report.logaxis import log_axis
from mlnn.report.words import LEFT, NULL, RIGHT, SERIES, TWIN

_TWINS = (TWIN, "#CC79A7", "#5B4B8A")


def _loss_axis(figure: go.Figure, traces: Sequence[Trace], columns: Sequence[str]) -> None:
    # A loss that falls (or explodes) over two decades is readable only on a log axis.
    values = np.concatenate([trace[column] for trace in traces for column in columns if column in trace])
    values = values[np.isfinite(values)]
    if len(values) and values.min() > 0 and values.max() > 100 * values.min():
        figure.update_yaxes(type="log", exponentformat="power", dtick=1)


def loss_figure(trace: Trace, about: Mapping[str, Any], others: Sequence[Trace] = ()) -> go.Figure | None:
    """Loss per step of both objectives, right dashed on top of left; `others` (further seeds) as faint lines.

    Control, precision twins and null twins wait in the legend.
    """
    names = {"loss_left": str(about.get("left", "left")), "loss_right": str(about.get("right", "right"))}
    if not names.keys() & trace.keys():
        return None
    figure, step = draw.blank("loss, mean per row (nats)"), trace["step"]
    for other in others:
        if "loss_left" in other:
            draw.line(figure, other["step"], other["loss_left"], "other seeds", LEFT, width=1, faint=True)
    for side, look in draw.PAIR.items():
        column = f"loss_{side}"
        if column in trace:
            draw.line(figure, step, trace[column], names[column], **look)
    hidden = {"control": "loss_control"} if "loss_control" in trace else {}
    for column, name in names.items():
        hidden |= {f"{name}, {dtype}": twin for dtype, twin in twins(trace, column).items()}
    hidden |= {f"null {i}": column for i, column in enumerate(null_twins(trace, "loss"), 1)}
    for i, (name, column) in enumerate(hidden.items()):
        draw.line(figure, step, trace[column], name, SERIES[(i + 2) % len(SERIES)], width=1.3, hidden=True)
    _loss_axis(figure, [trace, *others], ["loss_left", "loss_right"])
    draw.mark_breaks(figure, breaks(trace), trace["step"])
    return figure


def gap_figure(trace: Trace, about: Mapping[str, Any], others: Sequence[Trace] = ()) -> go.Figure | None:
    """Weight gap on a log axis: the pair, its precision twins, and the null band (without one, the null twins)."""
    pair = {str(about.get("dtype", "this pair")): "weight_gap"} if "weight_gap" in trace else {}
    shown = pair | {f"{dtype} twin": column for dtype, column in twins(trace, "weight_gap").items()}
    bounds = [c for c in ("null_low", "null_high") if c in trace]
    nulls = [] if len(bounds) == 2 else null_twins(trace, "weight_gap")
    if not (shown or nulls):
        return None
    seeds = [other["weight_gap"] for other in others if "weight_gap" in other]
    columns = [*shown.values(), *nulls, *(bounds if len(bounds) == 2 else [])]
    axis = log_axis([*(trace[column] for column in columns), *seeds])
    figure = draw.blank("weight gap (relative)")
    if len(bounds) == 2:
        draw.band(figure, trace["step"], trace["null_low"], trace["null_high"], axis)
    for i, column in enumerate(nulls):
        draw.line(figure, trace["step"], trace[column], f"null twin {i + 1}", NULL, axis, width=1)
    for other in others:
        if "weight_gap" in other:
            draw.line(figure, other["step"], other["weight_gap"], "other seeds", LEFT, axis, width=1, faint=True)
    _gap_lines(figure, trace, shown, axis)
    return figure


def gradient_figure(trace: Trace) -> go.Figure | None:
    """Relative gradient gap at common weights, with its precision twins; the free-running one waits in the legend."""
    shown = {"at common weights": "gradient_gap"} if "gradient_gap" in trace else {}
    shown |= {f"{dtype} twin": column for dtype, column in twins(trace, "gradient_gap").items()}
    return _gaps(trace, shown, "relative gradient gap", {"free-running": "gradient_gap_free"})


def size_figure(trace: Trace) -> go.Figure | None:
    """Loss gap and prediction gap on one log axis; the weight gap in ulps waits in the legend."""
    shown = {"loss gap": "abs_loss_gap", "largest prediction gap": "prediction_gap"}
    return _gaps(trace, shown, "gap, absolute", {"weight gap in ulps": "weight_gap_ulps"})


def _gaps(trace: Trace, shown: Mapping[str, str], y: str, hidden: Mapping[str, str]) -> go.Figure | None:
    shown = {name: column for name, column in shown.items() if column in trace}
    if not shown:
        return None
    hidden = {name: column for name, column in hidden.items() if column in trace}
    axis = log_axis(trace[column] for column in shown.values())
    figure = draw.blank(y)
    _gap_lines(figure, trace, shown, axis)
    for name, column in hidden.items():
        draw.line(figure, trace["step"], trace[column], name, NULL, axis, width=1.3, hidden=True)
    return figure


def _gap_lines(figure: go.Figure, trace: Trace, shown: Mapping[str, str], axis: Any) -> None:
    for i, (name, column) in enumerate(shown.items()):
        colour = RIGHT if i == 0 else _TWINS[(i - 1) % len(_TWINS)]
        draw.line(figure, trace["step"], trace[column], name, colour, axis, width=1.8)
    draw.gap_axis(figure, axis)
    draw.mark_breaks(figure, breaks(trace), trace["step"])


def overlay_figure(runs: Sequence[Mapping[str, Any]]) -> go.Figure | None:
    """Loss curves of several runs {"name", "trace"}: column `loss`, else left solid and right dashed."""
    figure = draw.blank("loss, mean per row (nats)", height=400)
    only = len(runs) == 1 and "loss" in runs[0]["trace"]
    for i, run in enumerate(runs):
        trace, colour = run["trace"], SERIES[i % len(SERIES)]
        for column in ("loss", "loss_left", "loss_right"):
            if column in trace:
                name = str(run["name"]) + ("" if column == "loss" else f" ({column.removeprefix('loss_')})")
                # Later runs are thinner and dashed: of curves that coincide, each is still seen.
                under = i == 0 and column != "loss_right"
                look: dict[str, Any] = {"width": 4, "opacity": 0.55} if under else {"width": 1.8, "dash": "7px,6px"}
                draw.line(figure, trace["step"], trace[column], name, colour, **({} if only else look))
    if not figure.data:
        return None
    _loss_axis(figure, [run["trace"] for run in runs], ["loss", "loss_left", "loss_right"])
    return figure


def difference_figure(differences: Sequence[Mapping[str, Any]]) -> go.Figure | None:
    """Differences {"name", "trace": {"step", "abs_loss_gap"}} between runs, on a log axis."""
    if not differences:
        return None
    axis = log_axis(one["trace"]["abs_loss_gap"] for one in differences)
    figure = draw.blank("loss gap, absolute (nats)")
    for i, one in enumerate(differences):
        trace = one["trace"]
        draw.line(figure, trace["step"], trace["abs_loss_gap"], str(one["name"]), SERIES[i % len(SERIES)], axis)
    draw.gap_axis(figure, axis)
    return figure
