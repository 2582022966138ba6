"""From two losses to problems of one variable: one a target, or one for all of them where the form of the losses allows it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flint import arb, fmpq

from mlnn.proving.balls import Evaluation, digits
from mlnn.proving.boxes import VALUE, Question
from mlnn.proving.constants import simple
from mlnn.proving.graph import Graph, Id
from mlnn.proving.inner import Inner
from mlnn.proving.rows import Side, Target
from mlnn.proving.rules import OutsideError, VagueError
from mlnn.proving.structure import at_target, lost_in, numbers_of, of_residual, parted, polynomial
from mlnn.proving.thin import Labels, have_values
from mlnn.targets import TargetSpace
from mlnn.targets.facts import UNIT_INTERVAL

LARGEST_TARGET = 1000
"""Targets of an endless space up to which a polynomial in the target is held within the tolerance."""
OWN_BITS = 192
RAW, RESIDUAL = "raw output", "raw output − target"
INNER = "one number of raw output and target"
AT_KINKS = "where a kink is met exactly, the two sides may take other slopes, or none"
GRADIENT, LEFT, RIGHT = "gradient", "left's gradient", "right's gradient"


@dataclass(frozen=True)
class Case:
    """Questions about functions of one variable. `target`: in words. `stricter`: what the tolerance is divided by.
    `power`: of the target, of which the functions are coefficients. `domain`: of the variable, where that is no raw output."""

    target: str
    graph: Graph
    questions: tuple[Question, ...]
    variable: str = RAW
    stricter: int = 1
    power: int | None = None
    domain: tuple[fmpq, fmpq] | None = None


@dataclass(frozen=True)
class Cases:
    """`covers`: the targets that are spoken of, in words; `whole`: whether those are all of the space. `own`: where the cases
    are coefficients, some targets with the terms of the target alone, left's and right's; `inner`: what those are functions of,
    if that is no raw output. `note`: what else was found. `factor` and `form`: of a relation that holds by the form, where the
    cases themselves can only refute. `beside`: whether they can only refute what another way left undecided."""

    cases: tuple[Case, ...]
    covers: str
    whole: bool
    own: tuple[tuple[float, fmpq, fmpq], ...] = ()
    note: str | None = None
    factor: fmpq | None = None
    form: "Cases | None" = None
    beside: bool = False
    inner: Inner | None = None


def questions_of(roots: Sequence[Id]) -> tuple[Question, ...]:
    """The four questions about (left's value, left's gradient, right's value, right's gradient)."""
    left, left_gradient, right, right_gradient = roots
    return (
        Question(VALUE, left, right),
        Question(GRADIENT, left_gradient, right_gradient),
        Question(LEFT, left_gradient, left, slope=True),
        Question(RIGHT, right_gradient, right, slope=True),
    )


def ways_of(graph: Graph, found: Mapping[Target, tuple[Side, Side]], space: TargetSpace) -> list[Cases]:
    """Ways to the answer for losses of one raw output, the one that covers most first."""
    ways = [way for way in (_by_residual(graph, found, space), _by_degree(graph, found, space)) if way is not None]
    return [*ways, _listed(graph, found, space)]


def roots_of(sides: tuple[Side, Side]) -> tuple[Id, Id, Id, Id]:
    """(left's value, left's gradient, right's value, right's gradient)."""
    return sides[0].value, sides[0].gradient[0], sides[1].value, sides[1].gradient[0]


def alike(found: Mapping[Target, tuple[Side, Side]]) -> tuple[Side, Side] | None:
    """The two sides, where they are the same graph for every target."""
    first = next(iter(found.values()))
    read = any(side.target is not None for side in first)
    return None if read or any(one != first for one in found.values()) else first


def _by_residual(graph: Graph, found: Mapping[Target, tuple[Side, Side]], space: TargetSpace) -> Cases | None:
    sides = alike(found)
    if sides is None or not space.whole_line:
        return None
    moved = of_residual(graph, roots_of(sides))
    if moved is None:
        return None
    case = Case("every target", moved[0], questions_of(moved[1]), RESIDUAL)
    return Cases((case,), "every target, by the residual", True)


def _by_degree(graph: Graph, found: Mapping[Target, tuple[Side, Side]], space: TargetSpace) -> Cases | None:
    """Polynomials in the target, apart from terms of the target alone, are equal where their coefficients are."""
    sides = alike(found)
    if sides is None or space.finite:
        return None
    value, gradient, other, other_gradient = roots_of(sides)
    whole = void_alike(graph, sides, space)
    (value, own), (other, others) = parted(graph, value), parted(graph, other)
    rows = [polynomial(graph, one) for one in (value, gradient, other, other_gradient)]
    if any(row is None for row in rows):
        return None
    most = max(len(row) for row in rows if row is not None)
    columns = list(zip(*(padded(graph, row, most) for row in rows if row is not None), strict=True))
    largest = 1 if space.facts.support == UNIT_INTERVAL else LARGEST_TARGET
    cases = tuple(
        Case(named_term(power), graph, questions_of(column), RAW, most * largest**power, power)
        for power, column in enumerate(columns)
    )
    upto = "every target" if largest == 1 else f"every target up to {'±' if space.whole_line else ''}{LARGEST_TARGET}"
    try:
        listed = tuple((numbers_of(target)[0], _at(graph, own, target), _at(graph, others, target)) for target in found)
    except (OutsideError, VagueError):  # one that has no value at a target is looked at there
        return None
    alike_here = all(left == right for _, left, right in listed)
    if alike_here and not (own == others and whole):  # alike where it was looked at, and no further
        return Cases(cases, _those(found), False, listed)
    return Cases(cases, upto, True, listed)


def void_alike(graph: Graph, sides: tuple[Side, Side], space: TargetSpace) -> bool:
    """Whether two sides are both without a value, or both with one, where what is 0 times a function of the target has none."""
    left, right = (lost_in(graph, side.value) for side in sides)
    return have_values(graph, sorted(left ^ right), Labels.of(space.facts))


def _those(found: Mapping[Target, tuple[Side, Side]]) -> str:
    return "the targets " + ", ".join(f"{numbers_of(target)[0]:g}" for target in found)


def padded(graph: Graph, row: list[Id], length: int) -> list[Id]:
    """Coefficients, with zeros up to a length."""
    return row + [graph.zero] * (length - len(row))


def named_term(power: int, letter: str = "y") -> str:
    """The coefficient of a power, in words."""
    return f"what is {'free of' if not power else 'times'} {letter}" + (f"^{power}" if power > 1 else "")


def _at(graph: Graph, one: Id, target: Target) -> fmpq:
    """A node of the target alone, at one."""
    into, (found,) = at_target(graph, [one], target)
    with digits(OWN_BITS, 1):
        return simple(Evaluation(into, arb(0), {}, 1)[found][0])


def _listed(graph: Graph, found: Mapping[Target, tuple[Side, Side]], space: TargetSpace) -> Cases:
    cases = tuple(_case(graph, roots_of(sides), target) for target, sides in found.items())
    if not space.finite:
        return Cases(cases, _those(found), False)
    sides = alike(found)
    lines = [] if sides is None else [polynomial(graph, one) for one in roots_of(sides)]
    soft = bool(lines) and all(line is not None and len(line) <= 2 for line in lines)
    both = "both targets" if len(cases) == 2 else f"all {len(cases)} targets"
    return Cases(cases, both + (", and every soft label between" if soft else ""), True)


def _case(graph: Graph, roots: Sequence[Id], target: Target) -> Case:
    into, found = at_target(graph, roots, target)
    return Case(f"y = {numbers_of(target)[0]:g}", into, questions_of(found), RAW)
