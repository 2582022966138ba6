"""A proof in one short line, as it stands in a verdict."""

from collections.abc import Sequence

from mlnn.proving.answers import Interval, Part
from mlnn.proving.boxes import VALUE
from mlnn.proving.cases import GRADIENT, RAW, RESIDUAL
from mlnn.proving.proof import Proof
from mlnn.proving.words import intervals, placed, sized, union

SHOWN = 6
"""Digits of a raw output in the line; the proof has twelve."""


def line(proof: Proof) -> str:
    """What is proved and where, or where the two differ and by how much, or what is undecided and why."""
    if proof.answer == "undecided":
        return _undecided(proof)
    if proof.answer == "proved":
        return proof.sentence.removesuffix(f" ({proof.boxes} boxes)")
    told = _differs(proof) if proof.relation is None else _related(proof)
    return "; ".join([told, *_points(proof)])


def asked(proof: Proof, question: str) -> list[Part]:
    """The parts of a proof that ask whether values, or gradients, are the same."""
    return [part for part in proof.parts if part.question == question]


def parted(proof: Proof) -> tuple[str, tuple[Interval, ...]]:
    """Which of the two differ, "value" if it can be, else "gradient", and where."""
    for question in (VALUE, GRADIENT):
        where = union([one for part in asked(proof, question) for one in part.differs])
        if where:
            return question, where
    return GRADIENT, ()


def _related(proof: Proof) -> str:
    """A factor and constants, by their names where they have one."""
    inside = f"{'on' if proof.variable == RAW else 'for residuals in'} {intervals([proof.domain])}"
    factor = f"{_constant(proof.scale)} times " if proof.scale else ""
    shifts = [(target, _constant(value)) for target, value in proof.shift]
    if len({value for _, value in shifts}) == 1:
        shifts = [("", shifts[0][1])]
    told = ", ".join(f"{value}{f' at {target}' if target else ''}" for target, value in shifts if value != "0")
    return f"proved {inside} for {proof.targets}: left is {factor}right" + (f" plus {told}" if told else "")


def _constant(text: str) -> str:
    """A constant's name in place of its thirty digits, or as many digits as a line has."""
    number, _, name = text.partition(" (")
    if name:
        return name.removesuffix(")")
    if "/" in number or number in ("n", "1/n"):  # a sum of n rows beside their mean
        return number.replace("-", "−")
    return f"{_digits(float(number)):g}".replace("-", "−")


def _undecided(proof: Proof) -> str:
    """The places that the boxes did not reach; else the reason."""
    left = _left(proof)
    if not left:
        return f"undecided: {proof.reason}"
    where = intervals(_apart(left)) if proof.variable in (RAW, RESIDUAL) else "lines through the raw outputs"
    return f"undecided on {where} after {proof.boxes} boxes"


def _left(proof: Proof) -> tuple[Interval, ...]:
    return union([one for name in (VALUE, GRADIENT) for part in asked(proof, name) for one in part.undecided])


def _differs(proof: Proof) -> str:
    question, where = parted(proof)
    what = "" if question == VALUE else "gradients "
    told = f"{what}{'differs' if question == VALUE else 'differ'} {_where(proof, where)}{_by(proof)}"
    if question == GRADIENT and all(part.answer == "proved" for part in asked(proof, VALUE)):
        told += "; values are proved equal"
    left = len(_left(proof))
    return told + (f"; undecided on {left} interval{'s' * (left > 1)} after {proof.boxes} boxes" if left else "")


def _by(proof: Proof) -> str:
    if proof.size is None:
        return ""
    if proof.size[0] == float("inf"):
        return ", where one side has no value"
    return f", by {sized(proof.size)}"


def _where(proof: Proof, where: Sequence[Interval]) -> str:
    """ "from 16.118 on" where an interval reaches an end of the domain, "beyond [a, b]" where two reach both."""
    if proof.variable not in (RAW, RESIDUAL):
        return "on lines through the raw outputs"
    of = "" if proof.variable == RAW else "for residuals "
    low, high = proof.domain
    first, last = where[0], where[-1]
    if where == ((low, high),):
        return f"{of}on all of [{placed(low)}, {placed(high)}]"
    if len(where) == 2 and first[0] == low and last[1] == high:
        return f"{of}beyond {intervals(_rounded([(first[1], last[0])]))}"
    if len(where) == 1 and last[1] == high:
        return f"{of}from {placed(_digits(last[0]))} on"
    if len(where) == 1 and first[0] == low:
        return f"{of}up to {placed(_digits(first[1]))}"
    if len(where) == 1 and first[0] == first[1]:
        return f"{of}at {placed(_digits(first[0]))} alone"
    return f"{of}on {intervals(_apart(where))}"


def _points(proof: Proof) -> list[str]:
    return [f"at {placed(_digits(at))} alone gradients differ by {size:.4g}" for at, size in proof.points[:1]]


def _digits(value: float) -> float:
    return float(f"{value:.{SHOWN}g}")


def _rounded(some: Sequence[Interval]) -> list[Interval]:
    return [(_digits(low), _digits(high)) for low, high in some]


def _apart(some: Sequence[Interval]) -> list[Interval]:
    """Rounded, but where the ends of an interval would then be one."""
    return [own if short[0] == short[1] else short for own, short in zip(some, _rounded(some), strict=True)]
