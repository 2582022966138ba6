"""The numbers that a likelihood or loss is made with, checked where it is made."""

import math

from mlnn.errors import ConfigError


def positive(key: str, value: float) -> float:
    """`value` if it is a finite number above 0; ConfigError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ConfigError(f"objective.{key}: must be a finite number above 0, found {value!r}")
    return float(value)


def fraction(key: str, value: float) -> float:
    """`value` if it lies strictly between 0 and 1; ConfigError otherwise."""
    if positive(key, value) >= 1:
        raise ConfigError(f"objective.{key}: must lie strictly between 0 and 1, found {value!r}")
    return float(value)
