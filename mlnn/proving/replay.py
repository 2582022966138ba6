"""A stored proof checked again, by code of its own: Taylor coefficients by their recurrences, on balls, a box at a time.

Nothing of the prover is imported. What it shares with it is the arithmetic of single balls (Arb's) and the functions as they are
stored. It halves boxes further where its own bounds, which know of no estimate but the balls', are too wide.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from flint import arb, ctx, fmpq

from mlnn.proving.recurrences import OPERATIONS, ORDER, Jet, WideError, number
from mlnn.proving.replay_claim import checked_claim
from mlnn.proving.replay_door import admitted
from mlnn.proving.replay_plane import checked_rectangle
from mlnn.proving.replay_sides import checked_sides
from mlnn.proving.replay_work import MOST_STEPS, SpentError, allowance, jet_steps, spend

MOST_HALVINGS = 14
"""Of a stored box."""


@dataclass(frozen=True)
class Replayed:
    """`checked`: boxes, and pairs of sides, of which the stored answer was found again; `unchecked`: those that have none to be
    checked, places where a switch is exactly zero and functions without a recurrence among them; `failed`: in words, what was
    not found again and what was left out because it takes more steps than were allowed."""

    checked: int
    unchecked: int
    failed: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether no less was checked than had to be left out, and nothing failed."""
        return self.checked >= max(1, self.unchecked) and not self.failed


def replay(paper: object, steps: float = MOST_STEPS) -> Replayed:
    """Check every box of a proof's `paper`, that the boxes leave nothing of the domain out, and both sides at random raw outputs
    where their graphs are stored with it.

    paper: of a `Proof`; or the whole proof, itself or as plain data (what is in a proof.json): then what it claims is checked too,
    that of "proved" targets, domain and tolerance are covered and that the boxes' functions are those of its two sides. steps: at
    most so many are done, whatever somebody who sent the paper wrote into it; what is left over is among `failed`. Raises DataError
    where it is no paper, or no proof.
    """
    whole = paper.to_dict() if hasattr(paper, "to_dict") else paper
    claim = whole if isinstance(whole, Mapping) else None
    found, parts = Tally(), admitted(whole if claim is None else claim.get("paper"))
    with allowance(steps):
        try:
            for part in parts:
                if "questions" in part:
                    found.boxes(part)
                elif part["kind"] == "sides":
                    found.said(checked_sides(part))
                elif part["kind"] == "rectangle":
                    for wrong in checked_rectangle(part):
                        found.said(wrong)
                else:
                    found.unchecked += 1  # what certificates have, which `replay_certificate` checks
            for said in () if claim is None else checked_claim(claim):
                found.said(said)
        except SpentError:
            found.failed.append(f"not replayed to its end: it takes more than {steps:,.0f} steps")
    return found.replayed


class Tally:
    """What a replay has found so far."""

    def __init__(self) -> None:
        self.checked, self.unchecked, self.failed = 0, 0, list[str]()

    @property
    def replayed(self) -> Replayed:
        return Replayed(self.checked, self.unchecked, tuple(self.failed))

    def said(self, wrong: str | bool | None) -> None:
        """Count what was checked: True or None of what holds, False of what has nothing to be checked, words of what fails."""
        if wrong is False:
            self.unchecked += 1
            return
        self.checked += 1
        self.failed += [wrong] if isinstance(wrong, str) else []

    def boxes(self, case: Mapping[str, Any]) -> None:
        """Check the boxes of one case."""
        for question in case["questions"]:
            self.failed += _gaps(case, question)
            known = _is_known(case["nodes"], [question["plus"], question["minus"]])
            for box in question["boxes"]:
                said = _checked(case, question, box) if known else None
                self.checked, self.unchecked = self.checked + (said is True), self.unchecked + (said is None)
                if said is False:
                    self.failed.append(f"{question['name']} at {case['target']} on [{box[0]}, {box[1]}]: not {box[2]}")


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
    tolerance = number(case["tolerance"])
    try:
        size, spread = _difference(case, question, low, high, states)
        if answer == "equal" and size + spread <= tolerance:
            return True
        if answer == "differs" and size - spread > tolerance:
            return True
        if (answer == "equal" and size > tolerance) or (answer == "differs" and size <= tolerance):
            return False  # in the middle of the box, already
    except WideError:
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
    middle = number(str((low + high) / 2))
    slope = int(question["slope"])
    jets = []
    for place in (middle, arb(middle, radius.upper())):
        found = Jets(case["nodes"], [place, arb(1)], states, (low, high))
        plus, minus = found(question["plus"]), found(question["minus"])
        moved = [(at + 1) * one for at, one in enumerate(minus[1:])] if slope else minus
        jets.append([one - other for one, other in zip(plus, moved, strict=False)])
    centre, wide = jets
    if not all(one.is_finite() for one in (*centre, *wide)):
        raise WideError
    spreads = []
    for order in (1, 2, 4, 8, len(wide) - 1):
        inner = sum((abs(centre[place]) * radius**place for place in range(1, order)), arb(0))
        spreads.append((inner + abs(wide[order]) * radius**order).upper())
    return abs(centre[0]), min(spreads, key=float)


class Jets:
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
            spend(jet_steps(op, args, numbers), ctx.prec)
            if op not in ("var", "switch", *OPERATIONS):
                raise WideError
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
            raise WideError
        ends = [Jets(self.nodes, [number(str(end)), arb(1)], self.states, self.ends)(looks_at)[0] for end in self.ends]
        if not all(end * told > 0 or end.is_zero() for end in ends) or all(end.is_zero() for end in ends):
            raise WideError
        return told
