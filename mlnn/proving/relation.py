"""Where two losses are not equal: whether they differ by a number for each target, or by a factor."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from flint import arb, fmpq

from mlnn.proving.balls import Evaluation, UnsureError, digits
from mlnn.proving.boxes import BITS, EQUAL, PER_UNIT, TERMS, VALUE, Question, difference
from mlnn.proving.cases import GRADIENT, Case, Cases
from mlnn.proving.constants import simple
from mlnn.proving.graph import Graph
from mlnn.proving.paving import Tile, paved
from mlnn.proving.places import POINT
from mlnn.proving.rules import OutsideError, VagueError
from mlnn.proving.settled import settled

GLANCES = (fmpq(37, 100), fmpq(-61, 100), fmpq(1, 8), fmpq(-1, 9), fmpq(83, 100))
"""Places, as shares of the way from the middle of the domain to its ends, at which a relation is tried before it is proved."""
EXTRA_BITS = 256


@dataclass(frozen=True)
class Related:
    """`name`: "shifted" or "scaled". `shift`: by target; `factor`: left's over right's. `boxes`: looked at."""

    name: str
    shift: tuple[tuple[str, fmpq], ...]
    factor: fmpq
    boxes: int


def related(
    cases: Sequence[Case], domain: tuple[fmpq, fmpq], tolerance: fmpq, budget: int, same_gradient: bool
) -> Related | None:
    """The relation that is proved for all cases; None where none is."""
    cases = [case for case in cases if any(one.name == VALUE for one in case.questions)]  # not those of slopes alone
    factor = fmpq(1) if same_gradient else factor_of(cases, domain)
    if factor is None or factor == 0:
        return None
    shifts, boxes = [], 0
    for case in cases:
        mine, moved = case.domain or domain, _not_against(case, domain, factor, tolerance)
        if moved is None:
            return None
        asked, _ = settled(moved[0], mine)
        looked = paved(
            asked.graph, [one for one in asked.questions if not one.trivial], mine, tolerance / case.stricter, budget
        )
        boxes += looked.looks
        if not all(_holds(tile, name) for name, tiles in looked.tiles.items() for tile in tiles):
            return None
        shifts.append((case.target, moved[1]))
    name = "shifted" if factor == 1 else "scaled"
    return Related(name, tuple(shifts), factor, boxes)


def refuted(cases: Sequence[Case], domain: tuple[fmpq, fmpq], tolerance: fmpq) -> bool:
    """Whether a few places speak against equal values, and against every relation between these cases."""
    if not any(_differs(case, case.domain or domain, tolerance / case.stricter) for case in cases):
        return False
    factors = (fmpq(1), factor_of(cases, domain))
    return not any(
        all(_not_against(case, domain, factor, tolerance) is not None for case in cases)
        for factor in factors
        if factor is not None
    )


def by_form(form: Cases, factor: fmpq, tolerance: fmpq) -> Related | None:
    """What cases of numbers say: right times a factor, plus a number for each target. None where gradients are apart."""
    shifts = []
    for case in form.cases:
        with digits(BITS + EXTRA_BITS, 1):
            asked = Evaluation(case.graph, arb(0), {}, 1)
            apart = {one.name: asked[one.plus][0] for one in case.questions}
            if not abs(apart[GRADIENT]) <= arb(tolerance):
                return None
            shifts.append((case.target, simple(apart[VALUE])))
    return Related("scaled", tuple(shifts), factor, 0)


def _holds(tile: Tile, name: str) -> bool:
    """Whether a relation holds on a tile; a gradient may be wrong at a point."""
    return tile.answer == EQUAL or (tile.answer == POINT and name == GRADIENT)


def by_target(way: Cases, found: Related) -> Related:
    """A relation of coefficients as one at targets."""
    if not way.own:
        return found
    terms = [shift for _, shift in found.shift]
    shifts = []
    for target, left, right in way.own:
        y = fmpq(*target.as_integer_ratio())
        weight = y if way.inner is None else way.inner.weight(y)
        total = sum((shift * weight**power for power, shift in enumerate(terms)), left - found.factor * right)
        shifts.append((f"y = {target:g}", total))
    return replace(found, shift=tuple(shifts))


def _places(domain: tuple[fmpq, fmpq]) -> list[fmpq]:
    middle, half = (domain[0] + domain[1]) / 2, (domain[1] - domain[0]) / 2
    return [middle + share * half for share in GLANCES]


def _series(graph: Graph, node: int, place: fmpq) -> list[arb] | None:
    """Value and slope of a node at a place; None where it has none."""
    try:
        found = Evaluation(graph, arb(place), {}, 2)[node]
    except (UnsureError, VagueError, OutsideError):
        return None
    return [found[0], found[1]]


def _bits(domain: tuple[fmpq, fmpq]) -> int:
    return BITS + EXTRA_BITS + int(PER_UNIT * float(max(abs(arb(end)) for end in domain).mid()))


def factor_of(cases: Sequence[Case], domain: tuple[fmpq, fmpq]) -> fmpq | None:
    """Left's slope over right's, at the first place where right's is not 0."""
    with digits(_bits(domain), TERMS):
        for case in cases:
            value = next(one for one in case.questions if one.name == VALUE)
            for place in _places(domain):
                left, right = (_series(case.graph, node, place) for node in (value.plus, value.minus))
                if left and right and abs(right[1]) > arb(1e-12):
                    return simple(left[1] / right[1])
    return None


