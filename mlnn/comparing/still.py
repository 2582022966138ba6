"""The still picture of growth, for a README or a slide."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mlnn.comparing.ladder import ladder_axis
from mlnn.comparing.rungs import Row, Rung, rungs, working_dtype
from mlnn.errors import DataError
from mlnn.report.logaxis import ZERO_NOTE, LogAxis
from mlnn.report.matplotlib import drawing
from mlnn.report.words import FAINT, INK, NULL, RIGHT, TWIN, badge, number
from mlnn.visible import shown, visible

_MUTED, _WIDTH = "#55606B", 9.6


def growth_png(rows: Sequence[Row], path: str | Path, about: Mapping[str, Any] | None = None) -> Path:
    """Write the ladder as a PNG (150 dpi) and give its path; first rung on top. Raises DataError without rows."""
    ladder, about = rungs(rows), about or {}
    if not ladder:
        raise DataError("growth picture: there are no rows to draw; run at least one architecture")
    with drawing() as (Figure, Canvas):
        _draw(Figure, Canvas, ladder, rows, path, about)
    return Path(path)


def _draw(
    Figure: Any, Canvas: Any, ladder: Sequence[Rung], rows: Sequence[Row], path: str | Path, about: Mapping[str, Any]
) -> None:
    axis, dtype = ladder_axis(ladder), visible(working_dtype(rows, about), keep="")
    above, below, rung_height = 1.5, 0.78, 0.36  # inches
    height = above + below + rung_height * len(ladder)
    left = min(0.45, (0.5 + 0.082 * max(len(_label(rung)) for rung in ladder)) / _WIDTH)
    figure = Figure(figsize=(_WIDTH, height), dpi=150, facecolor="white")
    Canvas(figure)
    axes = figure.add_axes((left, below / height, 0.855 - left, rung_height * len(ladder) / height))
    _rungs(axes, ladder, axis, dtype)
    _frame(axes, ladder, axis)
    question, answer = headline(ladder, about, dtype)
    for text, size, top, weight, colour in (
        (question, 14.5, 0.22, "bold", INK),
        (answer, 10.5, 0.56, "normal", _MUTED),
    ):
        # A long line is set smaller rather than cut.
        fit = min(1.0, (118 if size < 12 else 72) / len(text))
        figure.text(
            0.025, 1 - top / height, text, size=size * fit, va="top", weight=weight, color=colour, parse_math=False,
        )  # fmt: skip
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(
            handles, labels, loc="upper left", bbox_to_anchor=(0.025, 1 - 0.9 / height), ncols=3, frameon=False,
            fontsize=10, handletextpad=0.4, columnspacing=1.8, borderaxespad=0, borderpad=0, labelcolor=INK,
        )  # fmt: skip
    figure.savefig(path, dpi=150, format="png")


def _label(rung: Rung) -> str:
    label = visible(rung.label, keep="")
    return label if len(label) <= 44 else label[:43] + "…"


def headline(ladder: Sequence[Rung], about: Mapping[str, Any], dtype: str) -> tuple[str, str]:
    """Title as a question, and its answer from the relations and gaps found."""
    pair = (
        f"{shown(about['left'])} and {shown(about['right'])}" if {"left", "right"} <= about.keys() else "Two objectives"
    )
    question = f"{pair}: the same training, however large the network?"
    same = [rung for rung in ladder if rung.relation in ("bitwise", "equal")]
    count = f"all {len(ladder)}" if len(same) == len(ladder) else f"{len(same)} of {len(ladder)}"
    answer = f"{'Yes' if len(same) == len(ladder) else 'Not always'}: equal on {count} architectures."
    both = [r for r in same if _known(r.weight_gap) and _known(r.twin_gap)]
    if both:
        first, second = max(r.weight_gap or 0 for r in both), max(r.twin_gap or 0 for r in both)
        rounding = f"at most {number(first, 2)}, is rounding: in float64 it is at most {number(second, 2)}"
        answer += f" Their gap in {dtype}, {rounding}." if first > 0 else " Every bit of the weights is the same."
    return question, answer


def _known(value: float | None) -> bool:
    return value is not None and bool(np.isfinite(value))


def _rungs(axes: Any, ladder: Sequence[Rung], axis: LogAxis, dtype: str) -> None:
    bands = [(i, r.null_low, r.null_high) for i, r in enumerate(ladder) if _known(r.null_low) and _known(r.null_high)]
    if bands:
        rows, low, high = zip(*bands, strict=True)
        axes.hlines(
            rows, axis.place(low), axis.place(high), color=NULL, alpha=0.38, lw=9, label="null band (rounding alone)"
        )
    # The circles lie on the diamonds and are smaller: where both gaps are zero, both are seen.
    for column, name, colour, marker, size in (
        ("float64_weight_gap", "float64 twin", TWIN, "D", 44),
        ("weight_gap", dtype, RIGHT, "o", 34),
    ):
        points = np.array([(i, gap) for i, r in enumerate(ladder) for gap in r.values(column)]).reshape(-1, 2)
        y, gaps = points[:, 0], points[:, 1]
        if not len(gaps):
            continue
        known = np.isfinite(gaps)
        look: dict[str, Any] = {"color": colour, "zorder": 3, "clip_on": False}
        axes.scatter(axis.place(gaps[known]), y[known], s=size, marker=marker, ec="white", lw=0.7, label=name, **look)
        # Not finite: a cross at the right edge, so that a broken seed is seen.
        axes.scatter(np.full((~known).sum(), 10.0**axis.high), y[~known], s=size, marker="x", lw=1.8, **look)


def _frame(axes: Any, ladder: Sequence[Rung], axis: LogAxis) -> None:
    axes.set_xscale("log")
    axes.set_xlim(10.0 ** (axis.low - 0.3), 10.0 ** (axis.high + 0.3))
    axes.set_ylim(len(ladder) - 0.4, -0.6)
    axes.set_xticks(*axis.ticks(), size=10, color=INK)
    axes.minorticks_off()
    axes.set_yticks(range(len(ladder)), [_label(rung) for rung in ladder], size=10.5, color=INK, parse_math=False)
    axes.set_xlabel("weight gap after training, relative to the distance travelled", size=10.5, color=INK, labelpad=8)
    axes.grid(axis="x", color="#ECEFF2", lw=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, pad=7)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    if axis.zeros:
        axes.axvline(10.0**axis.low, color=NULL, lw=0.9, ls=":")
        axes.text(10.0**axis.low, -0.62, ZERO_NOTE, size=9, color=_MUTED, ha="left", va="bottom")
    axes.text(
        -0.012, -0.62, "model · parameters", size=9, color=_MUTED, ha="right", va="bottom",
        transform=axes.get_yaxis_transform(),
    )  # fmt: skip
    axes.text(1.025, -0.62, "verdict", size=9, color=_MUTED, va="bottom", transform=axes.get_yaxis_transform())
    for i, rung in enumerate(ladder):
        symbol, colour, _ = badge(rung.relation)
        axes.text(
            1.025, i, f"{symbol} {shown(rung.relation)}", size=10, weight="bold", color=colour, va="center",
            transform=axes.get_yaxis_transform(), parse_math=False,
        )  # fmt: skip
