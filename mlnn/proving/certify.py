"""Whether exp(−loss/τ)·h(y) adds up to 1 over the targets on a whole interval of raw outputs: proved, refuted, or undecided."""

from flint import fmpq

from mlnn.objectives import Objective
from mlnn.proving.beta import prove_beta
from mlnn.proving.certified import Certified, Claim, undecided
from mlnn.proving.closed import exponentials, prove_closed
from mlnn.proving.graph import Graph
from mlnn.proving.labels import losses_in, prove_sum
from mlnn.proving.located import located, prove_located, refute_located, with_width
from mlnn.proving.oneway import one_way
from mlnn.proving.rows import Side, Target
from mlnn.proving.sides import looked_at, sides_of
from mlnn.proving.temperatures import refute
from mlnn.proving.tracing import UntracedError

DOMAIN = (-88, 88)
"""Raw outputs that are asked about where a form does not tell of all."""
MOST_BOXES = 3000


def certify(objective: Objective, claim: Claim, budget: int = MOST_BOXES) -> Certified:
    """The answer for a claim about one loss. Nothing is raised for a loss that is no graph: that is undecided, with the reason."""
    space = objective.targets
    graph = Graph(space.facts.support)
    if space.event:
        return undecided(f"targets '{space}' are several numbers, of which no certificate is proved")
    try:
        sides, _ = sides_of(objective, looked_at(space), graph)
        if space.finite:
            into, losses = losses_in(graph, sides)
            asked = fmpq(DOMAIN[0]), fmpq(DOMAIN[1])
            found = prove_sum(into, losses, claim, asked, budget) if claim.likely else refute(into, losses)
            return found or undecided("no two raw outputs were found that ask for different temperatures")
        return _numbers(objective, graph, sides, claim, budget)
    except UntracedError as reason:
        return undecided(str(reason))


def _numbers(objective: Objective, graph: Graph, sides: dict[Target, Side], claim: Claim, budget: int) -> Certified:
    """Of counts and densities, by the form of the loss in the target."""
    first, support = next(iter(sides.values())), objective.targets.facts.support
    if any(side != first or side.target is not None for side in sides.values()):
        return undecided("the loss reads the target's number in Python, or is another graph at each target")
    if objective.targets.outputs > 1:
        wide = with_width(graph, first.value, support) if claim.likely and claim.scale == 1 else None
        if wide is not None and objective.targets.outputs == len(wide.width or ()) - 1:
            return prove_located(wide, claim, budget)
        return undecided(
            f"a density of {objective.targets.outputs} raw outputs, by its form of no place and log width alone"
        )
    place = located(graph, first.value, support)
    if not claim.likely:
        if claim.infinite:
            found = refute_located(place) if place else None
            return found or undecided("the integral is not shown to be infinite")
        way = one_way(graph, first.value, support) or _closed(graph, first, claim, support, budget)
        if way is not None and way.answer == "refuted":
            return way
        return undecided("the form of the loss in the target does not tell")
    if place is not None:
        return prove_located(place, claim, budget)
    closed = _closed(graph, first, claim, support, budget) or prove_beta(graph, first.value, claim)
    return closed or undecided("the loss is no function of a residual and no exponential family by its form")


def _closed(graph: Graph, side: Side, claim: Claim, support: str, budget: int) -> Certified | None:
    asked = fmpq(DOMAIN[0]), fmpq(DOMAIN[1])
    for one in exponentials(graph, side.value, claim):
        found = prove_closed(one, claim, support, asked, budget)
        if found is not None:
            return found
    return None
