"""The pictures of a lesson: loss as log-likelihood, weights on their way, the fit over the rows, and where the equality stops.

One colour a meaning throughout: the network blue, the maximum-likelihood estimate green and dashed, single batches pale.
"""

import math

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mlnn.estimating.lesson.axis import OFF, Axis
from mlnn.estimating.lesson.fit import Fit, Line
from mlnn.estimating.lesson.lesson import Lesson, Path
from mlnn.estimating.lesson.limits import Limit
from mlnn.report import draw
from mlnn.report.words import INK, LEFT, NULL, RIGHT, TWIN, number

FIRST, HEIGHT, SMALL = 410, 380, 260
"""Pixels of the first picture, which must be seen whole on a projector of 1366 × 768, of the others, and of the small ones."""
MOST_PANELS = 8
"""Coefficients that have a panel: two rows of four."""
COLUMNS = 4
"""Panels beside one another."""
TICKS = (4, 8)
"""Numbers on the axis of log-likelihoods: at least and at most about so many."""
FEW = 20
"""Looks at all rows below which each is marked: between them the line is no more than a guide."""
TALL = 100.0
"""Largest over smallest loss above which the axis is logarithmic: on a plain one the end would lie on the floor."""
ROLES = {"network": (LEFT, "solid"), "MLE": (TWIN, "dash"), "ideal": (NULL, "dash")}
LABELS = (RIGHT, "#56B4E9", "#CC79A7", "#B8860B", "#5B4B8A", "#4D4D4D")
"""Of rows of a class; none is a colour of the network or of the estimate."""
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "cross")


def course_figure(step: np.ndarray, loss: np.ndarray, lesson: Lesson) -> go.Figure:
    """The loss curve (n,), of all rows too where they were looked at, with the log-likelihood on the right."""
    axis, top = lesson.axis, lesson.top
    nats = axis is not None and math.isclose(axis.rate, lesson.rows, rel_tol=OFF)
    figure = draw.blank("loss, mean per row (nats)" if nats else "loss, mean per row", "updates done", FIRST)
    whole = _whole(lesson)
    pale = lesson.batched and whole is not None
    name = "loss of each step's batch" if lesson.batched else "loss of all rows"
    draw.line(
        figure, step, loss, name, LEFT, width=1 if pale else 2.4, opacity=0.3 if pale else 1, most=1800, at="after"
    )
    if pale and whole is not None:
        draw.line(figure, lesson.steps, whole, "all rows", LEFT, width=3, at="after")
        told = zip(whole, lesson.log_likelihoods, strict=True)
        if len(whole) < FEW:
            figure.data[-1].update(mode="lines+markers", marker={"size": 9})
        figure.data[-1].text = [f"loss {number(loss, 6)}, log-likelihood {number(llf, 6)}" for loss, llf in told]
    floor = None if axis is None or top is None else float(axis.loss(top))
    if floor is not None:
        words = "supremum, never reached" if lesson.separated else "the maximum: MLE"
        _level(figure, step, floor, words, TWIN)
    seen = [
        part[np.isfinite(part)] for part in (loss, whole, floor) if part is not None for part in [np.atleast_1d(part)]
    ]
    values = np.concatenate(seen)
    tall = len(values) > 0 and values.min() > 0 and values.max() > TALL * values.min()
    if tall:
        figure.update_yaxes(type="log", exponentformat="power", dtick=1)
    if axis is not None and lesson.two_scales and len(values):
        _right_axis(figure, axis, values, tall)
    return figure


def _whole(lesson: Lesson) -> np.ndarray | None:
    """The mean loss of all rows at the looks, (looks,): what their log-likelihoods say."""
    if lesson.axis is None or not len(lesson.steps):
        return None
    with np.errstate(over="ignore"):  # of a training that diverges
        return np.asarray(lesson.axis.loss(lesson.log_likelihoods))


def _level(figure: go.Figure, step: np.ndarray, at: float, name: str, colour: str) -> None:
    ends = np.array([step[0], step[-1]], dtype=float) if len(step) else np.array([0.0, 1.0])
    draw.line(figure, ends, np.full(2, at), name, colour, width=2, dash="dash", at="after")


