"""The page of two recordings side by side: the sentence, stage by stage, distances over the steps, settings and parameters."""

import math

import numpy as np
import plotly.graph_objects as go

from mlnn.comparing.badges import badge
from mlnn.recording.differing.diff import Diff
from mlnn.recording.differing.records import Apart, Row
from mlnn.report import draw
from mlnn.report.html import picture, render
from mlnn.report.logaxis import log_axis
from mlnn.report.words import LEFT, RIGHT, TWIN, number

MOST_PARAMETERS = 24
_DISTANCES = (
    "Relative to A's, on a log axis. Grey: what rounding may have moved loss and gradient by, given how far apart the weights"
    " were before the step; it ends where the two part."
)
_LOSSES = "Summed over micro-batches, averaged over processes; B dashed on top of A."


def diff_page(found: Diff) -> str:
    """The page of a diff."""
    steps = np.array([row.step for row in found.rows])
    return render(
        "diff.html",
        [{"step": steps}],
        title="Two recorded trainings",
        badge=badge,
        relation=found.relation,
        meaning=MEANINGS[found.relation],
        sentence=found.sentence,
        facts=[(word, value) for word, value in found.facts() if word != "set otherwise"],
        yardstick=found.yardstick,
        stages=[(one.name, one.word, _step(one.bits), _step(one.beyond), _size(one.largest)) for one in found.stages],
        pictures=[
            *picture("Distances", _DISTANCES, distance_figure(found)),
            *picture("Losses", _LOSSES, _loss_figure(found)),
        ],
        settings=[(one.what, *one.values) for one in found.settings],
        parameters=[
            (one.name, "the same" if one.same else "differ", *(number(norm, 5) for norm in one.norms), number(one.distance, 2))
            for one in found.parameters[:MOST_PARAMETERS]
        ],
        more=max(0, len(found.parameters) - MOST_PARAMETERS),
        what="weights" if found.stage == "weights" else "gradient",
    )  # fmt: skip


MEANINGS = {
    "bitwise": "every bit the same",
    "equal": "apart by no more than rounding explains",
    "indistinguishable": "apart by no more than the coarser of both precisions explains",
    "shifted": "the losses differ, the gradients do not",
    "scaled": "one gradient is the other times a number",
    "different": "apart by more than rounding explains",
    "broken": "one is not finite where the other is",
    "undecided": "the recordings do not settle it",
}
"""What a relation says of two recordings, which have no float64 twin beside them."""


def _step(value: int | None) -> str:
    return "–" if value is None else number(value)


def _size(value: float) -> str:
    return "–" if math.isnan(value) else number(value, 2)


def _sizes(rows: tuple[Row, ...], name: str) -> np.ndarray:
    parts: list[Apart | None] = [getattr(row, name) for row in rows]
    return np.array([np.nan if part is None else part.distance for part in parts])


def distance_figure(found: Diff) -> go.Figure | None:
    """Distances of loss, gradient and weights at every common step, beside what rounding explains."""
    rows = found.rows
    if not rows:
        return None
    steps = np.array([row.step for row in rows])
    sizes = {name: _sizes(rows, name) for name in ("loss", "gradient", "weights")}
    high = np.array(found.allowed)
    axis = log_axis([*sizes.values(), high])
    figure = draw.blank("distance, relative to A")
    draw.band(figure, steps, np.full(len(steps), 10.0**axis.low), high, "explained by rounding", axis)
    for (name, values), colour in zip(sizes.items(), (RIGHT, LEFT, TWIN), strict=True):
        if np.isfinite(values).any():
            draw.line(figure, steps, values, name, colour, axis)
    draw.gap_axis(figure, axis)
    if found.step is not None and len(rows) > 1:
        figure.add_vline(found.step, line={"width": 1.2, "dash": "dash", "color": "#55606B"})
    return figure


def _loss_figure(found: Diff) -> go.Figure | None:
    steps = np.array([row.step for row in found.rows])
    losses = np.array([row.losses for row in found.rows]).reshape(-1, 2)
    if not np.isfinite(losses).any():
        return None
    figure = draw.blank("loss")
    draw.line(figure, steps, losses[:, 0], "A", LEFT, width=4.5, opacity=0.55)
    draw.line(figure, steps, losses[:, 1], "B", RIGHT, width=2, dash="7px,6px")
    return figure
