"""Pictures of an audit: Z against the output, what the loss implies, and a whole catalogue by its residuals."""

import math
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from mlnn.auditing.certificate import Certificate, is_finite
from mlnn.auditing.words import LIKELY, Kind, grouped, is_discrete, numbers
from mlnn.report import draw
from mlnn.report.logaxis import LogAxis, log_axis
from mlnn.report.words import FAINT, INK, LEFT, RIGHT, SERIES, TWIN, number

Z, Z_HELD = "Z of exp(−loss)", "with τ and h(y) put in"
HEIGHT = 320
"""Of a picture, pixels: two fit side by side on a screen."""
POINTS, DIGITS = 62, 4
"""Points of a curve, and digits of their numbers: pages hold a hundred of these pictures, each as wide as half a screen."""
DOTTED = 30
"""Curves of fewer points than this are drawn with a dot at each."""
SHADE = "rgba(176, 68, 10, 0.09)"
EDGES = (-0.2, 1.2)
"""How far outside [0, 1] an implied probability is drawn."""
MOST_DECADES = 4
"""A Z further than this from 1 leaves the picture: no likelihood has one, and it would press the rest flat."""
ROW = 15
"""Height of a loss in the overview, pixels."""
NONE = 1.2
"""How many decades left of the axis a loss without a residual is put."""
TALL = 20.0
"""A Z that varies by more than this factor is drawn on a log axis."""


def z_figure(certificate: Certificate) -> go.Figure | None:
    """Σ or ∫ exp(−loss) against the raw output, and the same with τ and h put in; None where it was not computed.

    Where Z is not finite the line breaks.
    """
    found = certificate.curves
    output = numbers(found.output)
    curves = [(name, numbers(z)) for name, z in ((Z, found.z), (Z_HELD, found.z_held)) if z]
    finite = np.concatenate([*(z for _, z in curves), np.zeros(0)])
    finite = finite[np.isfinite(finite) & (finite > 0)]
    if not len(output) or not len(finite) or any(len(z) != len(output) for _, z in curves):
        return None
    figure = draw.blank(_z_title(certificate), _x_title(certificate), HEIGHT)
    (name, first), *others = curves
    _curve(figure, output, first, name, width=3)
    for name, z in others:
        _curve(figure, output, z, name, TWIN, dash="7px,6px")
    _z_axis(figure, finite)
    figure.add_hline(1, line={"color": INK, "width": 1, "dash": "dash"}, layer="below")
    return figure


def _curve(
    figure: go.Figure,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    name: str,
    colour: str = RIGHT,
    at: str = "f",
    **look: Any,
) -> None:
    draw.line(figure, x, y, name, colour, **({"most": POINTS, "digits": DIGITS} | look))
    figure.data[-1].update(hovertemplate=at + " = %{x}: %{y:.4g}", connectgaps=False)
    if len(x) < DOTTED:
        figure.data[-1].update(mode="lines+markers", marker={"size": 6})


def _z_title(certificate: Certificate) -> str:
    return "Z(f) = Σ exp(−loss)" if is_discrete(certificate) else "Z(f) = ∫ exp(−loss) dy"


def _x_title(certificate: Certificate) -> str:
    several = certificate.targets.startswith("classes")
    return "raw output f of the first class, the others 0" if several else "raw output f"


def _z_axis(figure: go.Figure, z: NDArray[np.float64]) -> None:
    """From 0 where Z is of one size (rounding must not fill the picture), else logarithmic; 1 is always in sight."""
    low, high = min(1.0, float(z.min())), max(1.0, float(z.max()))
    if high <= TALL * low:
        figure.update_yaxes(range=[0, 1.15 * high])
    else:
        ends = np.clip(np.log10([low, high]), -MOST_DECADES, MOST_DECADES)
        figure.update_yaxes(type="log", exponentformat="power", dtick=1, range=[ends[0] - 0.2, ends[1] + 0.2])


def implied_figure(certificate: Certificate) -> go.Figure | None:
    """What the loss implies: the probability of a target against the usual link, or its densities for some outputs."""
    return _probability(certificate) if is_finite(certificate) else _densities(certificate)


def _probability(certificate: Certificate) -> go.Figure | None:
    found = certificate.curves
    output, implied, declared = map(numbers, (found.output, found.implied, found.declared))
    if not len(output) or len(implied) != len(output) or len(declared) != len(output):
        return None
    about = number(found.about)
    figure = draw.blank(f"probability of target {about}", _x_title(certificate), HEIGHT)
    usual = "softmax" if certificate.targets.startswith("classes") else "σ(f)"
    _curve(figure, output, declared, f"{usual}, the usual reading", LEFT, width=4.5, opacity=0.55)
    shown = _inside(implied)
    clipped = not np.array_equal(shown, implied, equal_nan=True)
    _curve(figure, output, shown, "implied by the loss", dash="7px,6px", most=len(output) if clipped else POINTS)
    if clipped:
        figure.data[-1].update(text=[number(p) for p in implied], hovertemplate="f = %{x}: %{text}")
    for low, high in ((EDGES[0], 0), (1, EDGES[1])):
        figure.add_hrect(y0=low, y1=high, fillcolor=SHADE, line_width=0, layer="below")
    note = {"showarrow": False, "font": {"size": 11, "color": RIGHT}, "xref": "paper", "x": 0.01, "xanchor": "left"}
    for middle in (EDGES[0] / 2, (1 + EDGES[1]) / 2):
        figure.add_annotation(text="no probability", y=middle, **note)
    figure.update_yaxes(range=list(EDGES), tickvals=[0, 0.25, 0.5, 0.75, 1])
    return figure


