"""Exponential families by their closed sums: exp(−loss/τ)·h(y) = g(y)·exp(θ(f) y − K(θ(f))) with a known cumulant function K.

A loss that is A(f) + B(f)·y plus terms of y alone has θ = −B/τ, and A/τ − K(θ) has to be one number for all f. Which measure g has
the sum or integral e^K is a theorem, and by the uniqueness of Laplace transforms it is the only one: where it lives on others,
there is no likelihood. Source: Barndorff-Nielsen (1978), chapter 8; the sums are the exponential and the binomial series, the
integrals Gauss', Euler's, and that of the inverse Gaussian law.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from flint import arb, fmpq

from mlnn.proving.algebra import exp, inv, log, mul, power, square
from mlnn.proving.answers import part_of
from mlnn.proving.balls import Evaluation, UnsureError, digits
from mlnn.proving.boxes import BITS, VALUE, Question
from mlnn.proving.cases import RAW, Case
from mlnn.proving.certified import EVERYWHERE, Certified, Claim, Interval, proved, refuted, undecided
from mlnn.proving.constants import simple
from mlnn.proving.graph import Graph, Id
from mlnn.proving.located import AGREES, at_number
from mlnn.proving.meant import as_node
from mlnn.proving.paper import on_paper
from mlnn.proving.paving import paved
from mlnn.proving.rebuilding import rebuilt
from mlnn.proving.rules import OutsideError, VagueError
from mlnn.proving.sketch import identity
from mlnn.proving.structure import TARGET, parted, polynomial
from mlnn.targets.facts import COUNTS, HALF_LINE, LINE, UNIT_INTERVAL

PLACE = Fraction(3, 8)
"""The raw output at which a family's free number is read."""
OUTPUT = ("z", 0)
TOLERANCE = 1e-15


@dataclass(frozen=True)
class Family:
    """`cumulant`: K for free number 1 as a node of θ: K is it times the free number c. `log_base`: (y, c) → log g(y)."""

    name: str
    support: str
    cumulant: Callable[[Graph, Id], Id]
    log_base: Callable[[arb, arb], arb]


def _one_less(g: Graph, theta: Id) -> Id:
    """1 − e^θ; where that is e^u/S as (S − e^u)/S, of which little cancels."""
    whole = exp(g, theta)
    node = g.nodes[whole]
    below = next((one for one in node.args if node.op == "mul" and g.nodes[one].op in ("inv", "sigmoid")), None)
    if below is None:
        return g.linear([(Fraction(-1), whole)], 1)
    under = inv(g, below)
    return mul(g, below, g.sub(under, mul(g, whole, under)))


def _log(g: Graph, one: Id) -> Id:
    """A logarithm; of a multiple as a sum."""
    node = g.nodes[one]
    if node.op != "lin" or len(node.args) != 1 or node.numbers[0] != 0 or not node.numbers[1] > 0:
        return log(g, one)
    return g.add(log(g, g.const(node.numbers[1])), log(g, node.args[0]))


def _ways(y: arb, c: arb) -> arb:
    """log of the binomial coefficient."""
    found: arb = (c + 1).lgamma() - (y + 1).lgamma() - (c - y + 1).lgamma()
    return found


FAMILIES = (
    Family("Poisson", COUNTS, lambda g, t: exp(g, t), lambda y, c: y * c.log() - (y + 1).lgamma()),
    Family("negative binomial", COUNTS, lambda g, t: g.neg(_log(g, _one_less(g, t))),
           lambda y, c: (y + c).lgamma() - c.lgamma() - (y + 1).lgamma()),
    Family("normal", LINE, lambda g, t: g.scale(Fraction(1, 2), square(g, t)),
           lambda y, c: -y * y / (2 * c) - (2 * arb.pi() * c).log() / 2),
    Family("gamma", HALF_LINE, lambda g, t: g.neg(_log(g, g.neg(t))), lambda y, c: (c - 1) * y.log() - c.lgamma()),
    Family("inverse Gaussian", HALF_LINE, lambda g, t: g.neg(power(g, g.scale(-2, t), Fraction(1, 2))),
           lambda y, c: (c * c / (2 * arb.pi() * y**3)).log() / 2 - c * c / (2 * y)),
    Family("Bernoulli", "{0, 1}", lambda g, t: g.make("softplus", (t,)), lambda y, c: _ways(y, c)),
)  # fmt: skip
"""Each with e^(c K) as its sum or integral. Of whole c the last is the binomial."""


@dataclass(frozen=True)
class Exponential:
    """`whole`: loss/τ; `parts`: A/τ − θ·y plus `own`/τ, the terms of the target alone, which is the same by its form; `cumulants`:
    A/τ and K(θ), of `family` with the free number `shape`. `question`: whether they differ everywhere as at one place."""

    graph: Graph
    whole: Id
    parts: Id
    cumulants: tuple[Id, Id]
    own: Id
    scale: Id
    family: Family
    shape: fmpq
    question: Question


