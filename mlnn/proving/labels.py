"""Finitely many targets: Σ exp(−loss/τ)·h(y) as one node, proved to be 1 by its form or box by box."""

from collections.abc import Mapping, Sequence
from fractions import Fraction

from flint import fmpq

from mlnn.proving.algebra import exp, inv, mul
from mlnn.proving.answers import Part, part_of
from mlnn.proving.boxes import VALUE, Question
from mlnn.proving.branches import by_branch
from mlnn.proving.cases import RAW, Case
from mlnn.proving.certified import Certified, Claim, proved, undecided
from mlnn.proving.graph import Graph, Id
from mlnn.proving.meant import as_node
from mlnn.proving.pairs import paired
from mlnn.proving.paper import on_paper
from mlnn.proving.paving import paved
from mlnn.proving.rebuilding import rebuilt
from mlnn.proving.rows import Side, Target
from mlnn.proving.sketch import identity
from mlnn.proving.structure import TARGET, numbers_of

TOLERANCES = (1e-15, 1e-9)
"""To which the sum is proved to be 1: the strict one; and one for τ and h that are known as floats alone, or an epsilon of the
code, as near as an audit asks of a likelihood."""


def losses_in(graph: Graph, sides: Mapping[Target, Side]) -> tuple[Graph, list[Id]]:
    """The loss at each target, as nodes of one graph of the raw outputs."""
    into = Graph()
    found = [
        rebuilt(graph, (side.value,), into, {TARGET: into.const(numbers_of(target)[0])})[0]
        for target, side in sides.items()
    ]
    return into, found


def summed(graph: Graph, losses: Sequence[Id], claim: Claim) -> Id:
    """Σ exp(−loss/τ)·h(y), each state of the losses' switches by itself, factors that all terms share taken out."""
    rate = inv(graph, as_node(graph, claim.scale))
    exponents = []
    for loss, log_h in zip(losses, claim.log_base.values(), strict=True):
        exponents.append(graph.sub(as_node(graph, log_h), mul(graph, rate, loss)))
    return by_branch(graph, exponents, lambda found: _shared(graph, [exp(graph, one) for one in found]))


def _shared(graph: Graph, terms: Sequence[Id]) -> Id:
    """Σ terms, as a common factor times the rest where there is one: Σ e^u/S is S/S, which is 1."""
    rows = [_factors(graph, one) for one in terms]
    common = next((one for one in rows[0] if all(one in row for row in rows)), None)
    if common is None:
        return paired(graph, graph.linear([(Fraction(1), one) for one in terms]))
    rest = [_without(graph, row, common) for row in rows]
    total = graph.linear([(Fraction(1), one) for one in rest])
    return _quotient(graph, common, total) or mul(graph, common, total)


def _quotient(graph: Graph, common: Id, total: Id) -> Id | None:
    """total/S as a number, where 1/S is the common factor and S a multiple of the total."""
    node = graph.nodes[common]
    if node.op != "inv":
        return None
    over, under = (graph.nodes[one] for one in (total, node.args[0]))
    if over.op != "lin" or under.op != "lin" or over.args != under.args or not over.args:
        return None
    factor = over.numbers[1] / under.numbers[1]
    same = all(one == factor * other for one, other in zip(over.numbers, under.numbers, strict=True))
    return graph.const(factor) if same else None


def _factors(graph: Graph, one: Id) -> list[Id]:
    node = graph.nodes[one]
    return list(node.args) if node.op == "mul" else [one]


def _without(graph: Graph, factors: Sequence[Id], left_out: Id) -> Id:
    found = graph.one
    for one in factors:
        found = found if one == left_out else mul(graph, found, one)
    return found


def prove_sum(graph: Graph, losses: Sequence[Id], claim: Claim, asked: tuple[fmpq, fmpq], budget: int) -> Certified:
    """The sum is 1 by its form at every raw output; else, with one raw output, box by box around the place of the claim."""
    total = summed(graph, losses, claim)
    if graph.number(total) == 1:
        return proved("the form", paper=(identity(graph, _plainly(graph, losses, claim), graph.one),))
    several = {name for name in graph.reads[total] if name[0] == "z"}
    if len(several) > 1:
        return undecided(f"the sum over the targets is not 1 by its form, and hangs on {len(several)} raw outputs")
    looks = 0
    for tolerance in TOLERANCES:
        found, part = _by_boxes(graph, total, asked, tolerance, budget)
        looks += part.boxes
        domain = next((one for one in part.equal if one[0] <= claim.around <= one[1]), None)
        if domain is not None and domain[0] < domain[1]:
            where, size = part.differs, part.size
            found = (identity(graph, _plainly(graph, losses, claim), total), *found)
            return proved("the sum, box by box", domain, tolerance, where=where, size=size, boxes=looks, paper=found)
    if any(low <= claim.around <= high for low, high in part.undecided):
        return undecided(f"the sum over the targets near raw output {claim.around:g} after {looks} boxes", looks)
    most = f", by up to {part.size[0]:.3g}" if part.size else ""
    return undecided(f"the sum over the targets is not 1 near raw output {claim.around:g}{most}", looks)


def _plainly(graph: Graph, losses: Sequence[Id], claim: Claim) -> Id:
    """The sum as it is written, for whoever checks it without its form."""
    rate, nodes = inv(graph, as_node(graph, claim.scale)), list[tuple[Fraction, Id]]()
    for loss, log_h in zip(losses, claim.log_base.values(), strict=True):
        exponent = graph.sub(as_node(graph, log_h), mul(graph, rate, loss))
        nodes.append((Fraction(1), graph.make("exp", (exponent,))))
    return graph.linear(nodes)


def _by_boxes(
    graph: Graph, total: Id, asked: tuple[fmpq, fmpq], tolerance: float, budget: int
) -> tuple[tuple[dict[str, object], ...], Part]:
    question, close = Question(VALUE, total, graph.one), fmpq(*tolerance.as_integer_ratio())
    looked = paved(graph, [question], asked, close, budget)
    case = Case("Σ over the targets", graph, (question,), RAW)
    paper = on_paper(case, [question], looked.tiles, asked, close)
    return (paper,), part_of(graph, question, looked.tiles[VALUE], case.target, RAW)
