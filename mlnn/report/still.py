"""One picture of a page, as plotly holds it, drawn by matplotlib for paper: its plots, axes, shapes, texts and legend."""

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from html import unescape
from typing import Any

from mlnn.report.marks import THINNER, Told, colour_of, dash, numbers, paint, traces
from mlnn.report.size import MILLIMETRES, Size
from mlnn.report.words import FAINT, INK

PAGE = 1000.0
"""Pixels that a picture is wide on the page."""
FLATTEST = 0.62
"""Least height over width of one plot: a column's page is narrower than a screen."""
LOWEST = 14
"""Lines of text that a row of plots is high at least: below them labels and legend leave no room to draw in."""
POINTS = 72
"""To an inch."""
LETTER = 0.55
"""Width of a letter over the size of its font."""
OF_A_SIDE = 0.72
"""Share of a plot's length that its axis takes."""
THICKEST = 4.0
"""Points of a line in the legend."""


def still(Figure: Any, told: Told, size: Size) -> Any:
    """The matplotlib figure of what plotly draws, `size.width` wide."""
    data, layout = told["data"], told["layout"]
    width = size.width / MILLIMETRES
    shape = max(layout.get("height", 340) / PAGE, FLATTEST * len(_starts(layout, "y")) / len(_starts(layout, "x")))
    lowest = LOWEST * len(_starts(layout, "y")) * size.font / POINTS
    height = max(width * shape, lowest) if size.height is None else size.height / MILLIMETRES
    figure = Figure(figsize=(width, height), facecolor="white", layout="constrained")
    panels = _panels(figure, layout, data)
    across, up = width / len(_starts(layout, "x")), height / len(_starts(layout, "y"))
    for (x, y), axes in panels.items():
        traces(axes, [one for one in data if _axes_of(one) == (x, y) and one.get("visible", True) is True])
        _axis(axes, layout.get(_key(x), {}), "x", _letters(across, size))
        _axis(axes, layout.get(_key(y), {}), "y", _letters(up, size))
    for shape_ in layout.get("shapes", ()):
        _shape(panels, shape_)
    for note in layout.get("annotations", ()):
        _annotation(panels, layout, note, size)
    _legend(figure, panels.values(), size)
    return figure


def _letters(inches: float, size: Size) -> int:
    """About how many letters of a label fit on that length."""
    return int(inches * POINTS / (size.font * LETTER))


def _key(axis: str) -> str:
    """x2 is told in the layout as xaxis2."""
    return f"{axis[0]}axis{axis[1:]}"


def _axes_of(trace: Told) -> tuple[str, str]:
    return trace.get("xaxis", "x"), trace.get("yaxis", "y")


def _starts(layout: Told, which: str) -> list[float]:
    """Where columns ("x") or rows ("y") of plots begin, as shares of the picture."""
    axes = [axis for key, axis in layout.items() if key.startswith(f"{which}axis") and not axis.get("overlaying")]
    return sorted({round(axis.get("domain", (0, 1))[0], 3) for axis in axes}) or [0.0]


def _panels(figure: Any, layout: Told, data: Sequence[Told]) -> dict[tuple[str, str], Any]:
    """matplotlib's axes by the pair of plotly's; an overlaid second axis shares the place of its first."""
    columns, rows = _starts(layout, "x"), _starts(layout, "y")[::-1]
    grid = figure.add_gridspec(len(rows), len(columns))
    panels: dict[tuple[str, str], Any] = {}
    for x, y in dict.fromkeys(map(_axes_of, data)) or {("x", "y"): None}:
        below = layout.get(_key(y), {}).get("overlaying")
        if below and (x, below) in panels:
            panels[x, y] = panels[x, below].twinx()
            continue
        row = rows.index(round(layout.get(_key(y), {}).get("domain", (0, 1))[0], 3))
        column = columns.index(round(layout.get(_key(x), {}).get("domain", (0, 1))[0], 3))
        panels[x, y] = figure.add_subplot(grid[row, column])
    return panels


def _axis(axes: Any, told: Told, which: str, letters: int) -> None:
    """Title, scale, ends, ticks and grid of one axis, on which so many letters fit."""
    axis, fit = getattr(axes, f"{which}axis"), int(OF_A_SIDE * letters)
    title = "\n".join(textwrap.wrap(unescape(told.get("title", {}).get("text") or ""), max(fit, 8)))
    getattr(axes, f"set_{which}label")(title, color=INK, parse_math=False)
    if told.get("side") == "top":
        axis.set_label_position("top")
    _scale(axes, axis, told, which)
    if told.get("tickvals") is not None:
        _ticks(axis, told, fit if which == "x" else None)
    if told.get("showgrid", True):
        axes.grid(axis=which, color="#ECEFF2", lw=0.5)
        axes.set_axisbelow(True)
    axes.tick_params(axis=which, length=2, width=0.5, color=FAINT, labelcolor=INK)
    if told.get("showticklabels") is False:
        axes.tick_params(axis=which, labelbottom=False, labelleft=False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["bottom", "left"]].set_color(FAINT)


