"""The marks of a picture for paper: what plotly calls traces, drawn by matplotlib. Lines, points, bands and bars."""

import base64
import math
from collections.abc import Iterable, Mapping
from html import unescape
from typing import Any

import numpy as np

from mlnn.report.words import INK

Told = Mapping[str, Any]
THINNER, SMALLER = 0.55, 0.5
"""Points for a pixel: of a line's width and of a marker's size."""
DASHES = {"solid": "-", "dot": ":", "dash": "--", "dashdot": "-."}
MARKERS = {"circle": "o", "square": "s", "diamond": "D", "triangle-up": "^", "triangle-down": "v", "triangle-right": ">",
           "cross": "P", "x": "X", "line-ns": "|"}  # fmt: skip


def numbers(values: Any) -> Any:
    """Plain numbers, a gap where there is none; words as they are."""
    if isinstance(values, Mapping):  # plotly's own packing of an array
        return np.frombuffer(base64.b64decode(values["bdata"]), dtype=values["dtype"]).astype(float)
    if any(isinstance(value, str) for value in values):
        return [unescape(str(value)) for value in values]
    return np.array([math.nan if value is None else value for value in values], dtype=float)


def traces(axes: Any, traces: Iterable[Told]) -> None:
    before = None
    for trace in traces:
        x, y = numbers(trace.get("x", ())), numbers(trace.get("y", ()))
        label = unescape(trace["name"]) if trace.get("name") and trace.get("showlegend", True) else None
        if trace["type"] == "bar":
            _bars(axes, trace, x, y, label)
        else:
            _scatter(axes, trace, x, y, label, before)
        before = (x, y)


def _bars(axes: Any, trace: Told, x: Any, y: Any, label: str | None) -> None:
    said = trace.get("marker", {}).get("color")
    colour = [paint(one) for one in said] if isinstance(said, list) else paint(said)
    if trace.get("orientation") == "h":
        axes.barh(y, x, height=trace.get("width") or 0.8, color=colour, alpha=trace.get("opacity"), label=label)
    else:
        axes.bar(x, y, width=trace.get("width") or 0.8, color=colour, alpha=trace.get("opacity"), label=label)


def _scatter(axes: Any, trace: Told, x: Any, y: Any, label: str | None, before: tuple[Any, Any] | None) -> None:
    mode, line, alpha = trace.get("mode", "lines"), trace.get("line", {}), trace.get("opacity", 1)
    if trace.get("fill") == "tonexty" and before is not None:
        colour, pale = colour_of(trace.get("fillcolor"))
        outline = np.concatenate([before[0], x[::-1]]), np.concatenate([before[1], y[::-1]])
        axes.fill(*outline, color=colour, alpha=pale, lw=0, label=label)
        label = None
    elif trace.get("fill") == "tozeroy":
        colour, pale = colour_of(trace.get("fillcolor"))
        axes.fill_between(x, y, color=colour, alpha=pale, lw=0)
    width = line.get("width", 2) * THINNER
    if "lines" in mode and width:
        axes.plot(
            x, y, color=paint(line.get("color")), lw=width, ls=dash(line.get("dash", "solid"), width), alpha=alpha,
            label=label,
        )  # fmt: skip
        label = None
    if "markers" in mode:
        _markers(axes, trace, x, y, label)


def dash(said: str, width: float) -> Any:
    """A line's dashes; of pixels, in matplotlib's units, which are line widths."""
    if said in DASHES:
        return DASHES[said]
    return 0, [float(length.removesuffix("px")) * THINNER / width for length in said.split(",")]


def _markers(axes: Any, trace: Told, x: Any, y: Any, label: str | None) -> None:
    """Points, a look at a time, for each may have its own; the first of them has the label."""
    marker, error = trace.get("marker", {}), trace.get("error_x")
    colours, symbols, sizes = (
        _each(marker.get(key), len(x), plain)
        for key, plain in (("color", trace.get("line", {}).get("color") or INK), ("symbol", "circle"), ("size", 6))
    )
    if error:
        axes.errorbar(x, y, xerr=numbers(error["array"]), fmt="none", ecolor=paint(error.get("color")), elinewidth=0.8)
    looks = list(zip(colours, symbols, sizes, strict=True))
    for look in dict.fromkeys(looks):
        colour, symbol, size = look
        if not size:
            continue
        which = np.array([one == look for one in looks])
        hollow = str(symbol).endswith("-open") or colour_of(colour)[0] in ("white", "#FFFFFF", "#ffffff")
        edge = marker.get("line", {}).get("color", colour)
        axes.plot(
            np.asarray(x)[which], np.asarray(y)[which], ls="none", marker=MARKERS.get(str(symbol).removesuffix("-open"), "o"),
            ms=size * SMALLER, mfc="white" if hollow else colour_of(colour)[0], mec=paint(_one(edge, colour)),
            mew=0.7, alpha=trace.get("opacity", 1), label=label, zorder=3,
        )  # fmt: skip
        label = None


def _one(value: Any, otherwise: Any) -> Any:
    """A colour for all points; where each has its own, the fill's."""
    return otherwise if isinstance(value, list) else value


def _each(value: Any, count: int, plain: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [plain if value is None else value] * count


def colour_of(said: Any) -> tuple[Any, float]:
    """A colour and its opacity: plotly writes rgba(r, g, b, a)."""
    if isinstance(said, str) and said.startswith("rgba("):
        *rgb, alpha = map(float, said[5:-1].split(","))
        return tuple(part / 255 for part in rgb), alpha
    return said, 1.0


def paint(said: Any) -> Any:
    """A colour with its opacity in it."""
    colour, alpha = colour_of(said)
    return (*colour, alpha) if isinstance(colour, tuple) else colour
