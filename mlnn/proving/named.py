"""Numbers with a name, of which the polynomials of a form are made."""

from dataclasses import dataclass

from mlnn.proving.graph import Id, Variable
from mlnn.proving.quotients import Number


@dataclass(frozen=True)
class Named:
    """What a number with a name is. `op`: "var", "one", "log", "is" (1 where `of` is in a state, else 0), "product" (in a power of
    e), or a function. `of`: what it is a function of. `numbers`: of the function, or the state. `node`: where it is one."""

    op: str
    of: object = None
    numbers: tuple[Number, ...] = ()
    variable: Variable | None = None
    node: Id | None = None
