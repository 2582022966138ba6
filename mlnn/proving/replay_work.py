"""How much a replay may do: steps are counted, not seconds, so that an answer does not hang on the machine."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

MOST_STEPS = 20_000_000
"""Operations on numbers of 160 bits, nearly, some minutes of them; proofs of the catalogue take 3 thousand to 3 million."""
SLOW = {"lgamma": 200, "polygamma": 200, "hyp0f1": 400, "gammaincc": 200, "log_erfc": 200, "log_erfcx": 200}
"""Steps of an operation's jet; others take one for themselves and one for each thing that they are made of."""
BITS = 160
_left: ContextVar[list[float] | None] = ContextVar("steps left", default=None)


class SpentError(Exception):
    """There are no steps left."""


@contextmanager
def allowance(steps: float = MOST_STEPS) -> Iterator[None]:
    """No more than so many steps within; an allowance within another one is that other one."""
    if _left.get() is not None:
        yield
        return
    token = _left.set([steps])
    try:
        yield
    finally:
        _left.reset(token)


def jet_steps(op: str, args: Sequence[object], numbers: Sequence[object]) -> int:
    """What the Taylor coefficients of a stored node count for."""
    return SLOW.get(op, 1 + len(args) + len(numbers))


def spend(steps: float, bits: int = BITS) -> None:
    """Count steps on numbers of so many bits; SpentError where none are left. Outside of an allowance nothing is counted."""
    left = _left.get()
    if left is not None:
        left[0] -= steps * max(1.0, bits / BITS)
        if left[0] < 0:
            raise SpentError
