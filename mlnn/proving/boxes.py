"""What is certain of a few questions on one box of raw outputs, or where the box is to be split.

On an open box (low, high) every switch is in one state: it is certain from its ball, or what it looks at is strictly monotone there
and has one sign at both ends. Where it has two signs, its zero is found, exactly or to 2^−100, and split off.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from flint import arb, ctx, fmpq

from mlnn.proving.balls import Evaluation, States, UnsureError, ball, digits, sign
from mlnn.proving.graph import AT, Graph, Id
from mlnn.proving.rules import OutsideError, Series, VagueError

TERMS = 24
"""Coefficients of a Taylor model; measured as the quickest for Bernoulli forms (16 to 32 were tried)."""
ORDERS = (1, 2, 4, 8, 16, TERMS)
"""Of which the best bound is taken: far from a narrow bump low ones are, elsewhere high ones."""
BITS, PER_UNIT, MOST_BITS = 128, 1.5, 8192
"""Bits for raw outputs near 0, more for each unit away from it (log₂ e = 1.44 of them vanish in 1 − σ(z)), and the most tried."""
ROOT_BITS = 100
"""Relative width, in bits, to which a zero of what a switch looks at is enclosed where it is no rational number."""
SMALLEST = fmpq(1, 2**ROOT_BITS)
"""Of a zero nearer to 0 than this no digits are asked: halving would not come to an end."""

VALUE = "value"
"""The name of the question about values, which a single point decides; a gradient may be wrong at a point."""
EQUAL, DIFFERS, OPEN, VOID = "equal", "differs", "open", "void"
"""Of a question on a box: at most the tolerance everywhere, more than it everywhere, neither is certain, without a value on
both sides."""


@dataclass(frozen=True)
class Question:
    """Is plus − minus 0? Both are nodes; `slope`: minus is the derivative of the node that is named."""

    name: str
    plus: Id
    minus: Id
    slope: bool = False

    @property
    def trivial(self) -> bool:
        return self.plus == self.minus and not self.slope


@dataclass(frozen=True)
class Box:
    """The open interval between two raw outputs, exact; one of them where low = high."""

    low: fmpq
    high: fmpq

    @property
    def middle(self) -> fmpq:
        return (self.low + self.high) / 2

    @property
    def width(self) -> fmpq:
        return self.high - self.low

    @property
    def bits(self) -> int:
        """The precision that it is first looked at with."""
        return BITS + int(PER_UNIT * max(abs(float_of(self.low)), abs(float_of(self.high))))


@dataclass(frozen=True)
class Split:
    """Where a box falls apart: at a point, or around a narrow interval."""

    low: fmpq
    high: fmpq


@dataclass(frozen=True)
class Looked:
    """What is certain on a box. `answers`: by question. `states` of its switches. `ends`: where a switch is exactly zero.
    `sizes`: by question, where it is known, what the difference is at least somewhere on the box, and at most."""

    answers: dict[str, str]
    states: dict[Id, int]
    ends: list[fmpq]
    sizes: dict[str, tuple[float, float]]


def float_of(value: fmpq) -> float:
    """The nearest float, nearly."""
    return float(arb(value).mid())


class Looker:
    """Looks at boxes of one graph with one variable. `looks`: how many; `work`: see `Evaluation.cost`, times the digits."""

    def __init__(self, graph: Graph, tolerance: fmpq) -> None:
        self.graph, self.tolerance = graph, arb(tolerance)
        self.looks, self.work = 0, 0.0

    def look(self, box: Box, questions: Sequence[Question]) -> Looked | Split | None:
        """What is certain; where to split; None: halve it."""
        self.looks += 1
        bits, states, ends = box.bits, dict[Id, int](), list[fmpq]()
        while True:
            try:
                with digits(bits, TERMS + 2):
                    return self._looked(box, questions, states, ends)
            except VagueError:
                return None
            except UnsureError as unsure:
                with digits(bits, TERMS + 2):
                    found = self._resolved(box, unsure.looks_at, states)
                if not isinstance(found, tuple):
                    return found
                states[unsure.looks_at], more = found
                ends += more
            except _FewDigitsError:
                bits *= 2
                if bits > MOST_BITS:
                    return None

    def _looked(self, box: Box, questions: Sequence[Question], states: States, ends: list[fmpq]) -> Looked:
        wide, place = Evaluation(self.graph, ball(box.low, box.high), states, TERMS + 2), arb(box.middle)
        at, alone = (Evaluation(self.graph, place, wide.decided, terms) for terms in (TERMS + 2, 2))
        radius, answers, sizes = arb(box.width / 2), dict[str, str](), dict[str, tuple[float, float]]()
        try:
            found = {one.name: difference(wide, one) for one in questions}
            at.decided, alone.decided = dict(wide.decided), dict(wide.decided)
            for one in questions:
                series = found[one.name]
                if isinstance(series, str):
                    answers[one.name] = series
                elif self._hopeless(alone, one, series, radius):
                    answers[one.name] = OPEN
                else:
                    answers[one.name], sizes[one.name] = self._answer(at, one, series, radius)
        finally:
            self.work += (wide.cost + max(at.cost, alone.cost)) * ctx.prec / BITS
        return Looked(answers, wide.decided, ends, sizes)

    def _hopeless(self, alone: Evaluation, question: Question, wide: Series, radius: arb) -> bool:
        """Whether the value in the middle and the remainders leave a box open, whatever the other coefficients there are."""
        rests, power, done = list[arb](), arb(1), 0
        for order in ORDERS:
            power, done = power * radius ** (order - done), order
            rests.append((abs(wide[order]) * power).abs_upper())
        if min(rests) <= self.tolerance:
            return False
        centre = _centre(alone, question)
        least, value = min(*rests, abs(wide[0] - centre[0]).abs_upper()), abs(centre[0])
        fine = centre[0].rad() * 16 <= self.tolerance
        return bool(fine and least > self.tolerance and value - least <= self.tolerance)

    def _answer(self, at: Evaluation, question: Question, wide: Series, radius: arb) -> tuple[str, tuple[float, float]]:
        """What is certain, and what the size of the difference is at least, in the middle, and at most."""
        centre = _centre(at, question)
        value, spread = abs(centre[0]), deviation(centre, wide, radius)
        sizes = float(value.abs_lower()), float((value + spread).abs_upper())
        if value + spread <= self.tolerance:
            return EQUAL, sizes
        if value - spread > self.tolerance:
            return DIFFERS, sizes
        if centre[0].rad() * 16 > self.tolerance:
            raise _FewDigitsError
        return OPEN, sizes

    def _resolved(self, box: Box, looks_at: Id, states: States) -> tuple[int, list[fmpq]] | Split | None:
        """The one state of a switch on a box, with the ends at which it is AT; where it changes; None: not to be told."""
        try:
            slope = Evaluation(self.graph, ball(box.low, box.high), states, 2)[looks_at][1]
            if slope.contains(0):
                return None
            signs = [self._sign_at(looks_at, end, states) for end in (box.low, box.high)]
        except (VagueError, OutsideError, UnsureError):
            return None
        if None in signs:
            return None
        if signs[0] != signs[1] and AT not in signs:
            return self._root(box, looks_at, states)
        ends = [end for end, one in zip((box.low, box.high), signs, strict=True) if one == AT]
        return signs[0] or signs[1] or AT, ends

    def _sign_at(self, looks_at: Id, place: fmpq, states: States) -> int | None:
        return sign(Evaluation(self.graph, arb(place), states, 1)[looks_at][0])

    def _root(self, box: Box, looks_at: Id, states: States) -> Split | None:
        """Where a node that is monotone on a box is zero."""
        node = self.graph.nodes[looks_at]
        if node.op == "var":
            return Split(fmpq(0), fmpq(0))
        if node.op == "lin" and len(node.args) == 1 and self.graph.nodes[node.args[0]].op == "var":
            place = -node.numbers[0] / node.numbers[1]
            if place.denominator & (place.denominator - 1) == 0:  # a ball holds it exactly
                exact = fmpq(place.numerator, place.denominator)
                return Split(exact, exact)
        low, high = box.low, box.high
        with digits(box.bits + 2 * ROOT_BITS, 2):
            before = self._sign_at(looks_at, low, states)
            while (high - low) * 2**ROOT_BITS > max(abs(low), abs(high), SMALLEST):
                middle = fmpq(0) if low < 0 < high else (low + high) / 2
                here = self._sign_at(looks_at, middle, states)
                if here == AT:
                    return Split(middle, middle)
                if here is None:
                    break
                low, high = (middle, high) if here == before else (low, middle)
        return None if (low, high) == (box.low, box.high) else Split(low, high)


class _FewDigitsError(Exception):
    """The middle of the box has too few digits to tell."""


def _centre(at: Evaluation, question: Question) -> Series:
    """The difference in the middle of a box on all of which both sides have a value."""
    try:
        found = difference(at, question)
    except VagueError:
        raise _FewDigitsError from None
    assert not isinstance(found, str)
    return found


def deviation(centre: Series, wide: Series, radius: arb) -> arb:
    """How far a function may be from its value in the middle of a ball: Σ |c_k| r^k + |remainder| r^n, n as it is least."""
    best, total, power, place = abs(wide[0] - centre[0]).abs_upper(), arb(0), arb(1), 0
    for order in ORDERS:
        while place < order:
            if place:
                total = total + abs(centre[place]) * power
            power, place = power * radius, place + 1
        here = (total + abs(wide[order]) * power).abs_upper()
        if here < best:
            best = here
    return best


def difference(evaluation: Evaluation, question: Question) -> Series | str:
    """Plus − minus as a series; DIFFERS where one side has no value, VOID where neither has."""
    outside, sides = 0, []
    for node, slope in ((question.plus, False), (question.minus, question.slope)):
        try:
            series = evaluation[node]
            sides.append(series.derivative() if slope else series)
        except OutsideError:
            outside += 1
    if outside:
        return VOID if outside == 2 else DIFFERS
    return sides[0] - sides[1]
