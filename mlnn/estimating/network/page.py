"""The page of one question: is this network a maximum-likelihood estimate? An answer per architecture, and its evidence."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from rich import box
from rich.table import Table

from mlnn.estimating.classical_page import coefficients
from mlnn.estimating.network.architecture import Architecture, Seed
from mlnn.estimating.network.fisher import FLAT, Spectrum
from mlnn.report import draw
from mlnn.report.html import picture, render
from mlnn.report.said import said
from mlnn.report.words import LEFT, NULL, RIGHT, SERIES, TWIN, facts, number

BADGES = {
    "yes": ("✓", "#00664F", "the weights are the maximum-likelihood estimate"),
    "as a function": ("≈", "#005A8C", "the predictions are those of a maximum, the weights are not unique"),
    "no": ("✗", "#8E1652", "neither the weights nor the function are a maximum-likelihood estimate"),
    "undecided": ("?", "#55606B", "the evidence does not settle it"),
}
FLOOR = 1e-34
"""Where eigenvalues are drawn that are smaller still: below rounding, which lies near 1e-32 of the largest."""
LEAST_GAP = 1e-16
"""Where a gap between seeds is drawn that is smaller still, or 0."""
_SPECTRA = (
    "Eigenvalues of the Fisher information over the largest, in units of each parameter's own curvature. A cliff is a true"
    " null space; a slope means that how many directions count as flat is a matter of taste. First seed; others faint."
)
_HEIGHTS = (
    "The log-likelihood each seed attained on the training rows, no constant dropped. Cross: not a stationary point."
)
_SPREAD = (
    "How far seeds are apart, root mean square over pairs: weights over their size (1.4: unrelated), predictions over their"
    " own spread from row to row."
)


def network_page(rungs: Sequence[Architecture], about: Mapping[str, Any]) -> str:
    """The page of a ladder of architectures, each trained from several seeds under one likelihood."""
    return render(
        "network.html",
        [],
        title="Is this network a maximum-likelihood estimate?",
        lead=_lead(rungs),
        facts=[("likelihood", rungs[0].likelihood), *facts(about)],
        pictures=[
            *picture("Fisher spectra", _SPECTRA, spectra_figure(rungs)),
            *picture("Log-likelihood attained", _HEIGHTS, heights_figure(rungs)),
            *picture("What is identified: predictions against weights", _SPREAD, spread_figure(rungs)),
        ],
        reports=[_shown(one) for one in rungs],
    )


def network_table(rungs: Sequence[Architecture]) -> Table:
    """One line per architecture for the console."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for word in ("model", "MLE?", "weights", "flat", "log-likelihood", "last layer"):
        left = word in ("model", "MLE?", "last layer")
        table.add_column(word, justify="left" if left else "right", no_wrap=True)
    for one in map(_shown, rungs):
        mark = said(f"{one.badge[0]} {one.word}", style=f"bold {one.badge[1]}")
        cells = (one.parameters, one.flat, one.height, one.head)
        table.add_row(said(one.model), mark, *map(said, cells))
    return table


def spectra_figure(rungs: Sequence[Architecture]) -> go.Figure | None:
    """Scaled eigenvalues against their place, both axes logarithmic; what is below the floor lies on it."""
    figure = draw.blank("eigenvalue ÷ the largest", "place, from the largest", 440)
    for place, one in enumerate(rungs):
        for faint, seed in enumerate(one.seeds):
            values = seed.standing.spectrum.scaled
            sizes = np.maximum(values / values[0] if values[0] > 0 else values, FLOOR)
            draw.line(figure, np.arange(1, len(sizes) + 1), sizes, one.model, SERIES[place % len(SERIES)],
                      faint=faint > 0, opacity=0.25 if faint else 1)  # fmt: skip
            if not faint:
                figure.data[-1].update(hovertemplate="eigenvalue %{x}: %{text}")
    figure.add_hrect(FLOOR / 10, FLAT, fillcolor=NULL, opacity=0.13, line_width=0, layer="below")
    note = {"x": 0, "y": np.log10(FLAT), "xref": "paper", "xanchor": "left", "yanchor": "top", "showarrow": False}
    figure.add_annotation(text="flat: rounding, or exactly 0", font={"size": 12, "color": NULL}, xshift=6, **note)
    figure.update_xaxes(type="log", exponentformat="power", dtick=1)
    figure.update_yaxes(
        type="log", exponentformat="power", dtick=4, automargin=True, range=[np.log10(FLOOR) - 0.5, 0.7]
    )
    return figure


def heights_figure(rungs: Sequence[Architecture]) -> go.Figure | None:
    """The attained log-likelihood, a point per seed, architectures from top to bottom."""
    figure = _frame(rungs, "log-likelihood, nats")
    for still, name, symbol in ((True, "at a stationary point", "circle"), (False, "not", "x")):
        points = [
            (height := seed.standing.log_likelihood, place, f"seed {seed.seed}: {number(height, 8)}")
            for place, one in enumerate(rungs)
            for seed in one.seeds
            if seed.stationary is still
        ]
        _dots(figure, points, name, LEFT if still else RIGHT, symbol)
    return figure


