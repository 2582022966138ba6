"""A node at one place as a computer has it: 1/0 is ∞, log 0 is −∞, e to that is 0 again; 0·∞ and ∞ − ∞ are no number."""

import math
from collections.abc import Sequence
from fractions import Fraction

from flint import arb, arb_series

from mlnn.proving.balls import digits, sign
from mlnn.proving.graph import Graph, Id, Node
from mlnn.proving.rules import RULES, OutsideError, VagueError, number

BITS = 256
_Number = Fraction | arb | float
"""An exact one as a fraction, another one as a ball, ∞, −∞ or NaN as a float."""
ZERO, ONE = Fraction(0), Fraction(1)
LIMITS: dict[str, tuple[_Number | None, _Number | None]] = {
    "inv": (ZERO, ZERO),
    "exp": (ZERO, math.inf),
    "softplus": (ZERO, math.inf),
    "sigmoid": (ZERO, ONE),
    "erf": (-ONE, ONE),
    "erfc": (2 * ONE, ZERO),
    "log": (None, math.inf),
    "power": (None, math.inf),
    "log_erfc": (None, -math.inf),
    "log_erfcx": (math.inf, -math.inf),
}
"""What functions are at −∞ and at ∞; None where that is no such number."""


def at_place(graph: Graph, one: Id, place: Fraction) -> Fraction | arb | float | None:
    """The number that a node is at a place of its one variable, ∞ and NaN as floats; None where it is not certain which."""
    with digits(BITS, 1):
        try:
            return _Values(graph, place)[one]
        except VagueError:
            return None


class _Values:
    """The nodes of a graph at a place, those that are asked for. Raises VagueError where one is not certain."""

    def __init__(self, graph: Graph, place: Fraction) -> None:
        self.graph, self.place = graph, place
        self._found: dict[Id, _Number] = {}

    def __getitem__(self, one: Id) -> _Number:
        if one not in self._found:
            self._found[one] = self._make(self.graph.nodes[one])
        return self._found[one]

    def _make(self, node: Node) -> _Number:
        if node.op == "var":
            return self.place
        if node.op == "switch":
            state = _sign(self[node.args[0]])
            return math.nan if state is None else self[node.args[2 + state]]
        args = [self[one] for one in node.args]
        if node.op == "lin":
            return _sum(node, args)
        if node.op in ("mul", "square"):
            return _product(args if node.op == "mul" else args * 2)
        if node.op == "null":
            if isinstance(args[0], float) and math.isinf(args[0]):  # code that was made simpler may have had a number
                raise VagueError
            return args[0] if isinstance(args[0], float) else Fraction(0)
        return _function(node, args)


def _ball(x: Fraction | arb) -> arb:
    return number(x) if isinstance(x, Fraction) else x


def _sign(x: _Number) -> int | None:
    """None of what is no number. Raises VagueError."""
    if isinstance(x, float):
        return None if math.isnan(x) else int(math.copysign(1, x))
    found = sign(_ball(x))
    if found is None:
        raise VagueError
    return found


def _sum(node: Node, args: Sequence[_Number]) -> _Number:
    constant, *factors = node.numbers
    terms = list(zip(factors, args, strict=True))
    endless = [math.copysign(1, factor) * one for factor, one in terms if isinstance(one, float)]
    if endless:
        return sum(endless)
    exact = sum((factor * one for factor, one in terms if isinstance(one, Fraction)), constant)
    balls = [number(factor) * one for factor, one in terms if isinstance(one, arb)]
    return sum(balls, number(exact)) if balls else exact


def _product(args: Sequence[_Number]) -> _Number:
    if any(isinstance(one, float) for one in args):
        signs = [_sign(one) for one in args]
        return math.nan if None in signs or 0 in signs else math.prod(one or 0 for one in signs) * math.inf
    exact = math.prod((one for one in args if isinstance(one, Fraction)), start=Fraction(1))
    balls = [one for one in args if isinstance(one, arb)]
    return math.prod(balls, start=number(exact)) if balls and exact else exact


def _function(node: Node, args: Sequence[_Number]) -> _Number:
    if len(args) != 1:
        raise VagueError
    (x,) = args
    if isinstance(x, float):
        return _of_infinity(node, x)
    if _sign(x) == 0 and node.op in ("inv", "log", "power"):
        if node.op == "power" and node.numbers[0] > 0:
            return Fraction(0)
        return -math.inf if node.op == "log" else math.inf
    if node.op == "inv" and isinstance(x, Fraction):
        return 1 / x
    try:
        return RULES[node.op](node, [arb_series([_ball(x)], 1)], 1)[0]
    except OutsideError:
        return math.nan


def _of_infinity(node: Node, x: float) -> _Number:
    if math.isnan(x):
        return x
    if node.op == "power" and node.numbers[0] < 0:
        return Fraction(0)
    found = LIMITS.get(node.op, (None, None))[x > 0]
    if found is None:
        raise VagueError
    return found
