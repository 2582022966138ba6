"""Two losses of one raw output and a label in [0, 1] that no form of both decides: on the rectangle of both, by boxes of it.

Inside the rectangle a label and 1 minus it are above 0, so that log(y·σ(z)) is a sum there, and x·log y has no case of its own; a
form that takes that, with y as σ of its log-odds, may still be one. Labels of 0 and of 1 are asked by themselves.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from fractions import Fraction

from flint import arb, fmpq

from mlnn.proving.agreement import Compared, agreed
from mlnn.proving.algebra import log
from mlnn.proving.answers import Part
from mlnn.proving.balls import digits
from mlnn.proving.boxes import BITS, VALUE, Question, float_of
from mlnn.proving.cases import GRADIENT, LEFT, RAW, RIGHT, Case, Cases, alike, questions_of, roots_of
from mlnn.proving.climb import highest
from mlnn.proving.derivative import derivative
from mlnn.proving.graph import ABOVE, BELOW, Graph, Id
from mlnn.proving.kinks import continued
from mlnn.proving.pairs import oriented, paired, spread
from mlnn.proving.patch import Patch
from mlnn.proving.paving import SLOPES
from mlnn.proving.plane import Plane, paved_plane
from mlnn.proving.quotients import LargeError
from mlnn.proving.rebuilding import rebuilt, remade
from mlnn.proving.rows import Side, Target
from mlnn.proving.rules import OutsideError, VagueError
from mlnn.proving.several import LINE
from mlnn.proving.sketch import Paper, nodes_of
from mlnn.proving.span import Span
from mlnn.proving.spans import Spans
from mlnn.proving.structure import OUTPUT, TARGET, at_target
from mlnn.targets import TargetSpace
from mlnn.targets.facts import UNIT_INTERVAL

COVERS = "every target, on the rectangle"
EDGES = (0.0, 1.0)
SHARE = 0.5
"""Of the budget of boxes, and of the work that it stands for, that the rectangle may take: a box of it is work for many."""
MOST_FORM = 60
"""Nodes of a difference that is asked by its form."""

Sides = Mapping[Target, tuple[Side, Side]]


@dataclass(frozen=True)
class Surface:
    """What the inside of the rectangle says. `lines`: of one label at which the two losses differ, in place of all else, at all raw
    outputs and at those around the place. `wrong`: of labels at which a side's own gradient is not the slope of its value. Without
    `paper` nothing is proved. `kinked`: whether gradients may part where kinks are met."""

    parts: tuple[Part, ...] = ()
    paper: Paper | None = None
    looks: int = 0
    kinked: bool = False
    lines: tuple[Cases, ...] = ()
    wrong: Cases | None = None


def on_surface(
    graph: Graph, sides: Sides, space: TargetSpace, ends: tuple[fmpq, fmpq], close: fmpq, budget: int, slopes: bool
) -> Surface | None:
    """Values and gradients on the whole rectangle, and each gradient against the derivative of its own side's value if `slopes`.
    None where that is not certain, or of other targets."""
    pair = alike(sides) if space.facts.support == UNIT_INTERVAL else None
    if pair is None:
        return None
    inside = Graph()
    asked, forms = _asked(inside, _inside(graph, pair, inside, ends)), set[str]()
    first = {name: asked[name] for name in (VALUE, GRADIENT)}
    proved, found = _decided(inside, first, ends, close, int(budget * SHARE), forms)
    if found.patch is not None:
        label = _label(inside, first, found.patch, ends, close)
        return Surface(looks=found.looks, lines=_lines(graph, pair, ends, found.patch, label))
    if len(proved) < len(first):
        return Surface(looks=found.looks)
    looks, labels = found.looks, dict[str, float]()
    others = {name: asked[name] for name in (LEFT, RIGHT) if slopes}
    for name, node in others.items():
        more, beside = _decided(inside, {name: node}, ends, close, int(budget * SHARE * SLOPES / 2), forms)
        proved, looks = proved | more, looks + beside.looks
        labels |= {} if beside.place is None else {name: float_of(beside.place[1])}
    told = tuple(_part(name, proved.get(name), ends) for name in (*first, *others) if name not in labels)
    paper = _on_paper(inside, asked, proved, forms, ends, close)
    return Surface(told, paper, looks, found.kinked, wrong=_wrong(graph, pair, labels))


def _inside(graph: Graph, pair: tuple[Side, Side], into: Graph, ends: tuple[fmpq, fmpq]) -> tuple[Id, Id, Id, Id]:
    """Both sides as they are inside the rectangle: without switches that have one state there, a logarithm of a product of numbers
    above 0 as a sum."""
    with digits(BITS, 2):
        places = {OUTPUT: Span(arb(ends[0]).lower(), arb(ends[1]).upper()), TARGET: Span(arb(0), arb(1))}
        spans = Spans(graph, places, OUTPUT)

        def chosen(one: Id, args: tuple[Id, ...]) -> Id | None:
            node = graph.nodes[one]
            if node.name is not None:
                return into.var(*node.name)
            state = _sign(graph, spans, node.args[0]) if node.op == "switch" else None
            if state is not None:
                return args[2 + state]
            if node.op == "switch":
                return continued(into, into.switch(*args))
            inner = graph.nodes[node.args[0]] if node.op == "log" else node
            if (
                node.op == "log"
                and inner.op == "mul"
                and all(_sign(graph, spans, each) == ABOVE for each in inner.args)
            ):
                logs = remade(graph, inner.args, into, chosen)
                return into.linear([(Fraction(1), log(into, each)) for each in logs])
            return None

        value, gradient, other, other_gradient = remade(graph, roots_of(pair), into, chosen)
        return value, gradient, other, other_gradient


def _sign(graph: Graph, spans: Spans, one: Id) -> int | None:
    """Of a node on the whole rectangle without labels of 0 and 1."""
    node = graph.nodes[one]
    if graph.positive[one] or node.name == TARGET:
        return ABOVE
    if node.op == "lin" and len(node.args) == 1 and graph.nodes[node.args[0]].name == TARGET:
        first, last = node.numbers[0], node.numbers[0] + node.numbers[1]
        return ABOVE if min(first, last) >= 0 else BELOW if max(first, last) <= 0 else None
    try:
        return spans[one][0].sign
    except (VagueError, OutsideError, KeyError):
        return None


def _asked(graph: Graph, roots: tuple[Id, Id, Id, Id]) -> dict[str, Id | None]:
    """The differences that are to be 0, by question; None of one that has no derivative here."""
    value, gradient, other, other_gradient = roots
    own, others = (derivative(graph, one, OUTPUT) for one in (value, other))
    return {
        VALUE: _apart(graph, value, other),
        GRADIENT: _apart(graph, gradient, other_gradient),
        LEFT: None if own is None else _apart(graph, gradient, own),
        RIGHT: None if others is None else _apart(graph, other_gradient, others),
    }


def _apart(graph: Graph, left: Id, right: Id) -> Id:
    """A difference, multiplied out, σ(−u) by σ(u) in it and softplus likewise; without what it has 0 times that has a value
    everywhere inside: y·log y."""
    found = spread(graph, paired(graph, oriented(graph, graph.sub(left, right))))
    node = graph.nodes[found]
    if node.op == "null":
        return graph.zero if _has_value(graph, node.args[0]) else found
    if node.op != "lin":
        return found
    constant, *factors = node.numbers
    kept = [
        (factor, one)
        for factor, one in zip(factors, node.args, strict=True)
        if graph.nodes[one].op != "null" or not _has_value(graph, graph.nodes[one].args[0])
    ]
    return graph.linear(kept, constant)


def _has_value(graph: Graph, one: Id) -> bool:
    into, (moved,) = _by_odds(graph, one)
    return into.total[moved]


def _by_odds(graph: Graph, one: Id) -> tuple[Graph, tuple[Id, ...]]:
    """A node with σ(w) for the label: above 0 and below 1 by its form."""
    into = Graph()
    return into, rebuilt(graph, (one,), into, {TARGET: into.make("sigmoid", (into.var(*TARGET),))})


def _decided(
    graph: Graph, asked: Mapping[str, Id | None], ends: tuple[fmpq, fmpq], close: fmpq, budget: int, forms: set[str]
) -> tuple[dict[str, list[Patch]], Plane]:
    """The boxes of what is 0 on the whole rectangle, and what else was found on boxes."""
    known = {name: node for name, node in asked.items() if node is not None}
    whole = Patch(*ends, fmpq(0), fmpq(1))
    proved = {name: [whole] for name, node in known.items() if _is_none(graph, node)}
    forms |= set(proved)
    left = {name: node for name, node in known.items() if name not in proved}
    if not left:
        return proved, Plane({})
    found = paved_plane(graph, left, ends, close, budget)
    boxes = {name: patches for name, patches in found.boxes.items() if name not in found.left and found.place is None}
    return proved | boxes, found


def _is_none(graph: Graph, node: Id) -> bool:
    """Whether a difference is 0 by its form at all raw outputs and all labels above 0 and below 1, no kink left out."""
    if node == graph.zero:
        return True
    if len(graph.needed([node])) > MOST_FORM:
        return False
    into, (moved,) = _by_odds(graph, node)
    try:
        found = agreed(into, [Compared(moved, into.zero)], Graph())
    except LargeError:
        return False
    return found is not None and found.whole and not found.kinks and found.apart == (0,)


def _part(name: str, boxes: list[Patch] | None, ends: tuple[fmpq, fmpq]) -> Part:
    here = ((float_of(ends[0]), float_of(ends[1])),)
    if boxes is None:
        return Part(name, "every target inside", "undecided", RAW, undecided=here)
    return Part(name, "every target inside", "proved", RAW, equal=here, boxes=len(boxes))


def edges_of(graph: Graph, sides: Sides, space: TargetSpace) -> Cases | None:
    """The problems at labels of 0 and 1, which have to be proved beside the inside; None of other targets."""
    pair = alike(sides) if space.facts.support == UNIT_INTERVAL else None
    if pair is None:
        return None
    cases = []
    for target in EDGES:
        into, found = at_target(graph, roots_of(pair), target)
        cases.append(Case(f"y = {target:g}", into, questions_of(found), RAW))
    return Cases(tuple(cases), COVERS, True)


def with_edges(sides: Sides, wrong: Cases | None) -> dict[Target, tuple[Side, Side]]:
    """Sides that are the same for every target, at those of the edges too, and at the labels of a wrong gradient."""
    pair = next(iter(sides.values()))
    labels = [] if wrong is None else [float(case.target.removeprefix("y = ")) for case in wrong.cases]
    return {**sides, **dict.fromkeys([*EDGES, *labels], pair)}


def _label(
    graph: Graph, asked: Mapping[str, Id | None], patch: Patch, ends: tuple[fmpq, fmpq], close: fmpq
) -> Fraction:
    """A label at which values differ, or gradients, the most nearby if it can be found."""
    for node in asked.values():
        place = None if node is None else highest(graph, node, patch, ends, arb(close))
        if place is not None:
            return Fraction(int(place[1].p), int(place[1].q))
    return Fraction(int(patch.probe[1].p), int(patch.probe[1].q))


def _lines(
    graph: Graph, pair: tuple[Side, Side], ends: tuple[fmpq, fmpq], patch: Patch, at: Fraction
) -> tuple[Cases, ...]:
    """Values and gradients at a label at which they differ: at all raw outputs, and at those of the box where that was met."""
    into, name = Graph(), f"y = {float(at):.12g}"
    value, gradient, other, other_gradient = rebuilt(graph, roots_of(pair), into, {TARGET: into.const(at)})
    questions = (Question(VALUE, value, other), Question(GRADIENT, gradient, other_gradient))
    cases = [
        Case(f"raw output t, {name}", into, questions, LINE, domain=domain)
        for domain in (ends, (patch.low, patch.high))
    ]
    return tuple(Cases((case,), name, False, beside=True) for case in cases)


def _wrong(graph: Graph, pair: tuple[Side, Side], labels: Mapping[str, float]) -> Cases | None:
    """Own gradients against slopes at labels at which they are apart, each at all raw outputs; at the labels as they are told."""
    cases = []
    for name, label in labels.items():
        told = f"y = {label:g}"
        into, found = at_target(graph, roots_of(pair), float(f"{label:g}"))
        cases.append(Case(told, into, tuple(one for one in questions_of(found) if one.name == name), RAW))
    return Cases(tuple(cases), COVERS, True) if cases else None


def _on_paper(
    graph: Graph,
    asked: Mapping[str, Id | None],
    proved: Mapping[str, list[Patch]],
    forms: Set[str],
    ends: tuple[fmpq, fmpq],
    close: fmpq,
) -> Paper:
    """The functions that are 0 on the rectangle as plain data, each with its boxes, or the one that its form needs."""
    roots = {name: node for name, node in asked.items() if node is not None and name in proved}
    rows, places = nodes_of(graph, [*roots.values()])
    return {
        "kind": "rectangle",
        "domain": [str(end) for end in ends],
        "tolerance": str(close),
        "nodes": rows,
        "asked": [
            {
                "name": name,
                "by": "form" if name in forms else "boxes",
                "node": places[roots[name]],
                "boxes": [[str(one) for one in (box.low, box.high, box.start, box.end)] for box in boxes],
            }
            for name, boxes in proved.items()
        ],
    }
