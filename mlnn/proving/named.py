"""Numbers with a name, of which the polynomials of a form are made."""

from collections.abc import Sequence
from dataclasses import dataclass

from mlnn.proving.graph import Id, Variable
from mlnn.proving.quotients import Monomial, Number

ODD, EVEN = frozenset({"sin", "atan", "erf"}), frozenset({"cos"})
"""Functions of which f(−u) is −f(u), or f(u)."""
ABOVE_ZERO = frozenset({"erfc"})
WITH_ITS_SIGN = frozenset({"atan", "erf"})
"""Functions that are above 0 where what they are of is."""
NEEDS_ABOVE = frozenset({"lgamma", "polygamma"})


@dataclass(frozen=True)
class Named:
    """What a number with a name is. `op`: "var", "one", "log", "is" (1 where `of` is in a state, else 0), "product" (in a power of
    e), or a function. `of`: what it is a function of. `numbers`: of the function, or the state. `node`: where it is one, which is
    written out nowhere; of a switch `of` is what that looks at."""

    op: str
    of: object = None
    numbers: tuple[Number, ...] = ()
    variable: Variable | None = None
    node: Id | None = None


def alone(named: Sequence[Named], monomial: Monomial) -> Monomial | None:
    """A product in which a state is not met twice; None where two states of one switch are met, of which one is 0."""
    states = [(place, power) for (kind, place), power in monomial if kind == "x" and named[place].op == "is"]
    if not states or (len(states) == 1 and states[0][1] == 1):
        return monomial
    looks = {named[place].of for place, _ in states}
    if len(looks) < len(states):
        return None
    places = {place for place, _ in states}
    return tuple((factor, 1 if factor[0] == "x" and factor[1] in places else power) for factor, power in monomial)
