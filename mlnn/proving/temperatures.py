"""A loss on finitely many targets that is no likelihood for any temperature and base measure, shown at a few raw outputs.

If Σ_k h_k exp(−loss_k(f)/τ) is 1 for every f, its slope is 0: p_k = h_k exp(−loss_k/τ) solves Σ p_k ∂loss_k/∂f_j = 0, Σ p_k = 1. So
p is read off the slopes, must be above 0, and log p_k(a) − log p_k(b) = −(loss_k(a) − loss_k(b))/τ gives one τ > 0 for all a, b, k.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flint import arb, arb_mat, fmpq, fmpq_mat

from mlnn.proving.balls import digits
from mlnn.proving.boxes import BITS
from mlnn.proving.certified import Certified, refuted, shown
from mlnn.proving.graph import Graph, Id
from mlnn.proving.pairs import paired
from mlnn.proving.rules import OutsideError, VagueError
from mlnn.proving.sketch import nodes_of
from mlnn.proving.span import Span
from mlnn.proving.spans import Spans

PLACES = (fmpq(3, 8), fmpq(-5, 8), fmpq(9, 8), fmpq(-7, 4), fmpq(5, 2), fmpq(-13, 4), fmpq(6), fmpq(-25, 4))
"""Raw outputs that are looked at; of several, each begins at another."""
AWAY = fmpq(1, 1000)
"""Difference of losses below which a pair of places says nothing of τ."""


@dataclass(frozen=True)
class Looked:
    """At one place (raw outputs): the losses and the probabilities that they ask for, a ball for each target."""

    place: tuple[fmpq, ...]
    losses: list[arb]
    asked: list[arb]


def refute(graph: Graph, losses: Sequence[Id]) -> Certified | None:
    """That there is no τ > 0 and no h > 0; None where the places do not show it."""
    outputs = 1 + max((place for one in losses for kind, place in graph.reads[one] if kind == "z"), default=0)
    if outputs < len(losses) - 1:
        return None
    with digits(2 * BITS, 2):
        mirrored = _mirrored(graph, losses)
        found = [_looked(graph, losses, place) for place in _places(outputs)]
        seen = [one for one in found if one is not None]
        return mirrored or _without_probability(graph, losses, seen) or _two_temperatures(graph, losses, seen)


def _places(outputs: int) -> Iterator[tuple[fmpq, ...]]:
    for start in range(len(PLACES)):
        yield tuple(PLACES[(start + 3 * one) % len(PLACES)] + fmpq(one, 7) * (outputs > 1) for one in range(outputs))


def _looked(graph: Graph, losses: Sequence[Id], place: tuple[fmpq, ...]) -> Looked | None:
    spans = {("z", one): Span.of(arb(value)) for one, value in enumerate(place)}
    try:
        rows = [[Spans(graph, spans, ("z", one))[loss] for loss in losses] for one in range(max(1, len(losses) - 1))]
        asked = _solved([[slope for _, slope in row] for row in rows])
    except (VagueError, OutsideError, ZeroDivisionError):
        return None
    return Looked(place, [value.ball for value, _ in rows[0]], asked)


def _solved(slopes: list[list[Span]]) -> list[arb]:
    """p of Σ p·slope = 0 for each row and Σ p = 1; exact where the slopes are. ZeroDivisionError where there is not one."""
    several = len(slopes[0])
    right = [0] * len(slopes) + [1]
    if all(one.low == one.high and one.low.is_finite() for row in slopes for one in row):
        rows = [[_rational(one.low) for one in row] for row in slopes] + [[fmpq(1)] * several]
        exact = fmpq_mat(rows).solve(fmpq_mat(several, 1, [fmpq(one) for one in right]))
        return [arb(exact[row, 0]) for row in range(several)]
    balls = [[one.ball for one in row] for row in slopes] + [[arb(1)] * several]
    found = arb_mat(balls).solve(arb_mat(several, 1, right))
    return [found[row, 0] for row in range(several)]


def _rational(value: arb) -> fmpq:
    mantissa, exponent = value.man_exp()
    return fmpq(int(mantissa)) * fmpq(2) ** int(exponent)


def _without_probability(graph: Graph, losses: Sequence[Id], seen: Sequence[Looked]) -> Certified | None:
    for one in seen:
        for target, p in enumerate(one.asked):
            if p <= 0:
                because = f"at raw output {_named(one.place)} the expected slope vanishes for no probability of {target} above 0"
                return refuted(because + f" ({_digits(p)})", (_paper(graph, losses, [one.place], "no probability"),))
    return None


def _two_temperatures(graph: Graph, losses: Sequence[Id], seen: Sequence[Looked]) -> Certified | None:
    """Places that ask for two temperatures, or for none above 0."""
    rates: list[tuple[arb, int, Looked, Looked]] = []
    for one, other in itertools.combinations(seen, 2):
        for target, (p, q, here, there) in enumerate(
            zip(one.asked, other.asked, one.losses, other.losses, strict=True)
        ):
            if not abs(here - there) > arb(AWAY) or not (p > 0 and q > 0):
                continue
            rate = -(p.log() - q.log()) / (here - there)
            if rate <= 0:
                because = f"raw outputs {_named(one.place)} and {_named(other.place)} ask for a temperature that is not above 0"
                return refuted(because, (_paper(graph, losses, [one.place, other.place], "no temperature"),))
            rates.append((rate, target, one, other))
    for first, second in itertools.combinations(rates, 2):
        if not first[0].overlaps(second[0]) and first[0] > 0 and second[0] > 0:
            told = [
                f"τ = {_digits(1 / rate)} by target {target} at raw outputs {_named(one.place)} and {_named(other.place)}"
                for rate, target, one, other in (first, second)
            ]
            places = list(dict.fromkeys(place.place for _, _, *both in (first, second) for place in both))
            return refuted("it asks for " + ", but for ".join(told), (_paper(graph, losses, places, "temperatures"),))
    return None


def _mirrored(graph: Graph, losses: Sequence[Id]) -> Certified | None:
    """Two losses that add up to a number: wherever their slope is not 0 they ask for the probability ½, whatever they are worth."""
    if len(losses) != 2 or graph.number(paired(graph, graph.add(*losses))) is None:
        return None
    seen = []
    for place in PLACES:
        try:
            value, slope = Spans(graph, {("z", 0): Span.of(arb(place))}, ("z", 0))[losses[0]]
        except (VagueError, OutsideError):
            continue
        if slope.sign in (-1, 1):
            seen.append((value, place))
    for (one, here), (other, there) in itertools.combinations(seen, 2):
        if abs(one.ball - other.ball) > arb(AWAY):
            both = f"{_named((here,))} and {_named((there,))}"
            because = f"the losses of both targets add up to a number, so that every raw output asks for ½, and they vary ({both})"
            return refuted(because, (_paper(graph, losses, [(here,), (there,)], "mirrored"),))
    return None


def _named(place: tuple[fmpq, ...]) -> str:
    numbers = [shown(float(arb(one).mid())) for one in place]
    return numbers[0] if len(numbers) == 1 else f"({', '.join(numbers)})"


def _digits(value: arb) -> str:
    return f"{float(value.mid()):.6g}".replace("-", "−")


def _paper(graph: Graph, losses: Sequence[Id], places: Sequence[tuple[fmpq, ...]], says: str) -> dict[str, object]:
    rows, at = nodes_of(graph, losses)
    return {
        "kind": "places",
        "says": says,
        "nodes": rows,
        "losses": [at[one] for one in losses],
        "places": [[str(one) for one in place] for place in places],
    }
