"""A stored proof checked again, by code of its own: Taylor coefficients by their recurrences, on balls, a box at a time.

Nothing of the prover is imported. What it shares with it is the arithmetic of single balls (Arb's) and the functions as they are
stored. It halves boxes further where its own bounds, which know of no estimate but the balls', are too wide.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from flint import arb, ctx, fmpq

ORDER = 16
MOST_HALVINGS = 14
"""Of a stored box."""
Jet = list[arb]


class _WideError(Exception):
    """The box is too wide to tell."""


@dataclass(frozen=True)
class Replayed:
    """`checked`: boxes of which the stored answer was found again; `unchecked`: those that have none to be checked, places where a
    switch is exactly zero and functions of Γ among them; `failed`: in words."""

    checked: int
    unchecked: int
    failed: tuple[str, ...]

    @property
    def holds(self) -> bool:
        return not self.failed


def replay(paper: Sequence[Mapping[str, Any]]) -> Replayed:
    """Check every box of a proof's `paper`, and that the boxes leave nothing of the domain out."""
    checked, unchecked, failed = 0, 0, list[str]()
    for case in paper:
        for question in case["questions"]:
            failed += _gaps(case, question)
            known = _is_known(case["nodes"], [question["plus"], question["minus"]])
            for box in question["boxes"]:
                said = _checked(case, question, box) if known else None
                checked, unchecked = checked + (said is True), unchecked + (said is None)
                if said is False:
                    failed.append(f"{question['name']} at {case['target']} on [{box[0]}, {box[1]}]: not {box[2]}")
    return Replayed(checked, unchecked, tuple(failed))


def _is_known(nodes: Sequence[Any], todo: list[int]) -> bool:
    """Whether there is a recurrence here for everything that these nodes are made of: Γ and its derivatives have none."""
    seen = set[int]()
    while todo:
        place = todo.pop()
        if place not in seen:
            seen.add(place)
            op, args, _ = nodes[place]
            if op not in ("var", "switch", *OPERATIONS):
                return False
            todo += [one for one in args if isinstance(one, int)]
    return True


def _gaps(case: Mapping[str, Any], question: Mapping[str, Any]) -> Iterator[str]:
    """Parts of the domain that lie in no box."""
    reached, end = (Fraction(text) for text in case["domain"])
    for low, high, *_ in sorted(question["boxes"], key=lambda box: (Fraction(box[0]), Fraction(box[1]))):
        if Fraction(low) > reached:
            yield f"{question['name']} at {case['target']}: nothing is said of [{reached}, {low}]"
        reached = max(reached, Fraction(high))
    if reached < end:
        yield f"{question['name']} at {case['target']}: nothing is said of [{reached}, {end}]"


def _checked(case: Mapping[str, Any], question: Mapping[str, Any], box: Sequence[Any]) -> bool | None:
    """Whether the stored answer is found again; None for a box without one to be checked."""
    low, high = Fraction(box[0]), Fraction(box[1])
    if box[2] not in ("equal", "differs") or (high - low) * 2**60 < max(Fraction(1), abs(low)):
        return None
    before = ctx.prec
    ctx.prec = 160 + int(3 * max(abs(low), abs(high)))
    try:
        return _halved(case, question, low, high, box[2], dict(box[3]), MOST_HALVINGS)
    finally:
        ctx.prec = before


def _halved(
    case: Mapping[str, Any],
    question: Mapping[str, Any],
    low: Fraction,
    high: Fraction,
    answer: str,
    states: Mapping[int, int],
    left: int,
) -> bool:
    tolerance = _number(case["tolerance"])
    try:
        size, spread = _difference(case, question, low, high, states)
        if answer == "equal" and size + spread <= tolerance:
            return True
        if answer == "differs" and size - spread > tolerance:
            return True
        if (answer == "equal" and size > tolerance) or (answer == "differs" and size <= tolerance):
            return False  # in the middle of the box, already
    except _WideError:
        pass
    middle = (low + high) / 2
    return left > 0 and all(
        _halved(case, question, *ends, answer, states, left - 1) for ends in ((low, middle), (middle, high))
    )


