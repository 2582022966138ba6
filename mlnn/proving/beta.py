"""Densities on [0, 1] that are y^(a−1) (1 − y)^(b−1) by their form: Euler's integral says what they have to be divided by."""

from collections.abc import Sequence
from fractions import Fraction

from flint import arb

from mlnn.proving.algebra import log, mul
from mlnn.proving.balls import Evaluation, digits
from mlnn.proving.boxes import BITS
from mlnn.proving.certified import Certified, Claim, proved, undecided
from mlnn.proving.graph import Graph, Id
from mlnn.proving.located import AGREES
from mlnn.proving.pairs import paired
from mlnn.proving.rebuilding import remade
from mlnn.proving.sketch import identity
from mlnn.proving.structure import TARGET


def prove_beta(graph: Graph, value: Id, claim: Claim) -> Certified | None:
    """A(f) − (a − 1) log y − (b − 1) log(1 − y) with A = log Γ(a) + log Γ(b) − log Γ(a + b) and a number; None for other losses."""
    y = graph.var(*TARGET)
    logs = (log(graph, y), log(graph, graph.linear([(Fraction(-1), y)], 1)))
    level, *moved = (_with(graph, value, logs, found) for found in ((0, 0), (1, 0), (0, 1)))
    slopes = [_plain(graph, graph.sub(one, level)) for one in moved]
    form = graph.linear(
        [(Fraction(1), level), *((Fraction(1), mul(graph, *pair)) for pair in zip(slopes, logs, strict=True))]
    )
    if claim.scale != 1 or value != form or any(TARGET in graph.reads[one] for one in (level, *slopes)):
        return None
    a, b = (graph.linear([(Fraction(-1), one)], 1) for one in slopes)
    gammas = [graph.make("lgamma", (one,)) for one in (a, b, paired(graph, graph.add(a, b)))]
    euler = graph.linear(zip((Fraction(1), Fraction(1), Fraction(-1)), gammas, strict=True))
    left_over = _plain(graph, graph.sub(level, euler))
    if graph.reads[left_over]:
        return None
    with digits(2 * BITS, 1):
        shift = Evaluation(graph, arb(0), {}, 1)[left_over][0]
        for target, log_h in claim.log_base.items():
            if not abs(shift - arb(log_h)) <= AGREES:
                return undecided(f"log h({target:g}) is {float(shift.mid()):.9g} for a beta density, not {log_h:.9g}")
    paper = (
        identity(graph, value, graph.linear([(Fraction(1), form)]), "inside 0 and 1"),
        identity(graph, level, graph.add(euler, left_over)),
    )
    return proved("Euler's integral", paper=paper)


def _plain(graph: Graph, one: Id) -> Id:
    """A sum without the terms that are 0 wherever A has a value."""
    node = graph.nodes[one]
    if node.op != "lin":
        return graph.zero if node.op == "null" else one
    constant, *factors = node.numbers
    kept = [term for term in zip(factors, node.args, strict=True) if graph.nodes[term[1]].op != "null"]
    return graph.linear(kept, constant)


def _with(graph: Graph, root: Id, logs: Sequence[Id], values: Sequence[int]) -> Id:
    """A node with numbers in place of log y and log(1 − y)."""

    def told(one: Id, _args: tuple[Id, ...]) -> Id | None:
        return graph.const(values[logs.index(one)]) if one in logs else None

    return remade(graph, [root], graph, told)[0]