def _scale(axes: Any, axis: Any, told: Told, which: str) -> None:
    log = told.get("type") == "log"
    if log:
        getattr(axes, f"set_{which}scale")("log")
    elif all(float(x).is_integer() for line in axes.lines for x in line.get_xdata() if which == "x"):
        axis.get_major_locator().set_params(integer=which == "x")
    limits = told.get("range")
    if limits and None not in limits:
        getattr(axes, f"set_{which}lim")(*(10.0**end if log else end for end in limits))
    elif told.get("rangemode") == "tozero":
        getattr(axes, f"set_{which}lim")(**{"bottom" if which == "y" else "left": 0})
    if told.get("autorange") == "reversed":
        getattr(axes, f"invert_{which}axis")()


def _ticks(axis: Any, told: Told, fit: int | None) -> None:
    """Ticks that are told; where their labels do not fit side by side, every second has one, or every third …"""
    labels = [unescape(str(text)) for text in told.get("ticktext", told["tickvals"])]
    every = 1 if fit is None else max(1, math.ceil(sum(len(label) + 1 for label in labels) / max(fit, 1)))
    shown = [label if place % every == 0 else "" for place, label in enumerate(labels[::-1])][::-1]
    axis.set_ticks(numbers(told["tickvals"]), shown, parse_math=False)
    axis.set_ticks([], minor=True)


def _panel(panels: Mapping[tuple[str, str], Any], xref: str, yref: str) -> Any:
    """The first plot with the axes that a shape or a text refers to; None without one."""
    x, y = xref.split(" ")[0], yref.split(" ")[0]
    return next((one for pair, one in panels.items() if x in (pair[0], "paper") and y in (pair[1], "paper")), None)


def _shape(panels: Mapping[tuple[str, str], Any], told: Told) -> None:
    """A line or a rectangle, each side of it in numbers of an axis or in shares of the plot."""
    xref, yref = told.get("xref", "x"), told.get("yref", "y")
    axes = _panel(panels, xref, yref)
    if axes is None:
        return
    transform = _transform(axes, xref, yref)
    line, (x0, x1, y0, y1) = told.get("line", {}), (told[end] for end in ("x0", "x1", "y0", "y1"))
    if told["type"] == "line":
        width = line.get("width", 1) * THINNER
        axes.plot(
            [x0, x1], [y0, y1], transform=transform, color=paint(line.get("color", INK)), lw=width,
            ls=dash(line.get("dash", "solid"), width), scalex=False, scaley=False,
        )  # fmt: skip
    else:
        colour, alpha = colour_of(told.get("fillcolor", "white"))
        axes.fill([x0, x1, x1, x0], [y0, y0, y1, y1], transform=transform, color=colour, alpha=alpha, lw=0, zorder=0)


def _transform(axes: Any, xref: str, yref: str) -> Any:
    shares = ["domain" in ref or ref == "paper" for ref in (xref, yref)]
    if all(shares):
        return axes.transAxes
    if shares[0]:
        return axes.get_yaxis_transform()
    return axes.get_xaxis_transform() if shares[1] else axes.transData


def _annotation(panels: Mapping[tuple[str, str], Any], layout: Told, told: Told, size: Size) -> None:
    """A text; where it stands above a plot it is that plot's title."""
    text, xref, yref = (
        unescape(told.get("text", "")).replace("<br>", "\n"),
        told.get("xref", "x"),
        told.get("yref", "y"),
    )
    if (xref, yref) == ("paper", "paper"):
        axes = _titled(panels, layout, told)
        if axes is not None:
            axes.set_title(text, fontsize=size.font, color=INK, parse_math=False)
        return
    axes = _panel(panels, xref, yref)
    if axes is None:
        return
    place = [
        10.0 ** told[which]
        if ref == which + ref[1:] and layout.get(_key(ref), {}).get("type") == "log"
        else told[which]
        for which, ref in (("x", xref), ("y", yref))
    ]
    axes.text(
        *place, text, transform=_transform(axes, xref, yref), fontsize=size.font * 0.85, parse_math=False,
        color=told.get("font", {}).get("color", INK), ha=told.get("xanchor", "center"),
        va={"middle": "center"}.get(told.get("yanchor", "middle"), told.get("yanchor", "center")),
    )  # fmt: skip


def _titled(panels: Mapping[tuple[str, str], Any], layout: Told, told: Told) -> Any:
    """The plot over whose middle a text stands."""
    for (x, y), axes in panels.items():
        across, up = (layout.get(_key(axis), {}).get("domain", (0, 1)) for axis in (x, y))
        if abs(told["x"] - sum(across) / 2) < 0.02 and abs(told["y"] - up[1]) < 0.02:
            return axes
    return None


def _legend(figure: Any, panels: Iterable[Any], size: Size) -> None:
    """One legend above all plots, an entry a name."""
    found: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    if not found:
        return
    columns = max(1, min(len(found), _letters(size.width / MILLIMETRES, size) // (max(map(len, found)) + 7)))
    legend = figure.legend(
        found.values(), found.keys(), loc="outside upper left", ncols=columns, frameon=False, handlelength=1.6,
        borderpad=0, labelspacing=0.3, columnspacing=1.2, handletextpad=0.5, labelcolor=INK,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)
    for line in legend.get_lines():  # a band drawn as a thick line would cover its own name
        line.set_linewidth(min(line.get_linewidth(), THICKEST))