def _difference(
    case: Mapping[str, Any], question: Mapping[str, Any], low: Fraction, high: Fraction, states: Mapping[int, int]
) -> tuple[arb, arb]:
    """The size of plus − minus in the middle of a box, and how far it may be from that on the box."""
    radius = arb(fmpq((high - low).numerator, (high - low).denominator)) / 2
    middle = _number(str((low + high) / 2))
    slope = int(question["slope"])
    jets = []
    for place in (middle, arb(middle, radius.upper())):
        found = _Jets(case["nodes"], [place, arb(1)], states, (low, high))
        plus, minus = found(question["plus"]), found(question["minus"])
        moved = [(number + 1) * one for number, one in enumerate(minus[1:])] if slope else minus
        jets.append([one - other for one, other in zip(plus, moved, strict=False)])
    centre, wide = jets
    if not all(one.is_finite() for one in (*centre, *wide)):
        raise _WideError
    spreads = []
    for order in (1, 2, 4, 8, len(wide) - 1):
        inner = sum((abs(centre[place]) * radius**place for place in range(1, order)), arb(0))
        spreads.append((inner + abs(wide[order]) * radius**order).upper())
    return abs(centre[0]), min(spreads, key=float)


class _Jets:
    """The Taylor coefficients of nodes around a place, each made once."""

    def __init__(
        self,
        nodes: Sequence[Any],
        x: Jet,
        states: Mapping[int, int],
        ends: tuple[Fraction, Fraction],
        order: int = ORDER,
    ) -> None:
        self.nodes, self.states, self.ends, self.order = nodes, states, ends, order
        self.x = x + [arb(0)] * (order + 2 - len(x))
        self.known: dict[int, Jet] = {}

    def __call__(self, place: int) -> Jet:
        if place not in self.known:
            op, args, numbers = self.nodes[place]
            if op == "switch":
                self.known[place] = self(args[2 + self._state(args[0])])
            else:
                self.known[place] = self.x if op == "var" else OPERATIONS[op]([self(one) for one in args], numbers)
        return self.known[place]

    def _state(self, looks_at: int) -> int:
        """The state of a switch, found here; the stored one only where its node is monotone with one sign at both ends."""
        value, slope = self(looks_at)[:2]
        if value > 0 or value < 0 or value.is_zero():
            return 1 if value > 0 else -1 if value < 0 else 0
        told = self.states.get(looks_at)
        if told is None or not (slope > 0 or slope < 0):
            raise _WideError
        ends = [
            _Jets(self.nodes, [_number(str(end)), arb(1)], self.states, self.ends)(looks_at)[0] for end in self.ends
        ]
        if not all(end * told > 0 or end.is_zero() for end in ends) or all(end.is_zero() for end in ends):
            raise _WideError
        return told


def _number(text: str) -> arb:
    value = Fraction(text)
    return arb(fmpq(value.numerator, value.denominator))


def _lin(args: list[Jet], numbers: list[str]) -> Jet:
    length = len(args[0]) if args else ORDER + 2
    total = [_number(numbers[0])] + [arb(0)] * (length - 1)
    for factor, one in zip(numbers[1:], args, strict=True):
        total = [left + _number(factor) * right for left, right in zip(total, one, strict=True)]
    return total


def _mul(args: list[Jet], numbers: list[str]) -> Jet:
    found = args[0]
    for other in args[1:]:
        found = [sum((found[at] * other[place - at] for at in range(place + 1)), arb(0)) for place in range(len(found))]
    return found


def _square(args: list[Jet], numbers: list[str]) -> Jet:
    found = _mul([args[0], args[0]], numbers)
    return [found[0].nonnegative_part(), *found[1:]]