def _moved(case: Case, domain: tuple[fmpq, fmpq], factor: fmpq) -> tuple[Case, fmpq] | None:
    """The case with right times a factor plus what is missing then at one place, and that number."""
    graph, scale = case.graph, Fraction(int(factor.p), int(factor.q))
    asked = {one.name: one for one in case.questions}
    value, gradient = asked[VALUE], asked[GRADIENT]
    scaled = graph.scale(scale, value.minus)
    with digits(_bits(domain), TERMS):
        ends = [_series(graph, node, _places(domain)[0]) for node in (value.plus, scaled)]
        if ends[0] is None or ends[1] is None:
            return None
        shift = simple(ends[0][0] - ends[1][0])
    minus = graph.linear([(Fraction(1), scaled)], Fraction(int(shift.p), int(shift.q)))
    questions = (
        Question(VALUE, value.plus, minus),
        Question(GRADIENT, gradient.plus, graph.scale(scale, gradient.minus)),
    )
    return replace(case, questions=tuple(one for one in questions if not one.trivial)), shift


def glanced(cases: Sequence[Case], domain: tuple[fmpq, fmpq], tolerance: fmpq) -> bool:
    """Whether values or gradients certainly differ at one of a few places."""
    return any(_differs(case, case.domain or domain, tolerance, name) for case in cases for name in (VALUE, GRADIENT))


def _differs(case: Case, domain: tuple[fmpq, fmpq], tolerance: fmpq, name: str = VALUE) -> bool:
    """Whether a question certainly has an answer that is not 0 at one of a few places."""
    asked = next(one for one in case.questions if one.name == name)
    with digits(_bits(domain), TERMS):
        for place in _places(domain):
            try:
                found = difference(Evaluation(case.graph, arb(place), {}, 2), asked)
            except (UnsureError, VagueError):
                continue
            if not isinstance(found, str) and abs(found[0]) > arb(tolerance):
                return True
    return False


def _not_against(case: Case, domain: tuple[fmpq, fmpq], factor: fmpq, tolerance: fmpq) -> tuple[Case, fmpq] | None:
    """The case moved by a relation, and its shift; None where a few places speak against it."""
    mine = case.domain or domain
    moved = _moved(case, mine, factor)
    return moved if moved is not None and _tried(moved[0], mine, tolerance / case.stricter) else None


def _tried(case: Case, domain: tuple[fmpq, fmpq], tolerance: fmpq) -> bool:
    """Whether nothing speaks against a relation at a few places."""
    with digits(_bits(domain), TERMS):
        for place in _places(domain):
            for one in case.questions:
                try:
                    found = difference(Evaluation(case.graph, arb(place), {}, 2), one)
                except (UnsureError, VagueError):
                    continue
                if isinstance(found, str) or abs(found[0]) > arb(tolerance):
                    return False
    return True
