"""A picture of a proof: for each question a strip along the raw outputs, coloured by what is certain there."""

from html import escape

import plotly.graph_objects as go

from mlnn.proving.answers import Interval, Part
from mlnn.proving.proof import Proof
from mlnn.proving.words import placed
from mlnn.report import draw
from mlnn.report.words import FAINT, INK, NULL, RIGHT, TWIN

ROW, FRAME = 26, 130
"""Height of a strip, and of what is around all of them, pixels."""
MOST_STRIPS = 40
"""Questions that are drawn; the table has all."""
MOST_PIECES = 200
"""Intervals of one question that are drawn."""
LEAST = 0.004
"""Share of the domain that an interval is drawn wide at least, or a narrow bump would not be seen."""


def strips(proof: Proof) -> go.Figure | None:
    """None where nothing was asked on an interval."""
    parts = proof.parts[:MOST_STRIPS]
    if not parts:
        return None
    figure = draw.blank("", proof.variable, FRAME + ROW * len(parts))
    names = [f"{part.question}, {part.target}" for part in parts]
    for word, colour in (
        ("proved equal", TWIN),
        ("differ", RIGHT),
        ("undecided", NULL),
        ("no value on either side", FAINT),
    ):
        _strip(figure, word, colour, [(name, one) for name, part in zip(names, parts, strict=True) for one in _of(part, word)],
               proof.domain)  # fmt: skip
    points = [(name, *point) for name, part in zip(names, parts, strict=True) for point in part.points]
    if points:
        figure.add_scatter(
            x=[place for _, place, _ in points], y=[escape(name) for name, *_ in points], mode="markers",
            name="wrong at this place alone",
            marker={"color": INK, "size": 9, "symbol": "diamond"}, text=[f"{size:.4g}" for *_, size in points],
            hovertemplate="at %{x} alone, by %{text}",
        )  # fmt: skip
    low, high = proof.domain
    figure.update_layout(barmode="overlay", bargap=0.35, margin={"l": 220})
    figure.update_xaxes(range=[low - 0.01 * (high - low), high + 0.01 * (high - low)])
    return figure.update_yaxes(categoryorder="array", categoryarray=[escape(name) for name in reversed(names)])


def _of(part: Part, word: str) -> tuple[Interval, ...]:
    """The intervals of a question of which a word holds."""
    found = {"proved equal": part.equal, "differ": part.differs, "undecided": part.undecided}.get(word, part.void)
    return found[:MOST_PIECES]


def _strip(figure: go.Figure, word: str, colour: str, pieces: list[tuple[str, Interval]], domain: Interval) -> None:
    """The intervals of one answer, as bars; equal ones lie below all others."""
    if not pieces:
        return
    least = 0.0 if word == "proved equal" else LEAST * (domain[1] - domain[0])
    wide = [max(high - low, least) for _, (low, high) in pieces]
    starts = [(low + high - width) / 2 for (_, (low, high)), width in zip(pieces, wide, strict=True)]
    figure.add_bar(
        x=wide, base=starts, y=[escape(name) for name, _ in pieces], orientation="h", name=word, marker={"color": colour},
        text=[f"[{placed(low)}, {placed(high)}]" for _, (low, high) in pieces], textposition="none",
        hovertemplate=f"{word} on %{{text}}",
    )  # fmt: skip
