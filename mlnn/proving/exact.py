"""Numbers of code as the fractions that they stand for."""

from fractions import Fraction

SIMPLE = 1000
"""Denominators up to which a float next to a fraction stands for it: 0.1, and the 1/7 of a mean of seven rows."""


def exact(value: Fraction | float) -> Fraction:
    """The number that a constant stands for: that next to it with a small denominator, where it is that number's rounding, else
    what it is to its last bit. Raises ValueError for one that is not finite."""
    if isinstance(value, Fraction):
        return value
    try:
        found = Fraction(value)
    except (OverflowError, ValueError):
        raise ValueError(f"a constant that is {value}") from None
    near = found.limit_denominator(SIMPLE) if found.denominator > SIMPLE else found
    return near if near and float(near) == value else found