def _inv(args: list[Jet], numbers: list[str]) -> Jet:
    (a,) = args
    if a[0].contains(0):
        raise _WideError
    found = [1 / a[0]]
    for place in range(1, len(a)):
        found.append(-sum((a[at] * found[place - at] for at in range(1, place + 1)), arb(0)) / a[0])
    return found


def _grown(first: arb, a: Jet) -> Jet:
    """f with f′ = f·a′."""
    found = [first]
    for place in range(1, len(a)):
        found.append(sum((at * a[at] * found[place - at] for at in range(1, place + 1)), arb(0)) / place)
    return found


def _exp(args: list[Jet], numbers: list[str]) -> Jet:
    return _grown(args[0][0].exp(), args[0])


def _gathered(first: arb, slope: Jet, a: Jet) -> Jet:
    """f with f′ = slope·a′."""
    found = [first]
    for place in range(1, len(a)):
        found.append(sum((at * a[at] * slope[place - at] for at in range(1, place + 1)), arb(0)) / place)
    return found


def _log(args: list[Jet], numbers: list[str]) -> Jet:
    if not args[0][0] > 0:
        raise _WideError
    return _gathered(args[0][0].log(), _inv(args, numbers), args[0])


def _power(args: list[Jet], numbers: list[str]) -> Jet:
    exponent = [_number(numbers[0]) * one for one in _log(args, numbers)]
    return _exp([exponent], numbers)


def _sigmoid(args: list[Jet], numbers: list[str]) -> Jet:
    (a,) = args
    if a[0] > 0:
        fall = _exp([[-one for one in a]], numbers)
        return _inv([[1 + fall[0], *fall[1:]]], numbers)
    rise = _exp([a], numbers)
    return _mul([rise, _inv([[1 + rise[0], *rise[1:]]], numbers)], numbers)


def _softplus(args: list[Jet], numbers: list[str]) -> Jet:
    (a,) = args
    value = a[0] + (1 + (-a[0]).exp()).log() if a[0] > 0 else (1 + a[0].exp()).log()
    return _gathered(value, _sigmoid([a], numbers), a)


def _turned(args: list[Jet]) -> tuple[Jet, Jet]:
    """sin and cos of a jet."""
    (a,) = args
    sine, cosine = [a[0].sin()], [a[0].cos()]
    for place in range(1, len(a)):
        terms = [(at * a[at], place - at) for at in range(1, place + 1)]
        up = sum((step * cosine[at] for step, at in terms), arb(0)) / place
        down = -sum((step * sine[at] for step, at in terms), arb(0)) / place
        sine.append(up)
        cosine.append(down)
    return sine, cosine


def _sin(args: list[Jet], numbers: list[str]) -> Jet:
    return _turned(args)[0]


def _cos(args: list[Jet], numbers: list[str]) -> Jet:
    return _turned(args)[1]


def _atan(args: list[Jet], numbers: list[str]) -> Jet:
    squared = _mul([args[0], args[0]], numbers)
    return _gathered(args[0][0].atan(), _inv([[1 + squared[0], *squared[1:]]], numbers), args[0])


def _erf(args: list[Jet], numbers: list[str], sign: int = 1) -> Jet:
    fall = _exp([[-one for one in _mul([args[0], args[0]], numbers)]], numbers)
    slope = [2 * sign * one / arb.pi().sqrt() for one in fall]
    return _gathered(args[0][0].erf() if sign > 0 else args[0][0].erfc(), slope, args[0])


def _null(args: list[Jet], numbers: list[str]) -> Jet:
    return [0 * one for one in args[0]]


OPERATIONS = {
    "lin": _lin,
    "mul": _mul,
    "square": _square,
    "inv": _inv,
    "exp": _exp,
    "log": _log,
    "power": _power,
    "sigmoid": _sigmoid,
    "softplus": _softplus,
    "sin": _sin,
    "cos": _cos,
    "atan": _atan,
    "erf": _erf,
    "erfc": lambda args, numbers: _erf(args, numbers, -1),
    "null": _null,
}
"""Without Γ, whose proofs are not replayed."""
