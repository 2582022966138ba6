"""A raw output from which every target's loss falls the same way: then Σ exp(−loss/τ) h(y) is not one number for any τ and h."""

from flint import arb, fmpq

from mlnn.proving.balls import digits
from mlnn.proving.boxes import BITS
from mlnn.proving.certified import Certified, refuted, shown
from mlnn.proving.graph import Graph, Id
from mlnn.proving.rules import OutsideError, VagueError
from mlnn.proving.sketch import nodes_of
from mlnn.proving.span import Span
from mlnn.proving.spans import MORE, Spans
from mlnn.proving.structure import TARGET
from mlnn.targets.facts import COUNTS, HALF_LINE, UNIT_INTERVAL

PLACES = (fmpq(-1), fmpq(3, 2), fmpq(-9, 2), fmpq(11, 2), fmpq(-250))
OUTPUT = ("z", 0)
RANGES = {COUNTS: (arb(0), MORE), HALF_LINE: (arb(0), MORE), UNIT_INTERVAL: (arb(0), arb(1))}


def one_way(graph: Graph, value: Id, support: str) -> Certified | None:
    """Such a raw output; None where none is found."""
    if support not in RANGES:
        return None
    targets = Span(*RANGES[support])
    for place in PLACES:
        with digits(BITS, 2):
            try:
                slope = Spans(graph, {OUTPUT: Span.of(arb(place)), TARGET: targets}, OUTPUT)[value][1]
            except (VagueError, OutsideError):
                continue
            if slope.sign in (-1, 1):
                way = "rises" if slope.sign == 1 else "falls"
                rows, at = nodes_of(graph, [value])
                paper: dict[str, object] = {
                    "kind": "one way",
                    "nodes": rows,
                    "loss": at[value],
                    "place": str(place),
                    "sign": slope.sign,
                    "support": support,
                }
                where = f"at raw output {shown(float(arb(place)))} the loss {way} for every target there is"
                return refuted(f"{where}, so Σ exp(−loss/τ)·h(y) is not one number", (paper,))
    return None
