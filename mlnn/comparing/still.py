"""The still picture of growth, for a README or a slide."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mlnn.comparing.badges import badge
from mlnn.comparing.ladder import ladder_axis
from mlnn.comparing.records import GrowthRow, RunInfo
from mlnn.comparing.rungs import Gap, Rung, rungs
from mlnn.errors import DataError
from mlnn.report.logaxis import ZERO_NOTE, LogAxis, log_axis
from mlnn.report.matplotlib import drawing
from mlnn.report.words import FAINT, INK, NULL, RIGHT, TWIN, number
from mlnn.visible import shown, visible

_MUTED, _WIDTH = "#55606B", 9.6


def growth_png(rows: Sequence[GrowthRow], path: str | Path, run: RunInfo) -> Path:
    """Write the ladder as a PNG (150 dpi) and give its path; first rung on top. Raises DataError without rows."""
    ladder = rungs(rows)
    if not ladder:
        raise DataError("growth picture: there are no rows to draw; run at least one architecture")
    with drawing() as (Figure, Canvas):
        _draw(Figure, Canvas, ladder, path, run)
    return Path(path)


def _draw(Figure: Any, Canvas: Any, ladder: Sequence[Rung], path: str | Path, run: RunInfo) -> None:
    axis, dtype = ladder_axis(ladder) or log_axis([]), visible(run.working_dtype, keep="")
    above, below, rung_height = 1.5, 0.78, 0.36  # inches
    height = above + below + rung_height * len(ladder)
    left = min(0.45, (0.5 + 0.082 * max(len(_label(rung)) for rung in ladder)) / _WIDTH)
    figure = Figure(figsize=(_WIDTH, height), dpi=150, facecolor="white")
    Canvas(figure)
    axes = figure.add_axes((left, below / height, 0.855 - left, rung_height * len(ladder) / height))
    _rungs(axes, ladder, axis, dtype)
    _frame(axes, ladder, axis)
    question, answer = headline(ladder, run, dtype)
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


def headline(ladder: Sequence[Rung], run: RunInfo, dtype: str) -> tuple[str, str]:
    """Title as a question, and its answer from the relations and gaps found."""
    question = f"{shown(run.left)} and {shown(run.right)}: the same training, however large the network?"
    same = [rung for rung in ladder if rung.relation in ("bitwise", "equal")]
    everywhere = len(same) == len(ladder)
    count = f"all {len(ladder)}" if everywhere else f"{len(same)} of {len(ladder)}"
    answer = f"{'Yes' if everywhere else 'Not always'}: equal on {count} architectures.{_rounding(same, dtype)}"
    return question, answer


def _rounding(same: Sequence[Rung], dtype: str) -> str:
    """How large the gaps of equal pairs become, of those with a gap in both precisions."""
    gaps = [(_finite(rung.weight_gap), _finite(rung.twin_gap)) for rung in same]
    both = [(own, twin) for own, twin in gaps if own is not None and twin is not None]
    if not both:
        return ""
    own, twin = (max(sizes) for sizes in zip(*both, strict=True))
    if own == 0:
        return " Every bit of the weights is the same."
    return f" Their gap in {dtype}, at most {number(own, 2)}, is rounding: in float64 it is at most {number(twin, 2)}."


def _finite(size: float | None) -> float | None:
    return size if size is not None and math.isfinite(size) else None


def _rungs(axes: Any, ladder: Sequence[Rung], axis: LogAxis, dtype: str) -> None:
    bands = [(i, _finite(rung.null_low), _finite(rung.null_high)) for i, rung in enumerate(ladder)]
    known = [band for band in bands if None not in band]
    if known:
        rows, low, high = zip(*known, strict=True)
        axes.hlines(
            rows, axis.place(low), axis.place(high), color=NULL, alpha=0.38, lw=9, label="null band (rounding alone)"
        )
    # The circles lie on the diamonds and are smaller: where both gaps are zero, both are seen.
    _points(axes, ladder, axis, lambda row: row.float64_weight_gap, "float64 twin", (TWIN, "D", 44))
    _points(axes, ladder, axis, lambda row: row.weight_gap, dtype, (RIGHT, "o", 34))


def _points(axes: Any, ladder: Sequence[Rung], axis: LogAxis, gap: Gap, name: str, look: tuple[str, str, int]) -> None:
    found = [(i, size) for i, rung in enumerate(ladder) for _, size in rung.measured(gap)]
    if not found:
        return
    colour, marker, area = look
    y, gaps = np.array(found).T
    known = np.isfinite(gaps)
    axes.scatter(
        axis.place(gaps[known]), y[known], s=area, marker=marker, ec="white", lw=0.7, label=name, color=colour, zorder=3,
        clip_on=False,
    )  # fmt: skip
    # Not finite: a cross at the right edge, so that a broken seed is seen.
    edge = np.full((~known).sum(), 10.0**axis.high)
    axes.scatter(edge, y[~known], s=area, marker="x", lw=1.8, color=colour, zorder=3, clip_on=False)


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