def exponentials(graph: Graph, value: Id, claim: Claim) -> list[Exponential]:
    """The families that a loss may be of."""
    rest, own = parted(graph, value)
    rows = polynomial(graph, rest)
    if rows is None or len(rows) < 2 or any(OUTPUT in graph.reads[row] for row in rows[2:]):
        return []
    scale = as_node(graph, claim.scale)
    rate = inv(graph, scale)
    cumulant, theta = mul(graph, rate, rows[0]), graph.neg(mul(graph, rate, rows[1]))
    y = graph.var(*TARGET)
    terms = [(Fraction(1), own)]
    for k, row in enumerate(rows[2:], 2):
        terms.append((Fraction(1), mul(graph, row, power(graph, y, Fraction(k)))))
    own = graph.linear(terms)
    found = []
    whole = mul(graph, rate, value)
    parts = graph.linear(
        [(Fraction(1), cumulant), (Fraction(-1), mul(graph, theta, y)), (Fraction(1), mul(graph, rate, own))]
    )
    for family in FAMILIES:
        plain = family.cumulant(graph, theta)
        shape = _shape(graph, cumulant, plain)
        if shape is None or not shape > 0:
            continue
        known = graph.scale(Fraction(int(shape.p), int(shape.q)), plain)
        left = graph.sub(cumulant, known)
        (right,) = rebuilt(graph, (left,), graph, {OUTPUT: graph.const(PLACE)})
        found.append(
            Exponential(graph, whole, parts, (cumulant, known), own, scale, family, shape, Question(VALUE, left, right))
        )
    return found


def _shape(graph: Graph, cumulant: Id, plain: Id) -> fmpq | None:
    """The factor of K that the slopes ask for at one place."""
    try:
        with digits(2 * BITS, 3):
            at = Evaluation(graph, arb(fmpq(PLACE.numerator, PLACE.denominator)), {}, 3)
            return simple(at[cumulant][1] / at[plain][1])
    except (VagueError, OutsideError, UnsureError, ZeroDivisionError, ValueError):
        return None


def prove_closed(
    found: Exponential, claim: Claim, support: str, asked: tuple[fmpq, fmpq], budget: int
) -> Certified | None:
    """By one family; None where the loss is not of it. Refuted where the family lives on other targets than these."""
    graph, question = found.graph, found.question
    looks, domain, close = 0, EVERYWHERE, fmpq(*TOLERANCE.as_integer_ratio())
    inside = {HALF_LINE: "above 0", UNIT_INTERVAL: "inside 0 and 1"}.get(support, "any")
    paper: tuple[dict[str, object], ...] = (identity(graph, found.whole, found.parts, inside),)
    where: tuple[Interval, ...] = ()
    if question.trivial:
        known = graph.add(found.cumulants[1], question.minus)
        paper += (identity(graph, found.cumulants[0], known),)
    else:
        looked = paved(graph, [question], asked, close, budget)
        looks = looked.looks
        part = part_of(graph, question, looked.tiles[VALUE], "the cumulant function", RAW)
        around = next((one for one in part.equal if one[0] <= claim.around <= one[1]), None)
        if around is None or around[0] == around[1]:
            return None
        domain, where = around, part.differs
        case = Case("the cumulant function", graph, (question,), RAW)
        paper += (on_paper(case, [question], looked.tiles, asked, close),)
    if found.family.support != support:
        name, lives = found.family.name, found.family.support
        because = f"its θ(f) and A(f) are those of one measure alone, that of the {name} family, which lives on {lives}"
        return refuted(because, paper, "a closed sum")
    off = _apart(found, claim)
    if off is not None:
        return undecided(off, looks)
    return proved(
        f"the closed sum of the {found.family.name}",
        domain,
        TOLERANCE if looks else 0.0,
        where=where,
        boxes=looks,
        paper=paper,
    )


def _apart(found: Exponential, claim: Claim) -> str | None:
    """What the audit's h(y) is off, if more than rounding."""
    graph = found.graph
    for target, log_h in claim.log_base.items():
        with digits(2 * BITS, 2):
            scale, shift = (Evaluation(graph, arb(0), {}, 1)[one][0] for one in (found.scale, found.question.minus))
            y, shape = arb(fmpq(*float(target).as_integer_ratio())), arb(found.shape)
            wanted = found.family.log_base(y, shape) + at_number(graph, found.own, target) / scale + shift
            if not abs(wanted - log_h) <= AGREES * max(1.0, abs(log_h)):
                return f"log h({target:g}) is {float(wanted.mid()):.9g} for the {found.family.name}, not {log_h:.9g}"
    return None
