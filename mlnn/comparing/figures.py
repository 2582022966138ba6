"""Interactive pictures of a trace. Each function gives a figure, or None where there is nothing for it."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from mlnn.comparing.badges import BADGES
from mlnn.comparing.curves.figures import Look, loss_axis
from mlnn.comparing.records import RunInfo
from mlnn.comparing.trace import Columns, breaks, null_twins, twins
from mlnn.report import draw
from mlnn.report.logaxis import LogAxis, log_axis
from mlnn.report.words import LEFT, NULL, RIGHT, SERIES, TWIN, number

# Right lies dashed on a wide, pale left: where they coincide both are seen.
PAIR: dict[str, tuple[str, Look]] = {
    "left": (LEFT, {"width": 4.5, "opacity": 0.55}),
    "right": (RIGHT, {"width": 2, "dash": "7px,6px"}),
}
_TWINS = (TWIN, "#CC79A7", "#5B4B8A")
_BREAK = BADGES["broken"].colour


def _mark_breaks(figure: go.Figure, trace: Columns) -> None:
    """A labelled upright line at each step from which a side is no longer finite."""
    steps = trace["step"]
    by_step: dict[int, list[str]] = {}
    for side, step in breaks(trace).items():
        by_step.setdefault(step, []).append(side)
    for i, (step, sides) in enumerate(by_step.items()):
        early = step - steps[0] < (steps[-1] - steps[0]) / 2
        figure.add_vline(
            step,
            line={"color": _BREAK, "width": 1.4, "dash": "dash"},
            annotation={
                "text": f"{' and '.join(sides)} not finite from step {number(step)}",
                "font": {"size": 12, "color": _BREAK},
                "bgcolor": "rgba(255,255,255,0.85)",
                "yshift": -20 * i,  # two labels, one below the other
            },
            annotation_position="top right" if early else "top left",
        )


def _faint(figure: go.Figure, others: Sequence[Columns], column: str, axis: LogAxis | None = None) -> list[np.ndarray]:
    """Draw a column of further seeds as faint lines, and give those columns."""
    holding = [other for other in others if column in other]
    for other in holding:
        draw.line(figure, other["step"], other[column], "other seeds", LEFT, axis, width=1, faint=True)
    return [other[column] for other in holding]


def loss_figure(trace: Columns, run: RunInfo, others: Sequence[Columns] = ()) -> go.Figure | None:
    """Loss per step of both objectives, right dashed on top of left; `others` (further seeds) as faint lines.

    Control, precision twins and null twins wait in the legend.
    """
    names = {"loss_left": run.left, "loss_right": run.right}
    looks = {"loss_left": PAIR["left"], "loss_right": PAIR["right"]}
    columns = [column for column in names if column in trace]
    if not columns:
        return None
    figure, step = draw.blank("loss, mean per row (nats)"), trace["step"]
    losses = _faint(figure, others, "loss_left")
    losses += [other["loss_right"] for other in others if "loss_right" in other]
    for column in columns:
        colour, look = looks[column]
        draw.line(figure, step, trace[column], names[column], colour, **look)
    for i, (name, column) in enumerate(_waiting(trace, names).items()):
        draw.line(figure, step, trace[column], name, SERIES[(i + 2) % len(SERIES)], width=1.3, hidden=True)
    loss_axis(figure, [*losses, *(trace[column] for column in columns)])
    _mark_breaks(figure, trace)
    return figure


def _waiting(trace: Columns, names: Mapping[str, str]) -> dict[str, str]:
    """name → column of the losses beside the pair's own: control, precision twins, null twins."""
    found = {"control": "loss_control"} if "loss_control" in trace else {}
    for column, name in names.items():
        found |= {f"{name}, {dtype}": twin for dtype, twin in twins(trace, column).items()}
    return found | {f"null {i}": column for i, column in enumerate(null_twins(trace, "loss"), 1)}


def gap_figure(trace: Columns, run: RunInfo, others: Sequence[Columns] = ()) -> go.Figure | None:
    """Weight gap on a log axis: the pair, its precision twins, and the null band (without one, the null twins)."""
    shown = _with_twins(trace, "weight_gap", run.working_dtype)
    band = ["null_low", "null_high"] if {"null_low", "null_high"} <= trace.keys() else []
    nulls = [] if band else null_twins(trace, "weight_gap")
    if not (shown or nulls):
        return None
    seeds = [other["weight_gap"] for other in others if "weight_gap" in other]
    axis = log_axis([*(trace[column] for column in [*shown.values(), *nulls, *band]), *seeds])
    figure = draw.blank("weight gap (relative)")
    if band:
        draw.band(figure, trace["step"], trace["null_low"], trace["null_high"], "null band", axis)
    for i, column in enumerate(nulls, 1):
        draw.line(figure, trace["step"], trace[column], f"null twin {i}", NULL, axis, width=1)
    _faint(figure, others, "weight_gap", axis)
    _gap_lines(figure, trace, shown, axis)
    return figure


def gradient_figure(trace: Columns) -> go.Figure | None:
    """Relative gradient gap at common weights, with its precision twins; the free-running one waits in the legend."""
    shown = _with_twins(trace, "gradient_gap", "at common weights")
    return _gaps(trace, shown, "relative gradient gap", {"free-running": "gradient_gap_free"})


def size_figure(trace: Columns) -> go.Figure | None:
    """Loss gap and prediction gap on one log axis; the weight gap in ulps waits in the legend."""
    shown = {"loss gap": "abs_loss_gap", "largest prediction gap": "prediction_gap"}
    return _gaps(trace, shown, "gap, absolute", {"weight gap in ulps": "weight_gap_ulps"})


def _with_twins(trace: Columns, column: str, name: str) -> dict[str, str]:
    """name → column, of a gap and of its precision twins, where they are there."""
    own = {name: column} if column in trace else {}
    return own | {f"{dtype} twin": twin for dtype, twin in twins(trace, column).items()}


def _gaps(trace: Columns, shown: Mapping[str, str], y: str, hidden: Mapping[str, str]) -> go.Figure | None:
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


def _gap_lines(figure: go.Figure, trace: Columns, shown: Mapping[str, str], axis: LogAxis) -> None:
    for i, (name, column) in enumerate(shown.items()):
        colour = RIGHT if i == 0 else _TWINS[(i - 1) % len(_TWINS)]
        draw.line(figure, trace["step"], trace[column], name, colour, axis, width=1.8)
    draw.gap_axis(figure, axis)
    _mark_breaks(figure, trace)