def _inside(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Clipped to EDGES; a stretch beyond them is broken, so that no upright line joins its two ends."""
    low, high = EDGES
    with np.errstate(invalid="ignore"):
        out = ~((p >= low) & (p <= high))
    padded = np.concatenate([[True], out, [True]])
    return np.where(out & padded[:-2] & padded[2:], np.nan, np.clip(p, low, high))


def _densities(certificate: Certificate) -> go.Figure | None:
    target = numbers(certificate.curves.target)
    rows = {f: numbers(row) for f, row in (certificate.curves.densities or {}).items()}
    rows = {f: row for f, row in rows.items() if len(row) == len(target) and np.isfinite(row).any()}
    if not rows:
        return None
    title = "exp(−loss/τ)·h(y)" if certificate.kind in LIKELY else "exp(−loss), no density"
    figure = draw.blank(title, "target y", HEIGHT)
    for (f, row), colour in zip(rows.items(), (LEFT, RIGHT, TWIN, *SERIES[3:]), strict=False):
        name = f"f = {number(f)}"
        if certificate.targets.startswith("counts"):
            figure.add_bar(x=draw.listed(target, DIGITS), y=draw.listed(row, DIGITS), name=name, marker={"color": colour},
                           hovertemplate="y = %{x}: %{y:.4g}")  # fmt: skip
        else:
            _curve(figure, target, row, name, colour, at="y")
    figure.update_yaxes(rangemode="tozero")
    return figure


def overview_figure(certificates: Sequence[Certificate]) -> go.Figure | None:
    """One row per loss, grouped by kind: how far the deciding identity is from holding. None without a loss.

    A residual of zero sits on the floor; an infinite one is a triangle at the right edge; a loss without one is a
    hollow dot on the left.
    """
    groups = grouped(certificates)
    if not groups:
        return None
    axis = log_axis([_residual(one)] for one in certificates)
    figure = draw.blank("", "residual of the identity that decides, relative", 150 + ROW * len(certificates))
    draw.gap_axis(figure, axis, "x")
    figure.layout.annotations = ()  # its words for the floor are those of a comparison
    if any(np.isnan(_residual(one)) for one in certificates):
        _room_for_none(figure, axis)
    _between(figure, certificates, axis)
    row, labels = 0, []
    for kind, found in groups:
        _dots(figure, kind, found, row, axis)
        labels += [escape(one.name) + "  " for one in found]
        row += len(found)
        figure.add_hline(row - 0.5, line={"color": FAINT, "width": 1})
    y = {"tickmode": "array", "tickvals": list(range(row)), "ticktext": labels, "range": [row - 0.4, -0.6]}
    figure.update_yaxes(automargin=True, ticks="", tickfont={"size": 11}, **y)
    return figure


def _room_for_none(figure: go.Figure, axis: LogAxis) -> None:
    """A place left of the axis for losses without a residual."""
    places, labels = axis.ticks()
    ticks = {"tickvals": [10.0 ** (axis.low - NONE), *places], "ticktext": ["none", *labels]}
    figure.update_xaxes(range=[axis.low - 1.6 * NONE, axis.high + 0.4], **ticks)


def _residual(certificate: Certificate) -> float:
    return math.nan if certificate.residual is None else certificate.residual


def _dots(figure: go.Figure, kind: Kind, found: Sequence[Certificate], row: int, axis: LogAxis) -> None:
    residuals = np.asarray([_residual(one) for one in found])
    right, left = 10.0 ** (axis.high + 0.2), 10.0 ** (axis.low - NONE)
    places = np.where(np.isinf(residuals), right, np.where(np.isnan(residuals), left, axis.place(residuals)))
    symbols = ["triangle-right" if np.isinf(r) else "circle-open" if np.isnan(r) else "circle" for r in residuals]
    figure.add_scatter(
        x=draw.listed(places),
        y=list(range(row, row + len(found))),
        mode="markers",
        name=escape(f"{kind.symbol} {kind.word}"),
        marker={"color": kind.colour, "size": 9, "symbol": symbols, "line": {"color": "white", "width": 1}},
        text=[
            escape(f"{one.name}: {number(None if np.isnan(r) else r)}") for one, r in zip(found, residuals, strict=True)
        ],
        hovertemplate="%{text}",
    )


def separation(certificates: Sequence[Certificate]) -> tuple[float, float] | None:
    """The largest residual of a likelihood and the smallest of a loss known to be none; None if they do not part."""
    held = [_residual(one) for one in certificates if one.kind in LIKELY]
    none = [_residual(one) for one in certificates if one.kind not in (*LIKELY, "undecided")]
    high, low = max(filter(np.isfinite, held), default=None), min(filter(np.isfinite, none), default=None)
    return (high, low) if high is not None and low is not None and high < low else None


def _between(figure: go.Figure, certificates: Sequence[Certificate], axis: LogAxis) -> None:
    """Shade the stretch of the axis that no loss of either sort enters."""
    ends = separation(certificates)
    if ends is None:
        return
    low, high = axis.place(ends).tolist()
    text = f"nothing between {number(ends[0], 2)} and {number(ends[1], 2)}"
    figure.add_vrect(x0=low, x1=high, fillcolor="rgba(138, 148, 160, 0.14)", line_width=0, layer="below")
    middle = float(np.log10(low) + np.log10(high)) / 2
    note = {"xref": "x", "x": middle, "yref": "paper", "y": 0.5, "font": {"size": 12, "color": INK}}
    figure.add_annotation(text=text, showarrow=False, **note)
