"""Interactive pictures of loss curves side by side. Each function gives a figure, or None where there is nothing for it."""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
import plotly.graph_objects as go

from mlnn.comparing.curves.curve import Curve, Difference
from mlnn.comparing.curves.groups import Band
from mlnn.logs import segments
from mlnn.report import draw
from mlnn.report.logaxis import log_axis
from mlnn.report.thin import thin
from mlnn.report.words import NULL, SERIES

MOST = 1800
"""Points of a curve that are drawn: the lowest and the highest of each of some 900 columns of pixels."""
_SHORTEST = 8  # points that a segment is drawn with at least


class Look(TypedDict, total=False):
    """How a line is drawn, as `draw.line` takes it."""

    width: float
    opacity: float
    dash: str


def loss_axis(figure: go.Figure, losses: Sequence[np.ndarray]) -> None:
    """A loss that falls (or explodes) over two decades is readable only on a log axis."""
    values = np.concatenate(losses)
    values = values[np.isfinite(values)]
    if len(values) and values.min() > 0 and values.max() > 100 * values.min():
        figure.update_yaxes(type="log", exponentformat="power", dtick=1)


def overlay_figure(
    curves: Sequence[Curve],
    bands: Sequence[Band] = (),
    raw: Sequence[Curve] = (),
    nats: bool = True,
    x: str = "step",
    most: int = MOST,
) -> go.Figure | None:
    """Loss curves of several runs; with `bands` those of groups, their runs faint. raw: the same before they were smoothed;
    nats: whether the losses are known to be in nats per row; most: points of each that are drawn."""
    if not curves:
        return None
    figure = draw.blank("loss, mean per row (nats)" if nats else "loss", x, height=400)
    for i, curve in enumerate(raw):
        _line(figure, curve, SERIES[i % len(SERIES)], x, faint=True)
    if bands:
        for curve in curves:
            _line(figure, curve, NULL, x, faint=True)
        for i, band in enumerate(bands):
            colour = SERIES[i % len(SERIES)]
            draw.spread(figure, band.place, band.low, band.high, colour, MOST)
            draw.line(figure, band.place, band.middle, band.name, colour, most=MOST, at=x)
    else:
        # Later runs are thinner and dashed: of curves that coincide, each is still seen.
        under: Look = {"width": 4, "opacity": 0.55} if len(curves) > 1 else {}
        over: Look = {"width": 1.8, "dash": "7px,6px"}
        for i, curve in enumerate(curves):
            _line(figure, curve, SERIES[i % len(SERIES)], x, most, look=over if i else under)
    loss_axis(figure, [curve.loss for curve in curves])
    return figure


def difference_figure(
    differences: Sequence[Difference], null: Difference | None = None, nats: bool = True, x: str = "step"
) -> go.Figure | None:
    """Differences between runs, on a log axis, that of the null pair in grey."""
    every = [*differences, *([null] if null is not None else [])]
    if not every:
        return None
    axis = log_axis(one.gap for one in every)
    figure = draw.blank("loss gap, absolute" + (" (nats)" if nats else ""), x)
    for i, one in enumerate(every):
        colour = NULL if one is null else SERIES[i % len(SERIES)]
        draw.line(figure, one.step, one.gap, one.name, colour, axis, most=MOST, at=x)
    draw.gap_axis(figure, axis)
    return figure


def _line(
    figure: go.Figure,
    curve: Curve,
    colour: str,
    x: str,
    most: int = MOST,
    faint: bool = False,
    look: Look | None = None,
) -> None:
    """A curve, segment after segment, no line back from the end of one to the beginning of the next."""
    place, loss = _broken(curve, most)
    draw.line(figure, place, loss, curve.name, colour, faint=faint, most=most, at=x, **(look or {}))


def _broken(curve: Curve, most: int) -> tuple[np.ndarray, np.ndarray]:
    """(place, loss) of the points that are drawn, at most `most`, with a break between segments."""
    parts = segments(curve.step)
    if not 1 < len(parts) <= most // (_SHORTEST + 1):
        return curve.place.astype(float), curve.loss
    x: list[np.ndarray] = []
    y: list[np.ndarray] = []
    gap = np.array([np.nan])
    for part in parts:
        place, loss = thin(curve.place[part].astype(float), curve.loss[part], most // len(parts) - 1)
        x += [place, gap]
        y += [loss, gap]
    return np.concatenate(x[:-1]), np.concatenate(y[:-1])
