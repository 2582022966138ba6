"""Densities by their form: a loss of y − f, of log y − f or logit y − f, has one integral for every raw output f.

With u the coordinate of y on the line and y = y(f + v) put in, a loss that is ρ(v) + β(f + v) plus terms of y alone gives
∫ exp(−loss/τ) h(y) dy = ∫ exp(−ρ(v)/τ) dv for h = exp((terms + βu)/τ) du/dy: one number, which is enclosed.
"""

import math
from dataclasses import dataclass
from fractions import Fraction

from flint import arb, fmpq

from mlnn.proving.algebra import exp, inv, mul
from mlnn.proving.balls import Evaluation, digits
from mlnn.proving.boxes import BITS
from mlnn.proving.certified import Certified, Claim, Interval, proved, refuted, undecided
from mlnn.proving.graph import Graph, Id
from mlnn.proving.integral import Integral, V, between, grows, over_the_line
from mlnn.proving.meant import as_node
from mlnn.proving.pairs import oriented
from mlnn.proving.rebuilding import rebuilt
from mlnn.proving.rules import OutsideError, VagueError
from mlnn.proving.sketch import decimal, endless, integral, nodes_of
from mlnn.proving.span import Span
from mlnn.proving.spans import Spans
from mlnn.proving.structure import TARGET, parted
from mlnn.targets.facts import HALF_LINE, LINE, UNIT_INTERVAL

AGREES = 1e-7
"""Difference of the logs of an audit's base measure and a proof's, relative above 1, that is the audit's rounding."""
PI_DIGITS, TURN_BITS = 3141592653589793238462643383279, 99
"""The first digits of π, and the bits that they are."""
OUTPUT = ("z", 0)
MOVED = ("v", 0)


@dataclass(frozen=True)
class Located:
    """`rho`: the function of the residual, in a graph of its own whose variable is `integral.V`. `drift`: β. `loss` and its terms
    of the target alone, `own`: nodes of `source`. `width`: of two raw outputs, as in WIDTHS."""

    support: str
    graph: Graph
    rho: Id
    drift: Fraction
    source: Graph
    loss: Id
    own: Id
    width: tuple[int, int, Fraction] | None = None

    def written(self, scale: arb, level: Fraction) -> dict[str, object]:
        """What ties an exponent to the loss: loss(f, y) − own(y) − β·u(y) − level = τ·exponent(u(y) − f)."""
        rows, at = nodes_of(self.source, [self.loss, self.own])
        return {
            "nodes": rows, "loss": at[self.loss], "own": at[self.own], "support": self.support, "drift": str(self.drift),
            "level": str(level), "scale": decimal(scale),
            "width": None if self.width is None else [*self.width[:2], str(self.width[2])],
        }  # fmt: skip


def located(graph: Graph, value: Id, support: str) -> Located | None:
    """A loss in this form; None for any other."""
    if support not in (LINE, HALF_LINE, UNIT_INTERVAL):
        return None
    rest, own = parted(graph, value)
    into = Graph()
    z, v = into.var(*OUTPUT), into.var(*MOVED)
    u = into.add(z, v)
    target = {LINE: u, HALF_LINE: exp(into, u), UNIT_INTERVAL: into.make("sigmoid", (u,))}[support]
    (moved,) = rebuilt(graph, (rest,), into, {OUTPUT: z, TARGET: target})
    moved = oriented(into, moved)
    drift = _factor(into, moved, z)
    left = into.sub(moved, into.scale(drift, u))
    if OUTPUT in into.reads[left]:
        return None
    alone = Graph()
    (rho,) = rebuilt(into, (left,), alone, {MOVED: alone.var(*V)})
    return Located(support, alone, rho, drift, graph, value, own)


WIDTHS = ((0, 1, Fraction(1, 2)), (0, 1, Fraction(1)), (1, 0, Fraction(1, 2)), (1, 0, Fraction(1)))
"""Which raw output is the place, of which the width is the exponential, and by what factor: a log variance, a log width."""


def with_width(graph: Graph, value: Id, support: str) -> Located | None:
    """A density of (y − f₁)/e^(s f₂): at y = f₁ + e^(s f₂)·v a loss that is ρ(v) + s·f₂ plus terms of y alone; None for others."""
    if support != LINE:
        return None
    rest, own = parted(graph, value)
    for place, width, share in WIDTHS:
        into = Graph()
        z = [into.var("z", one) for one in range(2)]
        log_width = into.scale(share, z[width])
        target = into.add(z[place], mul(into, exp(into, log_width), into.var(*MOVED)))
        (moved,) = rebuilt(graph, (rest,), into, {("z", 0): z[0], ("z", 1): z[1], TARGET: target})
        left = into.sub(moved, log_width)
        if into.reads[left] <= {MOVED}:
            alone = Graph()
            (rho,) = rebuilt(into, (left,), alone, {MOVED: alone.var(*V)})
            return Located(support, alone, rho, Fraction(0), graph, value, own, (place, width, share))
    return None


def _factor(graph: Graph, one: Id, variable: Id) -> Fraction:
    """Of a variable in a sum."""
    node = graph.nodes[one]
    if node.op != "lin" or variable not in node.args:
        return Fraction(0) if one != variable else Fraction(1)
    return node.numbers[1 + node.args.index(variable)]