def _right_axis(figure: go.Figure, axis: Axis, values: np.ndarray, tall: bool) -> None:
    """The log-likelihoods of the same height, on the right; sideways zoom only, so that both stay true."""
    low, high = float(values.min()), float(values.max())
    room = 0.06 * (high - low or abs(high) or 1.0)
    ends = (low / 1.3, high * 1.3) if tall else (low - room, high + room)
    levels = _nice(axis, *ends, tall)
    extent = [float(np.log10(end)) for end in ends] if tall else list(ends)
    kind = {"type": "log"} if tall else {"type": "linear"}
    figure.update_layout(
        yaxis={"range": extent, "fixedrange": True, "zeroline": False},
        yaxis2={
            **draw.AXIS,
            **kind,
            "title": {"text": "log-likelihood of all rows (nats)", "standoff": 10, "font": {"size": 13}},
            "overlaying": "y",
            "side": "right",
            "range": extent,
            "fixedrange": True,
            "showgrid": False,
            "tickmode": "array",
            "tickvals": [float(axis.loss(level)) for level in levels],
            "ticktext": [_plain(level) for level in levels],
        },
        margin={"l": 72, "r": 84, "t": 44, "b": 48},
    )
    # An axis is drawn where something lies on it.
    figure.add_scatter(x=[None], y=[None], yaxis="y2", showlegend=False, hoverinfo="skip")


def _nice(axis: Axis, low: float, high: float, tall: bool) -> list[float]:
    """Round log-likelihoods between those of two losses, a few."""
    first, last = sorted((float(axis.log_likelihood(low)), float(axis.log_likelihood(high))))
    if tall:
        losses = np.geomspace(low, high, TICKS[1] + 1)[1:-1]
        return [float(f"{axis.log_likelihood(loss):.2g}") for loss in losses]
    step = 10.0 ** np.floor(np.log10((last - first) / TICKS[0]))
    step *= next(by for by in (5, 2, 1) if (last - first) / (by * step) >= TICKS[0] or by == 1)
    return [float(f"{k * step:.12g}") for k in range(int(np.ceil(first / step)), int(np.floor(last / step)) + 1)]


def _plain(level: float) -> str:
    return f"{level:g}" if abs(level) < 1e6 else number(level)


