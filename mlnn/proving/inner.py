"""One number u = (a + b·y)·z + c·y of a raw output z and a label y, and nodes that hang on it, and on the label beside it.

What is a polynomial in z and y is put in terms of u and y as far as that goes, sum by sum and product by product; a raw output that
is left over anywhere shows that a node hangs on more.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from flint import fmpq

from mlnn.proving.algebra import power, product
from mlnn.proving.graph import Graph, Id
from mlnn.proving.linear import Reach
from mlnn.proving.rebuilding import remade
from mlnn.proving.structure import OUTPUT, TARGET

LEFT_OVER = ("z", 1)
"""The raw output itself, where it is beside u."""
MOST_DEGREE = 4
Powers = dict[tuple[int, int], Fraction]
"""A polynomial: by (power of the raw output, power of the label) its coefficients, none of them 0."""


@dataclass(frozen=True)
class Inner:
    """u = (start + rise·y)·z + own·y, of which the larger of |start| and |start + rise| is 1: what u is times z is in [−1, 1]."""

    start: Fraction
    rise: Fraction
    own: Fraction

    @property
    def letter(self) -> str:
        """What functions of u are times powers of: w = start + rise·y, which gradients are multiples of, or y itself."""
        return "w" if self.rise else "y"

    def weight(self, y: fmpq) -> fmpq:
        """w, or y, at a label."""
        return _rational(self.start) + _rational(self.rise) * y if self.rise else y

    def reach(self, ends: Reach) -> tuple[fmpq, fmpq]:
        """The least and the largest u, of raw outputs between two and labels from 0 to 1: at corners, as it is a line in each."""
        corners = [(self.start + self.rise * y) * z + self.own * y for z in ends for y in (0, 1)]
        return _rational(min(corners)), _rational(max(corners))

    def still(self) -> Fraction | None:
        """u at the one label in [0, 1] at which it is the same for all raw outputs; None where there is none."""
        at = -self.start / self.rise if self.rise else None
        return None if at is None or not 0 <= at <= 1 else self.own * at

    @property
    def told(self) -> str:
        """In words: u = (1 − 2·y)·z."""
        lead = "" if not self.rise else f"({_sum(self.start, self.rise)})·" if self.start else "y·"
        return f"u = {lead}z" + (_added(self.own) if self.own else "")


def _rational(value: Fraction) -> fmpq:
    return fmpq(value.numerator, value.denominator)


def _added(factor: Fraction) -> str:
    size = "" if abs(factor) == 1 else f"{float(abs(factor)):g}·"
    return f" {'−' if factor < 0 else '+'} {size}y"


def _sum(start: Fraction, rise: Fraction) -> str:
    return f"{float(start):g}".replace("-", "−") + _added(rise)


def inners(graph: Graph, roots: Sequence[Id]) -> list[Inner]:
    """What some nodes may hang on, the one that is met most often first."""
    found = Counter[Inner]()
    known = polynomials(graph, roots)
    for one in graph.needed(roots):
        for inner in _inner(_gathered(graph, one, known)):
            found[inner] += 1
    return [inner for inner, _ in found.most_common()]


def _inner(powers: Powers) -> list[Inner]:
    """A polynomial as u, with and without the label beside the product; none of one that is no line in z, or hangs on z alone."""
    start, rise, own = (powers.get(key, Fraction(0)) for key in ((1, 0), (1, 1), (0, 1)))
    if any(z > 1 or (z == 1 and y > 1) for z, y in powers) or not (start or rise):
        return []
    largest = max(abs(start), abs(start + rise))
    scale = largest if (start or rise) > 0 else -largest
    found = dict.fromkeys(Inner(start / scale, rise / scale, one / scale) for one in (own, Fraction(0)))
    return [one for one in found if one.rise or one.own]


def polynomials(graph: Graph, roots: Sequence[Id]) -> dict[Id, Powers]:
    """The nodes that are polynomials in the raw output and the label."""
    found: dict[Id, Powers] = {}
    for one in graph.needed(roots):
        node = graph.nodes[one]
        if node.name in (OUTPUT, TARGET):
            found[one] = {(1, 0) if node.name == OUTPUT else (0, 1): Fraction(1)}
        elif node.op in ("lin", "mul", "square") and all(other in found for other in node.args):
            here = _gathered(graph, one, found)
            if all(z + y <= MOST_DEGREE for z, y in here):
                found[one] = here
    return found


def _gathered(graph: Graph, one: Id, known: dict[Id, Powers]) -> Powers:
    """Of a sum its terms that are polynomials, of a product its factors that are; 0 of others."""
    node, found = graph.nodes[one], Powers()
    if node.op == "lin":
        constant, *factors = node.numbers
        found[0, 0] = constant
        for factor, other in zip(factors, node.args, strict=True):
            for key, value in known.get(other, {}).items():
                found[key] = found.get(key, Fraction(0)) + factor * value
    elif node.op in ("mul", "square"):
        found[0, 0] = Fraction(1)
        for other in node.args * (2 if node.op == "square" else 1):
            found = _times(found, known.get(other, {(0, 0): Fraction(1)}))
    return {key: value for key, value in found.items() if value}


def _times(left: Powers, right: Powers) -> Powers:
    found = Powers()
    for (z, y), value in left.items():
        for (more, beside), other in right.items():
            key = z + more, y + beside
            found[key] = found.get(key, Fraction(0)) + value * other
    return {key: value for key, value in found.items() if value}


def by_inner(graph: Graph, roots: Sequence[Id], inner: Inner) -> tuple[Graph, tuple[Id, ...]] | None:
    """Some nodes as functions of u, the variable ("z", 0) of a graph of their own, and of w or y, ("y", 0); None where a raw output
    is left over."""
    into, known = Graph(), polynomials(graph, roots)

    def other(one: Id, args: tuple[Id, ...]) -> Id | None:
        node = graph.nodes[one]
        if one in known:
            return _written(into, known[one], inner)
        if node.op not in ("lin", "mul"):
            return None
        told = _written(into, _gathered(graph, one, known), inner)
        rest = [place for place, inside in enumerate(node.args) if inside not in known]
        if node.op == "mul":
            return product(into, [told, *(args[place] for place in rest)])
        return into.linear([(Fraction(1), told), *((node.numbers[1 + place], args[place]) for place in rest)])

    found = remade(graph, roots, into, other)
    return None if any(LEFT_OVER in into.reads[one] for one in found) else (into, found)


def _written(into: Graph, powers: Powers, inner: Inner) -> Id:
    """A polynomial as a node: of u and w where it is one of those, else with the raw output in it."""
    moved = _moved(powers, inner)
    first = into.var(*OUTPUT) if moved is not None else into.var(*LEFT_OVER)
    second = into.var(*TARGET)
    y = into.linear([(1 / inner.rise, second)], -inner.start / inner.rise) if inner.rise else second
    terms = [
        (value, product(into, [power(into, first, z), power(into, y, beside)]))
        for (z, beside), value in (powers if moved is None else moved).items()
    ]
    return into.linear(terms)


def _moved(powers: Powers, inner: Inner) -> Powers | None:
    """A polynomial in z and y as one in u and y, its highest power of z first; None where that is none."""
    left, found = dict(powers), Powers()
    whole = {key: value for key, value in (((1, 0), inner.start), ((1, 1), inner.rise), ((0, 1), inner.own)) if value}
    while left:
        most = max(z for z, _ in left)
        lead = [left.get((most, y), Fraction(0)) for y in range(1 + max(y for z, y in left if z == most))]
        for _ in range(most):
            divided = _divided(lead, inner)
            if divided is None:
                return None
            lead = divided
        taken = {(0, y): value for y, value in enumerate(lead) if value}
        found |= {(most, y): value for (_, y), value in taken.items()}
        for _ in range(most):
            taken = _times(taken, whole)
        left = {key: left.get(key, Fraction(0)) - taken.get(key, Fraction(0)) for key in {*left, *taken}}
        left = {key: value for key, value in left.items() if value}
    return found


def _divided(row: list[Fraction], inner: Inner) -> list[Fraction] | None:
    """A polynomial in y, by its coefficients, over start + rise·y; None where something is left over."""
    if not inner.rise:
        return [one / inner.start for one in row]
    found, rest = list[Fraction](), list(row)
    while len(rest) > 1:
        lead = rest.pop() / inner.rise
        rest[-1] -= lead * inner.start
        found.insert(0, lead)
    return found if found and not rest[0] else None