def prove_located(found: Located, claim: Claim, budget: int) -> Certified:
    """The integral is one number, and h of the audit that which belongs to it."""
    graph, scale = found.graph, as_node(found.graph, claim.scale)
    node = graph.nodes[found.rho]
    level = node.numbers[0] if node.op == "lin" else Fraction(0)
    exponent = mul(graph, inv(graph, scale), graph.sub(found.rho, graph.const(level)))
    try:
        whole = _turn(graph, exponent, budget) if claim.turns else over_the_line(graph, exponent, budget)
    except (VagueError, OutsideError):
        return undecided("the integral over the residual was not enclosed")
    if whole is None:
        return undecided("the loss is no function of an angle by its form")
    off = _apart(found, claim, whole.value, level)
    if off is not None:
        return undecided(f"the integral is proved to be one number, but {off}", whole.boxes)
    with digits(2 * BITS, 1):
        tau = Evaluation(graph, arb(0), {}, 1)[scale][0]
    paper = ({**integral(whole), "of": found.written(tau, level)},)
    return proved(
        "an integral", tolerance=_relative(whole.value), total=bounds(whole.value), boxes=whole.boxes, paper=paper
    )


def refute_located(found: Located) -> Certified | None:
    """That ∫ exp(−loss) is infinite."""
    side = grows(found.graph, found.rho)
    if side is None:
        return None
    from_ = f"from a residual of e^{side.start} on it falls no faster than 1/residual"
    because = f"∫ exp(−loss) is infinite at every raw output: {from_}"
    return refuted(because, ({**endless(side), "of": found.written(arb(1), Fraction(0))},), "an integral")


def _turn(graph: Graph, exponent: Id, budget: int) -> Integral | None:
    """Over one turn, −π to π; None where the function is not of an angle by its form."""
    if not _periodic(graph, exponent):
        return None
    half = fmpq(PI_DIGITS, 10**30)
    value, pieces = between(graph, exponent, -half, half, budget)
    with digits(BITS, 2):  # the rest of the turn, 2^−99 wide, where the density is at most that of the turn's largest
        largest = (-Spans(graph, {V: Span(arb(-4), arb(4))}, V)[exponent][0].ball).exp().upper()
        value = value + arb(0).union(largest * arb(2) ** (2 - TURN_BITS))
    return Integral(value, ((graph, exponent, pieces),))


def _periodic(graph: Graph, one: Id) -> bool:
    """Whether the variable stands in sines and cosines of whole multiples of it alone."""
    node = graph.nodes[one]
    if V not in graph.reads[one]:
        return True
    if node.op in ("sin", "cos") and _turns(graph, node.args[0], 1):
        return True
    if node.op == "square" and graph.nodes[node.args[0]].op in (
        "sin",
        "cos",
    ):  # of which half a turn changes the sign alone
        return _turns(graph, graph.nodes[node.args[0]].args[0], 2)
    return node.op != "var" and all(_periodic(graph, other) for other in node.args)


def _turns(graph: Graph, one: Id, share: int) -> bool:
    """Whether a node is a whole multiple of the variable over `share`, and a number."""
    node = graph.nodes[one]
    if node.op == "var":
        return True
    inner = [graph.nodes[other].op == "var" for other in node.args]
    return node.op == "lin" and inner == [True] and (share * node.numbers[1]).denominator == 1


def _apart(found: Located, claim: Claim, total: arb, level: Fraction) -> str | None:
    """What the audit's h(y) is off, if more than rounding, at the targets that it tells."""
    for target, log_h in claim.log_base.items():
        with digits(BITS, 2):
            u, slope = _coordinate(found.support, target)
            own = at_number(found.source, found.own, target)
            drift = u * arb(fmpq(found.drift.numerator, found.drift.denominator))
            own = own + arb(fmpq(level.numerator, level.denominator))
            wanted = (own + drift) / claim.scale + slope - total.log()
            if not abs(wanted - log_h) <= AGREES * max(1.0, abs(log_h)):
                return f"log h({target:g}) is {_shown(wanted)} then, not {log_h:.9g}"
    return None


def _coordinate(support: str, target: float) -> tuple[arb, arb]:
    """(u, log du/dy) at a target."""
    y = arb(fmpq(*float(target).as_integer_ratio()))
    if support == LINE:
        return y, arb(0)
    if support == HALF_LINE:
        return y.log(), -y.log()
    return y.log() - (1 - y).log(), -y.log() - (1 - y).log()


def at_number(graph: Graph, one: Id, target: float) -> arb:
    """A node of the target alone, at one."""
    into = Graph()
    (found,) = rebuilt(graph, (one,), into, {TARGET: into.const(Fraction(target))})
    value: arb = Evaluation(into, arb(0), {}, 1)[found][0]
    return value


def bounds(value: arb) -> Interval:
    """Floats below and above a ball."""
    return math.nextafter(float(value.lower()), -math.inf), math.nextafter(float(value.upper()), math.inf)


def _relative(value: arb) -> float:
    """What a ball leaves open of itself."""
    return float((value.rad() / abs(value).lower()).upper())


def _shown(value: arb) -> str:
    return f"{float(value.mid()):.9g}".replace("-", "−")