def paths_figure(path: Path) -> go.Figure | None:
    """A panel for each coefficient: its way to the maximum-likelihood estimate, with one and two standard errors around it."""
    shown = min(len(path.names), MOST_PANELS)
    later = path.steps > 0
    if not shown or not later.any():
        return None
    columns = min(COLUMNS, shown)
    rows = -(-shown // columns)
    figure = make_subplots(rows=rows, cols=columns, horizontal_spacing=0.09, vertical_spacing=0.16)
    figure.update_layout(_plain_layout(HEIGHT if rows > 1 else SMALL))
    steps = path.steps[later]
    for k in range(shown):
        panel = go.Figure()
        if path.mle is not None and path.se is not None:
            _errors(panel, steps, path.mle[k], path.se[k])
        draw.line(panel, steps, path.values[later, k], "network", LEFT, width=2.4, faint=False, at="after")
        for trace in panel.data:
            trace.legendgroup, trace.showlegend = trace.name, k == 0 and bool(trace.name)
            figure.add_trace(trace, row=k // columns + 1, col=k % columns + 1)
    small = {"tickfont": {"size": 11}}
    figure.update_xaxes({**draw.AXIS, **small, "type": "log", "exponentformat": "power", "dtick": 1, "showgrid": False})
    figure.update_yaxes({**draw.AXIS, **small})
    for k, name in enumerate(path.names[:shown]):
        title = {"text": name, "font": {"size": 13}, "standoff": 6}
        figure.update_yaxes(title=title, row=k // columns + 1, col=k % columns + 1)
    figure.update_xaxes(title={"text": "updates done", "font": {"size": 12}}, row=rows)
    return figure


def _errors(panel: go.Figure, steps: np.ndarray, mle: float, se: float) -> None:
    ends = np.array([steps[0], steps[-1]])
    edge = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
    for by, colour in ((2.0, "rgba(0, 158, 115, 0.12)"), (1.0, "rgba(0, 158, 115, 0.2)")):
        if np.isfinite(se):
            panel.add_scatter(x=draw.listed(ends), y=draw.listed([mle + by * se] * 2), name="", **edge)
            panel.add_scatter(
                x=draw.listed(ends), y=draw.listed([mle - by * se] * 2), fill="tonexty", fillcolor=colour,
                name="one and two standard errors" if by == 1 else "", **edge,
            )  # fmt: skip
    draw.line(panel, ends, np.full(2, mle), "MLE", TWIN, width=2, dash="dash", at="after")


def fit_figure(fit: Fit) -> go.Figure:
    """The rows, and over them what the network and the maximum-likelihood estimate make of them."""
    one = len(fit.features) == 1
    mean = "probability of a class" if fit.classes > 2 else f"y, and its {fit.centre}"
    figure = draw.blank(mean if one else fit.features[1], fit.features[0], HEIGHT)
    _scatter(figure, fit)
    for lines, name, colour, dash, width in (
        (fit.start, "network at the start", NULL, "dot", 1.8),
        (fit.network, "network", LEFT, "solid", 3.2),
        (fit.mle, "MLE", TWIN, "7px,6px", 2.2),
    ):
        for k, line in enumerate(lines):
            draw.line(figure, line.x, line.y, name, colour, width=width, dash=dash, at=fit.features[0])
            figure.data[-1].update(legendgroup=name, showlegend=k == 0)
    for line in fit.network:
        _label(figure, line)
    return figure


def _scatter(figure: go.Figure, fit: Fit) -> None:
    """The rows: of labels in a colour each where there are two features, or on top and bottom where y says which."""
    x, one = fit.rows, len(fit.features) == 1
    if one and fit.classes <= 2:
        _points(figure, x[:, 0], fit.targets, "rows", INK)
    elif not fit.classes:
        _points(figure, x[:, 0], x[:, 1], "rows, the darker the larger y", _shades(fit.targets), edge=NULL)
    for k in range(0 if one and fit.classes <= 2 else fit.classes):
        mine = fit.targets == k
        symbol = "line-ns-open" if one else SYMBOLS[k % len(SYMBOLS)]
        y = np.full(int(mine.sum()), -0.05 * (k + 1)) if one else x[mine, 1]
        _points(figure, x[mine, 0], y, f"rows of class {k}", LABELS[k % len(LABELS)], symbol)


def _points(
    figure: go.Figure,
    x: np.ndarray,
    y: np.ndarray,
    name: str,
    colour: str | list[str],
    symbol: str = "circle",
    edge: str | None = None,
) -> None:
    line = {"width": 0.5, "color": edge} if edge else {"width": 0}
    marker = {"size": 8, "color": colour, "symbol": symbol, "line": line}
    figure.add_scatter(
        x=draw.listed(x), y=draw.listed(y), mode="markers", name=name, marker=marker, opacity=0.9 if edge else 0.55
    )


def _shades(values: np.ndarray) -> list[str]:
    """From white to black with the value, (n,)."""
    wide = float(np.ptp(values)) or 1.0
    grey = (255 * (1 - (values - values.min()) / wide)).round().astype(int)
    return [f"#{one:02X}{one:02X}{one:02X}" for one in grey]


def _label(figure: go.Figure, line: Line) -> None:
    """What a line is, beside its end."""
    known = np.flatnonzero(np.isfinite(line.x) & np.isfinite(line.y))
    if line.label and len(known):
        at = known[-1] if line.x[known[-1]] >= line.x[known[0]] else known[0]
        figure.add_annotation(
            x=float(line.x[at]), y=float(line.y[at]), text=line.label, showarrow=False, xanchor="left", xshift=4,
            font={"size": 12, "color": LEFT}, bgcolor="rgba(255,255,255,0.8)",
        )  # fmt: skip


def limit_figure(limit: Limit) -> go.Figure:
    """One of the small pictures of where the equality stops."""
    figure = draw.blank(limit.y, limit.x, SMALL)
    for line in limit.lines:
        colour, dash = ROLES[line.role]
        if line.mark:
            marker = {"color": colour, "size": 11, "symbol": "diamond" if line.role == "MLE" else "circle"}
            figure.add_scatter(
                x=draw.listed(line.x), y=draw.listed(line.y), name=line.name, mode="markers", marker=marker
            )
        else:
            draw.line(figure, line.x, line.y, line.name, colour, width=2.4, dash=dash, at=limit.x.split(",")[0])
    if limit.logarithmic:
        figure.update_xaxes(type="log", exponentformat="power", dtick=1)
    figure.update_layout(margin={"l": 60, "r": 16, "t": 40, "b": 46})
    return figure


def _plain_layout(height: int) -> dict[str, object]:
    """The layout of `draw.blank` for panels: all but its axes."""
    layout = draw.blank("", height=height).layout.to_plotly_json()
    return {key: value for key, value in layout.items() if not key.startswith(("xaxis", "yaxis"))} | {
        "margin": {"l": 64, "r": 16, "t": 48, "b": 48},
    }
