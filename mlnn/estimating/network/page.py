"""The page of one question: is this network a maximum-likelihood estimate? An answer per architecture, and its evidence."""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from rich import box
from rich.table import Table

from mlnn.estimating.classical_page import coefficients
from mlnn.report import draw
from mlnn.report.html import picture, render
from mlnn.report.said import said
from mlnn.report.words import LEFT, NULL, RIGHT, SERIES, TWIN, facts, number

Report = Mapping[str, Any]
"""A `NetworkReport.to_dict()` with the `model`'s name, and a `seed` in each of its seeds."""

BADGES = {
    "yes": ("✓", "#00664F", "the weights are the maximum-likelihood estimate"),
    "as a function": ("≈", "#005A8C", "the predictions are those of a maximum, the weights are not unique"),
    "no": ("✗", "#8E1652", "neither the weights nor the function are a maximum-likelihood estimate"),
    "undecided": ("?", "#55606B", "the evidence does not settle it"),
}
FLOOR, FLAT = 1e-34, 1e-24
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


def network_page(reports: Sequence[Report], about: Mapping[str, Any]) -> str:
    """The page of a ladder of architectures, each trained from several seeds under one likelihood."""
    return render(
        "network.html",
        [],
        title="Is this network a maximum-likelihood estimate?",
        lead=_lead(reports),
        facts=[("likelihood", str(reports[0]["likelihood"])), *facts(about)],
        pictures=[
            *picture("Fisher spectra", _SPECTRA, spectra_figure(reports)),
            *picture("Log-likelihood attained", _HEIGHTS, heights_figure(reports)),
            *picture("What is identified: predictions against weights", _SPREAD, spread_figure(reports)),
        ],
        reports=[_shown(one) for one in reports],
    )