def spread_figure(rungs: Sequence[Architecture]) -> go.Figure | None:
    """Spread over seeds of weights and predictions on a log axis; None for a single seed."""
    if all(len(one.seeds) == 1 for one in rungs):
        return None
    figure = _frame(rungs, "difference between seeds, relative")
    spreads = [one.spread for one in rungs]
    looks = (([one.weights for one in spreads], "weights", RIGHT, "diamond"),
             ([one.relative for one in spreads], "predictions, training rows", LEFT, "circle"),
             ([one.relative_held_out for one in spreads], "predictions, held-out rows", TWIN, "circle-open"))  # fmt: skip
    for gaps, name, colour, symbol in looks:
        points = [
            (max(gap, LEAST_GAP), place, f"{name}: {number(gap)}") for place, gap in enumerate(gaps) if np.isfinite(gap)
        ]
        _dots(figure, points, name, colour, symbol)
    figure.update_xaxes(type="log", exponentformat="power", showgrid=True)
    return figure


def _frame(rungs: Sequence[Architecture], words: str) -> go.Figure:
    figure = draw.blank("", words, height=140 + 32 * len(rungs))
    ticks = {"tickmode": "array", "tickvals": list(range(len(rungs)))}
    names = [escape(one.model) + "  " for one in rungs]
    figure.update_yaxes(ticktext=names, range=[len(rungs) - 0.4, -0.6], automargin=True, ticks="", **ticks)
    figure.update_layout(margin={"l": 20, "t": 48})
    figure.update_xaxes(showgrid=True)
    return figure


def _dots(figure: go.Figure, points: Sequence[tuple[float, int, str]], name: str, colour: str, symbol: str) -> None:
    x, y, text = zip(*points, strict=True) if points else ((), (), ())
    look = {"color": colour, "size": 10, "symbol": symbol, "line": {"width": 1 if symbol != "circle-open" else 2}}
    figure.add_scatter(x=x, y=y, text=text, mode="markers", name=name, marker=look, hovertemplate="%{text}")


def _lead(rungs: Sequence[Architecture]) -> str:
    """How many of each answer."""
    words = {
        "yes": "the weights are the estimate",
        "as a function": "the function is, the weights are not unique",
        "no": "neither is",
        "undecided": "it cannot be told",
    }
    found = {kind: [one.model for one in rungs if one.kind == kind] for kind in BADGES}
    told = [f"on {len(names)} {words[kind]} ({', '.join(names)})" for kind, names in found.items() if names]
    return f"Of {len(rungs)} architecture{'s' if len(rungs) > 1 else ''}: {'; '.join(told)}."


@dataclass(frozen=True)
class Shown:
    """One architecture as template and console take it: every number in words. badge: mark, colour, meaning."""

    model: str
    badge: tuple[str, str, str]
    word: str
    answer: str
    parameters: str
    flat: str
    height: str
    gradient: str
    errors: str
    head: str
    weights: str
    predictions: str
    held_out: str
    facts: list[tuple[str, str]]
    layer: str
    coefficients: list[list[str]]


def _shown(one: Architecture) -> Shown:
    standings, spread, finding = [seed.standing for seed in one.seeds], one.spread, one.seeds[0].finding
    return Shown(
        model=one.model,
        badge=BADGES[one.kind],
        word=_word(one),
        answer=one.answer,
        parameters=number(one.parameters),
        flat=_flat([at.spectrum for at in standings]),
        height=_range([at.log_likelihood for at in standings], lambda value: number(value, 3)),
        gradient=_largest([at.gradient_relative for at in standings]),
        errors=_largest([at.gradient_in_errors for at in standings]),
        head=_head(one.seeds),
        weights=number(spread.weights, 2),
        predictions=number(spread.relative, 2),
        held_out=number(spread.relative_held_out, 2),
        facts=_facts(one.parameters, standings[0].spectrum),
        layer=finding.sentence if finding else "The last layer could not be asked.",
        coefficients=coefficients(finding),
    )


def _word(one: Architecture) -> str:
    return f"to {one.digits:.1f} digits" if one.kind == "yes" else one.kind


def _flat(spectra: Sequence[Spectrum]) -> str:
    """How many directions are flat; at least so many where not all eigenvalues are known."""
    return ("" if spectra[0].whole else "≥ ") + _range([one.flat for one in spectra], number)


def _facts(parameters: int, spectrum: Spectrum) -> list[tuple[str, str]]:
    """What there is to say of the spectrum of the first seed."""
    ends = [("leading eigenvalues", spectrum.leading), ("trailing", spectrum.trailing)]
    return [
        ("parameters", number(parameters)),
        ("rank at most", number(spectrum.bound)),
        *((word, ", ".join(map(number, values))) for word, values in ends if values is not None),
        ("flat below", ", ".join(f"{at}: {count}" for at, count in spectrum.flat_at.items())),
    ]


def _head(seeds: Sequence[Seed]) -> str:
    """The last layer over the seeds, in a few words."""
    if any(seed.head is None for seed in seeds):
        return "not linear"
    kinds = [seed.finding.separation if seed.finding else None for seed in seeds]
    for kind, word in (("complete", "separated"), ("quasi", "quasi-separated")):
        if kind in kinds:
            return f"{kinds.count(kind)} of {len(kinds)} {word}"
    errors = [seed.errors for seed in seeds if seed.errors is not None]
    return f"{number(max(errors), 1)} s.e. off the MLE" if len(errors) == len(kinds) else "no unique estimate"


def _largest(values: Sequence[float]) -> str:
    return number(max(values), 2)


def _range(values: Sequence[float], show: Callable[[float], str]) -> str:
    low, high = show(min(values)), show(max(values))
    return low if low == high else f"{low}…{high}"