def network_table(reports: Sequence[Report]) -> Table:
    """One line per architecture for the console."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for word in ("model", "MLE?", "weights", "flat", "log-likelihood", "last layer"):
        left = word in ("model", "MLE?", "last layer")
        table.add_column(word, justify="left" if left else "right", no_wrap=True)
    for one in map(_shown, reports):
        mark = said(f"{one['badge'][0]} {one['word']}", style=f"bold {one['badge'][1]}")
        cells = (one["parameters"], one["flat"], one["height"], one["head"])
        table.add_row(said(one["model"]), mark, *map(said, cells))
    return table


def spectra_figure(reports: Sequence[Report]) -> go.Figure | None:
    """Scaled eigenvalues against their place, both axes logarithmic; what is below the floor lies on it."""
    figure = draw.blank("eigenvalue ÷ the largest", "place, from the largest", 440)
    for place, one in enumerate(reports):
        for faint, seed in enumerate(one["seeds"]):
            values = np.asarray(seed["spectrum"]["scaled"])
            sizes = np.maximum(values / values[0] if values[0] > 0 else values, FLOOR)
            draw.line(figure, np.arange(1, len(sizes) + 1), sizes, one["model"], SERIES[place % len(SERIES)],
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


def heights_figure(reports: Sequence[Report]) -> go.Figure | None:
    """The attained log-likelihood, a point per seed, architectures from top to bottom."""
    figure = _rungs(reports, "log-likelihood, nats")
    for still, name, symbol in ((True, "at a stationary point", "circle"), (False, "not", "x")):
        points = [
            (seed["log_likelihood"], place, f"seed {seed['seed']}: {number(seed['log_likelihood'], 8)}")
            for place, one in enumerate(reports)
            for seed in one["seeds"]
            if seed["stationary"] is still
        ]
        _dots(figure, points, name, LEFT if still else RIGHT, symbol)
    return figure


def spread_figure(reports: Sequence[Report]) -> go.Figure | None:
    """Spread over seeds of weights and predictions on a log axis; None for a single seed."""
    if all(len(one["seeds"]) == 1 for one in reports):
        return None
    figure = _rungs(reports, "difference between seeds, relative")
    looks = (("weights", "weights", RIGHT, "diamond"), ("relative", "predictions, training rows", LEFT, "circle"),
             ("relative_held_out", "predictions, held-out rows", TWIN, "circle-open"))  # fmt: skip
    for key, name, colour, symbol in looks:
        sizes = [(max(one["spread"][key], 1e-16), place, one["spread"][key]) for place, one in enumerate(reports)]
        points = [(x, place, f"{name}: {number(told)}") for x, place, told in sizes if np.isfinite(told)]
        _dots(figure, points, name, colour, symbol)
    figure.update_xaxes(type="log", exponentformat="power", showgrid=True)
    return figure


def _rungs(reports: Sequence[Report], words: str) -> go.Figure:
    figure = draw.blank("", words, height=140 + 32 * len(reports))
    ticks = {"tickmode": "array", "tickvals": list(range(len(reports)))}
    names = [escape(str(one["model"])) + "  " for one in reports]
    figure.update_yaxes(ticktext=names, range=[len(reports) - 0.4, -0.6], automargin=True, ticks="", **ticks)
    figure.update_layout(margin={"l": 20, "t": 48})
    figure.update_xaxes(showgrid=True)
    return figure


def _dots(figure: go.Figure, points: Sequence[tuple[float, int, str]], name: str, colour: str, symbol: str) -> None:
    x, y, text = zip(*points, strict=True) if points else ((), (), ())
    look = {"color": colour, "size": 10, "symbol": symbol, "line": {"width": 1 if symbol != "circle-open" else 2}}
    figure.add_scatter(x=x, y=y, text=text, mode="markers", name=name, marker=look, hovertemplate="%{text}")


def _lead(reports: Sequence[Report]) -> str:
    """How many of each answer."""
    words = {
        "yes": "the weights are the estimate",
        "as a function": "the function is, the weights are not unique",
        "no": "neither is",
        "undecided": "it cannot be told",
    }
    found = {kind: [str(one["model"]) for one in reports if one["kind"] == kind] for kind in BADGES}
    told = [f"on {len(names)} {words[kind]} ({', '.join(names)})" for kind, names in found.items() if names]
    return f"Of {len(reports)} architecture{'s' if len(reports) > 1 else ''}: {'; '.join(told)}."


def _shown(one: Report) -> dict[str, Any]:
    """One architecture as template and console take it."""
    seeds, spread = one["seeds"], one["spread"]
    spectrum = seeds[0]["spectrum"]
    return {
        "model": str(one["model"]),
        "badge": BADGES[one["kind"]],
        "word": f"to {one['digits']:.1f} digits" if one["kind"] == "yes" else one["kind"],
        "answer": one["answer"],
        "parameters": number(one["parameters"]),
        "flat": f"{'' if spectrum['whole'] else '≥ '}{_range([s['spectrum']['flat'] for s in seeds], number)}",
        "height": _range([s["log_likelihood"] for s in seeds], lambda value: number(value, 3)),
        "gradient": number(max(s["gradient_relative"] for s in seeds), 2),
        "errors": number(max(s["gradient_in_errors"] for s in seeds), 2),
        "head": _head([s["head"] for s in seeds]),
        "weights": number(spread["weights"], 2),
        "predictions": number(spread["relative"], 2),
        "held_out": number(spread["relative_held_out"], 2),
        "facts": [
            ("parameters", number(one["parameters"])),
            ("rank at most", number(spectrum["bound"])),
            ("leading eigenvalues", ", ".join(number(v) for v in spectrum["leading"])),
            *([("trailing", ", ".join(number(v) for v in spectrum["trailing"]))] if spectrum["trailing"] else []),
            ("flat below", ", ".join(f"{at}: {count}" for at, count in spectrum["flat_at"].items())),
        ],
        "layer": str((seeds[0]["head"] or {}).get("sentence") or "The last layer could not be asked."),
        "coefficients": coefficients(seeds[0]["head"]) if (seeds[0]["head"] or {}).get("coefficients") else [],
    }


def _head(heads: Sequence[Mapping[str, Any] | None]) -> str:
    """The last layer over the seeds, in a few words."""
    if any(head is None for head in heads):
        return "not linear"
    told = [head["separation"] for head in heads if head]
    for kind, word in (("complete", "separated"), ("quasi", "quasi-separated")):
        if kind in told:
            return f"{told.count(kind)} of {len(told)} {word}"
    errors = [head["standard_errors"] for head in heads if head and head["separation"] == "none"]
    if len(errors) < len(told):
        return "no unique estimate"
    return f"{number(max(errors), 1)} s.e. off the MLE"


def _range(values: Sequence[float], show: Callable[[float], str]) -> str:
    low, high = show(min(values)), show(max(values))
    return low if low == high else f"{low}…{high}"
